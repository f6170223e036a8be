//! The book of signed address records: those that somebody sent, and those that were tried.
//!
//! | part | how a record gets in | at its bound |
//! |---|---|---|
//! | untried | a peer sent it | of the subnet that sent most, the one sent first is forgotten |
//! | tried | a handshake with its key was completed at its address | the one reached longest ago goes back to the untried |
//!
//! Hearsay never displaces a tried record: only its own node's newer record does, and that at another address has to be tried again.
//! Each class of addresses has bounds of its own, so that none crowds out another.
//!
//! # Security
//! Who sends much gains little: untried records are bounded by source and by the source's subnet, and one to dial is drawn among the
//! subnets that sent any, and then among what that one sent. Tried records of the internet are bounded by their own subnet.

use super::{AGE_MAX, AddressClass, AddressRecord, AddressRecordError, FUTURE_MAX, RECORDS_PER_ANSWER_MAX};
use crate::backoff::below;
use crate::subnet::{ip_of, subnet_of};
use core::net::IpAddr;
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use timed_primitives::{Instant, PublicKey, UnixTime};

/// Most untried records of one class.
pub const UNTRIED_MAX: usize = 2048;

/// Most tried records of one class.
pub const TRIED_MAX: usize = 1024;

/// Most tried records in one subnet of the internet: who owns one does not own the book. Private networks often are one subnet.
pub const TRIED_PER_SUBNET_MAX: usize = 32;

/// Most untried records kept from one source. At the bound the next is refused.
pub const RECORDS_PER_SOURCE_MAX: usize = 256;

/// Most untried records kept from all sources of one subnet. At the bound the next is refused.
pub const RECORDS_PER_SOURCE_SUBNET_MAX: usize = 512;

/// Attempts without an answer after which an untried record is forgotten.
const UNTRIED_ATTEMPTS_MAX: u32 = 3;

/// Attempts without an answer after which a tried record counts as untried.
const TRIED_ATTEMPTS_MAX: u32 = 10;

/// Wait after the first attempt without an answer; doubled by each further one, up to 64 times.
const ATTEMPT_WAIT: Duration = Duration::from_secs(120);

/// Who sent a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordSource {
    /// The peer's node key.
    pub key: PublicKey,
    /// The peer's address, as seen.
    pub ip: IpAddr,
}

/// Shortest time between two moves of one node that are passed on, so that nobody can have the network repeat new addresses of his for ever.
const MOVE_MIN: Duration = Duration::from_secs(60);

/// What adding a record did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// The node was unknown.
    Fresh,
    /// A newer record of a known node.
    Newer,
    /// A known node says, a minute later at least, that it is elsewhere: news worth passing on, as a fresh record is.
    Moved,
    /// We knew as much or more.
    Known,
}

/// Which records would do for a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateKind {
    /// Tried ones only.
    Tried,
    /// Untried ones only.
    Untried,
}

/// A record to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialCandidate {
    /// Whom we expect there.
    pub key: PublicKey,
    /// `host:port`.
    pub address: String,
    /// Whether a handshake with it was completed there before.
    pub is_tried: bool,
    /// Whether it was a validator then.
    pub is_validator: bool,
}

/// A record as it outlives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAddress {
    /// What the node said; its signature is to be checked again when it comes from a file.
    pub record: AddressRecord,
    /// Who sent it.
    pub source: RecordSource,
    /// When a handshake was last completed there; `None` for an untried one.
    pub reached: Option<UnixTime>,
    /// Whether it was a validator then.
    pub is_validator: bool,
}

#[derive(Clone, Debug)]
struct BookEntry {
    record: AddressRecord,
    class: AddressClass,
    source: RecordSource,
    /// Counts records: the smaller, the longer it is known.
    number: u64,
    reached: Option<UnixTime>,
    is_validator: bool,
    /// Since it last answered.
    attempts: u32,
    not_before: Option<Instant>,
}

impl BookEntry {
    /// Its own place among the tried: public ones are bounded by subnet. A name counts as a subnet of all names.
    fn subnet(&self) -> Option<IpAddr> {
        ip_of(&self.record.address).map(subnet_of)
    }

    fn candidate(&self) -> DialCandidate {
        let (key, address) = (self.record.key, self.record.address.clone());
        DialCandidate { key, address, is_tried: self.reached.is_some(), is_validator: self.is_validator }
    }
}

/// Address records of other nodes, by node key. Bounds: [`UNTRIED_MAX`] and [`TRIED_MAX`] for each class.
#[derive(Clone, Debug, Default)]
pub struct AddressBook {
    entries: BTreeMap<PublicKey, BookEntry>,
    next_number: u64,
    changes: u64,
}

