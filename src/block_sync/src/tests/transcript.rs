//! Transcripts.

use super::*;
use crate::{BlockDelivery, Stall};
use timed_primitives::{BlockId, Hash};

/// A small block arrives.
fn block(sync: &mut Sync, now: Instant, from: u8, request: u64, height: u64) -> Vec<SyncAction<u64>> {
    sync.on_block(now, peer(from), request, Height(height), 1_000, height)
}

fn status(sync: &mut Sync, now: Instant, from: u8, height: u64) -> Vec<SyncAction<u64>> {
    sync.on_status(now, peer(from), Height(height), Height(1))
}

#[test]
fn a_window_over_two_peers_is_handed_on_in_order() {
    let mut sync = sync(0);
    let asked = requests(&status(&mut sync, ms(0), 1, 40));
    assert_eq!(asked, [(peer(1), 1, 1, 8), (peer(1), 2, 9, 8)], "two requests of the first size");
    assert!(sync.leads());
    let asked = requests(&status(&mut sync, ms(0), 2, 40));
    assert_eq!(asked, [(peer(2), 3, 17, 8), (peer(2), 4, 25, 8)]);

    for height in 17..25 {
        let actions = block(&mut sync, ms(10), 2, 3, height);
        assert_eq!(delivered(&actions), [], "block 1 is missing");
        let expected: &[_] = if height == 24 { &[(peer(2), 5, 33, 8)] } else { &[] };
        assert_eq!(requests(&actions), expected, "a slot is free again");
    }
    assert_eq!(delivered(&block(&mut sync, ms(20), 1, 1, 1)), [1]);
    for height in 2..9 {
        assert_eq!(delivered(&block(&mut sync, ms(20), 1, 1, height)), [], "one batch at a time");
    }
    let actions = sync.on_committed(ms(30), Height(1));
    assert_eq!(delivered(&actions), [2, 3, 4, 5, 6, 7, 8]);
    let Some(SyncAction::Deliver { first, items }) = actions.into_iter().next() else { panic!("nothing handed on") };
    assert_eq!((first, &items[0]), (Height(2), &BlockDelivery { height: Height(2), from: peer(1), item: 2 }));
    for height in 9..17 {
        let _ = block(&mut sync, ms(40), 1, 2, height);
    }
    assert_eq!(delivered(&sync.on_committed(ms(50), Height(8))), (9..25).collect::<Vec<_>>());
}

#[test]
fn a_late_request_goes_to_another_and_a_late_answer_is_welcome() {
    let mut sync = sync(0);
    assert_eq!(requests(&status(&mut sync, ms(0), 1, 3)), [(peer(1), 1, 1, 3)]);
    assert_eq!(requests(&status(&mut sync, ms(0), 2, 3)), [], "all is in flight");
    assert_eq!(sync.next_wake(), Some(ms(1_000)));
    assert_eq!(sync.on_tick(ms(1_000)), []);
    assert_eq!(sync.next_wake(), Some(ms(2_000)));
    assert_eq!(requests(&sync.on_tick(ms(2_000))), [(peer(2), 2, 1, 3)]);
    assert_eq!(sync.stats().timed_out, 1);
    assert!(sync.is_expected(&peer(1), 1, Height(1)));
    assert_eq!(delivered(&block(&mut sync, ms(2_100), 1, 1, 1)), [1]);
    assert!(!sync.is_expected(&peer(2), 2, Height(1)), "it is here");
    assert_eq!(block(&mut sync, ms(2_200), 2, 2, 1), []);
    let _ = block(&mut sync, ms(2_200), 2, 2, 2);
    let _ = block(&mut sync, ms(2_200), 2, 2, 3);
    assert_eq!(delivered(&sync.on_committed(ms(2_300), Height(1))), [2, 3]);
    assert_eq!(sync.on_committed(ms(2_400), Height(3)), []);
    assert_eq!((sync.stats().received, sync.stats().unwanted, sync.next_wake()), (3, 1, None));
}

