use super::*;
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use timed_primitives::{SecretKey, Signature};

const NOW: UnixTime = UnixTime(1_800_000_000_000);

fn at(seconds: u64) -> Instant {
    Instant(seconds * 1_000_000)
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn key(n: u32) -> PublicKey {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&n.to_be_bytes());
    PublicKey(key)
}

/// A record that was never signed: the book takes decoded records and does not look again.
fn record(n: u32, address: &str, time: UnixTime) -> AddressRecord {
    AddressRecord { key: key(n), address: address.into(), time, signature: Signature([0; 64]) }
}

/// The nth address of the internet, each in a subnet of its own.
fn public(n: u32) -> String {
    format!("{}.{}.{}.1:7000", 11 + n / 62_500, n / 250 % 250, n % 250)
}

fn source(subnet: u32, id: u32) -> RecordSource {
    let ip = IpAddr::from([12, (subnet / 250) as u8, (subnet % 250) as u8, (id % 250) as u8]);
    RecordSource { key: key(1_000_000 + 1000 * subnet + id), ip }
}

fn learn(book: &mut AddressBook, n: u32, by: RecordSource) -> Result<Added, AddressRecordError> {
    book.add(NOW, record(n, &public(n), NOW), by, AddressClass::Public)
}

fn reached(book: &mut AddressBook, n: u32, after_s: u64) {
    book.on_reached(NOW.plus(Duration::from_secs(after_s)), &key(n), &[&public(n)], false);
}

fn knows(book: &AddressBook, n: u32) -> bool {
    book.records().any(|r| r.key == key(n))
}

fn is_tried(book: &AddressBook, n: u32) -> bool {
    book.kept().any(|k| k.record.key == key(n) && k.reached.is_some())
}

#[test]
fn records_stay_within_their_class() {
    let mut book = AddressBook::default();
    let mut add = |n, address: &str, class| book.add(NOW, record(n, address, NOW), source(1, 1), class);
    assert_eq!(add(1, "8.8.8.8:7000", AddressClass::Public), Ok(Added::Fresh));
    assert_eq!(add(2, "10.0.0.2:7000", AddressClass::Private), Ok(Added::Fresh));
    let refused = add(3, "127.0.0.1:7000", AddressClass::Public).unwrap_err();
    assert_eq!(
        refused,
        AddressRecordError::Class { record: AddressClass::Loopback, source_class: AddressClass::Public }
    );
    assert!(add(3, "10.0.0.3:7000", AddressClass::Public).is_err());
    let answered: Vec<_> = book.answer(NOW, AddressClass::Public, &mut rng()).into_iter().map(|r| r.address).collect();
    assert_eq!(answered, ["8.8.8.8:7000"]);
    assert!(book.answer(NOW, AddressClass::Loopback, &mut rng()).is_empty());
}

#[test]
fn newer_replaces_older_and_strange_times_are_refused() {
    let mut book = AddressBook::default();
    let mut add = |address, time| book.add(NOW, record(1, address, time), source(1, 1), AddressClass::Public);
    let minute = Duration::from_secs(60);
    assert_eq!(add("8.8.8.8:7000", NOW), Ok(Added::Fresh));
    assert_eq!(add("8.8.8.8:7001", NOW), Ok(Added::Known), "same time: the first stays");
    assert_eq!(add("8.8.8.8:7002", UnixTime(NOW.0 - 1)), Ok(Added::Known));
    assert_eq!(
        add("8.8.8.8:7003", NOW.plus(minute - Duration::from_millis(1))),
        Ok(Added::Newer),
        "it moves too often"
    );
    assert_eq!(add("8.8.8.8:7003", NOW.plus(minute)), Ok(Added::Newer), "it says the same again");
    assert_eq!(add("8.8.8.8:7006", NOW.plus(minute * 2)), Ok(Added::Moved));
    let future = NOW.plus(minute * 11);
    assert_eq!(add("8.8.8.8:7004", future), Err(AddressRecordError::Time { time: future, now: NOW }));
    let old = UnixTime(NOW.0 - 31 * 24 * 3_600_000);
    assert_eq!(add("8.8.8.8:7005", old), Err(AddressRecordError::Time { time: old, now: NOW }));
    assert_eq!(book.records().map(|r| &r.address[..]).collect::<Vec<_>>(), ["8.8.8.8:7006"]);
    let much_later = NOW.plus(minute * 60 * 24 * 40);
    assert!(book.answer(much_later, AddressClass::Public, &mut rng()).is_empty());
}

