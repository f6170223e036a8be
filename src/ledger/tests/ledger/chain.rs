//! A small chain for tests: four validators, a few outputs, blocks made by the first validator.

use std::sync::Arc;
use timed_chain::{CommittedBlock, Draft, PoolTransaction};
use timed_ledger::{Genesis, KeyHash, Ledger, Lock, OutPoint, Transaction, TransactionBody, TxInput, TxOutput};
use timed_primitives::vote::vote_signing_bytes;
use timed_primitives::{
    Amount, Block, CommitCertificate, CommitSignature, MemoryDisk, Round, SecretKey, UnixTime, VoteKind,
};
use timed_test_support::MemoryStore;

/// Fee of every payment here.
pub(crate) const FEE: u64 = 1_000;

pub(crate) fn wallet(id: u64) -> SecretKey {
    SecretKey::development("wallet", id)
}

pub(crate) fn owner(id: u64) -> KeyHash {
    KeyHash::of(&wallet(id).public())
}

pub(crate) fn locked(amount: u64, id: u64) -> TxOutput {
    TxOutput { amount: Amount(amount), lock: Lock::KeyHash(owner(id)) }
}

/// A devnet of four with eight outputs, in whose time nothing is paid to masternodes.
pub(crate) fn genesis() -> Genesis {
    let mut genesis = Genesis::devnet_with_coins(4, 8);
    genesis.parameters.reward_interval_ms = 366 * 24 * 60 * 60 * 1_000;
    genesis
}

/// The n-th output of genesis, owned by wallet 0.
pub(crate) fn coin(n: usize) -> (OutPoint, TxOutput) {
    genesis().unspent().nth(n).unwrap()
}

/// Pays `parts` (amount, wallet) out of outputs of one wallet.
pub(crate) fn pay(spent: &[(OutPoint, TxOutput)], from: u64, parts: &[(u64, u64)]) -> Transaction {
    let inputs = spent.iter().map(|(previous, _)| TxInput { previous: *previous }).collect();
    let outputs = parts.iter().map(|(amount, to)| locked(*amount, *to)).collect();
    let body = TransactionBody::transfer(genesis().chain_id, inputs, outputs);
    let key = wallet(from);
    body.sign(&vec![&key; spent.len()])
}

/// Moves one output to another wallet, less the fee.
pub(crate) fn move_to(spent: (OutPoint, TxOutput), from: u64, to: u64) -> Transaction {
    pay(&[spent], from, &[(spent.1.amount.0 - FEE, to)])
}

/// The precommits of three of four validators.
pub(crate) fn certify(block: &Block) -> CommitCertificate {
    let (height, round, id) = (block.height(), Round::ZERO, block.id());
    let mut signatures: Vec<_> = (1..=3)
        .map(|node| {
            let key = SecretKey::development("consensus", node);
            let validator = key.public();
            let chain = block.header.chain_id;
            let bytes = vote_signing_bytes(chain, VoteKind::Precommit, height, round, Some(id), &validator);
            CommitSignature { validator, signature: key.sign(&bytes) }
        })
        .collect();
    signatures.sort();
    CommitCertificate { height, round, block: id, signatures }
}

pub(crate) fn draft(ledger: &Ledger, transactions: Vec<Transaction>) -> Draft {
    let tip = ledger.tip();
    Draft {
        time: UnixTime(tip.time.0 + 1_000),
        proposer: SecretKey::development("consensus", 1).public(),
        first_round: Round::ZERO,
        parent_certificate: tip.certificate,
        transactions: transactions.iter().map(|transaction| Arc::new(PoolTransaction::of(transaction))).collect(),
        statements: vec![],
    }
}

/// A block with all these transactions on top of the tip.
pub(crate) fn block(ledger: &mut Ledger, transactions: Vec<Transaction>) -> Arc<Block> {
    let assembled = ledger.assemble(draft(ledger, transactions)).unwrap();
    assert_eq!(assembled.left_out, vec![]);
    assembled.block
}

pub(crate) fn commit(ledger: &mut Ledger, transactions: Vec<Transaction>) -> CommittedBlock {
    let block = block(ledger, transactions);
    let certificate = certify(&block);
    ledger.commit(block, certificate).unwrap()
}

/// A ledger in memory with its disk and store.
pub(crate) struct Node {
    pub(crate) disk: MemoryDisk,
    pub(crate) store: MemoryStore,
    pub(crate) ledger: Ledger,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::open(MemoryDisk::default(), MemoryStore::default())
    }

    pub(crate) fn open(disk: MemoryDisk, store: MemoryStore) -> Self {
        let ledger = timed_ledger::open(genesis(), &disk, Arc::new(store.clone())).unwrap();
        Self { disk, store, ledger }
    }

    /// `heights` blocks, each moving one output.
    pub(crate) fn with_blocks(heights: usize) -> Self {
        let mut node = Self::new();
        for n in 0..heights {
            commit(&mut node.ledger, vec![move_to(coin(n), 0, 1)]);
        }
        node
    }
}

/// Everything of the block log, as it is on disk, without the zeros behind its records, whose last byte may be one too.
pub(crate) fn log_bytes(disk: &MemoryDisk) -> Vec<u8> {
    let mut bytes = log_file(disk);
    let mut end = 44;
    while let Some([b'B', b'L', b'K', b'R', length @ ..]) = bytes.get(end..end + 8) {
        end += 28 + u32::from_be_bytes(length.try_into().unwrap()) as usize;
    }
    let last = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    // A torn record counts up to what is there of it.
    bytes.truncate(if end <= bytes.len() { end.max(last) } else { last });
    bytes
}

/// The block log's file with its preallocated zeros.
pub(crate) fn log_file(disk: &MemoryDisk) -> Vec<u8> {
    let mut bytes = Vec::new();
    disk.damage(timed_chain::BLOCK_LOG_FILE, |content| bytes = content.clone()).unwrap();
    bytes
}
