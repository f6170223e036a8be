//! How much a masternode has locked, and what weight that gives it.

use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use timed_primitives::Amount;

/// Class of a masternode, by its collateral.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum Tier {
    /// 0: a deposit that the chain's parameters name. Relays and serves, does not vote, expires unless it is renewed.
    Free,
    /// 1: 1,000 TIME.
    Bronze,
    /// 2: 10,000 TIME.
    Silver,
    /// 3: 100,000 TIME.
    Gold,
}

/// The text names no tier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no tier: choose free, bronze, silver or gold")]
pub struct TierError(String);

impl Tier {
    /// All, the least first.
    pub const ALL: [Self; 4] = [Self::Free, Self::Bronze, Self::Silver, Self::Gold];

    /// What it locks; the deposit for [`Self::Free`].
    pub const fn collateral(self, free_deposit: Amount) -> Amount {
        match self {
            Self::Free => free_deposit,
            Self::Bronze => Amount::whole(1_000),
            Self::Silver => Amount::whole(10_000),
            Self::Gold => Amount::whole(100_000),
        }
    }

    /// Voting power before it is capped: see [`crate::effective_powers`].
    pub const fn power(self) -> u64 {
        match self {
            Self::Free => 0,
            Self::Bronze => 1,
            Self::Silver => 10,
            Self::Gold => 100,
        }
    }

    /// Whether it can vote at all.
    pub const fn votes(self) -> bool {
        self.power() > 0
    }

    /// Its name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Bronze => "bronze",
            Self::Silver => "silver",
            Self::Gold => "gold",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Tier {
    type Err = TierError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        Self::ALL.into_iter().find(|tier| tier.name() == lower).ok_or_else(|| TierError(text.to_owned()))
    }
}
