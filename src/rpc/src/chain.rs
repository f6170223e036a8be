//! The shapes of blocks, transactions and outputs, made from the real ones.

use crate::error::RpcError;
use crate::node::{BlockFacts, ChainPosition, GenesisFacts, TransactionRecord, TransactionState};
use crate::payload::PayloadInfo;
use crate::text::{JsonAmount, Text, address};
use serde::{Deserialize, Serialize};
use timed_ledger::{Lock, Transaction, Witness, transactions_of};
use timed_primitives::block::BLOCK_VERSION;
use timed_primitives::{BlockId, CommitCertificate, Hash, Height, Network, PublicKey, TxFullId, TxId, encode};

/// `getblock` with verbosity 1 (`T` is an id) or 2 (`T` is a [`TransactionInfo`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockInfo<T> {
    /// Its id.
    pub hash: Text<BlockId>,
    /// 1 for the last block. Every block is final at 1.
    pub confirmations: u64,
    /// Its height.
    pub height: u64,
    /// Format.
    pub version: u16,
    /// The same in hex.
    #[serde(rename = "versionHex")]
    pub version_hex: String,
    /// Its time.
    pub time: u64,
    /// The same: time never goes back here.
    pub mediantime: u64,
    /// Its time in milliseconds.
    pub time_ms: u64,
    /// Always 0: nothing is mined here, so all that speaks of work is the least there can be.
    pub nonce: u32,
    /// Bitcoin's target of difficulty 1, in short form.
    pub bits: String,
    /// The same in full.
    pub target: String,
    /// Always 1.
    pub difficulty: u64,
    /// How many blocks there are up to this one, the genesis included. 64 hex digits.
    pub chainwork: String,
    /// Consensus key of who made it.
    pub proposer: Text<PublicKey>,
    /// The round in which it was first proposed.
    pub round: u32,
    /// Root over the full ids of its transactions.
    pub merkleroot: Text<Hash>,
    /// Commitment to the state after it.
    pub state_commitment: Text<Hash>,
    /// Root over the ids of all blocks before it.
    pub history_root: Text<Hash>,
    /// Root over the list of masternodes after the block.
    pub masternode_root: Text<Hash>,
    /// Root over the outputs that were unspent one interval before, in headers at the end of an interval; zero in others.
    pub output_root: Text<Hash>,
    /// Hash of the validator set that decided it.
    pub validators_hash: Text<Hash>,
    /// Hash of the validator set that decides the next.
    pub next_validators_hash: Text<Hash>,
    /// Unit: bytes.
    pub size: u64,
    /// The same: nothing is left out when a block is hashed.
    pub strippedsize: u64,
    /// Four times `size`, as Bitcoin weighs what has no witness discount.
    pub weight: u64,
    /// How many transactions.
    #[serde(rename = "nTx")]
    pub transactions: u64,
    /// The block before, which is the genesis at height 1; absent for the genesis.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previousblockhash: Option<Text<BlockId>>,
    /// The block after; absent for the last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub nextblockhash: Option<Text<BlockId>>,
    /// The precommits that made it final.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub certificate: Option<CertificateInfo>,
    /// Its transactions, in order.
    pub tx: Vec<T>,
}

/// Bitcoin's target of difficulty 1: 64 hex digits.
pub(crate) const TARGET: &str = "00000000ffff0000000000000000000000000000000000000000000000000000";
/// The same in short form.
pub(crate) const BITS: &str = "1d00ffff";

/// Blocks up to this height, the genesis included, in 64 hex digits: what stands for work.
pub(crate) fn chainwork(height: Height) -> String {
    format!("{:064x}", height.0.saturating_add(1))
}

/// Why a block is final.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateInfo {
    /// The round of the precommits.
    pub round: u32,
    /// Who signed, in order of key.
    pub signatures: Vec<CertificateSignature>,
}

/// One precommit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateSignature {
    /// Consensus key.
    pub validator: Text<PublicKey>,
    /// 128 hex digits.
    pub signature: String,
}