impl AddressBook {
    /// Adds a decoded record sent by `source`, whose own connection is of class `source_class`.
    ///
    /// # Errors
    /// [`AddressRecordError::Class`], [`AddressRecordError::Time`], [`AddressRecordError::SourceFull`]: none is a fault worth a penalty.
    pub fn add(
        &mut self,
        now: UnixTime,
        record: AddressRecord,
        source: RecordSource,
        source_class: AddressClass,
    ) -> Result<Added, AddressRecordError> {
        let class = record.class()?;
        if class != source_class {
            return Err(AddressRecordError::Class { record: class, source_class });
        }
        if record.time.0 > now.plus(FUTURE_MAX).0 || now.since(record.time) > AGE_MAX {
            return Err(AddressRecordError::Time { time: record.time, now });
        }
        let added = match self.entries.get_mut(&record.key) {
            Some(known) if record.time <= known.record.time => return Ok(Added::Known),
            Some(known) if known.record.address == record.address => {
                known.record = record;
                self.changes = self.changes.wrapping_add(1);
                return Ok(Added::Newer);
            }
            Some(known) if record.time.since(known.record.time) >= MOVE_MIN => Added::Moved,
            Some(_) => Added::Newer,
            None => Added::Fresh,
        };
        if added == Added::Fresh && self.has_sent_enough(&source, class) {
            return Err(AddressRecordError::SourceFull);
        }
        self.remove(&record.key);
        self.insert(record, class, source);
        Ok(added)
    }

    /// Puts back what was kept over a restart. Records that are too old, or break a bound, are left out.
    pub fn restore(&mut self, now: UnixTime, kept: KeptAddress) {
        let KeptAddress { record, source, reached, is_validator } = kept;
        let Ok(class) = record.class() else { return };
        let is_old = now.since(record.time) > AGE_MAX && reached.is_none_or(|at| now.since(at) > AGE_MAX);
        if is_old || self.entries.contains_key(&record.key) {
            return;
        }
        match reached {
            None if self.has_sent_enough(&source, class) => {}
            None => self.insert(record, class, source),
            Some(at) => {
                let key = record.key;
                self.insert(record, class, source);
                // From a clock that was ahead: it must not stay the newest for ever.
                self.move_to_tried(&key, UnixTime(at.0.min(now.0)), is_validator);
            }
        }
    }

    /// An untried one.
    fn insert(&mut self, record: AddressRecord, class: AddressClass, source: RecordSource) {
        if self.count(class, false) >= UNTRIED_MAX {
            self.forget_one(class);
        }
        let number = self.next_number;
        self.next_number = self.next_number.saturating_add(1);
        self.changes = self.changes.wrapping_add(1);
        let (reached, is_validator, attempts, not_before) = (None, false, 0, None);
        let entry = BookEntry { record, class, source, number, reached, is_validator, attempts, not_before };
        self.entries.insert(entry.record.key, entry);
    }

    /// A handshake with this key was completed at one of these addresses: its own as we dialled it, and as the name was resolved.
    pub fn on_reached(&mut self, now: UnixTime, key: &PublicKey, addresses: &[&str], is_validator: bool) {
        let Some(entry) = self.entries.get(key) else { return };
        if addresses.contains(&&*entry.record.address) {
            self.move_to_tried(key, now, is_validator);
        }
    }

    fn move_to_tried(&mut self, key: &PublicKey, at: UnixTime, is_validator: bool) {
        let Some(entry) = self.entries.get(key) else { return };
        if entry.reached.is_none() {
            let (class, subnet) = (entry.class, entry.subnet());
            if class == AddressClass::Public {
                self.demote_oldest(class, TRIED_PER_SUBNET_MAX, |other| other.subnet() == subnet);
            }
            self.demote_oldest(class, TRIED_MAX, |_| true);
        }
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.reached = Some(at);
        entry.is_validator = is_validator;
        (entry.attempts, entry.not_before) = (0, None);
        self.changes = self.changes.wrapping_add(1);
    }

    /// When so many of these are tried, the one reached longest ago is tried no more; a validator only when all are.
    fn demote_oldest(&mut self, class: AddressClass, most: usize, is_meant: impl Fn(&BookEntry) -> bool) {
        let tried = self.entries.values().filter(|e| e.class == class && e.reached.is_some() && is_meant(e));
        if tried.clone().count() < most {
            return;
        }
        let Some(oldest) = tried.min_by_key(|e| (e.is_validator, e.reached, e.number)).map(|e| e.record.key) else {
            return;
        };
        self.demote(&oldest, class);
    }

    /// A tried record is untried from now on; at the bound of those, one of them gives way.
    fn demote(&mut self, key: &PublicKey, class: AddressClass) {
        if self.count(class, false) >= UNTRIED_MAX {
            self.forget_one(class);
        }
        if let Some(entry) = self.entries.get_mut(key) {
            entry.reached = None;
        }
    }

    /// Forgets a node.
    pub fn remove(&mut self, key: &PublicKey) {
        if self.entries.remove(key).is_some() {
            self.changes = self.changes.wrapping_add(1);
        }
    }

