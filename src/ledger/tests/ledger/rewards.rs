//! What masternodes earn: who took part, what that is worth, and that not a unit is made or lost.

use crate::reward_chain::{FEE, World, genesis, key};
use timed_chain::{BlockError, Evidence, History as _, ValidationError};
use timed_ledger::{
    KeyHash, LedgerQueries as _, Lock, LockOwner, OutPoint, Payout, Payouts, RegisterPayload, RegistrationId,
    RewardState, StatementError, Tier, Transaction, TransactionBody, TransactionError, TransactionPayload as P,
    TxInput, TxOutput, emission, payout_id,
};
use timed_primitives::{Amount, CommitCertificate, Height, decode, encode};

/// Four of genesis after interval 1 (heights 1 to 10) was paid by block 20, all having signed all.
fn paid_once() -> World {
    let mut world = World::new(genesis(4));
    world.block(5, vec![]);
    world.blocks(10, 1);
    assert_eq!(world.rewards().open().number, 2);
    assert_eq!(world.supply().issued, Amount::ZERO, "interval 1 waits until late precommits are in");
    world.blocks(10, 1);
    world
}

#[test]
fn an_interval_is_paid_when_the_next_one_closes() {
    let world = paid_once();
    let (made, report) = (emission(4), world.report(1));
    assert_eq!((report.first, report.paid_at, report.voters), (Height(1), Height(21), 4));
    assert_eq!((report.emission, report.fees), (made, Amount::ZERO));
    assert_eq!(report.masternodes.iter().map(|row| (row.expected, row.signed)).collect::<Vec<_>>(), [(11, 11); 4]);
    // 95 percent by four equal parts; what does not divide is the treasury's.
    let each = (made.0 - made.0 * 5 / 100) / 4;
    assert!(report.masternodes.iter().all(|row| row.earned == Amount(each) && row.paid == Amount(each)));
    let supply = world.supply();
    assert_eq!((supply.issued, supply.treasury), (made, Amount(made.0 - 4 * each)));
    let id = payout_id(world.genesis.hash(), Height(21));
    for index in 0..4 {
        assert_eq!(world.output(OutPoint { txid: id, index }).unwrap().amount, Amount(each));
    }
    assert_eq!(world.output(OutPoint { txid: id, index: 4 }), None);
}

#[test]
fn what_waits_says_what_it_would_pay_and_the_report_has_the_outputs() {
    let mut world = World::new(genesis(4));
    world.block(5, vec![]);
    world.blocks(19, 1);
    let waits = || {
        let view = world.ledger.reader().view();
        let (list, money) = (view.state().masternodes().clone(), world.supply().total().unwrap());
        world.rewards().expected_payment(&list, money, &world.genesis.parameters)
    };
    let expected = waits().unwrap().report;
    world.block(1, vec![]);
    let report = world.report(1);
    assert_eq!((expected.masternodes, &expected.outputs), (report.masternodes.clone(), &report.outputs));
    assert_eq!(report.masternodes.iter().map(|row| row.payouts).collect::<Vec<_>>(), [1; 4]);
    let id = payout_id(world.genesis.hash(), report.paid_at);
    for (index, output) in (0..).zip(&report.outputs) {
        assert_eq!(world.output(OutPoint { txid: id, index }), Some(*output));
    }
    let view = world.ledger.reader().view();
    let none =
        RewardState::genesis().expected_payment(view.state().masternodes(), Amount::ZERO, &world.genesis.parameters);
    assert_eq!(none, None, "nothing waits at the start");
}

#[test]
fn what_is_paid_comes_back_with_the_ledger_and_from_its_log_alone() {
    let world = paid_once();
    let (state, report) = (world.rewards(), world.report(1));
    let again = world.reopened();
    assert_eq!(
        ((**again.reader().view().state().rewards()).clone(), again.reader().reward_report(1).unwrap()),
        (state.clone(), Some(report.clone()))
    );
    let replayed = world.replayed();
    assert_eq!(
        ((**replayed.reader().view().state().rewards()).clone(), replayed.reader().reward_report(1).unwrap()),
        (state, Some(report))
    );
}

