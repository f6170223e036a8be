//! A network in memory: hosts, names, links with latency and rate that can be cut, healed and broken. For tests and the simulator; all
//! that is random follows its seed, and time is tokio's, so it must be paused for the same run twice.

mod link;

pub use link::LinkQuality;

use async_trait::async_trait;
use link::{MemoryLink, MemoryLinkParts};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use timed_actors::transport::{BoxStream, Listener, Transport};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// Connections that wait to be accepted at one listener; more are refused.
const BACKLOG: usize = 128;
/// First of the ports given to dialling ends.
const EPHEMERAL_PORT: u16 = 49_152;
/// Where arrivals fall when nothing else is asked: what tokio's timers can distinguish.
const TICK: Duration = Duration::from_millis(1);

/// The network. Clones share it.
#[derive(Clone)]
pub struct MemoryNetwork(Arc<MemoryNetworkInner>);

struct MemoryNetworkInner {
    state: Mutex<MemoryNetworkState>,
    /// Wakes dials that wait for a cut link.
    changed: Notify,
}

struct MemoryNetworkState {
    listeners: BTreeMap<SocketAddr, mpsc::Sender<(BoxStream, SocketAddr)>>,
    names: BTreeMap<String, IpAddr>,
    /// From whom to whom nothing goes.
    cut: BTreeSet<(IpAddr, IpAddr)>,
    /// Hosts without power.
    dark: BTreeSet<IpAddr>,
    quality: LinkQuality,
    qualities: BTreeMap<(IpAddr, IpAddr), LinkQuality>,
    connections: Vec<MemoryConnection>,
    ports: u16,
    dials: u64,
    origin: Option<Instant>,
    tick: Duration,
    rng: StdRng,
}

struct MemoryConnection {
    /// Who dialled, and who accepted: by the number of the end.
    hosts: [IpAddr; 2],
    link: Weak<MemoryLink>,
}

