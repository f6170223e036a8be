//! A chain for tests of rewards and penalties: any number of masternodes, a choice of who signs, and of when.

use std::sync::Arc;
use timed_chain::{CommittedBlock, Draft, History as _, PoolTransaction, Statement, TransactionFault};
use timed_ledger::{
    Genesis, KeyHash, Ledger, LedgerQueries as _, Lock, Masternode, MasternodeStatus, OutPoint, RegistrationId,
    RewardReport, RewardState, Supply, Transaction, TransactionBody, TransactionError, TransactionPayload as P,
    TxInput, TxOutput,
};
use timed_primitives::vote::vote_signing_bytes;
use timed_primitives::{
    Amount, Block, BlockId, CommitCertificate, CommitSignature, Hash, Height, MemoryDisk, Round, SecretKey, UnixTime,
    Vote, VoteKind,
};
use timed_test_support::MemoryStore;

/// Fee of every transaction here.
pub(crate) const FEE: u64 = 10_000;

pub(crate) fn key(purpose: &str, id: u64) -> SecretKey {
    SecretKey::development(purpose, id)
}

/// A devnet of so many, with 40 coins, intervals of 10 s and 60 s of unbonding.
pub(crate) fn genesis(nodes: u64) -> Genesis {
    let mut genesis = Genesis::devnet_with_coins(nodes, 40);
    genesis.parameters.reward_interval_ms = 10_000;
    genesis
}

pub(crate) struct World {
    pub(crate) genesis: Genesis,
    pub(crate) disk: MemoryDisk,
    pub(crate) store: MemoryStore,
    pub(crate) ledger: Ledger,
    /// Whose precommits the next certificates have, by number of the key.
    pub(crate) signers: Vec<u64>,
    coins: usize,
}

impl World {
    pub(crate) fn new(genesis: Genesis) -> Self {
        let (disk, store) = (MemoryDisk::default(), MemoryStore::default());
        let ledger = timed_ledger::open(genesis.clone(), &disk, Arc::new(store.clone())).unwrap();
        let signers = (1..=u64::try_from(genesis.masternodes.len()).unwrap()).collect();
        Self { genesis, disk, store, ledger, signers, coins: 0 }
    }

    /// The same chain, from its disk and store alone.
    pub(crate) fn reopened(&self) -> Ledger {
        timed_ledger::open(self.genesis.clone(), &self.disk, Arc::new(self.store.clone())).unwrap()
    }

    /// The same chain, from its block log alone.
    pub(crate) fn replayed(&self) -> Ledger {
        timed_ledger::open(self.genesis.clone(), &self.disk, Arc::new(MemoryStore::default())).unwrap()
    }

    fn draft(&self, seconds: u64, transactions: &[Transaction], statements: Vec<Statement>) -> Draft {
        let tip = self.ledger.tip();
        let voters = self.ledger.reader().validators(tip.height.next());
        Draft {
            time: UnixTime(tip.time.0 + seconds * 1_000),
            proposer: voters.as_slice()[0].key,
            first_round: Round::ZERO,
            parent_certificate: tip.certificate,
            transactions: transactions.iter().map(|one| Arc::new(PoolTransaction::of(one))).collect(),
            statements,
        }
    }

    /// A block so many seconds after the one before.
    pub(crate) fn block(&mut self, seconds: u64, transactions: Vec<Transaction>) -> CommittedBlock {
        self.block_with(seconds, transactions, vec![])
    }

    pub(crate) fn block_with(
        &mut self,
        seconds: u64,
        transactions: Vec<Transaction>,
        statements: Vec<Statement>,
    ) -> CommittedBlock {
        let assembled = self.ledger.assemble(self.draft(seconds, &transactions, statements)).unwrap();
        assert_eq!(assembled.left_out, vec![]);
        let certificate = self.certify(&assembled.block);
        let committed = self.ledger.commit(assembled.block, certificate).unwrap();
        assert_eq!(self.supply().total(), self.genesis.supply().unwrap().plus(self.supply().issued));
        committed
    }

    /// Empty blocks.
    pub(crate) fn blocks(&mut self, count: u64, seconds: u64) {
        for _ in 0..count {
            self.block(seconds, vec![]);
        }
    }

    /// Why a transaction cannot be in the next block.
    pub(crate) fn refused(&mut self, transaction: &Transaction) -> TransactionError {
        self.refused_after(vec![], transaction)
    }

    /// Why a transaction cannot be in the next block behind these.
    pub(crate) fn refused_after(&mut self, before: Vec<Transaction>, transaction: &Transaction) -> TransactionError {
        let all: Vec<_> = before.into_iter().chain([transaction.clone()]).collect();
        let draft = self.draft(1, &all, vec![]);
        let left_out = self.ledger.assemble(draft).unwrap().left_out;
        match &left_out[..] {
            [(_, TransactionFault::Refused(reason))] => reason.downcast_ref::<TransactionError>().unwrap().clone(),
            other => panic!("{other:?}"),
        }
    }

    fn certify(&self, block: &Block) -> CommitCertificate {
        let voters = self.ledger.reader().validators(block.height());
        let votes = |n: &u64| voters.get(&key("consensus", *n).public()).is_some();
        let signers: Vec<_> = self.signers.iter().copied().filter(votes).collect();
        self.precommits(block.height(), block.id(), &signers)
    }

    /// The same certificate, with signatures of these that fit it.
    pub(crate) fn signed_anew(&self, late: &CommitCertificate, signers: &[u64]) -> CommitCertificate {
        let sign = |n: &u64| {
            let (key, chain, kind) = (key("consensus", *n), self.genesis.chain_id, VoteKind::Precommit);
            let validator = key.public();
            let bytes = vote_signing_bytes(chain, kind, late.height, late.round, Some(late.block), &validator);
            CommitSignature { validator, signature: key.sign(&bytes) }
        };
        let mut signatures: Vec<_> = signers.iter().map(sign).collect();
        signatures.sort();
        CommitCertificate { signatures, ..late.clone() }
    }

