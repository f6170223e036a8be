//! Whether this node signs, and why not.
//!
//! The guard refuses nothing inside a step: signing is switched off before, between steps, for one of these reasons:
//!
//! | reason | found | ends |
//! |---|---|---|
//! | guard ahead of the journal | at open | two heights decided by others after our start |
//! | guard missing, or a copy older than the chain that more than a third of the power reports | before the first height decided here | the same |
//! | guard older, but the original: we were away | the same | the height that more than a third of the power reached, once a quorum with us has told, or more than a third and for long nobody else; or two heights as above |
//! | guard missing, or older than a block from before our start | while fewer than a quorum report, before anything is signed | the same |
//! | a message of ours comes back that we do not remember | at any time; neighbours send the last one when they connect | the same |
//! | journal full | before a step | with the height |
//!
//! What was written to the original file is our true memory, so nothing is forgotten, and nothing above it was signed. A copy made of
//! the file names another one ([`crate::guard`]); a volume set back as a whole is found out by our precommits in the certificates above
//! the guard, and by what neighbours send when they connect.
//!
//! A key that signed something forgotten can have done so only at heights up to the one that was open then, and two such heights put
//! that one behind us. A height counts as decided after our start
//!
//! - when its block's time is above our clock at start plus the tolerance for clocks; or
//! - when it is above every tip that other validators told us since our start, and those who told one have a quorum of the power. For
//!   who signed at h had seen h − 1 decided: a quorum had precommitted it, two quorums share an honest validator, and what that one told
//!   afterwards is at least h − 2. A liar among them can only name too high a tip, which leaves the first way.
//!
//! What comes back with our signature and was not known to us may come from a copy of us that runs now: then only the first way counts.
//!
//! A copy of the open height itself is found out only by what neighbours remember, so nothing is signed before some were heard and had
//! time to say so ([`crate::Consensus`] waits). What nobody who is reachable remembers cannot be found out.

use crate::guard::SignedRecord;
use crate::idle::CLOCK_GRACE;
use std::fmt;
use timed_primitives::{Height, Round, UnixTime};

/// Heights decided by others before signing begins again.
pub const HEIGHTS_TO_PASS: u8 = 2;

/// Why signing is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningOff {
    /// The guard remembers something that the journal does not: the journal is lost or an old copy.
    GuardAhead {
        /// What the guard remembers.
        signed: SignedRecord,
    },
    /// There is no guard, but the network is under way.
    GuardMissing {
        /// Height that validators with more than a third of the power report.
        reported: Height,
    },
    /// The network is beyond what the guard remembers, and it is the original: this node was away.
    Away {
        /// What the guard remembers.
        signed: SignedRecord,
        /// Height that validators with more than a third of the power report.
        reported: Height,
    },
    /// The network is beyond what the guard remembers, and it is a copy.
    GuardOlder {
        /// What the guard remembers.
        signed: SignedRecord,
        /// Height that validators with more than a third of the power report.
        reported: Height,
    },
    /// A message with our signature came back that we do not remember.
    Forgotten {
        /// Its height.
        height: Height,
        /// Its round.
        round: Round,
    },
    /// The journal of this height reached its bound.
    JournalFull {
        /// The height.
        height: Height,
    },
}

impl fmt::Display for SigningOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GuardAhead { signed } => {
                write!(
                    f,
                    "the guard remembers a {signed} that the journal does not: the journal is lost or an old copy"
                )
            }
            Self::GuardMissing { reported } => {
                write!(f, "the guard is missing while validators report height {reported}: we may have signed before")
            }
            Self::Away { signed, reported } => {
                write!(f, "we were away: the guard's last is a {signed} while validators report height {reported}")
            }
            Self::GuardOlder { signed, reported } => {
                write!(f, "the guard is a copy: its last is a {signed} while validators report height {reported}")
            }
            Self::Forgotten { height, round } => {
                write!(
                    f,
                    "a message with our signature that we do not remember came back, of height {height} round {round}"
                )
            }
            Self::JournalFull { height } => write!(f, "the journal of height {height} is full"),
        }
    }
}

/// Whether this node signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningStatus {
    /// It has no key.
    Observer,
    /// Its key is not in the validator set of the height.
    NotValidator,
    /// It does.
    On,
    /// It does not.
    Off {
        /// Why.
        reason: SigningOff,
        /// Heights decided by others since our start.
        passed: u8,
    },
}

impl fmt::Display for SigningStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Observer => f.write_str("observer: no consensus key"),
            Self::NotValidator => f.write_str("observer: the consensus key is not in the validator set"),
            Self::On => f.write_str("signing is on"),
            Self::Off { reason: reason @ SigningOff::JournalFull { .. }, .. } => {
                write!(f, "signing is off: {reason}; it turns on with the next height")
            }
            Self::Off { reason: reason @ SigningOff::Away { .. }, .. } => {
                write!(f, "signing is off: {reason}; it turns on when this node has caught up")
            }
            Self::Off { reason, passed } => write!(
                f,
                "signing is off: {reason}; it turns on when {HEIGHTS_TO_PASS} heights were decided by others after our start \
                 ({passed} so far)"
            ),
        }
    }
}

