//! Transcripts of admission, eviction and the life of outputs.

use super::*;
use crate::{OutputState, PoolEvent, RemovalReason, Removed};
use std::time::Duration;
use timed_primitives::BlockId;

fn block(n: u8) -> BlockId {
    BlockId(Hash([n; 32]))
}

#[test]
fn first_seen_wins_and_the_second_is_reported_with_both_ids() {
    let chain = MapChain::with_coins(2);
    let mut pool = pool(PoolLimits::default());
    let first = spend(&[coin(0)], &[VALUE - 10]);
    let second = spend(&[coin(1), coin(0)], &[VALUE]);
    submit(&mut pool, at(0), &first, &chain).unwrap();
    let from = Source::Peer(peer(3));
    for _ in 0..2 {
        let rejected = submit_from(&mut pool, at(1), &second, from, &chain);
        assert!(matches!(rejected, Err(Reject::Conflict { .. } | Reject::RecentlyRejected { .. })));
    }
    assert_eq!(
        submit(&mut pool, at(1), &second, &chain),
        Err(Reject::Conflict { with: first.id(), outpoint: coin(0) }),
        "a local submission always sees the reason"
    );
    let reported: Vec<_> = pool.conflicts().map(|c| (c.outpoint, c.first, c.second, c.source)).collect();
    assert_eq!(reported, [(coin(0), first.id(), second.id(), Some(from))], "each pair once");
    assert_eq!(submit(&mut pool, at(1), &first, &chain), Err(Reject::AlreadyKnown { txid: first.id() }));
}

#[test]
fn refusals_are_named_and_remembered_by_their_kind() {
    let chain = MapChain::with_coins(3);
    let mut pool = pool(PoolLimits { transaction_bytes_max: 200, fee_floor_min: 1_000, ..PoolLimits::default() });
    let from = Source::Peer(peer(1));
    let mut ask =
        |seconds, transaction: &Arc<Transaction>| submit_from(&mut pool, at(seconds), transaction, from, &chain);

    let unknown = spend(&[coin(9)], &[1]);
    assert_eq!(ask(0, &unknown), Err(Reject::UnknownInput { outpoint: coin(9) }));
    assert_eq!(ask(0, &unknown), Err(Reject::UnknownInput { outpoint: coin(9) }), "may come later: not remembered");

    let inflating = spend(&[coin(0)], &[VALUE + 1]);
    assert_eq!(ask(0, &inflating), Err(Reject::Invalid(Inflation)));
    assert_eq!(ask(599, &inflating), Err(Reject::RecentlyRejected { id: inflating.full_id() }));
    assert_eq!(ask(600, &inflating), Err(Reject::Invalid(Inflation)));

    let cheap = spend(&[coin(0)], &[VALUE - 1]);
    let needed = Amount(u64::try_from(cheap.size_bytes()).unwrap());
    assert_eq!(ask(600, &cheap), Err(Reject::FeeBelowFloor { needed, offered: Amount(1) }));
    assert_eq!(ask(604, &cheap), Err(Reject::RecentlyRejected { id: cheap.full_id() }));
    assert_eq!(ask(605, &cheap), Err(Reject::FeeBelowFloor { needed, offered: Amount(1) }));

    let large = spend(&[coin(0)], &[1; 9]);
    assert_eq!(ask(605, &large), Err(Reject::TooLarge { size: large.size_bytes(), max: 200 }));
}

#[test]
fn a_bad_signature_blocks_these_bytes_only() {
    let chain = MapChain::with_coins(1);
    let mut pool = pool(PoolLimits::default());
    let key = SecretKey::development("wallet", 1);
    let good = Arc::new(spend(&[coin(0)], &[5]).body.clone().sign(&[&key]));
    let mut forged = Transaction::clone(&good);
    forged.witnesses[0].signature.0[0] ^= 1;
    let forged = Arc::new(forged);
    let from = Source::Peer(peer(1));
    let mut candidate = pool.pre_check(at(0), Arc::clone(&forged), from, &chain).unwrap();
    assert_eq!(candidate.take_signed_items().len(), 1);
    pool.on_invalid_signature(at(0), &candidate);
    assert!(pool.is_known(at(1), &forged.full_id()));
    assert!(matches!(pool.pre_check(at(1), forged, from, &chain), Err(Reject::RecentlyRejected { .. })));
    submit_from(&mut pool, at(1), &good, from, &chain).unwrap();
    assert!(pool.is_known(at(1), &good.full_id()));
}

