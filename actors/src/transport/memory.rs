//! A network in memory: hosts, names, links that can be cut, healed and broken. For tests; nothing random, no time of its own.

use super::{BoxStream, Listener, Transport};
use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::{Notify, mpsc};

/// What one direction of a connection holds before the writer waits, as a socket's buffers would.
const BUFFER_BYTES: usize = 64 * 1024;
/// Connections that wait to be accepted at one listener; more are refused.
const BACKLOG: usize = 128;
/// First of the ports given to dialling ends.
const EPHEMERAL_PORT: u16 = 49_152;

/// The network. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryNetwork(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes dials that wait for a cut link.
    changed: Notify,
}

#[derive(Default)]
struct State {
    listeners: BTreeMap<SocketAddr, mpsc::Sender<(BoxStream, SocketAddr)>>,
    names: BTreeMap<String, IpAddr>,
    cut: BTreeSet<(IpAddr, IpAddr)>,
    connections: Vec<Connection>,
    ports: u16,
    dials: u64,
}

struct Connection {
    hosts: (IpAddr, IpAddr),
    line: Weak<Line>,
}

/// Both ends of a connection share it.
#[derive(Default)]
struct Line(Mutex<LineState>);

#[derive(Default)]
struct LineState {
    is_cut: bool,
    is_broken: bool,
    /// Who waits to read, by end.
    waiting: [Option<Waker>; 2],
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A link has no direction.
fn link(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
    (a.min(b), a.max(b))
}

impl Line {
    fn change(&self, change: impl FnOnce(&mut LineState)) {
        let mut state = lock(&self.0);
        change(&mut state);
        state.waiting.iter_mut().filter_map(Option::take).for_each(Waker::wake);
    }
}

impl MemoryNetwork {
    /// A network without hosts.
    pub fn new() -> Self {
        Self::default()
    }

    /// The transport of the host with this address.
    pub fn host(&self, ip: IpAddr) -> MemoryTransport {
        MemoryTransport { network: self.clone(), ip }
    }

    /// Gives a host a name, or moves the name to another host.
    pub fn name(&self, name: &str, ip: IpAddr) {
        lock(&self.0.state).names.insert(name.to_owned(), ip);
    }

    /// Cuts the link between two hosts: nothing arrives and dials wait, until [`Self::heal`]. Nothing is lost, as with TCP.
    pub fn cut(&self, a: IpAddr, b: IpAddr) {
        lock(&self.0.state).cut.insert(link(a, b));
        self.change_lines(a, b, |line| line.is_cut = true);
    }

    /// Undoes [`Self::cut`].
    pub fn heal(&self, a: IpAddr, b: IpAddr) {
        lock(&self.0.state).cut.remove(&link(a, b));
        self.change_lines(a, b, |line| line.is_cut = false);
        self.0.changed.notify_waiters();
    }

    /// Resets every connection between two hosts.
    pub fn reset(&self, a: IpAddr, b: IpAddr) {
        self.change_lines(a, b, |line| line.is_broken = true);
    }

    /// Connections between two hosts of which at least one end is open.
    pub fn connections(&self, a: IpAddr, b: IpAddr) -> usize {
        let mut state = lock(&self.0.state);
        state.connections.retain(|c| c.line.strong_count() > 0);
        state.connections.iter().filter(|c| c.hosts == link(a, b)).count()
    }

    /// How many dials there were since the start, refused ones included.
    pub fn dials(&self) -> u64 {
        lock(&self.0.state).dials
    }

    fn change_lines(&self, a: IpAddr, b: IpAddr, change: impl Fn(&mut LineState)) {
        let lines: Vec<_> = {
            let state = lock(&self.0.state);
            let between = state.connections.iter().filter(|c| c.hosts == link(a, b));
            between.filter_map(|c| c.line.upgrade()).collect()
        };
        lines.iter().for_each(|line| line.change(&change));
    }

    fn resolve(&self, target: &str) -> io::Result<SocketAddr> {
        if let Ok(address) = target.parse() {
            return Ok(address);
        }
        let unknown = || io::Error::new(io::ErrorKind::NotFound, "no such host in this network");
        let (name, port) = target.rsplit_once(':').ok_or_else(unknown)?;
        let ip = lock(&self.0.state).names.get(name).copied().ok_or_else(unknown)?;
        Ok(SocketAddr::new(ip, port.parse().map_err(|_| unknown())?))
    }

