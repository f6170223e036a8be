//! What can be wrong with a node, in one closed list: `/health` and `/ready` answer from it, `warnings` shows it, metrics count it.
//!
//! To add one: the variant, its rows in the `match`es below (the compiler asks for them), its name in [`Trouble::NAMES`] and a value in
//! the test's list.

use std::fmt;
use std::time::Duration;
use timed_primitives::{Height, counted};

/// Something that is wrong with this node, or in its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// An actor has ended though the node runs.
    Ended {
        /// Which.
        who: &'static str,
    },
    /// An actor or thread does not answer.
    Hung {
        /// Which.
        who: &'static str,
        /// Since when.
        silent: Duration,
    },
    /// The data folder cannot be used any more.
    DataFolder {
        /// What is wrong with it and what to do.
        text: String,
    },
    /// The disk does not answer what a client wants read.
    DiskSilent {
        /// How long the oldest read takes.
        silent: Duration,
    },
    /// The disk takes long to make writes durable, which votes and blocks wait for.
    DiskSlow {
        /// The file that was written.
        file: String,
        /// How long it took, or has taken until now.
        took: Duration,
    },
    /// There is little room left on the disk.
    DiskNearlyFull {
        /// Room left for this process. Unit: bytes.
        free: u64,
        /// Less than this is too little. Unit: bytes.
        needed: u64,
    },
    /// Consensus has not started.
    Starting,
    /// Blocks are fetched from peers.
    Behind {
        /// Our last block.
        tip: Height,
        /// The height that is aimed at.
        target: Height,
    },
    /// The connected validators cannot decide.
    NoQuorum {
        /// How many there are, how many are needed, who is missing.
        line: String,
    },
    /// This node is a validator and does not sign.
    SigningOff {
        /// Why not.
        reason: String,
    },
    /// Another node with this validator's key lives.
    Twin {
        /// Who and where, and what to do.
        line: String,
    },
    /// The clock of this machine is wrong.
    ClockOff {
        /// How far it is from those of the validators, and what to do.
        line: String,
    },
    /// Payments that wait are not on disk.
    PoolNotKept {
        /// Why not, and what to do.
        line: String,
    },
    /// Clients' transactions have been refused for a while because more wait than become final.
    Overload {
        /// For how long.
        lasts: Duration,
        /// How long what waits will take.
        delay: Duration,
    },
    /// Lines of the log are lost because nobody reads it, or because it cannot be written.
    LogDropped {
        /// How many since it was last read.
        lines: u64,
        /// What the system says to a write; `None` when nobody reads.
        refusal: Option<String>,
    },
    /// The system allows fewer open files than all connections together may need.
    FewFiles {
        /// What it allows.
        allowed: u64,
        /// What may be needed.
        needed: u64,
    },
}

/// What a trouble means to those who watch the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works; an operator should know.
    Warning,
    /// `/ready` is 503: it cannot do its part now, and may come right by itself.
    NotReady,
    /// `/health` is 503 as well: it will not come right without a restart.
    Dead,
}

impl Trouble {
    /// Every name that [`Self::name`] can give.
    pub const NAMES: [&str; 16] = [
        "ended",
        "hung",
        "data_folder",
        "disk_silent",
        "disk_slow",
        "disk_nearly_full",
        "starting",
        "behind",
        "no_quorum",
        "signing_off",
        "twin",
        "clock_off",
        "pool_not_kept",
        "overload",
        "log_dropped",
        "few_files",
    ];

    /// Its name in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ended { .. } => "ended",
            Self::Hung { .. } => "hung",
            Self::DataFolder { .. } => "data_folder",
            Self::DiskSilent { .. } => "disk_silent",
            Self::DiskSlow { .. } => "disk_slow",
            Self::DiskNearlyFull { .. } => "disk_nearly_full",
            Self::Starting => "starting",
            Self::Behind { .. } => "behind",
            Self::NoQuorum { .. } => "no_quorum",
            Self::SigningOff { .. } => "signing_off",
            Self::Twin { .. } => "twin",
            Self::ClockOff { .. } => "clock_off",
            Self::PoolNotKept { .. } => "pool_not_kept",
            Self::Overload { .. } => "overload",
            Self::LogDropped { .. } => "log_dropped",
            Self::FewFiles { .. } => "few_files",
        }
    }

    /// What it means.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Ended { .. } | Self::Hung { .. } => Severity::Dead,
            Self::DiskSilent { silent } if silent.as_secs() >= DISK_DEAD_AFTER.as_secs() => Severity::Dead,
            Self::DiskSilent { .. }
            | Self::DiskSlow { .. }
            | Self::DataFolder { .. }
            | Self::DiskNearlyFull { .. }
            | Self::Starting
            | Self::Behind { .. }
            | Self::NoQuorum { .. }
            | Self::SigningOff { .. }
            | Self::Twin { .. }
            | Self::ClockOff { .. }
            | Self::Overload { .. } => Severity::NotReady,
            Self::PoolNotKept { .. } | Self::LogDropped { .. } | Self::FewFiles { .. } => Severity::Warning,
        }
    }

    /// Whether it belongs into `warnings`: what passes by itself at every start does not.
    pub const fn is_warning(&self) -> bool {
        !matches!(self, Self::Starting | Self::Behind { .. })
    }
}

