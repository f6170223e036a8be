//! The corpus and many mutations of it, without an engine: bounded by count, and the same each time.
//!
//! `UPDATE_GOLDEN=1` writes the seeds anew that are made here; what the engine found stays.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use timed_chain::{BLOCK_LOG_FILE, CompactBlock, Draft, History as _, LogWalk, PoolTransaction};
use timed_consensus::guard::GUARD_FILE;
use timed_consensus::inspect::read_journal;
use timed_consensus::journal::JOURNAL_FILES;
use timed_consensus::statement::Statement;
use timed_consensus::{ChainStart, Consensus, CoreConfig, Gossip, Input, KeyReport, Output};
use timed_fuzz::TARGETS;
use timed_ledger::{
    Address, Genesis, KeyHash, Lock, OutPoint, Payouts, RegisterPayload, RegistrationId, Tier, Transaction,
    TransactionBody, TransactionPayload, TxInput, TxOutput, transactions_of,
};
use timed_mempool::{KeptRecord, KeptTransaction, Loss, LossReason, POOL_FILE, PoolFile, PoolLimits};
use timed_peer::AddressRecord;
use timed_primitives::vote::vote_signing_bytes;
use timed_primitives::{
    Amount, Block, BlockId, ChainId, CommitCertificate, CommitSignature, Disk as _, DoubleSign, Hash, Height,
    HistoryProof, Instant, MemoryDisk, Network, Proposal, Round, SecretKey, Signature, Tip, TxId, UnixTime, Vote,
    VoteKind, decode, encode,
};
use timed_test_support::MemoryStore;
use timed_wire::{Encoded, Kind, sample};

/// Mutations of each target.
const MUTATIONS: usize = 1_000;
/// Longest input that mutations make. Unit: bytes.
const BYTES_MAX: usize = 32 * 1024;

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// The inputs of a target, in the order of their names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(folder(target)).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Shows the input on which a target failed.
struct Played<'a>(&'a str, &'a [u8]);

impl Drop for Played<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("target {} failed on {}", self.0, hex::encode(self.1));
        }
    }
}

fn play(name: &str, target: fn(&[u8]), bytes: &[u8]) {
    let played = Played(name, bytes);
    target(bytes);
    drop(played);
}

fn mutated(rng: &mut StdRng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[rng.random_range(0..corpus.len())].clone();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=bytes.len());
        let len = rng.random_range(0..=16).min(bytes.len() - at);
        match rng.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'"'][rng.random_range(0..6)],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..at + len)),
            4 => {
                let again = bytes[at..at + len].to_vec();
                bytes.splice(at..at, again);
            }
            _ => {
                let other = &corpus[rng.random_range(0..corpus.len())];
                let from = rng.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

#[test]
fn every_input_of_the_corpus_is_borne() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        corpus.iter().for_each(|bytes| play(name, target, bytes));
        play(name, target, &[]);
    }
}

#[test]
fn mutations_are_borne() {
    for (name, target) in TARGETS {
        let (mut rng, corpus) = (StdRng::seed_from_u64(1), corpus(name));
        for _ in 0..MUTATIONS {
            play(name, target, &mutated(&mut rng, &corpus));
        }
    }
}

/// Bytes of the seventh record that are in the log of [`chain`].
const TORN_BYTES: usize = 234;

/// A block log of six blocks with a payment each, and the start of a seventh.
fn chain() -> Vec<u8> {
    let (genesis, disk) = (Genesis::devnet(4), MemoryDisk::default());
    let mut ledger = timed_ledger::open(genesis.clone(), &disk, Arc::new(MemoryStore::default())).unwrap();
    let mut end = 0;
    for (previous, output) in genesis.unspent().take(7) {
        end = usize::try_from(ledger.reader().stats().log_bytes).unwrap();
        let amount = output.amount.minus(Amount(1_000)).unwrap();
        let lock = address().lock();
        let (inputs, outputs) = (vec![TxInput { previous }], vec![TxOutput { amount, lock }]);
        let body = TransactionBody::transfer(genesis.chain_id, inputs, outputs);
        let payment = PoolTransaction::of(&body.sign(&[&SecretKey::development("wallet", 0)]));
        let tip = ledger.tip();
        let draft = Draft {
            time: UnixTime(tip.time.0 + 1_000),
            proposer: SecretKey::development("consensus", 1).public(),
            first_round: Round(0),
            parent_certificate: tip.certificate,
            transactions: vec![Arc::new(payment)],
            statements: vec![],
        };
        let block = ledger.assemble(draft).unwrap().block;
        let certificate = certificate(&block);
        ledger.commit(block, certificate).unwrap();
    }
    let mut log = vec![0; end + TORN_BYTES];
    disk.open(BLOCK_LOG_FILE).unwrap().read_at(0, &mut log).unwrap();
    log
}

