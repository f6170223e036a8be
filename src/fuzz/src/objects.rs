//! What messages and files carry: votes, blocks, payments, certificates, address records.

use bytes::Bytes;
use std::cell::RefCell;
use std::sync::Arc;
use timed_chain::{CompactBlock, PartialBlock};
use timed_consensus::verify_certificate;
use timed_ledger::{Genesis, Ledger, Transaction, Witness, check_form};
use timed_peer::AddressRecord;
use timed_primitives::{
    Block, ChainId, CommitCertificate, HistoryProof, MemoryDisk, PolkaCertificate, Proposal, RoundCertificate, Vote,
    decode, encode,
};
use timed_test_support::MemoryStore;

/// Objects have one encoding: what is accepted is written back byte by byte.
fn round_trip<T: borsh::BorshSerialize + borsh::BorshDeserialize>(bytes: &[u8]) -> Option<T> {
    let value = decode::<T>(bytes).ok()?;
    assert!(encode(&value) == bytes, "there are two encodings of one object");
    Some(value)
}

/// Any object that travels or is kept: the first byte says which.
pub(crate) fn canonical(bytes: &[u8]) {
    let Some((what, bytes)) = bytes.split_first() else { return };
    let chain = ChainId(1004);
    match what % 10 {
        0 => {
            if let Some(transaction) = round_trip::<Transaction>(bytes) {
                assert_eq!(transaction.size_bytes(), bytes.len());
                let parameters = Genesis::devnet(4).parameters;
                let _ = check_form(&transaction, bytes.len(), chain, &parameters);
                assert_eq!(transaction.outputs().count(), transaction.body.outputs.len());
                let _ = transaction.signed_items().count();
            }
        }
        1 => {
            if let Some(block) = round_trip::<Block>(bytes) {
                let _ = (block.id(), block.is_whole(timed_ledger::PAYLOAD_FORMAT));
            }
        }
        2 => drop(round_trip::<Vote>(bytes).map(|vote| vote.is_signed(chain))),
        3 => drop(round_trip::<Proposal>(bytes).map(|proposal| proposal.is_signed(chain))),
        4 => drop(round_trip::<PolkaCertificate>(bytes)),
        5 => drop(round_trip::<RoundCertificate>(bytes)),
        7 => drop(round_trip::<HistoryProof>(bytes).map(|proof| proof.check())),
        9 => {
            if let Some(compact) = round_trip::<CompactBlock>(bytes) {
                put_together(compact);
            }
        }
        8 => drop(round_trip::<Witness>(bytes).map(|witness| (witness.owner(), witness.signatures()))),
        _ => {
            if let Some(certificate) = round_trip::<CommitCertificate>(bytes) {
                let _ = certificate.hash();
                if let Ok(validators) = Genesis::devnet(4).validator_set() {
                    let _ = verify_certificate(chain, &certificate, &validators);
                }
            }
        }
    }
}

/// A compact block of which nothing is here: whatever is lacking is filled with what is no transaction.
fn put_together(compact: CompactBlock) {
    let id = compact.header().id();
    let Ok(mut partial) = PartialBlock::new(compact, std::iter::empty()) else { return };
    let lacking = partial.lacking();
    assert!(lacking.is_sorted() && partial.id() == id);
    assert_eq!(partial.fill(vec![Bytes::from_static(b"junk"); lacking.len()]), Ok(()));
    if let Ok(block) = partial.finish() {
        assert_eq!(block.id(), id, "another block than was meant");
    }
}

/// A signed address record.
pub(crate) fn records(bytes: &[u8]) {
    if let Ok(record) = AddressRecord::decode(ChainId(1), bytes) {
        assert_eq!(record.encode(), bytes, "there are two encodings of one record");
        assert!(record.class().is_ok(), "a record that was read can be dialled");
    }
}

thread_local! {
    /// A chain at its genesis; validating changes nothing of it.
    static LEDGER: RefCell<Option<Ledger>> =
        RefCell::new(timed_ledger::open(Genesis::devnet(4), &MemoryDisk::default(), Arc::new(MemoryStore::default())).ok());
}

/// A block on top of genesis, validated in full.
pub(crate) fn validate(bytes: &[u8]) {
    let Ok(block) = decode::<Block>(bytes) else { return };
    let block = Arc::new(block);
    LEDGER.with_borrow_mut(|ledger| {
        let ledger = ledger.as_mut().expect("a ledger in memory opens");
        let before = ledger.tip();
        let first = ledger.validate(&block).is_ok();
        assert_eq!(ledger.validate(&block).is_ok(), first, "validated twice, with another result");
        assert_eq!(ledger.tip(), before);
    });
}
