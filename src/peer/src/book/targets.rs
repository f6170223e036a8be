//! Addresses to dial, each with its own back-off.

use super::{Dial, GOOD_LIFE};
use crate::addresses::check_address;
use crate::backoff::{BACKOFF_MAX, BACKOFF_MAX_VALIDATORS, Backoff, uniform};
use crate::end_reason::{EndReason, Redial};
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use timed_primitives::{Instant, PublicKey};

/// Most targets nobody configured. At the bound the one that failed most gives way; if none has failed, the newcomer is refused.
const DISCOVERED_MAX: usize = 1024;

/// Failures in a row after which a discovered target is forgotten. Configured ones never are.
const DISCOVERED_FAILURES_MAX: u32 = 10;

/// A dial about which nobody reported counts as failed: 3 s to connect and 5 s to greet have long passed.
const DIAL_LOST: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
struct Target {
    is_configured: bool,
    is_validator: bool,
    is_ourselves: bool,
    key: Option<PublicKey>,
    backoff: Backoff,
    due: Instant,
    dialling_since: Option<Instant>,
    last_end: Option<(Instant, EndReason)>,
}

impl Target {
    fn fresh(now: Instant, key: Option<PublicKey>, is_validator: bool) -> Self {
        Self {
            is_configured: false,
            is_validator,
            is_ourselves: false,
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
        !self.is_configured && (self.is_ourselves || self.backoff.failures() >= DISCOVERED_FAILURES_MAX)
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
    /// Failures since the last good life.
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
    by_address: BTreeMap<String, Target>,
}

impl Targets {
    pub(super) fn configure(&mut self, now: Instant, address: &str, key: Option<PublicKey>, is_validator: bool) {
        let target = self.by_address.entry(address.into()).or_insert_with(|| Target::fresh(now, key, is_validator));
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
        self.by_address.insert(address.into(), Target::fresh(now, Some(key), is_validator));
    }

    pub(super) fn is_configured(&self, key: &PublicKey) -> bool {
        self.by_address.values().any(|t| t.is_configured && t.key.as_ref() == Some(key))
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

    /// Starts the dials that are due: configured ones first, then the longest due; one per key at a time.
    pub(super) fn start_due(
        &mut self,
        now: Instant,
        blocked: &BTreeSet<PublicKey>,
        dials_max: usize,
        outbound_max: usize,
        outbound: usize,
    ) -> Vec<Dial> {
        let mut room = dials_max.saturating_sub(self.dialling());
        let discovered_dials =
            self.by_address.values().filter(|t| t.dialling_since.is_some() && !t.is_configured).count();
        let mut discovered_room = outbound_max.saturating_sub(outbound).saturating_sub(discovered_dials);
        let mut busy = self.busy(blocked);
        let mut due: Vec<(&String, &mut Target)> =
            self.by_address.iter_mut().filter(|(_, t)| t.due <= now && is_free(t, &busy)).collect();
        due.sort_by_key(|(_, t)| (!t.is_configured, t.due));
        let mut dials = Vec::new();
        for (address, target) in due {
            if room == 0 {
                break;
            }
            // Two addresses of one key may both be due.
            if !is_free(target, &busy) || (!target.is_configured && discovered_room == 0) {
                continue;
            }
            room = room.saturating_sub(1);
            if !target.is_configured {
                discovered_room = discovered_room.saturating_sub(1);
            }
            target.dialling_since = Some(now);
            busy.extend(target.key);
            dials.push(Dial { address: address.clone(), key: target.key });
        }
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
        let may_dial = |t: &&Target| is_free(t, &busy) && (t.is_configured || has_outbound_room);
        let due = self.by_address.values().filter(may_dial).map(|t| t.due).min();
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
            if lived >= GOOD_LIFE {
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

    fn dialling(&self) -> usize {
        self.by_address.values().filter(|t| t.dialling_since.is_some()).count()
    }

    /// Keys not to dial: blocked, or being dialled at another address.
    fn busy(&self, blocked: &BTreeSet<PublicKey>) -> BTreeSet<PublicKey> {
        let dialled = self.by_address.values().filter(|t| t.dialling_since.is_some()).filter_map(|t| t.key);
        blocked.iter().copied().chain(dialled).collect()
    }
}

fn is_free(target: &Target, busy: &BTreeSet<PublicKey>) -> bool {
    target.dialling_since.is_none() && !target.is_ourselves && target.key.is_none_or(|k| !busy.contains(&k))
}
