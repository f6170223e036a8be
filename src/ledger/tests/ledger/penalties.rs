//! What masternodes lose, and only for what the chain proves.

use crate::reward_chain::{FEE, World, genesis, key};
use timed_chain::{Evidence, History as _};
use timed_ledger::{
    MasternodeError as E, MasternodeStatus as S, RETIRED_KEYS_MAX, TransactionError, TransactionPayload as P,
};
use timed_primitives::{Amount, DoubleSign, Height};

fn double_sign(world: &World, n: u64, height: u64) -> DoubleSign {
    DoubleSign::of_votes(world.vote(n, height, 1), world.vote(n, height, 2))
}

fn evidence(world: &World, of: u64, by_key: u64, height: u64) -> timed_ledger::Transaction {
    let (registration, proof) = (world.of_genesis(of).id, double_sign(world, by_key, height));
    world.statement(P::DoubleSign { registration, proof }, &[])
}

fn refused(world: &mut World, transaction: &timed_ledger::Transaction) -> E {
    match world.refused(transaction) {
        TransactionError::Masternode(error) => error,
        other => panic!("{other:?}"),
    }
}

/// Percent of a bronze collateral.
fn percent(n: u64) -> Amount {
    Amount(Amount::whole(1_000).0 / 100 * n)
}

#[test]
fn a_lone_double_sign_costs_five_percent_and_the_place_for_good() {
    let mut world = World::new(genesis(7));
    world.blocks(3, 1);
    let shown = evidence(&world, 7, 7, 3);
    let committed = world.block(1, vec![shown.clone()]);
    let one = world.of_genesis(7);
    assert_eq!((one.penalty, committed.transactions.len()), (percent(5), 1));
    // One of seven is less than a third, so it goes with this block; power leaves two heights later.
    assert!(matches!(one.status, S::Left { at: Height(4), .. }));
    assert_eq!([4, 5, 6].map(|height| world.ledger.reader().validators(Height(height)).len()), [7, 7, 6]);
    assert_eq!(refused(&mut world, &shown), E::EndedAlready(one.id));
    let again = world.resume(7);
    assert!(matches!(refused(&mut world, &again), E::Status { status: "left", .. }));
    // The release pays the penalty to the treasury.
    world.blocks(1, 61);
    let (all, treasury) = (Amount::whole(1_000).0, world.supply().treasury);
    let too_much = world.release(7, all - FEE);
    assert!(matches!(world.refused(&too_much), TransactionError::Penalty { penalty, .. } if penalty == percent(5)));
    let release = world.release(7, all - percent(5).0 - FEE);
    world.block(1, vec![release]);
    assert_eq!(world.supply().treasury, treasury.plus(percent(5)).unwrap());
    assert_eq!(world.get(one.id), None);
}

#[test]
fn a_free_one_cannot_be_accused_since_it_never_votes() {
    let mut world = World::new(genesis(7));
    let free = crate::rewards::free(&mut world, 20);
    world.blocks(3, 1);
    let proof = double_sign(&world, 20, 3);
    let shown = world.statement(P::DoubleSign { registration: free, proof }, &[]);
    assert_eq!(refused(&mut world, &shown), E::NeverVotes(free));
}

#[test]
fn what_two_transactions_want_is_named_in_words() {
    use timed_chain::ApplicationTransaction as _;
    let mut world = World::new(genesis(7));
    let (of, named) = (world.of_genesis(7), |one: &timed_ledger::Transaction| {
        one.consumes().iter().map(timed_ledger::resource_in_words).collect::<Vec<_>>()
    });
    assert_eq!(named(&evidence(&world, 7, 7, 3)), [format!("a double sign of masternode {} is shown", of.id)]);
    let changed = named(&world.resume(7));
    assert!(changed[0].starts_with("output ") && changed[0].ends_with(" is spent"), "{changed:?}");
    assert!(changed[1].starts_with(&format!("the state after change {}", of.last_change)), "{changed:?}");
}

