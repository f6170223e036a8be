//! Transcripts of the relay.

use super::*;
use crate::{Receipt, Relay, RelayAction, RelayLimits};
use timed_primitives::TxFullId;

fn id(n: u16) -> TxFullId {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    TxFullId(Hash(bytes))
}

fn ms(n: u64) -> Instant {
    Instant(n * 1_000)
}

fn relay(peers: u64, limits: RelayLimits) -> Relay {
    let mut relay = Relay::new(limits);
    for n in 1..=peers {
        assert_eq!(relay.on_peer_up(peer(n), []), []);
    }
    relay
}

fn request(to: u64, ids: &[TxFullId]) -> RelayAction {
    RelayAction::Request { to: peer(to), ids: ids.to_vec() }
}

fn announce(to: u64, ids: &[TxFullId]) -> RelayAction {
    RelayAction::Announce { to: peer(to), ids: ids.to_vec() }
}

const NONE: fn(&TxFullId) -> bool = |_| false;

#[test]
fn many_announcers_one_request_then_the_next_after_half_a_second() {
    let mut relay = relay(3, RelayLimits::default());
    assert_eq!(relay.on_announce(ms(0), peer(1), &[id(1), id(2)], NONE), [request(1, &[id(1), id(2)])]);
    assert_eq!(relay.on_announce(ms(1), peer(2), &[id(1)], NONE), []);
    assert_eq!(relay.on_announce(ms(2), peer(3), &[id(1)], NONE), []);
    assert_eq!(relay.on_announce(ms(2), peer(2), &[id(1)], NONE), []);
    assert_eq!(relay.on_received(&peer(1), &id(2)), Receipt::Wanted);
    assert_eq!(relay.next_wake(), Some(ms(500)));
    assert_eq!(relay.on_wake(ms(499)), []);
    assert_eq!(relay.on_wake(ms(500)), [request(2, &[id(1)])]);
    assert_eq!(relay.on_wake(ms(1_000)), [request(3, &[id(1)])]);
    assert_eq!(relay.on_wake(ms(1_500)), []);
    let stats = relay.stats();
    assert_eq!((stats.wanted, stats.timed_out, stats.given_up, stats.requested), (0, 3, 1, 4));
    assert_eq!(relay.next_wake(), None);
    assert_eq!(relay.on_announce(ms(1_600), peer(1), &[id(1)], NONE), [request(1, &[id(1)])], "a new chance");
}

#[test]
fn a_late_answer_is_welcome_a_second_one_is_not() {
    let mut relay = relay(2, RelayLimits::default());
    let _ = relay.on_announce(ms(0), peer(1), &[id(1)], NONE);
    let _ = relay.on_announce(ms(0), peer(2), &[id(1)], NONE);
    assert_eq!(relay.on_received(&peer(2), &id(1)), Receipt::Unwanted, "not asked yet");
    let _ = relay.on_wake(ms(500));
    assert_eq!(relay.on_received(&peer(1), &id(1)), Receipt::Wanted);
    assert_eq!(relay.on_received(&peer(2), &id(1)), Receipt::Unwanted);
    assert_eq!(relay.next_wake(), None);
}

#[test]
fn what_is_known_is_not_asked_for() {
    let mut relay = relay(1, RelayLimits::default());
    assert_eq!(relay.on_announce(ms(0), peer(1), &[id(1), id(2)], |i| *i == id(1)), [request(1, &[id(2)])]);
    assert_eq!(relay.on_announce(ms(0), peer(9), &[id(3)], NONE), [], "not a connected peer");
}

#[test]
fn a_peer_that_goes_passes_its_requests_on() {
    let mut relay = relay(3, RelayLimits::default());
    let _ = relay.on_announce(ms(0), peer(1), &[id(1), id(2)], NONE);
    let _ = relay.on_announce(ms(0), peer(2), &[id(1)], NONE);
    let _ = relay.on_announce(ms(0), peer(3), &[id(1)], NONE);
    assert_eq!(relay.on_peer_down(ms(10), &peer(2)), []);
    assert_eq!(relay.on_peer_down(ms(20), &peer(1)), [request(3, &[id(1)])]);
    assert_eq!(relay.next_wake(), Some(ms(520)));
    assert_eq!(relay.on_peer_down(ms(30), &peer(3)), []);
    assert_eq!((relay.stats().wanted, relay.next_wake()), (0, None));
}