/// A disk that was silent for so long will not come right by itself: as long as for a thread that hangs.
const DISK_DEAD_AFTER: Duration = Duration::from_secs(10);
const MIB: u64 = 1 << 20;

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { who } => write!(f, "the actor of {who} has ended; the log says why"),
            Self::Hung { who, silent } => {
                write!(
                    f,
                    "{who} has not answered for {} s: restart the node if it stays so and nothing else explains it",
                    silent.as_secs()
                )
            }
            Self::DataFolder { text } => f.write_str(text),
            Self::DiskSilent { silent } => write!(
                f,
                "the disk of the data folder has not answered a read for {} s: check it, and restart the node if it stays so",
                silent.as_secs()
            ),
            Self::DiskSlow { file, took } => write!(
                f,
                "the disk is slow: it takes {:.1} s to keep what is written to {file}, and votes and blocks wait for it; look for what else \
                 uses it, or for its faults (iostat, smartctl)",
                took.as_secs_f64()
            ),
            Self::DiskNearlyFull { free, needed } => {
                write!(
                    f,
                    "the disk is nearly full: {} MiB left, {} MiB are needed; make room",
                    free / MIB,
                    needed / MIB
                )
            }
            Self::Starting => f.write_str("consensus is starting"),
            Self::Behind { tip, target } => {
                write!(f, "behind by {}: block {tip} of {target}", counted(target.0.saturating_sub(tip.0), "block"))
            }
            Self::NoQuorum { line } | Self::Twin { line } | Self::ClockOff { line } | Self::PoolNotKept { line } => {
                f.write_str(line)
            }
            Self::SigningOff { reason } => write!(f, "this node does not sign: {reason}"),
            Self::Overload { lasts, delay } => write!(
                f,
                "overload: transactions have been refused for {} s, since what waits takes about {} ms; submit less, or elsewhere",
                lasts.as_secs(),
                delay.as_millis()
            ),
            Self::LogDropped { lines, refusal: None } => {
                write!(f, "{}: whoever reads standard output is too slow or has stopped", lost_lines(*lines))
            }
            Self::LogDropped { lines, refusal: Some(refusal) } => write!(
                f,
                "{}: standard output cannot be written ({refusal}): look after the disk or the program it goes to",
                lost_lines(*lines)
            ),
            Self::FewFiles { allowed, needed } => write!(
                f,
                "the system allows {allowed} open files, {needed} may be needed: raise the limit (ulimit -n, LimitNOFILE in systemd, \
                 nofile in docker), or lower p2p.inbound_max"
            ),
        }
    }
}

fn lost_lines(lines: u64) -> String {
    format!("{} of the log {} lost", counted(lines, "line"), if lines == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_has_a_name_of_its_own_and_one_line_of_text() {
        let text = || String::from("why");
        let all = [
            Trouble::Ended { who: "ledger" },
            Trouble::Hung { who: "ledger", silent: Duration::from_secs(12) },
            Trouble::DataFolder { text: text() },
            Trouble::DiskSilent { silent: Duration::from_secs(9) },
            Trouble::DiskSlow { file: "guard".into(), took: Duration::from_millis(2_040) },
            Trouble::DiskNearlyFull { free: 5 * MIB, needed: 100 * MIB },
            Trouble::Starting,
            Trouble::Behind { tip: Height(5), target: Height(9) },
            Trouble::NoQuorum { line: text() },
            Trouble::SigningOff { reason: text() },
            Trouble::Twin { line: text() },
            Trouble::ClockOff { line: text() },
            Trouble::PoolNotKept { line: text() },
            Trouble::Overload { lasts: Duration::from_secs(11), delay: Duration::from_millis(1_020) },
            Trouble::LogDropped { lines: 3, refusal: None },
            Trouble::FewFiles { allowed: 64, needed: 600 },
        ];
        assert_eq!(all.each_ref().map(Trouble::name), Trouble::NAMES);
        for trouble in &all {
            let text = trouble.to_string();
            assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
        }
        assert_eq!(all[7].to_string(), "behind by 4 blocks: block 5 of 9");
        assert_eq!(
            all[1].to_string(),
            "ledger has not answered for 12 s: restart the node if it stays so and nothing else explains it"
        );
        let full = Trouble::LogDropped { lines: 3, refusal: Some("no room".into()) }.to_string();
        assert!(full.contains("3 lines") && full.contains("cannot be written (no room)"), "{full}");
        let dead = Trouble::DiskSilent { silent: Duration::from_secs(10) };
        assert_eq!([&all[3], &dead].map(Trouble::severity), [Severity::NotReady, Severity::Dead]);
        assert!(
            all[4].to_string().starts_with("the disk is slow: it takes 2.0 s to keep what is written to guard, "),
            "{}",
            all[4]
        );
        assert!(all[5].to_string().contains("5 MiB left, 100 MiB are needed"), "{}", all[5]);
    }
}
