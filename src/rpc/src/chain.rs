//! The shapes of blocks, transactions and outputs, made from the real ones.

use crate::error::RpcError;
use crate::node::{BlockFacts, ChainPosition, TransactionRecord, TransactionState, Unspent};
use crate::text::{JsonAmount, Text};
use serde::{Deserialize, Serialize};
use timed_ledger::{Address, Lock, Transaction, transactions_of};
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
    /// Its time.
    pub time: u64,
    /// Its time in milliseconds.
    pub time_ms: u64,
    /// Consensus key of who made it.
    pub proposer: Text<PublicKey>,
    /// The round in which it was first proposed.
    pub round: u32,
    /// Root over the full ids of its transactions.
    pub merkleroot: Text<Hash>,
    /// Commitment to the state after it.
    pub state_commitment: Text<Hash>,
    /// Hash of the validator set that decided it.
    pub validators_hash: Text<Hash>,
    /// Hash of the validator set that decides the next.
    pub next_validators_hash: Text<Hash>,
    /// Unit: bytes.
    pub size: u64,
    /// How many transactions.
    #[serde(rename = "nTx")]
    pub transactions: u64,
    /// The block before; absent at height 1.
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
    /// Format.
    pub version: u16,
    /// Unit: bytes.
    pub size: u64,
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
    /// What it spends.
    pub vin: Vec<InputInfo>,
    /// What it makes.
    pub vout: Vec<OutputInfo>,
    /// Its encoding; absent inside a block.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hex: Option<String>,
}

/// A spent output and the right to spend it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputInfo {
    /// The transaction that made the output.
    pub txid: Text<TxId>,
    /// Position among its outputs.
    pub vout: u32,
    /// The key that signs; absent without a witness.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<Text<PublicKey>>,
    /// 128 hex digits.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signature: Option<String>,
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
}

/// `gettxout`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TxOutInfo {
    /// The last block.
    pub bestblock: Text<BlockId>,
    /// 0 in the mempool, 1 in the last block.
    pub confirmations: u64,
    /// How much.
    pub value: JsonAmount,
    /// To whom.
    pub address: String,
    /// `unspent`, or `locked` while a transaction in the mempool spends it.
    pub state: String,
    /// Who spends it, when locked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub spent_by: Option<Text<TxId>>,
}

/// One row of `listunspent`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnspentInfo {
    /// The transaction that made it.
    pub txid: Text<TxId>,
    /// Position among its outputs.
    pub vout: u32,
    /// To whom.
    pub address: String,
    /// How much.
    pub amount: JsonAmount,
    /// 0 in the mempool, 1 in the last block.
    pub confirmations: u64,
    /// Whether it can be spent now.
    pub spendable: bool,
    /// `unspent`, or `locked` while a transaction in the mempool spends it.
    pub state: String,
}

/// Reads a transaction from hex.
pub(crate) fn transaction_from_hex(text: &str) -> Result<Transaction, RpcError> {
    let bytes = hex::decode(text.trim()).map_err(|e| RpcError::TransactionEncoding(format!("not hex: {e}")))?;
    timed_primitives::decode(&bytes).map_err(|e| RpcError::TransactionEncoding(e.to_string()))
}

fn address(network: Network, lock: Lock) -> String {
    match lock {
        Lock::KeyHash(key_hash) => Address { network, key_hash }.to_string(),
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
        Self {
            hash: block.id().into(),
            confirmations: facts.confirmations,
            height: header.height.0,
            version: header.version,
            time: header.time.seconds(),
            time_ms: header.time.0,
            proposer: header.proposer.into(),
            round: header.first_round.0,
            merkleroot: header.tx_root.into(),
            state_commitment: header.state_commitment.into(),
            validators_hash: header.validators_hash.into(),
            next_validators_hash: header.next_validators_hash.into(),
            size: encode(block).len() as u64,
            transactions: transactions.len() as u64,
            previousblockhash: (header.height > Height::FIRST).then(|| header.parent.into()),
            nextblockhash: facts.next.map(Text),
            certificate: facts.certificate.as_ref().map(CertificateInfo::from),
            tx: transactions.iter().map(show).collect(),
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
            hex: Some(hex::encode(encode(&*facts.transaction))),
            ..Self::in_block(&facts.transaction, 0, network)
        }
    }

    /// The transaction inside a block with so many confirmations.
    pub fn in_block(transaction: &Transaction, confirmations: u64, network: Network) -> Self {
        let body = &transaction.body;
        let mut witnesses = transaction.witnesses.iter();
        let vin = body.inputs.iter().map(|input| {
            let witness = witnesses.next();
            InputInfo {
                txid: input.previous.txid.into(),
                vout: input.previous.index,
                key: witness.map(|w| w.key.into()),
                signature: witness.map(|w| w.signature.to_string()),
            }
        });
        let vout = (0u32..).zip(&body.outputs).map(|(n, output)| OutputInfo {
            value: output.amount.into(),
            n,
            address: address(network, output.lock),
        });
        Self {
            txid: transaction.id().into(),
            fullid: transaction.full_id().into(),
            version: body.version,
            size: transaction.size_bytes() as u64,
            state: "final".into(),
            confirmations,
            fee: None,
            blockhash: None,
            blockheight: None,
            blockindex: None,
            blocktime: None,
            vin: vin.collect(),
            vout: vout.collect(),
            hex: None,
        }
    }
}

impl Unspent {
    /// Whether it can be spent now: final, and not about to be spent.
    pub fn is_spendable(&self) -> bool {
        self.confirmations > 0 && self.spent_by.is_none()
    }

    fn state(&self) -> String {
        if self.spent_by.is_some() { "locked" } else { "unspent" }.into()
    }
}

impl TxOutInfo {
    /// The output as clients see it.
    pub fn of(unspent: &Unspent, best: BlockId, network: Network) -> Self {
        Self {
            bestblock: best.into(),
            confirmations: unspent.confirmations,
            value: unspent.output.amount.into(),
            address: address(network, unspent.output.lock),
            state: unspent.state(),
            spent_by: unspent.spent_by.map(Text),
        }
    }
}

impl UnspentInfo {
    /// The output as clients see it.
    pub fn of(unspent: &Unspent, network: Network) -> Self {
        Self {
            txid: unspent.outpoint.txid.into(),
            vout: unspent.outpoint.index,
            address: address(network, unspent.output.lock),
            amount: unspent.output.amount.into(),
            confirmations: unspent.confirmations,
            spendable: unspent.is_spendable(),
            state: unspent.state(),
        }
    }
}