#[test]
fn a_record_is_tried_after_a_handshake_with_its_key_at_its_address_and_no_sooner() {
    let mut book = AddressBook::default();
    learn(&mut book, 1, source(1, 1)).unwrap();
    book.on_reached(NOW, &key(2), &[&public(1)], false);
    book.on_reached(NOW, &key(1), &["11.0.9.9:7000"], false);
    assert!(!is_tried(&book, 1), "another key, another address");
    reached(&mut book, 1, 0);
    assert!(is_tried(&book, 1));
    let later = NOW.plus(Duration::from_secs(9));
    let add = |book: &mut AddressBook, address: &str, time| {
        book.add(later, record(1, address, time), source(9, 9), AddressClass::Public)
    };
    assert_eq!(add(&mut book, &public(1), NOW.plus(Duration::from_secs(1))), Ok(Added::Newer));
    assert!(is_tried(&book, 1), "said again");
    assert_eq!(add(&mut book, "11.0.9.9:7000", later), Ok(Added::Newer));
    assert!(!is_tried(&book, 1), "it moved: nobody was there yet");
}

#[test]
fn sources_and_their_subnets_are_bounded_and_classes_do_not_crowd_each_other_out() {
    let mut book = AddressBook::default();
    // Of another class, and sent before all others by the subnet that sends most.
    let lan = record(9_000_000, "10.0.0.1:7000", NOW);
    book.add(NOW, lan, source(1, 9), AddressClass::Private).unwrap();
    let mut learn_all = |range: std::ops::Range<u32>, by| range.filter(|n| learn(&mut book, *n, by).is_ok()).count();
    assert_eq!(learn_all(0..400, source(1, 1)), RECORDS_PER_SOURCE_MAX);
    assert_eq!(learn_all(1000..1400, source(1, 2)), RECORDS_PER_SOURCE_SUBNET_MAX - RECORDS_PER_SOURCE_MAX);
    assert_eq!(learn_all(2000..2400, source(1, 3)), 0, "keys cost nothing, subnets do");
    assert_eq!(learn_all(2000..2001, source(2, 1)), 1);
    // What one subnet sent gives way first, and other classes stay as they are.
    for subnet in 3..30 {
        for n in 0..100 {
            learn(&mut book, 10_000 + 1000 * subnet + n, source(subnet, 1)).unwrap();
        }
    }
    assert_eq!(book.count(AddressClass::Public, false), UNTRIED_MAX);
    assert!(!knows(&book, 0) && knows(&book, 2000), "the first of those who sent most are gone");
    assert_eq!(book.count(AddressClass::Private, false), 1);
    // What turned out to be true does not count against who sent it.
    let mut book = AddressBook::default();
    let learn_all = |book: &mut AddressBook, range: std::ops::Range<u32>| {
        range.filter(|n| learn(book, *n, source(1, 1)).is_ok()).count()
    };
    learn_all(&mut book, 0..400);
    (0..10).for_each(|n| reached(&mut book, n, 0));
    assert_eq!(learn_all(&mut book, 1000..1400), 10);
}

#[test]
fn hearsay_never_displaces_a_tried_record_and_a_full_tried_part_lets_the_oldest_go() {
    let mut book = AddressBook::default();
    // Of another class, and reached before all others.
    book.add(NOW, record(9_000_000, "10.0.0.1:7000", NOW), source(1, 9), AddressClass::Private).unwrap();
    book.on_reached(NOW, &key(9_000_000), &["10.0.0.1:7000"], false);
    let most = TRIED_MAX as u32;
    for n in 0..=most {
        // By those who send most later.
        learn(&mut book, n, source(5_000 + n % 100, 900)).unwrap();
        reached(&mut book, n, u64::from(n));
    }
    assert_eq!((book.count(AddressClass::Public, true), book.count(AddressClass::Public, false)), (TRIED_MAX, 1));
    assert!(!is_tried(&book, 0) && knows(&book, 0), "reached longest ago: untried again, not forgotten");
    for n in 0..5000 {
        let _ = learn(&mut book, 10_000 + n, source(5_000 + n % 100, n));
    }
    assert_eq!(
        (book.count(AddressClass::Public, true), book.count(AddressClass::Public, false)),
        (TRIED_MAX, UNTRIED_MAX)
    );
    assert!((1..=most).all(|n| is_tried(&book, n)) && is_tried(&book, 9_000_000));
    // One subnet of the internet has few tried places, whatever its size.
    let mut book = AddressBook::default();
    for n in 0..200 {
        let address = format!("11.1.1.{n}:7000");
        book.add(NOW, record(n, &address, NOW), source(n, 1), AddressClass::Public).unwrap();
        book.on_reached(NOW.plus(Duration::from_secs(u64::from(n))), &key(n), &[&address], n == 0);
    }
    assert_eq!(book.count(AddressClass::Public, true), TRIED_PER_SUBNET_MAX);
    assert!(is_tried(&book, 0) && is_tried(&book, 199) && !is_tried(&book, 100), "a validator goes last");
    // A private network often is one subnet.
    let mut book = AddressBook::default();
    for n in 0..200 {
        let address = format!("10.1.1.{n}:7000");
        book.add(NOW, record(n, &address, NOW), source(n, 1), AddressClass::Private).unwrap();
        book.on_reached(NOW, &key(n), &[&address], false);
    }
    assert_eq!(book.count(AddressClass::Private, true), 200);
}

