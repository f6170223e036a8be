//! Whether this node signs, and why not.
//!
//! The guard refuses nothing inside a step: signing is switched off before, between steps, for one of these reasons:
//!
//! | reason | found | ends |
//! |---|---|---|
//! | guard ahead of the journal | at open | two heights decided by others after our start |
//! | guard missing, or a copy older than the chain that more than a third of the power reports | before the first height decided here | the same |
//! | guard older, but the original: we were away | the same | the height that more than a third of the power reached, once a quorum with us has reported, or more than a third and for long nobody else; or two heights as above |
//! | guard missing, or older than a block that came | while fewer than a quorum report, or if it is a copy, before anything is signed | the same |
//! | a message of ours comes that we do not remember: forgotten | at any time; neighbours send the last one when they connect | two heights as above, both above that message |
//! | the key is live elsewhere | peers with more than a third of the power, or the other node itself, have a session with it: see [`crate::key_use`] | when they no longer say so |
//! | another node signs with our key: a twin | a message of ours that we did not make, and cannot have made before our start | when the operator clears it |
//! | journal full | before a step | with the height |
//!
//! What was written to the original file is our true memory, so nothing is forgotten, and nothing above it was signed. A copy made of
//! the file names another one ([`crate::guard`]); a volume restored from an old copy as a whole is found out by our precommits in the certificates above
//! the guard, and by what neighbours send when they connect.
//!
//! No rule reads a clock that people can set. A height counts as decided after our start when it is above the tips that a quorum of
//! others reported since: whatever was signed before our start is at most two above them (`tip_reports`), and two such heights put
//! that behind us. Who never hears a quorum, only more than a third and for long nobody else, takes the highest tip that it has heard of by
//! then: those it hears have caught up with the network within that time, or are cut off from it and decide nothing.
//!
//! With `reported` the highest tip of such a quorum, a message with our valid signature leads from one state to the next:
//!
//! | state | a message with our signature, of height h | next |
//! |---|---|---|
//! | any | we made it, or too long ago to say | the same |
//! | any | h ≤ `reported` + 2, or no quorum has reported: it may be of before our start, and is older than the guard | the same |
//! | signing, or off without doubt | the same, and newer than the guard | forgotten |
//! | off with our memory in doubt | the same | the same, and the two heights are counted from above h |
//! | any | h > `reported` + 2: nobody has made it but a twin | stopped by a twin, on disk |
//! | stopped by a twin | any | the same, over every restart |
//!
//! Only who has the key can lead there: what others reflect or replay is ours or of before our start, and changes nothing.
//!
//! A key that voted on no height so far, or not since it came back, can have signed nothing but the open height: the first that it votes on. A guard that is
//! missing or a copy then says no more than one at genesis, and is treated like it: doubt that only heights of others brought ends, the node listens as before its
//! first height, and signs (`Signing::on_first_vote`). Doubt is back when the open height turns out to be decided, or a message of ours comes.
//!
//! A copy of the open height itself is found out only by what neighbours remember, so nothing is signed before some were heard and had
//! time to say so ([`crate::Consensus`] waits). What nobody who is reachable remembers cannot be found out.

mod reasons;

use crate::key_use::{OtherSession, STALE_SESSION_TIME};
use crate::statement::SignedRecord;
use crate::tip_reports::TipReports;
pub use reasons::{HEIGHTS_TO_PASS, OtherNode, SigningOff, SigningStatus, TwinFound};
use std::time::Duration;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::{Height, Instant, PublicKey, UnixTime, ValidatorSet};

/// How far above the tip that a quorum reports a validator may have signed before it reported.
pub const SIGNED_ABOVE_TIP_MAX: u64 = 2;

/// A session of our key with another node.
#[derive(Clone, Copy, Debug)]
struct Elsewhere {
    other: OtherNode,
    /// How long it still counts when nothing more is heard; `None` while it is up.
    left: Option<Duration>,
    until: Instant,
}

/// What a message with our signature that we do not remember means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// It may be of before our start.
    MayBeForgotten,
    /// Only another node can have made it.
    IsTwins,
}

/// The policy. Only for a node with a key.
pub(crate) struct Signing {
    twin: Option<TwinFound>,
    elsewhere: Option<Elsewhere>,
    off: Option<SigningOff>,
    passed: u8,
    /// Whether a peer's report may still show our guard to be old: until we decide a height ourselves.
    is_guard_in_question: bool,
    guard: Option<SignedRecord>,
    /// Whether the guard is no copy.
    is_original: bool,
    /// Whether anything may have been signed since the start: then absence is over.
    has_begun: bool,
    /// Since when this node signs; begun anew after doubt, and after the key was live elsewhere.
    begun: Option<Instant>,
    reports: TipReports,
    /// The highest tip that was heard of when for long only more than a third had reported theirs.
    few_reported: Option<Height>,
    /// The height that more than a third of the power reached, at the moment when those who had reported one had a quorum together with
    /// us.
    reached: Option<Height>,
    /// The height of the newest message of ours that we do not remember.
    foreign: Option<Height>,
    /// Heights up to this one prove no loss of memory: the key did not vote on them, or this process signs there since the key votes.
    accounted_to: Height,
    /// For a planted bug only.
    started: UnixTime,
}