/// By three of four.
fn certificate(block: &Block) -> CommitCertificate {
    let (chain, height, id) = (block.header.chain_id, block.height(), block.id());
    let sign = |node| {
        let key = SecretKey::development("consensus", node);
        let bytes = vote_signing_bytes(chain, VoteKind::Precommit, height, Round(0), Some(id), &key.public());
        CommitSignature { validator: key.public(), signature: key.sign(&bytes) }
    };
    let mut signatures: Vec<_> = (1..=3).map(sign).collect();
    signatures.sort();
    CommitCertificate { height, round: Round(0), block: id, signatures }
}

/// Objects of that chain, with the number that the target knows their kind by.
fn objects() -> Vec<Vec<u8>> {
    let disk = MemoryDisk::default();
    let put = |name: &str, bytes: &[u8]| disk.open(name).unwrap().write_at(0, bytes).unwrap();
    put(BLOCK_LOG_FILE, &chain());
    let journal = fs::read(folder("journal").join("seed-signed")).unwrap();
    put(JOURNAL_FILES[0], &journal[2..]);
    let numbered = |number: u8, bytes: Vec<u8>| [vec![number], bytes].concat();
    let mut objects = Vec::new();
    objects.push(numbered(7, encode(&history_proof(&chain()))));
    let mut walk = LogWalk::open(&disk).unwrap();
    while let Ok(Some(decided)) = walk.step() {
        objects.push(numbered(1, encode(&*decided.block)));
        objects.push(numbered(6, encode(&*decided.certificate)));
        objects
            .extend(transactions_of(&decided.block.payload).iter().map(|transaction| numbered(0, encode(transaction))));
    }
    let statements = read_journal(&disk, timed_ledger::PAYLOAD_FORMAT)
        .unwrap()
        .batches
        .into_iter()
        .flat_map(|batch| batch.statements);
    objects.extend(statements.map(|statement| match statement {
        Statement::Vote(vote) => numbered(2, encode(&vote)),
        Statement::Proposal(proposal) => numbered(3, encode(&proposal)),
    }));
    objects.truncate(12);
    objects.extend(payloads().iter().map(|transaction| numbered(0, encode(transaction))));
    // With a name for every second transaction.
    let mut walk = LogWalk::open(&disk).unwrap();
    while let Ok(Some(decided)) = walk.step() {
        let transactions = transactions_of(&decided.block.payload);
        let facts: Vec<_> = transactions.iter().map(|one| PoolTransaction::of(one).facts).collect();
        let named: Vec<_> = facts.iter().step_by(2).map(|one| one.full_id).collect();
        let compact = CompactBlock::of(&decided.block, &facts, |one| named.contains(&one.full_id));
        objects.push(numbered(9, encode(&compact)));
    }
    objects
}

