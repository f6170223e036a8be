//! Connections of the operating system.

#[cfg(any(target_os = "linux", target_os = "android"))]
use super::bytes_in_flight::Ends;
use super::{BoxStream, BytesInFlight, Listener, Stream, Transport, leads_elsewhere};
use async_trait::async_trait;
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use timed_peer::AddressClass;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Most bytes the kernel holds unsent, so that our lanes decide what goes next and not a buffer of megabytes.
///
/// Trade: less starves fast links between two wake-ups. Bulk is held back by what is under way as well (`under_way`). Unit: bytes.
const UNSENT_BYTES_MAX: u32 = 16 * 1024;

/// Congestion control of our connections on Linux, CUBIC (RFC 9438). Where the system's choice is BBR, each ten seconds it closes the window to four segments
/// for 200 ms, to measure the path anew, and votes wait behind what had left before. What bulk may have under way is bounded by ourselves.
pub const CONGESTION_CONTROL: &str = "cubic";

/// Connections that the kernel may hold until they are accepted; it takes less where its own bound is lower (`somaxconn`).
///
/// With the usual 128 a burst of connections that come and go fills it, and who comes then is not heard until the first packet is sent again,
/// a second later. Unit: connections.
const WAITING_MAX: u32 = 4096;

/// Connections of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpTransport;

/// Listens at an address, also where connections of an earlier process linger, as listeners do elsewhere.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING_MAX)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // A kernel without it goes on with what it has.
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(stream).set_tcp_congestion(CONGESTION_CONTROL.as_bytes());
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    SockRef::from(stream).set_send_buffer_size(UNSENT_BYTES_MAX as usize)?;
    Ok(())
}

/// A socket as it comes, with nothing set and nothing known of what is under way.
impl Stream for TcpStream {}

/// A connection that knows what it has under way.
struct TcpConnection {
    stream: TcpStream,
    /// `None` when it was gone at once.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    ends: Option<Ends>,
}

impl TcpConnection {
    fn new(stream: TcpStream) -> io::Result<Self> {
        prepare(&stream)?;
        Ok(Self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            ends: stream.local_addr().ok().zip(stream.peer_addr().ok()).map(|(own, theirs)| Ends::new(own, theirs)),
            stream,
        })
    }
}

impl Stream for TcpConnection {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn bytes_in_flight(&self) -> Option<BytesInFlight> {
        self.ends?.bytes_in_flight()
    }
}

impl AsyncRead for TcpConnection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for TcpConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Transport for TcpTransport {
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(TcpAcceptor(listen(address)?)))
    }

    async fn connect(&self, target: &str) -> io::Result<(BoxStream, SocketAddr)> {
        let none = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        connect_first(tokio::net::lookup_host(target).await?, none).await
    }

    async fn connect_within(&self, target: &str, class: AddressClass) -> io::Result<(BoxStream, SocketAddr)> {
        // Before a packet is sent: an attempt is what the announcer may be after.
        let meant = tokio::net::lookup_host(target).await?.filter(|address| class.reaches(address.ip()));
        connect_first(meant, leads_elsewhere()).await
    }
}

/// Connects to the first that accepts; `none` is the error when there is no address at all.
async fn connect_first(
    addresses: impl Iterator<Item = SocketAddr> + Send,
    none: io::Error,
) -> io::Result<(BoxStream, SocketAddr)> {
    let mut last = none;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((Box::new(TcpConnection::new(stream)?), address)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

struct TcpAcceptor(TcpListener);

#[async_trait]
impl Listener for TcpAcceptor {
    async fn accept(&mut self) -> io::Result<(BoxStream, SocketAddr)> {
        let (stream, address) = self.0.accept().await?;
        Ok((Box::new(TcpConnection::new(stream)?), address))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;
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

    #[tokio::test]
    async fn a_name_that_leads_elsewhere_is_not_dialled() {
        let mut listener = TcpTransport.bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // As if `localhost` were a public name whose owner points it here.
        for target in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::ffff:127.0.0.1]:{port}")] {
            for class in [AddressClass::Public, AddressClass::Private] {
                let error = TcpTransport.connect_within(&target, class).await.err().unwrap();
                assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{target}");
            }
        }
        let target = format!("localhost:{port}");
        let dial = TcpTransport.connect_within(&target, AddressClass::Loopback);
        let (dialled, accepted) = tokio::join!(dial, listener.accept());
        let ((mut a, _), (mut b, _)) = (dialled.unwrap(), accepted.unwrap());
        a.write_all(b"first").await.unwrap();
        let mut bytes = [0; 5];
        b.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"first", "nobody came before");
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

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_burst_of_connections_waits_to_be_accepted_and_is_not_turned_away() {
        let bound = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let listener = TcpTransport.bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        for number in 0..400.min(bound.trim().parse().unwrap()) {
            // One that is turned away would try for minutes, since nobody accepts.
            let connected = tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(address)).await;
            waiting.push(connected.unwrap_or_else(|_| panic!("connection {number} is turned away")).unwrap());
        }
    }
}
