//! Why a call has no result, and the number that says so.

use crate::wallet_fault::WalletFault;
use serde::Serialize;
use std::time::Duration;
use timed_ledger::{OutPoint, RegistrationId, RewardReport};
use timed_primitives::{Amount, BlockId, Height, TxId, UnixTime, counted};

/// When to try again while as many calls as allowed are in progress.
const CALLS_RETRY: Duration = Duration::from_millis(100);

/// When to try again when the block is not there yet that events are asked for from.
const EVENTS_RETRY: Duration = Duration::from_secs(1);

/// The name of the node's wallet beside `""`, in paths such as `/wallet/wallet`.
pub const WALLET_NAME: &str = "wallet";

/// In which way a parameter is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamFault {
    /// It must be there.
    Missing,
    /// There are more than the method has.
    Superfluous,
    /// It is of another type.
    Type,
    /// It is of the right type and outside of its range.
    Value,
    /// The method has none of this name, or it is given twice.
    Name,
}

impl ParamFault {
    /// Bitcoin's number: `RPC_MISC_ERROR`, `RPC_TYPE_ERROR` or `RPC_INVALID_PARAMETER`.
    const fn code(self) -> i32 {
        match self {
            Self::Missing | Self::Superfluous => -1,
            Self::Type => -3,
            Self::Value | Self::Name => -8,
        }
    }
}