impl Signing {
    /// `guard` as found at open, with what the journal adds to it; `None` when it was missing, whatever the journal holds.
    /// `is_explained` says whether the journal or the chain explains it, `is_original` that it is no copy, `twin` whether it holds a stop.
    pub(crate) fn new(
        guard: Option<SignedRecord>,
        is_explained: bool,
        is_original: bool,
        twin: Option<TwinFound>,
    ) -> Self {
        let off = guard.filter(|_| !is_explained).map(|signed| SigningOff::GuardAhead { signed });
        Self {
            twin,
            elsewhere: None,
            off,
            passed: 0,
            is_guard_in_question: true,
            guard,
            is_original,
            has_begun: false,
            begun: None,
            reports: TipReports::default(),
            few_reported: None,
            reached: None,
            foreign: None,
            accounted_to: Height::GENESIS,
            started: UnixTime(0),
        }
    }

    pub(crate) fn on_start(&mut self, unix: UnixTime) {
        self.started = unix;
    }

    /// A height begins with signing on. Who has caught up and signs was away before, not now; to be switched off and on again within one
    /// height would be to forget what was signed in it. Where the key signed nothing below and a quorum
    /// with us reported no more, their deciding this height later is what our own vote led to.
    pub(crate) fn on_signing(&mut self, now: Instant, height: Height, is_quorum_heard: bool) {
        if self.accounted_to.next() == height && is_quorum_heard {
            self.accounted_to = height;
        }
        self.has_begun = true;
        self.begun.get_or_insert(now);
    }

    /// Whether anything may have been signed since the start.
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Since when this node signs.
    pub(crate) fn begun(&self) -> Option<Instant> {
        self.begun
    }

    /// Why nothing is signed. What only the operator can end comes first.
    pub(crate) fn off(&self) -> Option<SigningOff> {
        let twin = self.twin.map(SigningOff::Twin);
        let elsewhere = self.elsewhere.map(|e| SigningOff::LiveElsewhere { other: e.other, left: e.left });
        let (live, stale) = (elsewhere.filter(SigningOff::is_twin), elsewhere);
        twin.or(live).or(self.off).or(stale)
    }

    pub(crate) fn passed(&self) -> u8 {
        self.passed
    }

    /// True when the reason concerns what we may have signed, so that the guard must stay as it is.
    pub(crate) fn is_memory_in_doubt(&self) -> bool {
        self.off.is_some_and(|off| !matches!(off, SigningOff::JournalFull { .. } | SigningOff::Away { .. }))
    }

    /// True when what this node has on disk may not be all that it signed: its guard was missing or a copy at the start, or turned out to
    /// be old.
    pub(crate) fn is_memory_unsure(&self) -> bool {
        !self.is_original || self.is_memory_in_doubt()
    }

    /// True when the guard was found and is not the original, until doubt about it is over.
    pub(crate) fn is_copy(&self) -> bool {
        self.guard.is_some() && !self.is_original && self.is_guard_in_question
    }

    pub(crate) fn switch_off(&mut self, reason: SigningOff) {
        if !self.is_memory_in_doubt() {
            self.off = Some(reason);
            self.passed = 0;
        }
        if self.is_memory_in_doubt() {
            self.begun = None;
        }
    }

    /// Only the operator switches it on again.
    pub(crate) fn stop(&mut self, found: TwinFound) {
        self.twin = Some(found);
    }

    /// Who was found to sign with our key.
    pub(crate) fn twin(&self) -> Option<TwinFound> {
        self.twin
    }

    /// What enough say now of our key's being live elsewhere. That a session was up counts for [`STALE_SESSION_TIME`] after nobody says so any more.
    pub(crate) fn on_elsewhere(&mut self, now: Instant, said: Option<OtherSession>) {
        match said {
            Some(OtherSession { other, left, .. }) => {
                self.elsewhere = Some(Elsewhere { other, left, until: now + left.unwrap_or(STALE_SESSION_TIME) });
                self.begun = None;
            }
            None => {
                self.elsewhere = self.elsewhere.filter(|elsewhere| now < elsewhere.until);
                if let Some(elsewhere) = &mut self.elsewhere {
                    elsewhere.left = Some(elsewhere.until.since(now));
                }
            }
        }
    }

