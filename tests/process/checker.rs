//! The checker of a whole test: reads what every node holds on disk, again and again, and remembers all of it.
//!
//! No key may ever have signed two things for one place, every height has one block, and what a node called final stays so.

use crate::harness::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use timed_chain::{BLOCK_LOG_FILE, DecidedBlock, LogError, LogWalk};
use timed_consensus::inspect::{ForgedStatement, Statements, read_guard, read_journal};
use timed_consensus::journal::JOURNAL_FILES;
use timed_consensus::statement::{SignedRecord, SignedStep, statements_of};
use timed_consensus::{CertificateError, verify_certificate};
use timed_ledger::{Genesis, LedgerOpenError, LedgerQueries as _, PAYLOAD_FORMAT};
use timed_primitives::{BlockId, Disk, DoubleSign, Height, MemoryDisk, PublicKey, SecretKey};
use timed_store::FileDisk;
use timed_test_support::MemoryStore;

/// How much of the journals of a running node is read: more than the votes of a height take. Unit: bytes.
const PEEK_BYTES: u64 = 64 << 10;

/// What must never be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a key signed two things for one place: {0:?}")]
    SignedTwice(Box<DoubleSign>),
    #[error("the guard of node {node} remembers a {guard:?}, but {signed:?} was signed")]
    GuardDiffers { node: u64, guard: SignedRecord, signed: SignedRecord },
    #[error(transparent)]
    Forged(#[from] ForgedStatement),
    #[error("node {node} holds block {found} at height {height}, elsewhere {other} is final")]
    OtherBlock { node: u64, height: Height, found: BlockId, other: BlockId },
    #[error("node {node} called height {promised} final and has {found} on disk")]
    Lost { node: u64, promised: Height, found: Height },
    #[error("payment {txid} was final in block {block} of height {height} and is not there on node {node}")]
    LostPayment { node: u64, txid: String, height: u64, block: String },
    #[error("height {height}: {source}")]
    Certificate { height: Height, source: CertificateError },
    #[error("node {node}: {text}")]
    Damaged { node: u64, text: String },
    #[error("replay of the log of node {node}: {source}")]
    Replay { node: u64, source: Box<LedgerOpenError> },
    #[error("after replay {what} is {ours}, node {node} says {theirs}")]
    Differs { node: u64, what: &'static str, ours: String, theirs: String },
}

/// What was checked.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) blocks: usize,
    pub(crate) statements: usize,
    pub(crate) promises: usize,
    /// Looks at the files of a node, whole or in part.
    pub(crate) reads: u64,
}

pub(crate) struct Checker {
    genesis: Genesis,
    statements: Statements,
    /// Guard records by node and place.
    guards: BTreeMap<(u64, Height, SignedStepPlace), SignedRecord>,
    walks: BTreeMap<u64, LogWalk>,
    /// How far each node's log reaches.
    tips: BTreeMap<u64, Height>,
    blocks: BTreeMap<Height, BlockId>,
    /// Payments that a node called final: height and block.
    payments: BTreeMap<String, (u64, String)>,
    reads: u64,
}

/// Round and step.
type SignedStepPlace = (u32, SignedStep);

fn key_of(node: u64) -> PublicKey {
    SecretKey::development("consensus", node).public()
}

impl Checker {
    /// For a development network of so many nodes.
    pub(crate) fn new(nodes: u64) -> Self {
        let genesis = Genesis::devnet(nodes);
        Self {
            statements: Statements::new(genesis.chain_id),
            genesis,
            guards: BTreeMap::new(),
            walks: BTreeMap::new(),
            tips: BTreeMap::new(),
            blocks: BTreeMap::new(),
            payments: BTreeMap::new(),
            reads: 0,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            blocks: self.blocks.len(),
            statements: self.statements.iter().len(),
            promises: self.payments.len(),
            reads: self.reads,
        }
    }

    /// Reads everything of a node that is down or frozen.
    pub(crate) fn read(&mut self, node: u64, folder: &Path) -> Result<(), Fault> {
        let disk = FileDisk::read_only(folder);
        let damaged = |text| Fault::Damaged { node, text };
        if let Some(damage) = self.read_journal(node, &disk)? {
            return Err(damaged(damage));
        }
        for record in read_guard(&disk).map_err(|e| damaged(e.to_string()))?.into_iter().flatten() {
            self.take_guard(node, record)?;
        }
        self.read_log(node, folder)
    }

