//! One message of every kind, with fixed contents: what golden vectors, fuzzers and tests of the shells walk.

use crate::message::{
    ApplicationMessage, BlockSyncMessage, ConsensusMessage, ControlMessage, Hello, Kind, MempoolMessage, Message,
    Opaque, ValidatorClaim, VoteSetBits, WireBlockPart, WireKeyReport, WireOtherSession,
};
use uuid::Uuid;

/// The sample of a kind; `None` for chunks, which are parts of other messages.
pub fn message(kind: Kind) -> Option<Message> {
    Some(match kind {
        Kind::Chunk => return None,
        Kind::Hello => ControlMessage::Hello(Box::new(hello())).into(),
        Kind::Ping => ControlMessage::Ping { nonce: 0x0123_4567_89ab_cdef }.into(),
        Kind::Pong => ControlMessage::Pong { nonce: 0x0123_4567_89ab_cdef, time_ms: 1_700_000_000_000 }.into(),
        Kind::Goodbye => ControlMessage::Goodbye { code: 3 }.into(),
        Kind::GetAddr => ControlMessage::GetAddr.into(),
        Kind::Addr => ControlMessage::Addr { records: vec![opaque(120), opaque(0), opaque(256)] }.into(),
        Kind::Vote => ConsensusMessage::Vote(opaque(143)).into(),
        Kind::Proposal => ConsensusMessage::Proposal(opaque(145)).into(),
        Kind::Polka => ConsensusMessage::Polka(opaque(336)).into(),
        Kind::RoundCertificate => ConsensusMessage::RoundCertificate(opaque(409)).into(),
        Kind::VoteSetBits => ConsensusMessage::VoteSetBits(VoteSetBits {
            height: 1_000_000,
            round: 2,
            has_proposal: true,
            has_block: false,
            prevotes: vec![0b0000_1011],
            precommits: vec![0],
        })
        .into(),
        Kind::Block => ConsensusMessage::Block(opaque(700)).into(),
        Kind::GetBlock => ConsensusMessage::GetBlock { height: u64::MAX, id: [0xff; 32] }.into(),
        Kind::KeyReport => ConsensusMessage::KeyReport(WireKeyReport {
            height: 123_456,
            other: Some(WireOtherSession {
                node: [0xc1; 32],
                instance: Uuid::from_u128(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100),
                address: Some(core::net::SocketAddr::from(([10, 0, 0, 9], 7000))),
                age_ms: 90_000,
                left_ms: Some(12_000),
                has_signed: true,
            }),
        })
        .into(),
        Kind::CompactBlock => ConsensusMessage::CompactBlock(opaque(600)).into(),
        Kind::GetBlockTransactions => {
            let positions = vec![0, 127, 128, 70_000];
            ConsensusMessage::GetBlockTransactions(WireBlockPart { height: 70_001, id: [0xb1; 32], positions }).into()
        }
        Kind::BlockTransactions => {
            ConsensusMessage::BlockTransactions { id: [0xb1; 32], transactions: vec![opaque(250), opaque(80)] }.into()
        }
        Kind::Announce => MempoolMessage::Announce { ids: vec![[0x11; 32], [0xfe; 32]] }.into(),
        Kind::Request => MempoolMessage::Request { ids: vec![[0xfe; 32]] }.into(),
        Kind::Transactions => MempoolMessage::Transactions { transactions: vec![opaque(250), opaque(300)] }.into(),
        Kind::Status => BlockSyncMessage::Status { height: 70_000, earliest: 1 }.into(),
        Kind::GetBlocks => BlockSyncMessage::GetBlocks { request: 9, from: 69_000, count: 64 }.into(),
        Kind::Decided => {
            BlockSyncMessage::Decided { request: 9, height: 69_000, certificate: opaque(340), block: opaque(700) }
                .into()
        }
        Kind::End => BlockSyncMessage::End { request: 9, sent: 64 }.into(),
        Kind::Application => ApplicationMessage(opaque(40)).into(),
    })
}

/// A hello with every field set.
pub fn hello() -> Hello {
    Hello {
        protocol: 2,
        chain_id: 7,
        genesis: [0x5a; 32],
        agent: "timed/0.1.0".to_owned(),
        instance: Uuid::from_u128(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f),
        listen_port: 7000,
        external: Some("node.example.org:7000".to_owned()),
        height: 123_456,
        time_ms: 1_700_000_000_000,
        capabilities: 0b101,
        ping_interval_ms: 5000,
        validator: Some(ValidatorClaim { key: [0xc0; 32], signature: [0x51; 64] }),
    }
}

/// Bytes 0, 1, 2, … 255, 0, …
pub fn opaque(bytes: usize) -> Opaque {
    (0..=u8::MAX).cycle().take(bytes).collect::<Vec<_>>().into()
}
