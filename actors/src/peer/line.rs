//! One connection in two hands: the reader's and the writer's.
//!
//! Unlike `tokio::io::split`, the writer's hand may read as well: after a goodbye it drains what the other side still sends, since
//! closing a TCP socket with unread bytes resets it, and the reset may overtake the goodbye.

use crate::transport::{BoxStream, Flight};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A hand on the connection. It closes when the last hand is dropped. At most one hand reads and one writes at a time.
#[derive(Clone)]
pub(super) struct Line(Arc<Mutex<BoxStream>>);

impl Line {
    pub(super) fn new(stream: BoxStream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    /// What is under way; `None` where nobody knows.
    pub(super) fn flight(&self) -> Option<Flight> {
        self.stream().flight()
    }

    /// Held for one poll, which never waits.
    fn stream(&self) -> MutexGuard<'_, BoxStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream()).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
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
