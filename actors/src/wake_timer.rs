//! The one timer of an actor, kept at the earliest moment that was asked for.

use actix::{Actor, AsyncContext, Context, SpawnHandle};
use timed_primitives::Instant;

/// One timer. It is not set anew when it may go off later than it will: to cancel one and start another with each event costs more than an
/// idle call now and then.
#[derive(Debug, Default)]
pub(crate) struct WakeTimer(Option<(Instant, SpawnHandle)>);

impl WakeTimer {
    /// Has `on_wake` called at `at` or earlier; it must ask [`Self::goes_off`] first.
    pub(crate) fn arm<A>(
        &mut self,
        at: Option<Instant>,
        now: Instant,
        on_wake: fn(&mut A, &mut Context<A>),
        ctx: &mut Context<A>,
    ) where
        A: Actor<Context = Context<A>>,
    {
        let Some(at) = at else { return };
        match self.0 {
            Some((armed, _)) if armed <= at => return,
            Some((_, handle)) => {
                ctx.cancel_future(handle);
            }
            None => {}
        }
        self.0 = Some((at, ctx.run_later(at.since(now), on_wake)));
    }

    /// Whether it is this timer that called; then it is to be armed again. actix still polls what was cancelled in the same turn: without this
    /// a timer that was set anew at the moment when it went off would be two from then on.
    pub(crate) fn goes_off<A>(&mut self, ctx: &Context<A>) -> bool
    where
        A: Actor<Context = Context<A>>,
    {
        self.0.take_if(|(_, handle)| *handle == ctx.handle()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokioClock;
    use actix::{Handler, Message};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    use timed_primitives::{Clock, UnixTime};
    use tokio::sync::mpsc;

    /// Asks for each of its wakes anew whenever it wakes, as a core does.
    struct Sleeper {
        timer: WakeTimer,
        clock: TokioClock,
        due: Vec<Instant>,
        woken: mpsc::UnboundedSender<Instant>,
    }

    impl Sleeper {
        fn arm(&mut self, ctx: &mut Context<Self>) {
            let now = self.clock.now();
            self.timer.arm(self.due.iter().min().copied(), now, Self::on_wake, ctx);
        }

        fn on_wake(&mut self, ctx: &mut Context<Self>) {
            if !self.timer.goes_off(ctx) {
                return;
            }
            let now = self.clock.now();
            self.due.retain(|at| *at > now);
            let _ = self.woken.send(now);
            self.arm(ctx);
        }
    }

    impl Actor for Sleeper {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            let start = self.clock.now();
            for ms in [50, 20, 30] {
                self.due.push(start + Duration::from_millis(ms));
                self.arm(ctx);
            }
            // What was to be done at 20 ms need not be done any more.
            self.due.remove(1);
            self.arm(ctx);
        }
    }

    /// Wakes every 10 ms.
    struct Ticker {
        timer: WakeTimer,
        clock: TokioClock,
        next: Instant,
        calls: Arc<AtomicU32>,
    }

    impl Ticker {
        fn arm(&mut self, ctx: &mut Context<Self>) {
            self.timer.arm(Some(self.next), self.clock.now(), Self::on_wake, ctx);
        }

        fn on_wake(&mut self, ctx: &mut Context<Self>) {
            if !self.timer.goes_off(ctx) {
                return;
            }
            self.calls.fetch_add(1, Ordering::Relaxed);
            self.next = self.clock.now() + Duration::from_millis(10);
            self.arm(ctx);
        }
    }

    impl Actor for Ticker {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            self.arm(ctx);
        }
    }

    /// It should have woken a millisecond earlier than it is going to.
    #[derive(Message)]
    #[rtype(result = "()")]
    struct Sooner;

    impl Handler<Sooner> for Ticker {
        type Result = ();

        fn handle(&mut self, _: Sooner, ctx: &mut Self::Context) {
            self.next = Instant(self.next.0 - 1_000);
            self.arm(ctx);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn set_anew_at_the_moment_when_it_goes_off_it_stays_one() {
        let run = async {
            let clock = TokioClock::starting_at(UnixTime::default());
            let (next, calls) = (clock.now() + Duration::from_millis(10), Arc::new(AtomicU32::new(0)));
            let ticker = Ticker { timer: WakeTimer::default(), clock, next, calls: calls.clone() }.start();
            tokio::task::yield_now().await;
            for _ in 0..5 {
                // Both are there when the actor is polled: the message, and the moment of the timer.
                ticker.do_send(Sooner);
                tokio::time::advance(Duration::from_millis(10)).await;
            }
            let before = calls.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(1_005)).await;
            let more = calls.load(Ordering::Relaxed) - before;
            assert!((90..=101).contains(&more), "{more} in a hundred ticks");
        };
        tokio::task::LocalSet::new().run_until(run).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_in_time_and_rather_early_than_set_anew() {
        let run = async {
            let (woken, mut wakes) = mpsc::unbounded_channel();
            let clock = TokioClock::starting_at(UnixTime::default());
            let start = clock.now();
            let sleeper = Sleeper { timer: WakeTimer::default(), clock, due: Vec::new(), woken }.start();
            let mut at = Vec::new();
            for _ in 0..3 {
                at.push(wakes.recv().await.unwrap().since(start).as_millis());
            }
            assert_eq!(at, [20, 30, 50]);
            tokio::time::sleep(Duration::from_secs(10)).await;
            assert!(wakes.try_recv().is_err(), "one timer, and none left");
            drop(sleeper);
        };
        tokio::task::LocalSet::new().run_until(run).await;
    }
}
