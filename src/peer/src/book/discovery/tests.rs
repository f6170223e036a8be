use super::super::{BookConfig, CompletedHandshake, Dial, SessionDecision};
use super::*;
use crate::addresses::{AddressClass, RecordSource};
use crate::{Direction, EndReason};
use rand::{SeedableRng, rngs::StdRng};
use timed_primitives::{PublicKey, Signature, UnixTime};
use uuid::Uuid;

const UNIX: UnixTime = UnixTime(1_800_000_000_000);

fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000)
}

fn key(id: u32) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&id.to_be_bytes());
    PublicKey(bytes)
}

/// Somebody sends the record of a node in a subnet of its own.
fn learn(addresses: &mut AddressBook, id: u32, address: &str) {
    let record = AddressRecord { key: key(id), address: address.into(), time: UNIX, signature: Signature([0; 64]) };
    let source = RecordSource { key: key(100_000 + id), ip: [12, 0, (id % 250) as u8, 1].into() };
    addresses.add(UNIX, record, source, AddressClass::of_address(address).unwrap()).unwrap();
}

fn home(id: u32) -> String {
    format!("11.{}.{}.1:7000", id / 250, id % 250)
}

/// A node with an address book; which others answer is the test's.
struct Scene {
    book: PeerBook,
    addresses: AddressBook,
    rng: StdRng,
    dials: Vec<(Instant, Dial)>,
}

impl Scene {
    fn new(outbound_max: usize) -> Self {
        let book = PeerBook::new(BookConfig { outbound_max, ..BookConfig::new(key(1), true) });
        Self { book, addresses: AddressBook::default(), rng: StdRng::seed_from_u64(7), dials: Vec::new() }
    }

    /// Does what the book wants until this time; those who answer stay.
    fn run(&mut self, from: Instant, until: Instant, answers: impl Fn(&Dial) -> bool) {
        let mut now = from;
        while now <= until {
            self.book.refill(now, &mut self.addresses, &mut self.rng);
            for dial in self.book.wants_dial(now, &mut self.rng) {
                self.dials.push((now, dial.clone()));
                if !answers(&dial) {
                    self.book.on_dial_failed(now, &dial.address, EndReason::DialFailed, &mut self.rng);
                } else if let Some(key) = dial.key {
                    self.addresses.on_reached(UNIX, &key, &[&dial.address], false);
                    if dial.is_feeler {
                        self.book.on_tested(&dial.address);
                        assert_eq!(self.book.feelers.dialling(), 0, "it is over at once");
                    } else {
                        self.up(now, key, &dial.address);
                    }
                }
            }
            let wake = self.book.next_wake().unwrap_or(until + Duration::from_secs(1));
            now = wake.max(now + Duration::from_millis(1));
        }
    }

    fn up(&mut self, now: Instant, key: PublicKey, address: &str) {
        let arrival = CompletedHandshake {
            key,
            direction: Direction::Outbound,
            instance: Uuid::from_u128(1),
            is_validator: false,
            dialled: Some(address.into()),
            address: None,
            observed: None,
        };
        assert!(matches!(self.book.on_up(now, arrival, &mut self.rng), SessionDecision::Keep { .. }));
    }

    fn dials(&self, is_meant: impl Fn(&Dial) -> bool) -> usize {
        self.dials.iter().filter(|(_, dial)| is_meant(dial)).count()
    }
}

#[test]
fn a_small_network_is_found_at_once_and_nobody_is_dialled_when_the_places_are_taken() {
    let mut scene = Scene::new(16);
    (10..16).for_each(|id| learn(&mut scene.addresses, id, &home(id)));
    scene.run(at(0), at(1), |_| true);
    assert_eq!((scene.dials.len(), scene.book.count(Direction::Outbound)), (6, 6));
    let mut scene = Scene::new(4);
    (10..60).for_each(|id| learn(&mut scene.addresses, id, &home(id)));
    scene.run(at(0), at(60), |_| true);
    assert_eq!((scene.dials.len(), scene.book.count(Direction::Outbound)), (4, 4));
}

#[test]
fn dead_addresses_cost_few_dials_and_an_honest_node_among_them_is_met() {
    let mut scene = Scene::new(16);
    (0..500).for_each(|id| learn(&mut scene.addresses, 1000 + id, &home(1000 + id)));
    learn(&mut scene.addresses, 10, &home(10));
    scene.run(at(0), at(660), |dial| dial.key == Some(key(10)));
    // 16 at once, and 132 in eleven minutes.
    assert!(scene.dials.len() <= 16 + 132 + 1, "{} dials", scene.dials.len());
    assert_eq!(scene.book.count(Direction::Outbound), 1);
}

