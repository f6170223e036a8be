//! Who may begin a handshake: a token for the address and one for its subnet, taken before anything costly is done.
//!
//! A handshake costs us signatures, a key exchange and about 40 KiB for up to ten seconds. Honest nodes begin few: they wait between dials
//! ([`crate::Backoff`]). Connections of this machine itself are not limited: whoever floods from here can do worse.
//!
//! # Security
//! The tables are bounded. At the bound, addresses that were quiet long enough to have all their tokens give way; when there are none,
//! newcomers share the tokens of one subnet, so that those who are known are not locked out by many addresses.

mod under_way;

pub use under_way::{Begun, HandshakesUnderWay};

use crate::rate::TokenBucket;
use crate::subnet::subnet_of;
use core::net::IpAddr;
use std::collections::BTreeMap;
use timed_primitives::Instant;

/// Handshakes that an address may begin at once, and per second after that: some twenty nodes behind one router may start together.
const ADDRESS_BURST: u32 = 20;
const ADDRESS_PER_SECOND: u32 = 1;
/// The same for a subnet: /24 of IPv4, /48 of IPv6, as providers hand them out.
const SUBNET_BURST: u32 = 64;
const SUBNET_PER_SECOND: u32 = 8;
/// Most addresses, and most subnets, that are tracked one by one.
const TRACKED_MAX: usize = 4096;

/// Tokens of all addresses that came lately.
#[derive(Debug, Default)]
pub struct HandshakeAdmission {
    addresses: BTreeMap<IpAddr, TokenBucket>,
    subnets: BTreeMap<IpAddr, TokenBucket>,
    /// Tokens for those who find no place in a table.
    untracked: Option<TokenBucket>,
    refused: u64,
}

impl HandshakeAdmission {
    /// Everybody has all tokens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the tokens of a connection from this address; false when it is to be closed.
    pub fn admit(&mut self, now: Instant, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let admitted =
            address.is_loopback() || (self.take(now, address, false) && self.take(now, subnet_of(address), true));
        self.refused += u64::from(!admitted);
        admitted
    }

    /// How many connections were refused.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    fn take(&mut self, now: Instant, key: IpAddr, is_subnet: bool) -> bool {
        let (table, per_second, burst) = match is_subnet {
            true => (&mut self.subnets, SUBNET_PER_SECOND, SUBNET_BURST),
            false => (&mut self.addresses, ADDRESS_PER_SECOND, ADDRESS_BURST),
        };
        if table.len() >= TRACKED_MAX && !table.contains_key(&key) {
            table.retain(|_, bucket| !bucket.is_full(now));
        }
        if table.len() >= TRACKED_MAX && !table.contains_key(&key) {
            let untracked = || TokenBucket::new(now, SUBNET_PER_SECOND, SUBNET_BURST);
            return self.untracked.get_or_insert_with(untracked).take(now, 1);
        }
        table.entry(key).or_insert_with(|| TokenBucket::new(now, per_second, burst)).take(now, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    fn admitted(admission: &mut HandshakeAdmission, now: Instant, addresses: impl Iterator<Item = IpAddr>) -> usize {
        addresses.filter(|address| admission.admit(now, *address)).count()
    }

    fn v4(subnet: u32, host: u32) -> IpAddr {
        Ipv4Addr::from_bits((11 << 24) | (subnet << 8) | host).into()
    }

    #[test]
    fn an_address_and_its_subnet_have_so_many_tokens_and_regain_them() {
        let (mut admission, start) = (HandshakeAdmission::new(), Instant::default());
        let again = |address: IpAddr| std::iter::repeat_n(address, 100);
        assert_eq!(admitted(&mut admission, start, again(v4(1, 1))), 20);
        // The same address in its other form.
        let IpAddr::V4(plain) = v4(1, 1) else { unreachable!("it is one") };
        assert!(!admission.admit(start, plain.to_ipv6_mapped().into()));
        assert_eq!(admitted(&mut admission, start, (2..102).map(|host| v4(1, host))), 44, "the subnet had 64");
        assert!(admission.admit(start, v4(2, 1)), "another subnet");
        assert_eq!(admission.refused(), 80 + 1 + 56);
        let later = start + Duration::from_secs(3);
        assert_eq!(admitted(&mut admission, later, again(v4(1, 1))), 3);
        let prefix = |host: u128| Ipv6Addr::from_bits((0x2001 << 112) | host).into();
        assert_eq!(admitted(&mut admission, start, (0..100).map(|host| prefix(host << 70))), 64, "a /48 is a subnet");
        assert_eq!(admitted(&mut admission, start, again(Ipv4Addr::LOCALHOST.into())), 100);
    }

    #[test]
    fn the_tables_are_bounded_and_those_who_are_known_are_not_locked_out() {
        let (mut admission, start) = (HandshakeAdmission::new(), Instant::default());
        let many = 2 * TRACKED_MAX as u32;
        let found = admitted(&mut admission, start, (0..many).map(|subnet| v4(subnet, 1)));
        assert_eq!(found, TRACKED_MAX + 32, "those beyond share tokens: one for the address, one for the subnet");
        assert!(admission.addresses.len() <= TRACKED_MAX && admission.subnets.len() <= TRACKED_MAX);
        assert!(admission.admit(start, v4(7, 1)));
        // All have been quiet: they give way.
        let later = start + Duration::from_secs(60);
        assert!(admission.admit(later, v4(many, 1)));
        assert_eq!(admission.addresses.len(), 1);
    }
}
