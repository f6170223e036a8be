//! Bugs planted on purpose, to show that simulations, the model and tests find them.
//!
//! Each is one branch in the crate it belongs to. Without the cargo feature `planted` [`is_planted`] is `false` at compile time, so no
//! program that people run holds them. With it one bug at a time can be planted, for the thread that asks: simulated networks live on
//! one thread. Beside a test that finds it, in a module `planted`, each bug has one that shows so, and another in simulated networks (but for
//! [`Bug::OutputRootUnchecked`], whose first header comes later than they play, and [`Bug::PenaltyFollowsKey`]):
//!
//! ```text
//! cargo test -p timed-primitives -p timed-consensus -p timed-ledger -p timed-peer -p timed-mempool -p timed-actors --features planted planted
//! cargo test -p timed --lib --features planted planted
//! cargo test -p timed-simulator --features planted --test planted
//! ```

/// A bug that is known to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    /// Two thirds of the power are taken for a quorum.
    QuorumOffByOne,
    /// At a start the guard is taken for empty.
    NoGuard,
    /// The journal is written and not synced.
    NoJournalSync,
    /// No batch of the journal stands twice.
    JournalStandsOnce,
    /// The guard is written and not synced.
    NoGuardSync,
    /// The guard is written, and may become durable, before the journal is synced.
    GuardBeforeJournal,
    /// Votes leave before journal and guard are written.
    PublishBeforeSync,
    /// A restarted validator forgets upon what it is locked: the votes of others are left out of the replay. Inside the engine nothing
    /// can be changed, so this is the nearest to ignoring a lock.
    LockIgnored,
    /// Time-outs of a decided height go off in the next.
    StaleTimeoutAccepted,
    /// A certificate is believed unseen.
    CertificateUnchecked,
    /// A block counts as final before it is synced.
    CommitBeforeSync,
    /// What is found in a file at a start counts as durable, though its sync may never have returned.
    FoundIsDurable,
    /// The end of an old session takes the newer one of the same peer with it.
    WrongSessionCleanup,
    /// A transaction is announced to who announced it.
    DoubleRelay,
    /// A block is valid whatever state it claims to lead to.
    StateCommitmentUnchecked,
    /// A block is valid whatever it says of the blocks before it.
    HistoryRootUnchecked,
    /// A block is valid whatever it says of the masternodes after it.
    MasternodeRootUnchecked,
    /// What a block changes of the masternodes acts in the next height.
    SetChangeTooEarly,
    /// A masternode that asked to leave can take its collateral at once.
    ReleaseWithoutUnbonding,
    /// An interval is paid once more when the next one closes, in its place.
    RewardPaidTwice,
    /// A double sign is charged to whoever has the key now, whosever it was then.
    PenaltyFollowsKey,
    /// Power is taken from who missed or contradicted itself however little stays.
    JailedBelowQuorum,
    /// A block is valid whatever it says of the outputs that were unspent at the last boundary.
    OutputRootUnchecked,
    /// The mempool takes what clients hand in however long it will wait there.
    AdmissionIgnoresDelay,
    /// A height is held until our own clock has passed its parent's time.
    HoldByWallClock,
    /// A proposer's blocks stay as large as they are, however long they take.
    BlockSizeNeverShrinks,
    /// Time-outs do not follow what this node needs to receive and to validate a block.
    OwnWorkIgnored,
    /// A block whose time is later than our clock at the start counts as decided after it: what was signed and forgotten may be above it
    /// when the clock is behind.
    ClockDecidesDoubt,
    /// Nobody listens to peers that say that our key is live elsewhere.
    TwinUnheard,
    /// Nothing of the mempool is kept over a restart.
    PoolForgotten,
    /// A client's answer waits for the mempool's file however long its writer hangs.
    AnswerWaitsForFile,
    /// Whoever hangs is taken for alive.
    HeartbeatIgnored,
    /// Who has a line for a log that nobody reads waits for a reader.
    LogWaits,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 33] = [
        Self::QuorumOffByOne,
        Self::NoGuard,
        Self::NoJournalSync,
        Self::JournalStandsOnce,
        Self::NoGuardSync,
        Self::GuardBeforeJournal,
        Self::PublishBeforeSync,
        Self::LockIgnored,
        Self::StaleTimeoutAccepted,
        Self::CertificateUnchecked,
        Self::CommitBeforeSync,
        Self::FoundIsDurable,
        Self::WrongSessionCleanup,
        Self::DoubleRelay,
        Self::StateCommitmentUnchecked,
        Self::HistoryRootUnchecked,
        Self::MasternodeRootUnchecked,
        Self::SetChangeTooEarly,
        Self::ReleaseWithoutUnbonding,
        Self::RewardPaidTwice,
        Self::PenaltyFollowsKey,
        Self::JailedBelowQuorum,
        Self::OutputRootUnchecked,
        Self::AdmissionIgnoresDelay,
        Self::HoldByWallClock,
        Self::BlockSizeNeverShrinks,
        Self::OwnWorkIgnored,
        Self::ClockDecidesDoubt,
        Self::TwinUnheard,
        Self::PoolForgotten,
        Self::AnswerWaitsForFile,
        Self::HeartbeatIgnored,
        Self::LogWaits,
    ];
}

/// Never, without the feature `planted`.
#[cfg(not(feature = "planted"))]
pub const fn is_planted(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use switch::{Planted, is_caught, is_planted, plant};

#[cfg(feature = "planted")]
mod switch {
    use super::Bug;
    use std::cell::Cell;
    use std::marker::PhantomData;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this bug is planted in this thread.
    pub fn is_planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Plants a bug, in place of one that is planted already, in this thread until what is returned is dropped.
    #[must_use = "the bug is gone when this is dropped"]
    pub fn plant(bug: Bug) -> Planted {
        Planted { before: PLANTED.replace(Some(bug)), stays: PhantomData }
    }

    /// Whether a test that passes without the bug fails with it. Panics when it fails without.
    pub fn is_caught(bug: Bug, test: impl Fn() + std::panic::RefUnwindSafe) -> bool {
        test();
        let _planted = plant(bug);
        std::panic::catch_unwind(&test).is_err()
    }

    /// See [`plant`]. Stays on its thread.
    pub struct Planted {
        before: Option<Bug>,
        stays: PhantomData<*const ()>,
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(self.before);
        }
    }
}

#[cfg(test)]
#[cfg(feature = "planted")]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "another thread is what is inspected")]
    fn a_bug_is_planted_in_one_thread_until_it_is_dropped() {
        let planted = plant(Bug::NoGuard);
        assert!(is_planted(Bug::NoGuard) && !is_planted(Bug::LockIgnored));
        assert!(std::thread::spawn(|| !is_planted(Bug::NoGuard)).join().unwrap());
        drop(planted);
        assert!(!Bug::ALL.into_iter().any(is_planted));
    }
}
