//! The shapes of results. Fields have Bitcoin's names where the meaning is the same; times are seconds since 1970 unless their name
//! ends in `_ms`, ratios and durations are seconds as decimal numbers.

use crate::payload::PayeeInfo;
use crate::text::{JsonAmount, Text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use timed_ledger::RegistrationId;
use timed_primitives::{BlockId, Hash, PublicKey, TxFullId, TxId};

/// `getblockchaininfo`: where the chain stands on this node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlockchainInfo {
    /// `mainnet`, `testnet` or `devnet`.
    pub chain: String,
    /// Number of the chain, in everything that is signed.
    pub chain_id: u64,
    /// Hash of the genesis.
    pub genesis: Text<Hash>,
    /// Height of the last block; each one is final.
    pub blocks: u64,
    /// The greatest height that a peer has reported, or our own.
    pub headers: u64,
    /// Id of the last block; zeros before the first.
    pub bestblockhash: Text<BlockId>,
    /// Time of the last block.
    pub time: u64,
    /// Time of the last block in milliseconds.
    pub time_ms: u64,
    /// `blocks` of `headers`, from 0 to 1.
    pub verificationprogress: f64,
    /// True while blocks are fetched from peers.
    pub initialblockdownload: bool,
    /// Progress of fetching blocks; absent when there is nothing to fetch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sync: Option<SyncInfo>,
    /// Commitment to the state after the last block.
    pub state_commitment: Text<Hash>,
    /// All money: the sum of unspent outputs.
    pub supply: JsonAmount,
    /// How many unspent outputs there are.
    pub utxos: u64,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// Progress of fetching blocks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SyncInfo {
    /// The height that is aimed at.
    pub target: u64,
    /// From 0 to 100.
    pub percent: f64,
    /// Blocks applied in the last seconds. Unit: blocks/s.
    pub blocks_per_second: f64,
    /// Time left at this rate, when there is one. Unit: seconds.
    pub eta_seconds: Option<u64>,
    /// Why nothing moves, when nothing does.
    pub stalled: Option<String>,
}

/// The version of a crate as one number, as Bitcoin counts: major × 10,000 + minor × 100 + patch.
pub fn version_number(version: &str) -> u32 {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default().min(99);
    next() * 10_000 + next() * 100 + next()
}

