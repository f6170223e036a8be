//! How long the first height waits for others.

use crate::timers::TICK;
use std::time::Duration;
use timed_primitives::Instant;

/// How long the first height waits to hear from a quorum. After it the node goes on with those it hears: links may be cut. It
/// never signs while it hears nobody, or before it has caught up with those it hears: what it forgot may be there.
pub(crate) const START_WAIT: Duration = Duration::from_secs(3);

/// The same for who was away: those it hears must be more than a third then, so that an honest one is among them.
pub(crate) const AWAY_WAIT: Duration = Duration::from_secs(10);

/// How long it listens after that before it signs: neighbours that hold something it signed and forgot send that back meanwhile.
const LISTEN_TIME: Duration = Duration::from_millis(300);

/// The same for a copy, and after another node with our key went: what was on its way to the neighbours when they were asked first is
/// asked for again at a tick.
const LISTEN_LONG: Duration = TICK.saturating_add(LISTEN_TIME);

/// See the module.
pub(crate) struct StartupWait {
    started: Instant,
    /// While heights are known, and only what neighbours hold of ours is still listened for: until when.
    listens_until: Option<Instant>,
}

impl StartupWait {
    /// Not begun.
    pub(crate) const fn new() -> Self {
        Self { started: Instant::START, listens_until: None }
    }

    /// The first height begins to wait.
    pub(crate) fn on_start(&mut self, now: Instant) {
        self.started = now;
    }

    /// Whether it has waited so long.
    pub(crate) fn has_waited(&self, now: Instant, wait: Duration) -> bool {
        now >= self.started + wait
    }

    /// Enough others have reported: until when it listens, which the first call decides. A copy listens longer.
    pub(crate) fn listen(&mut self, now: Instant, is_copy: bool) -> Instant {
        *self.listens_until.get_or_insert(now + if is_copy { LISTEN_LONG } else { LISTEN_TIME })
    }

    /// Our key is live elsewhere: it listens for long after that ends.
    pub(crate) fn listen_long(&mut self, now: Instant) {
        self.listens_until = Some(now + LISTEN_LONG);
    }

    /// Too few have reported, or what they hold is to be asked for again.
    pub(crate) fn listen_anew(&mut self) {
        self.listens_until = None;
    }
}
