//! Masternodes on a chain: how they come, change, and go.

use crate::chain::{Node, block, coin, commit, draft, genesis, locked, wallet};
use timed_chain::{BlockError, History as _, TransactionFault, ValidationError};
use timed_ledger::{
    KeyHash, LIST_ENTRY_BYTES, Lock, LockOwner, Masternode, MasternodeError as E, MasternodeList, MasternodeProof,
    MasternodeStatus, Payouts, RegisterPayload, RegistrationId, Tier, Transaction, TransactionBody, TransactionError,
    TransactionPayload as P, TxInput, TxOutput,
};
use timed_primitives::{Amount, Hash, Height, PublicKey, SecretKey, TxId, encode};

const FEE: u64 = 10_000;

fn key(purpose: &str, id: u64) -> SecretKey {
    SecretKey::development(purpose, id)
}

fn register(tier: Tier, id: u64) -> RegisterPayload {
    RegisterPayload {
        tier,
        owner: key("owner", id).public(),
        operator: key("consensus", id).public(),
        service: "203.0.113.7:7000".parse().unwrap(),
        payouts: Payouts::one(LockOwner::KeyHash(KeyHash::of(&wallet(id).public()))),
    }
}

/// A transaction with this payload that spends the n-th coin of genesis, or two of them, into outputs with the first of this amount.
fn with_payload(payload: P, coins: &[usize], first: u64) -> TransactionBody {
    let spent: Vec<_> = coins.iter().map(|n| coin(*n)).collect();
    let total: u64 = spent.iter().map(|(_, output)| output.amount.0).sum();
    let inputs = spent.iter().map(|(previous, _)| TxInput { previous: *previous }).collect();
    let outputs = vec![locked(first, 0), locked(total - first - FEE, 0)];
    TransactionBody { payload, ..TransactionBody::transfer(genesis().chain_id, inputs, outputs) }
}

/// Signs with wallet 0 for each input, then with these.
fn signed(body: TransactionBody, signers: &[SecretKey]) -> Transaction {
    let own = wallet(0);
    let keys: Vec<_> = body.inputs.iter().map(|_| &own).chain(signers).collect();
    body.sign(&keys)
}

/// Registers a bronze masternode with keys of this number, from two coins.
pub(crate) fn registration(id: u64, coins: [usize; 2]) -> Transaction {
    let body = with_payload(P::Register(register(Tier::Bronze, id)), &coins, Amount::whole(1_000).0);
    signed(body, &[key("owner", id), key("consensus", id)])
}

fn id_of(transaction: &Transaction) -> RegistrationId {
    RegistrationId(transaction.id().0)
}

fn list(node: &Node) -> MasternodeList {
    (**node.ledger.reader().view().state().masternodes()).clone()
}

fn get(node: &Node, id: RegistrationId) -> Masternode {
    list(node).get(&id).unwrap().clone()
}

/// Who decides these heights.
fn voters(node: &Node, heights: std::ops::RangeInclusive<u64>) -> Vec<usize> {
    heights.map(|height| node.ledger.reader().validators(Height(height)).len()).collect()
}

/// Why the proposer leaves a candidate out that comes after `before`.
fn refused_after(node: &mut Node, before: Vec<Transaction>, candidate: &Transaction) -> TransactionError {
    let candidates = before.into_iter().chain([candidate.clone()]).collect();
    let left_out = node.ledger.assemble(draft(&node.ledger, candidates)).unwrap().left_out;
    match &left_out[..] {
        [(id, TransactionFault::Refused(reason))] if *id == candidate.id() => {
            reason.downcast_ref::<TransactionError>().unwrap().clone()
        }
        other => panic!("{other:?}"),
    }
}

fn refused(node: &mut Node, candidate: &Transaction) -> E {
    match refused_after(node, vec![], candidate) {
        TransactionError::Masternode(error) => error,
        other => panic!("{other:?}"),
    }
}

/// A change of a masternode, signed by these, that spends a coin of genesis.
fn change(payload: P, coin: usize, signers: &[SecretKey]) -> Transaction {
    signed(with_payload(payload, &[coin], 5_000), signers)
}

/// The n-th masternode of genesis, whose keys have number n.
fn of_genesis(n: u64) -> Masternode {
    let operator = key("consensus", n).public();
    genesis().masternodes().find(|one| one.operator == operator).unwrap()
}