/// A transaction for each thing that one can do beside moving money.
fn payloads() -> Vec<Transaction> {
    let key = |purpose: &str| SecretKey::development(purpose, 1);
    let (registration, previous) = (RegistrationId(Hash([3; 32])), TxId(Hash([4; 32])));
    let service = "192.0.2.1:7000".parse().unwrap();
    let (owner, operator) = (key("owner").public(), key("consensus").public());
    let payouts = Payouts::one(Lock::KeyHash(KeyHash::of(&key("wallet").public())).owner());
    let vote = |block| {
        let (kind, height, round, block) =
            (VoteKind::Prevote, Height(2), Round::ZERO, Some(BlockId(Hash([block; 32]))));
        let bytes = vote_signing_bytes(ChainId(1), kind, height, round, block, &operator);
        Vote { kind, height, round, block, validator: operator, signature: key("consensus").sign(&bytes) }
    };
    let signatures = vec![CommitSignature { validator: operator, signature: vote(5).signature }];
    let (height, round, block) = (Height(2), Round::ZERO, BlockId(Hash([5; 32])));
    let late = CommitCertificate { height, round, block, signatures };
    let register = RegisterPayload { tier: Tier::Silver, owner, operator, service, payouts: payouts.clone() };
    let all = [
        TransactionPayload::Register(register),
        TransactionPayload::UpdateService { registration, previous, service },
        TransactionPayload::UpdateRegistrar { registration, previous, operator, payouts },
        TransactionPayload::Pause { registration, previous },
        TransactionPayload::Resume { registration, previous },
        TransactionPayload::Revoke { registration, previous },
        TransactionPayload::Release { registration },
        TransactionPayload::DoubleSign { registration, proof: DoubleSign::of_votes(vote(1), vote(2)) },
        TransactionPayload::LatePrecommits(late),
        TransactionPayload::Reachability { interval: 1, free: registration, witness: registration },
    ];
    let transaction = |payload: TransactionPayload| {
        let is_statement = matches!(
            payload,
            TransactionPayload::DoubleSign { .. }
                | TransactionPayload::LatePrecommits(_)
                | TransactionPayload::Reachability { .. }
        );
        let signers = payload.signers() + usize::from(!is_statement);
        let inputs = vec![TxInput { previous: OutPoint { txid: previous, index: 0 } }];
        let outputs = vec![TxOutput { amount: Amount::whole(10_000), lock: address().lock() }];
        let body = match is_statement {
            true => TransactionBody::statement(ChainId(1), payload),
            false => TransactionBody { payload, ..TransactionBody::transfer(ChainId(1), inputs, outputs) },
        };
        body.sign(&vec![&key("consensus"); signers])
    };
    all.into_iter().map(transaction).collect()
}

/// Of the first block of a chain by its last.
fn history_proof(log: &[u8]) -> HistoryProof {
    let disk = MemoryDisk::default();
    disk.open(BLOCK_LOG_FILE).unwrap().write_at(0, log).unwrap();
    let ledger = timed_ledger::open(Genesis::devnet(4), &disk, Arc::new(MemoryStore::default()));
    ledger.unwrap().reader().history_proof(Height(1), None).unwrap()
}

/// Mempool files: with a chain of payments and a loss, the same torn, and without its first half.
fn pool_files() -> Vec<Vec<u8>> {
    let transaction: Transaction = {
        let object = objects().into_iter().find(|object| object[0] == 0).unwrap();
        decode(&object[1..]).unwrap()
    };
    let mut child = transaction.clone();
    child.body.inputs = vec![TxInput { previous: OutPoint { txid: transaction.id(), index: 0 } }];
    let waiting = |transaction: &Transaction, is_ours| {
        let transaction = Arc::new(PoolTransaction::of(transaction));
        KeptRecord::Waiting(KeptTransaction { transaction, arrived: UnixTime(1_700_000_000_000), is_ours })
    };
    let (with, outpoint) = (child.id(), OutPoint { txid: child.id(), index: 1 });
    let reason = LossReason::Conflict { with, resource: outpoint.resource(), height: Height(3) };
    let lost = Loss { txid: TxId(Hash([9; 32])), reason, at: UnixTime(1_700_000_000_001) };
    let disk = Arc::new(MemoryDisk::default());
    let (mut file, _) =
        PoolFile::open(disk.clone(), Hash([7; 32]), &PoolLimits::default(), &PoolTransaction::parse::<Transaction>);
    file.rewrite([waiting(&child, false), waiting(&transaction, true)].into_iter()).unwrap();
    file.append(&[KeptRecord::Lost(lost), waiting(&child, true)]).unwrap();
    let handle = disk.open(POOL_FILE).unwrap();
    let mut whole = vec![0; usize::try_from(handle.len().unwrap()).unwrap()];
    handle.read_at(0, &mut whole).unwrap();
    let torn = whole[..whole.len() - 5].to_vec();
    let second_half = [&whole[..44], &whole[whole.len() / 2..]].concat();
    vec![whole, torn, second_half]
}

