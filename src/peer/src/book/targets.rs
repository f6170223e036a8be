//! Addresses to dial, each with its own back-off.

use super::dial::{DIAL_LOST, Dial, STABLE_AFTER};
use super::pace::Pace;
use crate::addresses::{CandidateKind, DialCandidate, check_address};
use crate::backoff::{BACKOFF_MAX, BACKOFF_MAX_VALIDATORS, Backoff, uniform};
use crate::end_reason::{EndReason, Redial};
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use timed_primitives::{Instant, PublicKey};

/// Most targets nobody configured. At the bound the one that failed most gives way; if none has failed, the newcomer is refused.
const DISCOVERED_MAX: usize = 1024;

/// Most targets of one key that nobody configured: who announces an address and then another sends us to a few of them only.
const ADDRESSES_PER_KEY_MAX: usize = 4;

/// Failures in a row after which a target is forgotten where its key was met, or a validator is expected. Configured ones never are.
const PROVED_FAILURES_MAX: u32 = 10;

/// The same where nobody was met yet.
const HEARSAY_FAILURES_MAX: u32 = 3;

/// When an address is asked about again that has been dialled enough for now.
const CAPPED_WAIT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
struct DialTarget {
    is_configured: bool,
    is_validator: bool,
    is_ourselves: bool,
    /// A peer was met there.
    is_proved: bool,
    /// Drawn from the address book.
    is_candidate: bool,
    key: Option<PublicKey>,
    backoff: Backoff,
    due: Instant,
    dialling_since: Option<Instant>,
    last_end: Option<(Instant, EndReason)>,
}

impl DialTarget {
    fn fresh(now: Instant, key: Option<PublicKey>, is_validator: bool) -> Self {
        Self {
            is_configured: false,
            is_validator,
            is_ourselves: false,
            is_proved: false,
            is_candidate: false,
            key,
            backoff: Backoff::default(),
            due: now,
            dialling_since: None,
            last_end: None,
        }
    }

    /// Schedules the next dial after an end.
    fn ended(&mut self, now: Instant, reason: EndReason, we_vote: bool, rng: &mut dyn Rng) {
        self.dialling_since = None;
        self.last_end = Some((now, reason));
        let cap = if we_vote && self.is_validator { BACKOFF_MAX_VALIDATORS } else { BACKOFF_MAX };
        self.due = match reason.redial() {
            Redial::Soon => now + Backoff::soon(rng),
            Redial::BackOff => now + self.backoff.fail(cap, rng),
            Redial::Slowly => {
                let _ = self.backoff.fail(cap, rng);
                now + uniform(rng, BACKOFF_MAX / 2, BACKOFF_MAX)
            }
            Redial::Never => {
                self.is_ourselves = true;
                now
            }
        };
    }

    const fn is_given_up(&self) -> bool {
        let failures_max = if self.is_proved || self.is_validator { PROVED_FAILURES_MAX } else { HEARSAY_FAILURES_MAX };
        !self.is_configured && (self.is_ourselves || self.backoff.failures() >= failures_max)
    }

    /// Nobody was met there, and no operator named it.
    const fn is_hearsay(&self) -> bool {
        !self.is_configured && !self.is_proved
    }

    /// Who is dialled first.
    const fn rank(&self) -> u8 {
        match (self.is_configured, self.is_proved, self.is_validator, self.is_candidate) {
            (true, ..) => 0,
            (_, true, true, _) => 1,
            (_, true, false, _) => 2,
            (_, _, true, _) => 3,
            (_, _, _, true) => 4,
            // What peers say of themselves comes last: they may come back as often as they like.
            _ => 5,
        }
    }
}

/// A dial target, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetView<'a> {
    /// `host:port`.
    pub address: &'a str,
    /// Whether the operator named it: then it is never given up.
    pub is_configured: bool,
    /// The key found there last.
    pub key: Option<PublicKey>,
    /// Failures since the last session that was stable.
    pub failures: u32,
    /// Not dialled before.
    pub due: Instant,
    /// Whether a dial is under way.
    pub is_dialling: bool,
    /// How the last session or dial ended, and when.
    pub last_end: Option<(Instant, EndReason)>,
}

/// Dial targets by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets {
    by_address: BTreeMap<String, DialTarget>,
    /// When hearsay may be dialled next.
    hearsay_at: Instant,
}

/// How many dials there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct DialBudget {
    /// At once, to anybody.
    pub(super) dials: usize,
    /// Sessions and dials to peers nobody configured.
    pub(super) discovered: usize,
    /// Whether we have outbound peers enough to be slow.
    pub(super) has_enough: bool,
}

impl Targets {
    pub(super) fn configure(&mut self, now: Instant, address: &str, key: Option<PublicKey>, is_validator: bool) {
        let target = self.by_address.entry(address.into()).or_insert_with(|| DialTarget::fresh(now, key, is_validator));
        target.is_configured = true;
        target.is_validator |= is_validator;
        target.key = key.or(target.key);
    }

