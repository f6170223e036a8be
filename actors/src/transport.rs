//! Seam: how connections come about. The daemon uses TCP, tests and the simulator a network in memory.
//!
//! What lies above (TLS, frames, peers) sees a [`BoxStream`] and never the type of a socket.

#[cfg(any(target_os = "linux", target_os = "android"))]
mod bytes_in_flight;
mod tcp;

pub use tcp::{CONGESTION_CONTROL, TcpTransport};

use async_trait::async_trait;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use timed_peer::AddressClass;
use timed_primitives::PublicKey;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

/// What a connection has under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BytesInFlight {
    /// Written and not yet acknowledged by the other end's system. Unit: bytes.
    pub bytes: usize,
    /// The shortest round trip of late: that of the path itself, without what waits on it.
    pub round_trip: Duration,
}

/// A connection, whatever carries it.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// What is under way; `None` where nobody knows.
    fn bytes_in_flight(&self) -> Option<BytesInFlight> {
        None
    }
}

impl Stream for DuplexStream {}

/// A connection, whatever carries it.
pub type BoxStream = Box<dyn Stream>;

fn leads_elsewhere() -> io::Error {
    io::Error::new(io::ErrorKind::AddrNotAvailable, "the name leads to addresses of another class than was announced")
}

/// Makes and accepts connections.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Listens at an address; port 0 takes a free one.
    ///
    /// # Errors
    /// What the system says, such as an address in use.
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>>;

    /// Connects to `host:port`; a name is resolved now, at each call, and its addresses are tried in turn. There is no time limit
    /// here: the caller has one.
    ///
    /// # Errors
    /// What the last attempt said, or that the name has no address.
    async fn connect(&self, target: &str) -> io::Result<(BoxStream, SocketAddr)>;

    /// As [`Transport::connect`], for an address that peers announced: only to IP addresses of its class.
    ///
    /// # Errors
    /// As there; `AddrNotAvailable` when the name leads nowhere else.
    async fn connect_within(&self, target: &str, class: AddressClass) -> io::Result<(BoxStream, SocketAddr)> {
        let (stream, address) = self.connect(target).await?;
        if class.reaches(address.ip()) { Ok((stream, address)) } else { Err(leads_elsewhere()) }
    }

    /// What frames to and from this peer go through, above the encryption: nothing but the connection itself. The simulator puts a Byzantine validator
    /// there.
    fn secured(&self, stream: BoxStream, peer: PublicKey) -> BoxStream {
        let _ = peer;
        stream
    }
}

/// Accepts connections.
#[async_trait]
pub trait Listener: Send {
    /// The next connection and where it comes from. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What the system says; the listener stays usable.
    async fn accept(&mut self) -> io::Result<(BoxStream, SocketAddr)>;

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}
