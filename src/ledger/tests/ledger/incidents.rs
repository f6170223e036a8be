//! What went wrong on other chains when their validators changed, as it goes here.

use crate::reward_chain::{FEE, World, genesis, key};
use timed_chain::History as _;
use timed_ledger::{
    KeyHash, LockOwner, Masternode, MasternodeError as E, MasternodeStatus as S, Payouts, RegisterPayload,
    RegistrationId, Tier, Transaction, TransactionBody, TransactionError, TransactionPayload as P, TxInput, TxOutput,
};
use timed_primitives::{Amount, Height};

/// A bronze masternode with keys of this number.
fn registration(world: &mut World, n: u64) -> Transaction {
    let payload = P::Register(RegisterPayload {
        tier: Tier::Bronze,
        owner: key("owner", n).public(),
        operator: key("consensus", n).public(),
        service: "203.0.113.7:7000".parse().unwrap(),
        payouts: Payouts::one(LockOwner::KeyHash(KeyHash::of(&key("wallet", n).public()))),
    });
    world.with_payload(payload, Amount::whole(1_000), &[key("owner", n), key("consensus", n)])
}

/// Why the second is left out of the block with the first.
fn refused_after(world: &mut World, first: Transaction, second: &Transaction) -> TransactionError {
    world.refused_after(vec![first], second)
}

#[test]
fn collateral_is_not_spent_in_the_block_that_registers_it() {
    let mut world = World::new(genesis(4));
    world.blocks(1, 1);
    let registered = registration(&mut world, 5);
    let (previous, output) = registered.outputs().next().unwrap();
    let outputs = vec![TxOutput { amount: Amount(output.amount.0 - FEE), lock: output.lock }];
    let spend = TransactionBody::transfer(world.genesis.chain_id, vec![TxInput { previous }], outputs);
    let spend = spend.sign(&[&key("wallet", 0)]);
    let error = refused_after(&mut world, registered, &spend);
    assert!(matches!(error, TransactionError::Masternode(E::CollateralLocked { .. })), "{error}");
}

#[test]
fn of_two_registrations_with_one_collateral_in_a_block_one_is_there() {
    let mut world = World::new(genesis(4));
    world.blocks(1, 1);
    let first = registration(&mut world, 5);
    let mut body = first.body.clone();
    let P::Register(register) = &mut body.payload else { panic!("{body:?}") };
    (register.owner, register.operator) = (key("owner", 6).public(), key("consensus", 6).public());
    let (wallet, owner, operator) = (key("wallet", 0), key("owner", 6), key("consensus", 6));
    let keys: Vec<_> = body.inputs.iter().map(|_| &wallet).chain([&owner, &operator]).collect();
    let second = body.clone().sign(&keys);
    let error = refused_after(&mut world, first.clone(), &second);
    assert!(matches!(error, TransactionError::SpentInBlock(_)), "{error}");
    world.block(1, vec![first]);
    assert!(matches!(world.refused(&second), TransactionError::UnknownInput(_)));
}

#[test]
fn a_registration_and_its_revocation_are_not_in_one_block() {
    let mut world = World::new(genesis(4));
    world.blocks(1, 1);
    let registered = registration(&mut world, 5);
    let (registration, previous) = (RegistrationId(registered.id().0), registered.id());
    let revoked = world.change(P::Revoke { registration, previous }, &[key("owner", 5)]);
    let error = refused_after(&mut world, registered.clone(), &revoked);
    assert!(matches!(error, TransactionError::Masternode(E::ChangedInBlock { .. })), "{error}");
    world.block(1, vec![registered]);
    world.block(1, vec![revoked]);
    // It leaves before it ever voted, and nobody is the worse for it.
    assert!(matches!(world.get(registration).unwrap().status, S::Left { at: Height(3), .. }));
    world.blocks(4, 1);
    assert_eq!(world.ledger.reader().validators(Height(7)).len(), 4);
}

#[test]
fn not_all_pause_but_three() {
    let mut world = World::new(genesis(7));
    world.blocks(1, 1);
    let paused: Vec<_> = (1..=4).map(|n| world.pause(n)).collect();
    let [first, second, third, fourth] = paused.try_into().unwrap();
    let error = world.refused_after(vec![first, second, third], &fourth);
    assert_eq!(error, TransactionError::Masternode(E::TooFewVoters { left: 3 }));
}

#[test]
fn an_exit_that_waits_longer_than_the_unbonding_time_is_released_that_time_after_it() {
    let mut world = World::new(genesis(4));
    world.blocks(1, 1);
    let all = Amount::whole(1_000).0 - FEE;
    let revoked = [1, 2].map(|n| world.revoke(n));
    world.block(1, revoked.to_vec());
    world.blocks(3, 61);
    let early = world.release(1, all);
    assert!(matches!(world.refused(&early), TransactionError::Masternode(E::Status { status: "leaving", .. })));
    let joining = registration(&mut world, 5);
    world.block(1, vec![joining]);
    world.signers.push(5);
    // One place is free: of two that asked in one block, the one whose name comes first.
    let mut leaving: Vec<Masternode> = [1, 2].map(|n| world.of_genesis(n)).into();
    leaving.sort_by_key(|one| one.id);
    assert!(matches!((leaving[0].status, leaving[1].status), (S::Left { .. }, S::Leaving { .. })), "{leaving:?}");
    let first = [1, 2].into_iter().find(|n| world.of_genesis(*n).id == leaving[0].id).unwrap();
    let early = world.release(first, all);
    assert!(matches!(world.refused(&early), TransactionError::Masternode(E::Unbonding { .. })));
    world.blocks(1, 59);
    let release = world.release(first, all);
    world.block(1, vec![release]);
    assert_eq!(world.get(leaving[0].id), None);
}
