//! The ledger: payments as an application of the chain. Who owns what, and which transactions are valid.
//!
//! Knows: genesis, the rules of transactions, addresses, the set of unspent outputs and the hash of it. Must not know: consensus, frames,
//! peers, actors, a database. It has no clock and no thread.
//!
//! ```text
//!  PaymentApplication::apply, for each transaction of a block ──► OutputChanges ──► Totals, state commitment
//!  store: outputs, outputs by owner      readers: LedgerQueries over a StateView
//! ```
//!
//! Start reading in [`PaymentApplication`]; [`check_transaction`] holds the rules of transactions, `timed-chain` those of blocks.

mod address;
mod amount_text;
mod application;
mod check;
mod delta;
mod error;
mod genesis;
mod genesis_file;
mod lock;
mod lthash;
mod masternodes;
mod output_root;
mod parameters;
mod payload;
mod queries;
mod recent;
mod rewards;
mod root_source;
mod signed_text;
mod state;
mod tables;
mod totals;
mod transaction;
mod views;

pub use address::{Address, AddressError};
pub use application::{Ledger, LedgerReader, LedgerView, PaymentApplication, open};
pub use check::{TransactionError, check_form, check_spend, check_transaction};
pub use delta::OutputChanges;
pub use error::{LedgerOpenError, SupplyError};
pub use genesis::{
    GENESIS_OUTPUTS_MAX, Genesis, GenesisError, GenesisMasternode, GenesisMasternodeError, GenesisOutput,
};
pub use lock::{KEY_SET_MAX, KeyHash, KeySet, KeySetError, Lock, LockOwner};
pub use lthash::LtHash;
pub use masternodes::{
    Change, DoubleSignRecord, Exit, LIST_ENTRY_BYTES, ListEntry, Masternode, MasternodeError, MasternodeList,
    MasternodeProof, MasternodeProofError, MasternodeStatus, PAYOUTS_MAX, Payout, Payouts, PayoutsError, PenaltyState,
    Punishment, RETIRED_KEYS_MAX, RegistrationId, Removal, RetiredKey, RuleContext, SERVICE_BYTES, ServiceAddress,
    ServiceAddressError, Tier, TierError, VOTERS_MAX, VOTERS_MIN, ValidatorSchedule, VotingMasternode,
    VotingMasternodes, effective_powers,
};
pub use output_root::output_leaf;
pub use parameters::{Parameters, ParametersError, TRANSACTION_BYTES_LIMIT};
pub use payload::{
    MEMO_BYTES_MAX, Memo, MemoError, PayloadError, RESERVED_PAYLOADS, RegisterPayload, TransactionPayload,
};
pub use queries::{ConfirmedTransaction, LedgerQueries, LedgerQuery, LedgerTotals};
pub use rewards::{
    ASSESSED_HEIGHTS_MIN, BlockEnd, Closing, Drawn, DrawnWitness, FreeRow, HEIGHTS_MAX, HeightRecord, HeightWindow,
    Interval, IntervalPayment, ParticipationAccount, Presence, REACHED_MIN, REWARD_REPORTS_MAX, RewardReport,
    RewardRow, RewardState, SignedVoters, StatementError, Tally, draw, emission, payout_id,
};
pub use signed_text::{TEXT_SIGNATURE_BYTES, TextSignature};
pub use state::{OutputEntry, Supply};
pub use tables::{OUTPUT_ROOTS, OUTPUTS, OUTPUTS_BY_KEY, REWARD_REPORTS, SPENT_PAYOUTS};
pub use totals::Totals;
pub use transaction::{
    OutPoint, PAYLOAD_FORMAT, SetSignature, SetSignatures, TRANSACTION_VERSION, Transaction, TransactionBody, TxInput,
    TxOutput, Witness, payment_of, resource_in_words, transaction_root, transactions_of,
};