/// Why a call failed. The text is for people and says what to do; [`RpcError::code`] is for programs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// The body is not JSON.
    #[error("the request is not JSON: {0}")]
    Parse(String),
    /// JSON, but not a call.
    #[error("not a JSON-RPC request: {0}")]
    InvalidRequest(String),
    /// No method has this name.
    #[error("unknown method {name:?}{}; `help` lists all methods", nearest_text(*nearest))]
    UnknownMethod {
        /// What was asked for, shortened.
        name: String,
        /// The known method whose name is closest.
        nearest: Option<&'static str>,
    },
    /// The method is known, but this node has nothing that answers it.
    #[error("this node does not offer this method")]
    NotOffered,
    /// A parameter is missing, superfluous or of the wrong kind.
    #[error("{method}: parameter {param}: expected {expected}, got {got}")]
    InvalidParams {
        /// The method called.
        method: &'static str,
        /// Which parameter.
        param: String,
        /// What it should have been.
        expected: String,
        /// What it was, shortened.
        got: String,
        /// In which way.
        fault: ParamFault,
    },
    /// A method of Bitcoin's or Dash's that has no meaning here.
    #[error("{name} is a method that other nodes have and this one does not: {reason}")]
    Meaningless {
        /// The method.
        name: &'static str,
        /// Why, and what to use in its place.
        reason: &'static str,
    },
    /// No such wallet.
    #[error(
        "no wallet {0:?} is loaded: `listwallets` shows those that are, `loadwallet` loads one; the node's own is called \"\" or {name:?}",
        name = WALLET_NAME
    )]
    WalletUnknown(String),
    /// See there.
    #[error(transparent)]
    Wallets(#[from] WalletFault),
    /// The body or the batch is larger than a request may be.
    #[error("{what} is too large: {size}, at most {max}")]
    TooLarge {
        /// Body or batch.
        what: &'static str,
        /// Its size, or the part of it that was read. Unit: bytes or calls.
        size: usize,
        /// The limit. Unit: as `size`.
        max: usize,
    },
    /// As many calls as allowed are in progress.
    #[error("busy: {0} calls are in progress; try again in a moment")]
    Busy(usize),
    /// A client of `/ws` calls too often.
    #[error("busy: this client calls too often; try again in {} ms", retry_after.as_millis())]
    TooManyCalls {
        /// When it may call again.
        retry_after: Duration,
    },
    /// Events are asked for from a height on that is not there.
    #[error("no events after height {height}: blocks {lowest} to {tip} can be read again; give a height from {} to {tip}", lowest.0.saturating_sub(1))]
    EventsUnknown {
        /// What was asked for.
        height: Height,
        /// The lowest block that can be read.
        lowest: Height,
        /// The last block.
        tip: Height,
    },
    /// A method that is called in another place.
    #[error("{0}")]
    Elsewhere(String),
    /// Clients leave as many answers unread as may be.
    #[error("busy: answers that clients have not read take all the room; read those, or try again in a moment")]
    AnswersUnread,
    /// More transactions wait than become final in about a second.
    #[error(
        "busy: {} wait{}, which takes about {} ms; try again in {} ms",
        counted(*waiting, "transaction"),
        if *waiting == 1 { "s" } else { "" },
        delay.as_millis(),
        retry_after.as_millis()
    )]
    Overloaded {
        /// Transactions in the mempool and before it.
        waiting: u64,
        /// How long they will take, as far as measured.
        delay: Duration,
        /// When there will be room again.
        retry_after: Duration,
    },
    /// The node lacks blocks that others have, and takes no transactions meanwhile.
    #[error("busy: this node is behind by {}; try again in {} ms, or at another node", counted(*blocks, "block"), retry_after.as_millis())]
    Behind {
        /// So many.
        blocks: u64,
        /// When it may have caught up.
        retry_after: Duration,
    },
    /// The node did not answer within the limit for one call.
    #[error("the node did not answer within {0} s; see its log, or `getconsensusinfo` for what it waits for")]
    Timeout(u64),
    /// The disk does not answer a read.
    #[error(
        "the disk does not answer: a read of the chain has taken {} s; check the disk of the data folder (`/health` says how long it lasts)",
        silent.as_secs()
    )]
    DiskSilent {
        /// How long the oldest read takes.
        silent: Duration,
    },
    /// A part of the node that should answer does not.
    #[error("{0}")]
    Internal(String),
    /// The node is starting up or shutting down.
    #[error("{0}")]
    Warmup(String),
    /// The text is no address, or one of another network.
    #[error("invalid address {address:?}: {reason}")]
    Address {
        /// The text.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No such transaction in a block or in the mempool.
    #[error("no transaction {0} in any block or in the mempool of this node")]
    TransactionUnknown(TxId),
    /// It waits in no mempool here.
    #[error("transaction {0} is not in the mempool of this node")]
    NotInMempool(TxId),
    /// The text is no secret key. It is not repeated.
    #[error("invalid secret key: {0}")]
    Key(String),
    /// No address has this label.
    #[error("no address has the label {0:?}; `listlabels` lists all")]
    LabelUnknown(String),
    /// `*` means all labels.
    #[error("\"*\" stands for all labels and can be none")]
    LabelReserved,
    /// No such address is dialled.
    #[error("no node {0:?} was added; `getaddednodeinfo` lists them")]
    NodeNotAdded(String),
    /// It was taken here and is lost.
    #[error(
        "transaction {txid} was accepted by this node and is lost: {reason}; check it, and pay again if that is still wanted"
    )]
    TransactionLost {
        /// Which.
        txid: TxId,
        /// Why, for people.
        reason: String,
        /// Why, for programs: `conflict`, `full`, `expired`, `ancestor_lost` or `invalid`.
        name: &'static str,
        /// The transaction on whose account it is lost, when that is known.
        by: Option<TxId>,
        /// When that was noticed.
        at: UnixTime,
    },
    /// No such block.
    #[error("no block {0} on this node")]
    BlockUnknown(BlockId),
    /// Above the tip.
    #[error("no block at height {height}: blocks are 0 to {tip}")]
    HeightUnknown {
        /// What was asked for.
        height: Height,
        /// The height of the last block.
        tip: Height,
    },
    /// No peer has this name.
    #[error("no connected peer is called {0:?}; `getpeerinfo` lists them, and a full node key names an absent one")]
    PeerUnknown(String),
    /// A value that is well-formed and makes no sense here.
    #[error("{0}")]
    InvalidParameter(String),
    /// Hex that is not the encoding of a transaction.
    #[error("not a transaction: {0}")]
    TransactionEncoding(String),
    /// Hex that is not the encoding of a proof.
    #[error("not a proof of gethistoryproof: {0}")]
    HistoryProofEncoding(String),
    /// A proof that proves nothing, or nothing of this chain.
    #[error("the proof does not hold: {0}")]
    HistoryProof(String),
    /// No masternode has this name.
    #[error(
        "masternode {0} does not exist: it was never registered, or its collateral was released; `masternodelist` lists all"
    )]
    MasternodeUnknown(RegistrationId),
    /// Hex that is not the encoding of a proof of a masternode.
    #[error("not a proof of getmasternodeproof: {0}")]
    MasternodeProofEncoding(String),
    /// A proof of a masternode that proves nothing, or nothing of this chain.
    #[error("the proof does not hold: {0}")]
    MasternodeProof(String),
    /// No such interval is kept, or it is to come.
    #[error("{}", interval_unknown(*interval, *kept, *waiting, *open))]
    IntervalUnknown {
        /// What was asked for by its number.
        interval: Option<u64>,
        /// The oldest and the newest whose reports are kept.
        kept: Option<(u64, u64)>,
        /// The one that is closed and not paid.
        waiting: Option<u64>,
        /// The one that is open.
        open: u64,
    },
    /// The id of payouts, which no transaction made.
    #[error(
        "{txid} is no transaction: it names the outputs that block {height} paid for interval {interval}; `getrewardreport {interval}` shows them"
    )]
    PayoutId {
        /// What was asked for.
        txid: TxId,
        /// Height of the block that paid.
        height: Height,
        /// For which interval.
        interval: u64,
    },
    /// It spends what does not exist or is spent already.
    #[error("transaction refused: output {0} does not exist or is already spent")]
    MissingInput(OutPoint),
    /// It spends, changes or states what another transaction in the mempool does.
    #[error("transaction refused: {what} already by {by}, which waits in the mempool")]
    Conflict {
        /// What happens to what, such as "output TXID:0 is spent".
        what: String,
        /// Who came first.
        by: TxId,
    },
    /// It breaks a rule of the chain or of this node's mempool.
    #[error("transaction refused: {0}")]
    Rejected(String),
    /// It pays more than the client means to.
    #[error(
        "transaction refused: it pays a fee of {fee} TIME, and maxfeerate {rate_max} allows {max} TIME for its size; if this is meant, give \
         a higher maxfeerate, or 0 for no limit"
    )]
    FeeAboveMaximum {
        /// What it pays.
        fee: Amount,
        /// What is allowed for its size.
        max: Amount,
        /// The limit for 1,000 bytes.
        rate_max: Amount,
    },
    /// It is in a block.
    #[error("transaction {0} is already in a block")]
    AlreadyInChain(TxId),
    /// The wallet cannot pay this.
    #[error("insufficient funds: {needed} TIME needed with fee, {available} TIME can be spent now")]
    InsufficientFunds {
        /// Amount and fee.
        needed: Amount,
        /// What can be spent at once.
        available: Amount,
    },
    /// The node has no wallet, or it failed.
    #[error("wallet: {0}")]
    Wallet(String),
}