#[test]
fn it_costs_more_the_more_power_does_it() {
    let mut world = World::new(genesis(10));
    world.blocks(3, 1);
    let one = evidence(&world, 1, 1, 2);
    world.block(1, vec![one]);
    assert_eq!(world.of_genesis(1).penalty, percent(5));
    let two = evidence(&world, 2, 2, 2);
    world.block(1, vec![two]);
    // One other of the nine that are left in the set: 5 and 95 * 3 / 9 percent, in basis points, also for the first.
    let both = Amount(Amount::whole(1_000).0 / 10_000 * (500 + 9_500 * 3 / 9));
    assert_eq!([1, 2].map(|n| world.of_genesis(n).penalty), [both; 2]);
    let [three, four, five] = [3, 4, 5].map(|n| evidence(&world, n, n, 2));
    world.block(1, vec![three, four, five]);
    assert_eq!([1, 2, 3, 4, 5].map(|n| world.of_genesis(n).penalty), [percent(100); 5], "more than a third did it");
    // At most a third of ten loses its power; the others stay in the set, charged all the same.
    let statuses: Vec<_> = (1..=5).map(|n| world.status(n).name()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == "left").count(), 3, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == "ended").count(), 2, "{statuses:?}");
    world.blocks(2, 1);
    assert_eq!(world.ledger.reader().validators(world.ledger.tip().height.next()).len(), 7);
    // After the unbonding time the others go too, as far as that is a third.
    world.blocks(1, 61);
    assert_eq!((1..=5).filter(|n| matches!(world.status(*n), S::Left { .. })).count(), 5);
}

#[test]
fn who_has_ended_can_do_nothing_and_earns_nothing() {
    let mut world = World::new(genesis(4));
    world.block(5, vec![]);
    let shown = evidence(&world, 4, 4, 1);
    world.block(1, vec![shown]);
    let one = world.of_genesis(4);
    assert_eq!((one.status, one.penalty), (S::Ended { at: Height(2) }, percent(5)), "with four nobody goes");
    let changes = [world.pause(4), world.resume(4), world.revoke(4), world.rotate(4, 14)];
    for change in changes {
        assert!(matches!(refused(&mut world, &change), E::Status { status: "ended", .. }));
    }
    world.blocks(25, 1);
    let row = *world.report(1).masternodes.iter().find(|row| row.registration == one.id).unwrap();
    assert_eq!((row.signed > 0, row.earned > Amount::ZERO, row.paid), (true, true, Amount::ZERO));
}

#[test]
fn what_proves_nothing_costs_nothing() {
    let mut world = World::new(genesis(7));
    world.blocks(3, 1);
    let registration = world.of_genesis(7).id;
    let accuse = |world: &World, one, other| {
        world.statement(P::DoubleSign { registration, proof: DoubleSign::Votes(Box::new(one), Box::new(other)) }, &[])
    };
    let (first, second) = (world.vote(7, 3, 1), world.vote(7, 3, 2));
    let (lesser, greater) = if first < second { (first, second) } else { (second, first) };
    let cases = [
        (greater.clone(), lesser.clone()),
        (lesser.clone(), lesser.clone()),
        (lesser.clone(), world.vote(7, 4, 2)),
        (lesser.clone(), world.vote(6, 3, 2)),
    ];
    for (one, other) in cases {
        let shown = accuse(&world, one, other);
        assert_eq!(refused(&mut world, &shown), E::NoConflict);
    }
    let of_another = evidence(&world, 7, 6, 3);
    assert!(matches!(refused(&mut world, &of_another), E::NotItsKey { .. }));
    assert_eq!(world.of_genesis(7).penalty, Amount::ZERO);
}