#[test]
fn what_changed_between_the_two_steps_is_seen() {
    let mut chain = MapChain::with_coins(3);
    let mut pool = pool(PoolLimits::default());
    let first = spend(&[coin(0)], &[5]);
    let second = spend(&[coin(0)], &[6]);
    let candidate = pool.pre_check(at(0), Arc::clone(&second), Source::Local, &chain).unwrap();
    submit(&mut pool, at(0), &first, &chain).unwrap();
    assert_eq!(pool.admit(at(0), candidate, &chain), Err(Reject::Conflict { with: first.id(), outpoint: coin(0) }));

    let late = spend(&[coin(1)], &[5]);
    let candidate = pool.pre_check(at(0), Arc::clone(&late), Source::Local, &chain).unwrap();
    let other = spend(&[coin(1)], &[7]);
    chain.apply(&other);
    pool.on_committed(at(0), Height(1), &[Transaction::clone(&other)]);
    assert_eq!(pool.admit(at(0), candidate, &chain), Err(Reject::UnknownInput { outpoint: coin(1) }));

    // No block comes, but the parent leaves the pool.
    let parent = spend(&[coin(2)], &[VALUE - 1]);
    submit(&mut pool, at(0), &parent, &chain).unwrap();
    let child = spend(&[out(&parent, 0)], &[5]);
    let candidate = pool.pre_check(at(0), Arc::clone(&child), Source::Local, &chain).unwrap();
    let after = at(0) + PoolLimits::default().expiry;
    assert!(pool.on_wake(after).iter().any(|removed| removed.txid == parent.id()), "the parent expires");
    assert_eq!(pool.admit(after, candidate, &chain), Err(Reject::UnknownInput { outpoint: out(&parent, 0) }));
}

#[test]
fn chains_of_unconfirmed_spends_are_bounded() {
    let chain = MapChain::with_coins(1);
    let mut pool = pool(PoolLimits { ancestors_max: 3, ..PoolLimits::default() });
    let mut last = spend(&[coin(0)], &[VALUE - 1]);
    for n in 2..=3 {
        submit(&mut pool, at(0), &last, &chain).unwrap();
        last = spend(&[out(&last, 0)], &[VALUE - n]);
    }
    submit(&mut pool, at(0), &last, &chain).unwrap();
    let fourth = spend(&[out(&last, 0)], &[1]);
    assert_eq!(submit(&mut pool, at(0), &fourth, &chain), Err(Reject::TooManyAncestors { count: 4, max: 3 }));
}

#[test]
fn a_full_pool_evicts_the_poorest_with_descendants_and_raises_the_floor() {
    let chain = MapChain::with_coins(9);
    let mut pool = pool(PoolLimits { count_max: 4, ..PoolLimits::default() });
    let poor = spend(&[coin(0)], &[VALUE - 100]);
    let child = spend(&[out(&poor, 0)], &[VALUE - 300]);
    let rich = spend(&[coin(1)], &[VALUE - 5_000]);
    let richer = spend(&[coin(2)], &[VALUE - 6_000]);
    for transaction in [&poor, &child, &rich, &richer] {
        submit(&mut pool, at(0), transaction, &chain).unwrap();
    }
    assert_eq!(pool.info(at(0)).fee_floor, Amount(0));
    let poorer = spend(&[coin(3)], &[VALUE - 50]);
    let rejected = submit(&mut pool, at(0), &poorer, &chain);
    assert!(matches!(rejected, Err(Reject::Full { .. })), "{rejected:?}");
    assert_eq!(pool.info(at(0)).count, 4, "a refused one evicts nobody");

    let good = spend(&[coin(4)], &[VALUE - 4_000]);
    let admitted = submit(&mut pool, at(0), &good, &chain).unwrap();
    let ancestor = poor.id();
    assert_eq!(
        admitted.evicted,
        [
            Removed { txid: poor.id(), reason: RemovalReason::Evicted },
            Removed { txid: child.id(), reason: RemovalReason::AncestorRemoved { ancestor } }
        ]
    );
    let floor = pool.info(at(0)).fee_floor;
    assert!(floor > Amount(1_000), "{floor}");
    assert!(matches!(submit(&mut pool, at(0), &poor, &chain), Err(Reject::FeeBelowFloor { .. })));
    assert!(pool.info(at(60)).fee_floor.0 <= floor.0 / 2 + 1, "halved after its half-life");
}

#[test]
fn a_candidate_never_evicts_its_own_ancestor() {
    let chain = MapChain::with_coins(3);
    let mut pool = pool(PoolLimits { count_max: 2, ..PoolLimits::default() });
    let poor = spend(&[coin(0)], &[VALUE - 1]);
    let other = spend(&[coin(1)], &[VALUE - 500]);
    submit(&mut pool, at(0), &poor, &chain).unwrap();
    submit(&mut pool, at(0), &other, &chain).unwrap();
    let child = spend(&[out(&poor, 0)], &[VALUE - 50_000]);
    let admitted = submit(&mut pool, at(0), &child, &chain).unwrap();
    assert_eq!(admitted.evicted, [Removed { txid: other.id(), reason: RemovalReason::Evicted }]);
    let third = spend(&[coin(2)], &[VALUE - 700]);
    assert!(
        matches!(submit(&mut pool, at(0), &third, &chain), Err(Reject::FeeBelowFloor { .. } | Reject::Full { .. })),
        "a child of a high fee rate protects its parent"
    );
}

