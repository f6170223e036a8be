//! Turns of the thread for those who are no peers yet: one step of one handshake, then everybody else.
//!
//! Peers and handshakes share a thread, and it looks at its sockets when nothing is left to do, or after thousands of tasks. A step of a handshake
//! computes up to a quarter of a millisecond. Were hundreds of them ready at once and all done in a row, votes and pings would wait for all of
//! them, for a tenth of a second and more. So each step waits for its turn, and the next turn comes after the thread has polled its
//! sockets.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::Semaphore;
use tokio::task::{spawn_local, yield_now};

/// Who comes next, in the order of asking. Clones are the same.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }

    /// Carries on with this future in a turn whenever it is woken, until it is done. Must be called on a `LocalSet`. May be dropped at any time.
    pub(super) async fn each<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            // Nobody closes it; if somebody did, there would be no order, and nothing worse.
            let turn = self.0.clone().acquire_owned().await;
            let outcome = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
            spawn_local(async move {
                yield_now().await;
                drop(turn);
            });
            match outcome {
                Poll::Ready(outcome) => return outcome,
                // It has taken this task's waker.
                Poll::Pending => woken().await,
            }
        }
    }
}

/// Until the task is woken, by whomever: once too often does no harm.
async fn woken() {
    let mut is_first = true;
    poll_fn(|_| match std::mem::take(&mut is_first) {
        true => Poll::Pending,
        false => Poll::Ready(()),
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;
    use tokio::task::LocalSet;

    /// Steps in the present round of everybody else, the most of them in one, and who is done.
    #[derive(Default)]
    struct Seen {
        in_this_round: Cell<usize>,
        most_in_a_round: Cell<usize>,
        done: Cell<usize>,
    }

    #[tokio::test]
    async fn others_come_between_two_steps_however_many_wait_and_everybody_is_done() {
        let steps = async {
            let (turns, seen) = (Turns::new(), Rc::new(Seen::default()));
            for _ in 0..100 {
                let (turns, seen) = (turns.clone(), seen.clone());
                spawn_local(async move {
                    // Three steps, each ready at once.
                    let mut left = 3;
                    let handshake = poll_fn(|context| {
                        seen.in_this_round.set(seen.in_this_round.get() + 1);
                        seen.most_in_a_round.set(seen.most_in_a_round.get().max(seen.in_this_round.get()));
                        left -= 1;
                        context.waker().wake_by_ref();
                        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
                    });
                    turns.each(handshake).await;
                    seen.done.set(seen.done.get() + 1);
                });
            }
            let mut rounds = 0;
            while seen.done.get() < 100 && rounds < 10_000 {
                rounds += 1;
                seen.in_this_round.set(0);
                yield_now().await;
            }
            assert_eq!(seen.done.get(), 100);
            assert!(seen.most_in_a_round.get() <= 2, "{} steps in one round of {rounds}", seen.most_in_a_round.get());
        };
        LocalSet::new().run_until(steps).await;
    }

    #[tokio::test]
    async fn who_gives_up_waiting_keeps_nobody_from_a_turn() {
        let order = async {
            let turns = Turns::new();
            let waiting: Vec<_> = (0..10)
                .map(|_| {
                    let turns = turns.clone();
                    spawn_local(async move { turns.each(std::future::pending::<()>()).await })
                })
                .collect();
            yield_now().await;
            waiting.iter().for_each(tokio::task::JoinHandle::abort);
            assert_eq!(turns.each(async { 7 }).await, 7);
        };
        LocalSet::new().run_until(order).await;
    }
}
