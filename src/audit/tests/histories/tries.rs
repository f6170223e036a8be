//! What somebody tries in a block. Much of it is refused.

use super::genesis::{hash_of, key, payouts};
use super::play::{KEY_RING, KEYS, Player, Theme};
use timed_ledger::{
    KeySet, LedgerQueries as _, Lock, LockOwner, Masternode, OutPoint, RegisterPayload, SetSignature, SetSignatures,
    Tier, Transaction, TransactionBody, TransactionPayload as P, TxInput, TxOutput, Witness,
};
use timed_primitives::{
    Amount, BlockId, CommitCertificate, CommitSignature, DoubleSign, Hash, Height, Proposal, PublicKey, Round,
    SecretKey, Signature, TxId, Vote, VoteKind,
};

/// More than the least fee of anything here.
const FEE: u64 = 20_000;

impl Player {
    /// Sees what there is after the last block.
    pub(crate) fn look(&mut self) {
        let view = self.ledger.reader().view();
        let list = self.list();
        let of_wallet = view.outputs_of(&hash_of("wallet", 0), None, 400).unwrap();
        let is_coin = |outpoint: &OutPoint| list.of_collateral(outpoint).is_none();
        self.coins = of_wallet.into_iter().map(|(outpoint, entry)| (outpoint, entry.output)).collect();
        self.coins.retain(|(outpoint, output)| is_coin(outpoint) && output.amount.0 > 2 * FEE);
        for one in list.iter() {
            if !self.operators.contains(&(one.id, one.operator)) {
                self.operators.push((one.id, one.operator));
            }
        }
    }

    /// Something, if it is possible at all.
    pub(crate) fn attempt(&mut self) -> Option<Transaction> {
        if self.shape.theme == Theme::Keys && !self.dice.one_in(4) {
            return self.rotation();
        }
        if self.shape.theme == Theme::Blame && self.dice.one_in(2) {
            return self.double_sign();
        }
        match self.dice.below(21) {
            0 | 1 => self.payment(),
            2..=4 => self.registration(),
            5 => self.rotation(),
            6 => self.service(),
            7 => self.pause(),
            8 | 9 => self.resume(),
            10 | 11 => self.revocation(),
            12 | 13 => self.release(),
            14 => self.double_sign(),
            15 | 16 => self.late(),
            17 | 18 => self.reachability(),
            19 => self.of_key_set(),
            _ => self.several(),
        }
    }

    /// Payments, some of them of what others spend or of collateral.
    fn payment(&mut self) -> Option<Transaction> {
        let mut coin = self.dice.pick(&self.coins)?;
        let all: Vec<Masternode> = self.list().iter().cloned().collect();
        if self.dice.one_in(5) {
            coin.0 = self.dice.pick(&all)?.collateral;
        }
        let left = coin.1.amount.0 - FEE;
        let part = match self.dice.below(5) {
            0 => self.dice.below(2_000),
            1 => left,
            _ => self.dice.below(left),
        };
        let lock = match self.dice.below(5) {
            0 => {
                let height = self.ledger.tip().height.plus(self.dice.below(12));
                Lock::NotBefore { height, owner: LockOwner::KeyHash(hash_of("wallet", 0)) }
            }
            _ => Lock::KeyHash(hash_of("wallet", self.dice.below(2))),
        };
        let rest = (left - part).saturating_add(if self.dice.one_in(12) { 2 * FEE } else { 0 });
        let outputs = [(part, lock), (rest, Lock::KeyHash(hash_of("wallet", 0)))];
        let outputs = outputs.into_iter().filter(|(amount, _)| *amount > 0);
        let outputs = outputs.map(|(amount, lock)| TxOutput { amount: Amount(amount), lock }).collect();
        Some(self.signed(P::Transfer, &[coin], outputs, &[]))
    }