fn pause(one: &Masternode, n: u64, coin: usize) -> Transaction {
    change(P::Pause { registration: one.id, previous: one.last_change }, coin, &[key("consensus", n)])
}

fn resume(one: &Masternode, n: u64, coin: usize) -> Transaction {
    change(P::Resume { registration: one.id, previous: one.last_change }, coin, &[key("consensus", n)])
}

fn revoke(one: &Masternode, n: u64, coin: usize) -> Transaction {
    change(P::Revoke { registration: one.id, previous: one.last_change }, coin, &[key("owner", n)])
}

/// Spends the collateral of genesis masternode `n`.
fn release(one: &Masternode, n: u64) -> Transaction {
    let outputs = vec![TxOutput { amount: Amount(Amount::whole(1_000).0 - FEE), lock: Lock::KeyHash(hash_of(0)) }];
    let inputs = vec![TxInput { previous: one.collateral }];
    let body = TransactionBody {
        payload: P::Release { registration: one.id },
        ..TransactionBody::transfer(genesis().chain_id, inputs, outputs)
    };
    body.sign(&[&key("collateral", n)])
}

/// A transaction with each payload but a transfer, by name.
pub(crate) fn of_each_payload() -> Vec<(&'static str, Transaction)> {
    let one = of_genesis(1);
    let (named, previous, service) = (one.id, one.last_change, "[2001:db8::1]:7000".parse().unwrap());
    let (operator, payouts) = (key("consensus", 9).public(), one.payouts.clone());
    let registrar = P::UpdateRegistrar { registration: named, previous, operator, payouts };
    vec![
        ("register", registration(5, [0, 1])),
        (
            "update service",
            change(P::UpdateService { registration: named, previous, service }, 0, &[key("consensus", 1)]),
        ),
        ("update registrar", change(registrar, 0, &[key("owner", 1), key("consensus", 9)])),
        ("pause", pause(&one, 1, 0)),
        ("resume", resume(&one, 1, 0)),
        ("revoke", revoke(&one, 1, 0)),
        ("release", release(&one, 1)),
    ]
}

fn hash_of(id: u64) -> KeyHash {
    KeyHash::of(&wallet(id).public())
}

fn who_registers_votes_two_heights_later() {
    let mut node = Node::new();
    let fifth = registration(5, [0, 1]);
    commit(&mut node.ledger, vec![fifth.clone()]);
    assert_eq!(voters(&node, 1..=3), [4, 4, 5]);
    let one = get(&node, id_of(&fifth));
    assert_eq!((one.tier, one.status, one.registered_at), (Tier::Bronze, MasternodeStatus::Active, Height(1)));
    let second = commit(&mut node.ledger, vec![]);
    let third = commit(&mut node.ledger, vec![]);
    let (four, five) = (node.ledger.reader(), [second.block.header.clone(), third.block.header.clone()]);
    assert_eq!(five[0].next_validators_hash, five[1].validators_hash);
    assert_ne!(five[0].validators_hash, five[1].validators_hash);
    assert!(four.validators(Height(3)).get(&key("consensus", 5).public()).is_some());
    assert_eq!(voters(&node, 3..=5), [5, 5, 5]);
}

#[test]
fn a_registration_acts_two_heights_later() {
    who_registers_votes_two_heights_later();
}

#[test]
fn a_list_comes_back_with_the_ledger() {
    let mut node = Node::new();
    let fifth = registration(5, [0, 1]);
    commit(&mut node.ledger, vec![fifth]);
    let (before, root) = (list(&node), list(&node).root());
    assert_eq!(before.len(), 5);
    let again = Node::open(node.disk.clone(), node.store.clone());
    assert_eq!((list(&again), list(&again).root()), (before.clone(), root));
    assert_eq!(voters(&again, 1..=3), [4, 4, 5]);
    // From the block log alone.
    let replayed = Node::open(node.disk.clone(), Default::default());
    assert_eq!((list(&replayed), voters(&replayed, 1..=3)), (before, vec![4, 4, 5]));
}

