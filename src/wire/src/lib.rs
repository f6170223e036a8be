//! What travels between nodes: messages, their kinds, bounds and lanes, and the frames that carry them.
//!
//! Knows: how a message is written and read, how large it may be, in which lane it goes. Must not know: what a message means, who
//! the peer is, whether anything in it is true; blocks, transactions, votes and certificates pass through as canonical bytes.
//!
//! Start reading in [`message`]; [`frame`] turns messages into frames and back.

#![deny(clippy::indexing_slicing, clippy::as_conversions)]

mod block_part;
pub mod body;
pub mod frame;
mod key_report;
pub mod message;
mod names;
pub mod sample;

pub use frame::{EncodeError, Encoded, FrameCodec, FrameError, Incoming};
pub use message::{
    ApplicationMessage, BlockSyncMessage, ConsensusMessage, ControlMessage, Hello, Kind, Lane, MempoolMessage, Message,
    TRANSACTIONS_BYTES_MAX, VoteSetBits, WireBlockPart, WireKeyReport, WireOtherSession,
};
pub use names::{WireHash, WireKey};
