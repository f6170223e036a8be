//! Transcripts of admission, eviction and the life of outputs.

use super::*;
use crate::{PoolEvent, RemovalReason, Removed, ResourceState};
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
        Err(Reject::Conflict { with: first.facts.id, resource: coin(0) }),
        "a local submission always sees the reason"
    );
    let reported: Vec<_> = pool.conflicts().map(|c| (c.resource, c.first, c.second, c.source)).collect();
    assert_eq!(reported, [(coin(0), first.facts.id, second.facts.id, Some(from))], "each pair once");
    assert_eq!(submit(&mut pool, at(1), &first, &chain), Err(Reject::AlreadyKnown { txid: first.facts.id }));
}

#[test]
fn refusals_are_named_and_remembered_by_their_kind() {
    let chain = MapChain::with_coins(3);
    let mut pool = pool(PoolLimits { transaction_bytes_max: 200, fee_floor_min: 1_000, ..PoolLimits::default() });
    let from = Source::Peer(peer(1));
    let mut ask =
        |seconds, transaction: &Arc<PoolTransaction>| submit_from(&mut pool, at(seconds), transaction, from, &chain);

    let unknown = spend(&[coin(9)], &[1]);
    assert_eq!(ask(0, &unknown), Err(Reject::UnknownInput { resource: coin(9) }));
    assert_eq!(ask(0, &unknown), Err(Reject::UnknownInput { resource: coin(9) }), "may come later: not remembered");

    let inflating = spend(&[coin(0)], &[VALUE + 1]);
    assert_eq!(ask(0, &inflating), Err(Reject::Invalid(Refusal::new(Inflation))));
    assert_eq!(ask(599, &inflating), Err(Reject::RecentlyRejected { id: inflating.facts.full_id }));
    assert_eq!(ask(600, &inflating), Err(Reject::Invalid(Refusal::new(Inflation))));

    let cheap = spend(&[coin(0)], &[VALUE - 1]);
    let needed = Amount(u64::try_from(cheap.facts.size_bytes).unwrap());
    assert_eq!(ask(600, &cheap), Err(Reject::FeeBelowFloor { needed, offered: Amount(1) }));
    assert_eq!(ask(604, &cheap), Err(Reject::RecentlyRejected { id: cheap.facts.full_id }));
    assert_eq!(ask(605, &cheap), Err(Reject::FeeBelowFloor { needed, offered: Amount(1) }));

    let large = spend(&[coin(0)], &[1; 9]);
    assert_eq!(ask(605, &large), Err(Reject::TooLarge { size: large.facts.size_bytes, max: 200 }));
}

#[test]
fn a_bad_signature_blocks_these_bytes_only() {
    let chain = MapChain::with_coins(1);
    let mut pool = pool(PoolLimits::default());
    let key = SecretKey::development("wallet", 1);
    let good = Transfer::new(&[coin(0)], &[5]).sign(&key);
    let mut forged = good.clone();
    forged.signatures[0].1.0[0] ^= 1;
    let (good, forged) = (good.pooled(), forged.pooled());
    assert_eq!(good.facts.id, forged.facts.id);
    let from = Source::Peer(peer(1));
    let mut candidate = pool.pre_check(at(0), Arc::clone(&forged), from, &chain).unwrap();
    assert_eq!(candidate.take_signed_items().len(), 1);
    pool.on_invalid_signature(at(0), &candidate);
    assert!(pool.is_known(at(1), &forged.facts.full_id));
    assert!(matches!(pool.pre_check(at(1), forged, from, &chain), Err(Reject::RecentlyRejected { .. })));
    submit_from(&mut pool, at(1), &good, from, &chain).unwrap();
    assert!(pool.is_known(at(1), &good.facts.full_id));
}