#[test]
fn each_rule_of_a_registration_has_its_error() {
    let mut node = Node::new();
    let signers = [key("owner", 5), key("consensus", 5)];
    let of = |edit: &dyn Fn(&mut RegisterPayload, &mut TransactionBody)| {
        let mut payload = register(Tier::Bronze, 5);
        let mut body = with_payload(P::Transfer, &[0, 1], Amount::whole(1_000).0);
        edit(&mut payload, &mut body);
        body.payload = P::Register(payload);
        signed(body, &signers)
    };
    let mut error = |edit: &dyn Fn(&mut RegisterPayload, &mut TransactionBody)| refused(&mut node, &of(edit));
    let (needed, found) = (Amount::whole(10_000), Amount::whole(1_000));
    assert_eq!(error(&|p, _| p.tier = Tier::Silver), E::CollateralAmount { tier: Tier::Silver, needed, found });
    let found = Amount(Amount::whole(1_000).0 - 1);
    let small = error(&|_, b| b.outputs[0].amount = found);
    assert_eq!(small, E::CollateralAmount { tier: Tier::Bronze, needed: Amount::whole(1_000), found });
    let until = |_: &mut RegisterPayload, b: &mut TransactionBody| {
        b.outputs[0].lock = Lock::NotBefore { height: Height(9), owner: LockOwner::KeyHash(hash_of(0)) };
    };
    assert_eq!(error(&until), E::CollateralNotBefore);
    assert_eq!(error(&|_, b| b.outputs[0].lock = Lock::KeyHash(hash_of(7))), E::CollateralNotSigned);
    let taken = of_genesis(1);
    let of_another = error(&|p, _| p.operator = taken.operator);
    assert_eq!(of_another, E::OperatorTaken { operator: taken.operator, registration: taken.id });
    let nobody = PublicKey([2; 32]);
    assert_eq!(error(&|p, _| p.owner = nobody), E::Key(nobody));
    assert_eq!(error(&|p, _| p.operator = nobody), E::Key(nobody));
    let unspecified = timed_ledger::ServiceAddress::new("0.0.0.0:7000".parse().unwrap());
    assert!(matches!(error(&|p, _| p.service = unspecified), E::Service(_)));
    // The three keys, each missing.
    let body = with_payload(P::Register(register(Tier::Bronze, 5)), &[0, 1], Amount::whole(1_000).0);
    for (position, role, wrong) in [(0, "owner", [6, 5]), (1, "operator", [5, 6])] {
        let by = [key("owner", wrong[0]), key("consensus", wrong[1])];
        let expected = signers[position].public();
        assert_eq!(refused(&mut node, &signed(body.clone(), &by)), E::Signer { position, role, expected });
    }
    let unsigned = refused_after(&mut node, vec![], &signed(body, &signers[..1]));
    assert_eq!(unsigned, TransactionError::WitnessCount { witnesses: 3, needed: 4 });
}

#[test]
fn a_collateral_is_spent_by_its_release_only() {
    let mut node = Node::new();
    let fifth = registration(5, [0, 1]);
    let (outpoint, output) = fifth.outputs().next().unwrap();
    let spend = crate::chain::move_to((outpoint, output), 0, 3);
    let locked = TransactionError::from(E::CollateralLocked { outpoint, registration: id_of(&fifth) });
    // In the block that registers it, and later.
    assert_eq!(refused_after(&mut node, vec![fifth.clone()], &spend), locked);
    commit(&mut node.ledger, vec![fifth.clone()]);
    assert_eq!(refused_after(&mut node, vec![], &spend), locked);
    // By the registration of another, too.
    let mut again = registration(6, [2, 3]).body;
    again.inputs[0].previous = outpoint;
    let again = signed(again, &[key("owner", 6), key("consensus", 6)]);
    assert_eq!(refused_after(&mut node, vec![], &again), locked);
    // Released by the name of another masternode.
    let one = of_genesis(1);
    let mut wrong = release(&one, 1).body;
    wrong.inputs[0].previous = outpoint;
    assert_eq!(refused_after(&mut node, vec![], &wrong.sign(&[&wallet(0)])), locked);
}

