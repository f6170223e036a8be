//! One connection: what waits for it, what it may ask, and whether it lives. Knows no socket and no clock.

use super::limits::EventLimits;
use super::parts::EventBody;
use std::collections::VecDeque;
use std::time::Duration;

/// Why a connection is closed, with a code of RFC 6455 (section 7.4.1) and a text that goes into the close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SubscriberEnd {
    /// The node ends.
    Stopping,
    /// More waits for it than may.
    SlowReader,
    /// More waits for all clients than may, and most of it for this one.
    Overfull,
    /// Nothing came from it for too long.
    Silent,
    /// It asks too often.
    TooManyCalls,
    /// A message that is no text.
    NotText,
    /// The node cannot follow what happens any more.
    Failed,
}

impl SubscriberEnd {
    pub(crate) const ALL: [Self; 7] = [
        Self::Stopping,
        Self::SlowReader,
        Self::Overfull,
        Self::Silent,
        Self::TooManyCalls,
        Self::NotText,
        Self::Failed,
    ];

    /// The name in metrics, and the first word of the text.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::SlowReader => "slow_reader",
            Self::Overfull => "overfull",
            Self::Silent => "silent",
            Self::TooManyCalls => "too_many_calls",
            Self::NotText => "not_text",
            Self::Failed => "failed",
        }
    }

    /// The code of the close frame.
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::Stopping => 1001,
            Self::NotText => 1003,
            Self::Silent | Self::TooManyCalls => 1008,
            Self::Failed => 1011,
            Self::SlowReader | Self::Overfull => 1013,
        }
    }

    /// What the close frame says. Bound: the 123 bytes that one has room for.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Stopping => "stopping: the node ends; connect again in a moment, with the last cursor",
            Self::SlowReader => {
                "slow_reader: too much waits to be read; connect again with the last cursor, and read faster"
            }
            Self::Overfull => "overfull: clients leave too much unread, you most; connect again with the last cursor",
            Self::Silent => "silent: no answer to a ping",
            Self::TooManyCalls => "too_many_calls: wait for retry_after_ms when a call is refused",
            Self::NotText => "not_text: calls are text, JSON-RPC 2.0",
            Self::Failed => "failed: the node cannot follow what happens; its log says why",
        }
    }
}

/// An event that waits to be sent.
struct QueuedEvent {
    /// The part before the body.
    head: String,
    body: EventBody,
}

impl QueuedEvent {
    fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// What waits for one client, in order. Bound: [`EventLimits::queue_events_max`] and [`EventLimits::queue_bytes_max`], which the hub enforces.
#[derive(Default)]
pub(crate) struct EventQueue {
    events: VecDeque<QueuedEvent>,
    bytes: usize,
}

impl EventQueue {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn push(&mut self, head: String, body: EventBody) {
        let event = QueuedEvent { head, body };
        self.bytes += event.len();
        self.events.push_back(event);
    }

    /// The next event as its client gets it.
    pub(crate) fn pop(&mut self) -> Option<String> {
        let event = self.events.pop_front()?;
        self.bytes -= event.len();
        let mut text = event.head;
        text.reserve_exact(event.body.len());
        // The head ends where the fields of the body go on.
        text.push_str(event.body.strip_prefix('{').unwrap_or(&event.body));
        text.push('}');
        Some(text)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// How often a client may call: so many at once, and one more for each interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallBudget {
    left: u32,
    since: Duration,
    refused: u32,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallVerdict {
    Allowed,
    /// Not now.
    Refused {
        retry_after: Duration,
    },
    /// The client is to be closed.
    End,
}

impl CallBudget {
    pub(crate) fn new(now: Duration, limits: &EventLimits) -> Self {
        Self { left: limits.calls_burst, since: now, refused: 0 }
    }

    pub(crate) fn on_call(&mut self, now: Duration, limits: &EventLimits) -> CallVerdict {
        let every = limits.call_every.max(Duration::from_millis(1));
        let earned = now.saturating_sub(self.since).as_millis() / every.as_millis();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if self.left.saturating_add(earned) >= limits.calls_burst {
            (self.left, self.since) = (limits.calls_burst, now);
        } else {
            (self.left, self.since) = (self.left + earned, self.since + every * earned);
        }
        if self.left > 0 {
            self.left -= 1;
            return CallVerdict::Allowed;
        }
        self.refused += 1;
        if self.refused > limits.refused_max {
            return CallVerdict::End;
        }
        CallVerdict::Refused { retry_after: (self.since + every).saturating_sub(now) }
    }
}

/// Whether a client lives: anything that comes from it is a sign.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LifeSigns {
    last: Duration,
    pinged: bool,
}

/// What is to be done about a client that may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LifeCheck {
    Nothing,
    Ping,
    End,
}

impl LifeSigns {
    pub(crate) const fn new(now: Duration) -> Self {
        Self { last: now, pinged: false }
    }

