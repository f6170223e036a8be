//! The handshake: who is there, on which chain, and does it hold the validator key it claims.
//!
//! ```text
//!   new ──(send our Hello)──► waiting ──their Hello, good──► done (PeerInfo)
//!                                │ bad Hello, another message, 5 s
//!                                └──────────────────────────► failed (HandshakeError)
//! ```
//!
//! Both sides send at once and check the other's alone. The secure channel has proved the node keys before.

use crate::Direction;
use crate::addresses::{AddressRecordError, check_address, join_address};
use crate::end_reason::EndReason;
use crate::heartbeat::{INTERVAL_MAX, INTERVAL_MIN, INTERVAL_VALIDATORS, agree_interval};
use core::net::IpAddr;
use std::time::Duration;
use timed_primitives::{ChainId, Hash, Instant, PublicKey, SecretKey, Signature, UnixTime};
use timed_wire::message::ValidatorClaim;
use timed_wire::{ControlMessage, Hello, Message};
use uuid::Uuid;

/// The version of the protocol this software speaks. In version 1 headers had no history root.
pub const PROTOCOL: u16 = 2;

/// Capability bit of a dialler that only wants to see whether the node answers there: it gets a handshake, a goodbye with
/// [`EndReason::Tested`] and never counted as a peer.
pub const FEELER: u64 = 1;
/// Capability bit of a node that takes compact blocks under decision: transactions that it holds may be named in them.
pub const COMPACT_BLOCKS: u64 = 2;

/// Time for the whole handshake, counted from the secure channel's completion.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest agent text. Unit: bytes of printable ASCII.
pub const AGENT_BYTES_MAX: usize = 64;

/// Domain of the validator claim.
const CLAIM_DOMAIN: &[u8] = b"timed v1 validator claim";

/// What this node says of itself in every handshake.
#[derive(Clone, Debug)]
pub struct LocalNode {
    /// Its node key's public half, which the secure channel proves.
    pub key: PublicKey,
    /// Its consensus key, when it votes.
    pub consensus_key: Option<SecretKey>,
    /// Its chain.
    pub chain_id: ChainId,
    /// Its chain's genesis.
    pub genesis: Hash,
    /// Name and version of the software. Bound: [`AGENT_BYTES_MAX`].
    pub agent: String,
    /// Drawn once per start.
    pub instance: Uuid,
    /// Port it accepts connections on; 0 when it does not.
    pub listen_port: u16,
    /// Address under which it wants to be known, `host:port`.
    pub external: Option<String>,
    /// Height of its tip when the connection began.
    pub height: u64,
    /// Bits of what it can do.
    pub capabilities: u64,
    /// Its wish for the time between pings.
    pub ping_interval: Duration,
}

impl LocalNode {
    /// One that neither votes nor accepts connections, has no block, and wishes for a ping every 5 s. Change what differs.
    pub fn new(key: PublicKey, chain_id: ChainId, genesis: Hash, agent: impl Into<String>, instance: Uuid) -> Self {
        Self {
            key,
            consensus_key: None,
            chain_id,
            genesis,
            agent: agent.into(),
            instance,
            listen_port: 0,
            external: None,
            height: 0,
            capabilities: 0,
            ping_interval: INTERVAL_VALIDATORS,
        }
    }
}

/// What the handshake said of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeInfo {
    /// Its node key.
    pub key: PublicKey,
    /// Who dialled.
    pub direction: Direction,
    /// Its consensus key, proved.
    pub validator: Option<PublicKey>,
    /// Its version of the protocol.
    pub protocol: u16,
    /// Its software. Printable ASCII, at most 64 bytes.
    pub agent: String,
    /// Differs after each of its starts.
    pub instance: Uuid,
    /// Port it accepts connections on; 0 when it does not.
    pub listen_port: u16,
    /// Address under which it wants to be known.
    pub external: Option<String>,
    /// Height of its tip at the handshake.
    pub height: u64,
    /// Its clock at the handshake; zero when it does not say.
    pub time: UnixTime,
    /// Bits of what it can do.
    pub capabilities: u64,
    /// The agreed time between pings.
    pub interval: Duration,
}

impl HandshakeInfo {
    /// Whether it dialled us only to see whether we answer: [`FEELER`].
    pub const fn is_feeler(&self) -> bool {
        matches!(self.direction, Direction::Inbound) && self.capabilities & FEELER != 0
    }

    /// Where others can dial it: its external address, else the observed IP with the port it announced; `None` when it accepts
    /// no connections.
    pub fn address(&self, observed: IpAddr) -> Option<String> {
        match (&self.external, self.listen_port) {
            (Some(external), _) => Some(external.clone()),
            (None, 0) => None,
            (None, port) => Some(join_address(observed, port)),
        }
    }
}