    pub(super) fn remove_configured(&mut self, address: &str) -> bool {
        let was_configured = self.by_address.get(address).is_some_and(|t| t.is_configured);
        if was_configured {
            self.by_address.remove(address);
        }
        was_configured
    }

    /// Notes whose address this is; a known target that has a key keeps it until a dial finds another.
    pub(super) fn discover(&mut self, now: Instant, address: &str, key: PublicKey, is_validator: bool) {
        if let Some(target) = self.by_address.get_mut(address) {
            if target.key.is_none_or(|k| k == key) {
                target.key = Some(key);
                target.is_validator |= is_validator;
            }
            return;
        }
        if check_address(address).is_err() {
            return;
        }
        let theirs = self.by_address.iter().filter(|(_, t)| !t.is_configured && t.key == Some(key));
        if theirs.clone().count() >= ADDRESSES_PER_KEY_MAX {
            let gone =
                theirs.filter(|(_, t)| t.is_hearsay() && t.dialling_since.is_none()).map(|(a, _)| a.clone()).next();
            match gone {
                Some(gone) => self.by_address.remove(&gone),
                None => return,
            };
        }
        let discovered = self.by_address.iter().filter(|(_, t)| !t.is_configured);
        if discovered.clone().count() >= DISCOVERED_MAX {
            let worst = discovered
                .filter(|(_, t)| t.backoff.failures() > 0 && t.dialling_since.is_none())
                .max_by_key(|(_, t)| t.backoff.failures())
                .map(|(address, _)| address.clone());
            match worst {
                Some(worst) => self.by_address.remove(&worst),
                None => return,
            };
        }
        self.by_address.insert(address.into(), DialTarget::fresh(now, Some(key), is_validator));
    }

    /// An address out of the address book.
    pub(super) fn add_candidate(&mut self, now: Instant, candidate: DialCandidate) {
        let DialCandidate { key, address, is_tried, is_validator } = candidate;
        let fresh =
            DialTarget { is_proved: is_tried, is_candidate: true, ..DialTarget::fresh(now, Some(key), is_validator) };
        self.by_address.entry(address).or_insert(fresh);
    }

    pub(super) fn knows(&self, address: &str) -> bool {
        self.by_address.contains_key(address)
    }

    /// Addresses out of the address book whose turn has not come: those where somebody was met, or all.
    pub(super) fn waiting(&self, blocked: &BTreeSet<PublicKey>, want: CandidateKind) -> usize {
        let is_meant =
            |t: &&DialTarget| t.is_candidate && (t.is_proved || want == CandidateKind::Untried) && is_free(t, blocked);
        self.by_address.values().filter(is_meant).count()
    }

    pub(super) fn configured_keys(&self) -> BTreeSet<PublicKey> {
        self.by_address.values().filter(|t| t.is_configured).filter_map(|t| t.key).collect()
    }

    /// Dials that were never reported count as failed.
    pub(super) fn expire(&mut self, now: Instant, we_vote: bool, rng: &mut dyn Rng) {
        for target in self.by_address.values_mut() {
            if target.dialling_since.is_some_and(|since| now >= since + DIAL_LOST) {
                target.ended(now, EndReason::DialTimeout, we_vote, rng);
            }
        }
        self.by_address.retain(|_, t| !t.is_given_up());
    }

    /// What is known of the past of this key is no reason to wait any longer.
    pub(super) fn dial_now(&mut self, now: Instant, key: &PublicKey) {
        for target in self.by_address.values_mut().filter(|target| target.key.as_ref() == Some(key)) {
            target.due = now;
            target.backoff = Backoff::default();
        }
    }

    /// Starts the dials that are due: configured ones first, then where peers were met, then hearsay as its pace allows; the longest
    /// due first; one per key at a time.
    pub(super) fn start_due(
        &mut self,
        now: Instant,
        blocked: &BTreeSet<PublicKey>,
        room: DialBudget,
        pace: &mut Pace,
    ) -> Vec<Dial> {
        let mut left = room.dials.saturating_sub(self.dialling());
        let mut discovered_left = room.discovered.saturating_sub(self.discovered_dials());
        let mut busy = self.busy(blocked);
        let mut due: Vec<(&String, &mut DialTarget)> =
            self.by_address.iter_mut().filter(|(_, t)| t.due <= now && is_free(t, &busy)).collect();
        due.sort_by_key(|(_, t)| (t.rank(), t.due));
        let (mut dials, mut unwanted) = (Vec::new(), Vec::new());
        for (address, target) in due {
            if left == 0 {
                break;
            }
            // Two addresses of one key may both be due.
            if !is_free(target, &busy) || (!target.is_configured && discovered_left == 0) {
                continue;
            }
            if target.is_hearsay() {
                if pace.is_capped(now, address) {
                    target.due = now + CAPPED_WAIT;
                    if target.is_candidate {
                        unwanted.push(address.clone());
                    }
                    continue;
                }
                let may_dial = match target.is_validator {
                    true => pace.take_place(now, address),
                    false => pace.take(now, address, room.has_enough),
                };
                if !may_dial {
                    continue;
                }
            }
            left = left.saturating_sub(1);
            if !target.is_configured {
                discovered_left = discovered_left.saturating_sub(1);
            }
            target.dialling_since = Some(now);
            busy.extend(target.key);
            let (key, is_configured) = (target.key, target.is_configured);
            dials.push(Dial { address: address.clone(), key, is_feeler: false, is_configured });
        }
        for address in unwanted {
            self.by_address.remove(&address);
        }
        self.hearsay_at = pace.ready_at(now, room.has_enough);
        dials
    }

