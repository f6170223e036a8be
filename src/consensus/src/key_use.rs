//! Who uses which consensus key: each node knows the nodes that are connected to it with one, and reports them to each other.
//!
//! A node whose guard is missing or a copy cannot know what was signed with its key, and a node of the same key that runs elsewhere would
//! sign what contradicts it. So a peer that proves a consensus key is answered with a [`KeyReport`]: our tip, and whether the same key is
//! live here under another instance id. It is sent again when that changes, and each tick while there is something to say.
//!
//! A session that ended without a goodbye counts for [`STALE_SESSION_TIME`] more: its node may live. So the stale session of an earlier start of ourselves
//! ends with it. Who hears of another node stays silent for that long after the last that said so, since who says so may have restarted.
//!
//! | our memory | the other | it keeps us from signing |
//! |---|---|---|
//! | sure: the original guard | has signed, its session is up, and is older than our first signature | yes: it took over while we were down |
//! | sure | anything else, a stale session of ourselves above all | no |
//! | unsure: the guard missing or a copy, or a message of ours that we do not remember | its session, up or lost, is older than our first signature | yes |
//! | unsure | it came after we had begun to sign | no: it is the one that must not begin |
//!
//! "Keeps us" holds when validators with more than a third of the power say so, or the other node is connected to us itself.

use crate::signing::OtherNode;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;
use timed_primitives::{Height, Instant, PublicKey};

/// How long a session that ended without a goodbye still counts: a peer's deadline for silence between validators.
pub const STALE_SESSION_TIME: Duration = Duration::from_secs(15);

/// How long after a session's begin its first report is repeated.
pub(crate) const REPEAT_TIME: Duration = Duration::from_secs(5);
/// Sessions remembered per key. At the bound a lost one gives way, else the newcomer is not remembered.
const SESSIONS_PER_KEY: usize = 8;
/// Keys of which lost sessions are remembered: more than a set has. At the bound those of further keys are not.
const KEYS_MAX: usize = 4096;

/// Another session with the key of the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherSession {
    /// Whose.
    pub other: OtherNode,
    /// Since when the sender knows it.
    pub age: Duration,
    /// How long it still counts after its connection was lost; `None` while that is up.
    pub left: Option<Duration>,
    /// Whether votes with the key came over it.
    pub has_signed: bool,
}

/// The answer to who proves a consensus key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyReport {
    /// The sender's tip now.
    pub height: Height,
    /// The other session with the receiver's key that matters most, if there is one.
    pub other: Option<OtherSession>,
}

/// A node's session with a key, as this node knows it.
#[derive(Clone, Copy, Debug)]
struct KeySession {
    other: OtherNode,
    since: Instant,
    /// When it stops to count; `None` while it is up.
    ends: Option<Instant>,
    has_signed: bool,
}

/// See the module.
#[derive(Default)]
pub(crate) struct KeyUses {
    by_key: BTreeMap<PublicKey, Vec<KeySession>>,
}

impl KeyUses {
    pub(crate) fn on_up(&mut self, now: Instant, key: PublicKey, other: OtherNode) {
        self.expire(now);
        let sessions = self.by_key.entry(key).or_default();
        if let Some(known) = sessions.iter_mut().find(|s| s.other.instance == other.instance) {
            (known.other, known.ends) = (other, None);
            return;
        }
        if sessions.len() >= SESSIONS_PER_KEY {
            let lost = sessions.iter().position(|s| s.ends.is_some());
            match lost {
                Some(at) => drop(sessions.remove(at)),
                None => return,
            }
        }
        sessions.push(KeySession { other, since: now, ends: None, has_signed: false });
    }

    pub(crate) fn on_down(&mut self, now: Instant, key: &PublicKey, node: &PublicKey, is_gone: bool) {
        let is_crowded = self.by_key.len() > KEYS_MAX;
        let Some(sessions) = self.by_key.get_mut(key) else { return };
        let is_it = |s: &KeySession| s.other.node == *node && s.ends.is_none();
        match is_gone || is_crowded {
            true => sessions.retain(|s| !is_it(s)),
            false => sessions.iter_mut().filter(|s| is_it(s)).for_each(|s| s.ends = Some(now + STALE_SESSION_TIME)),
        }
        self.expire(now);
    }

    pub(crate) fn on_signed(&mut self, key: &PublicKey, node: &PublicKey) {
        let sessions = self.by_key.get_mut(key).into_iter().flatten();
        sessions.filter(|s| s.other.node == *node && s.ends.is_none()).for_each(|s| s.has_signed = true);
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        self.by_key.retain(|_, sessions| {
            sessions.retain(|s| s.ends.is_none_or(|ends| now < ends));
            !sessions.is_empty()
        });
    }

    /// The session with this key that matters most, other than those of an instance.
    pub(crate) fn other(&self, now: Instant, key: &PublicKey, instance: Option<u128>) -> Option<OtherSession> {
        let sessions = self.by_key.get(key).into_iter().flatten();
        let others = sessions.filter(|s| Some(s.other.instance) != instance && s.ends.is_none_or(|ends| now < ends));
        let most = others.max_by_key(|s| (s.ends.is_none(), s.has_signed, Reverse(s.since)))?;
        Some(OtherSession {
            other: most.other,
            age: now.since(most.since),
            left: most.ends.map(|ends| ends.since(now)),
            has_signed: most.has_signed,
        })
    }
}

