//! Penalties for what a peer provably did. Points decay; enough of them ban the key for a while.
//!
//! Only evidence counts: every [`Offence`] is something the authenticated author of the bytes cannot deny. Time-outs, failed syncs,
//! slow answers, exceeded rates and hearsay are no offences, so an unlucky or overloaded node is never banned. Nobody is banned
//! whose absence would take us below the connectivity the caller names, and a ban gives way ([`Misbehaviour::spare`]) when others have
//! gone since.

use std::collections::BTreeMap;
use std::time::Duration;
use timed_primitives::{Instant, PublicKey};

/// Points that ban.
pub const BAN_POINTS: u32 = 100;

/// Points halve in this time.
pub const HALF_LIFE: Duration = Duration::from_secs(600);

/// Length of a first ban; each further one within [`MEMORY`] doubles it.
pub const BAN_FIRST: Duration = Duration::from_secs(600);

/// Longest ban.
pub const BAN_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long an ended ban is remembered for doubling.
pub const MEMORY: Duration = Duration::from_secs(24 * 3600);

/// Most keys with points or bans. At the bound the one with the fewest points gives way, never one that is banned unless all are,
/// then the one whose ban ends first.
pub const KEYS_MAX: usize = 4096;

/// Points are counted in thousandths, so that decay does not round small ones away at once.
const POINT: u64 = 1000;

/// Something the authenticated author of the bytes provably did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// Signed something of its own wrongly: a vote, a proposal, a record, a claim in its own name.
    InvalidSignature,
    /// Sent a frame longer than its kind allows.
    OversizedFrame,
    /// Sent a body that cannot be decoded.
    UndecodableBody,
    /// Sent a transaction that no state of the chain could make valid.
    InvalidTransaction,
    /// Proposed, as the height's proposer, a block that breaks the rules.
    InvalidBlock,
    /// Sent a decided block whose certificate does not hold.
    InvalidCertificate,
    /// Sent what we asked for and something else instead: another height, another id, more than asked.
    WrongAnswer,
}

impl Offence {
    /// Every offence.
    pub const ALL: [Self; 7] = [
        Self::InvalidSignature,
        Self::OversizedFrame,
        Self::UndecodableBody,
        Self::InvalidTransaction,
        Self::InvalidBlock,
        Self::InvalidCertificate,
        Self::WrongAnswer,
    ];

    /// Lower-case name for logs and metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidSignature => "invalid_signature",
            Self::OversizedFrame => "oversized_frame",
            Self::UndecodableBody => "undecodable_body",
            Self::InvalidTransaction => "invalid_transaction",
            Self::InvalidBlock => "invalid_block",
            Self::InvalidCertificate => "invalid_certificate",
            Self::WrongAnswer => "wrong_answer",
        }
    }

    /// The offence with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|offence| offence.name() == name)
    }

    /// Its weight. What a bug or a version difference can cause weighs little; what needs intent or a broken build weighs more. No
    /// single offence bans.
    pub const fn points(self) -> u32 {
        match self {
            Self::InvalidTransaction | Self::WrongAnswer => 10,
            Self::UndecodableBody | Self::OversizedFrame => 20,
            Self::InvalidSignature | Self::InvalidBlock | Self::InvalidCertificate => 40,
        }
    }
}

/// What would be left if the offender were banned. For a validator the voting power of connected validators, ourselves included; for
/// others any pair with `left >= floor`, such as [`Connectivity::IRRELEVANT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connectivity {
    /// What would stay connected without the offender.
    pub left: u64,
    /// What must stay connected: the quorum.
    pub floor: u64,
}

impl Connectivity {
    /// The offender does not count towards quorum.
    pub const IRRELEVANT: Self = Self { left: 0, floor: 0 };

    /// Whether the quorum stays without the offender.
    pub const fn allows_ban(self) -> bool {
        self.left >= self.floor
    }
}

/// What an offence led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum PenaltyVerdict {
    /// Points were added.
    Noted {
        /// Their sum now.
        points: u32,
    },
    /// Enough for a ban, but quorum needs the peer: keep it.
    Spared {
        /// Their sum now.
        points: u32,
    },
    /// Banned: end the session with [`crate::EndReason::Misbehaviour`] and do not dial before `until`.
    Banned {
        /// When the ban ends.
        until: Instant,
    },
}

