//! How high others are, and when sync hears of it.

use timed_primitives::Height;

/// The highest height that is decided elsewhere, as far as anybody said.
pub(crate) struct HeightsElsewhere {
    highest: Height,
    reported: Height,
    /// Whether we were behind at the last tick already.
    was_behind: bool,
}

impl HeightsElsewhere {
    /// Nobody is known to be above this tip.
    pub(crate) const fn new(tip: Height) -> Self {
        Self { highest: tip, reported: tip, was_behind: false }
    }

    /// The highest.
    pub(crate) const fn highest(&self) -> Height {
        self.highest
    }

    /// `height` is decided elsewhere. Gives what to report to sync. A small lead is given a tick: the votes may be on their way.
    pub(crate) fn on_height(&mut self, height: Height, tip: Height) -> Option<Height> {
        self.highest = self.highest.max(height);
        (height.above(tip) > 1).then(|| self.unreported()).flatten()
    }

    /// Time passed. Gives what to report to sync: said again each tick while it lasts, since a lost hint would be a stalled node.
    pub(crate) fn on_tick(&mut self, tip: Height) -> Option<Height> {
        if self.highest <= tip {
            return None;
        }
        if !std::mem::replace(&mut self.was_behind, true) {
            return None;
        }
        self.reported = tip;
        self.unreported()
    }

    /// Our own tip rose.
    pub(crate) fn on_committed(&mut self, tip: Height) {
        self.highest = self.highest.max(tip);
        self.reported = self.reported.max(tip);
        self.was_behind = false;
    }

    fn unreported(&mut self) -> Option<Height> {
        let is_news = self.highest > self.reported;
        self.reported = self.reported.max(self.highest);
        is_news.then_some(self.highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_lead_is_given_a_tick_and_a_lasting_one_is_reported_each_tick() {
        let tip = Height(10);
        let mut elsewhere = HeightsElsewhere::new(tip);
        assert_eq!(elsewhere.on_height(Height(11), tip), None);
        assert_eq!([elsewhere.on_tick(tip), elsewhere.on_tick(tip)], [None, Some(Height(11))]);
        assert_eq!(elsewhere.on_tick(tip), Some(Height(11)));
        assert_eq!(elsewhere.on_height(Height(13), tip), Some(Height(13)));
        assert_eq!(elsewhere.on_height(Height(12), tip), None, "reported already");
        elsewhere.on_committed(Height(13));
        assert_eq!([elsewhere.on_tick(Height(13)), elsewhere.on_tick(Height(13))], [None, None]);
    }
}
