//! Where a masternode is reached.

use borsh::{BorshDeserialize, BorshSerialize};
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::fmt;

/// Size in canonical bytes.
pub const SERVICE_BYTES: usize = 18;

/// Address and port, as the registration says. In canonical bytes 16 bytes (IPv4 as `::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2), then the port, big endian.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct ServiceAddress {
    ip: [u8; 16],
    port: [u8; 2],
}

/// Nobody can be reached there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceAddressError {
    /// Not an address with a port.
    #[error("{0:?} is no address with a port, such as 203.0.113.7:7000 or [2001:db8::1]:7000")]
    Text(String),
    /// The address of nobody, of all, or of many.
    #[error("{0} is no address of one machine")]
    Unusable(ServiceAddress),
}

impl ServiceAddress {
    /// Of a masternode of genesis whose address nobody wrote down.
    pub const UNKNOWN: Self = Self { ip: [0; 16], port: [0; 2] };

    /// Of this address and port.
    pub fn new(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Self { ip: ip.octets(), port: address.port().to_be_bytes() }
    }

    /// As programs take it, IPv4 where it is one.
    pub fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(Ipv6Addr::from(self.ip).to_canonical(), u16::from_be_bytes(self.port))
    }

    /// Whether one machine can have it: not unspecified, not multicast, not broadcast, and a port other than 0.
    ///
    /// # Errors
    /// [`ServiceAddressError::Unusable`].
    pub fn check(&self) -> Result<(), ServiceAddressError> {
        let address = self.socket_address();
        let ip = address.ip();
        let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        if ip.is_unspecified() || ip.is_multicast() || is_broadcast || address.port() == 0 {
            return Err(ServiceAddressError::Unusable(*self));
        }
        Ok(())
    }
}

impl fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::UNKNOWN { f.write_str("unknown") } else { self.socket_address().fmt(f) }
    }
}

impl fmt::Debug for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for ServiceAddress {
    type Err = ServiceAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address: SocketAddr = text.parse().map_err(|_| ServiceAddressError::Text(text.to_owned()))?;
        let service = Self::new(address);
        service.check().map(|()| service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::encode;

    #[test]
    fn both_kinds_of_addresses_have_one_encoding() {
        for text in ["203.0.113.7:7000", "[2001:db8::1]:65535", "127.0.0.1:1"] {
            let service: ServiceAddress = text.parse().unwrap();
            assert_eq!(service.to_string(), text);
            assert_eq!(encode(&service).len(), SERVICE_BYTES);
        }
        assert_eq!("[::ffff:10.0.0.1]:7".parse::<ServiceAddress>(), "10.0.0.1:7".parse());
    }

    #[test]
    fn addresses_of_nobody_are_refused() {
        for text in ["0.0.0.0:7000", "[::]:7000", "224.0.0.1:7000", "[ff02::1]:7000", "255.255.255.255:7", "10.0.0.1:0"]
        {
            assert!(matches!(text.parse::<ServiceAddress>(), Err(ServiceAddressError::Unusable(_))), "{text}");
        }
        for text in ["", "host:7000", "10.0.0.1", "10.0.0.1:70000"] {
            assert!(matches!(text.parse::<ServiceAddress>(), Err(ServiceAddressError::Text(_))), "{text}");
        }
    }
}