/// A node that starts in the middle of an interval of output roots looks for what was spent since its boundary: here payouts from before it and
/// after it.
#[test]
fn a_payout_that_is_spent_is_found_again_after_a_start() {
    let last = |starts_again: bool, loses_store: bool| {
        let mut genesis = genesis(4);
        genesis.parameters.output_root_interval = 30;
        let mut world = World::new(genesis);
        world.block(5, vec![]);
        world.blocks(31, 1);
        let spend = |height: u64, index: u32| {
            let id = payout_id(world.genesis.hash(), Height(height));
            let (own, previous) = (key("wallet", 0), OutPoint { txid: id, index });
            let amount = Amount(world.output(previous).unwrap().amount.0 - FEE);
            let lock = Lock::KeyHash(KeyHash::of(&own.public()));
            let outputs = vec![TxOutput { amount, lock }];
            TransactionBody::transfer(world.genesis.chain_id, vec![TxInput { previous }], outputs).sign(&[&own])
        };
        let payments = vec![spend(21, 0), spend(21, 2), spend(31, 1)];
        world.block(1, payments);
        if starts_again {
            world.ledger.flush().unwrap();
            world.ledger = if loses_store { world.replayed() } else { world.reopened() };
        }
        world.blocks(27, 1);
        let decided = world.ledger.reader().decided(Height(60)).unwrap().unwrap();
        assert_ne!(decided.block.header.output_root, timed_primitives::Hash::ZERO);
        decided.block.id()
    };
    let expected = last(false, false);
    assert_eq!((last(true, false), last(true, true)), (expected, expected));
}

#[test]
fn who_missed_earns_less_and_nobody_earns_more_for_it() {
    let mut world = World::new(genesis(4));
    world.block(5, vec![]);
    world.signers = vec![1, 2, 3];
    world.blocks(20, 1);
    let (report, fourth) = (world.report(1), world.of_genesis(4).id);
    let each = (emission(4).0 - emission(4).0 * 5 / 100) / 4;
    for row in &report.masternodes {
        let (signed, earned) = if row.registration == fourth { (1, each / 11) } else { (11, each) };
        assert_eq!((row.signed, row.earned.0.abs_diff(earned) <= 1), (signed, true), "{row:?}");
    }
    assert_eq!(world.supply().treasury, report.treasury);
}

/// Late precommits of masternode 4 for the last so many heights.
fn late(world: &World, heights: std::ops::RangeInclusive<u64>) -> Vec<CommitCertificate> {
    let reader = world.ledger.reader();
    let block = |height: u64| reader.block_id(Height(height)).unwrap().unwrap();
    heights.map(|height| world.precommits(Height(height), block(height), &[4])).collect()
}

#[test]
fn precommits_that_come_late_count_alike() {
    let mut world = World::new(genesis(4));
    world.block(5, vec![]);
    world.signers = vec![1, 2, 3];
    world.blocks(10, 1);
    let late = late(&world, 2..=10);
    // More than a block takes by itself: the rest comes with the next ones.
    let statements: Vec<_> = late.into_iter().map(Evidence::LatePrecommits).collect();
    let first = world.block_with(1, vec![], statements.clone());
    assert_eq!((first.transactions.len(), first.transactions.iter().all(|facts| facts.is_statement)), (4, true));
    assert_ne!(first.block.header.evidence_root, timed_primitives::merkle::root(&[]));
    for _ in 0..4 {
        world.block_with(1, vec![], statements.clone());
    }
    world.blocks(5, 1);
    let signed: Vec<_> = world.report(1).masternodes.iter().map(|row| (row.expected, row.signed)).collect();
    let fourth = world.report(1).masternodes.iter().position(|row| row.registration == world.of_genesis(4).id);
    assert_eq!(signed[fourth.unwrap()], (11, 10), "height 11 was nobody's to add");
}

#[test]
fn a_late_precommit_counts_once_and_for_what_was_decided() {
    let mut world = World::new(genesis(4));
    world.block(5, vec![]);
    world.signers = vec![1, 2, 3];
    world.blocks(120, 1);
    let reader = world.ledger.reader();
    let made = |late: CommitCertificate, world: &World| world.statement(P::LatePrecommits(late), &[]);
    let of = |height: u64, signers: &[u64], world: &World| {
        world.precommits(Height(height), reader.block_id(Height(height)).unwrap().unwrap(), signers)
    };
    let good = of(100, &[4], &world);
    let refused = |world: &mut World, late: CommitCertificate| {
        let transaction = made(late, world);
        match world.refused(&transaction) {
            TransactionError::Statement(error) => error,
            other => panic!("{other:?}"),
        }
    };
    use StatementError as E;
    let (four, one) = (key("consensus", 4).public(), key("consensus", 1).public());
    let counted = E::Counted { key: one, height: Height(100) };
    let too_old = of(20, &[4], &world);
    assert_eq!(refused(&mut world, too_old), E::Height { height: Height(20), first: Height(22), last: Height(121) });
    let to_come = world.signed_anew(&CommitCertificate { height: Height(122), ..good.clone() }, &[4]);
    assert!(matches!(refused(&mut world, to_come), E::Height { height: Height(122), .. }));
    let with_one = of(100, &[1], &world);
    assert_eq!(refused(&mut world, with_one), counted);
    let other_block = CommitCertificate { block: reader.block_id(Height(99)).unwrap().unwrap(), ..good.clone() };
    let other_block = world.signed_anew(&other_block, &[4]);
    assert!(matches!(refused(&mut world, other_block), E::Block { .. }));
    let other_round = CommitCertificate { round: timed_primitives::Round(1), ..good.clone() };
    let other_round = world.signed_anew(&other_round, &[4]);
    assert!(matches!(refused(&mut world, other_round), E::Block { .. }));
    let nobody = CommitCertificate { signatures: vec![], ..good.clone() };
    assert_eq!(refused(&mut world, nobody), E::Nobody);
    let twice = CommitCertificate { signatures: [&good.signatures[..], &good.signatures[..]].concat(), ..good.clone() };
    assert_eq!(refused(&mut world, twice), E::Order(four));
    let outsider = of(100, &[7], &world);
    assert!(matches!(refused(&mut world, outsider), E::NoVoter { .. }));
    let spoken = made(good.clone(), &world);
    world.block(1, vec![spoken]);
    assert_eq!(refused(&mut world, good), E::Counted { key: four, height: Height(100) });
}

