//! The attackers: connections from many addresses of this machine, on a thread of their own, that come back as soon as they are closed.

use super::super::peers::on_one_thread;
use super::super::pretend_peer::{PretendPeer, connect};
use super::scenario::HostileScenario;
use anyhow::Context as _;
use std::io;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use timed_actors::tls::Tls;
use timed_primitives::{Height, SecretKey};
use timed_wire::BlockSyncMessage;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

/// Time between two bytes of a slow drip: a handshake would take a minute.
const DRIP: Duration = Duration::from_millis(300);
/// After a connection that did not come about.
const PAUSE: Duration = Duration::from_millis(10);
/// Time between two requests for blocks.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Blocks asked for in each: more than a node sends for one.
const BLOCKS_ASKED: u16 = 1_000;
/// Largest ClientHello. Unit: bytes.
const HELLO_BYTES_MAX: usize = 4_096;

/// Newcomers come from other subnets than attackers.
const NEWCOMERS: Ipv4Addr = Ipv4Addr::new(127, 128, 0, 1);
/// Most newcomers that have each a subnet of their own.
const NEWCOMER_SUBNETS: u32 = 1 << 15;

/// The address of a newcomer: the only one in its subnet (/24).
pub(super) fn newcomer(number: u64) -> Ipv4Addr {
    let subnet = u32::try_from(number % u64::from(NEWCOMER_SUBNETS)).unwrap_or_default();
    Ipv4Addr::from_bits(NEWCOMERS.to_bits() | (subnet << 8))
}

/// Who attacks whom, and how much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// The node's port on 127.0.0.1.
    pub(super) port: u16,
    /// Attackers, each with one connection at a time.
    pub(super) attackers: u16,
    /// Subnets (/24) that they come from, in turn.
    pub(super) subnets: u16,
    /// Most connections of all of them.
    pub(super) connections_max: u64,
}

impl Plan {
    /// The address of an attacker: in 127.0.1.0/24 and above, never in the subnet of peers, 127.0.0.0/24, or one of a newcomer.
    fn source(&self, attacker: u16) -> Ipv4Addr {
        let (subnets, attacker) = (u32::from(self.subnets.max(1)), u32::from(attacker));
        let subnet = 1 + attacker % subnets;
        // Hosts 1 to 254; more attackers than that share addresses.
        let host = 1 + attacker / subnets % 254;
        Ipv4Addr::from_bits((127 << 24) | (subnet << 8) | host)
    }
}

/// What the attackers did so far.
#[derive(Debug, Default)]
pub(super) struct AttackProgress {
    /// Connections begun. Bound: the plan's.
    pub(super) opened: AtomicU64,
    /// Of these, not accepted by the node's system.
    pub(super) failed: AtomicU64,
}

/// An attack that goes on until it is stopped.
pub(super) struct RunningAttack {
    pub(super) done: Arc<AttackProgress>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl RunningAttack {
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn start(attack: HostileScenario, plan: Plan) -> anyhow::Result<Self> {
        let done = Arc::new(AttackProgress::default());
        let (stop, stopped) = oneshot::channel();
        let for_thread = done.clone();
        let run = move || {
            on_one_thread(async {
                let hello = client_hello().await?;
                let attackers = Rc::new(Attackers { attack, plan, hello, done: for_thread });
                let mut tasks = JoinSet::new();
                for attacker in 0..plan.attackers {
                    tasks.spawn_local(attackers.clone().run(plan.source(attacker)));
                }
                // Both ways to end are the end.
                let _ = stopped.await;
                Ok(())
            })
        };
        let thread = std::thread::Builder::new().name("attackers".into()).spawn(run)?;
        Ok(Self { done, stop, thread })
    }

    /// Closes all of its connections.
    ///
    /// # Errors
    /// When it never began.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        // It may have ended by itself, which the thread reports.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| anyhow::anyhow!("the attackers have panicked"))?
    }
}

struct Attackers {
    attack: HostileScenario,
    plan: Plan,
    hello: Vec<u8>,
    done: Arc<AttackProgress>,
}