#[test]
fn validators_are_drawn_first_then_tried_ones_and_among_the_rest_no_subnet_is_louder() {
    let (mut book, mut rng) = (AddressBook::default(), rng());
    for n in 0..200 {
        learn(&mut book, n, source(1, 1)).unwrap();
    }
    learn(&mut book, 500, source(2, 1)).unwrap();
    for (n, is_validator) in [(1, false), (2, true)] {
        book.on_reached(NOW, &key(n), &[&public(n)], is_validator);
    }
    let mut draw =
        |book: &mut AddressBook, want| book.draw(at(0), want, |_| true, &mut rng).map(|c| (c.key, c.is_tried));
    assert_eq!(draw(&mut book, CandidateKind::Tried), Some((key(2), true)));
    assert_eq!(draw(&mut book, CandidateKind::Tried), Some((key(1), true)));
    assert_eq!(draw(&mut book, CandidateKind::Tried), None, "both were drawn just now");
    let shy = (0..200).filter(|_| {
        let mut book = book.clone();
        draw(&mut book, CandidateKind::Untried) == Some((key(500), false))
    });
    let shy = shy.count();
    assert!((60..140).contains(&shy), "{shy} of 200 draws: one record has the chance of 198");
    assert_eq!(book.draw(at(0), CandidateKind::Untried, |r| r.key == key(7), &mut rng).unwrap().key, key(7));
    assert_eq!(book.draw(at(0), CandidateKind::Untried, |_| false, &mut rng), None);
}

#[test]
fn attempts_without_an_answer_are_far_apart_and_end() {
    let (mut book, mut rng) = (AddressBook::default(), rng());
    learn(&mut book, 1, source(1, 1)).unwrap();
    learn(&mut book, 2, source(1, 1)).unwrap();
    reached(&mut book, 2, 0);
    let mut drawn: BTreeMap<PublicKey, Vec<u64>> = BTreeMap::new();
    for minute in 0..24 * 60 {
        for want in [CandidateKind::Tried, CandidateKind::Untried] {
            while let Some(candidate) = book.draw(at(60 * minute), want, |_| true, &mut rng) {
                drawn.entry(candidate.key).or_default().push(minute);
            }
        }
    }
    assert_eq!(drawn[&key(1)], [0, 2, 6], "then forgotten");
    let tried = &drawn[&key(2)];
    assert_eq!((tried[..5].to_vec(), tried.len()), (vec![0, 2, 6, 14, 30], 13), "ten, and three as an untried one");
    assert!(book.is_empty());
    // One that is tried no more takes the place of an untried one where these are as many as may be.
    learn(&mut book, 1, source(0, 1)).unwrap();
    reached(&mut book, 1, 0);
    for n in 0..2 * UNTRIED_MAX as u32 {
        learn(&mut book, 10_000 + n, source(1 + n % 100, n)).unwrap();
    }
    for hours in 1..=u64::from(TRIED_ATTEMPTS_MAX) {
        assert!(
            is_tried(&book, 1) && book.draw(at(36_000 * hours), CandidateKind::Tried, |_| true, &mut rng).is_some()
        );
    }
    assert!(knows(&book, 1) && !is_tried(&book, 1));
    assert_eq!(book.count(AddressClass::Public, false), UNTRIED_MAX);
}

