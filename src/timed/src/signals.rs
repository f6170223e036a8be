//! Being told to end.

use std::io;
use tokio::signal::unix::{SignalKind, signal};

/// A future that is ready at the first SIGINT or SIGTERM. From then on a further one ends the process at once.
///
/// # Errors
/// When the system refuses a handler.
pub(crate) fn ended() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            eprintln!("timed: second signal, ending at once");
            std::process::exit(130);
        });
    })
}
