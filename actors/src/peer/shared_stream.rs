//! One connection that the reader and the writer share.
//!
//! Unlike `tokio::io::split`, the writer's hand may read as well: after a goodbye it drains what the other side still sends, since
//! closing a TCP socket with unread bytes resets it, and the reset may overtake the goodbye.

use crate::transport::{BoxStream, BytesInFlight};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A share of the connection. It closes when the last share is dropped. At most one of them reads and one writes at a time.
#[derive(Clone)]
pub(super) struct SharedStream(Arc<Mutex<BoxStream>>);

impl SharedStream {
    pub(super) fn new(stream: BoxStream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    /// What is under way; `None` where nobody knows.
    pub(super) fn bytes_in_flight(&self) -> Option<BytesInFlight> {
        self.stream().bytes_in_flight()
    }

    /// Held for one poll, which never waits.
    fn stream(&self) -> MutexGuard<'_, BoxStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for SharedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream()).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SharedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.stream()).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream()).poll_shutdown(cx)
    }
}
