//! Who took part, what that earns, and who missed too much. A pure function of the blocks.
//!
//! ```text
//!  certificate of the block before, late precommits ─► heights ─► tallies of intervals
//!  end of an interval ─► payment of the one before ─► payouts, treasury, RewardReport
//!                    └─► assessment ─► warnings, who is to be jailed
//!                    └─► draw ─► free masternodes and their witnesses
//! ```
//!
//! The rules are those of `docs/adr/0024-rewards-and-penalties.md`. Start reading in [`RewardState`].

mod assessment;
mod draw;
mod emission;
mod error;
mod heights;
mod interval;
mod payment;
mod report;
mod reward_state;

pub use assessment::{ASSESSED_HEIGHTS_MIN, ParticipationAccount};
pub use draw::{Drawn, DrawnWitness, REACHED_MIN, draw};
pub use emission::emission;
pub use error::StatementError;
pub use heights::{HEIGHTS_MAX, HeightRecord, HeightWindow, Presence, SignedVoters};
pub use interval::{Interval, Tally};
pub use payment::{IntervalPayment, payout_id};
pub use report::{FreeRow, REWARD_REPORTS_MAX, RewardReport, RewardRow};
pub use reward_state::{BlockEnd, Closing, RewardState};
