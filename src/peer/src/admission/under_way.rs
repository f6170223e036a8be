//! Handshakes under way: so many at once, and who gives way when there are more.
//!
//! A connection that proves nothing holds its place until its time is over. Were places given to whoever comes first, somebody who holds
//! all of them and comes back at once would keep everybody else out. So nobody waits: at the bound the newcomer gets a place, and of the
//! subnet with most places, in it of the machine with most, the oldest gives way. Who has one place among crowds keeps it.

use crate::subnet::{machine_of, subnet_of};
use core::cmp::Reverse;
use core::net::IpAddr;
use std::collections::BTreeMap;

/// What beginning a handshake led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its number, for [`HandshakesUnderWay::end`].
    pub number: u64,
    /// The handshake that is to be broken off. It is counted no more.
    pub gives_way: Option<u64>,
}

/// The handshakes under way, by number, with where they come from.
#[derive(Clone, Debug)]
pub struct HandshakesUnderWay {
    most: usize,
    by_number: BTreeMap<u64, IpAddr>,
    next_number: u64,
    gave_way: u64,
}

impl HandshakesUnderWay {
    /// None yet, and at most so many.
    pub const fn new(most: usize) -> Self {
        Self { most, by_number: BTreeMap::new(), next_number: 0, gave_way: 0 }
    }

    /// One more begins.
    pub fn begin(&mut self, from: IpAddr) -> Begun {
        let number = self.next_number;
        self.next_number = self.next_number.saturating_add(1);
        self.by_number.insert(number, from.to_canonical());
        let gives_way = if self.by_number.len() > self.most { self.most_crowded() } else { None };
        if let Some(oldest) = gives_way {
            self.by_number.remove(&oldest);
            self.gave_way = self.gave_way.saturating_add(1);
        }
        Begun { number, gives_way }
    }

    /// One is over, however it ended.
    pub fn end(&mut self, number: u64) {
        self.by_number.remove(&number);
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// How many have begun since the start.
    pub const fn begun(&self) -> u64 {
        self.next_number
    }

    /// How many had to give way since the start.
    pub const fn gave_way(&self) -> u64 {
        self.gave_way
    }

    /// Where crowds are equal, the one with the oldest handshake counts as the larger.
    fn most_crowded(&self) -> Option<u64> {
        let subnet = crowd(self.by_number.iter().map(|(number, from)| (*number, subnet_of(*from))))?.0;
        let there = self.by_number.iter().filter(|(_, from)| subnet_of(**from) == subnet);
        crowd(there.map(|(number, from)| (*number, machine_of(*from)))).map(|(_, oldest)| oldest)
    }
}

/// The place that occurs most often, and its smallest number.
fn crowd(places: impl Iterator<Item = (u64, IpAddr)>) -> Option<(IpAddr, u64)> {
    let mut crowds: BTreeMap<IpAddr, (usize, u64)> = BTreeMap::new();
    for (number, place) in places {
        let (count, oldest) = crowds.entry(place).or_insert((0, number));
        *count = count.saturating_add(1);
        *oldest = number.min(*oldest);
    }
    let largest = crowds.into_iter().max_by_key(|(_, (count, oldest))| (*count, Reverse(*oldest)))?;
    Some((largest.0, largest.1.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(subnet: u8, host: u8) -> IpAddr {
        [127, 0, subnet, host].into()
    }

    #[test]
    fn the_oldest_of_the_most_crowded_machine_of_the_most_crowded_subnet_gives_way() {
        let mut table = HandshakesUnderWay::new(6);
        let from = [ip(1, 1), ip(2, 1), ip(2, 2), ip(2, 2), ip(3, 1), ip(3, 1)];
        for (number, from) in (0..).zip(from) {
            assert_eq!(table.begin(from), Begun { number, gives_way: None });
        }
        assert_eq!(table.begin(ip(4, 1)).gives_way, Some(2), "2 has three, of which two are of one machine");
        assert_eq!(table.begin(ip(4, 1)).gives_way, Some(1), "three subnets have two: the oldest");
        table.end(1);
        table.end(0);
        assert_eq!((table.begin(ip(5, 1)).gives_way, table.len()), (None, 6));
        assert_eq!((table.begun(), table.gave_way()), (9, 2));
        let mut table = HandshakesUnderWay::new(1);
        table.begin(ip(1, 1));
        assert_eq!(table.begin(ip(1, 1)), Begun { number: 1, gives_way: Some(0) }, "a newcomer never gives way itself");
    }

    proptest! {
        /// Whoever comes how often: one handshake among crowds is never broken off, and the bound holds.
        #[test]
        fn one_place_among_crowds_is_kept(
            events in proptest::collection::vec((0u8..3, 2u8..50, any::<bool>()), 0..2000),
            at in 0usize..500,
        ) {
            let mut table = HandshakesUnderWay::new(64);
            let mut honest = None;
            for (n, (subnet, host, ends)) in events.into_iter().enumerate() {
                if n == at {
                    honest = Some(table.begin(ip(9, 1)).number);
                }
                let begun = table.begin(ip(subnet, host));
                prop_assert!(begun.gives_way.is_none() || begun.gives_way != honest);
                prop_assert!(table.len() <= 64);
                if ends {
                    table.end(begun.number);
                }
            }
        }
    }
}