    /// True when the only reason for silence is that our key is live elsewhere, and nothing was signed yet: then the first height waits.
    pub(crate) fn is_waiting_for_other(&self) -> bool {
        self.twin.is_none() && self.off.is_none() && self.elsewhere.is_some() && !self.has_begun
    }

    /// Validators with more than a third of the power report at least this height: one Byzantine validator switches nobody off.
    pub(crate) fn on_reported(&mut self, reported: Height) {
        if !self.is_guard_in_question {
            return;
        }
        match self.guard {
            _ if reported <= self.accounted_to => {}
            None if reported > Height::GENESIS => self.switch_off(SigningOff::GuardMissing { reported }),
            Some(signed) if reported > signed.height => match self.is_original {
                true if self.has_begun => {}
                true => self.switch_off(SigningOff::Away { signed, reported }),
                false => self.switch_off(SigningOff::GuardOlder { signed, reported }),
            },
            _ => {}
        }
    }

    /// Whether it must listen before the first height that the key votes on: our memory is not the original, and what was signed before our
    /// start is not behind us.
    pub(crate) fn must_listen_first(&self) -> bool {
        self.is_doubt_by_height() || !self.is_original && self.is_guard_in_question && !self.has_begun
    }

    /// True when the reason is a guard that is missing or a copy while others are higher, and nothing else.
    fn is_doubt_by_height(&self) -> bool {
        matches!(self.off, Some(SigningOff::GuardMissing { .. } | SigningOff::GuardOlder { .. }))
    }

    /// The key did not vote on `tip` and votes on the next height, and more than a third of the power is at `reported`. See the module.
    pub(crate) fn on_first_vote(&mut self, tip: Height, reported: Height) {
        let known = [self.foreign, self.guard.map(|signed| signed.height), Some(reported)];
        if known.into_iter().flatten().any(|height| height > tip) || self.is_original {
            return;
        }
        self.accounted_to = tip;
        self.is_guard_in_question = true;
        if self.is_doubt_by_height() {
            self.off = None;
            self.passed = 0;
        }
    }

    /// Another validator's tip, reported by itself since our start.
    pub(crate) fn on_tip_report(&mut self, set: &ValidatorSet, validator: PublicKey, tip: Height) {
        self.reports.on_report(set, validator, tip);
    }

    /// For long only validators with more than a third of the power reported their tips, and no quorum: this is the highest tip that we
    /// heard of meanwhile. The first time counts.
    pub(crate) fn on_few_reported(&mut self, highest: Height) {
        self.few_reported.get_or_insert(highest);
    }

    /// Other validators that have a quorum together with us have reported their tips since our start, or for long more than a third and no
    /// others. `reported` is what more than a third of the power reached, and `tip` is ours. The first time counts.
    pub(crate) fn on_enough_reported(&mut self, reported: Height, tip: Height) {
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

    /// A certified block came before anything was signed, and too few report their heights, or our guard is a copy: others were as high
    /// without us.
    pub(crate) fn on_proof(&mut self, height: Height) {
        self.on_reported(height);
    }

    /// Whether nobody can have signed at this height before our start.
    pub(crate) fn is_above_reported(&self, height: Height) -> bool {
        self.reports.of_quorum().is_some_and(|reported| height.above(reported) > SIGNED_ABOVE_TIP_MAX)
    }

    /// A message with our valid signature that this process did not make.
    pub(crate) fn on_foreign(&mut self, height: Height) -> Foreign {
        if self.is_above_reported(height) {
            return Foreign::IsTwins;
        }
        if self.foreign.is_none_or(|highest| height > highest) {
            self.foreign = Some(height);
            self.passed = 0;
        }
        Foreign::MayBeForgotten
    }

    /// The engine decided a height here, by votes that came while we ran.
    pub(crate) fn on_decided_here(&mut self) {
        self.is_guard_in_question = false;
    }

    /// A block was committed, ours to sign or not; called before the next height starts. Its time is for a planted bug only.
    pub(crate) fn on_committed(&mut self, height: Height, time: UnixTime) {
        match self.off {
            None => {}
            Some(SigningOff::JournalFull { .. }) => self.off = None,
            Some(_) => {
                let reported = self.reports.of_quorum().or(self.few_reported);
                let is_above = reported.is_some_and(|reported| height > reported);
                let is_beyond = self.foreign.is_none_or(|foreign| height > foreign);
                let is_late = is_planted(Bug::ClockDecidesDoubt) && time > self.started.plus(crate::idle::CLOCK_GRACE);
                self.passed += u8::from(is_above && is_beyond || is_late);
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
mod tests;
