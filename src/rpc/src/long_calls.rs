//! Calls whose answers take long to make: blocks in full, walks over many blocks or outputs. They are answered on threads beside the one that serves,
//! few at once, so that short calls and submissions are answered meanwhile and the threads that vote find a processor.

use crate::disk_reads::as_long_call;
use crate::error::RpcError;
use crate::limits::RpcLimits;
use crate::methods::{AddressCall, Call, ChainCall, MasternodeCall, Method, TransactionCall, WalletCall};
use crate::params::Args;
use serde_json::Value;
use std::fmt::Display;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// What it takes to make an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerCost {
    /// Far below a millisecond, or as long as somebody else takes.
    Short,
    /// The ids of one block; one transaction decoded or signed: a few milliseconds.
    Small,
    /// One block with all transactions, or the mempool: some tens of milliseconds.
    Block,
    /// Many blocks, or all outputs of addresses: seconds.
    Scan,
}

impl AnswerCost {
    pub(crate) fn of(method: &'static Method, params: Option<&Value>) -> Self {
        match method.call {
            Call::Chain(ChainCall::GetBlock) => {
                let verbosity = Args::bind(method, params).and_then(|args| args.verbosity("verbosity", 1));
                if verbosity.is_ok_and(|verbosity| verbosity >= 2) { Self::Block } else { Self::Small }
            }
            Call::Chain(ChainCall::GetBlockHeader | ChainCall::GetHistoryProof | ChainCall::VerifyHistoryProof)
            | Call::Transaction(
                TransactionCall::DecodeRawTransaction
                | TransactionCall::CombineRawTransaction
                | TransactionCall::SignRawTransactionWithKey,
            )
            | Call::Masternode(MasternodeCall::GetMasternodeProof | MasternodeCall::VerifyMasternodeProof)
            | Call::Wallet(WalletCall::SignRawTransactionWithWallet) => Self::Small,
            Call::Chain(ChainCall::GetBlockStats)
            | Call::Masternode(MasternodeCall::GetRewardReport | MasternodeCall::MasternodeWinners)
            | Call::Transaction(
                TransactionCall::GetRawMempool
                | TransactionCall::GetMempoolEntry
                | TransactionCall::GetMempoolAncestors
                | TransactionCall::GetMempoolDescendants,
            ) => Self::Block,
            Call::Chain(ChainCall::GetChainTxStats | ChainCall::ScanTxOutSet)
            | Call::Wallet(
                WalletCall::GetBalance
                | WalletCall::GetBalances
                | WalletCall::GetUnconfirmedBalance
                | WalletCall::GetWalletInfo
                | WalletCall::ListUnspent
                | WalletCall::FundRawTransaction
                | WalletCall::ListTransactions
                | WalletCall::ListSinceBlock,
            )
            | Call::Masternode(
                MasternodeCall::ListLockedCollaterals
                | MasternodeCall::MasternodeRewards
                | MasternodeCall::MasternodeHistory
                | MasternodeCall::Protx,
            )
            | Call::Address(
                AddressCall::GetAddressBalance
                | AddressCall::GetAddressUtxos
                | AddressCall::GetAddressTxids
                | AddressCall::GetAddressDeltas
                | AddressCall::GetAddressMempool,
            ) => Self::Scan,
            Call::Chain(_)
            | Call::Transaction(_)
            | Call::Wallet(_)
            | Call::Wallets(_)
            | Call::Fee(_)
            | Call::Network(_)
            | Call::Consensus(_)
            | Call::Masternode(_)
            | Call::Control(_) => Self::Short,
        }
    }
}

/// What a thread does first that makes answers of [`AnswerCost::Block`] or [`AnswerCost::Scan`]: it may give way to others from then on.
pub(crate) type PrepareThread = fn();

/// Slots for calls that are made, and places for those with the ones that wait for a slot. Bound: [`RpcLimits::block_calls_max`] and
/// [`RpcLimits::scans_max`] are made at once; of the calls that may be in progress, half may be large or scans and a quarter small, so that short
/// ones find a place.
pub(crate) struct LongCalls {
    small: Arc<Semaphore>,
    blocks: Arc<Semaphore>,
    scans: Arc<Semaphore>,
    small_places: Places,
    large_places: Places,
    prepare: PrepareThread,
}

/// For calls that are made or wait.
struct Places {
    free: Semaphore,
    max: usize,
}

impl Places {
    /// One at least, or no such call would ever be made.
    fn new(max: usize) -> Self {
        let max = max.max(1);
        Self { free: Semaphore::new(max), max }
    }
}

impl LongCalls {
    pub(crate) fn new(limits: &RpcLimits, prepare: PrepareThread) -> Self {
        let slots = |max| Arc::new(Semaphore::new(max));
        let (small_places, large_places) = (Places::new(limits.calls_max / 4), Places::new(limits.calls_max / 2));
        let (small, blocks) = (slots(limits.block_calls_max), slots(limits.block_calls_max));
        Self { small, blocks, scans: slots(limits.scans_max), small_places, large_places, prepare }
    }

    /// Makes an answer where its cost demands.
    ///
    /// # Errors
    /// [`RpcError::Busy`] when as many wait as may, or no slot was free until the deadline; [`RpcError::Internal`] when making it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        cost: AnswerCost,
        deadline: Instant,
        answer: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, RpcError> {
        let (places, slots) = match cost {
            AnswerCost::Short => return Ok(answer.await),
            AnswerCost::Small => (&self.small_places, &self.small),
            AnswerCost::Block => (&self.large_places, &self.blocks),
            AnswerCost::Scan => (&self.large_places, &self.scans),
        };
        let busy = || RpcError::Busy(places.max - places.free.available_permits());
        let Ok(_place) = places.free.try_acquire() else { return Err(busy()) };
        let slot = timeout_at(deadline, slots.clone().acquire_owned()).await;
        // Nobody closes the semaphore.
        let Ok(Ok(slot)) = slot else { return Err(busy()) };
        let (runtime, prepare) = (Handle::current(), self.prepare);
        // A client that goes away leaves its place, but the slot only when the answer is made: calls have limits of time of their own.
        let made = tokio::task::spawn_blocking(move || {
            let _until_the_end = slot;
            match cost {
                AnswerCost::Scan | AnswerCost::Block => aside(as_long_call(deadline, answer), prepare),
                AnswerCost::Short | AnswerCost::Small => Ok(runtime.block_on(answer)),
            }
        });
        made.await.unwrap_or_else(|fault| Err(internal(&fault)))
    }
}

/// Makes an answer on a thread and a runtime of its own, so that the threads that read the disk for it give way like itself: a thread takes over
/// the niceness of the one that makes it.
fn aside<T: Send + 'static>(
    answer: impl Future<Output = T> + Send + 'static,
    prepare: PrepareThread,
) -> Result<T, RpcError> {
    let make = move || {
        prepare();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let made = runtime.block_on(answer);
        // A read that the disk does not answer is not waited for.
        runtime.shutdown_background();
        std::io::Result::Ok(made)
    };
    let thread = std::thread::Builder::new().name("rpc-long".into()).spawn(make).map_err(|error| internal(&error))?;
    match thread.join() {
        Ok(made) => made.map_err(|error| internal(&error)),
        // What it was has been shown.
        Err(_) => Err(internal(&"a panic")),
    }
}

fn internal(fault: &dyn Display) -> RpcError {
    RpcError::Internal(format!("a call ended by a fault of its own: {fault}"))
}