impl Attackers {
    /// One attacker: one connection after the other.
    async fn run(self: Rc<Self>, from: Ipv4Addr) {
        loop {
            let number = self.done.opened.fetch_add(1, Ordering::Relaxed);
            if number >= self.plan.connections_max {
                self.done.opened.fetch_sub(1, Ordering::Relaxed);
                return;
            }
            match connect(from, self.plan.port).await {
                // However the node ends it is its right.
                Ok(stream) => drop(self.hold(stream, number).await),
                Err(_) => {
                    self.done.failed.fetch_add(1, Ordering::Relaxed);
                    sleep(PAUSE).await;
                }
            }
            yield_now().await;
        }
    }

    async fn hold(&self, mut stream: TcpStream, number: u64) -> anyhow::Result<()> {
        match self.attack {
            HostileScenario::HalfOpen => until_closed(stream).await?,
            HostileScenario::SlowDrip => {
                let (mut read, mut write) = stream.split();
                let mut buffer = [0];
                let drip = async {
                    for byte in &self.hello {
                        write.write_all(&[*byte]).await?;
                        sleep(DRIP).await;
                    }
                    io::Result::Ok(())
                };
                tokio::select! {
                    dripped = drip => dripped?,
                    closed = read.read(&mut buffer) => drop(closed?),
                }
            }
            HostileScenario::Quiet | HostileScenario::ConnectClose => {}
            HostileScenario::RecordedHello => {
                stream.write_all(&self.hello).await?;
                stream.read_u8().await?;
            }
            HostileScenario::MuteTls => {
                let tls = Tls::new(&SecretKey::development("attacker", number))?;
                until_closed(tls.dial(Box::new(stream), None).await?.stream).await?;
            }
            HostileScenario::NeverReads => {
                let key = SecretKey::development("attacker", number);
                let mut peer = PretendPeer::shake_hands(stream, &key).await?;
                for request in 0.. {
                    let from = Height::FIRST.0;
                    peer.send(BlockSyncMessage::GetBlocks { request, from, count: BLOCKS_ASKED }).await?;
                    sleep(ASK_EVERY).await;
                }
            }
        }
        Ok(())
    }
}

/// Reads until the other side has enough.
async fn until_closed(mut stream: impl tokio::io::AsyncRead + Unpin) -> io::Result<()> {
    let mut buffer = [0; 256];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// The first bytes of a dialler.
async fn client_hello() -> anyhow::Result<Vec<u8>> {
    let (ours, mut theirs) = tokio::io::duplex(HELLO_BYTES_MAX);
    let tls = Tls::new(&SecretKey::development("attacker", 0))?;
    let mut hello = vec![0; HELLO_BYTES_MAX];
    let count = tokio::select! {
        _ = tls.dial(Box::new(ours), None) => anyhow::bail!("TLS ended without an answer"),
        count = theirs.read(&mut hello) => count.context("TLS does not begin")?,
    };
    hello.truncate(count);
    Ok(hello)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn attackers_come_from_as_many_subnets_as_planned_and_never_from_that_of_newcomers() {
        for (attackers, subnets) in [(512, 200), (4_000, 4_000), (3, 200), (4_000, 1)] {
            let plan = Plan { port: 1, attackers, subnets, connections_max: 1 };
            let sources: Vec<_> = (0..attackers).map(|attacker| plan.source(attacker)).collect();
            assert!(sources.iter().all(|from| from.is_loopback() && (1..255).contains(&from.octets()[3])));
            let found: BTreeSet<[u8; 3]> = sources.iter().map(|from| [0, 1, 2].map(|n| from.octets()[n])).collect();
            assert_eq!(found.len(), usize::from(attackers.min(subnets)));
            assert!(!found.contains(&[127, 0, 0]));
            let newcomers: BTreeSet<Ipv4Addr> = (0..300).map(newcomer).collect();
            assert_eq!(newcomers.len(), 300);
            assert!(newcomers.iter().all(|from| !found.contains(&[0, 1, 2].map(|n| from.octets()[n]))));
        }
    }
}
