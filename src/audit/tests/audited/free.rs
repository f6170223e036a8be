//! As many free masternodes as there can be.

use crate::histories::genesis::{hash_of, key, payouts};
use crate::histories::play::{Player, Shape, Theme};
use timed_ledger::{
    Lock, OutPoint, RegisterPayload, Tier, Transaction, TransactionBody, TransactionPayload as P, TxInput, TxOutput,
};
use timed_primitives::Amount;

/// Registers free masternodes with these numbers, each with what the one before left over.
fn registrations(player: &mut Player, numbers: std::ops::Range<u64>) -> Vec<Transaction> {
    player.look();
    let (deposit, chain) = (player.genesis.parameters.free_deposit, player.genesis.chain_id);
    let (mut previous, mut output) = *player.coins.iter().max_by_key(|(_, output)| output.amount).unwrap();
    let mut made = Vec::new();
    for number in numbers {
        let (operator, owner, wallet) = (key("free", number), key("owner", 1), key("wallet", 0));
        let register = RegisterPayload {
            tier: Tier::Free,
            owner: owner.public(),
            operator: operator.public(),
            service: "203.0.113.7:7000".parse().unwrap(),
            payouts: payouts(&mut player.dice),
        };
        let lock = Lock::KeyHash(hash_of("wallet", 0));
        let rest = Amount(output.amount.0 - deposit.0 - 1_000);
        let outputs = vec![TxOutput { amount: deposit, lock }, TxOutput { amount: rest, lock }];
        let transfer = TransactionBody::transfer(chain, vec![TxInput { previous }], outputs);
        let body = TransactionBody { payload: P::Register(register), ..transfer };
        let signed = body.sign(&[&wallet, &owner, &operator]);
        (previous, output) = (OutPoint { txid: signed.id(), index: 1 }, TxOutput { amount: rest, lock });
        made.push(signed);
    }
    made
}

/// A plain payment of what was a deposit and of another coin.
fn spend(player: &mut Player, deposit: OutPoint) -> Transaction {
    player.look();
    let (coin, output) = *player.coins.iter().max_by_key(|(_, output)| output.amount).unwrap();
    let outputs = vec![TxOutput { amount: Amount(output.amount.0 - 1_000), lock: Lock::KeyHash(hash_of("wallet", 0)) }];
    let inputs = [deposit, coin].map(|previous| TxInput { previous }).to_vec();
    TransactionBody::transfer(player.genesis.chain_id, inputs, outputs).sign(&[&key("wallet", 0), &key("wallet", 0)])
}

#[test]
fn a_thousand_free_ones_are_all_and_those_that_left_count_until_they_may_be_forgotten() {
    let mut player = Player::new(7, Shape { theme: Theme::All, blocks: 0, tries: 0, missing: 2 });
    let mut first = registrations(&mut player, 0..998);
    let deposit = OutPoint { txid: first[0].id(), index: 0 };
    let rest = first.split_off(500);
    player.block(first, 1_000);
    player.block(rest, 1_000);
    let more = registrations(&mut player, 998..1_002);
    player.block(more, 1_000);
    let expiry = player.genesis.parameters.free_expiry_ms;
    player.block(Vec::new(), expiry);
    let more = registrations(&mut player, 1_002..1_004);
    player.block(more, 1_000);
    let summary = player.audit.summary();
    assert_eq!(summary.masternodes.get("left"), Some(&1_000), "{summary:?}");
    assert_eq!(player.accepted.get("register"), Some(&1_000));
    // The block in which they are forgotten is the last that refuses one more; their deposits are coins like any other.
    let unbonding = player.genesis.parameters.unbonding_ms;
    let more = registrations(&mut player, 1_004..1_005);
    player.block(more, unbonding);
    assert_eq!(player.audit.summary().masternodes.get("left"), None);
    assert_eq!(player.accepted.get("register"), Some(&1_000));
    let more = registrations(&mut player, 1_005..1_007);
    player.block(more, 1_000);
    let before = player.accepted.get("transfer").copied().unwrap_or_default();
    let spent = spend(&mut player, deposit);
    player.block(vec![spent], 1_000);
    assert_eq!(player.accepted.get("transfer"), Some(&(before + 1)), "{:?}", player.refused);
    assert_eq!(player.accepted.get("register"), Some(&1_002));
}
