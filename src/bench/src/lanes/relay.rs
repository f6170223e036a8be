//! The link between the two ends, as a third machine: takes the packets of each, lets them wait as the link says, hands them to the other.

use super::link::{LinkDirection, Quality};
use super::world::{self, LinkSide};
use anyhow::Context as _;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Largest packet with what carries it here. Unit: bytes.
const PACKET_BYTES_MAX: usize = 64 * 1024;
/// Bytes ahead of each packet here that a real link does not carry (VXLAN, RFC 7348).
const TUNNEL_BYTES: usize = 8;
/// Room for bursts of the ends while this process does not run. Unit: bytes.
const BURST_BYTES: usize = 4 * 1024 * 1024;
/// How soon an idle thread sees that it shall end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One direction.
struct OneWay {
    link: Mutex<LinkDirection>,
    filled: Condvar,
    start: Instant,
    ended: Arc<AtomicBool>,
}

impl OneWay {
    fn link(&self) -> MutexGuard<'_, LinkDirection> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Packets into the queue.
    fn take_in(&self, socket: &UdpSocket) -> anyhow::Result<()> {
        let mut packet = vec![0; PACKET_BYTES_MAX];
        while !self.ended.load(Ordering::Acquire) {
            match socket.recv_from(&mut packet) {
                Ok((bytes, _)) => {
                    self.link().on_packet(self.start.elapsed(), packet[..bytes].to_vec());
                    self.filled.notify_one();
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Packets out at the other end.
    fn hand_out(&self, socket: &UdpSocket, to: Ipv4Addr) {
        let mut link = self.link();
        while !self.ended.load(Ordering::Acquire) {
            if let Some(packet) = link.arrived(self.start.elapsed()) {
                drop(link);
                // An end that has gone takes nothing.
                let _ = socket.send_to(&packet, (to, world::TUNNEL_PORT));
                link = self.link();
                continue;
            }
            let wait = link.next_wake().map_or(LOOK_EVERY, |at| at.saturating_sub(self.start.elapsed()));
            link = self.filled.wait_timeout(link, wait.min(LOOK_EVERY)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The link at work. Ends when dropped.
pub(super) struct LinkRelay {
    directions: [Arc<OneWay>; 2],
    ended: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl LinkRelay {
    /// Both directions, in the network namespace of the caller.
    pub(super) fn start(quality: Quality) -> anyhow::Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let direction = || {
            let (link, start) = (Mutex::new(LinkDirection::new(quality, TUNNEL_BYTES)), Instant::now());
            Arc::new(OneWay { link, filled: Condvar::new(), start, ended: ended.clone() })
        };
        let directions = [direction(), direction()];
        let sockets = [socket(LinkSide::Near)?, socket(LinkSide::Far)?];
        let mut threads = Vec::new();
        for (direction, from, to) in [(&directions[0], 0, 1), (&directions[1], 1, 0)] {
            let (incoming, outgoing) = (sockets[from].try_clone()?, sockets[to].try_clone()?);
            let address = [LinkSide::Near, LinkSide::Far][to].wire_address();
            let (taker, giver) = (direction.clone(), direction.clone());
            let take_in = move || {
                if let Err(error) = taker.take_in(&incoming) {
                    eprintln!("timed-bench: the link does not carry any more: {error:#}");
                }
            };
            threads.push(std::thread::Builder::new().name("link in".into()).spawn(take_in)?);
            threads.push(
                std::thread::Builder::new()
                    .name("link out".into())
                    .spawn(move || giver.hand_out(&outgoing, address))?,
            );
        }
        Ok(Self { directions, ended, threads })
    }

    /// Packets carried and dropped, both directions together.
    pub(super) fn packets(&self) -> (u64, u64) {
        let of = |direction: &Arc<OneWay>| {
            let link = direction.link();
            (link.carried, link.dropped)
        };
        let [near, far] = self.directions.each_ref().map(of);
        (near.0 + far.0, near.1 + far.1)
    }
}

impl Drop for LinkRelay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// Where the packets of an end come from, and leave for it.
fn socket(place: LinkSide) -> anyhow::Result<UdpSocket> {
    let own = place.relay_address();
    let socket = UdpSocket::bind((own, world::TUNNEL_PORT)).with_context(|| format!("cannot listen on {own}"))?;
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    // Less than asked for is no error: the system has a bound of its own.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(BURST_BYTES);
    Ok(socket)
}