/// The first block of the chain.
fn first_block() -> Arc<Block> {
    let bytes = objects().into_iter().find(|object| object[0] == 1).unwrap();
    Arc::new(decode(&bytes[1..]).unwrap())
}

/// Journal and guard of validator 1 at height 1, after each step in which they changed, and with the guard of the step before: the others
/// propose and prevote a block and never decide it.
fn journals() -> Vec<Vec<u8>> {
    let (genesis, block) = (Genesis::devnet(4), first_block());
    let chain = genesis.chain_id;
    let key = |id| SecretKey::development("consensus", id);
    let (height, id, state_commitment) = (Height(0), BlockId::default(), Hash::ZERO);
    let tip = Tip { height, id, time: genesis.time, state_commitment, certificate: None };
    let validators = genesis.validator_set().unwrap();
    let [now, next_validators, tip_validators] = [(); 3].map(|()| validators.clone());
    let start = ChainStart { tip, validators: now, next_validators, tip_validators, recent: Vec::new() };
    let disk = MemoryDisk::default();
    let config = CoreConfig {
        journal_step_bytes: FILE_BYTES as u64,
        ..CoreConfig::new(chain, Some(key(1)), timed_ledger::PAYLOAD_FORMAT)
    };
    let mut core = Consensus::open(config, &disk, start).unwrap();
    let proposer = (1..=4).map(key).find(|key| key.public() == block.header.proposer).unwrap();
    let mut proposal = Proposal {
        height: Height(1),
        round: Round(0),
        block: block.id(),
        valid_round: None,
        proposer: proposer.public(),
        signature: Signature([0; 64]),
    };
    proposal.signature = proposer.sign(&proposal.signing_bytes(chain));
    let node = |id| SecretKey::development("node", id).public();
    let gossip = |id, message| Input::Gossip { from: node(id), message };
    let mut inputs = VecDeque::from([Input::Start]);
    inputs.extend((2..=4).map(|id| Input::PeerUp {
        peer: node(id),
        validator: Some(key(id).public()),
        instance: id.into(),
        address: None,
    }));
    inputs.extend((2..=4).map(|id| Input::PeerHeight { peer: node(id), height: Height(0) }));
    let report = KeyReport { height: Height(0), other: None };
    inputs.extend((2..=4).map(|id| gossip(id, Gossip::KeyReport(report))));
    inputs.push_back(gossip(2, Gossip::Proposal(proposal)));
    inputs.push_back(gossip(2, Gossip::Block(block.clone())));
    let (mut now, mut kept) = (Instant(0), vec![files(&disk)]);
    for _ in 0..60 {
        let input = inputs.pop_front().unwrap_or_else(|| {
            now = core.next_wake().unwrap().max(now);
            Input::Wake
        });
        for output in core.handle(now, UnixTime(block.header.time.0 + now.0 / 1_000), input).unwrap() {
            match output {
                Output::Build { height, round, .. } => {
                    inputs.push_back(Input::Built { height, round, block: block.clone() });
                }
                Output::Validate { block } => inputs.push_back(Input::Validated { id: block.id(), valid: true }),
                Output::Broadcast(Gossip::Vote(vote))
                    if vote.kind == VoteKind::Prevote && vote.validator == key(1).public() =>
                {
                    for id in 2..=4 {
                        let mut other = Vote { validator: key(id).public(), ..vote.clone() };
                        other.signature = key(id).sign(&other.signing_bytes(chain));
                        inputs.push_back(gossip(id, Gossip::Vote(other)));
                    }
                }
                _ => {}
            }
        }
        let found = files(&disk);
        if kept.last() != Some(&found) {
            kept.push(found);
        }
    }
    let both = |journal: &[Vec<u8>; 3], guard: &[u8]| [&[96, 96], &journal[0][..], &journal[1], guard].concat();
    let pairs = kept.iter().zip(kept.iter().skip(1));
    let seeds = pairs.flat_map(|(before, after)| [both(after, &after[2]), both(after, &before[2])]);
    seeds.take(JOURNALS_MAX).collect()
}

