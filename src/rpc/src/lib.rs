//! JSON-RPC 2.0 over HTTP, with Bitcoin's method names where the meaning is the same.
//!
//! Knows: the methods, their parameters and results, error codes, authentication, and what of a request may cost. Must not know:
//! actors, the ledger, how an answer is found. It asks a [`NodeApi`], which the daemon implements.
//!
//! ```text
//! HTTP ─► connections (who stays) ─► server (limits, Host, authentication) ─► protocol (JSON-RPC 2.0 and 1.0, batches)
//!             └─► /health /ready /metrics              └─► answers (parameters by the method table) ─► Node
//! ```
//!
//! Start reading in [`node`] (what is asked), then [`methods`] (the table of methods).

pub mod auth;
pub mod chain;
pub mod error;
pub mod events;
pub mod masternodes;
pub mod methods;
pub mod metrics;
pub mod node;
pub mod outputs;
pub mod payload;
pub mod result;
pub mod server;
pub mod text;
pub mod trouble;

mod accepting;
mod answers;
mod catalogue;
mod connections;
mod disk_reads;
mod limits;
mod long_calls;
mod openrpc;
mod param;
mod params;
mod protocol;
mod reference;
mod refused;
mod rewards;
mod unique_keys;
mod unsent;
mod wallet_fault;
mod wallets;
mod watched;

pub use auth::{Auth, Cookie, read_cookie, remove_cookie, write_cookie};
pub use catalogue::help_all;
pub use disk_reads::{DiskReads, ReadLimits};
pub use error::{ParamFault, RpcError, WALLET_NAME};
pub use events::{
    ConsensusStep, DeclinedPayment, EventLimits, EventsApi, FinalBlock, MasternodeState, NodeEvent, PeerEnd,
    PeerUpState, PoolChange, Topic, TopicSet, WaitingPayment,
};
pub use limits::RpcLimits;
pub use masternodes::{ChainMasternodes, ProvedMasternode};
pub use methods::{
    AddressCall, Call, ChainCall, ConsensusCall, ControlCall, FeeCall, METHODS, MasternodeCall, Method, NetworkCall,
    TransactionCall, WalletCall, WalletsCall,
};
pub use node::{
    AddedNode, BlockAt, BlockFacts, ChainApi, ChainPosition, ChainTotals, ConsensusApi, Funding, GenesisFacts,
    KnownAddress, NodeApi, PaymentOrder, PeersApi, PoolApi, TransactionRecord, TransactionState, Unspent, WalletApi,
};
pub use param::{Param, ParamKind};
pub use protocol::answer_body;
pub use reference::reference;
pub use refused::{REFUSED, unknown_method};
pub use rewards::{ChainRewards, ParticipationFigures, RewardsApi};
pub use server::RpcServer;
pub use text::{JsonAmount, Text};
pub use trouble::{Severity, Trouble};
pub use wallet_fault::WalletFault;
pub use wallets::{LoadedWallet, NewWallet, ScanProgress, SecretText, WalletSource, WalletStatus, WalletsApi};