#[test]
fn a_late_precommit_that_is_not_signed_makes_a_block_invalid() {
    let mut world = World::new(genesis(4));
    world.block(5, vec![]);
    world.signers = vec![1, 2, 3];
    world.blocks(3, 1);
    let mut forged = late(&world, 3..=3).remove(0);
    let good = world.statement(P::LatePrecommits(forged.clone()), &[]);
    forged.signatures[0].signature.0[7] ^= 1;
    let forged = world.statement(P::LatePrecommits(forged), &[]);
    // The proposer leaves it out; who validates such a block refuses it.
    let assembled = world.block(1, vec![good.clone()]);
    let mut block = (*assembled.block).clone();
    assert_eq!(decode::<Vec<Transaction>>(&block.payload.0).unwrap(), [good]);
    block.payload.0 = encode(&vec![forged.clone()]);
    block.header.tx_root = timed_ledger::transaction_root(std::slice::from_ref(&forged));
    block.header.evidence_root = block.header.tx_root;
    let mut other = World::new(genesis(4));
    other.block(5, vec![]);
    other.signers = vec![1, 2, 3];
    other.blocks(3, 1);
    let error = other.ledger.validate(&std::sync::Arc::new(block)).unwrap_err();
    assert!(matches!(error, ValidationError::Invalid(BlockError::Transaction { index: 0, .. })), "{error}");
}

#[test]
fn a_header_names_the_statements_of_its_block() {
    let mut world = World::new(genesis(4));
    world.block(5, vec![]);
    world.signers = vec![1, 2, 3];
    world.blocks(3, 1);
    let good = world.statement(P::LatePrecommits(late(&world, 3..=3).remove(0)), &[]);
    let committed = world.block(1, vec![good.clone()]);
    assert_eq!(committed.block.header.evidence_root, timed_ledger::transaction_root(&[good]));
    let mut other = World::new(genesis(4));
    other.block(5, vec![]);
    other.signers = vec![1, 2, 3];
    other.blocks(3, 1);
    let mut block = (*committed.block).clone();
    block.header.evidence_root = timed_primitives::merkle::root(&[]);
    let error = other.ledger.validate(&std::sync::Arc::new(block)).unwrap_err();
    assert!(matches!(error, ValidationError::Invalid(BlockError::EvidenceRoot { .. })), "{error}");
}

#[test]
fn a_long_gap_is_one_interval() {
    let mut world = World::new(genesis(4));
    world.block(5, vec![]);
    world.block(100_000, vec![]);
    world.block(100_000, vec![]);
    world.block(100_000, vec![]);
    assert_eq!((world.rewards().open().number, world.supply().issued), (4, Amount(2 * emission(4).0)));
    assert_eq!(world.report(1).masternodes[0].expected, 2);
    assert_eq!(world.report(2).masternodes[0].expected, 1);
}

#[test]
fn fees_are_paid_with_the_interval_they_came_in() {
    let mut world = World::new(genesis(4));
    world.block(5, vec![]);
    let paying = world.change(P::Transfer, &[]);
    world.block(1, vec![paying]);
    assert_eq!(world.supply().fees, Amount(FEE));
    world.blocks(20, 1);
    assert_eq!((world.report(1).fees, world.supply().fees), (Amount(FEE), Amount::ZERO));
    let share = (emission(4).0 - emission(4).0 * 5 / 100 + FEE) / 4;
    assert!(world.report(1).masternodes.iter().all(|row| row.earned == Amount(share)));
}

fn payouts(shares: &[(u64, u16)]) -> Payouts {
    let payout = |(wallet, share): &(u64, u16)| Payout {
        to: LockOwner::KeyHash(KeyHash::of(&key("wallet", *wallet).public())),
        share: *share,
    };
    Payouts::new(shares.iter().map(payout).collect()).unwrap()
}