/// Why a handshake was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Another version of the protocol.
    #[error("peer speaks protocol {theirs}, we speak {ours}: upgrade the older node")]
    Protocol {
        /// Theirs.
        theirs: u16,
        /// Ours.
        ours: u16,
    },
    /// Another chain.
    #[error("peer is on chain {theirs}, we are on {ours}: compare the networks of both")]
    ChainId {
        /// Theirs.
        theirs: ChainId,
        /// Ours.
        ours: ChainId,
    },
    /// Another beginning of the chain.
    #[error("peer's genesis is {theirs}, ours is {ours}: compare the genesis files of both")]
    Genesis {
        /// Theirs.
        theirs: Hash,
        /// Ours.
        ours: Hash,
    },
    /// The peer is ourselves.
    #[error("reached ourselves: remove this address from the peers")]
    SelfConnection,
    /// The agent text is too long or not printable.
    #[error("peer's agent text has {bytes} bytes or is not printable ASCII; at most {AGENT_BYTES_MAX} are allowed")]
    Agent {
        /// Its length.
        bytes: usize,
    },
    /// The wish for the ping interval is out of bounds.
    #[error("peer wishes {wish_ms} ms between pings; allowed are 500 to 60000 ms")]
    PingInterval {
        /// The wish.
        wish_ms: u32,
    },
    /// The external address has no valid form.
    #[error("peer's external address is invalid: {0}")]
    External(#[from] AddressRecordError),
    /// The claim's signature does not hold for this connection.
    #[error("peer's proof of validator key {} does not hold for this connection", .key.short())]
    Claim {
        /// The key it claimed.
        key: PublicKey,
    },
    /// A message came before the handshake.
    #[error("peer sent {kind} before its handshake")]
    Order {
        /// The message's kind.
        kind: &'static str,
    },
    /// The handshake did not come in time.
    #[error("no handshake within 5 s")]
    Timeout,
}

impl HandshakeError {
    /// The reason to say goodbye with.
    pub const fn reason(&self) -> EndReason {
        match self {
            Self::Protocol { .. } => EndReason::ProtocolVersion,
            Self::ChainId { .. } => EndReason::ChainId,
            Self::Genesis { .. } => EndReason::Genesis,
            Self::SelfConnection => EndReason::SelfConnection,
            Self::Agent { .. } | Self::PingInterval { .. } | Self::External(_) => EndReason::HandshakeInvalid,
            Self::Claim { .. } => EndReason::ValidatorClaim,
            Self::Order { .. } => EndReason::HandshakeOrder,
            Self::Timeout => EndReason::HandshakeTimeout,
        }
    }
}

/// What the caller must do now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum HandshakeAction {
    /// Nothing; call [`Handshake::on_tick`] at [`Handshake::next_wake`].
    Wait,
    /// The peer is up. Given at most once.
    Up(Box<HandshakeInfo>),
    /// The peer said goodbye in place of its handshake: end the session.
    Goodbye(EndReason),
    /// Say goodbye with the error's reason and end the session.
    Fail(HandshakeError),
}

/// The handshake on one connection.
#[derive(Clone, Debug)]
pub struct Handshake {
    local: LocalNode,
    their_key: PublicKey,
    direction: Direction,
    exporter: [u8; 32],
    give_up_at: Instant,
    is_over: bool,
}

impl Handshake {
    /// Begins: gives the `Hello` to send at once, once its sender has set the time in it. `their_key` is what the secure channel proved, `exporter` its exporter value
    /// (RFC 8446, section 7.5), which binds the validator claim to this connection.
    pub fn begin(
        now: Instant,
        local: LocalNode,
        their_key: PublicKey,
        direction: Direction,
        exporter: [u8; 32],
    ) -> (Self, Hello) {
        let validator = local.consensus_key.as_ref().map(|key| {
            let ends = ClaimEnds::new(local.chain_id, local.key, their_key, direction, exporter);
            let Signature(signature) = sign_claim(key, &ends);
            ValidatorClaim { key: key.public().0, signature }
        });
        let hello = Hello {
            protocol: PROTOCOL,
            chain_id: local.chain_id.0,
            genesis: local.genesis.0,
            agent: local.agent.clone(),
            instance: local.instance,
            listen_port: local.listen_port,
            external: local.external.clone(),
            height: local.height,
            time_ms: 0,
            capabilities: local.capabilities,
            ping_interval_ms: u32::try_from(local.ping_interval.as_millis()).unwrap_or(u32::MAX),
            validator,
        };
        let give_up_at = now + HANDSHAKE_TIMEOUT;
        (Self { local, their_key, direction, exporter, give_up_at, is_over: false }, hello)
    }

