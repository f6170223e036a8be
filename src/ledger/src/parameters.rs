//! The numbers every node of a chain must agree on. They come with genesis and their hash is in every header.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use timed_chain::BLOCK_BYTES_LIMIT;
use timed_primitives::{Amount, Domain, Hash, Network, encode};

/// What a valid block and a valid transaction may be, and how long a round lasts.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Largest canonical encoding of a block, with its parent's certificate. Unit: bytes. Bound: 1 KiB to 1 MiB.
    pub block_bytes_max: u32,
    /// Largest canonical encoding of a transaction with its witnesses. Unit: bytes. Bound: 512 B, so that evidence fits, to 64 KiB, and
    /// less than a block.
    pub transaction_bytes_max: u32,
    /// Shortest time from the parent's commit to the next block, as its proposer's monotonic clock counts it. Unit: ms.
    pub min_block_interval_ms: u64,
    /// After this time without a payload an empty block is due. Unit: ms. Must be above [`Self::min_block_interval_ms`].
    pub empty_block_interval_ms: u64,
    /// Least fee. Unit: 10⁻⁸ TIME for each byte of the transaction with its witnesses.
    pub fee_per_byte_min: u64,
    /// Least amount of an output, so that an output is worth more than the fee for spending it.
    #[serde(with = "crate::amount_text")]
    pub dust_min: Amount,
    /// How much a node keeps of blocks that are not decided yet. Unit: bytes.
    pub undecided_bytes_max: u64,
    /// Longest wait for a proposal in round 0. Unit: ms.
    pub propose_timeout_ms: u64,
    /// Longest wait for more prevotes in round 0. Unit: ms.
    pub prevote_timeout_ms: u64,
    /// Longest wait for more precommits in round 0. Unit: ms.
    pub precommit_timeout_ms: u64,
    /// From the block with which a masternode left until its collateral can be released, by the times of blocks. Unit: ms.
    pub unbonding_ms: u64,
    /// What a free masternode locks, so that they are not for nothing.
    #[serde(with = "crate::amount_text")]
    pub free_deposit: Amount,
    /// From its registration, or its last renewal, until a free masternode expires, by the times of blocks. Unit: ms.
    pub free_expiry_ms: u64,
    /// Headers of heights that are multiples of it hold a root over all unspent outputs of the state so many blocks before. Unit: blocks.
    /// Bound: 4 to 1,000,000.
    pub output_root_interval: u64,
    /// How long an interval is that rewards are paid for, by the times of blocks. Unit: ms.
    pub reward_interval_ms: u64,
    /// Of the heights at which a masternode can vote, how many it must, so that it keeps its power. Unit: basis points. Bound: 0 to 10,000.
    pub participation_min_bp: u32,
}

/// Largest transaction any chain may allow. Unit: bytes.
pub const TRANSACTION_BYTES_LIMIT: u32 = 64 * 1024;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

impl Parameters {
    /// What `timed` writes into a new genesis of this network.
    pub const fn of(network: Network) -> Self {
        let (unbonding_ms, free_expiry_ms) = match network {
            Network::Devnet => (MINUTE_MS, 10 * MINUTE_MS),
            Network::Testnet => (10 * MINUTE_MS, DAY_MS),
            Network::Mainnet => (2 * DAY_MS, 30 * DAY_MS),
        };
        let (min_block_interval_ms, empty_block_interval_ms, fee_per_byte_min, timeouts_ms) = match network {
            Network::Devnet => (0, 10_000, 1, (1_000, 500, 500)),
            Network::Testnet => (250, 60_000, 1, (3_000, 1_000, 1_000)),
            Network::Mainnet => (250, 600_000, 10, (3_000, 1_000, 1_000)),
        };
        let reward_interval_ms = match network {
            Network::Devnet => MINUTE_MS / 2,
            Network::Testnet | Network::Mainnet => 10 * MINUTE_MS,
        };
        let output_root_interval = match network {
            Network::Devnet => 2_000,
            Network::Testnet | Network::Mainnet => 10_000,
        };
        Self {
            block_bytes_max: BLOCK_BYTES_LIMIT,
            transaction_bytes_max: TRANSACTION_BYTES_LIMIT,
            min_block_interval_ms,
            empty_block_interval_ms,
            fee_per_byte_min,
            dust_min: Amount(1_000),
            undecided_bytes_max: 64 * 1024 * 1024,
            propose_timeout_ms: timeouts_ms.0,
            prevote_timeout_ms: timeouts_ms.1,
            precommit_timeout_ms: timeouts_ms.2,
            unbonding_ms,
            free_deposit: Amount::ONE,
            free_expiry_ms,
            output_root_interval,
            reward_interval_ms,
            participation_min_bp: 5_000,
        }
    }

