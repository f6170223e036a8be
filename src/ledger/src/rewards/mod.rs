//! Who took part, what that earns, and who missed too much. A pure function of the blocks.
//!
//! ```text
//!  certificate of the block before, late precommits ─► heights ─► tallies of intervals
//!  end of an interval ─► payment of the one before ─► payouts, treasury, RewardReport
//!                    └─► judgement ─► warnings, who is to be jailed
//!                    └─► draw ─► free masternodes and their witnesses
//! ```
//!
//! The rules are those of `docs/adr/0024-rewards-and-penalties.md`. Start reading in [`RewardState`].

mod draw;
mod emission;
mod error;
mod heights;
mod interval;
mod judgement;
mod payment;
mod report;
mod reward_state;

pub use draw::{Drawn, REACHED_MIN, Witness as DrawnWitness, draw};
pub use emission::emission;
pub use error::StatementError;
pub use heights::{HEIGHTS_MAX, HeightRecord, HeightWindow, SignedSeats};
pub use interval::{Interval, Tally};
pub use judgement::{Account, JUDGED_HEIGHTS_MIN};
pub use payment::{Payment, payout_id};
pub use report::{FreeRow, REWARD_REPORTS_MAX, RewardReport, RewardRow};
pub use reward_state::{BlockEnd, Closing, RewardState};