    pub(super) fn next_wake(
        &self,
        blocked: &BTreeSet<PublicKey>,
        dials_max: usize,
        has_outbound_room: bool,
    ) -> Option<Instant> {
        let lost = self.by_address.values().filter_map(|t| t.dialling_since).map(|s| s + DIAL_LOST).min();
        if self.dialling() >= dials_max {
            return lost;
        }
        let busy = self.busy(blocked);
        let may_dial = |t: &&DialTarget| is_free(t, &busy) && (t.is_configured || has_outbound_room);
        let at = |t: &DialTarget| match t.is_hearsay() && !t.is_validator {
            true => t.due.max(self.hearsay_at),
            false => t.due,
        };
        let due = self.by_address.values().filter(may_dial).map(at).min();
        [lost, due].into_iter().flatten().min()
    }

    /// A dial led to this key, and its session was kept or refused.
    #[allow(clippy::too_many_arguments, reason = "one event with all it taught; a struct would have this one use")]
    pub(super) fn on_dialled(
        &mut self,
        now: Instant,
        address: &str,
        key: PublicKey,
        is_validator: bool,
        refused: Option<EndReason>,
        we_vote: bool,
        rng: &mut dyn Rng,
    ) {
        let Some(target) = self.by_address.get_mut(address) else { return };
        target.dialling_since = None;
        target.is_proved = true;
        target.key = Some(key);
        target.is_validator = is_validator;
        if let Some(reason) = refused {
            target.ended(now, reason, we_vote, rng);
        }
    }

    pub(super) fn on_dial_failed(
        &mut self,
        now: Instant,
        address: &str,
        reason: EndReason,
        we_vote: bool,
        rng: &mut dyn Rng,
    ) {
        if let Some(target) = self.by_address.get_mut(address) {
            target.ended(now, reason, we_vote, rng);
            if target.is_given_up() {
                self.by_address.remove(address);
            }
        }
    }

    /// The peer's session ended: schedules every address of its and gives the earliest.
    pub(super) fn on_session_ended(
        &mut self,
        now: Instant,
        key: &PublicKey,
        reason: EndReason,
        lived: Duration,
        we_vote: bool,
        rng: &mut dyn Rng,
    ) -> Option<Instant> {
        for target in self.by_address.values_mut().filter(|t| t.key.as_ref() == Some(key)) {
            let dialling_since = target.dialling_since;
            if lived >= STABLE_AFTER {
                target.backoff.reset();
            }
            target.ended(now, reason, we_vote, rng);
            target.dialling_since = dialling_since;
        }
        self.by_address.retain(|_, t| !t.is_given_up());
        let theirs = self.by_address.values().filter(|t| t.key.as_ref() == Some(key) && !t.is_ourselves);
        theirs.map(|t| t.due).min()
    }

    pub(super) fn views(&self) -> impl Iterator<Item = TargetView<'_>> {
        self.by_address.iter().map(|(address, t)| TargetView {
            address,
            is_configured: t.is_configured,
            key: t.key,
            failures: t.backoff.failures(),
            due: t.due,
            is_dialling: t.dialling_since.is_some(),
            last_end: t.last_end,
        })
    }

    /// Dials under way to peers nobody configured.
    pub(super) fn discovered_dials(&self) -> usize {
        self.by_address.values().filter(|t| t.dialling_since.is_some() && !t.is_configured).count()
    }

    pub(super) fn dialling(&self) -> usize {
        self.by_address.values().filter(|t| t.dialling_since.is_some()).count()
    }

    /// Keys not to dial: blocked, or being dialled at another address.
    fn busy(&self, blocked: &BTreeSet<PublicKey>) -> BTreeSet<PublicKey> {
        let dialled = self.by_address.values().filter(|t| t.dialling_since.is_some()).filter_map(|t| t.key);
        blocked.iter().copied().chain(dialled).collect()
    }
}

fn is_free(target: &DialTarget, busy: &BTreeSet<PublicKey>) -> bool {
    target.dialling_since.is_none() && !target.is_ourselves && target.key.is_none_or(|k| !busy.contains(&k))
}