/// What a peer said, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeardReport {
    at: Instant,
    other: Option<OtherSession>,
}

impl HeardReport {
    pub(crate) const fn new(at: Instant, other: Option<OtherSession>) -> Self {
        Self { at, other }
    }

    /// The other node that it names.
    pub(crate) const fn other(&self) -> Option<OtherSession> {
        self.other
    }
}

/// What decides whether another session keeps us from signing.
pub(crate) struct OurUse {
    pub(crate) now: Instant,
    pub(crate) is_unsure: bool,
    /// When we began to sign.
    pub(crate) begun: Option<Instant>,
}

impl OurUse {
    /// The other session that a report names, if it keeps us from signing.
    pub(crate) fn kept_by(&self, heard: &HeardReport) -> Option<OtherSession> {
        heard.other.filter(|other| self.is_kept_by(other, heard.at))
    }

    /// See the table of the module.
    pub(crate) fn is_kept_by(&self, other: &OtherSession, said: Instant) -> bool {
        let since_said = self.now.since(said);
        let counts = other.left.is_none_or(|left| since_said < left);
        let is_older = self.begun.is_none_or(|begun| other.age + since_said >= self.now.since(begun));
        let is_relevant = self.is_unsure || (other.left.is_none() && other.has_signed);
        counts && is_older && is_relevant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: PublicKey = PublicKey([1; 32]);

    fn node(id: u8) -> OtherNode {
        OtherNode { node: PublicKey([id; 32]), instance: u128::from(id), address: None }
    }

    fn at(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_instance_hears_of_the_other_until_it_says_goodbye_or_its_stale_session_ends() {
        let mut uses = KeyUses::default();
        let said = |uses: &KeyUses, now, to: u128| {
            uses.other(at(now), &KEY, Some(to)).map(|o| (o.other.instance, o.age, o.left))
        };
        uses.on_up(at(10), KEY, node(2));
        assert_eq!(said(&uses, 11, 2), None);
        uses.on_up(at(20), KEY, node(3));
        assert_eq!(said(&uses, 21, 3), Some((2, seconds(11), None)));
        assert_eq!(said(&uses, 21, 2), Some((3, seconds(1), None)));
        uses.on_down(at(30), &KEY, &node(2).node, false);
        assert_eq!(said(&uses, 32, 3), Some((2, seconds(22), Some(seconds(13)))));
        uses.on_up(at(33), KEY, node(2));
        assert_eq!(said(&uses, 34, 3), Some((2, seconds(24), None)), "the same instance, known since it first came");
        uses.on_down(at(40), &KEY, &node(2).node, false);
        assert_eq!(said(&uses, 54, 3).map(|(.., left)| left), Some(Some(seconds(1))));
        assert_eq!(said(&uses, 55, 3), None);
        uses.on_down(at(56), &KEY, &node(3).node, true);
        assert_eq!((said(&uses, 56, 9), uses.by_key.len()), (None, 0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut uses = KeyUses::default();
        for id in 1..=20 {
            uses.on_up(at(1), KEY, node(id));
        }
        assert_eq!(uses.by_key.values().map(Vec::len).collect::<Vec<_>>(), [SESSIONS_PER_KEY]);
        uses.on_down(at(2), &KEY, &node(1).node, false);
        uses.on_up(at(3), KEY, node(30));
        let known = |uses: &KeyUses, id: u8| uses.by_key[&KEY].iter().any(|s| s.other == node(id));
        assert_eq!([1, 2, 8, 9, 30].map(|id| known(&uses, id)), [false, true, true, false, true]);
        assert_eq!(uses.by_key.values().map(Vec::len).collect::<Vec<_>>(), [SESSIONS_PER_KEY]);
    }

    #[test]
    fn who_must_not_begin() {
        let other = |age, left: Option<u64>, has_signed| OtherSession {
            other: node(2),
            age: seconds(age),
            left: left.map(seconds),
            has_signed,
        };
        // Ours: unsure, begun how long ago; the other; how long ago that was said; whether it keeps us.
        let rows = [
            (true, None, other(0, None, false), 0, true),
            (true, None, other(0, None, false), 100, true),
            (true, None, other(5, Some(15), false), 14, true),
            (true, None, other(5, Some(15), false), 15, false),
            (true, Some(10), other(5, None, true), 4, false),
            (true, Some(10), other(5, None, true), 5, true),
            (true, Some(10), other(11, None, false), 0, true),
            (false, None, other(1_000, None, false), 0, false),
            (false, None, other(1_000, Some(9), true), 0, false),
            (false, None, other(1_000, None, true), 0, true),
            (false, Some(10), other(9, None, true), 0, false),
            (false, Some(10), other(11, None, true), 0, true),
        ];
        for (is_unsure, begun, other, said_ago, expected) in rows {
            let now = at(10_000);
            let begun = begun.map(|ago| at(10_000 - ago));
            let ours = OurUse { now, is_unsure, begun };
            let kept = ours.is_kept_by(&other, at(10_000 - said_ago));
            assert_eq!(kept, expected, "unsure {is_unsure}, begun {begun:?}, {other:?} said {said_ago} s ago");
        }
    }
}
