use super::super::{BookConfig, SessionDecision};
use super::*;
use crate::EndReason;
use crate::addresses::{AddressBook, AddressClass, AddressRecord, RecordSource};
use crate::end_reason::SessionEnd;
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use timed_primitives::{Signature, UnixTime};
use uuid::Uuid;

fn key(id: u32) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&id.to_be_bytes());
    PublicKey(bytes)
}

fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000)
}

fn arrival(id: u32, subnet: u8, is_validator: bool) -> CompletedHandshake {
    CompletedHandshake {
        key: key(id),
        direction: Direction::Inbound,
        instance: Uuid::from_u128(1),
        is_validator,
        dialled: None,
        address: None,
        observed: Some([11, 0, subnet, (id % 250) as u8].into()),
    }
}

fn book(inbound_max: usize) -> PeerBook {
    PeerBook::new(BookConfig { inbound_max, outbound_max: 4, ..BookConfig::new(key(0), true) })
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

#[test]
fn who_brought_something_new_is_kept_and_the_most_crowded_group_gives_way() {
    let mut book = book(24);
    // Sixteen of one subnet, eight of others.
    for id in 1..=24 {
        let subnet = if id <= 16 { 1 } else { id as u8 };
        assert!(matches!(
            book.on_up(at(u64::from(id)), arrival(id, subnet, false), &mut rng()),
            SessionDecision::Keep { .. }
        ));
    }
    // 1..=4 by round trip, 13..=16 by use, 5..=8 by age: 9..=12 are the rest of the crowd, 17.. are alone.
    (1..=4).for_each(|id| book.on_measured(&key(id), u64::from(id), Duration::from_millis(1)));
    // Slow ones, and of use longer ago.
    (9..=12).for_each(|id| book.on_measured(&key(id), u64::from(id), Duration::from_millis(500)));
    (9..=12).for_each(|id| book.on_useful(at(50), &key(id)));
    (13..=16).for_each(|id| book.on_useful(at(100), &key(id)));
    for (newcomer, evicted) in [(100, 12), (101, 11), (102, 10), (103, 9)] {
        match book.on_up(at(200), arrival(newcomer, newcomer as u8, newcomer == 103), &mut rng()) {
            SessionDecision::Evict { victim, .. } => assert_eq!(victim, key(evicted)),
            other => panic!("{newcomer}: {other:?}"),
        }
    }
    let refused = book.on_up(at(201), arrival(104, 104, false), &mut rng());
    assert_eq!(
        refused,
        SessionDecision::Refuse { reason: EndReason::TooManyPeers },
        "the rest of the crowd is protected"
    );
    let same = book.on_up(at(201), arrival(105, 1, false), &mut rng());
    assert_eq!(same, SessionDecision::Refuse { reason: EndReason::TooManyPeers });
    assert!(
        matches!(book.on_up(at(202), arrival(106, 106, true), &mut rng()), SessionDecision::Evict { .. }),
        "a validator"
    );
    book.add_configured(at(203), "peer:1", Some(key(107)), false);
    assert!(
        matches!(book.on_up(at(203), arrival(107, 107, false), &mut rng()), SessionDecision::Evict { .. }),
        "a configured one"
    );
    assert_eq!(book.count(Direction::Inbound), 24);
}

#[test]
fn a_claim_to_be_a_validator_counts_while_it_is_one() {
    let mut book = book(1);
    let _ = book.on_up(at(0), arrival(1, 1, true), &mut rng());
    let _ = book.on_up(at(0), arrival(2, 2, false), &mut rng());
    for id in 10..30 {
        let refused = book.on_up(at(1), arrival(id, id as u8, true), &mut rng());
        assert_eq!(refused, SessionDecision::Refuse { reason: EndReason::TooManyPeers });
    }
    book.on_role(&key(1), false);
    assert_eq!(book.session(&key(1)).map(|s| s.is_validator), Some(false));
}

#[derive(Clone, Debug)]
enum Event {
    Up { id: u32, subnet: u8, role: u8 },
    Outbound { id: u32 },
    Down { id: u32 },
    Useful { id: u32 },
    Measured { id: u32, ms: u64 },
    Learned { id: u32 },
    Dials,
    Failed,
    Wait { seconds: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (1u32..200, 0u8..6, 0u8..10).prop_map(|(id, subnet, role)| Event::Up { id, subnet, role }),
        2 => (1u32..200).prop_map(|id| Event::Outbound { id }),
        3 => (1u32..200).prop_map(|id| Event::Down { id }),
        1 => (1u32..200).prop_map(|id| Event::Useful { id }),
        1 => (1u32..200, 1u64..500).prop_map(|(id, ms)| Event::Measured { id, ms }),
        2 => (200u32..2000).prop_map(|id| Event::Learned { id }),
        3 => Just(Event::Dials),
        2 => Just(Event::Failed),
        2 => (1u64..60).prop_map(|seconds| Event::Wait { seconds }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever happens in whatever order: no limit is passed, and whoever matters or is protected is never evicted.
    #[test]
    fn limits_hold_and_the_protected_stay(events in proptest::collection::vec(event(), 0..600), inbound_max in 1usize..40) {
        let (mut book, mut rng, mut now) = (book(inbound_max), rng(), at(0));
        let mut addresses = AddressBook::default();
        for id in 1..4 {
            book.add_configured(now, &format!("peer{id}:1"), Some(key(id)), false);
        }
        let (mut dialling, mut above): (Vec<crate::Dial>, usize) = (Vec::new(), 0);
        let unix = UnixTime(1_800_000_000_000);
        for event in events {
            match event {
                Event::Up { id, subnet, role } => {
                    let before = book.clone();
                    let decision = book.on_up(now, arrival(id, subnet, role == 0), &mut rng);
                    let was_ours = before.session(&key(id)).is_some_and(|s| s.direction == Direction::Outbound);
                    let plain = before.sessions().filter(|s| s.direction == Direction::Inbound && !s.is_validator && s.key.0[3] > 3);
                    let plain: Vec<&Session> = plain.collect();
                    let is_full = before.count(Direction::Inbound) >= inbound_max;
                    if was_ours && is_full && let SessionDecision::Replace { victim, .. } = decision {
                        prop_assert!(role == 0 || id <= 3, "only those who matter come in above the limit");
                        prop_assert!(victim.is_some() || plain.len() == protected(&plain).len(), "somebody could have given way");
                        above += usize::from(victim.is_none());
                    }
                    if let SessionDecision::Evict { victim, .. } | SessionDecision::Replace { victim: Some(victim), .. } = decision {
                        let gone = before.session(&victim).unwrap();
                        prop_assert!(plain.iter().any(|s| s.key == victim), "a validator or configured peer went");
                        prop_assert!(!protected(&plain).contains(&victim));
                        let crowd = |group| plain.iter().filter(|s| s.group() == group).count();
                        if role != 0 && id > 3 {
                            let own = Some(subnet_of([11, 0, subnet, 1].into()));
                            prop_assert!(crowd(gone.group()) > crowd(own) + 1 && crowd(gone.group()) > inbound_max / 8);
                        }
                    }
                }
                Event::Outbound { id } => {
                    // A dial that is under way may come to a session; nothing else makes an outbound one.
                    if let Some(at) = dialling.iter().position(|d| !d.is_feeler) {
                        let dial = dialling.swap_remove(at);
                        let key = dial.key.unwrap_or(key(id));
                        let outbound = CompletedHandshake { key, direction: Direction::Outbound, dialled: Some(dial.address), ..arrival(id, 9, false) };
                        let _ = book.on_up(now, outbound, &mut rng);
                    }
                }
                Event::Down { id } => {
                    if let Some(generation) = book.session(&key(id)).map(|s| s.generation) {
                        let _ = book.on_down(now, &key(id), generation, SessionEnd::theirs(EndReason::ConnectionClosed), &mut rng);
                    }
                }
                Event::Useful { id } => book.on_useful(now, &key(id)),
                Event::Measured { id, ms } => {
                    if let Some(generation) = book.session(&key(id)).map(|s| s.generation) {
                        book.on_measured(&key(id), generation, Duration::from_millis(ms));
                    }
                }
                Event::Learned { id } => {
                    let address = format!("11.{}.{}.1:7000", id / 250, id % 250);
                    let record = AddressRecord { key: key(id), address, time: unix, signature: Signature([0; 64]) };
                    let source = RecordSource { key: key(9999), ip: [12, 0, 0, 1].into() };
                    let _ = addresses.add(unix, record, source, AddressClass::Public);
                }
                Event::Dials => {
                    book.refill(now, &mut addresses, &mut rng);
                    dialling.extend(book.wants_dial(now, &mut rng));
                }
                Event::Failed => {
                    if let Some(dial) = dialling.pop() {
                        book.on_dial_failed(now, &dial.address, EndReason::DialFailed, &mut rng);
                    }
                }
                Event::Wait { seconds } => {
                    // Who dials gets the outcome within the time after which a dial counts as lost.
                    for dial in dialling.drain(..) {
                        book.on_dial_failed(now, &dial.address, EndReason::DialTimeout, &mut rng);
                    }
                    now += Duration::from_secs(seconds);
                }
            }
            prop_assert!(book.count(Direction::Inbound) <= inbound_max + above);
            prop_assert!(dialling.len() <= 8, "{} dials at once", dialling.len());
            let discovered = book.sessions().filter(|s| s.direction == Direction::Outbound && s.key.0[2..4] > [0, 3][..]).count();
            prop_assert!(discovered <= 4, "{discovered} outbound");
        }
    }

    /// One subnet with any number of keys: whoever comes from elsewhere and has a small group keeps his place, and newcomers get in.
    #[test]
    fn one_subnet_displaces_nobody_and_keeps_nobody_out(
        attackers_first: bool,
        honest in proptest::collection::vec((1u8..250, any::<bool>()), 1..20),
        attackers in 100u32..400,
    ) {
        let (mut book, mut rng) = (book(125), rng());
        let mut attack = |book: &mut PeerBook, now| {
            for id in 0..attackers {
                let _ = book.on_up(now, arrival(10_000 + id, 0, false), &mut rng);
            }
        };
        if attackers_first {
            attack(&mut book, at(0));
        }
        let mut up = Vec::new();
        for (n, (subnet, is_validator)) in (1u32..).zip(honest) {
            let decision = book.on_up(at(u64::from(n)), arrival(n, subnet, is_validator), &mut self::rng());
            prop_assert!(!matches!(decision, SessionDecision::Refuse { .. }), "{decision:?}");
            up.push(n);
        }
        attack(&mut book, at(1000));
        for n in up {
            prop_assert!(book.session(&key(n)).is_some(), "honest peer {n} was displaced");
        }
        prop_assert!(book.count(Direction::Inbound) <= 125);
    }
}