    /// Precommits of these for a block.
    pub(crate) fn precommits(&self, height: Height, block: BlockId, signers: &[u64]) -> CommitCertificate {
        let bare = CommitCertificate { height, round: Round::ZERO, block, signatures: vec![] };
        self.signed_anew(&bare, signers)
    }

    /// A prevote of key `n` in round 0, for some block.
    pub(crate) fn vote(&self, n: u64, height: u64, block: u8) -> Vote {
        let (key, kind, height) = (key("consensus", n), VoteKind::Prevote, Height(height));
        let (block, validator) = (Some(BlockId(Hash([block; 32]))), key.public());
        let bytes = vote_signing_bytes(self.genesis.chain_id, kind, height, Round::ZERO, block, &validator);
        Vote { kind, height, round: Round::ZERO, block, validator, signature: key.sign(&bytes) }
    }

    /// The n-th masternode of genesis, as it is now.
    pub(crate) fn of_genesis(&self, n: u64) -> Masternode {
        let operator = key("consensus", n).public();
        let id = self.genesis.masternodes().find(|one| one.operator == operator).unwrap().id;
        self.get(id).unwrap()
    }

    pub(crate) fn get(&self, id: RegistrationId) -> Option<Masternode> {
        self.ledger.reader().view().state().masternodes().get(&id).cloned()
    }

    pub(crate) fn status(&self, n: u64) -> MasternodeStatus {
        self.of_genesis(n).status
    }

    pub(crate) fn supply(&self) -> Supply {
        self.ledger.reader().supply()
    }

    pub(crate) fn rewards(&self) -> RewardState {
        (**self.ledger.reader().view().state().rewards()).clone()
    }

    /// What an interval paid.
    pub(crate) fn report(&self, interval: u64) -> RewardReport {
        self.ledger.reader().reward_report(interval).unwrap().unwrap()
    }

    /// Signed by wallet 0 for each input, then by these.
    pub(crate) fn with_payload(&mut self, payload: P, first: Amount, signers: &[SecretKey]) -> Transaction {
        let inputs_needed = usize::try_from(first.0 / Amount::whole(1_000).0).unwrap() + 1;
        let coins: Vec<_> = self.genesis.unspent().skip(self.coins).take(inputs_needed).collect();
        self.coins += inputs_needed;
        assert!(self.coins <= 40, "no coins are left");
        let own = key("wallet", 0);
        let total: u64 = coins.iter().map(|(_, output)| output.amount.0).sum();
        let lock = Lock::KeyHash(KeyHash::of(&own.public()));
        let outputs = vec![TxOutput { amount: first, lock }, TxOutput { amount: Amount(total - first.0 - FEE), lock }];
        let inputs: Vec<_> = coins.iter().map(|(previous, _)| TxInput { previous: *previous }).collect();
        let body = TransactionBody { payload, ..TransactionBody::transfer(self.genesis.chain_id, inputs, outputs) };
        let keys: Vec<_> = coins.iter().map(|_| &own).chain(signers).collect();
        body.sign(&keys)
    }

    /// A change of a masternode, signed by these.
    pub(crate) fn change(&mut self, payload: P, signers: &[SecretKey]) -> Transaction {
        self.with_payload(payload, Amount(5_000), signers)
    }

    pub(crate) fn resume(&mut self, n: u64) -> Transaction {
        let one = self.of_genesis(n);
        self.change(P::Resume { registration: one.id, previous: one.last_change }, &[key("consensus", n)])
    }

    pub(crate) fn pause(&mut self, n: u64) -> Transaction {
        let one = self.of_genesis(n);
        self.change(P::Pause { registration: one.id, previous: one.last_change }, &[key("consensus", n)])
    }

    pub(crate) fn revoke(&mut self, n: u64) -> Transaction {
        let one = self.of_genesis(n);
        self.change(P::Revoke { registration: one.id, previous: one.last_change }, &[key("owner", n)])
    }

    /// Another operator key, of this number.
    pub(crate) fn rotate(&mut self, n: u64, to: u64) -> Transaction {
        let one = self.of_genesis(n);
        let (operator, payouts) = (key("consensus", to).public(), one.payouts.clone());
        let payload = P::UpdateRegistrar { registration: one.id, previous: one.last_change, operator, payouts };
        self.change(payload, &[key("owner", n), key("consensus", to)])
    }

    /// Releases the collateral of one of genesis into an output of this amount.
    pub(crate) fn release(&self, n: u64, amount: u64) -> Transaction {
        let one = self.of_genesis(n);
        let lock = Lock::KeyHash(KeyHash::of(&key("wallet", 0).public()));
        let outputs = vec![TxOutput { amount: Amount(amount), lock }];
        let inputs = vec![TxInput { previous: one.collateral }];
        let transfer = TransactionBody::transfer(self.genesis.chain_id, inputs, outputs);
        let body = TransactionBody { payload: P::Release { registration: one.id }, ..transfer };
        body.sign(&[&key("collateral", n)])
    }

    pub(crate) fn statement(&self, payload: P, signers: &[&SecretKey]) -> Transaction {
        TransactionBody::statement(self.genesis.chain_id, payload).sign(signers)
    }

    /// The output, if it is unspent.
    pub(crate) fn output(&self, outpoint: OutPoint) -> Option<TxOutput> {
        self.ledger.reader().output(&outpoint).unwrap().map(|entry| entry.output)
    }
}
