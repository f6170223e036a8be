//! What a block costs that pays an interval, and one that does not: both empty, made by the real ledger in a folder that is thrown away.

use super::chain::certificate;
use super::report::{median, rounded};
use super::usage::thread_cpu_time;
use anyhow::Context as _;
use std::sync::Arc;
use std::time::Duration;
use timed_chain::{Draft, tables_of};
use timed_ledger::{Genesis, Ledger, PaymentApplication};
use timed_primitives::{Block, Round, SecretKey, encode};
use timed_store::DataDir;

/// Pairs of blocks that are made: one within an interval, one that closes it.
const PAIRS: usize = 9;

/// Processor time of making and applying an empty block, and its size.
pub(super) struct BlockFigures {
    /// Within an interval.
    pub(super) ordinary_us: f64,
    /// One that pays every masternode.
    pub(super) paying_us: f64,
    /// With the certificate of all of them.
    pub(super) block_bytes: usize,
}

/// With so many masternodes, all of which sign.
///
/// # Errors
/// When there is no room for a folder, or the ledger refuses, which it does not.
pub(super) fn measure(count: u64) -> anyhow::Result<BlockFigures> {
    let (folder, genesis) = (tempfile::tempdir()?, Genesis::devnet(count));
    let data = DataDir::open(folder.path(), genesis.hash())?;
    let store = Arc::new(data.open_store(&tables_of::<PaymentApplication>())?);
    let mut ledger = timed_ledger::open(genesis.clone(), &data.disk(), store)?;
    let keys: Vec<_> = (1..=count).map(|id| SecretKey::development("consensus", id)).collect();
    let closes = Duration::from_millis(genesis.parameters.reward_interval_ms);
    let (mut ordinary, mut paying, mut block_bytes) = (Vec::new(), Vec::new(), 0);
    for pair in 0..PAIRS + 2 {
        for (after, times) in [(Duration::from_millis(10), &mut ordinary), (closes, &mut paying)] {
            let (block, us) = made(&mut ledger, &keys, after)?;
            block_bytes = encode(&*block).len();
            let certificate = certificate(genesis.chain_id, keys.iter(), &block);
            ledger.commit(block, certificate)?;
            // The first interval that closes pays nothing yet.
            if pair >= 2 {
                times.push(us);
            }
        }
    }
    Ok(BlockFigures { ordinary_us: rounded(median(ordinary), 1), paying_us: rounded(median(paying), 1), block_bytes })
}

fn made(ledger: &mut Ledger, keys: &[SecretKey], after: Duration) -> anyhow::Result<(Arc<Block>, f64)> {
    let tip = ledger.tip();
    let draft = Draft {
        time: tip.time.plus(after),
        proposer: keys.first().context("nobody votes")?.public(),
        first_round: Round::ZERO,
        parent_certificate: tip.certificate,
        transactions: vec![],
        statements: vec![],
    };
    let before = thread_cpu_time();
    let block = ledger.assemble(draft)?.block;
    Ok((block, 1e6 * (thread_cpu_time() - before).as_secs_f64()))
}