/// The policy. Only for a node with a key.
pub(crate) struct Signing {
    off: Option<SigningOff>,
    passed: u8,
    started: Option<UnixTime>,
    /// Whether a peer's report may still show our guard to be old: until we decide a height ourselves.
    is_guard_in_question: bool,
    guard: Option<SignedRecord>,
    /// Whether the guard is no copy.
    is_original: bool,
    /// Whether anything may have been signed since the start: then absence is over.
    has_begun: bool,
    /// The highest tip told since our start, at the moment when those who had told one had a quorum.
    told: Option<Height>,
    /// The height that more than a third of the power told, at the moment when those who had told one had a quorum together with us.
    reached: Option<Height>,
}

impl Signing {
    /// `guard` as found at open, with what the journal adds to it; `None` when it was missing, whatever the journal holds.
    /// `is_explained` says whether the journal or the chain explains it, `is_original` that it is no copy.
    pub(crate) fn new(guard: Option<SignedRecord>, is_explained: bool, is_original: bool) -> Self {
        let off = guard.filter(|_| !is_explained).map(|signed| SigningOff::GuardAhead { signed });
        Self {
            off,
            passed: 0,
            started: None,
            is_guard_in_question: true,
            guard,
            is_original,
            has_begun: false,
            told: None,
            reached: None,
        }
    }

    pub(crate) fn on_start(&mut self, unix: UnixTime) {
        self.started = Some(unix);
    }

    /// A height begins with signing on. Who has caught up and signs was away before, not now; to be switched off and on again within one
    /// height would be to forget what was signed in it.
    pub(crate) fn on_signing(&mut self) {
        self.has_begun = true;
    }

    pub(crate) fn off(&self) -> Option<SigningOff> {
        self.off
    }

    pub(crate) fn passed(&self) -> u8 {
        self.passed
    }

    /// True when the reason concerns what we may have signed, so that the guard must stay as it is.
    pub(crate) fn is_memory_in_doubt(&self) -> bool {
        self.off.is_some_and(|off| !matches!(off, SigningOff::JournalFull { .. } | SigningOff::Away { .. }))
    }

    /// True until a height was decided here since the start, or all doubt is over.
    pub(crate) fn is_guard_in_question(&self) -> bool {
        self.is_guard_in_question
    }

    pub(crate) fn switch_off(&mut self, reason: SigningOff) {
        if !self.is_memory_in_doubt() {
            self.off = Some(reason);
            self.passed = 0;
        }
    }

    /// Validators with more than a third of the power report at least this height: one liar switches nobody off.
    pub(crate) fn on_reported(&mut self, reported: Height) {
        if !self.is_guard_in_question {
            return;
        }
        match self.guard {
            None if reported > Height::GENESIS => self.switch_off(SigningOff::GuardMissing { reported }),
            Some(signed) if reported > signed.height => match self.is_original {
                true if self.has_begun => {}
                true => self.switch_off(SigningOff::Away { signed, reported }),
                false => self.switch_off(SigningOff::GuardOlder { signed, reported }),
            },
            _ => {}
        }
    }

    /// Other validators with a quorum of the power have told their tips since our start; this is the highest. The first time counts.
    pub(crate) fn on_quorum_told(&mut self, highest: Height) {
        self.told.get_or_insert(highest);
    }

    /// Other validators that have a quorum together with us have told their tips since our start, or for long more than a third and no
    /// others. `reported` is what more than a third of the power reached, and `tip` is ours. The first time counts.
    pub(crate) fn on_enough_told(&mut self, reported: Height, tip: Height) {
        self.reached.get_or_insert(reported);
        self.end_absence(tip);
    }

    /// Who was away and forgot nothing signs again when it is where a quorum was.
    fn end_absence(&mut self, tip: Height) {
        let has_caught_up = self.reached.is_some_and(|reached| tip >= reached);
        if has_caught_up && matches!(self.off, Some(SigningOff::Away { .. })) {
            self.off = None;
            self.is_guard_in_question = false;
        }
    }

    /// A certified block came while too few report their heights. One from before our start proves how high the others were then.
    pub(crate) fn on_proof(&mut self, height: Height, time: UnixTime) {
        if self.started.is_none_or(|started| time <= started) {
            self.on_reported(height);
        }
    }

    /// The engine decided a height here, by votes that came while we ran.
    pub(crate) fn on_decided_here(&mut self) {
        self.is_guard_in_question = false;
    }