#[test]
fn announcements_leave_in_company_and_not_to_those_who_know() {
    let mut relay = relay(3, RelayLimits { announce_batch: 3, ..RelayLimits::default() });
    let _ = relay.on_announce(ms(0), peer(1), &[id(1)], NONE);
    assert_eq!(relay.on_admitted(ms(9), id(9), &[]), []);
    assert_eq!(relay.on_wake(ms(10)).len(), 3);
    assert_eq!(relay.on_admitted(ms(10), id(1), &[]), []);
    assert_eq!(relay.on_admitted(ms(11), id(2), &[]), []);
    assert_eq!(relay.next_wake(), Some(ms(13)));
    let full = relay.on_admitted(ms(12), id(3), &[]);
    assert_eq!(full.len(), 2);
    for n in [2, 3] {
        assert!(full.contains(&announce(n, &[id(1), id(2), id(3)])), "{full:?}");
    }
    assert_eq!(relay.on_wake(ms(13)), [announce(1, &[id(2), id(3)])]);
    assert_eq!(relay.on_admitted(ms(14), id(3), &[]), [], "announced to all");
    assert_eq!(relay.on_wake(ms(100)), []);
}

#[test]
fn the_first_after_a_quiet_time_is_announced_at_once_and_the_next_ones_gather() {
    let mut relay = relay(1, RelayLimits::default());
    assert_eq!(relay.on_admitted(ms(7), id(1), &[]), []);
    assert_eq!(relay.on_admitted(ms(7), id(2), &[]), []);
    assert_eq!(relay.next_wake(), Some(ms(7)));
    assert_eq!(relay.on_wake(ms(7)), [announce(1, &[id(1), id(2)])], "with what enters at the same moment");
    assert_eq!(relay.on_admitted(ms(8), id(3), &[]), []);
    assert_eq!(relay.on_admitted(ms(9), id(4), &[]), []);
    assert_eq!(relay.next_wake(), Some(ms(10)));
    assert_eq!(relay.on_wake(ms(9)), []);
    assert_eq!(relay.on_wake(ms(10)), [announce(1, &[id(3), id(4)])]);
    assert_eq!(relay.on_admitted(ms(12), id(5), &[]), []);
    assert_eq!(relay.on_wake(ms(12)), [], "two milliseconds are not quiet");
    assert_eq!(relay.on_wake(ms(13)), [announce(1, &[id(5)])]);
    assert_eq!(relay.on_admitted(ms(16), id(6), &[]), []);
    assert_eq!(relay.on_wake(ms(16)), [announce(1, &[id(6)])]);
}

#[test]
fn the_pool_is_announced_to_a_new_peer_in_messages_of_bounded_size() {
    let limits = RelayLimits { message_ids_max: 2, known_per_peer_max: 3, ..RelayLimits::default() };
    let mut relay = Relay::new(limits);
    let actions = relay.on_peer_up(peer(1), (0..9).map(id));
    assert_eq!(actions, [announce(1, &[id(0), id(1)]), announce(1, &[id(2)])]);
}

#[test]
fn bounds_on_what_a_peer_may_announce() {
    let limits = RelayLimits { wanted_per_peer_max: 2, wanted_max: 3, ..RelayLimits::default() };
    let mut relay = relay(2, limits);
    assert_eq!(relay.on_announce(ms(0), peer(1), &[id(1), id(2), id(3)], NONE), [request(1, &[id(1), id(2)])]);
    assert_eq!(relay.on_announce(ms(0), peer(2), &[id(4), id(5)], NONE), [request(2, &[id(4)])]);
    assert_eq!((relay.stats().wanted, relay.stats().ignored), (3, 2));
    assert_eq!(relay.on_received(&peer(1), &id(1)), Receipt::Wanted);
    assert_eq!(relay.on_announce(ms(0), peer(1), &[id(6)], NONE), [request(1, &[id(6)])]);
}

