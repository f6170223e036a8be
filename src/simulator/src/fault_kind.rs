//! Kinds of faults, and sets of them as an operator writes them.

use std::collections::BTreeSet;

crate::kinds::kinds! {
    /// A kind of fault.
    FaultKind;
    /// A process is killed.
    Kill = "kill",
    /// A machine loses power.
    PowerLoss = "power-loss",
    /// A crash at a chosen event: inside a write, between two syncs, between two messages.
    CrashPoint = "crash-point",
    /// All processes or machines end at one moment.
    RestartAll = "restart-all",
    /// A process does nothing for a while.
    Pause = "pause",
    /// The nodes fall into two or three groups.
    Partition = "partition",
    /// Nothing goes from some nodes to the others, but answers do.
    OneWay = "one-way",
    /// One link is cut.
    CutLink = "cut-link",
    /// One link takes seconds, or carries few bytes at a time.
    SlowLink = "slow-link",
    /// Connections are reset.
    Reset = "reset",
    /// Syncs take long.
    SlowDisk = "slow-disk",
    /// A disk has no room left.
    FullDisk = "full-disk",
    /// A node's disk is lost.
    DiskLoss = "disk-loss",
    /// A node returns with an old copy of its disk.
    OldCopy = "old-copy",
    /// A civil clock jumps.
    ClockJump = "clock-jump",
    /// From the start on a second node signs with the key of a validator.
    Twin = "twin",
    /// From the start on some validators are Byzantine and lie in several kinds.
    Byzantine = "liar",
    /// One actor of a node stands still for a while: the ledger, the pool, or who checks signatures.
    Stuck = "stuck",
    /// Syncs fail, and the node gives up.
    FailedSync = "failed-sync",
}

/// A kind of fault that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fault; say all, none, or some of these with commas between: {all}", all = FaultKind::ALL.iter().map(|k| k.name()).collect::<Vec<_>>().join(", "))]
pub struct UnknownFault(String);

/// Kinds of faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSet(pub BTreeSet<FaultKind>);

impl FaultSet {
    /// Every kind.
    pub fn all() -> Self {
        Self(FaultKind::ALL.iter().copied().collect())
    }
}

impl std::str::FromStr for FaultSet {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let kind = |name: &str| {
            let found = FaultKind::ALL.iter().copied().find(|kind| kind.name() == name);
            found.ok_or_else(|| UnknownFault(name.to_owned()))
        };
        match text {
            "all" => Ok(Self::all()),
            "none" => Ok(Self(BTreeSet::new())),
            names => Ok(Self(names.split(',').map(|name| kind(name.trim())).collect::<Result<_, _>>()?)),
        }
    }
}

impl std::fmt::Display for FaultSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        if *self == Self::all() {
            return f.write_str("all");
        }
        f.write_str(&self.0.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(","))
    }
}
