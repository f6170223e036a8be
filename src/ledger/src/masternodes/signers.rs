//! Who must sign a change beside who pays for it.

use crate::masternodes::entry::Masternode;
use crate::masternodes::error::MasternodeError;
use crate::payload::TransactionPayload;
use crate::transaction::{Transaction, Witness};
use timed_primitives::PublicKey;

/// Whether those signed whose masternode it is.
pub(super) fn check_signers(
    transaction: &Transaction,
    before: &Masternode,
    payload: &TransactionPayload,
) -> Result<(), MasternodeError> {
    let (owner, operator) = (("owner", before.owner), ("operator", before.operator));
    match payload {
        TransactionPayload::UpdateService { .. }
        | TransactionPayload::Pause { .. }
        | TransactionPayload::Resume { .. } => check_payload_witnesses(transaction, &[operator]),
        TransactionPayload::Revoke { .. } => check_payload_witnesses(transaction, &[owner]),
        TransactionPayload::UpdateRegistrar { operator, .. } => {
            check_payload_witnesses(transaction, &[owner, ("operator", *operator)])
        }
        TransactionPayload::Transfer
        | TransactionPayload::Register(_)
        | TransactionPayload::Release { .. }
        | TransactionPayload::DoubleSign { .. }
        | TransactionPayload::LatePrecommits(_)
        | TransactionPayload::Reachability { .. } => Ok(()),
    }
}

/// The witnesses behind those of the inputs are by these keys, in order. Their number was checked with the form.
pub(super) fn check_payload_witnesses(
    transaction: &Transaction,
    signers: &[(&'static str, PublicKey)],
) -> Result<(), MasternodeError> {
    let witnesses = transaction.witnesses.get(transaction.body.inputs.len()..).unwrap_or_default();
    for (position, (role, expected)) in signers.iter().enumerate() {
        match witnesses.get(position) {
            Some(Witness::Key { key, .. }) if key == expected => {}
            _ => return Err(MasternodeError::Signer { position, role, expected: *expected }),
        }
    }
    Ok(())
}
