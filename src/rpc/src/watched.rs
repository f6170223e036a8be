//! The table of connections with its clock, its sockets and its answers: what happens is reported to it, and what it closes ends.

use crate::connections::{Busy, CloseReason, ConnectionId, Connections};
use crate::limits::RpcLimits;
use crate::metric_set;
use crate::metrics::{ConstCounter, ConstGauge, Registry, Series, counter, level, page};
use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use std::collections::BTreeMap;
use std::fmt;
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

metric_set! {
    /// Connections of clients.
    struct RpcMetrics, "timed_rpc" {
        /// Open connections of clients.
        connections: Series<OpenLabels, ConstGauge<u64>>,
        /// Connections of clients that the node closed.
        connections_closed: Series<ClosedLabels, ConstCounter<u64>>,
    }
}

/// Whether the client has shown credentials.
#[derive(Debug, EncodeLabelSet)]
struct OpenLabels {
    authenticated: YesOrNo,
}

/// Why it was closed.
#[derive(Debug, EncodeLabelSet)]
struct ClosedLabels {
    reason: CloseReason,
}

#[derive(Debug)]
struct YesOrNo(bool);

impl EncodeLabelValue for YesOrNo {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let name = if self.0 { "yes" } else { "no" };
        name.encode(encoder)
    }
}

impl EncodeLabelValue for CloseReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.name().encode(encoder)
    }
}

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

    /// The system has no file for another connection: some give way.
    pub(crate) fn give_way(&self) {
        let mut inner = self.lock();
        let victims = inner.table.on_no_file(self.now());
        for victim in victims {
            inner.close(victim, CloseReason::GaveWay);
        }
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

    /// It becomes a WebSocket. The receiver hears when and why it must be closed; nobody else does from now on.
    pub(crate) fn upgraded(&self, id: ConnectionId) -> oneshot::Receiver<CloseReason> {
        let (end, ended) = oneshot::channel();
        let mut inner = self.lock();
        inner.table.on_upgrade(id);
        // One that has just given way has no place any more, and its socket ends.
        if inner.ends.contains_key(&id) {
            inner.ends.insert(id, end);
        }
        ended
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

    /// The page `/metrics`: what the node registers, and the table. Made anew only after [`PAGE_TIME`], since it costs a millisecond and needs no
    /// credentials.
    pub(crate) fn metrics_page(&self, node: impl FnOnce(&mut Registry)) -> Bytes {
        let mut last = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        if let Some((_, bytes)) = last.as_ref().filter(|(made, _)| now < *made + PAGE_TIME) {
            return bytes.clone();
        }
        let mut registry = Registry::default();
        node(&mut registry);
        self.metrics().register(&mut registry);
        last.insert((now, Bytes::from(page(&registry)))).1.clone()
    }

    fn metrics(&self) -> RpcMetrics {
        let table = &self.lock().table;
        let open = |is_so| (OpenLabels { authenticated: YesOrNo(is_so) }, level(table.count(is_so)));
        let closed = |reason| (ClosedLabels { reason }, counter(table.closed(reason)));
        RpcMetrics {
            connections: [true, false].map(open).into_iter().collect(),
            connections_closed: CloseReason::ALL.map(closed).into_iter().collect(),
        }
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
        let part = Pin::new(&mut self.body).poll_frame(cx);
        self.shared.lock().table.on_part(self.id, part.is_ready());
        part
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
        let made = Cell::new(0_u64);
        let page = || {
            shared.metrics_page(|registry| {
                made.set(made.get() + 1);
                registry.register("made", "Pages", level(made.get()));
            })
        };
        let first = page();
        let expected = b"# HELP made Pages.\n# TYPE made gauge\nmade 1\n# HELP timed_rpc_connections Open connections of clients.\n";
        assert!(first.starts_with(expected), "{first:?}");
        tokio::time::advance(PAGE_TIME - Duration::from_millis(1)).await;
        assert_eq!(page(), first);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(page().starts_with(b"# HELP made Pages.\n# TYPE made gauge\nmade 2\n"));
    }
}