/// `getnetworkinfo`: this node among its peers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkInfo {
    /// Name and version of the software, as peers see it.
    pub subversion: String,
    /// Version of the software as one number, as Bitcoin counts: 100 is 0.1.0, and 10000 is 1.0.0.
    pub version: u32,
    /// Version of the protocol between nodes.
    pub protocolversion: u16,
    /// Key by which peers know this node.
    pub node_key: Text<PublicKey>,
    /// Where it listens.
    pub listen: String,
    /// The address it announces, when one is configured.
    pub external: Option<String>,
    /// Connected peers.
    pub connections: u32,
    /// Of these, they dialled.
    pub connections_in: u32,
    /// Of these, we dialled.
    pub connections_out: u32,
    /// Of these, proved to be validators.
    pub connections_validators: u32,
    /// Most inbound connections.
    pub inbound_max: u32,
    /// Most outbound connections.
    pub outbound_max: u32,
    /// Least fee this node relays. Unit: TIME per 1,000 bytes.
    pub relayfee: JsonAmount,
    /// The validators' clocks, their median by voting power, minus ours; null while fewer than a quorum are measured. Unit: milliseconds.
    pub time_offset_ms: Option<i64>,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// One row of `getpeerinfo`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// Number of the session, unique in this run of the node.
    pub id: u64,
    /// Observed IP with the announced port.
    pub addr: String,
    /// Key of the peer.
    pub node_key: Text<PublicKey>,
    /// Its consensus key, when it proved to hold one.
    pub validator: Option<Text<PublicKey>>,
    /// True when it dialled us.
    pub inbound: bool,
    /// When the session began.
    pub conntime: u64,
    /// Name and version of its software.
    pub subver: String,
    /// Version of its protocol.
    pub version: u16,
    /// Height that it last reported.
    pub height: u64,
    /// Its clock minus ours, as its handshake and its pongs report it. Unit: seconds.
    pub timeoffset: Option<i64>,
    /// The same, more exactly. Unit: milliseconds.
    pub time_offset_ms: Option<i64>,
    /// Smoothed round-trip time of pings. Unit: seconds.
    pub pingtime: Option<f64>,
    /// Least round-trip time seen. Unit: seconds.
    pub minping: Option<f64>,
    /// How long the ping in flight has waited. Unit: seconds.
    pub pingwait: Option<f64>,
    /// Smoothed deviation of the round-trip time (RFC 6298). Unit: seconds.
    pub pingdev: Option<f64>,
    /// Agreed time between pings. Unit: seconds.
    pub interval: f64,
    /// How long it may say nothing before it is given up. Unit: seconds.
    pub deadline: f64,
    /// The longest it has said nothing in this session: how near it came to be given up. Unit: seconds.
    pub silencemax: f64,
    /// When we last sent something.
    pub lastsend: u64,
    /// When something last arrived.
    pub lastrecv: u64,
    /// When it last brought a transaction that we did not have; 0 when it has not.
    pub last_transaction: u64,
    /// All bytes sent.
    pub bytessent: u64,
    /// All bytes received.
    pub bytesrecv: u64,
    /// Bytes sent, by kind of message.
    pub bytessent_per_msg: BTreeMap<String, u64>,
    /// Bytes received, by kind of message.
    pub bytesrecv_per_msg: BTreeMap<String, u64>,
    /// What waits and what went, by lane.
    pub lanes: Vec<LaneInfo>,
    /// Messages of it that were not handled, by cause.
    pub dropped: BTreeMap<String, u64>,
    /// Messages to it that full lanes dropped.
    pub droppedsend: u64,
    /// Penalty points; 100 end the session.
    pub penalty: u32,
}

/// One lane of a peer: control, consensus or bulk, served in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneInfo {
    /// Its name.
    pub lane: String,
    /// Bytes that wait to be sent.
    pub queued: u64,
    /// How long the oldest message has waited. Unit: seconds.
    pub queueage: f64,
    /// Bytes sent.
    pub bytessent: u64,
    /// Bytes received.
    pub bytesrecv: u64,
}

/// One row of `getpeerhistory`: what was going on when a session ended, or why a dial led to none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndInfo {
    /// Key of the peer, when it had proved one.
    pub node_key: Option<Text<PublicKey>>,
    /// Observed IP with the announced port, or what was dialled.
    pub addr: String,
    /// True when it dialled us.
    pub inbound: bool,
    /// Why, for programs.
    pub reason: String,
    /// Who closed: `us` or `them`.
    pub by: String,
    /// Why and by whom, for people.
    pub why: String,
    /// When. Unit: seconds since 1970.
    pub ended: u64,
    /// How long it was up; 0 when the handshake never completed. Unit: seconds.
    pub uptime: f64,
    /// How long nothing had come. Unit: seconds.
    pub silent: f64,
    /// The last round trips, oldest first. Unit: seconds.
    pub rtt: Vec<f64>,
    /// What waited to be sent, by lane.
    pub queues: Vec<QueueInfo>,
    /// The last messages, oldest first.
    pub last_messages: Vec<LastMessageInfo>,
}

/// What waited in one lane when a session ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueInfo {
    /// Name of the lane.
    pub lane: String,
    /// Unit: bytes.
    pub bytes: u64,
    /// How long the oldest had waited. Unit: seconds.
    pub age: f64,
}

/// One of the last messages of a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastMessageInfo {
    /// How long before the end. Unit: seconds.
    pub before_end: f64,
    /// True when we sent it.
    pub sent: bool,
    /// Its kind; `unknown` for one of a later version.
    pub kind: String,
    /// On the wire. Unit: bytes.
    pub bytes: u64,
}