#[test]
fn payees_get_their_shares_and_dust_is_the_treasurys() {
    let mut genesis = genesis(4);
    genesis.masternodes[0].payouts = payouts(&[(1, 3_333), (2, 6_666), (3, 1)]);
    // A share of one in ten thousand of 56.67 TIME is 0.0056 TIME.
    genesis.parameters.dust_min = Amount(600_000);
    let mut world = World::new(genesis);
    world.block(5, vec![]);
    world.blocks(20, 1);
    let (report, first) = (world.report(1), world.of_genesis(1).id);
    let position = report.masternodes.iter().position(|row| row.registration == first).unwrap();
    let row = report.masternodes[position];
    let [third, rest] = [row.earned.0 * 3_333 / 10_000, row.earned.0 * 6_666 / 10_000];
    assert_eq!((row.paid, row.payouts), (Amount(third + rest), 2));
    let id = payout_id(world.genesis.hash(), Height(21));
    let at = |index: usize| world.output(OutPoint { txid: id, index: index.try_into().unwrap() }).unwrap();
    assert_eq!((at(position).amount, at(position + 1).amount), (Amount(third), Amount(rest)));
    assert_eq!(at(position + 1).lock.key_hash(), Some(KeyHash::of(&key("wallet", 2).public())));
}

/// Registers a free masternode with keys of this number.
pub(crate) fn free(world: &mut World, n: u64) -> RegistrationId {
    let payload = RegisterPayload {
        tier: Tier::Free,
        owner: key("owner", n).public(),
        operator: key("consensus", n).public(),
        service: "203.0.113.7:7000".parse().unwrap(),
        payouts: payouts(&[(n, 10_000)]),
    };
    let made = world.with_payload(P::Register(payload), Amount::ONE, &[key("owner", n), key("consensus", n)]);
    world.block(1, vec![made.clone()]);
    RegistrationId(made.id().0)
}

#[test]
fn a_free_one_that_three_witnesses_reached_is_paid() {
    let mut world = World::new(genesis(4));
    world.block(5, vec![]);
    let [reached, unreached] = [free(&mut world, 20), free(&mut world, 21)];
    world.blocks(10, 1);
    let drawn = world.rewards().open().drawn.clone();
    assert_eq!(drawn.len(), 2);
    assert!(drawn.iter().all(|drawn| drawn.witnesses.len() == 4));
    let say = |world: &World, free, n: u64, interval| {
        let payload = P::Reachability { interval, free, witness: world.of_genesis(n).id };
        world.statement(payload, &[&key("consensus", n)])
    };
    use StatementError as E;
    let (witness, expected) = (world.of_genesis(1).id, key("consensus", 1).public());
    let forged = {
        let payload = P::Reachability { interval: 2, free: reached, witness };
        world.statement(payload, &[&key("consensus", 2)])
    };
    assert_eq!(world.refused(&forged), TransactionError::Statement(E::NotSigned { witness, expected }));
    let early = say(&world, reached, 1, 3);
    assert_eq!(world.refused(&early), E::NotDrawn { interval: 3, free: reached, witness }.into());
    let statements =
        [1, 2, 3].map(|n| say(&world, reached, n, 2)).into_iter().chain([1, 2].map(|n| say(&world, unreached, n, 2)));
    let statements: Vec<_> = statements.collect();
    world.block(1, statements.clone());
    assert_eq!(world.refused(&statements[0]), E::StatedAlready { interval: 2, free: reached, witness }.into());
    world.blocks(20, 1);
    assert_eq!(world.refused(&statements[0]), E::NotDrawn { interval: 2, free: reached, witness }.into());
    let report = world.report(2);
    let paid = |id| report.free.iter().find(|row| row.registration == id).map(|row| (row.reached, row.paid));
    assert_eq!(paid(reached), Some((3, Amount(report.emission.0 / 200))));
    assert_eq!(paid(unreached), Some((2, Amount::ZERO)));
    assert_eq!(world.report(1).free, vec![], "nobody was free when interval 1 opened");
}

#[test]
fn a_statement_moves_no_money() {
    let mut world = World::new(genesis(4));
    world.blocks(3, 1);
    let payload = P::LatePrecommits(late(&world, 2..=2).remove(0));
    let paying = world.change(payload.clone(), &[]);
    assert_eq!(world.refused(&paying), StatementError::NotBare.into());
    let witnessed = world.statement(payload, &[&key("consensus", 4)]);
    assert_eq!(world.refused(&witnessed), TransactionError::WitnessCount { witnesses: 1, needed: 0 });
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn reward_paid_twice() {
        assert!(is_caught(Bug::RewardPaidTwice, a_long_gap_is_one_interval));
    }
}
