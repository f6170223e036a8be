//! What checking costs one core: signatures alone and in batches, transactions as the mempool checks them, full blocks as consensus has them validated
//! them. Everything runs on one thread and is measured in that thread's processor time, so other programs disturb little.

use super::chain::ChainMaker;
use super::report::{self, float, median, rounded};
use super::usage::thread_cpu_time;
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use timed_chain::{History as _, PoolTransaction, TransactionRules as _};
use timed_ledger::{Ledger, transactions_of};
use timed_mempool::{Pool, PoolLimits, Source};
use timed_primitives::{Block, CommitCertificate, MemoryDisk, SecretKey, SignedItem, encode, verify_batch};
use timed_test_support::MemoryStore;

/// Signatures in a batch.
const BATCHES: [usize; 5] = [1, 16, 64, 256, 1024];
/// Transactions whose signatures the mempool checks in one batch at most.
const POOL_BATCH: usize = 256;

/// Flags of `timed-bench verify`.
#[derive(Clone, Debug, Args)]
pub(super) struct VerifyArgs {
    /// How often each thing is measured; the median is shown.
    #[arg(long, default_value_t = 7, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    repetitions: u16,
    /// How long signatures of one batch size are checked in one repetition, such as 100ms.
    #[arg(long, default_value = "150ms", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    time: Duration,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(super) fn run(arguments: &VerifyArgs) -> anyhow::Result<()> {
    report::progress("signing payments for a full block ...");
    let block = FullBlock::make()?;
    let items = signed_items(BATCHES.iter().copied().max().unwrap_or(1));
    let mut signatures: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    let [mut checked, mut unknown, mut known] = [const { Vec::new() }; 3];
    report::progress(format!("measuring {} repetitions ...", arguments.repetitions));
    // One after the other in each repetition, so that a slower minute of the machine hits all alike.
    for repetition in 0..u64::from(arguments.repetitions) {
        for size in BATCHES {
            signatures.entry(size).or_default().push(signatures_per_second(&items, size, arguments.time)?);
        }
        checked.push(block.check_all()?);
        unknown.push(block.validate(repetition, false)?);
        known.push(block.validate(repetition, true)?);
    }
    let measured = VerifyFigures {
        signatures: signatures.into_iter().map(|(size, rates)| (size, median(rates))).collect(),
        checked: median(checked),
        unknown: median(unknown),
        known: median(known),
        transactions: block.encoded.len(),
        bytes: encode(&*block.block).len(),
    };
    match arguments.json {
        true => report::print_json(&measured.as_json(arguments)),
        false => measured.print(),
    }
    Ok(())
}

/// Medians over the repetitions.
struct VerifyFigures {
    /// Signatures per core-second, by size of the batch.
    signatures: BTreeMap<usize, f64>,
    /// Processor time of a block's transactions in the mempool, and of its validation. Unit: seconds.
    checked: f64,
    unknown: f64,
    known: f64,
    transactions: usize,
    bytes: usize,
}

impl VerifyFigures {
    fn per_second(&self, seconds: f64) -> f64 {
        rounded(float(self.transactions as u64) / seconds.max(1e-9), 0)
    }

    fn as_json(&self, arguments: &VerifyArgs) -> Value {
        let signatures: serde_json::Map<_, _> =
            self.signatures.iter().map(|(size, rate)| (size.to_string(), json!(rounded(*rate, 0)))).collect();
        json!({
            "benchmark": "verify",
            "setting": report::setting(),
            "repetitions": arguments.repetitions,
            "signatures_per_core_second_by_batch": signatures,
            "mempool": {
                "transactions_per_core_second": self.per_second(self.checked),
                "us_per_transaction": rounded(1e6 * self.checked / float(self.transactions as u64), 2),
            },
            "block": {
                "transactions": self.transactions,
                "bytes": self.bytes,
                "judge_unknown_ms": rounded(1e3 * self.unknown, 2),
                "judge_known_ms": rounded(1e3 * self.known, 2),
                "transactions_per_core_second_unknown": self.per_second(self.unknown),
                "transactions_per_core_second_known": self.per_second(self.known),
            },
        })
    }

    fn print(&self) {
        let names: Vec<_> = self.signatures.keys().map(|size| format!("signatures, batches of {size}")).collect();
        let mut rows: Vec<_> = names
            .iter()
            .zip(self.signatures.values())
            .map(|(name, rate)| (&name[..], format!("{rate:.0}"), "per core-second"))
            .collect();
        let block = format!("{} payments, {} bytes", self.transactions, self.bytes);
        let (unknown, known) = (1e3 * self.unknown, 1e3 * self.known);
        rows.push((
            "transactions, whole check",
            format!("{:.0}", self.per_second(self.checked)),
            "per core-second, in the mempool",
        ));
        rows.push(("full block", block, ""));
        rows.push(("validated, signatures unknown", format!("{unknown:.1} ms"), ""));
        rows.push(("validated, signatures known", format!("{known:.1} ms"), "seen in the mempool before"));
        report::print_rows(&rows);
    }
}

