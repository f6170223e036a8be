//! Which addresses count as one: those that one provider hands to one customer.

use crate::addresses::check_address;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The first address of the subnet: /24 of IPv4, /48 of IPv6. An IPv4 address mapped into IPv6 counts as IPv4.
pub fn subnet_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80)).into(),
    }
}

/// The address of one machine: all of an IPv4 address, the /64 of an IPv6 address, whose rest its owner chooses at will.
pub fn machine_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// The IP in a `host:port`; `None` for a name, and for what has not that form.
pub fn ip_of(address: &str) -> Option<IpAddr> {
    check_address(address).ok()?.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_a_24_or_a_48_and_a_machine_an_address_or_a_64() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(subnet_of(ip("192.0.2.77")), ip("192.0.2.0"));
        assert_eq!(subnet_of(ip("::ffff:192.0.2.77")), ip("192.0.2.0"));
        assert_eq!(subnet_of(ip("2001:db8:1:2:3::4")), ip("2001:db8:1::"));
        assert_eq!(machine_of(ip("192.0.2.77")), ip("192.0.2.77"));
        assert_eq!(machine_of(ip("2001:db8:1:2:3::4")), ip("2001:db8:1:2::"));
        assert_eq!(ip_of("[2001:db8::1]:7000"), Some(ip("2001:db8::1")));
        assert_eq!((ip_of("node.example.org:7000"), ip_of("192.0.2.1")), (None, None));
    }
}