    fn registration(&mut self) -> Option<Transaction> {
        let tier = self.dice.pick(&[Tier::Free, Tier::Free, Tier::Free, Tier::Bronze, Tier::Silver, Tier::Gold])?;
        let needed = match tier {
            Tier::Free => self.genesis.parameters.free_deposit,
            Tier::Bronze => Amount::whole(1_000),
            Tier::Silver => Amount::whole(10_000),
            Tier::Gold => Amount::whole(100_000),
        };
        let coin = self.coins.iter().find(|(_, output)| output.amount.0 > needed.0 + 2 * FEE)?;
        let coin = if self.dice.one_in(4) { *coin } else { self.rich_coin(needed)? };
        let number = match self.shape.theme {
            // The others have theirs.
            Theme::Crowd => 151 + self.dice.below(19),
            _ => self.dice.below(KEYS),
        };
        let (operator, owner) = (key("operator", number), key("owner", self.dice.below(KEYS)));
        let service = "203.0.113.7:7000".parse().unwrap();
        let payouts = payouts(&mut self.dice);
        let register = RegisterPayload { tier, owner: owner.public(), operator: operator.public(), service, payouts };
        let amount = Amount(needed.0 + u64::from(self.dice.one_in(20)));
        let lock = Lock::KeyHash(hash_of("wallet", u64::from(self.dice.one_in(20))));
        let rest = coin.1.amount.0.checked_sub(amount.0)?.checked_sub(FEE)?;
        let outputs = vec![TxOutput { amount, lock }, self.own(rest)];
        let signers = if self.dice.one_in(20) { [operator, owner] } else { [owner, operator] };
        Some(self.signed(P::Register(register), &[coin], outputs, &signers))
    }

    fn rotation(&mut self) -> Option<Transaction> {
        let one = match self.shape.theme {
            Theme::Keys => self.list().iter().nth(usize::from(self.dice.one_in(3)))?.clone(),
            _ => self.any()?,
        };
        let operator = match self.dice.below(6) {
            0 if self.shape.theme != Theme::Keys => one.operator,
            1 => self.dice.pick(&self.operators)?.1,
            _ => key("operator", self.dice.below(KEYS)).public(),
        };
        let payouts = if self.dice.one_in(2) { one.payouts.clone() } else { payouts(&mut self.dice) };
        let payload = P::UpdateRegistrar { registration: one.id, previous: one.last_change, operator, payouts };
        let signers = [KEY_RING.get(&one.owner)?.clone(), KEY_RING.get(&operator)?.clone()];
        self.change(payload, &signers)
    }

    fn service(&mut self) -> Option<Transaction> {
        let one = self.any()?;
        let service = ["203.0.113.7:7000", "203.0.113.8:7000"].map(|text| text.parse().unwrap());
        let service = self.dice.pick(&service)?;
        let payload = P::UpdateService { registration: one.id, previous: one.last_change, service };
        let signer = KEY_RING.get(&one.operator)?.clone();
        self.change(payload, &[signer])
    }

    fn pause(&mut self) -> Option<Transaction> {
        let mut one = self.any()?;
        let mut previous = if self.dice.one_in(10) { TxId(Hash([9; 32])) } else { one.last_change };
        // Now and then after a change that was made for the same block.
        if let (true, Some((registration, txid))) = (self.dice.one_in(3), self.last_change) {
            (one, previous) = (self.list().get(&registration)?.clone(), txid);
        }
        let signer = KEY_RING.get(&one.operator)?.clone();
        self.change(P::Pause { registration: one.id, previous }, &[signer])
    }

    fn resume(&mut self) -> Option<Transaction> {
        let one = self.any()?;
        let signer = KEY_RING.get(if self.dice.one_in(10) { &one.owner } else { &one.operator })?.clone();
        self.change(P::Resume { registration: one.id, previous: one.last_change }, &[signer])
    }

    fn revocation(&mut self) -> Option<Transaction> {
        let one = self.any()?;
        let signer = KEY_RING.get(&one.owner)?.clone();
        self.change(P::Revoke { registration: one.id, previous: one.last_change }, &[signer])
    }

    fn release(&mut self) -> Option<Transaction> {
        let one = self.any()?;
        let output = self.ledger.reader().output(&one.collateral).unwrap()?.output;
        let due = match self.dice.below(6) {
            0 => 0,
            1 => one.penalty.0.saturating_sub(FEE),
            _ => one.penalty.0,
        };
        let amount = output.amount.0.saturating_sub(due).saturating_sub(FEE);
        let spent = (one.collateral, output);
        let extra = if self.dice.one_in(4) { self.dice.pick(&self.coins) } else { None };
        let (spent, amount) = match extra {
            Some(coin) if self.dice.one_in(3) => (vec![coin, spent], amount + coin.1.amount.0),
            Some(coin) => (vec![spent, coin], amount + coin.1.amount.0),
            None => (vec![spent], amount),
        };
        let outputs = vec![self.own(amount.max(1))];
        Some(self.signed(P::Release { registration: one.id }, &spent, outputs, &[]))
    }