    pub(crate) fn on_frame(&mut self, now: Duration) {
        *self = Self::new(now);
    }

    pub(crate) fn on_tick(&mut self, now: Duration, limits: &EventLimits) -> LifeCheck {
        let silent = now.saturating_sub(self.last);
        if silent >= limits.silent_max {
            LifeCheck::End
        } else if silent >= limits.ping_after && !self.pinged {
            self.pinged = true;
            LifeCheck::Ping
        } else {
            LifeCheck::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn every_reason_fits_a_close_frame_and_begins_with_its_name() {
        for end in SubscriberEnd::ALL {
            assert!(end.text().len() <= 123 && end.text().starts_with(&format!("{}: ", end.name())), "{end:?}");
        }
    }

    #[test]
    fn an_event_is_one_object_and_bytes_are_counted() {
        let mut queue = EventQueue::default();
        queue.push("{\"params\":{\"seq\":1,".into(), "{\"topic\":\"x\"}".into());
        assert_eq!((queue.len(), queue.bytes()), (1, 19 + 13));
        assert_eq!(queue.pop().unwrap(), "{\"params\":{\"seq\":1,\"topic\":\"x\"}}");
        assert_eq!((queue.bytes(), queue.pop()), (0, None));
    }

    #[test]
    fn calls_are_earned_and_a_flood_ends_its_client() {
        let limits = EventLimits { calls_burst: 2, call_every: ms(100), refused_max: 3, ..EventLimits::default() };
        let mut budget = CallBudget::new(ms(0), &limits);
        let mut call = |at| budget.on_call(ms(at), &limits);
        assert_eq!([call(0), call(0)], [CallVerdict::Allowed; 2]);
        assert_eq!(call(30), CallVerdict::Refused { retry_after: ms(70) });
        assert_eq!(call(100), CallVerdict::Allowed);
        assert_eq!(call(150), CallVerdict::Refused { retry_after: ms(50) });
        assert_eq!([call(10_000), call(10_000)], [CallVerdict::Allowed; 2], "no more than the burst is saved");
        assert_eq!(call(10_000), CallVerdict::Refused { retry_after: ms(100) });
        assert_eq!(call(10_000), CallVerdict::End);
    }

    #[test]
    fn a_silent_client_is_pinged_once_and_then_ended() {
        let limits = EventLimits::default();
        let mut life = LifeSigns::new(ms(0));
        let tick = |at, life: &mut LifeSigns| life.on_tick(Duration::from_secs(at), &limits);
        assert_eq!(
            [tick(14, &mut life), tick(15, &mut life), tick(16, &mut life)],
            [LifeCheck::Nothing, LifeCheck::Ping, LifeCheck::Nothing]
        );
        life.on_frame(Duration::from_secs(20));
        assert_eq!(
            [tick(34, &mut life), tick(35, &mut life), tick(64, &mut life)],
            [LifeCheck::Nothing, LifeCheck::Ping, LifeCheck::Nothing]
        );
        assert_eq!(tick(65, &mut life), LifeCheck::End);
    }
}
