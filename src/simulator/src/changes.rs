//! Changes of who decides, as operators make them: registrations, pauses and their ends, moves, exits, releases.

use crate::application::ChangeDraw;
use timed_ledger::{
    Genesis, KeyHash, Lock, LockOwner, Masternode, MasternodeList, MasternodeStatus, OutPoint, Payouts,
    RegisterPayload, ServiceAddress, Tier, Transaction, TransactionBody, TransactionPayload as P, TxInput, TxOutput,
    VOTERS_MIN,
};
use timed_primitives::{Amount, SecretKey};

/// Fee of a change.
const FEE: Amount = Amount(10_000);

fn key(purpose: &str, id: u64) -> SecretKey {
    SecretKey::development(purpose, id)
}

/// One that is allowed after the tip with this list, paid by coins that no earlier one spent. Who is registered has the development keys of its
/// number.
pub(crate) fn draw(
    genesis: &Genesis,
    list: &MasternodeList,
    coins: impl Iterator<Item = (OutPoint, TxOutput)>,
    draw: &ChangeDraw,
) -> Option<Transaction> {
    // A registration needs two coins of 1,000 TIME: one is locked, of the other there is change.
    let coins: Vec<_> = coins.skip(2 * draw.number).take(2).collect();
    let [first, second] = coins.try_into().ok()?;
    let mut numbers: Vec<u64> = (1..=draw.voters).collect();
    numbers.extend(&draw.candidates);
    let pick = *numbers.get(usize::try_from(draw.word % u64::try_from(numbers.len()).ok()?).ok()?)?;
    let operator = key("consensus", pick);
    let of_pick = list.of_operator(&operator.public());
    let choice = draw.word >> 32;
    let Some(one) = of_pick else {
        return draw.candidates.contains(&pick).then(|| registration(genesis, pick, [first, second]));
    };
    // A masternode that moved to another machine has the owner that it had.
    let first_number = numbers.into_iter().find(|number| key("owner", *number).public() == one.owner)?;
    let owner = key("owner", first_number);
    let (registration, previous) = (one.id, one.last_change);
    let least = usize::try_from(draw.voters_least).map_or(usize::MAX, |least| least.max(VOTERS_MIN));
    let may_go = || list.candidates().len() > least;
    let (payload, signer) = match one.status {
        MasternodeStatus::Active => match choice % 4 {
            0 if may_go() => (P::Pause { registration, previous }, operator),
            1 if may_go() && draw.candidates.contains(&pick) => (P::Revoke { registration, previous }, owner),
            3 if choice & 4 == 0 => match rotation(one, list, draw) {
                Some((payload, operator)) => {
                    return Some(paid(genesis, payload, &[first], Amount(50_000), &[&owner, &operator]));
                }
                None => (P::UpdateService { registration, previous, service: service(choice) }, operator),
            },
            _ => (P::UpdateService { registration, previous, service: service(choice) }, operator),
        },
        MasternodeStatus::Paused | MasternodeStatus::Jailed { .. } => (P::Resume { registration, previous }, operator),
        MasternodeStatus::Left { .. } => return release(genesis, one, first_number),
        MasternodeStatus::Leaving { .. } | MasternodeStatus::Ended { .. } => return None,
    };
    Some(paid(genesis, payload, &[first], Amount(50_000), &[&signer]))
}

/// To the key of another machine, which is no masternode yet and runs; that key.
fn rotation(one: &Masternode, list: &MasternodeList, draw: &ChangeDraw) -> Option<(P, SecretKey)> {
    let keys = draw.candidates.iter().map(|number| key("consensus", *number));
    let operator = keys.into_iter().find(|operator| list.of_operator(&operator.public()).is_none())?;
    let (registration, previous, payouts) = (one.id, one.last_change, one.payouts.clone());
    Some((P::UpdateRegistrar { registration, previous, operator: operator.public(), payouts }, operator))
}

fn service(choice: u64) -> ServiceAddress {
    ServiceAddress::new(([203, 0, 113, u8::try_from(choice % 200).unwrap_or_default() + 1], 7_000).into())
}

fn registration(genesis: &Genesis, number: u64, coins: [(OutPoint, TxOutput); 2]) -> Transaction {
    let (owner, operator) = (key("owner", number), key("consensus", number));
    let payload = P::Register(RegisterPayload {
        tier: Tier::Bronze,
        owner: owner.public(),
        operator: operator.public(),
        service: service(number),
        payouts: Payouts::one(LockOwner::KeyHash(KeyHash::of(&owner.public()))),
    });
    paid(genesis, payload, &coins, Tier::Bronze.collateral(Amount::ONE), &[&owner, &operator])
}

/// The collateral is that of genesis, with a key of its own, or the wallet's.
fn release(genesis: &Genesis, one: &Masternode, number: u64) -> Option<Transaction> {
    let is_of_genesis = one.collateral.txid == timed_primitives::TxId(genesis.hash());
    let signer = if is_of_genesis { key("collateral", number) } else { key("wallet", 0) };
    let amount = one.tier.collateral(Amount::ONE).minus(one.penalty)?.minus(FEE)?;
    let outputs = vec![TxOutput { amount, lock: Lock::KeyHash(KeyHash::of(&key("wallet", 0).public())) }];
    let inputs = vec![TxInput { previous: one.collateral }];
    let transfer = TransactionBody::transfer(genesis.chain_id, inputs, outputs);
    Some(TransactionBody { payload: P::Release { registration: one.id }, ..transfer }.sign(&[&signer]))
}

/// Spends these coins of the wallet into a first output of this amount and the rest.
fn paid(
    genesis: &Genesis,
    payload: P,
    coins: &[(OutPoint, TxOutput)],
    first: Amount,
    signers: &[&SecretKey],
) -> Transaction {
    let wallet = key("wallet", 0);
    let lock = Lock::KeyHash(KeyHash::of(&wallet.public()));
    let total: u64 = coins.iter().map(|(_, output)| output.amount.0).sum();
    let rest = Amount(total.saturating_sub(first.0).saturating_sub(FEE.0));
    let outputs = vec![TxOutput { amount: first, lock }, TxOutput { amount: rest, lock }];
    let inputs = coins.iter().map(|(previous, _)| TxInput { previous: *previous }).collect();
    let body = TransactionBody { payload, ..TransactionBody::transfer(genesis.chain_id, inputs, outputs) };
    let keys: Vec<_> = coins.iter().map(|_| &wallet).chain(signers.iter().copied()).collect();
    body.sign(&keys)
}