    /// A message came in. After [`HandshakeAction::Up`] messages no longer come here.
    pub fn on_message(&mut self, message: &Message) -> HandshakeAction {
        if self.is_over {
            return HandshakeAction::Wait;
        }
        self.is_over = true;
        match message {
            Message::Control(ControlMessage::Hello(hello)) => match self.check(hello) {
                Ok(info) => HandshakeAction::Up(Box::new(info)),
                Err(error) => HandshakeAction::Fail(error),
            },
            Message::Control(ControlMessage::Goodbye { code }) => HandshakeAction::Goodbye(EndReason::from_code(*code)),
            other => HandshakeAction::Fail(HandshakeError::Order { kind: other.kind().name() }),
        }
    }

    /// The timer of [`Handshake::next_wake`] fired.
    pub fn on_tick(&mut self, now: Instant) -> HandshakeAction {
        if self.is_over || now < self.give_up_at {
            return HandshakeAction::Wait;
        }
        self.is_over = true;
        HandshakeAction::Fail(HandshakeError::Timeout)
    }

    /// When to call [`Handshake::on_tick`]; `None` once it is over.
    pub fn next_wake(&self) -> Option<Instant> {
        (!self.is_over).then_some(self.give_up_at)
    }

    /// Cheap checks before the signature.
    fn check(&self, hello: &Hello) -> Result<HandshakeInfo, HandshakeError> {
        let local = &self.local;
        if hello.instance == local.instance || self.their_key == local.key {
            return Err(HandshakeError::SelfConnection);
        }
        if hello.protocol != PROTOCOL {
            return Err(HandshakeError::Protocol { theirs: hello.protocol, ours: PROTOCOL });
        }
        if hello.chain_id != local.chain_id.0 {
            return Err(HandshakeError::ChainId { theirs: ChainId(hello.chain_id), ours: local.chain_id });
        }
        if hello.genesis != local.genesis.0 {
            return Err(HandshakeError::Genesis { theirs: Hash(hello.genesis), ours: local.genesis });
        }
        let is_printable = |b: u8| b.is_ascii_graphic() || b == b' ';
        if hello.agent.len() > AGENT_BYTES_MAX || !hello.agent.bytes().all(is_printable) {
            return Err(HandshakeError::Agent { bytes: hello.agent.len() });
        }
        let wish = Duration::from_millis(u64::from(hello.ping_interval_ms));
        if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&wish) {
            return Err(HandshakeError::PingInterval { wish_ms: hello.ping_interval_ms });
        }
        if let Some(external) = &hello.external {
            check_address(external)?;
        }
        let validator = hello.validator.as_ref().map(|claim| self.check_claim(claim)).transpose()?;
        let are_both_validators = validator.is_some() && local.consensus_key.is_some();
        Ok(HandshakeInfo {
            key: self.their_key,
            direction: self.direction,
            validator,
            protocol: hello.protocol,
            agent: hello.agent.clone(),
            instance: hello.instance,
            listen_port: hello.listen_port,
            external: hello.external.clone(),
            height: hello.height,
            time: UnixTime(hello.time_ms),
            capabilities: hello.capabilities,
            interval: agree_interval(local.ping_interval, wish, are_both_validators),
        })
    }

    fn check_claim(&self, claim: &ValidatorClaim) -> Result<PublicKey, HandshakeError> {
        let key = PublicKey(claim.key);
        let theirs = self.direction.reversed();
        let ends = ClaimEnds::new(self.local.chain_id, self.their_key, self.local.key, theirs, self.exporter);
        if verify_claim(&key, &ends, &Signature(claim.signature)) {
            Ok(key)
        } else {
            Err(HandshakeError::Claim { key })
        }
    }
}

/// What a validator claim is bound to: one end of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimEnds {
    /// The chain.
    pub chain_id: ChainId,
    /// Node key of the end that dialled.
    pub dialler: PublicKey,
    /// Node key of the end that listened.
    pub listener: PublicKey,
    /// Who signs, as its own view of the connection: outbound for the dialler, inbound for the listener.
    pub role: Direction,
    /// Exporter value of the connection's secure channel.
    pub exporter: [u8; 32],
}