#[test]
fn what_changed_between_the_two_steps_is_seen() {
    let mut chain = MapChain::with_coins(3);
    let mut pool = pool(PoolLimits::default());
    let first = spend(&[coin(0)], &[5]);
    let second = spend(&[coin(0)], &[6]);
    let candidate = pool.pre_check(at(0), Arc::clone(&second), Source::Local, &chain).unwrap();
    submit(&mut pool, at(0), &first, &chain).unwrap();
    assert_eq!(pool.admit(at(0), candidate, &chain), Err(Reject::Conflict { with: first.facts.id, resource: coin(0) }));

    let late = spend(&[coin(1)], &[5]);
    let candidate = pool.pre_check(at(0), Arc::clone(&late), Source::Local, &chain).unwrap();
    let other = spend(&[coin(1)], &[7]);
    chain.apply(&other);
    pool.on_committed(at(0), Height(1), std::slice::from_ref(&other.facts));
    assert_eq!(pool.admit(at(0), candidate, &chain), Err(Reject::UnknownInput { resource: coin(1) }));

    // No block comes, but the parent leaves the pool.
    let parent = spend(&[coin(2)], &[VALUE - 1]);
    submit(&mut pool, at(0), &parent, &chain).unwrap();
    let child = spend(&[out(&parent, 0)], &[5]);
    let candidate = pool.pre_check(at(0), Arc::clone(&child), Source::Local, &chain).unwrap();
    let after = at(0) + PoolLimits::default().expiry;
    assert!(pool.on_wake(after).iter().any(|removed| removed.txid == parent.facts.id), "the parent expires");
    assert_eq!(pool.admit(after, candidate, &chain), Err(Reject::UnknownInput { resource: out(&parent, 0) }));
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
    let ancestor = poor.facts.id;
    assert_eq!(
        admitted.evicted,
        [
            Removed { txid: poor.facts.id, reason: RemovalReason::Evicted },
            Removed { txid: child.facts.id, reason: RemovalReason::AncestorRemoved { ancestor } }
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
    assert_eq!(admitted.evicted, [Removed { txid: other.facts.id, reason: RemovalReason::Evicted }]);
    let third = spend(&[coin(2)], &[VALUE - 700]);
    assert!(
        matches!(submit(&mut pool, at(0), &third, &chain), Err(Reject::FeeBelowFloor { .. } | Reject::Full { .. })),
        "a child of a high fee rate protects its parent"
    );
}

#[test]
fn a_peer_has_a_share_and_gets_it_back() {
    let mut chain = MapChain::with_coins(4);
    let size = spend(&[coin(0)], &[1]).facts.size_bytes;
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
    pool.on_committed(at(0), Height(1), std::slice::from_ref(&first.facts));
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
            Removed { txid: parent.facts.id, reason: RemovalReason::Expired },
            Removed { txid: child.facts.id, reason: RemovalReason::AncestorRemoved { ancestor: parent.facts.id } }
        ]
    );
    assert_eq!(pool.resource_state(&coin(0), &chain).unwrap(), Some(ResourceState::Available));
    assert_eq!((pool.info(at(100)).expired, pool.next_wake()), (2, Some(at(160))));
}

#[test]
fn the_life_of_an_output_by_name() {
    let mut chain = MapChain::with_coins(1);
    let mut pool = pool(PoolLimits::default());
    let transaction = spend(&[coin(0)], &[VALUE]);
    let by = transaction.facts.id;
    let state = |pool: &Pool, chain: &MapChain| pool.resource_state(&coin(0), chain).unwrap();
    assert_eq!(state(&pool, &chain), Some(ResourceState::Available));
    assert_eq!(pool.resource_state(&coin(7), &chain).unwrap(), None);

    submit(&mut pool, at(0), &transaction, &chain).unwrap();
    assert_eq!(state(&pool, &chain), Some(ResourceState::Locked { by }));
    assert_eq!(pool.resource_state(&out(&transaction, 0), &chain).unwrap(), Some(ResourceState::Available));

    pool.on_proposed(block(1), Height(1), [by]);
    pool.on_proposed(block(2), Height(1), [by]);
    assert_eq!(state(&pool, &chain), Some(ResourceState::Proposed { by, block: block(2) }));
    pool.on_not_decided(block(2));
    assert_eq!(state(&pool, &chain), Some(ResourceState::Proposed { by, block: block(1) }));
    pool.on_not_decided(block(1));
    assert_eq!(state(&pool, &chain), Some(ResourceState::Locked { by }));

    pool.on_proposed(block(3), Height(1), [by]);
    pool.on_committed(at(0), Height(1), &[]);
    assert_eq!(state(&pool, &chain), Some(ResourceState::Locked { by }), "height 1 was decided without it");

    pool.on_proposed(block(4), Height(2), [by]);
    pool.on_decided(block(4));
    assert_eq!(state(&pool, &chain), Some(ResourceState::Decided { by, block: block(4), height: Height(2) }));
    chain.apply(&transaction);
    pool.on_committed(at(0), Height(2), std::slice::from_ref(&transaction.facts));
    assert_eq!(state(&pool, &chain), Some(ResourceState::Confirmed { by, height: Height(2) }));
    assert!(pool.is_empty());
    assert!(pool.is_known(at(1), &transaction.facts.full_id), "late announcements are not asked for");

    let of_coin = |event| match event {
        PoolEvent::Resource { resource, state } if resource == coin(0) => Some(state),
        _ => None,
    };
    let states: Vec<ResourceState> = pool.take_events().into_iter().filter_map(of_coin).collect();
    let pending = |n| ResourceState::Proposed { by, block: block(n) };
    let locked = ResourceState::Locked { by };
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
            ResourceState::Decided { by, block: block(4), height: Height(2) },
            ResourceState::Confirmed { by, height: Height(2) },
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
    let removed = pool.on_committed(at(1), Height(1), std::slice::from_ref(&theirs.facts));
    let reason = RemovalReason::Conflict { with: theirs.facts.id, resource: coin(1), height: Height(1) };
    assert_eq!(
        removed,
        [
            Removed { txid: ours.facts.id, reason },
            Removed { txid: child.facts.id, reason: RemovalReason::AncestorRemoved { ancestor: ours.facts.id } }
        ]
    );
    assert_eq!(pool.entries().map(|entry| entry.txid).collect::<Vec<_>>(), [apart.facts.id]);
    let conflict = pool.conflicts().next().unwrap();
    assert_eq!((conflict.first, conflict.second, conflict.source), (ours.facts.id, theirs.facts.id, None));
    assert_eq!(pool.resource_state(&coin(0), &chain).unwrap(), Some(ResourceState::Available));
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
    let removed = pool.revalidate(Height(9), &chain).unwrap();
    assert_eq!(
        removed,
        [
            Removed { txid: included.facts.id, reason: RemovalReason::Included { height: Height(9) } },
            Removed { txid: loser.facts.id, reason: RemovalReason::InputGone { resource: coin(1) } }
        ]
    );
    assert_eq!(pool.height(), Height(9));
    assert_eq!(pool.entry(&child.facts.id).unwrap().ancestors.0, 1);
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
    assert_eq!(pool.conflicts().map(|c| c.resource).collect::<Vec<_>>(), [coin(2), coin(3)]);
    assert_eq!(pool.take_events().len(), 3);
    assert_eq!(pool.info(at(0)).events_dropped, 4 * 3 - 3);
    assert_eq!(pool.info(at(0)).conflicts, 4);
}