/// Bytes of each journal file in a seed: three batches.
const FILE_BYTES: usize = 24 << 10;
/// Bytes of the guard in one, so that each is a whole number of shares.
const GUARD_BYTES: usize = 16 << 10;
/// Most seeds of journals.
const JOURNALS_MAX: usize = 6;

/// Both journal files and the guard, each filled up with zeros.
fn files(disk: &MemoryDisk) -> [Vec<u8>; 3] {
    [(JOURNAL_FILES[0], FILE_BYTES), (JOURNAL_FILES[1], FILE_BYTES), (GUARD_FILE, GUARD_BYTES)].map(|(name, size)| {
        let file = disk.open(name).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        bytes.resize(size, 0);
        bytes
    })
}

/// A call of each method, as far as its parameters can be guessed from their kinds; a batch; a call of the old form.
fn calls() -> Vec<Vec<u8>> {
    let transaction = objects().into_iter().find(|object| object[0] == 0).unwrap();
    let value = |kind: timed_rpc::ParamKind| match kind {
        timed_rpc::ParamKind::Integer | timed_rpc::ParamKind::Verbosity => "1".to_owned(),
        timed_rpc::ParamKind::Boolean => "true".to_owned(),
        timed_rpc::ParamKind::Text => "\"add\"".to_owned(),
        timed_rpc::ParamKind::Hash | timed_rpc::ParamKind::HashOrHeight => format!("\"{}\"", "5a".repeat(32)),
        timed_rpc::ParamKind::Hex => format!("\"{}\"", hex::encode(&transaction[1..])),
        timed_rpc::ParamKind::HexList => format!("[\"{}\"]", hex::encode(&transaction[1..])),
        timed_rpc::ParamKind::Amount => "12.5".to_owned(),
        timed_rpc::ParamKind::Peer => "\"192.0.2.1:7000\"".to_owned(),
        timed_rpc::ParamKind::Address => format!("\"{}\"", address()),
        timed_rpc::ParamKind::AddressList | timed_rpc::ParamKind::TextList => format!("[\"{}\"]", address()),
        timed_rpc::ParamKind::Owners => format!("{{\"addresses\":[\"{}\"]}}", address()),
        timed_rpc::ParamKind::OutPoints => format!("[{{\"txid\":\"{}\",\"vout\":1}}]", "5a".repeat(32)),
        timed_rpc::ParamKind::Outputs => format!("{{\"{}\":0.5}}", address()),
        timed_rpc::ParamKind::Interval => "\"open\"".to_owned(),
        timed_rpc::ParamKind::Options => "{}".to_owned(),
        timed_rpc::ParamKind::Ignored | timed_rpc::ParamKind::Only(_) => "null".to_owned(),
    };
    let call = |method: &timed_rpc::Method| {
        let values: Vec<_> = method.params.iter().map(|param| value(param.kind)).collect();
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{}\",\"params\":[{}]}}", method.name, values.join(","))
    };
    let mut calls: Vec<_> = timed_rpc::METHODS.iter().map(call).collect();
    calls.push("[{\"id\":\"a\",\"method\":\"getblock\",\"params\":{\"blockhash\":1,\"verbosity\":2}},{\"jsonrpc\":\"2.0\",\"method\":\"uptime\"}]".into());
    // Long text of two bytes a letter wherever text is shown back.
    let long = "\u{e9}".repeat(200);
    calls.push(format!("[\"{long}\",{{\"id\":\"{long}\",\"method\":\"{long}\"}},{{\"id\":1,\"method\":\"getblock\",\"params\":[\"{long}\"]}}]"));
    calls.into_iter().map(String::into_bytes).collect()
}

fn address() -> Address {
    let key_hash = KeyHash::of(&SecretKey::development("payee", 1).public());
    Address { network: Network::Devnet, key_hash }
}

