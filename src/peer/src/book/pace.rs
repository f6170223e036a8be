//! How often addresses are dialled that we know from hearsay only, so that nobody steers our dials.
//!
//! | what | at once | after that |
//! |---|---|---|
//! | all such dials, while we have few outbound peers | 16 | one in 5 s |
//! | the same, when half of the outbound places are taken | 2 | one in 30 s |
//! | to one machine (an IPv4 address, a /64, or a name) | 8 | one a minute |
//! | to one subnet (/24 or /48; all names together) | 16 | one in 30 s |
//!
//! A new network finds itself within the first row's burst. Addresses of this machine itself have no place: whoever is here can do worse.
//! Configured peers, and addresses where a peer's key was met before, are not limited.

use crate::rate::TokenBucket;
use crate::subnet::{ip_of, machine_of, subnet_of};
use core::net::IpAddr;
use std::collections::BTreeMap;
use timed_primitives::Instant;

/// What a dial takes from each bucket.
const DIAL: u32 = 60;
/// What it takes from the first when we have outbound peers enough.
const DIAL_WHEN_ENOUGH: u32 = 360;
const ALL_BURST: u32 = 16 * DIAL;
const ALL_PER_SECOND: u32 = 12;
const MACHINE_BURST: u32 = 8 * DIAL;
const MACHINE_PER_SECOND: u32 = 1;
const SUBNET_BURST: u32 = 16 * DIAL;
const SUBNET_PER_SECOND: u32 = 2;
/// Most places that are tracked one by one. At the bound those with all their tokens give way, and if there are none, there is no dial.
const PLACES_MAX: usize = 1024;

/// Where an address leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PaceKey {
    Machine(IpAddr),
    Name(String),
    Subnet(IpAddr),
    /// Whoever owns a domain has as many names as he likes, and they may lead anywhere.
    AllNames,
}

impl PaceKey {
    /// The places of an address and how much each may see; none for this machine.
    fn of(address: &str) -> Option<[(Self, u32, u32); 2]> {
        let (machine, subnet) = match ip_of(address) {
            Some(ip) if ip.is_loopback() => return None,
            Some(ip) => (Self::Machine(machine_of(ip)), Self::Subnet(subnet_of(ip))),
            None => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host).to_ascii_lowercase();
                if host == "localhost" {
                    return None;
                }
                (Self::Name(host), Self::AllNames)
            }
        };
        Some([(machine, MACHINE_PER_SECOND, MACHINE_BURST), (subnet, SUBNET_PER_SECOND, SUBNET_BURST)])
    }
}

/// The tokens that are left.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    all: Option<TokenBucket>,
    places: BTreeMap<PaceKey, TokenBucket>,
}

impl Pace {
    /// When the next dial to hearsay may be made, wherever it leads.
    pub(super) fn ready_at(&mut self, now: Instant, has_enough: bool) -> Instant {
        let cost = if has_enough { DIAL_WHEN_ENOUGH } else { DIAL };
        self.all(now).ready_at(now, cost)
    }

    /// Whether the places of this address have been dialled enough for now.
    pub(super) fn is_capped(&self, now: Instant, address: &str) -> bool {
        let Some(places) = PaceKey::of(address) else { return false };
        places.iter().any(|(place, ..)| match self.places.get(place) {
            Some(bucket) => bucket.clone().ready_at(now, DIAL) > now,
            None => self.places.len() >= PLACES_MAX && self.places.values().all(|bucket| !bucket.clone().is_full(now)),
        })
    }

    /// Takes what a dial to this address costs; false, and nothing is taken, when it must wait.
    pub(super) fn take(&mut self, now: Instant, address: &str, has_enough: bool) -> bool {
        let cost = if has_enough { DIAL_WHEN_ENOUGH } else { DIAL };
        if self.is_capped(now, address) || self.all(now).ready_at(now, cost) > now {
            return false;
        }
        self.all(now).take(now, cost) && self.take_place(now, address)
    }

