//! Before the first height: nothing is signed until others were heard.

use super::{Consensus, Phase};
use crate::error::FatalError;
use crate::height_state::{HeightStart, HeightState};
use crate::idle::ParentCommit;
use crate::quorum::{is_more_than_third, is_quorum};
use crate::signing::SigningOff;
use crate::startup_wait::{AWAY_WAIT, START_WAIT};
use crate::timers::{TICK, Timer};
use timed_primitives::ValidatorSet;

impl Consensus {
    pub(super) fn on_start(&mut self) -> Result<(), FatalError> {
        if self.phase != Phase::Opened {
            return Ok(());
        }
        let now = self.clock.now();
        self.phase = Phase::Waiting;
        self.signing.on_start(self.clock.unix());
        self.timers.set(Timer::Tick, now + TICK);
        self.startup.on_start(now);
        Ok(())
    }

    /// Our own voting power.
    fn own_power(&self) -> u64 {
        self.me.and_then(|me| self.chain.set().get(&me)).map_or(0, |validator| validator.power)
    }

    /// True when nobody else is needed, or nothing is ever signed.
    fn is_alone(&self) -> bool {
        let is_validator = self.me.is_some_and(|me| self.chain.set().get(&me).is_some());
        !is_validator || is_quorum(self.own_power(), self.chain.set().total_power())
    }

    /// While the first height waits: a quorum may have reported its heights, and the time to listen may be over.
    pub(super) fn on_waiting(&mut self) -> Result<(), FatalError> {
        let now = self.clock.now();
        if self.is_alone() {
            return self.begin_height(ParentCommit::Unknown);
        }
        if self.is_first_vote() {
            let reported = self.peers.height_of_more_than_third(self.chain.set(), self.me);
            self.signing.on_first_vote(self.chain.tip().height, reported);
        }
        if self.signing.is_waiting_for_other() {
            self.startup.listen_long(now);
            return Ok(());
        }
        if !self.has_heard_enough() {
            self.startup.listen_anew();
            return Ok(());
        }
        let until = self.startup.listen(now, self.signing.is_copy());
        if now >= until {
            if !self.has_quorum_reported() {
                // Nobody who was heard is above us.
                let tip = self.chain.tip().height;
                self.signing.on_enough_reported(tip, tip);
            }
            return self.begin_height(ParentCommit::Unknown);
        }
        self.timers.set(Timer::Start, until);
        Ok(())
    }

    /// True when our key votes on the height after the tip, and did not vote on the tip.
    fn is_first_vote(&self) -> bool {
        let is_in = |set: &ValidatorSet| self.me.is_some_and(|me| set.get(&me).is_some());
        is_in(self.chain.set()) && !is_in(self.chain.tip_set())
    }

    /// Whether the height after the tip must wait as the first one did: our key begins to vote with it, and this process cannot say that it
    /// signed nothing there before.
    pub(super) fn must_listen_first(&self) -> bool {
        self.is_first_vote() && self.signing.must_listen_first()
    }

    /// Waits before the first height that our key votes on as before the first height of all.
    pub(super) fn listen_first(&mut self) {
        let (height, now) = (self.chain.height(), self.clock.now());
        let (set, order, parent) = (self.chain.set().clone(), self.chain.order(), ParentCommit::Unknown);
        self.phase = Phase::Waiting;
        self.height = HeightState::new(HeightStart { height, set, order, parent, now });
        self.timers.cancel_height();
        self.startup.on_start(now);
        self.startup.listen_anew();
        self.peers.validators().into_iter().for_each(|peer| self.send_known_votes(peer));
    }

    /// A copy whose newest height was decided by others asks what neighbours hold of the next. Once: with another block it is an old copy.
    pub(super) fn listen_again(&mut self) {
        if self.signing.is_copy() && self.signing.off().is_none() {
            self.startup.listen_anew();
            self.peers.validators().into_iter().for_each(|peer| self.send_known_votes(peer));
        }
    }

    /// True when a quorum, ourselves included, reported its height; or, after a while, when somebody did, and nobody is above us. Who was
    /// away waits longer, and for more than a third: only that ends the absence, and who begins a height without signing may be missing
    /// in it.
    fn has_heard_enough(&self) -> bool {
        if self.has_quorum_reported() {
            return true;
        }
        let set = self.chain.set();
        let is_away = matches!(self.signing.off(), Some(SigningOff::Away { .. }));
        let reported = self.peers.power_reported(set, self.me, self.signing.is_memory_unsure());
        let (wait, is_enough) = match is_away {
            true => (AWAY_WAIT, is_more_than_third(reported, set.total_power())),
            false => (START_WAIT, reported > 0),
        };
        let highest = self.peers.reported_height(set, self.me);
        let is_highest = highest.is_some_and(|highest| highest <= self.chain.tip().height);
        is_enough && self.startup.has_waited(self.clock.now(), wait) && is_highest
    }

    /// Who is in doubt and never hears a quorum takes what it hears, when it has waited long for others.
    pub(super) fn hear_few(&mut self) {
        let set = self.chain.set();
        let reported = self.peers.power_reported(set, self.me, false);
        let has_waited = self.startup.has_waited(self.clock.now(), AWAY_WAIT);
        if self.signing.is_memory_in_doubt()
            && has_waited
            && is_more_than_third(reported, set.total_power())
            && let Some(highest) = self.peers.reported_height(set, self.me)
        {
            self.signing.on_few_reported(highest.max(self.elsewhere.highest()));
        }
    }

    /// True when a quorum, ourselves included, reported its height and, where our memory is unsure, also whether our key is live elsewhere.
    pub(super) fn has_quorum_reported(&self) -> bool {
        let reported = self.peers.power_reported(self.chain.set(), self.me, self.signing.is_memory_unsure());
        is_quorum(reported + self.own_power(), self.chain.set().total_power())
    }
}