#[test]
fn what_consumes_nothing_is_looked_for_in_the_chain() {
    let mut chain = MapChain::default();
    let mut pool = pool(PoolLimits::default());
    let (first, second) = (spend(&[], &[0]), spend(&[], &[0, 0]));
    let txid = first.facts.id;
    submit(&mut pool, at(0), &first, &chain).unwrap();
    assert_eq!(submit(&mut pool, at(0), &first, &chain), Err(Reject::AlreadyKnown { txid }));
    let candidate = pool.pre_check(at(0), Arc::clone(&second), Source::Local, &chain).unwrap();
    for transaction in [&first, &second] {
        chain.apply(transaction);
    }
    pool.on_committed(at(0), Height(1), &[first.facts.clone(), second.facts.clone()]);
    assert_eq!(pool.admit(at(0), candidate, &chain), Err(Reject::AlreadyKnown { txid: second.facts.id }));
    assert_eq!(submit(&mut pool, at(0), &first, &chain), Err(Reject::AlreadyKnown { txid }));
    assert!(pool.is_empty());
}

#[test]
fn what_the_state_no_longer_allows_leaves_with_its_descendants() {
    let mut chain = MapChain::with_coins(2);
    let mut pool = pool(PoolLimits::default());
    let free = spend(&[coin(0)], &[VALUE]);
    let child = spend(&[out(&free, 0)], &[1]);
    let apart = spend(&[coin(1)], &[1]);
    for transaction in [&free, &child, &apart] {
        submit(&mut pool, at(0), transaction, &chain).unwrap();
    }
    chain.wants_fee = true;
    let removed = pool.revalidate(Height(1), &chain).unwrap();
    let ancestor = free.facts.id;
    assert_eq!(
        removed,
        [
            Removed { txid: ancestor, reason: RemovalReason::Invalid },
            Removed { txid: child.facts.id, reason: RemovalReason::AncestorRemoved { ancestor } }
        ]
    );
    assert_eq!(pool.ids(), [apart.facts.id]);
}

#[test]
fn a_state_that_cannot_be_read_says_nothing_of_a_transaction() {
    let mut chain = MapChain::with_coins(2);
    let mut pool = pool(PoolLimits::default());
    let parent = spend(&[coin(0)], &[VALUE]);
    submit(&mut pool, at(0), &parent, &chain).unwrap();
    let child = spend(&[out(&parent, 0), coin(1)], &[1]);
    let from = Source::Peer(peer(1));
    let candidate = pool.pre_check(at(0), Arc::clone(&child), from, &chain).unwrap();
    chain.is_broken = true;
    let outcomes = [
        pool.pre_check(at(0), Arc::clone(&child), from, &chain).map(drop),
        pool.admit(at(0), candidate, &chain).map(drop),
    ];
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Err(Reject::Unreadable(_)))), "{outcomes:?}");
    assert!(pool.revalidate(Height(1), &chain).is_err() && pool.resource_state(&coin(1), &chain).is_err());
    assert!(pool.contains(&parent.facts.id) && !pool.is_known(at(0), &child.facts.full_id));
    chain.is_broken = false;
    submit_from(&mut pool, at(0), &child, from, &chain).unwrap();
}