    /// Reads the votes in the journals of a node that runs. What is being written at that moment is passed over.
    pub(crate) fn peek(&mut self, node: u64, folder: &Path) -> Result<(), Fault> {
        let copy = MemoryDisk::default();
        for name in JOURNAL_FILES {
            let mut start = Vec::new();
            // The folder may just be removed.
            let Ok(file) = File::open(folder.join(name)) else { continue };
            if file.take(PEEK_BYTES).read_to_end(&mut start).is_ok() {
                copy.open(name).and_then(|file| file.write_at(0, &start)).unwrap();
            }
        }
        self.read_journal(node, &copy).map(|_| ())
    }

    /// Takes all statements; returns what is damaged.
    fn read_journal(&mut self, node: u64, disk: &dyn Disk) -> Result<Option<String>, Fault> {
        self.reads += 1;
        let journal = read_journal(disk, PAYLOAD_FORMAT).map_err(|e| Fault::Damaged { node, text: e.to_string() })?;
        for statement in journal.batches.into_iter().flat_map(|batch| batch.statements) {
            if let Some(evidence) = self.statements.add(statement)? {
                return Err(Fault::SignedTwice(Box::new(evidence)));
            }
        }
        Ok(journal.damage.map(|damage| damage.to_string()))
    }

    /// A guard has no signatures, but its node had reason to write what it holds.
    fn take_guard(&mut self, node: u64, guard: SignedRecord) -> Result<(), Fault> {
        let place = (node, guard.height, (guard.round.0, guard.step));
        let held = *self.guards.entry(place).or_insert(guard);
        if held != guard {
            return Err(Fault::GuardDiffers { node, guard, signed: held });
        }
        self.compare_guard(node, guard)
    }

    fn compare_guard(&self, node: u64, guard: SignedRecord) -> Result<(), Fault> {
        if guard.step == SignedStep::Decided {
            let (Some(found), Some(other)) = (guard.block, self.blocks.get(&guard.height).copied()) else {
                return Ok(());
            };
            let height = guard.height;
            return if found == other { Ok(()) } else { Err(Fault::OtherBlock { node, height, found, other }) };
        }
        match self.statements.get(key_of(node), guard.height, guard.round, guard.step).map(|s| s.record()) {
            Some(signed) if signed != guard => Err(Fault::GuardDiffers { node, guard, signed }),
            _ => Ok(()),
        }
    }

    /// Reads what the block log of a node has more than at the last look. A node that runs is read up to its last whole record.
    pub(crate) fn read_log(&mut self, node: u64, folder: &Path) -> Result<(), Fault> {
        self.reads += 1;
        let damaged = |error: LogError| Fault::Damaged { node, text: error.to_string() };
        let mut walk = match self.walks.remove(&node) {
            Some(walk) => walk,
            None => LogWalk::open(&FileDisk::read_only(folder)).map_err(damaged)?,
        };
        while let Some(decided) = walk.step().map_err(damaged)? {
            self.take_block(node, &decided)?;
        }
        self.walks.insert(node, walk);
        Ok(())
    }

    fn take_block(&mut self, node: u64, decided: &DecidedBlock) -> Result<(), Fault> {
        let (height, found) = (decided.block.height(), decided.block.id());
        self.tips.insert(node, height);
        let other = match self.blocks.get(&height) {
            Some(other) => *other,
            None => {
                let set = self.genesis.validator_set().unwrap();
                verify_certificate(self.genesis.chain_id, &decided.certificate, &set)
                    .map_err(|source| Fault::Certificate { height, source })?;
                self.blocks.insert(height, found);
                found
            }
        };
        if found != other {
            return Err(Fault::OtherBlock { node, height, found, other });
        }
        let certificates = decided.block.parent_certificate.iter().chain([&*decided.certificate]);
        for statement in certificates.flat_map(statements_of) {
            if let Some(evidence) = self.statements.add(statement)? {
                return Err(Fault::SignedTwice(Box::new(evidence)));
            }
        }
        Ok(())
    }

