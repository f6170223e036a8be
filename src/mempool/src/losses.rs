//! Transactions that were taken from a client and will not become final, as far as is known: so that whoever asks learns why.

use crate::event::RemovalReason;
use crate::reject::Reject;
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;
use timed_chain::Resource;
use timed_primitives::{Height, TxId, UnixTime};

/// Most losses that are remembered; above it the oldest is forgotten. A loss takes some two hundred bytes.
pub const LOSSES_MAX: usize = 10_000;

/// Why a transaction that was taken is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum LossReason {
    /// A decided block consumes what it consumes otherwise.
    #[error("conflict: block {height} spends {resource} by {with}")]
    Conflict {
        /// The transaction that won.
        with: TxId,
        /// The resource both consume.
        resource: Resource,
        /// Height of the block.
        height: Height,
    },
    /// At the check after a restart another transaction in the pool consumes what it consumes.
    #[error("conflict: after a restart {with}, which waits, was found to spend {resource}")]
    ConsumedBy {
        /// The other transaction.
        with: TxId,
        /// The resource both consume.
        resource: Resource,
    },
    /// Others pay more.
    #[error("full: it was evicted from a full mempool in which others pay more")]
    Evicted,
    /// At the check after a restart there was no place for it.
    #[error("full: after a restart the mempool had no place for it at its fee")]
    NoRoom,
    /// It waited too long.
    #[error("expired: it waited longer than this node keeps a transaction")]
    Expired,
    /// What it consumes is neither on the chain nor made by a transaction that waits.
    #[error("conflict: {resource}, which it spends, is spent by a final block or was never made")]
    InputGone {
        /// The resource.
        resource: Resource,
    },
    /// A transaction it depends on is lost.
    #[error("its ancestor {ancestor} is lost")]
    AncestorLost {
        /// That transaction.
        ancestor: TxId,
    },
    /// Checked again, it broke a rule: the state, the rules or this node's settings have changed, or the file was.
    #[error("invalid: checked again, it breaks a rule of the chain or of this node")]
    Invalid,
}

impl LossReason {
    /// Every name that [`Self::name`] can give.
    pub const NAMES: [&str; 5] = ["conflict", "full", "expired", "ancestor_lost", "invalid"];

    /// Stable name for programs, metrics and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Conflict { .. } | Self::ConsumedBy { .. } | Self::InputGone { .. } => "conflict",
            Self::Evicted | Self::NoRoom => "full",
            Self::Expired => "expired",
            Self::AncestorLost { .. } => "ancestor_lost",
            Self::Invalid => "invalid",
        }
    }

    /// The transaction on whose account it is lost, when that is known.
    pub const fn because_of(&self) -> Option<TxId> {
        match self {
            Self::Conflict { with, .. } | Self::ConsumedBy { with, .. } => Some(*with),
            Self::AncestorLost { ancestor } => Some(*ancestor),
            Self::Evicted | Self::NoRoom | Self::Expired | Self::InputGone { .. } | Self::Invalid => None,
        }
    }

    /// What leaving the pool for this reason means for who paid; `None` when it is final.
    pub const fn of_removal(reason: RemovalReason) -> Option<Self> {
        Some(match reason {
            RemovalReason::Included { .. } => return None,
            RemovalReason::Conflict { with, resource, height } => Self::Conflict { with, resource, height },
            RemovalReason::Evicted => Self::Evicted,
            RemovalReason::Expired => Self::Expired,
            RemovalReason::InputGone { resource } => Self::InputGone { resource },
            RemovalReason::Invalid => Self::Invalid,
            RemovalReason::AncestorRemoved { ancestor } => Self::AncestorLost { ancestor },
        })
    }

    /// What a refusal at the check after a restart means; `None` when nothing is lost by it: the transaction is known, or could not be checked.
    pub const fn of_refusal(reject: &Reject) -> Option<Self> {
        Some(match reject {
            Reject::AlreadyKnown { .. } | Reject::Unreadable(_) => return None,
            Reject::Conflict { with, resource } => Self::ConsumedBy { with: *with, resource: *resource },
            Reject::UnknownInput { resource } => Self::InputGone { resource: *resource },
            Reject::TooManyAncestors { .. }
            | Reject::FeeBelowFloor { .. }
            | Reject::Full { .. }
            | Reject::PeerShare { .. } => Self::NoRoom,
            Reject::RecentlyRejected { .. } | Reject::TooLarge { .. } | Reject::Invalid(_) => Self::Invalid,
        })
    }
}

/// A transaction that was taken from a client and is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Loss {
    /// Which.
    pub txid: TxId,
    /// Why.
    pub reason: LossReason,
    /// When that was noticed.
    pub at: UnixTime,
}

/// How many transactions were lost since the start, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossCounts([u64; LossReason::NAMES.len()]);

impl LossCounts {
    /// One more.
    pub fn add(&mut self, reason: &LossReason) {
        let counts = LossReason::NAMES.iter().zip(&mut self.0);
        counts.filter(|(name, _)| **name == reason.name()).for_each(|(_, count)| *count += 1);
    }

    /// All reasons by name, also those for which none was lost.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LossReason::NAMES.into_iter().zip(self.0)
    }
}

/// The last losses, over restarts too. Bound: [`LOSSES_MAX`]; above it the oldest is forgotten.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    by_id: BTreeMap<TxId, (u64, Loss)>,
    order: BTreeMap<u64, TxId>,
    next: u64,
}

impl Losses {
    /// Remembers a loss, in place of an earlier one of the same transaction.
    pub fn insert(&mut self, loss: Loss) {
        self.remove(&loss.txid);
        self.by_id.insert(loss.txid, (self.next, loss));
        self.order.insert(self.next, loss.txid);
        self.next += 1;
        if self.by_id.len() > LOSSES_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.by_id.remove(&oldest);
        }
    }

    /// It waits again, or is final.
    pub fn remove(&mut self, txid: &TxId) {
        if let Some((number, _)) = self.by_id.remove(txid) {
            self.order.remove(&number);
        }
    }

    /// What is known of this transaction.
    pub fn get(&self, txid: &TxId) -> Option<&Loss> {
        self.by_id.get(txid).map(|(_, loss)| loss)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// All, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Loss> {
        self.order.values().filter_map(|id| self.get(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::Hash;

    #[test]
    fn every_reason_is_counted_under_its_name() {
        let (with, resource) = (TxId(Hash([1; 32])), Resource { origin: Hash([2; 32]), index: 0 });
        let all = [
            LossReason::Conflict { with, resource, height: Height(1) },
            LossReason::ConsumedBy { with, resource },
            LossReason::Evicted,
            LossReason::NoRoom,
            LossReason::Expired,
            LossReason::InputGone { resource },
            LossReason::AncestorLost { ancestor: with },
            LossReason::Invalid,
        ];
        let mut counts = LossCounts::default();
        all.iter().for_each(|reason| counts.add(reason));
        let found: Vec<_> = counts.named().collect();
        assert_eq!(found, [("conflict", 3), ("full", 2), ("expired", 1), ("ancestor_lost", 1), ("invalid", 1)]);
    }
}
