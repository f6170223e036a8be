//! Who hangs is named, and nobody else.

use super::*;
use crate::Threads;
use actix::{Handler, Message, WrapFuture};
use std::sync::mpsc;

struct Sleeper;

impl Actor for Sleeper {
    type Context = Context<Self>;
}

/// Holds the thread until the other end is dropped.
#[derive(Message)]
#[rtype(result = "()")]
struct Hold(mpsc::Receiver<()>);

impl Handler<Hold> for Sleeper {
    type Result = ();

    fn handle(&mut self, hold: Hold, _ctx: &mut Self::Context) {
        let _ = hold.0.recv();
    }
}

/// Holds nothing up.
fn closed() -> mpsc::Receiver<()> {
    mpsc::channel().1
}

/// Waits for ever, as `ctx.wait` lets an actor do, and gives the thread back.
#[derive(Message)]
#[rtype(result = "()")]
struct WaitForNothing;

impl Handler<WaitForNothing> for Sleeper {
    type Result = ();

    fn handle(&mut self, _wait: WaitForNothing, ctx: &mut Self::Context) {
        ctx.wait(std::future::pending().into_actor(self));
    }
}

fn names(hung: &[Hung]) -> Vec<&'static str> {
    hung.iter().map(|hung| hung.component.name()).collect()
}

/// Looks once a second of a clock that only this test moves, and pauses really, so that other threads can beat.
fn look_until(pulses: &Pulses, monitor: &mut Monitor, now: &mut Instant, done: impl Fn(&Pulses) -> bool) {
    for _ in 0..2_000 {
        *now += Duration::from_secs(1);
        monitor.look(*now, pulses);
        if done(pulses) {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    panic!("it did not come about: {:?}", pulses.hung());
}

#[test]
fn of_two_actors_on_one_thread_the_one_that_holds_it_is_named() {
    let system = actix_rt::System::new();
    let (threads, held) = system.block_on(async {
        let threads = Threads::arbiters().unwrap();
        let mempool = threads.start(Component::Mempool, |_| Sleeper);
        let block_sync = threads.start(Component::BlockSync, |_| Sleeper);
        let ledger = threads.start(Component::Ledger, |_| Sleeper);
        let (held, hold) = mpsc::channel();
        block_sync.send(Hold(closed())).await.unwrap();
        ledger.send(Hold(closed())).await.unwrap();
        block_sync.do_send(Hold(hold));
        // Addresses stay: an actor that nobody can reach any more ends, and its silence means nothing.
        std::mem::forget((mempool, block_sync, ledger));
        (threads, held)
    });
    let (pulses, mut monitor, mut now) = (threads.pulses().clone(), Monitor::default(), Instant::START);
    // The ledger's thread beats once a real second; a look every 5 ms of real time counts as a second, so the limit is far.
    let limit = Duration::from_secs(1_000);
    look_until(&pulses, &mut monitor, &mut now, |pulses| !pulses.silent_for(limit).is_empty());
    assert_eq!(names(&pulses.silent_for(limit)), ["block sync"], "the mempool only shares its thread");
    drop(held);
    look_until(&pulses, &mut monitor, &mut now, |pulses| pulses.silent_for(limit).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_waits_for_ever_is_named_after_ten_seconds() {
    let local = tokio::task::LocalSet::new();
    let run = local.run_until(async {
        let threads = Threads::inline();
        let consensus = threads.start(Component::Consensus, |_| Sleeper);
        let ledger = threads.start(Component::Ledger, |_| Sleeper);
        let (mut monitor, mut now) = (Monitor::default(), Instant::START);
        let mut seconds = async |count: u64| {
            for _ in 0..count {
                tokio::time::sleep(BEAT_EVERY).await;
                now += BEAT_EVERY;
                monitor.look(now, threads.pulses());
            }
        };
        seconds(30).await;
        assert_eq!(threads.pulses().hung(), []);
        consensus.do_send(WaitForNothing);
        seconds(10).await;
        assert_eq!(threads.pulses().hung(), [], "it may have beaten just before");
        seconds(2).await;
        assert_eq!(names(&threads.pulses().hung()), ["consensus"]);
        drop((consensus, ledger));
    });
    run.await;
}

#[test]
fn a_pause_of_the_whole_process_is_nobody_s_silence() {
    let (pulses, mut monitor) = (Pulses::default(), Monitor::default());
    pulses.expect(Component::Runtime);
    pulses.beat(Component::Runtime);
    let second = |n| Instant::START + Duration::from_secs(n);
    monitor.look(second(1), &pulses);
    monitor.look(second(3_600), &pulses);
    assert_eq!(pulses.silence(Component::Runtime), LOOK_COUNTS_MAX);
    assert_eq!(pulses.hung(), []);
    for n in 3_601..3_609 {
        monitor.look(second(n), &pulses);
    }
    assert_eq!(names(&pulses.hung()), ["runtime"]);
    pulses.beat(Component::Runtime);
    monitor.look(second(3_610), &pulses);
    assert_eq!(pulses.hung(), []);
}

#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn heartbeat_ignored() {
        assert!(is_caught(Bug::HeartbeatIgnored, a_pause_of_the_whole_process_is_nobody_s_silence));
        assert!(is_caught(Bug::HeartbeatIgnored, an_actor_that_waits_for_ever_is_named_after_ten_seconds));
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_nobody_can_reach_ends_and_is_not_missed() {
    let local = tokio::task::LocalSet::new();
    let run = local.run_until(async {
        let threads = Threads::inline();
        drop(threads.start(Component::Consensus, |_| Sleeper));
        let (mut monitor, mut now) = (Monitor::default(), Instant::START);
        for _ in 0..20 {
            tokio::time::sleep(BEAT_EVERY).await;
            now += BEAT_EVERY;
            monitor.look(now, threads.pulses());
        }
        assert_eq!(threads.pulses().hung(), []);
    });
    run.await;
}
