//! Each rule of blocks, and what validate, assemble and commit answer.

use crate::chain::{Node, block, certify, coin, commit, draft, locked, move_to, pay, wallet};
use std::sync::Arc;
use timed_chain::{
    AssembleError, BlockError, CommitError, History as _, PoolTransaction, Refusal, TransactionFault as Fault,
    ValidationError, payload,
};
use timed_ledger::{LedgerQueries as _, OutPoint, TransactionError, transaction_root, transactions_of};
use timed_primitives::{Amount, Block, BlockId, ChainId, Hash, Height, SecretKey, TxId, UnixTime};

/// Changes a valid block of height 2 and gives the error of the rule it breaks, or `None` when it is still valid.
fn broken(change: impl FnOnce(&mut Block)) -> Option<BlockError> {
    let mut node = Node::with_blocks(1);
    let mut changed = (*block(&mut node.ledger, vec![move_to(coin(5), 0, 1)])).clone();
    change(&mut changed);
    match node.ledger.validate(&Arc::new(changed)) {
        Ok(_) => None,
        Err(ValidationError::Invalid(error)) => Some(error),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn each_header_rule_has_its_error() {
    use BlockError as E;
    assert_eq!(broken(|_| ()), None);
    assert_eq!(broken(|b| b.header.first_round = timed_primitives::Round(7)), None);
    for version in [1, 3] {
        assert_eq!(broken(|b| b.header.version = version), Some(E::Version { found: version }));
    }
    assert!(matches!(broken(|b| b.header.chain_id = ChainId(1)), Some(E::WrongChain { .. })));
    assert!(matches!(broken(|b| b.header.parent = BlockId(Hash([1; 32]))), Some(E::Parent { .. })));
    assert!(matches!(broken(|b| b.header.time = UnixTime(b.header.time.0 - 1_000)), Some(E::Time { .. })));
    let history = |b: &mut Block| b.header.history_root = Hash::ZERO;
    assert!(matches!(broken(history), Some(E::HistoryRoot { found: Hash::ZERO, count: 1, .. })));
    let (found, expected, height) = (Hash([7; 32]), Hash::ZERO, Height(2));
    assert_eq!(broken(|b| b.header.output_root = found), Some(E::OutputRoot { found, expected, height }));
    let unknown = SecretKey::development("consensus", 9).public();
    assert_eq!(broken(|b| b.header.proposer = unknown), Some(E::Proposer(unknown)));
    assert!(matches!(broken(|b| b.header.validators_hash = Hash::ZERO), Some(E::Validators { .. })));
    assert!(matches!(broken(|b| b.header.next_validators_hash = Hash::ZERO), Some(E::NextValidators { .. })));
    assert!(matches!(broken(|b| b.header.parameters_hash = Hash::ZERO), Some(E::Parameters { .. })));
    assert!(matches!(broken(|b| b.header.evidence_root = Hash::ZERO), Some(E::EvidenceRoot { .. })));
    assert!(matches!(broken(|b| b.header.tx_root = Hash::ZERO), Some(E::TransactionRoot { .. })));
    assert!(matches!(broken(|b| b.header.state_commitment = Hash::ZERO), Some(E::StateCommitment { .. })));
    assert!(matches!(broken(|b| b.payload = Default::default()), Some(E::TransactionRoot { .. })));
}

#[test]
fn each_rule_of_the_parent_certificate_has_its_error() {
    use BlockError as E;
    let with = |change: fn(&mut timed_primitives::CommitCertificate)| {
        broken(|b| {
            let certificate = b.parent_certificate.as_mut().unwrap();
            change(certificate);
            b.header.parent_certificate_hash = certificate.hash();
        })
    };
    assert_eq!(with(|_| ()), None);
    assert_eq!(broken(|b| b.parent_certificate = None), Some(E::CertificatePresence { expected: true }));
    let unhashed = broken(|b| b.parent_certificate.as_mut().unwrap().round = timed_primitives::Round(3));
    assert!(matches!(unhashed, Some(E::CertificateHash { .. })));
    assert!(matches!(with(|c| c.height = Height(2)), Some(E::CertificateParent { .. })));
    assert!(matches!(with(|c| c.block = BlockId::default()), Some(E::CertificateParent { .. })));
    assert!(matches!(with(|c| c.signatures.reverse()), Some(E::CertificateSigner(_))));
    assert!(matches!(with(|c| c.signatures[1] = c.signatures[0].clone()), Some(E::CertificateSigner(_))));
    let unknown = with(|c| c.signatures[0].validator = timed_primitives::PublicKey([0; 32]));
    assert_eq!(unknown, Some(E::CertificateSigner(timed_primitives::PublicKey([0; 32]))));
}

#[test]
fn transactions_are_validated_in_order() {
    use TransactionError as E;
    let with = |transactions: Vec<timed_ledger::Transaction>| {
        let error = broken(|b| {
            b.header.tx_root = transaction_root(&transactions);
            b.payload = payload(&transactions);
        });
        match error {
            Some(BlockError::Transaction { index, reason: Fault::Refused(reason), .. }) => {
                Some((index, Ok(reason.downcast_ref::<E>().unwrap().clone())))
            }
            Some(BlockError::Transaction { index, reason, .. }) => Some((index, Err(reason))),
            // The state commitment is the only thing left to be wrong: all transactions apply.
            Some(BlockError::StateCommitment { .. }) => None,
            other => panic!("{other:?}"),
        }
    };
    let parent = move_to(coin(6), 0, 1);
    let child = move_to(parent.outputs().next().unwrap(), 1, 2);
    assert_eq!(with(vec![parent.clone(), child.clone()]), None);
    let made_later = child.body.inputs[0].previous;
    assert_eq!(with(vec![child.clone(), parent.clone()]), Some((0, Ok(E::UnknownInput(made_later)))));
    assert_eq!(with(vec![parent.clone(), parent.clone()]), Some((1, Err(Fault::Duplicate))));
    let rival = move_to(coin(6), 0, 3);
    assert_eq!(with(vec![parent.clone(), rival]), Some((1, Ok(E::SpentInBlock(coin(6).0)))));
    let again = move_to(parent.outputs().next().unwrap(), 1, 3);
    assert_eq!(with(vec![parent.clone(), child, again]), Some((2, Ok(E::UnknownInput(made_later)))));
    assert_eq!(with(vec![move_to(coin(0), 0, 1)]), Some((0, Ok(E::UnknownInput(coin(0).0)))));
    assert_eq!(with(vec![pay(&[coin(6)], 1, &[(5_000, 1)])]), Some((0, Ok(E::WrongKey { index: 0 }))));
    let mut forged = pay(&[coin(6), coin(7)], 0, &[(5_000, 1)]);
    forged.witnesses[1].first_signature_mut().unwrap().0[5] ^= 1;
    assert_eq!(with(vec![parent, forged.clone()]), Some((1, Ok(E::SpentInBlock(coin(6).0)))));
    assert_eq!(with(vec![move_to(coin(5), 0, 1), forged]), Some((1, Err(Fault::BadSignature { index: 1 }))));
}

#[test]
fn a_block_above_the_size_bound_is_refused_and_never_made() {
    let mut genesis = crate::chain::genesis();
    genesis.parameters.block_bytes_max = 1_600;
    genesis.parameters.transaction_bytes_max = 700;
    let (disk, store) = (timed_primitives::MemoryDisk::default(), timed_test_support::MemoryStore::default());
    let mut ledger = timed_ledger::open(genesis.clone(), &disk, Arc::new(store)).unwrap();
    let coins: Vec<_> = genesis.coins().collect();
    let payments: Vec<_> = coins.iter().map(|coin| move_to(*coin, 0, 1)).collect();
    let assembled = ledger.assemble(draft(&ledger, payments.clone())).unwrap();
    let taken = assembled.transactions.len();
    let size = timed_primitives::encode(&*assembled.block).len();
    assert!(taken > 0 && size <= 1_600 && size + payments[0].size_bytes() > 1_600, "{taken} in {size} bytes");
    assert_eq!(assembled.left_out.len(), payments.len() - taken);
    assert!(assembled.left_out.iter().all(|(_, reason)| matches!(reason, Fault::NoRoom { .. })));
    let mut large = (*assembled.block).clone();
    large.header.tx_root = transaction_root(&payments);
    large.payload = payload(&payments);
    let size_bytes = timed_primitives::encode(&large).len();
    let error = ledger.validate(&Arc::new(large)).unwrap_err();
    assert!(
        matches!(error, ValidationError::Invalid(BlockError::TooLarge { size_bytes: found, max: 1_600 }) if found == size_bytes)
    );
}

#[test]
fn assemble_leaves_out_what_does_not_apply_and_another_node_accepts_the_rest() {
    let mut node = Node::with_blocks(2);
    let mut other = Node::with_blocks(2);
    let parent = pay(&[coin(5), coin(6)], 0, &[(7_000, 1), (9_000, 2)]);
    let child = pay(&[(parent.outputs().next().unwrap())], 1, &[(2_000, 3)]);
    let rival = move_to(coin(5), 0, 2);
    let spent = move_to(coin(1), 0, 3);
    let mut forged = move_to(coin(7), 0, 1);
    forged.witnesses[0].first_signature_mut().unwrap().0[0] ^= 1;
    let orphan = move_to((OutPoint { txid: TxId(Hash([8; 32])), index: 0 }, locked(5_000, 0)), 0, 1);
    let candidates = vec![
        parent.clone(),
        rival.clone(),
        spent.clone(),
        child.clone(),
        forged.clone(),
        orphan.clone(),
        parent.clone(),
    ];
    let assembled = node.ledger.assemble(draft(&node.ledger, candidates)).unwrap();
    assert_eq!(transactions_of(&assembled.block.payload), vec![parent.clone(), child]);
    let refused = |error: TransactionError| Fault::Refused(Refusal::new(error));
    use TransactionError as E;
    let expected = vec![
        (rival.id(), refused(E::SpentInBlock(coin(5).0))),
        (spent.id(), refused(E::UnknownInput(coin(1).0))),
        (forged.id(), Fault::BadSignature { index: 0 }),
        (orphan.id(), refused(E::UnknownInput(orphan.body.inputs[0].previous))),
        (parent.id(), Fault::Duplicate),
    ];
    assert_eq!(assembled.left_out, expected);
    other.ledger.validate(&assembled.block).unwrap();
    assert_eq!(other.ledger.verified().len(), 2);
    let certificate = certify(&assembled.block);
    other.ledger.commit(assembled.block.clone(), certificate).unwrap();
    assert!(other.ledger.verified().is_empty(), "what is final comes in no other block");
    assert_eq!(other.ledger.reader().supply().fees, Amount(200_000_000_000 - 16_000 + 5_000 + 2_000));
}

#[test]
fn a_draft_that_does_not_fit_the_tip_is_refused() {
    let mut node = Node::with_blocks(1);
    let mut late = draft(&node.ledger, vec![]);
    late.time = node.ledger.tip().time;
    assert!(matches!(node.ledger.assemble(late), Err(AssembleError::Header(BlockError::Time { .. }))));
    let mut bare = draft(&node.ledger, vec![]);
    bare.parent_certificate = None;
    let error = node.ledger.assemble(bare).unwrap_err();
    assert!(matches!(error, AssembleError::Header(BlockError::CertificatePresence { expected: true })));
    let mut foreign = draft(&node.ledger, vec![]);
    foreign.proposer = wallet(1).public();
    assert!(matches!(node.ledger.assemble(foreign), Err(AssembleError::Header(BlockError::Proposer(_)))));
}

#[test]
fn a_known_header_with_another_body_is_validated_anew_and_never_logged() {
    let mut node = Node::with_blocks(1);
    let good = block(&mut node.ledger, vec![move_to(coin(5), 0, 1)]);
    let mut other = (*good).clone();
    other.payload = payload(&[move_to(coin(5), 0, 2)]);
    let other = Arc::new(other);
    assert_eq!(other.id(), good.id());
    let error = node.ledger.validate(&other).unwrap_err();
    assert!(matches!(error, ValidationError::Invalid(BlockError::TransactionRoot { .. })));
    node.ledger.validate(&good).unwrap();
    let committed = node.ledger.commit(other, certify(&good)).unwrap();
    assert_eq!(committed.block, good);
    assert_eq!(node.ledger.reader().block(Height(2)).unwrap(), Some(good));
}

#[test]
fn commit_names_what_it_cannot_take() {
    let mut node = Node::with_blocks(2);
    let reader = node.ledger.reader();
    let good = block(&mut node.ledger, vec![]);
    let certificate = certify(&good);
    // Not next: above the next height, validated and committed alike.
    let mut above = (*good).clone();
    above.header.height = Height(4);
    let above = Arc::new(above);
    assert!(matches!(
        node.ledger.validate(&above),
        Err(ValidationError::NotNext { height: Height(4), tip: Height(2) })
    ));
    let error = node.ledger.commit(above.clone(), certify(&above)).unwrap_err();
    assert!(matches!(error, CommitError::NotNext { height: Height(4), tip: Height(2) }) && !error.is_fatal());
    // The certificate of another block.
    let error = node.ledger.commit(good.clone(), reader.certificate(Height(2)).unwrap().unwrap()).unwrap_err();
    assert!(matches!(error, CommitError::OtherBlock { height: Height(2), .. }) && !error.is_fatal());
    // A certified block that is not valid here.
    let mut invalid = (*good).clone();
    invalid.header.time = UnixTime(0);
    let error = node.ledger.commit(Arc::new(invalid.clone()), certify(&invalid)).unwrap_err();
    assert!(matches!(&error, CommitError::Invalid { height: Height(3), .. }) && error.is_fatal());
    // A certified block that follows another one than ours: the two below it differ.
    let mut elsewhere = (*good).clone();
    elsewhere.header.parent = BlockId(Hash([4; 32]));
    let error = node.ledger.commit(Arc::new(elsewhere.clone()), certify(&elsewhere)).unwrap_err();
    let (ours, theirs) = (good.header.parent, elsewhere.header.parent);
    assert!(
        matches!(error, CommitError::Conflict { height: Height(2), ours: o, theirs: t } if (o, t) == (ours, theirs))
    );
    // A certified block with another state.
    let mut differs = (*good).clone();
    differs.header.state_commitment = Hash([3; 32]);
    let ours = good.header.state_commitment;
    let error = node.ledger.commit(Arc::new(differs.clone()), certify(&differs)).unwrap_err();
    let expected = Hash([3; 32]);
    assert!(
        matches!(error, CommitError::StateDiffers { height: Height(3), ours: o, theirs } if o == ours && theirs == expected)
    );
    // Two certified blocks of one height.
    let mut rival = (*reader.block(Height(2)).unwrap().unwrap()).clone();
    rival.header.first_round = timed_primitives::Round(5);
    let error = node.ledger.commit(Arc::new(rival.clone()), certify(&rival)).unwrap_err();
    assert!(matches!(error, CommitError::Conflict { height: Height(2), .. }) && error.is_fatal());
    // Nothing of this changed anything, and what is final already is skipped in a batch.
    assert_eq!(reader.tip().height, Height(2));
    let known = reader.decided(Height(2)).unwrap().unwrap();
    let batch = vec![(known.block.clone(), (*known.certificate).clone()), (good, certificate)];
    let committed = node.ledger.commit_batch(batch).unwrap();
    assert_eq!(committed.iter().map(|c| c.block.height()).collect::<Vec<_>>(), vec![Height(3)]);
    let error = node.ledger.commit(known.block, (*known.certificate).clone()).unwrap_err();
    assert!(matches!(error, CommitError::NotNext { height: Height(2), tip: Height(3) }));
}

#[test]
fn signatures_are_checked_once_per_node() {
    let mut node = Node::with_blocks(1);
    let mut maker = Node::with_blocks(1);
    let mut forged = move_to(coin(5), 0, 1);
    forged.witnesses[0].first_signature_mut().unwrap().0[0] ^= 1;
    maker.ledger.verified().insert([Arc::new(PoolTransaction::of(&forged))]);
    let made = block(&mut maker.ledger, vec![forged.clone()]);
    let error = node.ledger.validate(&made).unwrap_err();
    let reason = Fault::BadSignature { index: 0 };
    assert!(
        matches!(error, ValidationError::Invalid(BlockError::Transaction { index: 0, reason: r, .. }) if r == reason)
    );
    // What the pool says it has checked is not checked again.
    node.ledger.verified().insert([Arc::new(PoolTransaction::of(&forged))]);
    node.ledger.validate(&made).unwrap();
    let committed = commit(&mut node.ledger, vec![]);
    assert_eq!(committed.block.height(), Height(2));
}

/// Each bug makes a test fail that passes without it.
#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use crate::output_root::another_root_is_refused_where_one_is_due_and_where_none_is;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn state_commitment_unchecked() {
        assert!(is_caught(Bug::StateCommitmentUnchecked, each_header_rule_has_its_error));
    }

    #[test]
    fn output_root_unchecked() {
        assert!(is_caught(Bug::OutputRootUnchecked, each_header_rule_has_its_error));
        assert!(is_caught(Bug::OutputRootUnchecked, another_root_is_refused_where_one_is_due_and_where_none_is));
    }

    #[test]
    fn history_root_unchecked() {
        assert!(is_caught(Bug::HistoryRootUnchecked, each_header_rule_has_its_error));
    }
}
