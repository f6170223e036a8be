//! Events for clients: subscriptions over a WebSocket at `/ws`.
//!
//! ```text
//! node ─► EventsApi::follow ─► hub (a thread of its own) ─► subscriptions (whom it concerns, what waits for whom) ─► socket ─► client
//!                                block log ─► page by page, for who comes back ───────┘
//! ```
//!
//! `subscriptions` is the core: it knows no socket, runtime or clock. Start reading there.

mod bodies;
mod cursor;
mod hub;
mod limits;
mod matching;
mod metrics;
mod node_event;
mod parts;
mod socket;
mod subscriber;
mod subscriptions;
mod topic;
mod waiting;

pub(crate) use hub::EventHub;
pub use limits::EventLimits;
pub use node_event::{
    ConsensusStep, DeclinedPayment, EventsApi, FinalBlock, MasternodeState, NodeEvent, PeerEnd, PeerUpState,
    PoolChange, WaitingPayment,
};
pub(crate) use socket::client_at;
pub use topic::{Topic, TopicSet};