impl ClaimEnds {
    /// From the signer's point of view.
    pub const fn new(
        chain_id: ChainId,
        signer: PublicKey,
        other: PublicKey,
        role: Direction,
        exporter: [u8; 32],
    ) -> Self {
        let (dialler, listener) = match role {
            Direction::Outbound => (signer, other),
            Direction::Inbound => (other, signer),
        };
        Self { chain_id, dialler, listener, role, exporter }
    }

    /// Domain ‖ chain id (8 bytes, big endian) ‖ dialler ‖ listener ‖ role (1 byte) ‖ exporter.
    fn message(&self) -> Vec<u8> {
        let role = match self.role {
            Direction::Outbound => b'd',
            Direction::Inbound => b'l',
        };
        let mut bytes = CLAIM_DOMAIN.to_vec();
        bytes.extend(self.chain_id.0.to_be_bytes());
        bytes.extend(self.dialler.0);
        bytes.extend(self.listener.0);
        bytes.push(role);
        bytes.extend(self.exporter);
        bytes
    }
}

/// Proves to the other end of one connection that we hold a consensus key.
pub fn sign_claim(key: &SecretKey, ends: &ClaimEnds) -> Signature {
    key.sign(&ends.message())
}

/// True when the holder of `key` signed for exactly this end of this connection.
pub fn verify_claim(key: &PublicKey, ends: &ClaimEnds, signature: &Signature) -> bool {
    key.verify(&ends.message(), signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EXPORTER: [u8; 32] = [7; 32];

    fn node(id: u64, votes: bool) -> LocalNode {
        LocalNode {
            key: SecretKey::development("node", id).public(),
            consensus_key: votes.then(|| SecretKey::development("consensus", id)),
            chain_id: ChainId(9),
            genesis: Hash([1; 32]),
            agent: "timed/0.1.0".into(),
            instance: Uuid::from_u128(u128::from(id)),
            listen_port: 7000,
            external: None,
            height: 5,
            capabilities: 0,
            ping_interval: if votes { Duration::from_secs(5) } else { Duration::from_secs(15) },
        }
    }

    fn pair(one: &LocalNode, other: &LocalNode) -> (Handshake, Hello) {
        let (_, hello) = Handshake::begin(Instant(0), one.clone(), other.key, Direction::Outbound, EXPORTER);
        let (waiting, _) = Handshake::begin(Instant(0), other.clone(), one.key, Direction::Inbound, EXPORTER);
        (waiting, hello)
    }

    fn shake_hands(waiting: &mut Handshake, hello: &Hello) -> HandshakeAction {
        waiting.on_message(&Message::Control(ControlMessage::Hello(Box::new(hello.clone()))))
    }

    #[test]
    fn two_nodes_learn_each_other_and_agree_on_the_interval() {
        for (one_votes, other_votes, seconds) in
            [(true, true, 5), (true, false, 15), (false, true, 15), (false, false, 15)]
        {
            let (one, other) = (node(1, one_votes), node(2, other_votes));
            let (mut a, hello_a) = Handshake::begin(Instant(0), one.clone(), other.key, Direction::Outbound, EXPORTER);
            let (mut b, hello_b) = Handshake::begin(Instant(0), other.clone(), one.key, Direction::Inbound, EXPORTER);
            let HandshakeAction::Up(at_b) = shake_hands(&mut b, &hello_a) else { panic!("b refused") };
            let HandshakeAction::Up(at_a) = shake_hands(&mut a, &hello_b) else { panic!("a refused") };
            assert_eq!((at_a.key, at_b.key), (other.key, one.key));
            assert_eq!(at_b.validator, one.consensus_key.as_ref().map(SecretKey::public));
            assert_eq!((at_a.interval, at_b.interval), (Duration::from_secs(seconds), Duration::from_secs(seconds)));
            assert_eq!((at_a.direction, at_b.direction), (Direction::Outbound, Direction::Inbound));
            assert_eq!((a.next_wake(), b.next_wake()), (None, None));
            assert_eq!(at_b.address("10.0.0.3".parse().unwrap()), Some("10.0.0.3:7000".into()));
            assert_eq!(at_b.address("::1".parse().unwrap()), Some("[::1]:7000".into()));
        }
    }

    #[test]
    fn each_mismatch_has_its_reason() {
        type Change = fn(&mut Hello);
        let changes: [(Change, EndReason); 10] = [
            (|h| h.protocol = PROTOCOL - 1, EndReason::ProtocolVersion),
            (|h| h.protocol = PROTOCOL + 1, EndReason::ProtocolVersion),
            (|h| h.chain_id = 1, EndReason::ChainId),
            (|h| h.genesis[0] ^= 1, EndReason::Genesis),
            (|h| h.instance = Uuid::from_u128(2), EndReason::SelfConnection),
            (|h| h.agent = "x".repeat(65), EndReason::HandshakeInvalid),
            (|h| h.agent = "a\u{1b}[31m".into(), EndReason::HandshakeInvalid),
            (|h| h.ping_interval_ms = 10, EndReason::HandshakeInvalid),
            (|h| h.external = Some("nowhere".into()), EndReason::HandshakeInvalid),
            (|h| h.validator.as_mut().unwrap().signature[0] ^= 1, EndReason::ValidatorClaim),
        ];
        for (change, reason) in changes {
            let (mut waiting, mut hello) = pair(&node(1, true), &node(2, true));
            change(&mut hello);
            let HandshakeAction::Fail(error) = shake_hands(&mut waiting, &hello) else { panic!("{reason:?} accepted") };
            assert_eq!(error.reason(), reason, "{error}");
            assert_eq!(waiting.next_wake(), None);
        }
    }

    #[test]
    fn nothing_is_accepted_before_the_handshake_and_not_for_long() {
        let (mut waiting, hello) = pair(&node(1, false), &node(2, false));
        let ping = Message::Control(ControlMessage::Ping { nonce: 1 });
        assert_eq!(waiting.on_message(&ping), HandshakeAction::Fail(HandshakeError::Order { kind: "ping" }));
        assert_eq!(shake_hands(&mut waiting, &hello), HandshakeAction::Wait, "over is over");
        let (mut waiting, _) = pair(&node(1, false), &node(2, false));
        let bye = Message::Control(ControlMessage::Goodbye { code: EndReason::TooManyPeers.code() });
        assert_eq!(waiting.on_message(&bye), HandshakeAction::Goodbye(EndReason::TooManyPeers));
        let (mut waiting, _) = pair(&node(1, false), &node(2, false));
        assert_eq!(waiting.next_wake(), Some(Instant(5_000_000)));
        assert_eq!(waiting.on_tick(Instant(4_999_999)), HandshakeAction::Wait);
        assert_eq!(waiting.on_tick(Instant(5_000_000)), HandshakeAction::Fail(HandshakeError::Timeout));
        assert_eq!(waiting.on_tick(Instant(6_000_000)), HandshakeAction::Wait);
    }

    #[test]
    fn the_same_node_key_is_ourselves_even_after_a_restart() {
        let (mut waiting, mut hello) = pair(&node(2, false), &node(2, false));
        hello.instance = Uuid::from_u128(77);
        assert_eq!(shake_hands(&mut waiting, &hello), HandshakeAction::Fail(HandshakeError::SelfConnection));
    }

    #[test]
    fn a_claim_holds_for_one_end_of_one_connection_only() {
        let key = SecretKey::development("consensus", 1);
        let (one, other) = (node(1, true).key, node(2, true).key);
        let good = ClaimEnds::new(ChainId(9), one, other, Direction::Outbound, EXPORTER);
        let signature = sign_claim(&key, &good);
        assert!(verify_claim(&key.public(), &good, &signature));
        let others = [
            ClaimEnds { chain_id: ChainId(8), ..good },
            ClaimEnds { dialler: other, ..good },
            ClaimEnds { listener: one, ..good },
            ClaimEnds { role: Direction::Inbound, ..good },
            ClaimEnds { exporter: [8; 32], ..good },
            ClaimEnds::new(ChainId(9), other, one, Direction::Outbound, EXPORTER),
        ];
        for bad in others {
            assert!(!verify_claim(&key.public(), &bad, &signature), "{bad:?}");
        }
        assert!(!verify_claim(&SecretKey::development("consensus", 2).public(), &good, &signature));
    }

    proptest! {
        #[test]
        fn any_hello_is_checked_without_a_panic(
            agent in ".{0,80}", external in proptest::option::of(".{0,300}"), interval: u32, height: u64, port: u16,
        ) {
            let (mut waiting, mut hello) = pair(&node(1, true), &node(2, false));
            (hello.agent, hello.external, hello.ping_interval_ms) = (agent, external, interval);
            (hello.height, hello.listen_port) = (height, port);
            match shake_hands(&mut waiting, &hello) {
                HandshakeAction::Up(info) => {
                    prop_assert!(info.agent.len() <= AGENT_BYTES_MAX && info.agent.is_ascii());
                    prop_assert!((INTERVAL_MIN..=INTERVAL_MAX).contains(&info.interval));
                }
                HandshakeAction::Fail(error) => prop_assert_eq!(error.reason(), EndReason::HandshakeInvalid),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