#[test]
fn an_empty_end_goes_to_another_a_short_one_is_no_failure() {
    let mut sync = sync(0);
    let _ = status(&mut sync, ms(0), 1, 8);
    assert_eq!(requests(&sync.on_end(ms(1), &peer(2), 1)), [], "not its request");
    assert_eq!(requests(&status(&mut sync, ms(0), 2, 8)), []);
    assert_eq!(requests(&sync.on_end(ms(1), &peer(1), 1)), [(peer(2), 2, 1, 8)]);
    let _ = block(&mut sync, ms(2), 2, 2, 1);
    let asked = requests(&sync.on_end(ms(3), &peer(2), 2));
    assert_eq!(asked, [(peer(2), 3, 2, 7)], "asked again at once: it sends what it can");
}

#[test]
fn a_peer_that_goes_passes_its_heights_on() {
    let mut sync = sync(0);
    let _ = status(&mut sync, ms(0), 1, 5);
    let _ = status(&mut sync, ms(0), 2, 5);
    assert_eq!(requests(&sync.on_peer_down(ms(5), &peer(1))), [(peer(2), 2, 1, 5)]);
    assert_eq!(block(&mut sync, ms(6), 1, 1, 1), [], "no longer expected");
    assert_eq!(sync.on_peer_down(ms(7), &peer(2)), []);
    assert_eq!((sync.leads(), sync.next_wake()), (false, None));
}

#[test]
fn a_false_claim_counts_until_it_fails_and_a_new_session_does_not_whitewash() {
    let mut sync = sync(10);
    let asked = requests(&status(&mut sync, ms(0), 1, 1_000_000));
    assert_eq!(asked, [(peer(1), 1, 11, 8), (peer(1), 2, 19, 8)]);
    assert!(sync.leads());
    let _ = sync.on_tick(ms(2_000));
    assert!(!sync.leads(), "consensus goes on alone");
    assert_eq!(sync.progress(ms(2_000)).target, Height(10));
    let _ = sync.on_peer_down(ms(2_100), &peer(1));
    let _ = status(&mut sync, ms(2_200), 1, 1_000_000);
    assert!(!sync.leads());
    // It is still asked now and then, for one block only, and each time it takes one block of its claim at most.
    let _ = sync.on_end(ms(2_300), &peer(1), 3);
    let asked = requests(&sync.on_tick(ms(20_000)));
    assert!(asked.iter().all(|(_, _, _, count)| *count == 1), "{asked:?}");
    assert!(asked.len() <= 1);
}

#[test]
fn a_provable_fault_ends_all_dealings() {
    let mut sync = sync(0);
    let _ = status(&mut sync, ms(0), 1, 8);
    let _ = block(&mut sync, ms(1), 1, 1, 2);
    let _ = status(&mut sync, ms(1), 2, 8);
    let actions = sync.on_invalid(ms(2), peer(1), 1, Height(3));
    assert_eq!(actions[0], SyncAction::Blame { peer: peer(1), height: Height(3) });
    assert_eq!(requests(&actions), [(peer(2), 2, 1, 8)], "what it sent before is asked for again too");
    assert_eq!(sync.on_invalid(ms(2), peer(1), 1, Height(4)), [], "once");
    assert_eq!(requests(&status(&mut sync, ms(3), 1, 99)), []);
    assert_eq!(sync.stats().blamed, 1);
}

#[test]
fn a_batch_that_is_refused_is_asked_for_again_elsewhere() {
    let mut sync = sync(0);
    let _ = status(&mut sync, ms(0), 1, 2);
    let _ = block(&mut sync, ms(1), 1, 1, 2);
    assert_eq!(delivered(&block(&mut sync, ms(1), 1, 1, 1)), [1, 2]);
    let _ = status(&mut sync, ms(1), 2, 2);
    assert_eq!(sync.on_refused(ms(2), Height(3)), [], "not in the batch");
    let _ = sync.on_committed(ms(2), Height(1));
    let actions = sync.on_refused(ms(3), Height(2));
    assert_eq!(actions[0], SyncAction::Blame { peer: peer(1), height: Height(2) });
    assert_eq!(requests(&sync.on_tick(ms(1_002))), [(peer(2), 2, 2, 1)], "after the grace that consensus has");
}

