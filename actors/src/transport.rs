//! Seam: how connections come about. The daemon uses TCP, tests and the simulator a network in memory.
//!
//! What lies above (TLS, frames, peers) sees a [`BoxStream`] and never the type of a socket.

mod memory;

pub use memory::{LinkQuality, MemoryNetwork, MemoryTransport};

use async_trait::async_trait;
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use timed_primitives::PublicKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A connection, whatever carries it.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection, whatever carries it.
pub type BoxStream = Box<dyn Stream>;

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

    /// What frames to and from this peer go through, above the encryption: nothing but the connection itself. The simulator puts a liar
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

/// Most bytes the kernel holds unsent, so that our lanes decide what goes next and not a buffer of megabytes.
///
/// Trade: less starves fast links between two wake-ups. Unit: bytes.
const UNSENT_BYTES_MAX: u32 = 32 * 1024;

/// Connections of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpTransport;

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    SockRef::from(stream).set_send_buffer_size(UNSENT_BYTES_MAX as usize)?;
    Ok(())
}

#[async_trait]
impl Transport for TcpTransport {
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(TcpAcceptor(TcpListener::bind(address).await?)))
    }

    async fn connect(&self, target: &str) -> io::Result<(BoxStream, SocketAddr)> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in tokio::net::lookup_host(target).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    prepare(&stream)?;
                    return Ok((Box::new(stream), address));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

struct TcpAcceptor(TcpListener);

#[async_trait]
impl Listener for TcpAcceptor {
    async fn accept(&mut self) -> io::Result<(BoxStream, SocketAddr)> {
        let (stream, address) = self.0.accept().await?;
        prepare(&stream)?;
        Ok((Box::new(stream), address))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn tcp_carries_bytes_and_says_when_nobody_listens() {
        let mut listener = TcpTransport.bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = format!("localhost:{}", address.port());
        let (dialled, accepted) = tokio::join!(TcpTransport.connect(&target), listener.accept());
        let ((mut a, seen), (mut b, _)) = (dialled.unwrap(), accepted.unwrap());
        assert_eq!(seen, address);
        a.write_all(b"ping").await.unwrap();
        let mut bytes = [0; 4];
        b.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ping");
        drop(listener);
        assert!(TcpTransport.connect(&address.to_string()).await.is_err());
        assert!(TcpTransport.connect("nonsense").await.is_err());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn sockets_hold_little_unsent_data() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        prepare(&stream).unwrap();
        assert!(stream.nodelay().unwrap());
        assert_eq!(SockRef::from(&stream).tcp_notsent_lowat().unwrap(), UNSENT_BYTES_MAX);
    }
}