fn a_masternode_that_left_waits_for_its_money() {
    let mut node = Node::new();
    commit(&mut node.ledger, vec![registration(5, [0, 1])]);
    let one = of_genesis(4);
    let early = refused(&mut node, &release(&one, 4));
    assert!(matches!(early, E::Status { status: "active", .. }), "{early:?}");
    commit(&mut node.ledger, vec![revoke(&one, 4, 2)]);
    let MasternodeStatus::Left { at: Height(2), time } = get(&node, one.id).status else { panic!() };
    assert_eq!(voters(&node, 2..=4), [4, 5, 4]);
    let from = timed_primitives::UnixTime(time.0 + genesis().parameters.unbonding_ms);
    // A block each second.
    for _ in 0..59 {
        let now = timed_primitives::UnixTime(node.ledger.tip().time.0 + 1_000);
        assert_eq!(refused(&mut node, &release(&one, 4)), E::Unbonding { registration: one.id, from, now });
        commit(&mut node.ledger, vec![]);
    }
    let spends_nothing = change(P::Release { registration: one.id }, 3, &[]);
    assert_eq!(refused(&mut node, &spends_nothing), E::ReleaseSpends(one.collateral));
    commit(&mut node.ledger, vec![release(&one, 4)]);
    assert_eq!(list(&node).get(&one.id), None);
    assert!(list(&node).of_collateral(&one.collateral).is_none() && list(&node).of_operator(&one.operator).is_none());
    // Nothing of it is left to be changed.
    let gone = change(P::Resume { registration: one.id, previous: one.last_change }, 3, &[key("consensus", 4)]);
    assert_eq!(refused(&mut node, &gone), E::Unknown(one.id));
}

#[test]
fn a_collateral_is_released_after_the_unbonding_time() {
    a_masternode_that_left_waits_for_its_money();
}

#[test]
fn an_exit_waits_for_a_successor_and_nobody_goes_twice() {
    let mut node = Node::new();
    let [first, second] = [1, 2].map(of_genesis);
    commit(&mut node.ledger, vec![revoke(&second, 2, 0)]);
    commit(&mut node.ledger, vec![revoke(&first, 1, 1)]);
    let left =
        |node: &Node| [first.id, second.id].map(|id| matches!(get(node, id).status, MasternodeStatus::Left { .. }));
    assert_eq!((left(&node), voters(&node, 2..=4)), ([false, false], vec![4, 4, 4]));
    let leaving = get(&node, second.id);
    assert_eq!(leaving.status, MasternodeStatus::Leaving { asked_at: Height(1) });
    let again = refused(&mut node, &revoke(&leaving, 2, 2));
    assert!(matches!(again, E::Status { status: "leaving", .. }), "{again:?}");
    // Who asked first goes first.
    commit(&mut node.ledger, vec![registration(5, [2, 3])]);
    assert_eq!((left(&node), voters(&node, 3..=5)), ([false, true], vec![4, 4, 4]));
    commit(&mut node.ledger, vec![registration(6, [4, 5])]);
    assert_eq!((left(&node), voters(&node, 4..=6)), ([true, true], vec![4, 4, 4]));
    let voting: Vec<_> = [1, 2, 3, 4, 5, 6].map(|id| key("consensus", id).public()).to_vec();
    let set = node.ledger.reader().validators(Height(6));
    assert_eq!(
        voting.iter().map(|key| set.get(key).is_some()).collect::<Vec<_>>(),
        [false, false, true, true, true, true]
    );
}

#[test]
fn a_pause_costs_nothing_and_leaves_four() {
    let mut node = Node::new();
    let one = of_genesis(4);
    assert_eq!(refused(&mut node, &pause(&one, 4, 0)), E::TooFewVoters { left: 3 });
    commit(&mut node.ledger, vec![registration(5, [0, 1])]);
    let paused = pause(&one, 4, 2);
    commit(&mut node.ledger, vec![paused.clone()]);
    let one = get(&node, one.id);
    assert_eq!(
        (one.status, one.last_change, voters(&node, 2..=4)),
        (MasternodeStatus::Paused, paused.id(), vec![4, 5, 4])
    );
    let other = of_genesis(2);
    assert_eq!(refused(&mut node, &pause(&other, 2, 3)), E::TooFewVoters { left: 3 });
    let twice = refused(&mut node, &pause(&one, 4, 3));
    assert!(matches!(twice, E::Status { status: "paused", wanted: "pause", .. }), "{twice:?}");
    commit(&mut node.ledger, vec![resume(&one, 4, 3)]);
    assert_eq!((get(&node, one.id).status, voters(&node, 3..=5)), (MasternodeStatus::Active, vec![5, 4, 5]));
    // A paused one leaves at once: it has no power.
    let one = get(&node, one.id);
    commit(&mut node.ledger, vec![pause(&one, 4, 4)]);
    let one = get(&node, one.id);
    commit(&mut node.ledger, vec![revoke(&one, 4, 5)]);
    assert!(matches!(get(&node, one.id).status, MasternodeStatus::Left { at: Height(5), .. }));
}

