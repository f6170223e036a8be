//! `timed inspect`: what the folder of a stopped node holds. Nothing in it is made, changed or locked.
//!
//! Knows: the files of the chain, the journal, the guard and the mempool, and how to report them. Must not know: anything that runs.

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use timed_audit::{Audit, AuditError};
use timed_chain::{BLOCK_LOG_FILE, DecidedBlock, LogWalk, PoolTransaction};
use timed_cli::{WalkProgress, audit_report, difference_report};
use timed_config::DEVNET_NODES_MAX;
use timed_consensus::inspect::{JournalContents, Statements, read_guard, read_journal};
use timed_consensus::statement::{SignedRecord, Statement, statements_of};
use timed_ledger::{Genesis, PAYLOAD_FORMAT, Transaction};
use timed_mempool::PoolFileSummary;
use timed_primitives::DoubleSign;
use timed_primitives::{ChainId, Disk, Hash, Height, HistoryPeaks, PublicKey, SecretKey};
use timed_store::FileDisk;

/// Flags of `timed inspect`.
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// The node's folder.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Which development node it belongs to, to distinguish its votes from those of others; other nodes have a key in the folder.
    #[arg(long, value_name = "ID")]
    node_id: Option<u64>,
    /// The network's genesis file, for the audit; development networks need none.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Derive money, masternodes, rewards and penalties again from the blocks, and name the first block that differs.
    #[arg(long)]
    audit: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Reads and prints.
///
/// # Errors
/// When there is no such folder or the system refuses; and, after printing, when something is damaged, a key signed twice, or the audit found a
/// difference.
pub fn run(arguments: &InspectArgs) -> anyhow::Result<()> {
    let folder = &arguments.data_dir;
    std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let own = match arguments.node_id {
        Some(id) => Some(SecretKey::development("consensus", id).public()),
        None => timed_node_files::voter(folder)?,
    };
    let genesis = arguments.genesis.as_deref().map(timed_node_files::read_genesis).transpose()?;
    let found = FolderContents::read(&FileDisk::read_only(folder), genesis, arguments.audit)?;
    timed_cli::print(&timed_cli::shown(&found.report(folder, own), arguments.json));
    if !found.damage.is_empty() {
        bail!("damage was found; a node does not start in this folder, or ends when it reads that part");
    }
    if !found.contradictions.is_empty() {
        bail!("a key signed two things for one place");
    }
    if let Some(Err(error)) = &found.audit {
        bail!("the audit found a difference: {error}");
    }
    Ok(())
}

/// What a folder holds.
struct FolderContents {
    genesis_hash: Option<Hash>,
    genesis: Option<Genesis>,
    chain: Option<ChainId>,
    tip: Option<DecidedBlock>,
    history: HistoryPeaks,
    log: Option<LogWalk>,
    /// When it is asked for: where it stands, or what differs.
    audit: Option<Result<Audit, AuditError>>,
    journal: JournalContents,
    guard: [Option<SignedRecord>; 2],
    mempool: Option<PoolFileSummary>,
    statements: Option<Statements>,
    contradictions: Vec<DoubleSign>,
    damage: Vec<String>,
}

impl FolderContents {
    fn read(disk: &dyn Disk, given: Option<Genesis>, is_audit: bool) -> anyhow::Result<Self> {
        let journal = read_journal(disk, PAYLOAD_FORMAT)?;
        let mut found = Self {
            genesis_hash: None,
            genesis: None,
            chain: None,
            tip: None,
            history: HistoryPeaks::default(),
            log: None,
            audit: None,
            guard: read_guard(disk)?,
            mempool: None,
            statements: None,
            contradictions: Vec::new(),
            damage: journal.damage.iter().map(ToString::to_string).collect(),
            journal,
        };
        let heights: BTreeSet<_> = found.journal.batches.iter().map(|batch| batch.height).collect();
        found.read_log(disk, given, &heights, is_audit)?;
        found.mempool = PoolFileSummary::read(disk, found.genesis_hash, &PoolTransaction::parse::<Transaction>)?;
        for statement in found.journal.batches.iter().flat_map(|batch| &batch.statements).cloned().collect::<Vec<_>>() {
            found.add(statement);
        }
        Ok(found)
    }