#[test]
fn a_peer_has_a_share_and_gets_it_back() {
    let mut chain = MapChain::with_coins(4);
    let size = spend(&[coin(0)], &[1]).size_bytes();
    let mut pool = pool(PoolLimits { peer_bytes_max: size, ..PoolLimits::default() });
    let (first, second) = (spend(&[coin(0)], &[1]), spend(&[coin(1)], &[1]));
    submit_from(&mut pool, at(0), &first, Source::Peer(peer(1)), &chain).unwrap();
    assert_eq!(
        submit_from(&mut pool, at(0), &second, Source::Peer(peer(1)), &chain),
        Err(Reject::PeerShare { used: size, max: size })
    );
    submit_from(&mut pool, at(0), &spend(&[coin(2)], &[1]), Source::Peer(peer(2)), &chain).unwrap();
    submit(&mut pool, at(0), &spend(&[coin(3)], &[1]), &chain).unwrap();
    chain.apply(&first);
    pool.on_committed(at(0), Height(1), &[Transaction::clone(&first)]);
    submit_from(&mut pool, at(0), &second, Source::Peer(peer(1)), &chain).unwrap();
}

#[test]
fn what_waits_too_long_expires_with_descendants() {
    let chain = MapChain::with_coins(2);
    let mut pool = pool(PoolLimits { expiry: Duration::from_secs(100), ..PoolLimits::default() });
    let parent = spend(&[coin(0)], &[VALUE - 10]);
    let child = spend(&[out(&parent, 0)], &[1]);
    let other = spend(&[coin(1)], &[1]);
    submit(&mut pool, at(0), &parent, &chain).unwrap();
    submit(&mut pool, at(50), &child, &chain).unwrap();
    submit(&mut pool, at(60), &other, &chain).unwrap();
    assert_eq!(pool.next_wake(), Some(at(100)));
    assert_eq!(pool.on_wake(at(99)), []);
    assert_eq!(
        pool.on_wake(at(100)),
        [
            Removed { txid: parent.id(), reason: RemovalReason::Expired },
            Removed { txid: child.id(), reason: RemovalReason::AncestorRemoved { ancestor: parent.id() } }
        ]
    );
    assert_eq!(pool.output_state(&coin(0), &chain), Some(OutputState::Unspent));
    assert_eq!((pool.info(at(100)).expired, pool.next_wake()), (2, Some(at(160))));
}

#[test]
fn the_life_of_an_output_by_name() {
    let mut chain = MapChain::with_coins(1);
    let mut pool = pool(PoolLimits::default());
    let transaction = spend(&[coin(0)], &[VALUE]);
    let by = transaction.id();
    let state = |pool: &Pool, chain: &MapChain| pool.output_state(&coin(0), chain);
    assert_eq!(state(&pool, &chain), Some(OutputState::Unspent));
    assert_eq!(pool.output_state(&coin(7), &chain), None);

    submit(&mut pool, at(0), &transaction, &chain).unwrap();
    assert_eq!(state(&pool, &chain), Some(OutputState::Locked { by }));
    assert_eq!(pool.output_state(&out(&transaction, 0), &chain), Some(OutputState::Unspent));

    pool.on_proposed(block(1), Height(1), [by]);
    pool.on_proposed(block(2), Height(1), [by]);
    assert_eq!(state(&pool, &chain), Some(OutputState::SpentPending { by, block: block(2) }));
    pool.on_not_decided(block(2));
    assert_eq!(state(&pool, &chain), Some(OutputState::SpentPending { by, block: block(1) }));
    pool.on_not_decided(block(1));
    assert_eq!(state(&pool, &chain), Some(OutputState::Locked { by }));

    pool.on_proposed(block(3), Height(1), [by]);
    pool.on_committed(at(0), Height(1), &[]);
    assert_eq!(state(&pool, &chain), Some(OutputState::Locked { by }), "height 1 was decided without it");

    pool.on_proposed(block(4), Height(2), [by]);
    pool.on_decided(block(4));
    assert_eq!(state(&pool, &chain), Some(OutputState::SpentFinalized { by, block: block(4), height: Height(2) }));
    chain.apply(&transaction);
    pool.on_committed(at(0), Height(2), &[Transaction::clone(&transaction)]);
    assert_eq!(state(&pool, &chain), Some(OutputState::Confirmed { by, height: Height(2) }));
    assert!(pool.is_empty());
    assert!(pool.is_known(at(1), &transaction.full_id()), "late announcements are not asked for");

    let of_coin = |event| match event {
        PoolEvent::Output { outpoint, state } if outpoint == coin(0) => Some(state),
        _ => None,
    };
    let states: Vec<OutputState> = pool.take_events().into_iter().filter_map(of_coin).collect();
    let pending = |n| OutputState::SpentPending { by, block: block(n) };
    let locked = OutputState::Locked { by };
    assert_eq!(
        states,
        [
            locked,
            pending(1),
            pending(2),
            pending(1),
            locked,
            pending(3),
            locked,
            pending(4),
            OutputState::SpentFinalized { by, block: block(4), height: Height(2) },
            OutputState::Confirmed { by, height: Height(2) },
        ]
    );
}

