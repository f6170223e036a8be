//! Who hears of our new tips, and when. Who keeps up learns heights from votes, so one status for many heights is enough for it; who does
//! not must hear where the end is.
//!
//! | event | our status goes |
//! |---|---|
//! | our tip rose | at once to peers that were behind by their last status |
//! | it stands for [`SETTLED_AFTER`], or rose [`ANNOUNCE_EACH`] after the last time | to all that have not heard of it |
//! | a peer's status shows it behind | at once to it, unless it has heard of our tip |
//! | consensus heard that others are ahead | at once to all: they answer, see the row above |

use std::collections::BTreeMap;
use std::time::Duration;
use timed_primitives::{Height, Instant, PublicKey};

/// A network that rests is known to all peers after this time: short beside [`crate::SyncLimits::grace`], long beside the pace of blocks
/// under load.
const SETTLED_AFTER: Duration = Duration::from_millis(250);
/// Longest time between two announcements while the tip rises.
const ANNOUNCE_EACH: Duration = Duration::from_secs(1);
/// Least time between two questions for the others' heights.
const ASK_EACH: Duration = Duration::from_millis(200);
/// Missing so many blocks a peer is behind, for one more may be on its way.
const BEHIND_FROM: u64 = 2;

#[derive(Debug, Default)]
struct TipListener {
    /// The height of ours that it heard last.
    heard: Height,
    is_behind: bool,
}

/// Decides to whom our height is sent. Bound: one entry for each peer that is up.
#[derive(Debug)]
pub struct TipAnnouncer {
    tip: Height,
    listeners: BTreeMap<PublicKey, TipListener>,
    /// When the tip rose that not all have heard of, and when the first such one did.
    news: Option<News>,
    asked_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct News {
    since: Instant,
    latest: Instant,
}

impl TipAnnouncer {
    /// Our chain ends at `tip`; no peer is up.
    pub const fn new(tip: Height) -> Self {
        Self { tip, listeners: BTreeMap::new(), news: None, asked_at: None }
    }

    /// A peer is up and said its height. It is sent ours.
    pub fn on_peer_up(&mut self, peer: PublicKey, height: Height) {
        let is_behind = self.is_behind(height);
        self.listeners.insert(peer, TipListener { heard: self.tip, is_behind });
    }

    /// A peer is gone.
    pub fn on_peer_down(&mut self, peer: &PublicKey) {
        self.listeners.remove(peer);
    }

    /// A peer says its height. Whether ours is to be sent to it.
    #[must_use]
    pub fn on_status(&mut self, peer: &PublicKey, height: Height) -> bool {
        let is_behind = self.is_behind(height);
        let Some(listener) = self.listeners.get_mut(peer) else { return false };
        listener.is_behind = is_behind;
        let must_hear = is_behind && listener.heard < self.tip;
        if must_hear {
            listener.heard = self.tip;
        }
        must_hear
    }

    /// Our tip rose. To whom that is sent at once.
    #[must_use]
    pub fn on_tip(&mut self, now: Instant, tip: Height) -> Vec<PublicKey> {
        if tip <= self.tip {
            return Vec::new();
        }
        self.tip = tip;
        self.news = Some(News { since: self.news.map_or(now, |news| news.since), latest: now });
        self.hear(|listener| listener.is_behind)
    }

    /// Others have decided more than one height above ours. To whom our height is sent at once, so that they say theirs.
    #[must_use]
    pub fn on_behind(&mut self, now: Instant) -> Vec<PublicKey> {
        if self.asked_at.is_some_and(|before| now < before + ASK_EACH) {
            return Vec::new();
        }
        self.asked_at = Some(now);
        self.hear(|_| true)
    }

    /// To be called at [`Self::next_wake`]. To whom our height is sent now.
    #[must_use]
    pub fn on_wake(&mut self, now: Instant) -> Vec<PublicKey> {
        if self.next_wake().is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.news = None;
        let tip = self.tip;
        self.hear(|listener| listener.heard < tip)
    }