#[test]
fn a_batch_that_stops_short_is_not_waited_for() {
    let mut sync = sync(0);
    let _ = status(&mut sync, ms(0), 1, 4);
    for height in [2, 3, 4] {
        let _ = block(&mut sync, ms(1), 1, 1, height);
    }
    assert_eq!(delivered(&block(&mut sync, ms(1), 1, 1, 1)), [1, 2, 3, 4]);
    assert_eq!(sync.on_batch_done(ms(2), Height(4), Height(2)), [], "nobody is blamed, the sender pauses");
    assert_eq!(sync.next_wake(), Some(ms(502)));
    assert_eq!(requests(&sync.on_tick(ms(502))), [(peer(1), 2, 3, 1)]);
    let actions = block(&mut sync, ms(503), 1, 2, 3);
    assert_eq!((delivered(&actions), requests(&actions)), (vec![3], vec![(peer(1), 3, 4, 1)]));
    let _ = sync.on_committed(ms(504), Height(3));
    assert_eq!(delivered(&block(&mut sync, ms(505), 1, 3, 4)), [4]);
    assert_eq!(sync.on_batch_done(ms(506), Height(3), Height(3)), [], "an answer for an older batch");
    assert!(sync.progress(ms(9_000)).stall.is_some_and(|stall| matches!(stall, Stall::Committing { .. })));
}

#[test]
fn one_block_more_is_left_to_consensus_for_a_while() {
    let mut sync = sync(10);
    assert_eq!(status(&mut sync, ms(0), 1, 11), []);
    assert!(!sync.leads());
    assert_eq!(sync.next_wake(), Some(ms(1_000)));
    assert_eq!(sync.on_committed(ms(500), Height(11)), []);
    assert_eq!(sync.next_wake(), None);
    assert_eq!(status(&mut sync, ms(600), 1, 12), []);
    assert_eq!(requests(&sync.on_tick(ms(1_600))), [(peer(1), 1, 12, 1)]);
    assert!(!sync.leads());
}

#[test]
fn a_wanted_block_is_asked_for_at_once() {
    let mut sync = sync(10);
    let _ = status(&mut sync, ms(0), 1, 11);
    let id = BlockId(Hash([7; 32]));
    assert_eq!(requests(&sync.on_wanted(ms(1), Height(11), id)), [(peer(1), 1, 11, 1)]);
    assert_eq!(sync.on_wanted(ms(2), Height(11), id), [], "once");
    assert_eq!(sync.wanted(), Some((Height(11), id)));
    assert_eq!(delivered(&block(&mut sync, ms(3), 1, 1, 11)), [11]);
    assert_eq!(sync.on_committed(ms(4), Height(11)), []);
    assert_eq!(sync.wanted(), None);
    assert_eq!(sync.on_wanted(ms(5), Height(11), id), []);
}

#[test]
fn consensus_may_be_faster() {
    let mut sync = sync(0);
    let _ = status(&mut sync, ms(0), 1, 8);
    let _ = block(&mut sync, ms(1), 1, 1, 3);
    assert_eq!(sync.on_committed(ms(2), Height(5)), []);
    assert_eq!(block(&mut sync, ms(3), 1, 1, 4), []);
    assert_eq!(delivered(&block(&mut sync, ms(3), 1, 1, 6)), [6]);
    assert_eq!(sync.on_committed(ms(4), Height(8)), []);
    let progress = sync.progress(ms(4));
    assert_eq!((progress.held, progress.held_bytes, progress.in_flight, progress.leads), (0, 0, 0, false));
}

#[test]
fn bytes_are_bounded_and_the_lowest_stay() {
    let mut sync: Sync = BlockSync::new(SyncLimits { bytes_max: 2_500, ..SyncLimits::default() }, Height(0));
    let asked = requests(&status(&mut sync, ms(0), 1, 8));
    assert_eq!(asked, [(peer(1), 1, 1, 1)], "room for one of unknown size");
    let asked = requests(&block(&mut sync, ms(1), 1, 1, 1));
    assert_eq!(asked, [], "the block is out and counts");
    let _ = sync.on_committed(ms(2), Height(1));
    assert!(sync.progress(ms(2)).held_bytes <= 2_500);
}