/// What the corpus begins with, by target.
fn seeds() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let encoded: Vec<_> =
        Kind::ALL.into_iter().filter_map(sample::message).map(|m| Encoded::new(&m).unwrap()).collect();
    let frames: Vec<Vec<u8>> = encoded.iter().map(|e| e.whole(usize::MAX).unwrap().to_vec()).collect();
    // Kind and body, without the length before them.
    let bodies = frames.iter().map(|frame| frame[4..].to_vec()).collect();
    let handshake = |flags: u8, first: &[u8]| [&[flags, 1, 0, 0, 0, 0, 0, 0], first, &frames[1]].concat();
    let mut handshakes: Vec<_> = frames.iter().map(|frame| handshake(1, frame)).collect();
    // A hello that is accepted: by each direction, by a validator and an observer, with a proof, and with one of another connection.
    let hello = timed_wire::Hello { validator: None, ..sample::hello() };
    let hello = Encoded::new(&timed_wire::ControlMessage::Hello(Box::new(hello)).into()).unwrap();
    handshakes.extend((0..16).map(|flags| handshake(flags, hello.whole(usize::MAX).unwrap())));
    let record = |address: &str, id| {
        let key = SecretKey::development("node", id);
        AddressRecord::sign(&key, ChainId(1), address, UnixTime(1_700_000_000_000)).unwrap().encode().to_vec()
    };
    let records = vec![record("192.0.2.1:7000", 1), record("[2001:db8::1]:7000", 2), record("node.example.org:1", 3)];
    let blocks = objects().into_iter().filter(|object| object[0] == 1).map(|object| object[1..].to_vec()).collect();
    let texts = [
        "1.00000000",
        "21000000",
        "devnet",
        "[2001:db8::1]:7000",
        "node.example.org:7000",
        "[2001:db8:1:2:3:4:5:6]:65535",
        "d433b06aa1c5a30d36781603735ca61d344bd7260ca2bcb453d6bfcd0c8bea43",
    ];
    let mut texts: Vec<Vec<u8>> = texts.map(|text| text.as_bytes().to_vec()).to_vec();
    texts.push(address().to_string().into_bytes());
    let settings: [&[u8]; 3] = [
        b"NODE__ID=1\nNODE__DEV_NODES=4\nNETWORK=devnet",
        b"PEERS__INBOUND_MAX=10\nRPC__USER=\"a\"\nRPC__PASSWORD=b",
        b"NETWORK=testnet\nNODE__DATA_DIR=/tmp/x",
    ];
    let files: [&[u8]; 3] = [
        b"network = \"devnet\"\n[node]\nid = 2\ndev_nodes = 4\n[p2p]\npeers = [\"192.0.2.1:7000\", \"[2001:db8::1]:7000\"]\n",
        b"network = \"testnet\"\nnode.data_dir = \"data\"\nrpc.user = \"a\"\nlog.level = \"info\"\n",
        b"[consensus]\nsign = false\n[mempool]\n[log]\nformat = \"json\"\n",
    ];
    // Which row, how, where, how many bytes, and these.
    let rows: [&[u8]; 5] = [
        b"",
        &[0, 0, 4, 1, 0x80],
        &[49, 2, 3, 0, 61, 4, 0, 0],
        &[66, 1, 0, 2, 0, 1, 67, 0, 9, 2, 1, 1],
        // The positions of two blocks are mistaken for one another.
        &[54, 5, 55, 0, 57, 5, 56, 0],
    ];
    vec![
        ("journal", journals()),
        ("pool_file", pool_files()),
        ("store", rows.map(<[u8]>::to_vec).to_vec()),
        ("settings", files.map(<[u8]>::to_vec).to_vec()),
        ("rpc", calls()),
        ("frames", frames),
        ("body", bodies),
        ("handshake", handshakes),
        ("objects", objects()),
        ("records", records),
        ("validate", blocks),
        ("texts", texts),
        ("genesis", vec![Genesis::devnet(1).to_json().into_bytes()]),
        ("config", settings.map(<[u8]>::to_vec).to_vec()),
    ]
}

#[test]
fn the_seeds_are_in_the_corpus() {
    check_seed(&folder("block_log").join("seed-chain"), &chain());
    for (target, seeds) in seeds() {
        for (number, seed) in seeds.iter().enumerate() {
            check_seed(&folder(target).join(format!("seed-{number:02}")), seed);
        }
    }
}

fn check_seed(path: &Path, seed: &[u8]) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, seed).unwrap();
    }
    assert!(fs::read(path).is_ok_and(|found| found == seed), "{}: UPDATE_GOLDEN=1 writes it", path.display());
}
