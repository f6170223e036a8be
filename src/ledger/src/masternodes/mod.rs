//! Masternodes on the chain: who they are, who votes, and what changes that. A pure function of the blocks.
//!
//! ```text
//!  payload of a transaction ─► MasternodeList::plan ─► Change ─► MasternodeList::carry_out
//!  end of a block           ─► MasternodeList::finish (exits, expiries)
//!  list ─► voters ─► effective powers ─► validators two heights later
//!      └─► entries ─► masternode root in the header
//! ```
//!
//! Start reading in [`MasternodeList`].

mod entry;
mod error;
mod list;
mod payout;
mod power;
mod proof;
mod registration;
mod schedule;
mod service;
mod tier;

pub use entry::{LIST_ENTRY_BYTES, ListEntry, Masternode, MasternodeStatus};
pub use error::MasternodeError;
pub use list::{Change, MasternodeList, RuleContext};
pub use payout::{PAYOUTS_MAX, Payout, Payouts, PayoutsError};
pub use power::{VOTERS_MAX, VOTERS_MIN, effective_powers};
pub use proof::{MasternodeProof, MasternodeProofError};
pub use registration::RegistrationId;
pub use schedule::ValidatorSchedule;
pub use service::{SERVICE_BYTES, ServiceAddress, ServiceAddressError};
pub use tier::{Tier, TierError};