fn a_penalty_follows_who_had_the_key() {
    let mut world = World::new(genesis(7));
    world.blocks(2, 1);
    let rotated = world.rotate(7, 17);
    world.block(1, vec![rotated]);
    // Key 7 could vote up to height 4, key 17 from height 5 on.
    let late = evidence(&world, 7, 7, 5);
    assert!(matches!(refused(&mut world, &late), E::NotItsKey { height: Height(5), .. }));
    let early = evidence(&world, 7, 17, 4);
    assert!(matches!(refused(&mut world, &early), E::NotItsKey { height: Height(4), .. }));
    let shown = evidence(&world, 7, 7, 4);
    world.block(1, vec![shown]);
    assert_eq!(world.of_genesis(7).penalty, percent(5));
}

#[test]
fn a_penalty_is_that_of_the_masternode_and_not_of_the_key() {
    a_penalty_follows_who_had_the_key();
}

#[test]
fn a_replaced_key_is_nobodys_for_the_unbonding_time() {
    let mut world = World::new(genesis(7));
    world.blocks(2, 1);
    let rotated = world.rotate(7, 17);
    world.block(1, vec![rotated]);
    world.signers.push(17);
    let back = world.rotate(7, 7);
    assert!(matches!(refused(&mut world, &back), E::OperatorRetired { .. }));
    let taken = world.rotate(6, 7);
    assert!(matches!(refused(&mut world, &taken), E::OperatorRetired { .. }));
    world.blocks(1, 61);
    world.block(1, vec![taken]);
    assert_eq!(world.of_genesis(6).operator, key("consensus", 7).public());
    // What key 7 signed while it was the seventh's is nobody's now.
    let old = evidence(&world, 6, 7, 3);
    assert!(matches!(refused(&mut world, &old), E::NotItsKey { .. }));
}

#[test]
fn no_more_than_sixteen_replaced_keys_are_kept() {
    let mut world = World::new(genesis(5));
    for n in 0..RETIRED_KEYS_MAX as u64 {
        let rotated = world.rotate(5, 100 + n);
        world.block(1, vec![rotated]);
        world.signers.push(100 + n);
    }
    let once_more = world.rotate(5, 200);
    assert!(matches!(refused(&mut world, &once_more), E::TooManyKeys { max: RETIRED_KEYS_MAX, .. }));
    world.blocks(1, 50);
    let once_more = world.rotate(5, 200);
    world.block(1, vec![once_more]);
}

/// The last of so many signs nothing for these heights, one a second; intervals of 100 s.
fn absent(nodes: u64, heights: u64) -> World {
    let mut genesis = genesis(nodes);
    genesis.parameters.reward_interval_ms = 100_000;
    let mut world = World::new(genesis);
    world.block(5, vec![]);
    world.signers.pop();
    world.blocks(heights, 1);
    world
}

#[test]
fn who_misses_too_much_is_warned_and_then_jailed_and_comes_back_with_one_transaction() {
    let mut world = absent(7, 200);
    let absent = world.of_genesis(7).id;
    assert_eq!(world.report(1).warned, [absent]);
    assert_eq!(world.status(7), S::Active);
    world.blocks(100, 1);
    assert_eq!(world.report(2).missing, [absent]);
    assert_eq!(world.status(7), S::Jailed { at: Height(301) });
    assert_eq!(world.of_genesis(7).penalty, Amount::ZERO);
    world.blocks(3, 1);
    assert_eq!(world.ledger.reader().validators(world.ledger.tip().height).len(), 6);
    let back = world.resume(7);
    world.block(1, vec![back]);
    assert_eq!(world.status(7), S::Active);
    assert!(!world.rewards().account(&absent).is_warned);
}

/// What a failure costs is no money: who was jailed leaves at once, and has all of its collateral after the unbonding time.
#[test]
fn who_was_jailed_leaves_with_all_its_money() {
    let mut world = absent(7, 300);
    assert!(matches!(world.status(7), S::Jailed { .. }));
    let leaves = world.revoke(7);
    world.block(1, vec![leaves]);
    assert!(matches!(world.status(7), S::Left { .. }), "nobody has to come in its place");
    world.blocks(1, 61);
    let (whole, before) = (Amount::whole(1_000).0 - FEE, world.supply().treasury);
    let released = world.release(7, whole);
    world.block(1, vec![released]);
    assert_eq!((world.ledger.reader().view().state().masternodes().len(), world.supply().treasury), (6, before));
}