impl RpcError {
    /// That an id is that of the payouts of an interval.
    pub fn payout_id(txid: TxId, report: &RewardReport) -> Self {
        Self::PayoutId { txid, height: report.paid_at, interval: report.interval }
    }

    /// The number of the error: of JSON-RPC 2.0 (section 5.1) for faults of the request, Bitcoin's (`rpc/protocol.h`) where the
    /// meaning is the same, else of the range that JSON-RPC leaves to servers.
    pub fn code(&self) -> i32 {
        match self {
            Self::Parse(_) => -32700,
            Self::InvalidRequest(_) | Self::TooLarge { .. } => -32600,
            Self::UnknownMethod { .. } | Self::NotOffered | Self::Meaningless { .. } | Self::Elsewhere(_) => -32601,
            Self::InvalidParams { fault, .. } => fault.code(),
            Self::WalletUnknown(_) => -18,
            Self::Wallets(fault) => fault.code(),
            Self::Internal(_) => -32603,
            Self::Busy(_)
            | Self::TooManyCalls { .. }
            | Self::AnswersUnread
            | Self::Overloaded { .. }
            | Self::Behind { .. } => -32005,
            Self::Timeout(_) | Self::DiskSilent { .. } => -32004,
            Self::Wallet(_) => -4,
            Self::Address { .. }
            | Self::TransactionUnknown(_)
            | Self::TransactionLost { .. }
            | Self::PayoutId { .. }
            | Self::NotInMempool(_)
            | Self::Key(_)
            | Self::MasternodeUnknown(_)
            | Self::BlockUnknown(_) => -5,
            Self::NodeNotAdded(_) => -24,
            Self::LabelUnknown(_) | Self::LabelReserved => -11,
            Self::InsufficientFunds { .. } => -6,
            Self::HeightUnknown { .. }
            | Self::EventsUnknown { .. }
            | Self::IntervalUnknown { .. }
            | Self::InvalidParameter(_) => -8,
            Self::PeerUnknown(_) => -29,
            Self::TransactionEncoding(_) | Self::HistoryProofEncoding(_) | Self::MasternodeProofEncoding(_) => -22,
            Self::MissingInput(_) | Self::FeeAboveMaximum { .. } | Self::HistoryProof(_) | Self::MasternodeProof(_) => {
                -25
            }
            Self::Conflict { .. } | Self::Rejected(_) => -26,
            Self::AlreadyInChain(_) => -27,
            Self::Warmup(_) => -28,
        }
    }