#[test]
fn a_key_that_was_rotated_out_acts_no_more() {
    let mut node = Node::new();
    let one = of_genesis(1);
    let rotated = |operator: u64, signers: &[SecretKey], previous: TxId| {
        let payload = P::UpdateRegistrar {
            registration: one.id,
            previous,
            operator: key("consensus", operator).public(),
            payouts: one.payouts.clone(),
        };
        change(payload, 0, signers)
    };
    let (owner, new) = (key("owner", 1), key("consensus", 9));
    let by_operator = rotated(9, &[key("consensus", 1), new.clone()], one.last_change);
    let expected = owner.public();
    assert_eq!(refused(&mut node, &by_operator), E::Signer { position: 0, role: "owner", expected });
    let unwilling = rotated(9, &[owner.clone(), owner.clone()], one.last_change);
    assert_eq!(refused(&mut node, &unwilling), E::Signer { position: 1, role: "operator", expected: new.public() });
    let of_another = rotated(2, &[owner.clone(), key("consensus", 2)], one.last_change);
    assert!(matches!(refused(&mut node, &of_another), E::OperatorTaken { .. }));
    let nothing = rotated(1, &[owner.clone(), key("consensus", 1)], one.last_change);
    assert_eq!(refused(&mut node, &nothing), E::Nothing(one.id));
    let named = TxId(Hash([9; 32]));
    let other_past = rotated(9, &[owner.clone(), new.clone()], named);
    assert_eq!(refused(&mut node, &other_past), E::Predecessor { registration: one.id, named, last: one.last_change });
    let rotation = rotated(9, &[owner, new.clone()], one.last_change);
    // One change in a block.
    let follows = change(P::Pause { registration: one.id, previous: rotation.id() }, 1, &[new]);
    let second = refused_after(&mut node, vec![rotation.clone()], &follows);
    assert_eq!(second, E::ChangedInBlock { registration: one.id, height: Height(1) }.into());
    commit(&mut node.ledger, vec![rotation.clone()]);
    let (old_key, new_key) = (key("consensus", 1).public(), key("consensus", 9).public());
    let votes = |height| {
        let set = node.ledger.reader().validators(Height(height));
        [old_key, new_key].map(|key| set.get(&key).is_some())
    };
    assert_eq!([1, 2, 3].map(votes), [[true, false], [true, false], [false, true]]);
    let one = get(&node, one.id);
    // It cannot act for the masternode, nor register elsewhere in its name.
    let service = "203.0.113.9:7000".parse().unwrap();
    let update = P::UpdateService { registration: one.id, previous: one.last_change, service };
    let by_old = change(update.clone(), 2, &[key("consensus", 1)]);
    assert_eq!(refused(&mut node, &by_old), E::Signer { position: 0, role: "operator", expected: new_key });
    commit(&mut node.ledger, vec![change(update, 2, &[key("consensus", 9)])]);
    assert_eq!(get(&node, one.id).service, service);
}

#[test]
fn free_ones_expire_unless_they_are_renewed() {
    let mut node = Node::new();
    let deposit = genesis().parameters.free_deposit.0;
    let free = |id: u64, coin: usize| {
        let body = with_payload(P::Register(register(Tier::Free, id)), &[coin], deposit);
        signed(body, &[key("owner", id), key("consensus", id)])
    };
    let [kept, lost] = [free(5, 0), free(6, 1)];
    commit(&mut node.ledger, vec![kept.clone(), lost.clone()]);
    assert_eq!(voters(&node, 1..=3), [4, 4, 4]);
    // The time of a block is free for its proposer: one that is later than the expiry.
    let one = get(&node, id_of(&kept));
    let service = "203.0.113.9:7000".parse().unwrap();
    let update = P::UpdateService { registration: one.id, previous: one.last_change, service };
    commit(&mut node.ledger, vec![change(update, 2, &[key("consensus", 5)])]);
    let renewed = get(&node, one.id);
    assert_eq!(renewed.expires.0, one.expires.0 + 1_000);
    let mut late = draft(&node.ledger, vec![]);
    late.time = one.expires;
    let late = node.ledger.assemble(late).unwrap().block;
    let certificate = crate::chain::certify(&late);
    node.ledger.commit(late, certificate).unwrap();
    let left = |id| matches!(get(&node, id).status, MasternodeStatus::Left { .. });
    assert_eq!([id_of(&kept), id_of(&lost)].map(left), [false, true]);
}