    /// Makes a connection, unless the link is cut (`None`).
    fn join(&self, from: IpAddr, to: SocketAddr) -> Option<io::Result<BoxStream>> {
        let mut state = lock(&self.0.state);
        if state.cut.contains(&link(from, to.ip())) {
            return None;
        }
        state.ports = state.ports.checked_add(1).filter(|p| *p >= EPHEMERAL_PORT).unwrap_or(EPHEMERAL_PORT);
        let origin = SocketAddr::new(from, state.ports);
        let line = Arc::new(Line::default());
        let (near, far) = tokio::io::duplex(BUFFER_BYTES);
        let end = |inner, end| Box::new(End { inner, line: line.clone(), end }) as BoxStream;
        let accepted = state.listeners.get(&to).is_some_and(|l| l.try_send((end(far, 1), origin)).is_ok());
        if !accepted {
            return Some(Err(io::ErrorKind::ConnectionRefused.into()));
        }
        let near = end(near, 0);
        state.connections.retain(|c| c.line.strong_count() > 0);
        state.connections.push(Connection { hosts: link(from, to.ip()), line: Arc::downgrade(&line) });
        Some(Ok(near))
    }
}

/// One host of a [`MemoryNetwork`].
#[derive(Clone)]
pub struct MemoryTransport {
    network: MemoryNetwork,
    ip: IpAddr,
}

#[async_trait]
impl Transport for MemoryTransport {
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let mut state = lock(&self.network.0.state);
        let mut address = SocketAddr::new(self.ip, address.port());
        if address.port() == 0 {
            let free = (1024..).find(|p| !state.listeners.contains_key(&SocketAddr::new(self.ip, *p)));
            address.set_port(free.ok_or(io::ErrorKind::AddrInUse)?);
        }
        if state.listeners.get(&address).is_some_and(|l| !l.is_closed()) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (sender, arrivals) = mpsc::channel(BACKLOG);
        state.listeners.insert(address, sender);
        Ok(Box::new(MemoryListener { arrivals, address }))
    }

    async fn connect(&self, target: &str) -> io::Result<(BoxStream, SocketAddr)> {
        lock(&self.network.0.state).dials += 1;
        let address = self.network.resolve(target)?;
        loop {
            let changed = self.network.0.changed.notified();
            match self.network.join(self.ip, address) {
                Some(stream) => return Ok((stream?, address)),
                None => changed.await,
            }
        }
    }
}

struct MemoryListener {
    arrivals: mpsc::Receiver<(BoxStream, SocketAddr)>,
    address: SocketAddr,
}

#[async_trait]
impl Listener for MemoryListener {
    async fn accept(&mut self) -> io::Result<(BoxStream, SocketAddr)> {
        self.arrivals.recv().await.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// One end of a connection.
struct End {
    inner: DuplexStream,
    line: Arc<Line>,
    end: usize,
}

impl AsyncRead for End {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        {
            let mut line = lock(&self.line.0);
            if line.is_broken {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            if let Some(waiting) = line.waiting.get_mut(self.end) {
                *waiting = Some(cx.waker().clone());
            }
            if line.is_cut {
                return Poll::Pending;
            }
        }
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for End {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if lock(&self.line.0).is_broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    #[tokio::test(start_paused = true)]
    async fn a_cut_link_delays_and_a_reset_breaks() {
        let network = MemoryNetwork::new();
        network.name("b.test", B);
        let mut listener = network.host(B).bind(SocketAddr::new(B, 7000)).await.unwrap();
        let (mut near, address) = network.host(A).connect("b.test:7000").await.unwrap();
        let (mut far, origin) = listener.accept().await.unwrap();
        assert_eq!((address, origin.ip()), (SocketAddr::new(B, 7000), A));
        network.cut(B, A);
        near.write_all(b"late").await.unwrap();
        let mut bytes = [0; 4];
        let patience = Duration::from_secs(60);
        assert!(timeout(patience, far.read_exact(&mut bytes)).await.is_err());
        assert!(timeout(patience, network.host(A).connect("b.test:7000")).await.is_err());
        let dialling = tokio::spawn({
            let host = network.host(A);
            async move { host.connect("10.0.0.2:7000").await.map(|_| ()) }
        });
        tokio::time::sleep(patience).await;
        network.heal(A, B);
        timeout(patience, far.read_exact(&mut bytes)).await.unwrap().unwrap();
        assert_eq!(&bytes, b"late");
        dialling.await.unwrap().unwrap();
        assert_eq!(network.connections(A, B), 2);
        let reading = tokio::spawn(async move { far.read_u8().await });
        tokio::task::yield_now().await;
        network.reset(A, B);
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert!(near.write_all(b"x").await.is_err());
        drop(listener);
        assert!(network.host(A).connect("10.0.0.2:7000").await.is_err());
        assert_eq!(network.dials(), 4);
    }
}
