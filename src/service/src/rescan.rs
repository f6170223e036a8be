//! Finds which addresses of a wallet were used: by the index of unspent outputs, and by reading blocks for what is spent, of which there is no index.

use crate::failures::unreadable;
use crate::node_wallet::NodeWallet;
use crate::reads::ChainReads;
use crate::scan::Scan;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use timed_ledger::{KeyHash, LedgerQueries as _, LedgerView, Transaction, Witness, transactions_of};
use timed_primitives::Height;
use timed_rpc::RpcError;

/// Blocks that are read at a time: some tens of milliseconds when they are full.
const BLOCKS_AT_ONCE: u64 = 10;
/// So often in a row a read may fail, a pause after each, before the scan is given up.
const TRIES: u32 = 30;
/// Before a read that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs to its end.
///
/// A block is compared with the addresses that are known when it is read. As addresses are found more of them are derived, as far as the keys are
/// at hand, and an older block may hold one of those: so the blocks up to the last that brought new ones are read again, until none does. This
/// ends, since a wallet has a bounded number of addresses.
pub(crate) async fn run_scan(scan: &Scan, chain: &ChainReads, wallet: &Arc<NodeWallet>) -> Result<(), RpcError> {
    mark_unspent(chain, wallet).await?;
    let (mut last, mut failures) = (scan.last().0, 0);
    loop {
        let (mut next, mut brought) = (scan.first().0.max(Height::FIRST.0), None);
        while next <= last {
            if scan.is_aborted() {
                return Err(RpcError::Wallet(format!(
                    "the scan was ended at block {next}: nothing that it found is lost"
                )));
            }
            let (from, to, of) = (next, last.min(next + BLOCKS_AT_ONCE - 1), wallet.clone());
            match chain.read(move |view| mark_used(view, from..=to, &of)).await {
                Ok(has_news) => {
                    brought = if has_news { Some(to) } else { brought };
                    (next, failures) = (to + 1, 0);
                    scan.reach(Height(to));
                }
                Err(RpcError::Busy(_) | RpcError::DiskSilent { .. } | RpcError::Timeout(_)) if failures < TRIES => {
                    failures += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        match brought {
            Some(height) => last = height,
            None => break,
        }
    }
    mark_unspent(chain, wallet).await
}

/// Marks addresses that have unspent outputs, by the index; of those that are derived then as well.
pub(crate) async fn mark_unspent(chain: &ChainReads, wallet: &Arc<NodeWallet>) -> Result<(), RpcError> {
    loop {
        let owners = wallet.key_hashes();
        let read = move |view: &LedgerView| {
            let mut used = BTreeSet::new();
            for owner in owners {
                if !view.outputs_of(&owner, None, 1).map_err(unreadable)?.is_empty() {
                    used.insert(owner);
                }
            }
            Ok(used)
        };
        let used = chain.read(read).await?;
        if !wallet.mark_used(&used) {
            return Ok(());
        }
    }
}

/// Marks addresses that these blocks pay or spend from. Whether one was news.
fn mark_used(
    view: &LedgerView,
    heights: std::ops::RangeInclusive<u64>,
    wallet: &Arc<NodeWallet>,
) -> Result<bool, RpcError> {
    let mut has_news = false;
    for height in heights {
        let Some(decided) = view.decided(Height(height)).map_err(unreadable)? else { break };
        let used = transactions_of(&decided.block.payload).iter().flat_map(owners).collect();
        has_news |= wallet.mark_used(&used);
    }
    Ok(has_news)
}

/// Whom a transaction pays, and whose money it spends, by the keys that signed it.
fn owners(transaction: &Transaction) -> Vec<KeyHash> {
    let paid = transaction.body.outputs.iter().filter_map(|output| output.lock.key_hash());
    let spent = transaction.witnesses.iter().filter_map(|witness| match witness {
        Witness::Key { key, .. } => Some(KeyHash::of(key)),
        Witness::KeySet { .. } => None,
    });
    paid.chain(spent).collect()
}