/// A ban in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who.
    pub key: PublicKey,
    /// Until when.
    pub until: Instant,
    /// The last offence; `None` when an operator banned the key.
    pub offence: Option<Offence>,
}

#[derive(Clone, Copy, Debug)]
struct PenaltyRecord {
    /// Unit: thousandths of a point, at `at`.
    points: u64,
    at: Instant,
    ban: Option<(Instant, Option<Offence>)>,
    bans: u32,
}

impl PenaltyRecord {
    const fn fresh(now: Instant) -> Self {
        Self { points: 0, at: now, ban: None, bans: 0 }
    }

    /// Points at `now`: halved for each whole half-life, linear within one.
    fn points(&self, now: Instant) -> u64 {
        let elapsed = now.since(self.at).as_micros();
        let half_life = HALF_LIFE.as_micros();
        let halvings = u32::try_from(elapsed / half_life).unwrap_or(u32::MAX);
        let whole = self.points.checked_shr(halvings).unwrap_or(0);
        let rest = u64::try_from(elapsed % half_life).unwrap_or(0);
        let half_life = u64::try_from(half_life).unwrap_or(u64::MAX);
        let lost = u128::from(whole / 2) * u128::from(rest) / u128::from(half_life);
        whole.saturating_sub(u64::try_from(lost).unwrap_or(whole))
    }

    fn is_banned(&self, now: Instant) -> bool {
        self.ban.is_some_and(|(until, _)| now < until)
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        let was_banned_lately = self.ban.is_some_and(|(until, _)| now < until + MEMORY);
        !was_banned_lately && self.points(now) < POINT
    }
}

/// Points and bans by node key. Bound: [`KEYS_MAX`].
#[derive(Clone, Debug, Default)]
pub struct Misbehaviour {
    records: BTreeMap<PublicKey, PenaltyRecord>,
}

impl Misbehaviour {
    /// Counts an offence of `key`. `connectivity` is what would be left without it.
    pub fn on_offence(
        &mut self,
        now: Instant,
        key: PublicKey,
        offence: Offence,
        connectivity: Connectivity,
    ) -> PenaltyVerdict {
        self.make_room(now, &key);
        let record = self.records.entry(key).or_insert(PenaltyRecord::fresh(now));
        let added = u64::from(offence.points()).saturating_mul(POINT);
        record.points = record.points(now).saturating_add(added);
        record.at = now;
        let points = u32::try_from(record.points / POINT).unwrap_or(u32::MAX);
        if let Some((until, _)) = record.ban.filter(|(until, _)| now < *until) {
            return PenaltyVerdict::Banned { until };
        }
        if points < BAN_POINTS {
            return PenaltyVerdict::Noted { points };
        }
        if !connectivity.allows_ban() {
            return PenaltyVerdict::Spared { points };
        }
        if record.ban.is_some_and(|(until, _)| now >= until + MEMORY) {
            record.bans = 0;
        }
        let length = BAN_FIRST.saturating_mul(1 << record.bans.min(16)).min(BAN_MAX);
        let until = now + length;
        record.ban = Some((until, Some(offence)));
        record.bans = record.bans.saturating_add(1);
        record.points = 0;
        PenaltyVerdict::Banned { until }
    }

    /// Ends a ban because quorum has come to need the peer: its next offence bans it again if quorum then allows it, for longer. False
    /// when no offence's ban is in force; an operator's does not give way.
    pub fn spare(&mut self, now: Instant, key: &PublicKey) -> bool {
        let Some(record) = self.records.get_mut(key).filter(|r| r.is_banned(now)) else { return false };
        let Some((_, Some(offence))) = record.ban else { return false };
        *record = PenaltyRecord {
            points: u64::from(BAN_POINTS) * POINT,
            at: now,
            ban: Some((now, Some(offence))),
            ..*record
        };
        true
    }

    /// An operator bans a key. No floor applies: the operator decides.
    pub fn ban(&mut self, now: Instant, key: PublicKey, length: Duration) -> Ban {
        self.make_room(now, &key);
        let until = now + length;
        self.records.entry(key).or_insert(PenaltyRecord::fresh(now)).ban = Some((until, None));
        Ban { key, until, offence: None }
    }