/// One row of `ping`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PingInfo {
    /// Key of the peer.
    pub node_key: Text<PublicKey>,
    /// Observed IP with the announced port.
    pub addr: String,
    /// Round trip; `None` when no answer came in time. Unit: seconds.
    pub rtt: Option<f64>,
}

/// One row of `listbanned`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BanInfo {
    /// Whose.
    pub node_key: Text<PublicKey>,
    /// Until when. Unit: seconds since 1970.
    pub banned_until: u64,
    /// Until then from now. Unit: seconds.
    pub time_remaining: u64,
    /// The last offence, or `operator`.
    pub reason: String,
}

/// `getmempoolinfo`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MempoolInfo {
    /// Transactions waiting.
    pub size: u64,
    /// Their size. Unit: bytes.
    pub bytes: u64,
    /// Most bytes it holds.
    pub maxmempool: u64,
    /// Sum of their fees.
    pub total_fee: JsonAmount,
    /// Least fee to enter now: it rises while the pool is full. Unit: TIME per 1,000 bytes.
    pub mempoolminfee: JsonAmount,
    /// Least fee ever. Unit: TIME per 1,000 bytes.
    pub minrelaytxfee: JsonAmount,
}

/// One value of `getrawmempool` with `verbose`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MempoolEntry {
    /// The transaction.
    pub txid: Text<TxId>,
    /// Its id with witnesses.
    pub fullid: Text<TxFullId>,
    /// Unit: bytes.
    pub size: u64,
    /// What it pays.
    pub fee: JsonAmount,
    /// When it entered.
    pub time: u64,
    /// Parents that wait in the mempool too.
    pub depends: Vec<Text<TxId>>,
}

/// One row of `testmempoolaccept`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MempoolAcceptance {
    /// The transaction.
    pub txid: Text<TxId>,
    /// Whether it would enter.
    pub allowed: bool,
    /// Unit: bytes.
    pub size: u64,
    /// What it pays, when it would enter.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fee: Option<JsonAmount>,
    /// Why it would not.
    #[serde(rename = "reject-reason", skip_serializing_if = "Option::is_none", default)]
    pub reject_reason: Option<String>,
}

/// What somebody owns. `getbalance` answers with `spendable`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Final, not about to be spent, and no collateral.
    pub spendable: JsonAmount,
    /// Final, but spent by a transaction that waits in the mempool.
    pub locked: JsonAmount,
    /// To be received from transactions in the mempool.
    pub pending: JsonAmount,
    /// Locked for masternodes, in blocks or in the mempool.
    pub collateral: JsonAmount,
}

/// `getconsensusinfo`: what is being decided, and who is missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsensusInfo {
    /// The height being decided.
    pub height: u64,
    /// The attempt, from 0.
    pub round: u32,
    /// `propose`, `prevote`, `precommit`, `commit`, or `idle` while there is nothing to decide.
    pub step: String,
    /// Who proposes in this round.
    pub proposer: Option<Text<PublicKey>>,
    /// The block voted on, when one is known.
    pub proposal: Option<Text<BlockId>>,
    /// One sentence: why this height is not decided yet.
    pub why: String,
    /// All voting power of this height.
    pub voting_power: u64,
    /// The least power that decides: strictly more than two thirds.
    pub quorum_power: u64,
    /// Power of this node and the validators connected to it.
    pub connected_power: u64,
    /// Whether `connected_power` reaches `quorum_power`.
    pub has_quorum: bool,
    /// Each validator and its votes of this round, in order of key.
    pub validators: Vec<ValidatorVotes>,
    /// This node's consensus key, when it has one.
    pub validator: Option<Text<PublicKey>>,
    /// Whether this node signs votes.
    pub signing: bool,
    /// Why it does not.
    pub signing_off_reason: Option<String>,
    /// How long the last payment that this node accepted took to be final. Unit: milliseconds.
    pub finality_last_ms: Option<f64>,
    /// Median over the last 1,000 such payments. Unit: milliseconds.
    pub finality_p50_ms: Option<f64>,
    /// 99th percentile over the last 1,000 such payments. Unit: milliseconds.
    pub finality_p99_ms: Option<f64>,
}

