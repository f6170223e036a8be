//! Calls whose answers take long to make: blocks in full, walks over many blocks or outputs. They are answered on threads beside the one that serves,
//! few at once, so that short calls and submissions are answered meanwhile and the threads that vote find a processor.

use crate::error::RpcError;
use crate::limits::RpcLimits;
use crate::methods::{AddressCall, Call, ChainCall, TransactionCall, WalletCall};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What it takes to make an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerCost {
    /// Far below a millisecond, or as long as somebody else takes.
    Short,
    /// One block, or the mempool: some tens of milliseconds.
    Block,
    /// Many blocks, or all outputs of addresses: seconds.
    Scan,
}

impl AnswerCost {
    pub(crate) fn of(call: Call) -> Self {
        match call {
            Call::Chain(ChainCall::GetBlock | ChainCall::GetBlockHeader | ChainCall::GetBlockStats)
            | Call::Transaction(
                TransactionCall::GetRawMempool
                | TransactionCall::GetMempoolEntry
                | TransactionCall::GetMempoolAncestors
                | TransactionCall::GetMempoolDescendants
                | TransactionCall::DecodeRawTransaction
                | TransactionCall::CombineRawTransaction
                | TransactionCall::SignRawTransactionWithKey,
            )
            | Call::Wallet(WalletCall::SignRawTransactionWithWallet) => Self::Block,
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
            | Call::Fee(_)
            | Call::Network(_)
            | Call::Consensus(_)
            | Call::Control(_) => Self::Short,
        }
    }
}

/// Places for long calls. Bound: [`RpcLimits::block_calls_max`] and [`RpcLimits::scans_max`]; the rest wait, at most [`RpcLimits::call_time`].
pub(crate) struct LongCalls {
    blocks: Arc<Semaphore>,
    scans: Arc<Semaphore>,
    /// For all that are made or wait: half of the calls that may be in progress, so that short ones find a place.
    places: Semaphore,
    limits: RpcLimits,
}

impl LongCalls {
    pub(crate) fn new(limits: &RpcLimits) -> Self {
        let slots = |max| Arc::new(Semaphore::new(max));
        let places = Semaphore::new((limits.calls_max / 2).max(limits.block_calls_max + limits.scans_max));
        Self { blocks: slots(limits.block_calls_max), scans: slots(limits.scans_max), places, limits: limits.clone() }
    }

    /// Makes an answer where its cost demands.
    ///
    /// # Errors
    /// [`RpcError::Busy`] when as many wait as may, or no place was free for [`RpcLimits::call_time`]; [`RpcError::Internal`] when making it panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        cost: AnswerCost,
        answer: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, RpcError> {
        let (slots, max) = match cost {
            AnswerCost::Short => return Ok(answer.await),
            AnswerCost::Block => (&self.blocks, self.limits.block_calls_max),
            AnswerCost::Scan => (&self.scans, self.limits.scans_max),
        };
        let Ok(_place) = self.places.try_acquire() else { return Err(RpcError::Busy(max)) };
        let slot = timeout(self.limits.call_time, slots.clone().acquire_owned()).await;
        // Nobody closes the semaphore.
        let Ok(Ok(slot)) = slot else { return Err(RpcError::Busy(max)) };
        let runtime = Handle::current();
        // A client that goes away leaves its place only when the answer is made: calls have limits of time of their own.
        let made = tokio::task::spawn_blocking(move || {
            let _until_the_end = slot;
            runtime.block_on(answer)
        });
        made.await.map_err(|fault| RpcError::Internal(format!("a call ended by a fault of its own: {fault}")))
    }
}
