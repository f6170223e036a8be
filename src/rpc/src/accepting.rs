//! How connections come in, and what is said when they cannot.

use crate::watched::SharedConnections;
use std::net::SocketAddr;
use std::time::Duration;
use timed_primitives::{AcceptErrors, Instant, is_out_of_files};
use tokio::net::{TcpListener, TcpStream};

/// What the system holds of an answer for a client. A writer is woken when a third of it is free, and whoever reads as fast as
/// [`RpcLimits::write_time`] demands must free that in time: of several MiB it would not. Unit: bytes.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// What was logged of accepts that failed.
pub(crate) struct AcceptLog {
    errors: AcceptErrors,
    started: tokio::time::Instant,
}

impl AcceptLog {
    pub(crate) fn start() -> Self {
        Self { errors: AcceptErrors::default(), started: tokio::time::Instant::now() }
    }
}

/// The next connection; `None` when there is none now.
pub(crate) async fn accept(
    listener: &TcpListener,
    log: &mut AcceptLog,
    connections: &SharedConnections,
) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok((stream, from)) => {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "could not set TCP_NODELAY");
            }
            if let Err(error) = socket2::SockRef::from(&stream).set_send_buffer_size(SEND_BUFFER_BYTES) {
                tracing::debug!(%error, "could not set SO_SNDBUF");
            }
            Some((stream, from))
        }
        Err(error) => {
            // Out of file descriptors, most likely: others must close first, so trying at once would only spin.
            if is_out_of_files(&error) {
                connections.give_way();
            }
            if let Some(line) = log.errors.on_error(Instant::START + log.started.elapsed(), &error) {
                tracing::warn!("rpc: {line}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