    /// What programs may want to know beside the code.
    fn data(&self) -> Option<ErrorData> {
        let ms = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        match self {
            Self::Overloaded { waiting, delay, retry_after } => {
                Some(ErrorData::Overloaded { retry_after_ms: ms(retry_after), delay_ms: ms(delay), waiting: *waiting })
            }
            Self::TransactionLost { txid, name, by, at, .. } => Some(ErrorData::Lost {
                lost: txid.to_string(),
                reason: name,
                by: by.map(|by| by.to_string()),
                time: at.seconds(),
            }),
            Self::Busy(_) | Self::AnswersUnread => Some(ErrorData::Busy { retry_after_ms: ms(&CALLS_RETRY) }),
            // This node may have that block in a moment.
            Self::EventsUnknown { height, tip, .. } if height > tip => {
                Some(ErrorData::Busy { retry_after_ms: ms(&EVENTS_RETRY) })
            }
            Self::Behind { retry_after, .. } | Self::TooManyCalls { retry_after } => {
                Some(ErrorData::Busy { retry_after_ms: ms(retry_after) })
            }
            _ => None,
        }
    }

    /// The error as JSON-RPC shows it. `data` is there when there is more to say, with `retry_after_ms` when it makes sense to try again.
    pub(crate) fn to_object(&self) -> ErrorObject {
        ErrorObject { code: self.code(), message: self.to_string(), data: self.data() }
    }
}

/// An error as JSON-RPC shows it (JSON-RPC 2.0, section 5.1). Written without a tree of values in between: under overload most answers are
/// errors.
#[derive(Serialize)]
pub(crate) struct ErrorObject {
    code: i32,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<ErrorData>,
}

/// When to try again, or what became of a transaction.
#[derive(Serialize)]
#[serde(untagged)]
enum ErrorData {
    Overloaded { retry_after_ms: u64, delay_ms: u64, waiting: u64 },
    Lost { lost: String, reason: &'static str, by: Option<String>, time: u64 },
    Busy { retry_after_ms: u64 },
}

/// Which intervals there are.
fn interval_unknown(interval: Option<u64>, kept: Option<(u64, u64)>, waiting: Option<u64>, open: u64) -> String {
    let kept = kept.map_or_else(|| "none is paid yet".into(), |(first, last)| format!("{first} to {last} are kept"));
    let waiting = waiting.map_or_else(|| "none waits".into(), |waiting| format!("{waiting} waits to be paid"));
    match interval {
        Some(interval) => format!("there is no report of interval {interval}: {kept}, {waiting}, {open} is open"),
        None => format!("there is no such interval yet: {kept}, {waiting}, {open} is open"),
    }
}

fn nearest_text(nearest: Option<&'static str>) -> String {
    nearest.map(|name| format!(", did you mean {name:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_to_try_again_learns_when() {
        let error = RpcError::Overloaded {
            waiting: 2_300,
            delay: Duration::from_millis(1_004),
            retry_after: Duration::from_micros(251_900),
        };
        let expected = serde_json::json!({
            "code": -32005,
            "message": "busy: 2300 transactions wait, which takes about 1004 ms; try again in 251 ms",
            "data": { "retry_after_ms": 251, "delay_ms": 1004, "waiting": 2300 },
        });
        let shown = |error: &RpcError| serde_json::to_value(error.to_object()).unwrap();
        assert_eq!(shown(&error), expected);
        let behind = RpcError::Behind { blocks: 12, retry_after: Duration::from_millis(800) };
        assert_eq!((behind.code(), &shown(&behind)["data"]["retry_after_ms"]), (-32005, &serde_json::json!(800)));
        assert_eq!(shown(&RpcError::Busy(64))["data"]["retry_after_ms"], 100);
        assert!(shown(&RpcError::Parse(String::new())).get("data").is_none());
    }
}
