//! Histories in which one amount, or one precommit, is another: whoever changed it made the roots of the body anew.

use crate::histories::play::{Player, Shape};
use timed_audit::{Audit, AuditError, AuditFault};
use timed_chain::{payload, transactions};
use timed_ledger::{Transaction, TransactionPayload as P};
use timed_primitives::{Block, CommitCertificate, Domain, Hash, encode, merkle};

/// Changes the block, if it can.
type Forgery = fn(&mut Vec<Transaction>, &mut Block) -> Option<()>;

/// The first transaction with such a payload.
fn first(transactions: &mut [Transaction], is_it: impl Fn(&P) -> bool) -> Option<&mut Transaction> {
    transactions.iter_mut().find(|one| is_it(&one.body.payload))
}

/// One unit less in its last output: the fee has it.
fn shave(transactions: &mut [Transaction], is_it: impl Fn(&P) -> bool) -> Option<()> {
    first(transactions, is_it)?.body.outputs.last_mut()?.amount.0 -= 1;
    Some(())
}

fn drop_one(transactions: &mut Vec<Transaction>, is_it: impl Fn(&P) -> bool) -> Option<()> {
    let position = transactions.iter().position(|one| is_it(&one.body.payload))?;
    transactions.remove(position);
    Some(())
}

const FORGERIES: [(&str, Forgery); 14] = [
    ("payment", |all, _| shave(all, |payload| *payload == P::Transfer)),
    ("payment that makes money", |all, _| {
        let spends = first(all, |payload| *payload == P::Transfer)?;
        spends.body.outputs.first_mut()?.amount.0 += 1_000_000;
        Some(())
    }),
    ("collateral", |all, _| {
        first(all, |payload| matches!(payload, P::Register(_)))?.body.outputs.first_mut()?.amount.0 -= 1;
        Some(())
    }),
    ("change", |all, _| shave(all, |payload| payload.previous().is_some())),
    ("release", |all, _| shave(all, |payload| matches!(payload, P::Release { .. }))),
    ("release without its charge", |all, _| {
        first(all, |payload| matches!(payload, P::Release { .. }))?.body.outputs.last_mut()?.amount.0 += 50_000;
        Some(())
    }),
    ("late precommits", |all, _| {
        match &mut first(all, |payload| matches!(payload, P::LatePrecommits(_)))?.body.payload {
            P::LatePrecommits(late) if late.signatures.len() > 1 => late.signatures.pop().map(drop),
            _ => None,
        }
    }),
    ("no late precommits", |all, _| drop_one(all, |payload| matches!(payload, P::LatePrecommits(_)))),
    ("no double sign", |all, _| drop_one(all, |payload| matches!(payload, P::DoubleSign { .. }))),
    ("no reachability", |all, _| drop_one(all, |payload| matches!(payload, P::Reachability { .. }))),
    ("certificate", |_, block| {
        let certificate = block.parent_certificate.as_mut()?;
        certificate.signatures.pop()?;
        block.header.parent_certificate_hash = certificate.hash();
        Some(())
    }),
    ("state commitment", |_, block| {
        block.header.state_commitment.0[7] ^= 1;
        Some(())
    }),
    ("masternode root", |_, block| {
        block.header.masternode_root.0[7] ^= 1;
        Some(())
    }),
    ("output root", |_, block| {
        block.header.output_root.0[7] ^= 1;
        Some(())
    }),
];

/// What the audit says of the blocks up to the forged one.
fn audited(player: &Player, forged: &Block) -> Result<(), AuditError> {
    let mut audit = Audit::new(&player.genesis).unwrap();
    for (block, certificate) in player.blocks.iter().take_while(|(block, _)| block.height() < forged.height()) {
        audit.apply(block, certificate).unwrap();
    }
    let height = usize::try_from(forged.height().0).unwrap();
    let (_, certificate) = &player.blocks[height - 1];
    audit.apply(forged, &CommitCertificate { block: forged.id(), ..certificate.clone() })
}

/// With the roots that its transactions have.
fn sealed(mut block: Block, all: &[Transaction]) -> Block {
    let full_id = |one: &Transaction| Hash::of(Domain::TransactionFullId, &encode(one));
    let statements = all.iter().filter(|one| one.body.payload.is_statement());
    block.header.tx_root = merkle::root(&all.iter().map(full_id).collect::<Vec<_>>());
    block.header.evidence_root = merkle::root(&statements.map(full_id).collect::<Vec<_>>());
    block.payload = payload(all);
    block
}

#[test]
fn whatever_is_forged_is_named_with_its_height() {
    let mut left: Vec<_> = FORGERIES.to_vec();
    for seed in 3..200 {
        let mut player = Player::new(seed, Shape::of(seed));
        player.shape.blocks = player.shape.blocks.min(60);
        player.play();
        left.retain(|(what, forge)| {
            // Late in the history, so that there is something before it.
            for (block, _) in player.blocks.iter().rev().take(40) {
                let mut all: Vec<Transaction> = transactions(&block.payload).unwrap();
                let mut forged = Block::clone(block);
                if forge(&mut all, &mut forged).is_none() {
                    continue;
                }
                let forged = sealed(forged, &all);
                let error = audited(&player, &forged).expect_err(what);
                assert_eq!(error.height, forged.height(), "{what}: {error}");
                let is_of_order = matches!(error.fault, AuditFault::NotNext { .. } | AuditFault::Payload);
                assert!(!is_of_order, "{what}: {error}");
                println!("{what}: {error}");
                return false;
            }
            true
        });
        if left.is_empty() {
            return;
        }
    }
    panic!("nothing to forge: {:?}", left.iter().map(|(what, _)| what).collect::<Vec<_>>());
}