    fn double_sign(&mut self) -> Option<Transaction> {
        let (registration, accused) = self.dice.pick(&self.operators)?;
        let tip = self.ledger.tip().height.0;
        let since = self.list().get(&registration).map_or(0, |one| one.operator_since.0.max(one.changed_at.0));
        let height = match self.dice.below(4) {
            0 => since + self.dice.below(4),
            1 => tip.saturating_sub(2) + self.dice.below(6),
            _ => self.dice.below(tip + 2),
        };
        let registration = if self.dice.one_in(10) { self.dice.pick(&self.operators)?.0 } else { registration };
        let proof = self.contradiction(&accused, Height(height))?;
        Some(self.stated(P::DoubleSign { registration, proof }, &[]))
    }

    fn contradiction(&mut self, accused: &PublicKey, height: Height) -> Option<DoubleSign> {
        let (chain, key, validator) = (self.genesis.chain_id, KEY_RING.get(accused)?, *accused);
        let round = Round(u32::try_from(self.dice.below(3)).unwrap());
        let [mut one, mut other] = [1, 2].map(|n| BlockId(Hash([n; 32])));
        let signature = Signature([0; 64]);
        if self.dice.one_in(20) {
            other = one;
        }
        if self.dice.one_in(20) {
            std::mem::swap(&mut one, &mut other);
        }
        if self.dice.one_in(3) {
            let signed = |block| {
                let mut made = Proposal { height, round, block, valid_round: None, proposer: validator, signature };
                made.signature = key.sign(&made.signing_bytes(chain));
                Box::new(made)
            };
            return Some(DoubleSign::Proposals(signed(one), signed(other)));
        }
        let kind = self.dice.pick(&[VoteKind::Prevote, VoteKind::Precommit])?;
        let first = if self.dice.one_in(3) { None } else { Some(one) };
        let signed = |block| {
            let mut made = Vote { kind, height, round, block, validator, signature };
            made.signature = key.sign(&made.signing_bytes(chain));
            Box::new(made)
        };
        Some(DoubleSign::Votes(signed(first), signed(Some(other))))
    }

    /// Precommits of a height, counted already or not.
    fn late(&mut self) -> Option<Transaction> {
        let count = u64::try_from(self.decided.len()).unwrap();
        let back = if self.dice.one_in(4) { self.dice.below(110) } else { self.dice.below(6) };
        let height = Height(count.checked_sub(back)?);
        let decided = self.decided.get(usize::try_from(height.0.checked_sub(1)?).unwrap())?;
        let (block, mut round, signed) = (decided.id, decided.round, decided.signed.clone());
        let all = self.dice.one_in(12);
        let voters = decided.voters.iter().filter(|key| all || !signed.contains(key)).copied().collect::<Vec<_>>();
        if self.dice.one_in(12) {
            round = Round(round.0 + 1);
        }
        let mut keys: Vec<PublicKey> = voters.into_iter().filter(|_| !self.dice.one_in(3)).collect();
        keys.sort();
        if self.dice.one_in(12) {
            self.dice.shuffle(&mut keys);
        }
        if self.dice.one_in(20) {
            keys.push(self.dice.pick(&self.operators)?.1);
        }
        let mut late = CommitCertificate { height, round, block, signatures: Vec::new() };
        for validator in keys {
            let mut vote = late_vote(&late, validator);
            vote.signature = KEY_RING.get(&validator)?.sign(&vote.signing_bytes(self.genesis.chain_id));
            late.signatures.push(CommitSignature { validator, signature: vote.signature });
        }
        Some(self.stated(P::LatePrecommits(late), &[]))
    }

    fn reachability(&mut self) -> Option<Transaction> {
        let asked = self.audit.asked();
        let (mut interval, free, mut witness) = self.dice.pick(&asked)?;
        if self.dice.one_in(12) {
            interval += 1;
        }
        if self.dice.one_in(12) {
            witness = self.dice.pick(&self.operators)?.0;
        }
        let operator = self.list().get(&witness).map(|one| one.operator);
        let signer = match operator {
            Some(operator) if !self.dice.one_in(12) => operator,
            _ => self.dice.pick(&self.operators)?.1,
        };
        let signer = KEY_RING.get(&signer)?.clone();
        Some(self.stated(P::Reachability { interval, free, witness }, &[signer]))
    }

