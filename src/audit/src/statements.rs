//! What somebody says of somebody's behaviour.

use crate::changes::check_signer;
use crate::error::BrokenRule as Fault;
use crate::place::AuditedBlock;
use crate::state::State;
use timed_ledger::{Transaction, TransactionPayload};
use timed_primitives::{CommitCertificate, DoubleSign, SignedItem, verify_batch};

impl State {
    /// Applies a statement. Its signatures are checked too: they cost somebody money.
    pub(crate) fn statement(&mut self, place: AuditedBlock<'_>, transaction: &Transaction) -> Result<(), Fault> {
        let body = &transaction.body;
        let is_bare = body.inputs.is_empty() && body.outputs.is_empty() && body.memo.bytes().is_empty();
        let due = usize::from(matches!(body.payload, TransactionPayload::Reachability { .. }));
        if !is_bare || transaction.witnesses.len() != due {
            return Err(Fault::NotBare);
        }
        let items: Vec<SignedItem> = match &body.payload {
            TransactionPayload::DoubleSign { registration, proof } => {
                self.masternodes.check_double_sign(*registration, proof, place)?;
                self.masternodes.punish(*registration, place);
                self.double_signs += 1;
                of_double_sign(proof, place)
            }
            TransactionPayload::LatePrecommits(late) => {
                self.participation.check_late(late)?;
                self.participation.add_late(late);
                of_late(late, place)
            }
            TransactionPayload::Reachability { interval, free, witness } => {
                let asked = self.participation.witness(*interval, *free, *witness)?;
                let by = self.masternodes.list.get(witness).ok_or(Fault::NoMasternode(*witness))?;
                check_signer(&transaction.witnesses, 0, by.operator)?;
                *asked = true;
                transaction.signed_items().collect()
            }
            _ => Vec::new(),
        };
        if verify_batch(&items) { Ok(()) } else { Err(Fault::StatementSignature) }
    }
}

fn of_double_sign(proof: &DoubleSign, place: AuditedBlock<'_>) -> Vec<SignedItem> {
    match proof {
        DoubleSign::Votes(first, second) => [first, second].map(|vote| vote.signed_item(place.chain)).into(),
        DoubleSign::Proposals(first, second) => [first, second]
            .map(|one| SignedItem {
                key: one.proposer,
                message: one.signing_bytes(place.chain),
                signature: one.signature,
            })
            .into(),
    }
}

fn of_late(late: &CommitCertificate, place: AuditedBlock<'_>) -> Vec<SignedItem> {
    late.votes().map(|vote| vote.signed_item(place.chain)).collect()
}