    /// When [`Self::on_wake`] has something to do. Moves away with each new tip, up to a bound.
    pub fn next_wake(&self) -> Option<Instant> {
        self.news.map(|news| (news.latest + SETTLED_AFTER).min(news.since + ANNOUNCE_EACH))
    }

    fn is_behind(&self, height: Height) -> bool {
        self.tip.above(height) >= BEHIND_FROM
    }

    fn hear(&mut self, must_hear: impl Fn(&TipListener) -> bool) -> Vec<PublicKey> {
        let tip = self.tip;
        let hearers = self.listeners.iter_mut().filter(|(_, listener)| must_hear(listener));
        hearers
            .map(|(peer, listener)| {
                listener.heard = tip;
                *peer
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> PublicKey {
        PublicKey([n; 32])
    }

    fn ms(n: u64) -> Instant {
        Instant(n * 1_000)
    }

    /// At height 10, with peers at these heights.
    fn announcer(heights: &[u64]) -> TipAnnouncer {
        let mut announcer = TipAnnouncer::new(Height(10));
        for (n, height) in (1..).zip(heights) {
            announcer.on_peer_up(peer(n), Height(*height));
        }
        announcer
    }

    #[test]
    fn who_keeps_up_hears_of_a_tip_that_stands_and_once_a_second_of_tips_that_rise() {
        let mut announcer = announcer(&[10, 9]);
        let mut sent = Vec::new();
        for n in 0..100 {
            let at = ms(20 * n);
            assert_eq!(announcer.on_tip(at, Height(11 + n)), []);
            if announcer.next_wake().is_some_and(|wake| wake <= at) {
                assert_eq!(announcer.on_wake(at), [peer(1), peer(2)]);
                sent.push(20 * n);
            }
        }
        assert_eq!(sent, [1_000]);
        assert_eq!(announcer.next_wake(), Some(ms(2_020)), "a second after the first that they have not heard of");
        let mut announcer = self::announcer(&[10]);
        assert_eq!(announcer.on_tip(ms(0), Height(11)), []);
        assert_eq!(announcer.on_wake(ms(249)), []);
        assert_eq!(announcer.on_wake(ms(250)), [peer(1)]);
        assert_eq!(announcer.next_wake(), None);
        assert_eq!(announcer.on_tip(ms(300), Height(11)), [], "no news");
        assert_eq!(announcer.next_wake(), None);
    }

    #[test]
    fn who_is_behind_hears_of_every_tip_until_it_is_no_longer() {
        let mut announcer = announcer(&[10, 8]);
        assert_eq!(announcer.on_tip(ms(0), Height(11)), [peer(2)]);
        assert!(!announcer.on_status(&peer(2), Height(9)), "it has heard");
        assert_eq!(announcer.on_tip(ms(1), Height(12)), [peer(2)]);
        assert!(!announcer.on_status(&peer(2), Height(11)));
        assert_eq!(announcer.on_tip(ms(2), Height(13)), []);
        assert!(announcer.on_status(&peer(1), Height(10)), "it did not keep up and has not heard");
        assert!(!announcer.on_status(&peer(1), Height(10)), "once for each tip, however often it says so");
        assert_eq!(announcer.on_wake(ms(300)), [peer(2)], "the other has heard of this tip");
        assert_eq!(announcer.on_tip(ms(301), Height(14)), [peer(1)]);
        announcer.on_peer_down(&peer(1));
        assert_eq!(announcer.on_tip(ms(302), Height(15)), []);
        assert!(!announcer.on_status(&peer(1), Height(1)), "it is gone");
    }

    #[test]
    fn who_falls_behind_says_so_and_is_answered() {
        let (mut behind, mut ahead) = (announcer(&[10, 10]), announcer(&[10]));
        assert_eq!([ahead.on_tip(ms(0), Height(11)), ahead.on_tip(ms(20), Height(12))], [[], []]);
        assert_eq!(behind.on_behind(ms(50)), [peer(1), peer(2)]);
        assert!(ahead.on_status(&peer(1), Height(10)));
        assert_eq!(behind.on_behind(ms(249)), [], "asked a moment ago");
        assert_eq!(behind.on_behind(ms(250)), [peer(1), peer(2)]);
    }
}