/// Each by another key.
pub(super) fn signed_items(count: usize) -> Vec<SignedItem> {
    let item = |id: u64| {
        let key = SecretKey::development("benchmark", id);
        let message = id.to_be_bytes().repeat(4);
        SignedItem { key: key.public(), signature: key.sign(&message), message }
    };
    (0..count as u64).map(item).collect()
}

/// Signatures per second of processor time, in batches of this size.
///
/// # Errors
/// When a valid signature is refused.
pub(super) fn signatures_per_second(items: &[SignedItem], size: usize, time: Duration) -> anyhow::Result<f64> {
    let (start, cpu, mut count) = (Instant::now(), thread_cpu_time(), 0);
    loop {
        for batch in items.chunks(size) {
            anyhow::ensure!(verify_batch(batch), "a valid signature was refused");
            count += batch.len() as u64;
            if start.elapsed() >= time {
                let spent = thread_cpu_time().saturating_sub(cpu);
                return Ok(float(count) / spent.as_secs_f64().max(1e-9));
            }
        }
    }
}

/// A block of 1 MiB and the chain below it.
struct FullBlock {
    /// The block under it, which makes its coins, and why it is final.
    below: (Arc<Block>, CommitCertificate),
    block: Arc<Block>,
    encoded: Vec<Vec<u8>>,
}

impl FullBlock {
    fn make() -> anyhow::Result<Self> {
        let mut maker = ChainMaker::start(&MemoryDisk::default(), Arc::new(MemoryStore::default()))?;
        let below = maker.certified_tip()?;
        let payments = maker.payments();
        maker.verify_known(&payments);
        let block = maker.assemble(payments)?;
        let encoded = transactions_of(&block.payload).iter().map(encode).collect();
        Ok(Self { below, block, encoded })
    }

    /// The chain below the block, by a node that has seen nothing of it.
    fn chain(&self) -> anyhow::Result<Ledger> {
        let store = Arc::new(MemoryStore::default());
        let mut ledger = timed_ledger::open(ChainMaker::genesis(), &MemoryDisk::default(), store)?;
        let (block, certificate) = self.below.clone();
        ledger.commit(block, certificate)?;
        Ok(ledger)
    }

    /// Seconds for all its transactions to pass the mempool, from bytes to being in the pool.
    fn check_all(&self) -> anyhow::Result<f64> {
        let rules = self.chain()?.reader();
        let mut pool = Pool::new(PoolLimits::default(), rules.tip().height);
        let now = timed_primitives::Instant(1);
        let start = thread_cpu_time();
        for batch in self.encoded.chunks(POOL_BATCH) {
            let (mut candidates, mut items) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
            for bytes in batch {
                let transaction = Arc::new(rules.parse(bytes.clone().into())?);
                let candidate = pool.pre_check(now, transaction, Source::Local, &rules);
                let mut candidate =
                    candidate.map_err(|reason| anyhow::anyhow!("a valid payment was refused: {reason:?}"))?;
                items.extend(candidate.take_signed_items());
                candidates.push(candidate);
            }
            anyhow::ensure!(verify_batch(&items), "a valid signature was refused");
            for candidate in candidates {
                let admitted = pool.admit(now, candidate, &rules);
                admitted.map_err(|reason| anyhow::anyhow!("a valid payment was refused: {reason:?}"))?;
            }
        }
        Ok((thread_cpu_time().saturating_sub(start)).as_secs_f64())
    }

    /// Seconds to validate the block, whose signatures are known from the mempool or not.
    fn validate(&self, repetition: u64, is_known: bool) -> anyhow::Result<f64> {
        let mut ledger = self.chain()?;
        if is_known {
            let known = transactions_of(&self.block.payload);
            ledger.verified().insert(known.iter().map(|known| Arc::new(PoolTransaction::of(known))));
        }
        // As it comes from the network: decoded anew, nothing of it in a cache.
        let mut block = (*self.block).clone();
        block.header.time = block.header.time.plus(Duration::from_millis(repetition));
        let block = Arc::new(block);
        let start = thread_cpu_time();
        ledger.validate(&block)?;
        Ok((thread_cpu_time().saturating_sub(start)).as_secs_f64())
    }
}
