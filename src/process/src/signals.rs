//! Signals.
//!
//! | signal | a node | localnet |
//! |---|---|---|
//! | SIGTERM, SIGINT, SIGQUIT | ends in order, while it starts at once; a second one ends at once, with status 130 | ends in order |
//! | SIGHUP | goes on and says so: there is nothing to read again | ends in order: its terminal is gone |
//! | SIGUSR1, SIGUSR2, SIGALRM, SIGXFSZ | goes on and says so | as the system does it |
//! | SIGPIPE | ignored: a write says what is wrong (the standard library's doing) | the same |

use crate::last_words::say;
use crate::log_writer::LogWriter;
use crate::own_thread;
use crate::stop::{Stop, StopCause};
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{info, warn};

/// Status after an end that was forced.
const FORCED: i32 = 130;
/// How long the last lines of the log may take when the end is forced.
const FLUSH_WITHIN: Duration = Duration::from_millis(100);

/// Deals with signals by a thread of its own, so that a runtime that hangs can be ended.
///
/// # Errors
/// When the system refuses a handler or a thread.
pub fn watch(stop: Stop, log: LogWriter) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGXFSZ])?;
    let watch = move || {
        let mut is_asked = false;
        loop {
            // What came together is seen together: after the first the end in order could come before this thread sees the second.
            let pending: Vec<_> = signals.wait().collect();
            let ends = pending.iter().filter(|signal| matches!(**signal, SIGTERM | SIGINT | SIGQUIT)).count();
            if stop.is_served() && ends > 0 && ends + usize::from(is_asked) > 1 {
                log.flush(FLUSH_WITHIN);
                say("timed: second signal, ending at once");
                std::process::exit(FORCED);
            }
            for signal in pending {
                match signal {
                    // There is nothing to end in order yet, and nothing that this end could lose.
                    SIGTERM | SIGINT | SIGQUIT if !stop.is_served() => {
                        info!("stopped: asked by a signal while starting");
                        log.flush(FLUSH_WITHIN);
                        std::process::exit(0);
                    }
                    SIGTERM | SIGINT | SIGQUIT => {
                        is_asked = true;
                        stop.ask(StopCause::Signal);
                    }
                    SIGHUP => info!("SIGHUP: nothing is read again while a node runs; it goes on, SIGTERM ends it"),
                    SIGXFSZ => warn!("SIGXFSZ: a file would become larger than this process may write (ulimit -f)"),
                    other => info!(signal = other, "a signal without a meaning here; the node goes on"),
                }
            }
        }
    };
    own_thread::start("signals", watch).map_err(io::Error::other)
}

/// A future that is ready at the first signal that ends, a lost terminal included. For programs that run nothing but this runtime; a further
/// signal ends at once.
///
/// # Errors
/// When the system refuses a handler.
pub fn ended() -> io::Result<impl Future<Output = ()>> {
    let mut ending = Ending {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
        quit: signal(SignalKind::quit())?,
        hangup: signal(SignalKind::hangup())?,
    };
    let (ask, asked) = oneshot::channel();
    tokio::spawn(async move {
        ending.next().await;
        let _ = ask.send(());
        ending.next().await;
        say("timed: second signal, ending at once");
        std::process::exit(FORCED);
    });
    // The task lives as long as the runtime.
    Ok(async { drop(asked.await) })
}

struct Ending {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hangup: Signal,
}

impl Ending {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.quit.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
