//! Being told to end.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// A future that is ready at the first SIGINT or SIGTERM. A further one ends the process at once, whether or not anybody still waits for
/// the first.
///
/// # Errors
/// When the system refuses a handler.
pub(crate) fn ended() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        told_once(&mut interrupt, &mut terminate).await;
        let _ = tell.send(());
        told_once(&mut interrupt, &mut terminate).await;
        eprintln!("timed: second signal, ending at once");
        std::process::exit(130);
    });
    // The task lives as long as the runtime.
    Ok(async { drop(told.await) })
}

async fn told_once(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