    /// Walks the block log. Precommits are kept of the heights that are in the journal, which bounds them.
    fn read_log(
        &mut self,
        disk: &dyn Disk,
        given: Option<Genesis>,
        heights: &BTreeSet<Height>,
        is_audit: bool,
    ) -> anyhow::Result<()> {
        let mut walk = match LogWalk::open(disk) {
            Ok(walk) => walk,
            Err(error) => {
                self.damage.push(error.to_string());
                return Ok(());
            }
        };
        let hash = walk.genesis();
        if let Some(other) = given.as_ref().filter(|given| given.hash() != hash) {
            bail!("{BLOCK_LOG_FILE} belongs to genesis {hash}, the given file is of genesis {}", other.hash());
        }
        self.genesis_hash = Some(hash);
        self.genesis = given.or_else(|| development_genesis(hash));
        self.chain = self.genesis.as_ref().map(|genesis| genesis.chain_id);
        if is_audit {
            let genesis = self.genesis.as_ref();
            let genesis =
                genesis.with_context(|| format!("the chain is of genesis {hash}: name its file by --genesis"))?;
            self.audit = Some(Audit::new(genesis));
        }
        let mut progress = is_audit.then(|| WalkProgress::new(walk.position() + walk.bytes_left().unwrap_or_default()));
        loop {
            match walk.step() {
                Ok(Some(decided)) => {
                    let height = decided.block.header.height.0;
                    self.take(decided, heights);
                    if let Some(progress) = &mut progress {
                        progress.at(walk.position(), height);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.damage.push(error.to_string());
                    break;
                }
            }
        }
        if let Some(progress) = progress {
            progress.end();
        }
        self.log = Some(walk);
        Ok(())
    }

    fn take(&mut self, decided: DecidedBlock, heights: &BTreeSet<Height>) {
        self.chain.get_or_insert(decided.block.header.chain_id);
        let audited = match &mut self.audit {
            Some(Ok(audit)) => audit.apply(&decided.block, &decided.certificate),
            _ => Ok(()),
        };
        if let Err(error) = audited {
            self.audit = Some(Err(error));
        }
        let (id, header) = (decided.certificate.block, &decided.block.header);
        if header.history_root != self.history.root() {
            self.damage.push(format!("block {} names another history than the blocks before it are", header.height));
        }
        self.history.append(&id);
        if heights.contains(&decided.block.height()) {
            statements_of(&decided.certificate).for_each(|statement| self.add(statement));
        }
        self.tip = Some(decided);
    }

    fn add(&mut self, statement: Statement) {
        let Some(chain) = self.chain else { return };
        match self.statements.get_or_insert_with(|| Statements::new(chain)).add(statement) {
            Ok(evidence) => self.contradictions.extend(evidence),
            Err(forged) => self.damage.push(forged.to_string()),
        }
    }

    fn report(&self, folder: &Path, own: Option<PublicKey>) -> Value {
        let header = self.tip.as_ref().map(|tip| &tip.block.header);
        let audit = self.audit.as_ref().map(|audit| match audit {
            Ok(audit) => audit_report(&audit.summary()),
            Err(error) => difference_report(error),
        });
        json!({
            "folder": folder.display().to_string(),
            "genesis": self.genesis_hash.map(|hash| hash.to_string()),
            "chain_id": self.chain.map(|chain| chain.0),
            "blocks": header.map_or(0, |header| header.height.0),
            "bestblockhash": self.tip.as_ref().map(|tip| tip.certificate.block.to_string()),
            "time": header.map(|header| header.time.seconds()),
            "state_commitment": header.map(|header| header.state_commitment.to_string()),
            "history_root": header.map(|header| header.history_root.to_string()),
            "audit": audit,
            "log": self.log.as_ref().map(|log| json!({
                "bytes": log.position(),
                "torn_bytes": log.bytes_left().unwrap_or_default(),
            })),
            "journal": self.journal_report(own),
            "guard": self.guard.iter().flatten().map(described).collect::<Vec<_>>(),
            "mempool": self.mempool.as_ref().map(|mempool| json!({
                "bytes": mempool.bytes,
                "torn_bytes": mempool.torn_bytes(),
                "records": mempool.records,
                "transactions": mempool.transactions,
                "of_clients": mempool.of_clients,
                "transaction_bytes": mempool.transaction_bytes,
                "losses": mempool.losses,
                // No damage: a node starts all the same.
                "trouble": mempool.trouble.as_ref().map(ToString::to_string),
            })),
            "contradictions": self.contradictions.iter().map(|evidence| self.accusation(evidence)).collect::<Vec<_>>(),
            "damage": self.damage,
        })
    }

    fn journal_report(&self, own: Option<PublicKey>) -> Value {
        let batches = &self.journal.batches;
        let (mut signed, mut received) = (Vec::new(), BTreeMap::<String, u64>::new());
        for statement in batches.iter().flat_map(|batch| &batch.statements) {
            match own == Some(statement.signer()) {
                true => signed.push(described(&statement.record())),
                false => *received.entry(self.name(&statement.signer())).or_default() += 1,
            }
        }
        let heights: BTreeSet<_> = batches.iter().map(|batch| batch.height.0).collect();
        json!({
            "generation": self.journal.newest.map(|(generation, _)| generation),
            "height": self.journal.newest.map(|(_, height)| height.0),
            "heights": heights,
            "batches": batches.len(),
            "undecided_blocks": batches.iter().map(|batch| batch.blocks).sum::<usize>(),
            "signed_here": own.map(|_| signed),
            "signed_by": received.into_iter().map(|(name, count)| format!("{name}: {count}")).collect::<Vec<_>>(),
        })
    }

    /// A development node's number, or the start of the key.
    fn name(&self, key: &PublicKey) -> String {
        let masternodes = self.genesis.as_ref().map(|genesis| &genesis.masternodes[..]).unwrap_or_default();
        let is_it = |id: &u64| SecretKey::development("consensus", *id).public() == *key;
        (1..=DEVNET_NODES_MAX)
            .take(masternodes.len())
            .find(is_it)
            .map_or_else(|| key.short(), |id| format!("node {id}"))
    }

    fn accusation(&self, evidence: &DoubleSign) -> String {
        let (first, second) = match evidence {
            DoubleSign::Votes(a, b) => (Statement::Vote((**a).clone()), Statement::Vote((**b).clone())),
            DoubleSign::Proposals(a, b) => (Statement::Proposal((**a).clone()), Statement::Proposal((**b).clone())),
        };
        format!("{}: {} and {}", self.name(&first.signer()), described(&first.record()), described(&second.record()))
    }
}

/// A record with what it is for.
fn described(record: &SignedRecord) -> String {
    let value = record.block.map_or_else(|| "nil".into(), |block| format!("block {}", block.short()));
    let proof = record.valid_round.map(|round| format!(" by round {round}")).unwrap_or_default();
    format!("{record}: {value}{proof}")
}

/// The development network with this genesis, if it is one.
fn development_genesis(hash: Hash) -> Option<Genesis> {
    (1..=DEVNET_NODES_MAX).map(Genesis::devnet).find(|genesis| genesis.hash() == hash)
}