#[test]
fn a_child_before_its_parent_is_tried_again() {
    let mut relay = relay(1, RelayLimits { waiting_max: 2, ..RelayLimits::default() });
    let parent = spend(&[coin(0)], &[1, 2, 3]);
    let children: Vec<_> = (0..3).map(|n| spend(&[out(&parent, n)], &[1])).collect();
    for child in &children {
        relay.on_unknown_input(ms(0), peer(1), Arc::clone(child), child.facts.consumes[0]);
    }
    assert_eq!(relay.stats().waiting_for_parent, 2, "the oldest made room");
    assert_eq!(relay.on_announce(ms(0), peer(1), &[children[1].facts.full_id], NONE), [], "it is here");
    let mut retried = relay.on_available(&parent.facts.produces);
    retried.sort_by_key(|action| match action {
        RelayAction::Retry { transaction, .. } => transaction.facts.consumes[0].index,
        other => panic!("{other:?}"),
    });
    let retry = |n: usize| RelayAction::Retry { from: peer(1), transaction: Arc::clone(&children[n]) };
    assert_eq!(retried, [retry(1), retry(2)]);
    assert_eq!(relay.on_available(&parent.facts.produces), []);

    relay.on_unknown_input(ms(0), peer(1), Arc::clone(&children[0]), out(&parent, 0));
    assert_eq!(relay.next_wake(), Some(ms(10_000)));
    assert_eq!(relay.on_wake(ms(10_000)), []);
    assert_eq!((relay.stats().waiting_for_parent, relay.next_wake()), (0, None));
}

#[test]
fn what_there_is_no_room_for_is_asked_for_later_oldest_first() {
    let mut relay = relay(2, RelayLimits::default());
    relay.set_room(2);
    assert_eq!(
        relay.on_announce(ms(0), peer(1), &[id(9), id(8), id(7), id(6), id(5)], NONE),
        [request(1, &[id(9), id(8)])]
    );
    assert_eq!(relay.on_announce(ms(1), peer(2), &[id(7), id(6)], NONE), []);
    assert_eq!((relay.stats().wanted, relay.stats().put_off, relay.has_put_off()), (2, 3, false));
    assert_eq!(relay.on_room(ms(2), NONE), [], "no room");
    assert_eq!(relay.on_received(&peer(1), &id(7)), Receipt::Unwanted, "nobody was asked for it");
    assert_eq!(relay.on_received(&peer(1), &id(9)), Receipt::Wanted);
    assert!(relay.has_put_off());
    assert_eq!(relay.on_room(ms(3), |i| *i == id(7)), [request(1, &[id(6)])], "one came in a block meanwhile");
    // The announcer goes: what only he had is forgotten, the rest is asked from the other.
    assert_eq!(relay.on_peer_down(ms(4), &peer(1)), [request(2, &[id(6)])]);
    assert_eq!((relay.stats().wanted, relay.stats().put_off), (1, 0));
    // A request that nobody answers gives its place away.
    assert_eq!(relay.on_announce(ms(5), peer(2), &[id(4), id(3)], NONE), [request(2, &[id(4)])]);
    assert_eq!(relay.on_wake(ms(505)), []);
    assert_eq!(relay.on_room(ms(505), NONE), [request(2, &[id(3)])]);
    relay.set_room(0);
    assert_eq!(relay.on_announce(ms(506), peer(2), &[id(2)], NONE), []);
    assert_eq!(relay.on_admitted(ms(507), id(2), &[]), [], "it came from a client");
    assert_eq!(relay.stats().put_off, 0);
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn double_relay() {
        assert!(is_caught(Bug::DoubleRelay, announcements_leave_in_company_and_not_to_those_who_know));
    }
}
