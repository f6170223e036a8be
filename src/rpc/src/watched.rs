//! The table of connections with its clock, its sockets and its answers: what happens is reported to it, and what it closes ends.

use crate::connections::{Busy, CloseReason, ConnectionId, Connections};
use crate::server::RpcLimits;
use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How old the page `/metrics` may be.
const PAGE_TIME: Duration = Duration::from_millis(100);

/// The server's connections. The lock is held for a few operations of the table, never across a wait.
#[derive(Clone)]
pub(crate) struct SharedConnections {
    inner: Arc<Mutex<ConnectionsInner>>,
    /// The page `/metrics`, and when it was made.
    page: Arc<Mutex<Option<(Duration, Bytes)>>>,
    start: Instant,
}

struct ConnectionsInner {
    table: Connections,
    /// How to end each one. Bound: that of the table.
    ends: BTreeMap<ConnectionId, oneshot::Sender<CloseReason>>,
}

impl ConnectionsInner {
    fn close(&mut self, id: ConnectionId, reason: CloseReason) {
        if let Some(end) = self.ends.remove(&id) {
            // Its task may have ended by itself.
            let _ = end.send(reason);
        }
    }
}

impl SharedConnections {
    pub(crate) fn new(limits: RpcLimits) -> Self {
        let inner = ConnectionsInner { table: Connections::new(limits), ends: BTreeMap::new() };
        Self { inner: Arc::new(Mutex::new(inner)), page: Arc::default(), start: Instant::now() }
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionsInner> {
        // The table is consistent between any two of its operations.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().table.is_empty()
    }

    /// Gives a connection that was accepted its place, which is free again when the socket that comes back is dropped. The receiver hears
    /// when and why it must be closed.
    pub(crate) fn accept(&self, stream: TcpStream, from: IpAddr) -> (WatchedSocket, oneshot::Receiver<CloseReason>) {
        let (end, ended) = oneshot::channel();
        let mut inner = self.lock();
        let (id, victim) = inner.table.on_accept(self.now(), from);
        inner.ends.insert(id, end);
        if let Some(victim) = victim {
            inner.close(victim, CloseReason::GaveWay);
        }
        drop(inner);
        (WatchedSocket { stream, id, shared: self.clone() }, ended)
    }

    /// The head of a request is complete.
    pub(crate) fn head(&self, id: ConnectionId) {
        self.lock().table.on_head(self.now(), id);
    }

    /// The whole of a request has come.
    pub(crate) fn request(&self, id: ConnectionId) {
        self.lock().table.on_request(id);
    }

    /// The client has shown credentials.
    ///
    /// # Errors
    /// `Busy` when there is no place for another one.
    pub(crate) fn authenticated(&self, id: ConnectionId) -> Result<(), Busy> {
        let mut inner = self.lock();
        if let Some(victim) = inner.table.on_authenticated(id)? {
            inner.close(victim, CloseReason::GaveWay);
        }
        Ok(())
    }

    /// The body of an answer, whose end is reported.
    pub(crate) fn answer(&self, id: ConnectionId, body: Body) -> Body {
        Body::new(WatchedBody { body, id, shared: self.clone() })
    }

    /// Closes those whose time is over.
    pub(crate) fn tick(&self) {
        let mut inner = self.lock();
        for (id, reason) in inner.table.on_tick(self.now()) {
            inner.close(id, reason);
        }
    }

    /// The page `/metrics`: the node's lines and the table's. Made anew only after [`PAGE_TIME`], since it costs a millisecond and needs no
    /// credentials.
    pub(crate) fn metrics_page(&self, node: impl FnOnce() -> String) -> Bytes {
        let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        match page.as_ref().filter(|(made, _)| now < *made + PAGE_TIME) {
            Some((_, bytes)) => bytes.clone(),
            None => page.insert((now, Bytes::from(node() + &self.metrics()))).1.clone(),
        }
    }

    /// The table's lines for `/metrics`.
    fn metrics(&self) -> String {
        let inner = self.lock();
        let mut page = String::from(
            "# HELP timed_rpc_connections Open connections of clients.\n# TYPE timed_rpc_connections gauge\n",
        );
        for (name, authenticated) in [("yes", true), ("no", false)] {
            let count = inner.table.count(authenticated);
            let _ = writeln!(page, "timed_rpc_connections{{authenticated=\"{name}\"}} {count}");
        }
        page.push_str("# HELP timed_rpc_connections_closed_total Connections of clients that the node closed.\n");
        page.push_str("# TYPE timed_rpc_connections_closed_total counter\n");
        for reason in CloseReason::ALL {
            let (name, count) = (reason.name(), inner.table.closed(reason));
            let _ = writeln!(page, "timed_rpc_connections_closed_total{{reason=\"{name}\"}} {count}");
        }
        page
    }
}

/// The body of an answer. Dropped when hyper has taken all of it.
struct WatchedBody {
    body: Body,
    id: ConnectionId,
    shared: SharedConnections,
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        self.shared.lock().table.on_answered(self.shared.now(), self.id);
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that reports what happens on it.
pub(crate) struct WatchedSocket {
    stream: TcpStream,
    id: ConnectionId,
    shared: SharedConnections,
}

impl WatchedSocket {
    /// The number of the connection.
    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    fn note_written(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.shared.lock().table.on_write_blocked(self.shared.now(), self.id),
            Poll::Ready(Ok(bytes)) => self.shared.lock().table.on_written(self.id, *bytes),
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl Drop for WatchedSocket {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        inner.table.on_end(self.id);
        inner.ends.remove(&self.id);
    }
}

impl AsyncRead for WatchedSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.shared.lock().table.on_read(self.shared.now(), self.id);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Hyper flushes when its own buffer is empty.
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.shared.lock().table.on_flushed(self.shared.now(), self.id);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn the_page_of_metrics_is_made_once_for_many() {
        let shared = SharedConnections::new(RpcLimits::default());
        let made = Cell::new(0);
        let page = || {
            shared.metrics_page(|| {
                made.set(made.get() + 1);
                format!("made {}\n", made.get())
            })
        };
        let first = page();
        assert!(first.starts_with(b"made 1\n# HELP timed_rpc_connections "), "{first:?}");
        tokio::time::advance(PAGE_TIME - Duration::from_millis(1)).await;
        assert_eq!(page(), first);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(page().starts_with(b"made 2\n"));
    }
}