impl MemoryConnection {
    fn is_between(&self, a: IpAddr, b: IpAddr) -> bool {
        self.hosts == [a, b] || self.hosts == [b, a]
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A link has no direction.
fn link(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
    (a.min(b), a.max(b))
}

impl MemoryNetworkState {
    /// A connection needs both directions and both hosts.
    fn is_open(&self, a: IpAddr, b: IpAddr) -> bool {
        !self.cut.contains(&(a, b)) && !self.cut.contains(&(b, a)) && !self.dark.contains(&a) && !self.dark.contains(&b)
    }

    fn quality(&self, a: IpAddr, b: IpAddr) -> LinkQuality {
        self.qualities.get(&link(a, b)).copied().unwrap_or(self.quality)
    }
}

impl Default for MemoryNetwork {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryNetwork {
    /// A network without hosts, whose links are instant.
    pub fn new() -> Self {
        Self::seeded(0, TICK)
    }

    /// A network without hosts. Jitter follows the seed; what travels arrives on multiples of `tick`, at least a millisecond.
    pub fn seeded(seed: u64, tick: Duration) -> Self {
        let state = MemoryNetworkState {
            listeners: BTreeMap::new(),
            names: BTreeMap::new(),
            cut: BTreeSet::new(),
            dark: BTreeSet::new(),
            quality: LinkQuality::default(),
            qualities: BTreeMap::new(),
            connections: Vec::new(),
            ports: 0,
            dials: 0,
            origin: None,
            tick: tick.max(TICK),
            rng: StdRng::seed_from_u64(seed),
        };
        Self(Arc::new(MemoryNetworkInner { state: Mutex::new(state), changed: Notify::new() }))
    }

    /// The transport of the host with this address.
    pub fn host(&self, ip: IpAddr) -> MemoryTransport {
        MemoryTransport { network: self.clone(), ip }
    }

    /// Gives a host a name, or moves the name to another host.
    pub fn name(&self, name: &str, ip: IpAddr) {
        lock(&self.0.state).names.insert(name.to_owned(), ip);
    }

    /// Sets how good the link between two hosts is, for connections that are open as well.
    pub fn set_quality(&self, a: IpAddr, b: IpAddr, quality: LinkQuality) {
        lock(&self.0.state).qualities.insert(link(a, b), quality);
        self.each_link(|c| c.is_between(a, b), |_, link| link.set_quality(quality));
    }

    /// How good the link between two hosts is.
    pub fn quality(&self, a: IpAddr, b: IpAddr) -> LinkQuality {
        lock(&self.0.state).quality(a, b)
    }

    /// Cuts the link between two hosts: nothing arrives and dials wait, until [`Self::heal`]. Nothing is lost, as with TCP.
    pub fn cut(&self, a: IpAddr, b: IpAddr) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Cuts one direction: what `from` sends does not reach `to`. Dials wait either way, since they need an answer.
    pub fn cut_one_way(&self, from: IpAddr, to: IpAddr) {
        lock(&self.0.state).cut.insert((from, to));
        self.set_cut(from, to, true);
    }

    /// Undoes [`Self::cut`] and [`Self::cut_one_way`].
    pub fn heal(&self, a: IpAddr, b: IpAddr) {
        for (from, to) in [(a, b), (b, a)] {
            lock(&self.0.state).cut.remove(&(from, to));
            self.set_cut(from, to, false);
        }
        self.0.changed.notify_waiters();
    }

    /// Whether both directions between two hosts work.
    pub fn is_whole(&self, a: IpAddr, b: IpAddr) -> bool {
        let state = lock(&self.0.state);
        !state.cut.contains(&(a, b)) && !state.cut.contains(&(b, a))
    }

    fn set_cut(&self, from: IpAddr, to: IpAddr, is_cut: bool) {
        self.each_link(|c| c.is_between(from, to), |hosts, link| link.set_cut(usize::from(hosts[0] != from), is_cut));
    }

    /// Resets every connection between two hosts.
    pub fn reset(&self, a: IpAddr, b: IpAddr) {
        self.each_link(|c| c.is_between(a, b), |_, link| link.reset());
    }

    /// A host loses power: whoever is connected to it hears nothing, not even an end, and dials wait. Its own ends are dropped after this.
    pub fn power_off(&self, ip: IpAddr) {
        lock(&self.0.state).dark.insert(ip);
        self.each_link(|c| c.hosts.contains(&ip), |hosts, link| link.silence(usize::from(hosts[0] != ip)));
    }

    /// The host is back and knows nothing of its old connections: they are reset.
    pub fn power_on(&self, ip: IpAddr) {
        if !lock(&self.0.state).dark.remove(&ip) {
            return;
        }
        self.each_link(
            |c| c.hosts.contains(&ip),
            |hosts, link| {
                if link.is_silent(usize::from(hosts[0] != ip)) {
                    link.reset();
                }
            },
        );
        self.0.changed.notify_waiters();
    }

    /// Connections between two hosts of which at least one end is open.
    pub fn connections(&self, a: IpAddr, b: IpAddr) -> usize {
        let mut state = lock(&self.0.state);
        state.connections.retain(|c| c.link.strong_count() > 0);
        state.connections.iter().filter(|c| c.is_between(a, b)).count()
    }

    /// How many dials there were since the start, refused ones included.
    pub fn dials(&self) -> u64 {
        lock(&self.0.state).dials
    }

    fn each_link(&self, is_meant: impl Fn(&MemoryConnection) -> bool, change: impl Fn([IpAddr; 2], &MemoryLink)) {
        let links: Vec<_> = {
            let state = lock(&self.0.state);
            let meant = state.connections.iter().filter(|c| is_meant(c));
            meant.filter_map(|c| Some((c.hosts, c.link.upgrade()?))).collect()
        };
        links.iter().for_each(|(hosts, link)| change(*hosts, link));
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
        if !state.is_open(from, to.ip()) {
            return None;
        }
        state.ports = state.ports.checked_add(1).filter(|p| *p >= EPHEMERAL_PORT).unwrap_or(EPHEMERAL_PORT);
        let address = SocketAddr::new(from, state.ports);
        let parts = MemoryLinkParts {
            quality: state.quality(from, to.ip()),
            origin: *state.origin.get_or_insert_with(Instant::now),
            tick: state.tick,
            seed: state.rng.next_u64(),
        };
        let link = MemoryLink::new(parts);
        let (near, far) = (link.end(0), link.end(1));
        let accepted = state.listeners.get(&to).is_some_and(|l| l.try_send((Box::new(far), address)).is_ok());
        if !accepted {
            return Some(Err(io::ErrorKind::ConnectionRefused.into()));
        }
        state.connections.retain(|c| c.link.strong_count() > 0);
        state.connections.push(MemoryConnection { hosts: [from, to.ip()], link: Arc::downgrade(&link) });
        Some(Ok(Box::new(near)))
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
            let there_and_back = self.network.quality(self.ip, address.ip()).latency * 2;
            if !there_and_back.is_zero() {
                tokio::time::sleep(there_and_back).await;
            }
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

    async fn connected(network: &MemoryNetwork) -> (BoxStream, BoxStream) {
        let mut listener = network.host(B).bind(SocketAddr::new(B, 7000)).await.unwrap();
        let (near, _) = network.host(A).connect("10.0.0.2:7000").await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        (near, far)
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_travel_in_order_for_latency_and_jitter_at_the_rate_of_the_link() {
        let network = MemoryNetwork::seeded(7, Duration::from_millis(1));
        let (latency, jitter) = (Duration::from_millis(40), Duration::from_millis(30));
        network.set_quality(A, B, LinkQuality { latency, jitter, bytes_per_second: None });
        let started = Instant::now();
        let (mut near, mut far) = connected(&network).await;
        assert_eq!(started.elapsed(), 2 * latency, "a dial is there and back");
        let sent = Instant::now();
        for byte in 0..50 {
            near.write_u8(byte).await.unwrap();
        }
        let mut arrivals = Vec::new();
        for byte in 0..50 {
            assert_eq!(far.read_u8().await.unwrap(), byte);
            arrivals.push(sent.elapsed());
        }
        assert!(arrivals[0] >= latency && arrivals[49] <= latency + jitter, "{arrivals:?}");
        assert!(arrivals[0] < arrivals[49], "{arrivals:?}");
        let bytes_per_second = std::num::NonZeroU64::new(1_000_000);
        network.set_quality(A, B, LinkQuality { latency, jitter: Duration::ZERO, bytes_per_second });
        let sent = Instant::now();
        let reading = tokio::spawn(async move {
            let mut bytes = vec![0; 500_000];
            far.read_exact(&mut bytes).await.map(|_| far)
        });
        near.write_all(&vec![1; 500_000]).await.unwrap();
        assert!((480..=500).contains(&sent.elapsed().as_millis()), "a writer is not far ahead of the wire");
        let mut far = reading.await.unwrap().unwrap();
        assert!((540..=541).contains(&sent.elapsed().as_millis()), "{:?}", sent.elapsed());
        drop(near);
        let closing = Instant::now();
        assert!(far.read_u8().await.is_err(), "the end of the other side comes last");
        assert_eq!(closing.elapsed(), latency);
    }

    #[tokio::test(start_paused = true)]
    async fn one_direction_can_be_cut_and_a_host_without_power_says_nothing() {
        let network = MemoryNetwork::new();
        let (mut near, mut far) = connected(&network).await;
        let patience = Duration::from_secs(60);
        network.cut_one_way(A, B);
        assert!(!network.is_whole(A, B));
        near.write_u8(1).await.unwrap();
        far.write_u8(2).await.unwrap();
        assert_eq!(near.read_u8().await.unwrap(), 2);
        assert!(timeout(patience, far.read_u8()).await.is_err());
        network.heal(A, B);
        assert_eq!(timeout(patience, far.read_u8()).await.unwrap().unwrap(), 1);
        network.power_off(B);
        drop(far);
        near.write_u8(3).await.unwrap();
        assert!(timeout(patience, near.read_u8()).await.is_err());
        assert!(timeout(patience, network.host(A).connect("10.0.0.2:7000")).await.is_err());
        network.power_on(B);
        assert_eq!(near.read_u8().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