fn a_header_names_the_list_and_proves_each_entry() {
    let mut node = Node::new();
    let root = list(&node).root();
    let made = block(&mut node.ledger, vec![registration(5, [0, 1])]);
    assert_ne!(made.header.masternode_root, root);
    let mut other = (*made).clone();
    other.header.masternode_root = root;
    let error = node.ledger.validate(&std::sync::Arc::new(other)).unwrap_err();
    let expected = made.header.masternode_root;
    assert!(
        matches!(&error, ValidationError::Invalid(BlockError::MasternodeRoot { height: Height(1), found, expected: e }) if *found == root && *e == expected),
        "{error}"
    );
}

#[test]
fn a_header_names_the_masternodes_after_its_block() {
    a_header_names_the_list_and_proves_each_entry();
}

#[test]
fn each_entry_is_proved_by_the_root_and_no_other_is() {
    for count in [4, 21, 100, 150] {
        let devnet = timed_ledger::Genesis::devnet(count);
        let all = MasternodeList::new(devnet.masternodes());
        let root = all.root();
        for one in all.iter() {
            let proof = MasternodeProof::of(&all, &one.id).unwrap();
            assert_eq!(encode(&proof.entry).len(), LIST_ENTRY_BYTES);
            assert!(LIST_ENTRY_BYTES <= 140 && encode(&proof).len() <= 2_000);
            proof.verify(&root).unwrap();
            let mut other = proof.clone();
            other.entry.status ^= 1;
            assert!(other.verify(&root).unwrap_err().to_string().contains("does not lead to masternode root"));
            let mut moved = proof.clone();
            moved.position = (moved.position + 1) % moved.count;
            moved.verify(&root).unwrap_err();
        }
    }
}

#[test]
fn the_150_registered_first_vote_and_the_others_wait() {
    let mut devnet = timed_ledger::Genesis::devnet(150);
    devnet.masternodes.truncate(150);
    let mut all: Vec<_> = devnet.masternodes().collect();
    let mut late = all[0].clone();
    (late.id, late.operator) = (RegistrationId(Hash([0; 32])), key("consensus", 151).public());
    (late.collateral.index, late.registered_at) = (9_999, Height(1));
    all.push(late.clone());
    let list = MasternodeList::new(all);
    assert_eq!((list.len(), list.candidates().len(), list.voters().unwrap().as_slice().len()), (151, 151, 150));
    assert!(list.voters().unwrap().validators().get(&late.operator).is_none());
    assert_eq!(list.candidates()[150].id, late.id);
}

#[test]
fn there_are_1000_free_ones_at_most() {
    let (genesis, one) = (genesis(), of_genesis(1));
    let parameters = &genesis.parameters;
    let free = |n: u16| {
        let hash = Hash([n.to_be_bytes(), [7; 2]].concat().repeat(8).try_into().unwrap());
        let (id, collateral) = (RegistrationId(hash), timed_ledger::OutPoint { txid: TxId(hash), index: 0 });
        Masternode { id, collateral, tier: Tier::Free, operator: PublicKey(hash.0), ..one.clone() }
    };
    let body = with_payload(P::Register(register(Tier::Free, 5)), &[0], parameters.free_deposit.0);
    let made = signed(body, &[key("owner", 5), key("consensus", 5)]);
    let plan = |count: u16| {
        let list = MasternodeList::new((0..count).map(free));
        let voters = MasternodeList::new(genesis.masternodes()).voters().unwrap();
        let rules = timed_ledger::RuleContext { parameters, height: Height(1), time: genesis.time, voters: &voters };
        list.plan(made.id(), &made, rules).map(|_| ())
    };
    assert_eq!(plan(999), Ok(()));
    assert_eq!(plan(1_000), Err(E::TooManyFree { max: 1_000, bronze: Amount::whole(1_000) }));
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn set_change_too_early() {
        assert!(is_caught(Bug::SetChangeTooEarly, who_registers_votes_two_heights_later));
    }

    #[test]
    fn release_without_unbonding() {
        assert!(is_caught(Bug::ReleaseWithoutUnbonding, a_masternode_that_left_waits_for_its_money));
    }

    #[test]
    fn masternode_root_unchecked() {
        assert!(is_caught(Bug::MasternodeRootUnchecked, a_header_names_the_list_and_proves_each_entry));
    }
}