#[test]
fn who_comes_back_after_a_warning_is_not_jailed() {
    let mut world = absent(7, 200);
    assert_eq!(world.report(1).warned.len(), 1);
    world.signers.push(7);
    world.blocks(200, 1);
    assert_eq!((world.report(2).missing.len(), world.report(3).warned.len()), (1, 0), "interval 2 was missed too");
    world.blocks(100, 1);
    assert!(matches!(world.status(7), S::Jailed { .. }));
    let mut world = absent(7, 110);
    world.signers.push(7);
    world.blocks(300, 1);
    assert_eq!((world.report(1).warned.len(), world.report(2).missing.len(), world.status(7)), (1, 0, S::Active));
}

#[test]
fn a_slow_chain_is_assessed_over_a_hundred_heights() {
    let mut world = World::new(genesis(7));
    world.block(5, vec![]);
    world.signers.pop();
    // One block in each interval, but two in the first.
    world.blocks(99, 10);
    assert_eq!(world.report(98).warned, vec![]);
    world.blocks(1, 10);
    let warned: Vec<_> = (1..=99).filter(|n| !world.report(*n).warned.is_empty()).collect();
    assert_eq!(warned, [99], "98 heights and the two of the first interval");
}

fn four_stay_whatever_happens() {
    let mut world = absent(4, 400);
    assert_eq!((world.report(1).warned.len(), world.report(2).missing.len()), (1, 1));
    assert_eq!((world.status(4), world.rewards().account(&world.of_genesis(4).id).is_warned), (S::Active, true));
    let shown = [1, 2, 3, 4].map(|n| evidence(&world, n, n, 9));
    world.block(1, shown.to_vec());
    world.blocks(3, 61);
    assert_eq!(world.ledger.reader().validators(world.ledger.tip().height).len(), 4);
    assert_eq!([1, 2, 3, 4].map(|n| world.of_genesis(n).penalty), [percent(100); 4]);
}

#[test]
fn with_four_nobody_loses_its_power() {
    four_stay_whatever_happens();
}

#[test]
fn a_proposer_adds_the_evidence_that_it_has() {
    let mut world = World::new(genesis(7));
    world.blocks(3, 1);
    let proof = double_sign(&world, 3, 2);
    let other = double_sign(&world, 99, 2);
    let committed = world.block_with(1, vec![], vec![Evidence::DoubleSign(other), Evidence::DoubleSign(proof.clone())]);
    assert_eq!((committed.transactions.len(), world.of_genesis(3).penalty), (1, percent(5)));
    let committed = world.block_with(1, vec![], vec![Evidence::DoubleSign(proof)]);
    assert_eq!(committed.transactions.len(), 0);
}

/// Key 17 is that of masternode 7 from height 5 on: what it signed for lower heights is of no use, and takes no place from what is.
#[test]
fn proofs_of_no_use_keep_nothing_else_out_of_a_block() {
    let mut world = World::new(genesis(7));
    world.blocks(2, 1);
    let rotated = world.rotate(7, 17);
    world.block(1, vec![rotated]);
    let mut evidence: Vec<_> = (1..=4).map(|height| Evidence::DoubleSign(double_sign(&world, 17, height))).collect();
    evidence.push(Evidence::DoubleSign(double_sign(&world, 3, 2)));
    let committed = world.block_with(1, vec![], evidence);
    assert_eq!((committed.transactions.len(), world.of_genesis(3).penalty), (1, percent(5)));
    assert_eq!(world.of_genesis(7).penalty, Amount::ZERO);
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn penalty_follows_key() {
        assert!(is_caught(Bug::PenaltyFollowsKey, a_penalty_follows_who_had_the_key));
    }

    #[test]
    fn jailed_below_quorum() {
        assert!(is_caught(Bug::JailedBelowQuorum, four_stay_whatever_happens));
    }
}
