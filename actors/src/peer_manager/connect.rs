//! How connections come up: accepted or dialled, then secured, each step within its time.

use super::PeerManager;
use super::handshakes::{ConnectionOrigin, InboundHandshakes, Permit};
use super::turns::Turns;
use crate::tls::{Secured, Tls, TlsError};
use crate::transport::{BoxStream, Listener};
use actix::{ActorFutureExt, AsyncContext, Context, Message, Recipient, WrapFuture};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use timed_peer::handshake::HANDSHAKE_TIMEOUT;
use timed_peer::{AddressClass, Dial, EndReason};
use timed_primitives::{AcceptErrors, Clock};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// For a connection to be accepted by the other side.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause after a failed accept, such as one for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An inbound connection is secured. Bounded by [`HANDSHAKES_MAX`].
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Accepted {
    pub(super) secured: Secured,
    pub(super) observed: SocketAddr,
    /// Held until the handshake is over.
    pub(super) permit: Permit,
}

/// Accepts for ever. Handshakes run side by side, so that an idle socket delays nobody; who begins too many gets none.
pub(super) async fn accept_all(
    mut listener: Box<dyn Listener>,
    tls: Tls,
    handshakes: InboundHandshakes,
    clock: Arc<dyn Clock>,
    manager: Recipient<Accepted>,
) {
    let (mut under_way, turns) = (JoinSet::new(), Turns::new());
    let mut errors = AcceptErrors::default();
    loop {
        // In a turn as well: else more would be accepted than can be served, and give way before their turn comes.
        match turns.each(listener.accept()).await {
            Ok((stream, observed)) => match handshakes.begin(clock.now(), observed.ip()) {
                Some(permit) => {
                    under_way.spawn_local(secure(
                        tls.clone(),
                        turns.clone(),
                        stream,
                        observed,
                        permit,
                        manager.clone(),
                    ));
                }
                None => tracing::debug!(addr = %observed, "too many connections from there"),
            },
            Err(error) => {
                if let Some(line) = errors.on_error(clock.now(), &error) {
                    tracing::warn!("{line}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while under_way.try_join_next().is_some() {}
    }
}

async fn secure(
    tls: Tls,
    turns: Turns,
    stream: BoxStream,
    observed: SocketAddr,
    mut permit: Permit,
    manager: Recipient<Accepted>,
) {
    let secured = tokio::select! {
        biased;
        _ = &mut permit.gives_way => {
            tracing::debug!(addr = %observed, "inbound connection gave way in its handshake");
            return;
        }
        secured = timeout(HANDSHAKE_TIMEOUT, turns.each(tls.accept(stream))) => secured,
    };
    match secured {
        Ok(Ok(secured)) => manager.do_send(Accepted { secured, observed, permit }),
        Ok(Err(error)) => tracing::debug!(addr = %observed, %error, "inbound connection refused"),
        Err(_) => tracing::debug!(addr = %observed, "inbound connection was not secured in time"),
    }
}

impl PeerManager {
    /// Begins a dial; its outcome comes to [`PeerManager::on_dialled`].
    pub(super) fn dial(&mut self, dial: Dial, ctx: &mut Context<Self>) {
        let (transport, tls) = (self.transport.clone(), self.tls.clone());
        let expected = self.demanded.get(&dial.address).copied();
        let target = dial.address.clone();
        let class = (!dial.is_configured).then(|| AddressClass::of_address(&dial.address));
        let dialling = async move {
            let connecting = async {
                match class {
                    None => transport.connect(&target).await,
                    Some(Ok(class)) => transport.connect_within(&target, class).await,
                    Some(Err(error)) => Err(io::Error::new(io::ErrorKind::InvalidInput, error)),
                }
            };
            let (stream, observed) = match timeout(DIAL_TIMEOUT, connecting).await {
                Ok(Ok(connected)) => connected,
                Ok(Err(error)) => {
                    tracing::debug!(addr = target, %error, "dial failed");
                    return Err(EndReason::DialFailed);
                }
                Err(_) => return Err(EndReason::DialTimeout),
            };
            match timeout(HANDSHAKE_TIMEOUT, tls.dial(stream, expected)).await {
                Ok(Ok(secured)) => Ok((secured, observed)),
                Ok(Err(error @ TlsError::Impostor { .. })) => {
                    tracing::warn!(addr = target, %error, "another node answers at a configured address");
                    Err(EndReason::Tls)
                }
                Ok(Err(error)) => {
                    tracing::debug!(addr = target, %error, "dialled connection could not be secured");
                    Err(EndReason::Tls)
                }
                Err(_) => Err(EndReason::HandshakeTimeout),
            }
        };
        ctx.spawn(dialling.into_actor(self).map(move |outcome, actor, ctx| actor.on_dialled(dial, outcome, ctx)));
    }

    fn on_dialled(&mut self, dial: Dial, outcome: Result<(Secured, SocketAddr), EndReason>, ctx: &mut Context<Self>) {
        match outcome {
            Ok((secured, observed)) => self.open(secured, observed, ConnectionOrigin::Dialled(dial), ctx),
            Err(reason) => {
                if !dial.is_feeler {
                    self.note_failed_dial(&dial.address, reason);
                }
                self.book.on_dial_failed(self.clock.now(), &dial.address, reason, &mut self.rng);
                self.dial_due(ctx);
            }
        }
    }
}

impl actix::Handler<Accepted> for PeerManager {
    type Result = ();

    fn handle(&mut self, accepted: Accepted, ctx: &mut Context<Self>) {
        let Accepted { secured, observed, permit } = accepted;
        self.open(secured, observed, ConnectionOrigin::Accepted(permit), ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use std::io;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicU64, Ordering};
    use timed_primitives::SecretKey;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::task::{LocalSet, yield_now};

    /// How many connections come at once: more than there are places.
    const COME: u64 = 1_000;
    /// What a connection carries at once, so that a ClientHello takes several steps. Unit: bytes.
    const CARRIED: usize = 64;

    /// What others did meanwhile, and what became of the connections.
    #[derive(Default)]
    struct Seen {
        accepted: AtomicU64,
        in_this_round: AtomicU64,
        most_in_a_round: AtomicU64,
        answered: AtomicU64,
    }

    /// Connections that are all there already, each from a subnet of its own.
    struct Burst {
        seen: Arc<Seen>,
        hello: Vec<u8>,
    }

    #[async_trait]
    impl Listener for Burst {
        async fn accept(&mut self) -> io::Result<(BoxStream, SocketAddr)> {
            let number = self.seen.accepted.load(Ordering::Relaxed);
            if number == COME {
                return std::future::pending().await;
            }
            self.seen.accepted.store(number + 1, Ordering::Relaxed);
            let count = self.seen.in_this_round.fetch_add(1, Ordering::Relaxed) + 1;
            self.seen.most_in_a_round.fetch_max(count, Ordering::Relaxed);
            let (ours, theirs) = tokio::io::duplex(CARRIED);
            tokio::task::spawn_local(say_hello(theirs, self.hello.clone(), self.seen.clone()));
            let from = Ipv4Addr::from_bits((127 << 24) | (u32::try_from(number).unwrap() << 8) | 1);
            Ok((Box::new(ours), (from, 1).into()))
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok((Ipv4Addr::LOCALHOST, 2).into())
        }
    }

    async fn say_hello(mut stream: DuplexStream, hello: Vec<u8>, seen: Arc<Seen>) {
        if stream.write_all(&hello).await.is_ok() && stream.read_u8().await.is_ok() {
            seen.answered.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        }
    }

    struct Manager;

    impl actix::Actor for Manager {
        type Context = Context<Self>;
    }

    impl actix::Handler<Accepted> for Manager {
        type Result = ();

        fn handle(&mut self, _: Accepted, _: &mut Context<Self>) {}
    }

    #[tokio::test(start_paused = true)]
    async fn others_come_between_two_of_a_burst_and_nobody_gives_way_unanswered() {
        let accepting = async {
            let tls = Tls::new(&SecretKey::development("node", 1)).unwrap();
            let (ours, mut theirs) = tokio::io::duplex(4_096);
            let mut hello = vec![0; 4_096];
            let count = tokio::select! {
                _ = tls.dial(Box::new(ours), None) => unreachable!("nobody answers"),
                count = theirs.read(&mut hello) => count.unwrap(),
            };
            hello.truncate(count);
            let seen = Arc::new(Seen::default());
            let listener = Box::new(Burst { seen: seen.clone(), hello });
            let clock = Arc::new(crate::SystemClock::start());
            let manager = actix::Actor::start(Manager).recipient();
            let handshakes = InboundHandshakes::new();
            let accepting = tokio::task::spawn_local(accept_all(listener, tls, handshakes.clone(), clock, manager));
            for _ in 0..20 * COME {
                seen.in_this_round.store(0, Ordering::Relaxed);
                yield_now().await;
            }
            accepting.abort();
            assert_eq!(seen.accepted.load(Ordering::Relaxed), COME);
            assert!(seen.most_in_a_round.load(Ordering::Relaxed) <= 2, "{:?}", seen.most_in_a_round);
            assert_eq!(seen.answered.load(Ordering::Relaxed), COME, "{:?}", handshakes.counts());
        };
        LocalSet::new().run_until(accepting).await;
    }
}
