//! Masternodes on the chain: who they are, who votes, and what changes that. A pure function of the blocks.
//!
//! ```text
//!  payload of a transaction ─► MasternodeList::plan ─► Change ─► MasternodeList::carry_out
//!  end of a block           ─► MasternodeList::exits ─► carry_out_exits; forgettable ─► forget
//!  list ─► voters ─► effective powers ─► validators two heights later
//!      └─► entries ─► masternode root in the header
//! ```
//!
//! Start reading in [`MasternodeList`].

mod entry;
mod error;
mod exits;
mod list;
mod offence;
mod payout;
mod penalties;
mod power;
mod proof;
mod registration;
mod schedule;
mod service;
mod signers;
mod tier;
mod voting;

pub use entry::{LIST_ENTRY_BYTES, ListEntry, Masternode, MasternodeStatus};
pub use error::MasternodeError;
pub use exits::Exit;
pub use list::{Change, MasternodeList, RuleContext};
pub use payout::{PAYOUTS_MAX, Payout, Payouts, PayoutsError};
pub use penalties::{DoubleSignRecord, PenaltyState, Punishment, RETIRED_KEYS_MAX, Removal, RetiredKey};
pub use power::{VOTERS_MAX, VOTERS_MIN, effective_powers};
pub use proof::{MasternodeProof, MasternodeProofError};
pub use registration::RegistrationId;
pub use schedule::ValidatorSchedule;
pub use service::{SERVICE_BYTES, ServiceAddress, ServiceAddressError};
pub use tier::{Tier, TierError};
pub use voting::{VotingMasternode, VotingMasternodes};