    /// The same for a dial that is paced elsewhere: only its places pay.
    pub(super) fn take_place(&mut self, now: Instant, address: &str) -> bool {
        if self.is_capped(now, address) {
            return false;
        }
        for (place, per_second, burst) in PaceKey::of(address).into_iter().flatten() {
            if self.places.len() >= PLACES_MAX && !self.places.contains_key(&place) {
                self.places.retain(|_, bucket| !bucket.is_full(now));
            }
            self.places.entry(place).or_insert_with(|| TokenBucket::new(now, per_second, burst)).take(now, DIAL);
        }
        true
    }

    fn all(&mut self, now: Instant) -> &mut TokenBucket {
        self.all.get_or_insert_with(|| TokenBucket::new(now, ALL_PER_SECOND, ALL_BURST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000)
    }

    fn dials(
        pace: &mut Pace,
        seconds: core::ops::Range<u64>,
        has_enough: bool,
        address: impl Fn(u64) -> String,
    ) -> u64 {
        let mut dials = 0;
        for second in seconds {
            for n in 0..40 {
                dials += u64::from(pace.take(at(second), &address(40 * second + n), has_enough));
            }
        }
        dials
    }

    #[test]
    fn dials_to_hearsay_have_a_burst_and_then_a_pace() {
        let elsewhere = |n: u64| format!("11.{}.{}.1:7000", n / 250 % 250, n % 250);
        let mut pace = Pace::default();
        assert_eq!(dials(&mut pace, 0..1, false, elsewhere), 16);
        assert_eq!(pace.ready_at(at(0), false), at(5));
        assert_eq!(dials(&mut pace, 1..601, false, elsewhere), 120, "one in 5 s");
        let mut pace = Pace::default();
        assert_eq!(dials(&mut pace, 0..600, true, elsewhere), 2 + 20, "one in 30 s, and a burst that costs as much");
        let mut pace = Pace::default();
        assert_eq!(dials(&mut pace, 0..1, true, elsewhere), 2);
        assert_eq!((pace.ready_at(at(0), true), pace.ready_at(at(0), false)), (at(10), at(0)));
    }

    #[test]
    fn a_machine_a_subnet_and_all_names_are_not_hammered() {
        let hour = 3600;
        let machine = dials(&mut Pace::default(), 0..hour, false, |n| format!("11.1.1.1:{}", 1 + n % 60_000));
        assert!((66..=68).contains(&machine), "{machine}: 8 and one a minute");
        let subnet = dials(&mut Pace::default(), 0..hour, false, |n| format!("11.1.1.{}:7000", 1 + n % 250));
        assert!((134..=136).contains(&subnet), "{subnet}: 16 and one in 30 s");
        let names = dials(&mut Pace::default(), 0..hour, false, |n| format!("a{n}.example.org:7000"));
        assert!((134..=136).contains(&names), "{names}");
        let prefix = dials(&mut Pace::default(), 0..hour, false, |n| {
            format!("[2001:db8:1:{:x}::{:x}]:7000", n % 999, n % 60_000)
        });
        assert!((134..=136).contains(&prefix), "{prefix}");
        let host = dials(&mut Pace::default(), 0..hour, false, |n| format!("[2001:db8:1:2::{:x}]:7000", n % 60_000));
        assert!((66..=68).contains(&host), "{host}");
    }

    #[test]
    fn this_machine_is_not_tracked_and_the_table_is_bounded() {
        let mut pace = Pace::default();
        assert!(!pace.is_capped(at(0), "127.0.0.1:7000") && pace.take(at(0), "localhost:7000", false));
        assert!(pace.take(at(0), "127.0.0.1:7000", false) && pace.places.is_empty());
        let place = |n: usize| format!("11.{}.{}.1:7000", n / 250, n % 250);
        let found = (0..2000).filter(|n| pace.take_place(at(0), &place(*n))).count();
        assert!(found <= PLACES_MAX && pace.places.len() <= PLACES_MAX + 2, "{found}");
        assert!(pace.is_capped(at(0), &place(5000)), "no dial rather than one that is not counted");
        let later = at(0) + Duration::from_secs(60);
        assert!(pace.take_place(later, &place(5000)), "places that were left alone have given way");
    }
}