#[test]
fn what_is_kept_comes_back_as_it_was_within_the_bounds() {
    let mut book = AddressBook::default();
    for n in 0..20 {
        learn(&mut book, n, source(n % 3, n)).unwrap();
    }
    reached(&mut book, 3, 60);
    book.on_reached(NOW, &key(4), &[&public(4)], true);
    let kept: Vec<_> = book.kept().collect();
    let restored = |now: UnixTime, kept: &[KeptAddress]| {
        let mut book = AddressBook::default();
        kept.iter().for_each(|k| book.restore(now, k.clone()));
        book
    };
    let later = NOW.plus(Duration::from_secs(3600));
    assert_eq!(restored(later, &kept).kept().collect::<Vec<_>>(), kept);
    let doubled = [kept.clone(), kept.clone()].concat();
    assert_eq!(restored(later, &doubled).len(), 20);
    let month = NOW.plus(Duration::from_secs(31 * 24 * 3600));
    assert!(restored(month, &kept).is_empty(), "nobody heard of them for a month");
    let from_the_future: Vec<_> = kept.iter().cloned().map(|k| KeptAddress { reached: Some(month), ..k }).collect();
    assert!(restored(NOW, &from_the_future).kept().all(|k| k.reached == Some(NOW)));
    let loud: Vec<_> = (0..5000)
        .map(|n| KeptAddress {
            record: record(n, &public(n), NOW),
            source: source(1, 1),
            reached: None,
            is_validator: false,
        })
        .collect();
    assert_eq!(restored(NOW, &loud).len(), RECORDS_PER_SOURCE_MAX);
}

#[derive(Clone, Debug)]
enum Event {
    Learned(u32, u32, u32, u64),
    Reached(u32, u64),
    Drawn(u64),
    Removed(u32),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (0u32..4000, 0u32..40, 0u32..3, 0u64..100).prop_map(|(n, subnet, id, age)| Event::Learned(n, subnet, id, age)),
        3 => (0u32..4000, 0u64..1000).prop_map(|(n, s)| Event::Reached(n, s)),
        1 => (0u64..100_000).prop_map(Event::Drawn),
        1 => (0u32..4000).prop_map(Event::Removed),
    ];
    proptest::collection::vec(event, 0..3000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_bounds_hold_whatever_comes_and_hearsay_takes_no_tried_place(events in events(), is_lan: bool) {
        let mut book = AddressBook::default();
        let mut rng = rng();
        let class = if is_lan { AddressClass::Private } else { AddressClass::Public };
        // Few addresses, so that bounds by their own subnet are met.
        let address = |n: u32| if is_lan { format!("10.0.0.{}:{}", n % 8, 1 + n) } else { format!("11.0.{}.7:{}", n % 8, 1 + n) };
        for event in events {
            let tried_before: Vec<_> = book.kept().filter(|k| k.reached.is_some()).map(|k| k.record.key).collect();
            match event {
                Event::Learned(n, subnet, id, age) => {
                    let record = record(n, &address(n), UnixTime(NOW.0 - age));
                    let _ = book.add(NOW, record, source(subnet, id), class);
                    let still = book.kept().filter(|k| k.reached.is_some()).count();
                    prop_assert_eq!(still, tried_before.len());
                }
                Event::Reached(n, s) => book.on_reached(NOW.plus(Duration::from_secs(s)), &key(n), &[&address(n)], n % 50 == 0),
                Event::Drawn(s) => {
                    let want = if s % 2 == 0 { CandidateKind::Tried } else { CandidateKind::Untried };
                    let _ = book.draw(at(s), want, |_| true, &mut rng);
                }
                Event::Removed(n) => book.remove(&key(n)),
            }
            prop_assert!(book.count(class, false) <= UNTRIED_MAX && book.count(class, true) <= TRIED_MAX);
            let mut by_source: BTreeMap<PublicKey, usize> = BTreeMap::new();
            let mut by_subnet: BTreeMap<Option<IpAddr>, usize> = BTreeMap::new();
            for kept in book.kept() {
                if kept.reached.is_some() {
                    *by_subnet.entry(ip_of(&kept.record.address).map(subnet_of)).or_default() += 1;
                } else {
                    *by_source.entry(kept.source.key).or_default() += 1;
                }
            }
            prop_assert!(is_lan || by_subnet.values().all(|n| *n <= TRIED_PER_SUBNET_MAX));
            // Those that were tried and are no more come on top of what their source may send.
            prop_assert!(by_source.values().all(|n| *n <= RECORDS_PER_SOURCE_MAX + TRIED_MAX));
        }
    }
}

#[test]
fn a_signed_record_survives_keeping() {
    let secret = SecretKey::development("node", 1);
    let signed = AddressRecord::sign(&secret, timed_primitives::ChainId(9), "8.8.8.8:7000", NOW).unwrap();
    let mut book = AddressBook::default();
    book.add(NOW, signed.clone(), source(1, 1), AddressClass::Public).unwrap();
    assert_eq!(book.kept().next().unwrap().record, signed);
}