#[test]
fn the_slow_are_asked_for_what_is_not_needed_soon() {
    let mut sync = sync(0);
    let _ = status(&mut sync, ms(0), 1, 16);
    for height in 1..9 {
        let _ = sync.on_block(ms(1_900), peer(1), 1, Height(height), 1_000, height);
    }
    for height in 9..17 {
        let _ = sync.on_block(ms(1_900), peer(1), 2, Height(height), 1_000, height);
    }
    let _ = sync.on_committed(ms(1_900), Height(1));
    let _ = sync.on_committed(ms(1_900), Height(16));
    // Peer 1 made about 4 kB/s. Peer 2 is fast.
    let asked = requests(&status(&mut sync, ms(2_000), 2, 17 + 256));
    assert_eq!(asked.len(), 2);
    for (to, request, from, count) in asked {
        for height in from..from + u64::from(count) {
            let _ = sync.on_block(ms(2_010), to, request, Height(height), 1_000, height);
        }
    }
    let asked = requests(&status(&mut sync, ms(2_020), 1, 17 + 256));
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|(to, _, from, _)| *to == peer(1) && *from > 16 + 128), "{asked:?}");
}

#[test]
fn stalls_are_explained() {
    let mut sync = sync(122);
    let text = |sync: &Sync, at: u64| sync.progress(ms(at)).stall.map(|stall| stall.to_string()).unwrap_or_default();
    let _ = sync.on_status(ms(0), peer(1), Height(200), Height(150));
    assert_eq!(text(&sync, 1_000), "");
    assert_eq!(text(&sync, 2_000), "no peer has block 123 (1 connected)");
    let asked = requests(&status(&mut sync, ms(2_000), 2, 200));
    assert_eq!(asked, [(peer(2), 3, 123, 8), (peer(2), 4, 131, 8)]);
    assert_eq!(text(&sync, 3_500), "peer 02020202 is slow with block 123, asked 1.5 s ago");
    let _ = sync.on_peer_down(ms(3_500), &peer(1));
    let _ = sync.on_tick(ms(4_000));
    assert_eq!(text(&sync, 4_200), "peer 02020202 is slow with block 123, asked 2.2 s ago");
    let _ = sync.on_end(ms(4_200), &peer(2), 3);
    let _ = sync.on_end(ms(4_200), &peer(2), 4);
    assert_eq!(
        sync.progress(ms(4_300)).stall,
        Some(Stall::PeersFailed { height: Height(123), retry_in: ms(4_500).since(ms(4_300)) })
    );
    let _ = sync.on_peer_down(ms(4_400), &peer(2));
    let _ = sync.on_wanted(ms(4_400), Height(123), BlockId(Hash::ZERO));
    assert_eq!(text(&sync, 4_400), "no peer is connected");
}

#[test]
fn a_slow_ledger_is_named() {
    let mut sync = sync(0);
    let _ = status(&mut sync, ms(0), 1, 8);
    let _ = block(&mut sync, ms(100), 1, 1, 1);
    let stall = sync.progress(ms(5_100)).stall.unwrap();
    assert_eq!(stall.to_string(), "block 1 is here and waits for the ledger since 5.0 s");
}

#[test]
fn progress_has_percent_rate_and_time_left() {
    let mut sync = sync(0);
    assert_eq!(sync.progress(ms(0)).percent, 100.0);
    let _ = status(&mut sync, ms(0), 1, 400);
    for height in 1..=100 {
        let _ = sync.on_committed(ms(height * 10), Height(height));
    }
    let progress = sync.progress(ms(1_000));
    assert_eq!((progress.tip, progress.target, progress.percent), (Height(100), Height(400), 25.0));
    assert!((progress.blocks_per_second.unwrap() - 100.0).abs() < 1e-6);
    assert!((progress.remaining.unwrap().as_secs_f64() - 3.0).abs() < 1e-6);
    assert_eq!(sync.progress(ms(100_000)).blocks_per_second, None, "old commits say nothing");
}