    /// Money to two of three keys, or from them.
    fn of_key_set(&mut self) -> Option<Transaction> {
        let mut keys: Vec<SecretKey> = (0..3).map(|id| key("wallet", id)).collect();
        keys.sort_by_key(SecretKey::public);
        let set = KeySet::new(2, keys.iter().map(SecretKey::public).collect()).unwrap();
        let locked = self.ledger.reader().outputs_of(&set.hash(), None, 9).unwrap();
        let Some((previous, entry)) = self.dice.pick(&locked) else {
            let coin = self.dice.pick(&self.coins)?;
            let output = TxOutput { lock: Lock::KeySet(set.hash()), ..self.own(coin.1.amount.0 - FEE) };
            return Some(self.signed(P::Transfer, &[coin], vec![output], &[]));
        };
        let outputs = vec![self.own(entry.output.amount.0.checked_sub(FEE)?)];
        let body = TransactionBody::transfer(self.genesis.chain_id, vec![TxInput { previous }], outputs);
        let message = body.signing_message();
        let sign = |(position, key): (u8, &SecretKey)| SetSignature { position, signature: key.sign(&message) };
        let mut signatures: Vec<_> = (0..).zip(&keys).map(sign).collect();
        signatures.remove(usize::try_from(self.dice.below(3)).unwrap());
        if self.dice.one_in(4) {
            signatures.pop();
        }
        if self.dice.one_in(4) {
            signatures.reverse();
        }
        Some(Transaction { body, witnesses: vec![Witness::KeySet { set, signatures: SetSignatures(signatures) }] })
    }

    /// Many coins into one, so that there is one that is large enough.
    fn several(&mut self) -> Option<Transaction> {
        let coins: Vec<_> = self.coins.iter().rev().take(12).copied().collect();
        let sum: u64 = coins.iter().try_fold(0_u64, |sum, (_, output)| sum.checked_add(output.amount.0))?;
        let outputs = vec![self.own(sum.checked_sub(FEE)?)];
        Some(self.signed(P::Transfer, &coins, outputs, &[]))
    }

    /// A masternode that is on the list.
    fn any(&mut self) -> Option<Masternode> {
        let all: Vec<Masternode> = self.list().iter().cloned().collect();
        self.dice.pick(&all)
    }

    fn rich_coin(&mut self, needed: Amount) -> Option<(OutPoint, TxOutput)> {
        let rich = |one: &&(OutPoint, TxOutput)| one.1.amount.0 > needed.0 + 2 * FEE;
        let rich: Vec<_> = self.coins.iter().filter(rich).copied().collect();
        self.dice.pick(&rich)
    }

    fn own(&self, amount: u64) -> TxOutput {
        TxOutput { amount: Amount(amount), lock: Lock::KeyHash(hash_of("wallet", 0)) }
    }

    fn change(&mut self, payload: P, signers: &[SecretKey]) -> Option<Transaction> {
        let coin = self.dice.pick(&self.coins)?;
        let outputs = vec![self.own(coin.1.amount.0 - FEE)];
        let registration = match payload {
            P::UpdateService { registration, .. } | P::UpdateRegistrar { registration, .. } => Some(registration),
            _ => None,
        };
        let change = self.signed(payload, &[coin], outputs, signers);
        self.last_change = registration.map(|registration| (registration, change.id())).or(self.last_change);
        Some(change)
    }

    fn stated(&self, payload: P, signers: &[SecretKey]) -> Transaction {
        TransactionBody::statement(self.genesis.chain_id, payload).sign(&signers.iter().collect::<Vec<_>>())
    }

    /// Wallet 0 signs for each input.
    fn signed(
        &self,
        payload: P,
        spent: &[(OutPoint, TxOutput)],
        outputs: Vec<TxOutput>,
        signers: &[SecretKey],
    ) -> Transaction {
        let inputs = spent.iter().map(|(previous, _)| TxInput { previous: *previous }).collect();
        let body = TransactionBody { payload, ..TransactionBody::transfer(self.genesis.chain_id, inputs, outputs) };
        let wallet = key("wallet", 0);
        body.sign(&spent.iter().map(|_| &wallet).chain(signers).collect::<Vec<_>>())
    }
}

fn late_vote(late: &CommitCertificate, validator: PublicKey) -> Vote {
    Vote {
        kind: VoteKind::Precommit,
        height: late.height,
        round: late.round,
        block: Some(late.block),
        validator,
        signature: Signature([0; 64]),
    }
}