    /// The folder of a node is another one now.
    pub(crate) fn forget_folder(&mut self, node: u64) {
        self.walks.remove(&node);
        self.tips.remove(&node);
    }

    /// A node called a payment final.
    pub(crate) fn promise_payment(
        &mut self,
        node: u64,
        txid: &str,
        (height, block): (u64, String),
    ) -> Result<(), Fault> {
        let held = self.payments.entry(txid.to_owned()).or_insert_with(|| (height, block.clone())).clone();
        if held == (height, block) {
            return Ok(());
        }
        Err(Fault::LostPayment { node, txid: txid.to_owned(), height: held.0, block: held.1 })
    }

    pub(crate) fn is_promised(&self, txid: &str) -> bool {
        self.payments.contains_key(txid)
    }

    /// A node called a height final before it was killed, and its files were read since.
    pub(crate) fn check_height(&self, node: u64, promised: Height) -> Result<(), Fault> {
        let found = self.tips.get(&node).copied().unwrap_or_default();
        if found >= promised { Ok(()) } else { Err(Fault::Lost { node, promised, found }) }
    }

    /// A node that runs still has every payment that any node called final, where it was.
    pub(crate) fn check_payments(&self, client: &Client) -> Result<(), Fault> {
        for (txid, (height, block)) in &self.payments {
            if client.block_of(txid) != Some((*height, block.clone())) {
                let (node, txid, height, block) = (client.id, txid.clone(), *height, block.clone());
                return Err(Fault::LostPayment { node, txid, height, block });
            }
        }
        Ok(())
    }

    /// Reads the folders of all nodes, which are down, from the start, and replays each log into an empty state: that checks
    /// every rule, every state commitment and that no money came or went. `reported` is what each said of its tip before it ended.
    pub(crate) fn finish(&mut self, nodes: &[(u64, PathBuf, Value)]) -> Result<(), Fault> {
        self.walks.clear();
        for (node, folder, reported) in nodes {
            self.read(*node, folder)?;
            self.replay(*node, folder, reported)?;
        }
        self.guards.iter().try_for_each(|((node, ..), record)| self.compare_guard(*node, *record))
    }

    /// Opens a copy of the log up to the block that the node reported as its tip: a later, empty one may have come before its end.
    fn replay(&self, node: u64, folder: &Path, reported: &Value) -> Result<(), Fault> {
        let height = reported["blocks"].as_u64().unwrap();
        let mut walk = LogWalk::open(&FileDisk::read_only(folder)).unwrap();
        for _ in 0..height {
            walk.step().unwrap();
        }
        let mut content = std::fs::read(folder.join(BLOCK_LOG_FILE)).unwrap();
        content.truncate(usize::try_from(walk.position()).unwrap());
        let disk = MemoryDisk::default();
        disk.open(BLOCK_LOG_FILE).and_then(|file| file.write_at(0, &content)).unwrap();
        let ledger = timed_ledger::open(self.genesis.clone(), &disk, Arc::new(MemoryStore::default()))
            .map_err(|source| Fault::Replay { node, source: Box::new(source) })?;
        let (tip, supply) = (ledger.tip(), ledger.reader().supply());
        let ours = [
            ("blocks", json!(tip.height.0)),
            ("bestblockhash", json!(tip.id.to_string())),
            ("state_commitment", json!(tip.state_commitment.to_string())),
            ("supply", json!(timed_rpc::JsonAmount(supply.unspent))),
            ("utxos", json!(ledger.reader().totals().outputs)),
        ];
        for (what, ours) in ours {
            if reported[what] != ours {
                return Err(Fault::Differs { node, what, ours: ours.to_string(), theirs: reported[what].to_string() });
            }
        }
        let (all, genesis) = (supply.total(), self.genesis.supply().ok().and_then(|made| made.plus(supply.issued)));
        if all != genesis {
            let (ours, theirs) = (format!("{all:?}"), format!("{genesis:?}"));
            return Err(Fault::Differs { node, what: "all money", ours, theirs });
        }
        Ok(())
    }
}