#[test]
fn a_decided_block_wins_over_the_pool() {
    let mut chain = MapChain::with_coins(3);
    let mut pool = pool(PoolLimits::default());
    let ours = spend(&[coin(0), coin(1)], &[VALUE]);
    let child = spend(&[out(&ours, 0)], &[1]);
    let apart = spend(&[coin(2)], &[1]);
    for transaction in [&ours, &child, &apart] {
        submit(&mut pool, at(0), transaction, &chain).unwrap();
    }
    let theirs = spend(&[coin(1)], &[2]);
    chain.apply(&theirs);
    let removed = pool.on_committed(at(1), Height(1), &[Transaction::clone(&theirs)]);
    let reason = RemovalReason::Conflict { with: theirs.id(), outpoint: coin(1), height: Height(1) };
    assert_eq!(
        removed,
        [
            Removed { txid: ours.id(), reason },
            Removed { txid: child.id(), reason: RemovalReason::AncestorRemoved { ancestor: ours.id() } }
        ]
    );
    assert_eq!(pool.entries().map(|entry| entry.txid).collect::<Vec<_>>(), [apart.id()]);
    let conflict = pool.conflicts().next().unwrap();
    assert_eq!((conflict.first, conflict.second, conflict.source), (ours.id(), theirs.id(), None));
    assert_eq!(pool.output_state(&coin(0), &chain), Some(OutputState::Unspent));
}

#[test]
fn a_gap_is_healed_by_revalidation() {
    let mut chain = MapChain::with_coins(3);
    let mut pool = pool(PoolLimits::default());
    let included = spend(&[coin(0)], &[VALUE]);
    let child = spend(&[out(&included, 0)], &[1]);
    let loser = spend(&[coin(1)], &[1]);
    for transaction in [&included, &child, &loser] {
        submit(&mut pool, at(0), transaction, &chain).unwrap();
    }
    chain.apply(&included);
    chain.apply(&spend(&[coin(1)], &[2]));
    let removed = pool.revalidate(Height(9), &chain);
    assert_eq!(
        removed,
        [
            Removed { txid: included.id(), reason: RemovalReason::Included { height: Height(9) } },
            Removed { txid: loser.id(), reason: RemovalReason::InputGone { outpoint: coin(1) } }
        ]
    );
    assert_eq!(pool.height(), Height(9));
    assert_eq!(pool.entry(&child.id()).unwrap().ancestors.0, 1);
}

#[test]
fn the_pool_of_the_last_run_can_be_submitted_again() {
    let chain = MapChain::with_coins(2);
    let mut old = pool(PoolLimits::default());
    let parent = spend(&[coin(0)], &[VALUE - 10]);
    let child = spend(&[out(&parent, 0)], &[1]);
    submit(&mut old, at(0), &parent, &chain).unwrap();
    submit(&mut old, at(0), &child, &chain).unwrap();
    let mut new = pool(PoolLimits::default());
    for (transaction, ..) in old.transactions_from(0) {
        submit(&mut new, at(0), transaction, &chain).unwrap();
    }
    let info = new.info(at(0));
    assert_eq!((info.count, info.bytes, info.fees), (2, old.info(at(0)).bytes, Amount(VALUE - 1)));
}

#[test]
fn events_and_conflicts_are_bounded() {
    let chain = MapChain::with_coins(8);
    let mut pool = pool(PoolLimits { events_max: 3, conflicts_max: 2, ..PoolLimits::default() });
    for n in 0..4 {
        submit(&mut pool, at(0), &spend(&[coin(n)], &[1]), &chain).unwrap();
        submit(&mut pool, at(0), &spend(&[coin(n)], &[2]), &chain).unwrap_err();
    }
    assert_eq!(pool.conflicts().map(|c| c.outpoint).collect::<Vec<_>>(), [coin(2), coin(3)]);
    assert_eq!(pool.take_events().len(), 3);
    assert_eq!(pool.info(at(0)).events_dropped, 4 * 3 - 3);
    assert_eq!(pool.info(at(0)).conflicts, 4);
}
