//! A node's connections behind its gate: each write is an event, nothing leaves a dead node, and what a busy node sends leaves when its
//! disk has answered.

use crate::adversary::{LyingStream, SharedByzantine};
use crate::gate::{NodeGate, Passage, dead};
use async_trait::async_trait;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use timed_actors::transport::{BoxStream, Listener, Stream, Transport};
use timed_primitives::PublicKey;
use timed_test_support::MemoryTransport;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The transport of one life.
pub(crate) struct GatedTransport {
    pub(crate) inner: MemoryTransport,
    pub(crate) gate: Arc<NodeGate>,
    /// Who speaks instead of the node.
    pub(crate) byzantine: Option<SharedByzantine>,
}

impl GatedTransport {
    fn gated(gate: &Arc<NodeGate>, stream: BoxStream, to: IpAddr) -> BoxStream {
        Box::new(GatedStream { stream, to, gate: gate.clone(), has_passed: false })
    }
}

#[async_trait]
impl Transport for GatedTransport {
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let listener = self.inner.bind(address).await?;
        Ok(Box::new(GatedListener { listener, gate: self.gate.clone() }))
    }

    async fn connect(&self, target: &str) -> io::Result<(BoxStream, SocketAddr)> {
        if self.gate.pass() != Passage::Open {
            return Err(dead());
        }
        self.gate.trace.node(self.gate.node, format_args!("dials {target}"));
        let (stream, address) = self.inner.connect(target).await?;
        Ok((Self::gated(&self.gate, stream, address.ip()), address))
    }

    fn secured(&self, stream: BoxStream, peer: PublicKey) -> BoxStream {
        match &self.byzantine {
            Some(byzantine) => Box::new(LyingStream::new(stream, peer, byzantine.clone())),
            None => stream,
        }
    }
}

struct GatedListener {
    listener: Box<dyn Listener>,
    gate: Arc<NodeGate>,
}

#[async_trait]
impl Listener for GatedListener {
    async fn accept(&mut self) -> io::Result<(BoxStream, SocketAddr)> {
        let (stream, address) = self.listener.accept().await?;
        Ok((GatedTransport::gated(&self.gate, stream, address.ip()), address))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

struct GatedStream {
    stream: BoxStream,
    to: IpAddr,
    gate: Arc<NodeGate>,
    /// The write that is tried was counted before.
    has_passed: bool,
}

impl AsyncRead for GatedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl Stream for GatedStream {}

impl AsyncWrite for GatedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.gate.is_shut() {
            return Poll::Ready(Err(dead()));
        }
        ready!(self.gate.poll_free(cx));
        if !self.has_passed {
            if self.gate.pass() != Passage::Open {
                return Poll::Ready(Err(dead()));
            }
            self.has_passed = true;
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.has_passed = false;
        if let Ok(written) = written {
            self.gate.trace.sent(self.gate.node, self.to, written);
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gate.is_shut() {
            return Poll::Ready(Err(dead()));
        }
        ready!(self.gate.poll_free(cx));
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