    /// A block was committed, ours to sign or not; called before the next height starts.
    pub(crate) fn on_committed(&mut self, height: Height, time: UnixTime) {
        match self.off {
            None => {}
            Some(SigningOff::JournalFull { .. }) => self.off = None,
            Some(reason) => {
                let is_late = self.started.is_some_and(|started| time > started.plus(CLOCK_GRACE));
                let is_above = self.told.is_some_and(|told| height > told);
                let may_run_twice = matches!(reason, SigningOff::Forgotten { .. });
                self.passed += u8::from(is_late || (is_above && !may_run_twice));
                if self.passed >= HEIGHTS_TO_PASS {
                    self.off = None;
                    self.is_guard_in_question = false;
                }
                self.end_absence(height);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::SignedStep;

    fn signed(height: u64) -> SignedRecord {
        SignedRecord {
            height: Height(height),
            round: Round(0),
            step: SignedStep::Precommit,
            block: None,
            valid_round: None,
        }
    }

    #[test]
    fn an_old_guard_keeps_signing_off_for_two_heights_after_the_start() {
        let mut signing = Signing::new(Some(signed(40)), true, false);
        signing.on_start(UnixTime(1_000_000));
        signing.on_reported(Height(40));
        assert_eq!(signing.off(), None);
        signing.on_reported(Height(100));
        assert!(matches!(signing.off(), Some(SigningOff::GuardOlder { .. })));
        for (height, time) in [(41, 10), (42, 1_004_000), (43, 1_005_001)] {
            signing.on_committed(Height(height), UnixTime(time));
            assert!(signing.off().is_some());
        }
        signing.on_committed(Height(44), UnixTime(1_006_000));
        assert_eq!(signing.off(), None);
        signing.on_reported(Height(200));
        assert_eq!(signing.off(), None);
    }

    #[test]
    fn who_was_away_signs_again_when_it_has_caught_up() {
        let mut signing = Signing::new(Some(signed(40)), true, true);
        signing.on_start(UnixTime(1_000_000));
        signing.on_reported(Height(100));
        assert!(matches!(signing.off(), Some(SigningOff::Away { .. })));
        assert!(!signing.is_memory_in_doubt());
        signing.on_committed(Height(100), UnixTime(10));
        assert!(signing.off().is_some(), "no quorum has said where it is");
        signing.on_enough_told(Height(102), Height(100));
        signing.on_enough_told(Height(90), Height(100));
        signing.on_committed(Height(101), UnixTime(10));
        assert!(signing.off().is_some());
        signing.on_committed(Height(102), UnixTime(10));
        assert_eq!(signing.off(), None);
        signing.on_reported(Height(110));
        assert_eq!(signing.off(), None);
        // Or when two heights were decided by others, whoever told what.
        let mut signing = Signing::new(Some(signed(40)), true, true);
        signing.on_start(UnixTime(1_000_000));
        signing.on_reported(Height(100));
        for (height, is_off) in [(101, true), (102, false)] {
            signing.on_committed(Height(height), UnixTime(1_006_000));
            assert_eq!(signing.off().is_some(), is_off);
        }
        // Who signs is not away.
        let mut signing = Signing::new(Some(signed(40)), true, true);
        signing.on_signing();
        signing.on_reported(Height(100));
        assert_eq!(signing.off(), None);
        // What comes back is a reason of its own.
        let mut signing = Signing::new(Some(signed(40)), true, true);
        signing.on_reported(Height(100));
        signing.switch_off(SigningOff::Forgotten { height: Height(60), round: Round(0) });
        signing.on_enough_told(Height(100), Height(100));
        assert!(matches!(signing.off(), Some(SigningOff::Forgotten { .. })));
    }

    #[test]
    fn tips_told_by_a_quorum_say_which_heights_are_new() {
        let off_after = |reason: SigningOff, heights: &[u64]| {
            let mut signing = Signing::new(Some(signed(40)), true, false);
            signing.on_start(UnixTime(1_000_000));
            signing.switch_off(reason);
            signing.on_quorum_told(Height(100));
            signing.on_quorum_told(Height(90));
            heights.iter().for_each(|height| signing.on_committed(Height(*height), UnixTime(10)));
            signing.off().is_some()
        };
        let older = SigningOff::GuardOlder { signed: signed(40), reported: Height(100) };
        assert!(off_after(older, &[41, 99, 100, 101]));
        assert!(!off_after(older, &[100, 101, 102]));
        assert!(!off_after(SigningOff::GuardAhead { signed: signed(40) }, &[101, 102]));
        assert!(off_after(SigningOff::Forgotten { height: Height(100), round: Round(0) }, &[101, 102, 103]));
    }

    #[test]
    fn reasons_at_open_and_texts() {
        assert_eq!(Signing::new(None, false, false).off(), None);
        let ahead = Signing::new(Some(signed(3)), false, false);
        let status = SigningStatus::Off { reason: ahead.off().unwrap(), passed: 1 };
        let text = status.to_string();
        assert!(text.contains("precommit of height 3 round 0") && text.contains("(1 so far)"), "{text}");
        let mut fresh = Signing::new(None, true, false);
        fresh.on_reported(Height(0));
        assert_eq!(fresh.off(), None);
        fresh.on_reported(Height(1));
        assert!(matches!(fresh.off(), Some(SigningOff::GuardMissing { .. })));
    }
}