    /// A ban from before the process started goes on. Its length does not double a later one.
    pub fn restore(&mut self, now: Instant, ban: Ban) {
        self.make_room(now, &ban.key);
        self.records.entry(ban.key).or_insert(PenaltyRecord::fresh(now)).ban = Some((ban.until, ban.offence));
    }

    /// Until when the key is banned; `None` when it is not.
    pub fn banned_until(&self, now: Instant, key: &PublicKey) -> Option<Instant> {
        self.records.get(key).and_then(|r| r.ban).map(|(until, _)| until).filter(|until| now < *until)
    }

    /// Points of a key now.
    pub fn points(&self, now: Instant, key: &PublicKey) -> u32 {
        self.records.get(key).map_or(0, |r| u32::try_from(r.points(now) / POINT).unwrap_or(u32::MAX))
    }

    /// Every ban in force, by key. There is no other map of bans.
    pub fn bans(&self, now: Instant) -> Vec<Ban> {
        let in_force = |(key, r): (&PublicKey, &PenaltyRecord)| {
            r.ban.filter(|(until, _)| now < *until).map(|(until, offence)| Ban { key: *key, until, offence })
        };
        self.records.iter().filter_map(in_force).collect()
    }

    /// Lifts a ban and forgets the key's points; false when it was not banned.
    pub fn lift(&mut self, now: Instant, key: &PublicKey) -> bool {
        self.records.remove(key).is_some_and(|r| r.is_banned(now))
    }

    /// Lifts every ban and forgets all points; gives how many bans were in force.
    pub fn lift_all(&mut self, now: Instant) -> usize {
        let lifted = self.bans(now).len();
        self.records.clear();
        lifted
    }