    /// Hash for headers.
    pub fn hash(&self) -> Hash {
        Hash::of(Domain::Parameters, &encode(self))
    }

    /// Least fee of a transaction of this size. Saturates, which no amount of money can pay.
    pub fn fee_min(&self, size_bytes: usize) -> Amount {
        Amount(self.fee_per_byte_min.saturating_mul(u64::try_from(size_bytes).unwrap_or(u64::MAX)))
    }

    /// Checks every bound and how the numbers relate.
    ///
    /// # Errors
    /// [`ParametersError`] names the parameter, its value and what is allowed.
    pub fn validate(&self) -> Result<(), ParametersError> {
        let bounded = |name, value: u64, min: u64, max: u64| {
            if (min..=max).contains(&value) {
                Ok(())
            } else {
                Err(ParametersError::OutOfBounds { name, value, min, max })
            }
        };
        let (minute, day) = (MINUTE_MS, DAY_MS);
        bounded("block_bytes_max", self.block_bytes_max.into(), 1024, BLOCK_BYTES_LIMIT.into())?;
        let transaction_limit = TRANSACTION_BYTES_LIMIT.min(self.block_bytes_max / 2);
        bounded("transaction_bytes_max", self.transaction_bytes_max.into(), 512, transaction_limit.into())?;
        bounded("min_block_interval_ms", self.min_block_interval_ms, 0, minute)?;
        bounded("empty_block_interval_ms", self.empty_block_interval_ms, 1, day)?;
        if self.empty_block_interval_ms <= self.min_block_interval_ms {
            return Err(ParametersError::EmptyBelowMin {
                empty_ms: self.empty_block_interval_ms,
                min_ms: self.min_block_interval_ms,
            });
        }
        bounded("fee_per_byte_min", self.fee_per_byte_min, 0, Amount::ONE.0)?;
        bounded("dust_min", self.dust_min.0, 1, Amount::ONE.0)?;
        let undecided_min = 2 * u64::from(self.block_bytes_max);
        bounded("undecided_bytes_max", self.undecided_bytes_max, undecided_min, 1024 * 1024 * 1024)?;
        bounded("propose_timeout_ms", self.propose_timeout_ms, 20, minute)?;
        bounded("prevote_timeout_ms", self.prevote_timeout_ms, 20, minute)?;
        bounded("precommit_timeout_ms", self.precommit_timeout_ms, 20, minute)?;
        bounded("unbonding_ms", self.unbonding_ms, 1, 366 * day)?;
        bounded("free_deposit", self.free_deposit.0, self.dust_min.0, Amount::whole(999).0)?;
        bounded("free_expiry_ms", self.free_expiry_ms, 1, 366 * day)?;
        bounded("output_root_interval", self.output_root_interval, 4, 1_000_000)?;
        bounded("reward_interval_ms", self.reward_interval_ms, 1, 366 * day)?;
        bounded("participation_min_bp", self.participation_min_bp.into(), 0, 10_000)
    }
}

/// The parameters cannot run a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// A number outside its bounds.
    #[error("parameter {name} is {value}, allowed are {min} to {max}")]
    OutOfBounds {
        /// The field.
        name: &'static str,
        /// What it is.
        value: u64,
        /// Least allowed.
        min: u64,
        /// Most allowed.
        max: u64,
    },
    /// Empty blocks would be due before any block may be made.
    #[error("empty_block_interval_ms ({empty_ms}) must be above min_block_interval_ms ({min_ms})")]
    EmptyBelowMin {
        /// The empty-block interval.
        empty_ms: u64,
        /// The least interval.
        min_ms: u64,
    },
}