    /// Draws a record to dial, and counts the attempt: until it is reached it is not drawn again for a while. Validators that were
    /// reached before come first, then others that were.
    pub fn draw(
        &mut self,
        now: Instant,
        want: CandidateKind,
        may_dial: impl Fn(&AddressRecord) -> bool,
        rng: &mut dyn Rng,
    ) -> Option<DialCandidate> {
        let is_free = |e: &&BookEntry| e.not_before.is_none_or(|at| at <= now) && may_dial(&e.record);
        let free: Vec<&BookEntry> = self.entries.values().filter(is_free).collect();
        let of = |is_fitting: &dyn Fn(&BookEntry) -> bool| free.iter().copied().filter(|e| is_fitting(e)).collect();
        let mut fitting: Vec<&BookEntry>;
        match want {
            CandidateKind::Tried => {
                fitting = of(&|e| e.reached.is_some() && e.is_validator);
                if fitting.is_empty() {
                    fitting = of(&|e| e.reached.is_some());
                }
            }
            CandidateKind::Untried => {
                fitting = of(&|e| e.reached.is_none());
                // Who sent most is drawn no more often than who sent least.
                let sent_by = |e: &BookEntry| (e.class, subnet_of(e.source.ip));
                let places: Vec<_> = fitting.iter().map(|e| sent_by(e)).collect::<BTreeSet<_>>().into_iter().collect();
                let place = *places.get(index(rng, places.len()))?;
                fitting.retain(|e| sent_by(e) == place);
            }
        }
        let key = fitting.get(index(rng, fitting.len()))?.record.key;
        let entry = self.entries.get_mut(&key)?;
        let candidate = entry.candidate();
        entry.attempts = entry.attempts.saturating_add(1);
        entry.not_before = Some(now + ATTEMPT_WAIT.saturating_mul(1 << entry.attempts.saturating_sub(1).min(6)));
        match entry.reached {
            None if entry.attempts >= UNTRIED_ATTEMPTS_MAX => self.remove(&key),
            Some(_) if entry.attempts >= TRIED_ATTEMPTS_MAX => {
                entry.attempts = 0;
                let class = entry.class;
                self.demote(&key, class);
                self.changes = self.changes.wrapping_add(1);
            }
            _ => {}
        }
        Some(candidate)
    }

    /// Up to [`RECORDS_PER_ANSWER_MAX`] records for a peer of this class, chosen at random.
    pub fn answer(&self, now: UnixTime, class: AddressClass, rng: &mut dyn Rng) -> Vec<AddressRecord> {
        let mut fitting: Vec<&AddressRecord> = self
            .entries
            .values()
            .filter(|e| e.class == class && now.since(e.record.time) <= AGE_MAX)
            .map(|e| &e.record)
            .collect();
        let mut answer = Vec::new();
        while answer.len() < RECORDS_PER_ANSWER_MAX && !fitting.is_empty() {
            let at = index(rng, fitting.len());
            answer.push(fitting.swap_remove(at).clone());
        }
        answer
    }

    /// Everything, to be kept over a restart.
    pub fn kept(&self) -> impl ExactSizeIterator<Item = KeptAddress> {
        self.entries.values().map(|e| KeptAddress {
            record: e.record.clone(),
            source: e.source,
            reached: e.reached,
            is_validator: e.is_validator,
        })
    }

    /// Differs after each change that is worth keeping.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// All records, by key.
    pub fn records(&self) -> impl ExactSizeIterator<Item = &AddressRecord> {
        self.entries.values().map(|e| &e.record)
    }

    /// How many of a class are tried, or untried.
    pub fn count(&self, class: AddressClass, is_tried: bool) -> usize {
        self.entries.values().filter(|e| e.class == class && e.reached.is_some() == is_tried).count()
    }

    /// How many nodes are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when none is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn has_sent_enough(&self, source: &RecordSource, class: AddressClass) -> bool {
        let subnet = subnet_of(source.ip);
        let untried = || self.entries.values().filter(|e| e.reached.is_none() && e.class == class);
        untried().filter(|e| e.source.key == source.key).count() >= RECORDS_PER_SOURCE_MAX
            || untried().filter(|e| subnet_of(e.source.ip) == subnet).count() >= RECORDS_PER_SOURCE_SUBNET_MAX
    }

    /// Forgets the untried record that was sent first by the subnet that sent most.
    fn forget_one(&mut self, class: AddressClass) {
        let mut sent: BTreeMap<IpAddr, (usize, PublicKey, u64)> = BTreeMap::new();
        for entry in self.entries.values().filter(|e| e.class == class && e.reached.is_none()) {
            let (key, number) = (entry.record.key, entry.number);
            let (count, first, first_number) = sent.entry(subnet_of(entry.source.ip)).or_insert((0, key, number));
            *count = count.saturating_add(1);
            if number < *first_number {
                (*first, *first_number) = (key, number);
            }
        }
        let most = sent.values().max_by_key(|(count, _, number)| (*count, core::cmp::Reverse(*number)));
        if let Some(key) = most.map(|(_, key, _)| *key) {
            self.remove(&key);
        }
    }
}

/// A random place in a list; 0 of none.
fn index(rng: &mut dyn Rng, length: usize) -> usize {
    match length {
        0 | 1 => 0,
        _ => usize::try_from(below(rng, u64::try_from(length).unwrap_or(u64::MAX))).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