/// `gettransaction`, `getrawtransaction` with `verbose`, and `getblock` with verbosity 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransactionInfo {
    /// Its id, which witnesses cannot change.
    pub txid: Text<TxId>,
    /// Its id with witnesses.
    pub fullid: Text<TxFullId>,
    /// The same, under Bitcoin's name.
    pub hash: Text<TxFullId>,
    /// Format.
    pub version: u16,
    /// Unit: bytes.
    pub size: u64,
    /// The same: witnesses cost what other bytes cost.
    pub vsize: u64,
    /// Four times `size`.
    pub weight: u64,
    /// Always 0: transactions wait for nothing.
    pub locktime: u32,
    /// What it says, in hex; absent when it says nothing.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub memo: String,
    /// What it does beside moving money; absent when that is all it does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub payload: Option<PayloadInfo>,
    /// `mempool`, `proposed` or `final`.
    pub state: String,
    /// 0 before it is in a block, 1 in the last block.
    pub confirmations: u64,
    /// What it leaves to the network, when known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fee: Option<JsonAmount>,
    /// The block it is in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub blockhash: Option<Text<BlockId>>,
    /// That block's height.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub blockheight: Option<u64>,
    /// Position in that block, from 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub blockindex: Option<u32>,
    /// That block's time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub blocktime: Option<u64>,
    /// The same, under the name that Bitcoin has beside it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<u64>,
    /// What it spends.
    pub vin: Vec<InputInfo>,
    /// What it makes.
    pub vout: Vec<OutputInfo>,
    /// Its encoding.
    pub hex: String,
}

/// A spent output and the right to spend it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputInfo {
    /// The transaction that made the output.
    pub txid: Text<TxId>,
    /// Position among its outputs.
    pub vout: u32,
    /// Always empty: signatures stand beside the inputs.
    #[serde(rename = "scriptSig")]
    pub script_sig: ScriptSigInfo,
    /// What unlocks it, as Bitcoin lists it: signature and key in hex, or signatures and the set of keys.
    pub txinwitness: Vec<String>,
    /// Always the largest: an input is final.
    pub sequence: u32,
    /// The key that signs; absent without a witness, and where several sign.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<Text<PublicKey>>,
    /// 128 hex digits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signature: Option<String>,
}

/// The script of an input, which is empty here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptSigInfo {
    /// Empty.
    pub asm: String,
    /// Empty.
    pub hex: String,
}

/// Whom an output pays, in the form of Bitcoin's scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptInfo {
    /// The lock for people: its kind and its hash, and from which height on it opens.
    pub asm: String,
    /// The canonical encoding of the lock.
    pub hex: String,
    /// The address; empty for a lock that has none.
    pub address: String,
    /// Always `witness_unknown`: none of Bitcoin's own kinds.
    #[serde(rename = "type")]
    pub kind: String,
}

impl ScriptInfo {
    /// Of a lock.
    pub fn of(network: Network, lock: Lock) -> Self {
        let (asm, hex) = (lock.to_string(), hex::encode(encode(&lock)));
        Self { asm, hex, address: address(network, lock), kind: "witness_unknown".into() }
    }
}

/// An output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputInfo {
    /// How much.
    pub value: JsonAmount,
    /// Position, from 0.
    pub n: u32,
    /// To whom.
    pub address: String,
    /// The same, in the form of Bitcoin's scripts.
    #[serde(rename = "scriptPubKey")]
    pub script: ScriptInfo,
}

/// Reads a transaction from hex.
pub(crate) fn transaction_from_hex(text: &str) -> Result<Transaction, RpcError> {
    let bytes = hex::decode(text.trim()).map_err(|e| RpcError::TransactionEncoding(format!("not hex: {e}")))?;
    timed_primitives::decode(&bytes).map_err(|e| RpcError::TransactionEncoding(e.to_string()))
}

/// What unlocks an input, as Bitcoin lists it; and of one key, the key and its signature.
fn shown(witness: &Witness) -> (Vec<String>, Option<Text<PublicKey>>, Option<String>) {
    let signatures = witness.signatures().into_iter().map(|(_, signature)| signature.to_string());
    match witness {
        Witness::Key { key, signature } => {
            (signatures.chain([key.to_string()]).collect(), Some((*key).into()), Some(signature.to_string()))
        }
        Witness::KeySet { set, .. } => (signatures.chain([hex::encode(encode(set))]).collect(), None, None),
    }
}

impl From<&CommitCertificate> for CertificateInfo {
    fn from(certificate: &CommitCertificate) -> Self {
        let signatures = certificate
            .signatures
            .iter()
            .map(|s| CertificateSignature { validator: s.validator.into(), signature: s.signature.to_string() });
        Self { round: certificate.round.0, signatures: signatures.collect() }
    }
}

