//! What is refused because of a transaction that waits.

use crate::chain::{Node, move_to};
use crate::masternodes::registration;
use timed_chain::{CheckError, Pending, PoolTransaction, Resource, TransactionRules as _};
use timed_ledger::{MasternodeError, OutPoint, RegistrationId, Transaction, TransactionError};
use timed_primitives::encode;

/// This one waits.
struct Waits(Transaction);

impl Pending for Waits {
    fn producer(&self, of: &Resource) -> Option<bytes::Bytes> {
        let mut outputs = self.0.outputs().map(|(outpoint, _)| outpoint.resource());
        outputs.any(|resource| resource == *of).then(|| encode(&self.0).into())
    }
}

#[test]
fn the_collateral_of_a_registration_that_waits_is_not_spent() {
    let node = Node::new();
    let fifth = registration(5, [0, 1]);
    let outputs: Vec<_> = fifth.outputs().collect();
    let check = |of: (OutPoint, _)| {
        let spend = PoolTransaction::of(&move_to(of, 0, 3));
        node.ledger.reader().check(&spend, &Waits(fifth.clone())).map(|_| ())
    };
    let (outpoint, registration) = (outputs[0].0, RegistrationId(fifth.id().0));
    let Err(CheckError::Refused(reason)) = check(outputs[0]) else { panic!("taken though the block refuses it") };
    let locked = TransactionError::from(MasternodeError::CollateralLocked { outpoint, registration });
    assert_eq!(reason.downcast_ref(), Some(&locked));
    assert!(check(outputs[1]).is_ok(), "its change is money like any other");
}