    fn make_room(&mut self, now: Instant, key: &PublicKey) {
        if self.records.len() < KEYS_MAX || self.records.contains_key(key) {
            return;
        }
        self.records.retain(|_, r| !r.is_forgotten(now));
        if self.records.len() < KEYS_MAX {
            return;
        }
        let rank = |r: &PenaltyRecord| match r.ban.filter(|(until, _)| now < *until) {
            Some((until, _)) => (1, until.0),
            None => (0, r.points(now)),
        };
        let least = self.records.iter().min_by_key(|(_, r)| rank(r)).map(|(key, _)| *key);
        if let Some(least) = least {
            self.records.remove(&least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(n: u32) -> PublicKey {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        PublicKey(bytes)
    }

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000)
    }

    const FREE: Connectivity = Connectivity::IRRELEVANT;

    #[test]
    fn repeated_offences_ban_for_a_while_and_longer_the_next_time() {
        let mut m = Misbehaviour::default();
        assert_eq!(m.on_offence(at(0), key(1), Offence::InvalidSignature, FREE), PenaltyVerdict::Noted { points: 40 });
        assert_eq!(m.on_offence(at(0), key(1), Offence::InvalidSignature, FREE), PenaltyVerdict::Noted { points: 80 });
        assert_eq!(
            m.on_offence(at(0), key(1), Offence::OversizedFrame, FREE),
            PenaltyVerdict::Banned { until: at(600) }
        );
        let ban = Ban { key: key(1), until: at(600), offence: Some(Offence::OversizedFrame) };
        assert_eq!(m.bans(at(599)), [ban]);
        assert_eq!(m.banned_until(at(600), &key(1)), None);
        assert_eq!(m.bans(at(600)), []);
        for _ in 0..2 {
            assert!(matches!(m.on_offence(at(700), key(1), Offence::InvalidBlock, FREE), PenaltyVerdict::Noted { .. }));
        }
        assert_eq!(
            m.on_offence(at(700), key(1), Offence::InvalidBlock, FREE),
            PenaltyVerdict::Banned { until: at(1900) }
        );
    }

    #[test]
    fn points_halve_and_rare_faults_never_ban() {
        let mut m = Misbehaviour::default();
        assert_eq!(m.on_offence(at(0), key(1), Offence::InvalidSignature, FREE), PenaltyVerdict::Noted { points: 40 });
        assert_eq!(m.points(at(300), &key(1)), 30);
        assert_eq!(m.points(at(600), &key(1)), 20);
        assert_eq!(m.points(at(1200), &key(1)), 10);
        assert_eq!(m.points(at(100_000_000), &key(1)), 0);
        for n in 0..10_000 {
            let verdict = m.on_offence(at(n * 600), key(2), Offence::InvalidSignature, FREE);
            assert!(matches!(verdict, PenaltyVerdict::Noted { .. }), "{verdict:?}");
        }
    }

    #[test]
    fn nobody_whom_quorum_needs_is_banned() {
        let mut m = Misbehaviour::default();
        let needed = Connectivity { left: 2, floor: 3 };
        for _ in 0..50 {
            let verdict = m.on_offence(at(0), key(1), Offence::InvalidBlock, needed);
            assert!(matches!(verdict, PenaltyVerdict::Noted { .. } | PenaltyVerdict::Spared { .. }), "{verdict:?}");
        }
        assert_eq!(m.bans(at(0)), []);
        let spare = Connectivity { left: 3, floor: 3 };
        assert!(matches!(m.on_offence(at(0), key(1), Offence::InvalidBlock, spare), PenaltyVerdict::Banned { .. }));
    }

    #[test]
    fn a_ban_gives_way_and_the_next_offence_bans_for_longer_but_an_operators_stays() {
        let mut m = Misbehaviour::default();
        for _ in 0..3 {
            let _ = m.on_offence(at(0), key(1), Offence::InvalidBlock, FREE);
        }
        m.ban(at(0), key(2), Duration::from_secs(600));
        assert_eq!(m.bans(at(1)).len(), 2);
        assert!(m.spare(at(1), &key(1)) && !m.spare(at(1), &key(1)));
        assert!(!m.spare(at(1), &key(2)) && !m.spare(at(1), &key(3)));
        assert_eq!((m.banned_until(at(1), &key(1)), m.banned_until(at(1), &key(2))), (None, Some(at(600))));
        let needed = Connectivity { left: 2, floor: 3 };
        assert_eq!(m.on_offence(at(1), key(1), Offence::WrongAnswer, needed), PenaltyVerdict::Spared { points: 110 });
        assert_eq!(m.on_offence(at(1), key(1), Offence::WrongAnswer, FREE), PenaltyVerdict::Banned { until: at(1201) });
        assert!(!m.spare(at(1201), &key(1)), "it is over");
    }

    #[test]
    fn operators_ban_list_and_lift() {
        let mut m = Misbehaviour::default();
        m.ban(at(0), key(1), Duration::from_secs(10));
        m.ban(at(0), key(2), Duration::from_secs(20));
        assert_eq!(m.bans(at(5)).len(), 2);
        assert!(m.lift(at(5), &key(1)));
        assert!(!m.lift(at(5), &key(1)));
        assert_eq!(m.banned_until(at(5), &key(1)), None);
        assert_eq!(m.lift_all(at(5)), 1);
        assert_eq!(m.bans(at(5)), []);
        let earlier = Ban { key: key(3), until: at(30), offence: Some(Offence::InvalidBlock) };
        m.restore(at(5), earlier);
        assert_eq!((m.bans(at(29)), m.banned_until(at(30), &key(3))), (vec![earlier], None));
    }

    #[test]
    fn the_number_of_keys_is_bounded_and_bans_outlast_points() {
        let mut m = Misbehaviour::default();
        m.ban(at(0), key(0), Duration::from_secs(1000));
        for n in 1..10_000 {
            let _ = m.on_offence(at(0), key(n), Offence::WrongAnswer, FREE);
        }
        assert_eq!(m.records.len(), KEYS_MAX);
        assert!(m.banned_until(at(0), &key(0)).is_some());
    }

    proptest! {
        #[test]
        fn a_ban_needs_its_points_within_reach(
            offences in proptest::collection::vec((0usize..7, 0u64..2000), 1..60),
        ) {
            let (mut m, mut now, mut sum) = (Misbehaviour::default(), 0, 0);
            for (which, gap) in offences {
                now += gap;
                sum += Offence::ALL[which].points();
                match m.on_offence(at(now), key(1), Offence::ALL[which], FREE) {
                    PenaltyVerdict::Banned { until } => {
                        prop_assert!(sum >= BAN_POINTS);
                        prop_assert!(until > at(now) && until <= at(now) + BAN_MAX);
                        break;
                    }
                    PenaltyVerdict::Noted { points } => prop_assert!(points < BAN_POINTS && points <= sum),
                    PenaltyVerdict::Spared { .. } => prop_assert!(false),
                }
            }
        }
    }
}