impl<T> BlockInfo<T> {
    /// The block as clients see it, each transaction shown by `show`.
    pub fn of(facts: &BlockFacts, show: impl FnMut(&Transaction) -> T) -> Self {
        let block = &*facts.block;
        let header = &block.header;
        let transactions = transactions_of(&block.payload);
        let size = encode(block).len() as u64;
        Self {
            hash: block.id().into(),
            confirmations: facts.confirmations,
            height: header.height.0,
            version: header.version,
            version_hex: format!("{:08x}", header.version),
            time: header.time.seconds(),
            mediantime: header.time.seconds(),
            nonce: 0,
            bits: BITS.into(),
            target: TARGET.into(),
            difficulty: 1,
            chainwork: chainwork(header.height),
            time_ms: header.time.0,
            proposer: header.proposer.into(),
            round: header.first_round.0,
            merkleroot: header.tx_root.into(),
            state_commitment: header.state_commitment.into(),
            history_root: header.history_root.into(),
            masternode_root: header.masternode_root.into(),
            output_root: header.output_root.into(),
            validators_hash: header.validators_hash.into(),
            next_validators_hash: header.next_validators_hash.into(),
            size,
            strippedsize: size,
            weight: size.saturating_mul(4),
            transactions: transactions.len() as u64,
            previousblockhash: (header.height > Height::FIRST).then(|| header.parent.into()),
            nextblockhash: facts.next.map(Text),
            certificate: facts.certificate.as_ref().map(CertificateInfo::from),
            tx: transactions.iter().map(show).collect(),
        }
    }
}

impl<T> BlockInfo<T> {
    /// The genesis as clients see it: a block at height 0 that nobody proposed and that holds no transaction.
    pub fn genesis(facts: &GenesisFacts, confirmations: u64, next: Option<BlockId>) -> Self {
        let time = facts.time.seconds();
        Self {
            hash: BlockId(facts.hash).into(),
            confirmations,
            height: 0,
            version: BLOCK_VERSION,
            version_hex: format!("{BLOCK_VERSION:08x}"),
            time,
            mediantime: time,
            time_ms: facts.time.0,
            nonce: 0,
            bits: BITS.into(),
            target: TARGET.into(),
            difficulty: 1,
            chainwork: chainwork(Height::GENESIS),
            proposer: PublicKey([0; 32]).into(),
            round: 0,
            merkleroot: Hash::default().into(),
            state_commitment: Hash::default().into(),
            history_root: Hash::default().into(),
            masternode_root: Hash::default().into(),
            output_root: Hash::default().into(),
            validators_hash: Hash::default().into(),
            next_validators_hash: Hash::default().into(),
            size: 0,
            strippedsize: 0,
            weight: 0,
            transactions: 0,
            previousblockhash: None,
            nextblockhash: next.map(Text),
            certificate: None,
            tx: Vec::new(),
        }
    }
}

impl TransactionInfo {
    /// The transaction as clients see it, with its encoding.
    pub fn of(facts: &TransactionRecord, network: Network) -> Self {
        let (state, place) = match facts.state {
            TransactionState::Mempool => ("mempool", None),
            TransactionState::Proposed => ("proposed", None),
            TransactionState::Final(place) => ("final", Some(place)),
        };
        let at = |read: fn(&ChainPosition) -> u64| place.as_ref().map(read);
        Self {
            state: state.into(),
            confirmations: at(|p| p.confirmations).unwrap_or_default(),
            fee: facts.fee.map(JsonAmount),
            blockhash: place.map(|p| p.block.into()),
            blockheight: at(|p| p.height.0),
            blockindex: place.map(|p| p.index),
            blocktime: at(|p| p.time.seconds()),
            time: at(|p| p.time.seconds()),
            ..Self::in_block(&facts.transaction, 0, network)
        }
    }

    /// The transaction inside a block with so many confirmations.
    pub fn in_block(transaction: &Transaction, confirmations: u64, network: Network) -> Self {
        let body = &transaction.body;
        let mut witnesses = transaction.witnesses.iter();
        let vin = body.inputs.iter().map(|input| {
            let (txinwitness, key, signature) = witnesses.next().map(shown).unwrap_or_default();
            InputInfo {
                txid: input.previous.txid.into(),
                vout: input.previous.index,
                script_sig: ScriptSigInfo::default(),
                txinwitness,
                sequence: u32::MAX,
                key,
                signature,
            }
        });
        let vout = (0u32..).zip(&body.outputs).map(|(n, output)| OutputInfo {
            value: output.amount.into(),
            n,
            address: address(network, output.lock),
            script: ScriptInfo::of(network, output.lock),
        });
        let encoded = encode(transaction);
        let size = encoded.len() as u64;
        Self {
            txid: transaction.id().into(),
            fullid: transaction.full_id().into(),
            hash: transaction.full_id().into(),
            version: body.version,
            size,
            vsize: size,
            weight: size.saturating_mul(4),
            locktime: 0,
            memo: hex::encode(body.memo.bytes()),
            payload: PayloadInfo::of(transaction, network),
            state: "final".into(),
            confirmations,
            fee: None,
            blockhash: None,
            blockheight: None,
            blockindex: None,
            blocktime: None,
            time: None,
            vin: vin.collect(),
            vout: vout.collect(),
            hex: hex::encode(encoded),
        }
    }
}