/// A validator in the round that is being decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidatorVotes {
    /// Consensus key.
    pub key: Text<PublicKey>,
    /// What people call it: `node 3` on a devnet.
    pub name: Option<String>,
    /// Voting power.
    pub power: u64,
    /// Whether it is this node, or connected to it.
    pub connected: bool,
    /// First vote: absent (null), `nil`, or a block's id.
    pub prevote: Option<String>,
    /// Second vote, as `prevote`.
    pub precommit: Option<String>,
}

/// One row of `masternodelist`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MasternodeInfo {
    /// Consensus key, which its operator has.
    pub key: Text<PublicKey>,
    /// What people call it: `node 3` on a devnet.
    pub name: Option<String>,
    /// Voting power at the next height, as it counts; 0 for one that does not vote then.
    pub power: u64,
    /// Part of all voting power. Unit: percent.
    pub power_percent: f64,
    /// Whether it is this node.
    pub is_self: bool,
    /// Whether it is connected to this node.
    pub connected: bool,
    /// Where it is, when connected.
    pub addr: Option<String>,
    /// Its node key, when connected.
    pub node_key: Option<Text<PublicKey>>,
    /// Last height for which the chain holds its precommit, of the 100 before the tip; late ones that a block carries count too.
    pub last_signed: Option<u64>,
    /// For how many of those at which it voted the chain holds its precommit; none when it voted at none. Unit: percent.
    pub signed_percent: Option<f64>,
    /// Its name: the id of the transaction that registered it.
    pub registration: Text<RegistrationId>,
    /// `free`, `bronze`, `silver` or `gold`.
    pub tier: String,
    /// `voting`, `waiting` (for one of 150 places), `not voting` (free), `paused`, `leaving` (until four others vote), `left`,
    /// `jailed` (missed too much) or `ended` (signed two things for one place).
    pub status: String,
    /// The output that is locked for it: `txid-position`, as Dash writes it.
    pub collateral: String,
    /// Where it is reached, as registered.
    pub service: String,
    /// The key that signs what concerns money and keys.
    pub owner: Text<PublicKey>,
    /// Who gets what it earns.
    pub payees: Vec<PayeeInfo>,
    /// Height of the block with its registration; 0 for those of genesis.
    pub registered_height: u64,
    /// From which height on it has no vote, when it has left.
    pub exit_height: Option<u64>,
    /// From when on its collateral can be released, when it has left. Unit: seconds since 1970.
    pub release_time: Option<u64>,
    /// What a double sign costs of its collateral, when that is released.
    pub penalty: JsonAmount,
}

/// `waitfornewblock`: the tip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TipInfo {
    /// Its id.
    pub hash: Text<BlockId>,
    /// Its height.
    pub height: u64,
}

/// `validateaddress`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddressInfo {
    /// Whether this node's network can pay it.
    pub isvalid: bool,
    /// The address in its usual form.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
    /// The network it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub network: Option<String>,
    /// The canonical encoding of the lock that pays it.
    #[serde(rename = "scriptPubKey", skip_serializing_if = "Option::is_none", default)]
    pub script: Option<String>,
    /// Always false: there are no scripts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub isscript: Option<bool>,
    /// Always true: signatures stand beside what they sign.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub iswitness: Option<bool>,
    /// Version of the kind of lock.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub witness_version: Option<u32>,
    /// Hash of the key that may spend.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub witness_program: Option<String>,
    /// Always empty where there is an error: it may be anywhere.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error_locations: Option<Vec<u32>>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}