#[test]
fn nobody_is_hammered_because_others_send_his_address() {
    for victim in [|n: u32| format!("11.7.7.7:{}", 1 + n), |n: u32| format!("11.7.7.{}:7000", 1 + n % 250)] {
        let mut scene = Scene::new(16);
        for round in 0..6 {
            (0..250).for_each(|n| {
                let record = (1000 + 250 * round + n, victim(250 * round + n));
                learn(&mut scene.addresses, record.0, &record.1);
            });
            scene.run(at(600 * u64::from(round)), at(600 * u64::from(round) + 599), |_| false);
        }
        let dials = scene.dials.len();
        assert!(dials <= 16 + 120, "{dials} dials in an hour");
    }
    // Others are found meanwhile.
    let mut scene = Scene::new(16);
    (0..250).for_each(|n| learn(&mut scene.addresses, 1000 + n, &format!("11.7.7.7:{}", 1 + n)));
    (10..14).for_each(|id| learn(&mut scene.addresses, id, &home(id)));
    scene.run(at(0), at(300), |dial| !dial.address.starts_with("11.7.7.7"));
    assert_eq!(scene.book.count(Direction::Outbound), 4);
}

#[test]
fn configured_peers_and_tried_validators_do_not_wait_for_hearsay() {
    let mut scene = Scene::new(16);
    (0..500).for_each(|id| learn(&mut scene.addresses, 1000 + id, &home(1000 + id)));
    // All tokens are gone.
    scene.run(at(0), at(60), |_| false);
    let before = scene.dials.len();
    learn(&mut scene.addresses, 10, &home(10));
    scene.addresses.on_reached(UNIX, &key(10), &[&home(10)], true);
    scene.book.add_configured(at(61), "peer:1", None, false);
    scene.run(at(61), at(61), |_| false);
    let next: Vec<_> = scene.dials[before..].iter().map(|(_, dial)| dial.address.clone()).take(2).collect();
    assert_eq!(next, ["peer:1".to_owned(), home(10)]);
}

#[test]
fn with_all_places_taken_a_feeler_every_two_minutes_finds_out_who_is_there() {
    let mut scene = Scene::new(4);
    (10..14).for_each(|id| learn(&mut scene.addresses, id, &home(id)));
    scene.run(at(0), at(1), |_| true);
    (100..140).for_each(|id| learn(&mut scene.addresses, id, &home(id)));
    let mut answers = scene.addresses.clone();
    scene.run(at(2), at(3600), |dial| dial.key.is_some_and(|key| key.0[3] % 2 == 0));
    assert!(scene.dials.iter().skip(4).all(|(_, dial)| dial.is_feeler));
    let feelers = scene.dials(|dial| dial.is_feeler);
    assert!((24..=40).contains(&feelers), "{feelers} feelers in an hour");
    assert_eq!(scene.book.count(Direction::Outbound), 4, "a feeler is no session");
    assert!(scene.addresses.count(AddressClass::Public, true) >= 10);
    assert_eq!(scene.book.targets().count(), 4, "and leaves no target");
    // It ends also when nobody reports.
    scene.addresses = std::mem::take(&mut answers);
    let mut lost = Vec::new();
    for second in 3601..7200 {
        scene.book.refill(at(second), &mut scene.addresses, &mut scene.rng);
        lost.extend(scene.book.wants_dial(at(second), &mut scene.rng));
    }
    assert!(lost.len() >= 20, "{}", lost.len());
}

#[test]
fn with_half_of_the_places_taken_there_is_no_hurry() {
    let mut scene = Scene::new(16);
    (10..18).for_each(|id| learn(&mut scene.addresses, id, &home(id)));
    scene.run(at(0), at(1), |_| true);
    assert_eq!(scene.book.count(Direction::Outbound), 8);
    (0..500).for_each(|id| learn(&mut scene.addresses, 1000 + id, &home(1000 + id)));
    scene.run(at(3600), at(4200), |_| false);
    let dials = scene.dials.len() - 8;
    assert!((20..=23).contains(&dials), "{dials} dials in ten minutes: 2 at once, and one in 30 s");
}

#[test]
fn a_feeler_pays_for_its_place_and_does_not_visit_who_is_connected() {
    let mut scene = Scene::new(0);
    learn(&mut scene.addresses, 10, &home(10));
    scene.run(at(0), at(150), |_| true);
    let (felt_at, dial) = scene.dials.pop().unwrap();
    assert!(dial.is_feeler && scene.dials.is_empty());
    let left = (0..20).filter(|_| scene.book.pace.take_place(felt_at, &dial.address)).count();
    assert_eq!(left, 7, "of eight dials to one machine");
    // Another node, which dialled us from where it cannot be reached.
    learn(&mut scene.addresses, 11, &home(11));
    let inbound = CompletedHandshake {
        key: key(11),
        direction: Direction::Inbound,
        instance: Uuid::from_u128(1),
        is_validator: false,
        dialled: None,
        address: None,
        observed: None,
    };
    assert!(matches!(scene.book.on_up(at(151), inbound, &mut scene.rng), SessionDecision::Keep { .. }));
    scene.run(at(151), at(1000), |_| true);
    assert!(scene.dials.is_empty(), "{:?}", scene.dials);
}
