//! The application's rules, as the pool asks for them.

use crate::fatal::FatalHandle;
use bytes::Bytes;
use std::sync::Arc;
use timed_chain::{CheckError, Checked, Evidence, Pending, PoolTransaction, ReadError, Resource, TransactionRules};
use timed_primitives::{DecodeError, TxId};

/// The application's rules. What cannot be read ends the process, whatever the pool makes of it until then.
pub(super) struct FatalRules {
    pub(super) rules: Arc<dyn TransactionRules>,
    pub(super) fatal: FatalHandle,
}

impl FatalRules {
    fn read<T>(&self, found: Result<T, ReadError>) -> Result<T, ReadError> {
        found.inspect_err(|error| self.fatal.fail(error.to_string()))
    }
}

impl TransactionRules for FatalRules {
    fn parse(&self, bytes: Bytes) -> Result<PoolTransaction, DecodeError> {
        self.rules.parse(bytes)
    }

    fn check(&self, transaction: &PoolTransaction, pending: &dyn Pending) -> Result<Checked, CheckError> {
        self.rules.check(transaction, pending).inspect_err(|error| {
            if let CheckError::Read(error) = error {
                self.fatal.fail(error.to_string());
            }
        })
    }

    fn is_available(&self, resource: &Resource) -> Result<bool, ReadError> {
        self.read(self.rules.is_available(resource))
    }

    fn is_confirmed(&self, id: &TxId) -> Result<bool, ReadError> {
        self.read(self.rules.is_confirmed(id))
    }

    fn statement(&self, statement: &Evidence) -> Option<PoolTransaction> {
        self.rules.statement(statement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fatal::FatalReporter;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use timed_chain::TransactionFacts;
    use timed_primitives::{Hash, TxFullId};

    struct Unreadable;

    const ERROR: ReadError = ReadError::Undecodable { table: "test" };

    impl TransactionRules for Unreadable {
        fn parse(&self, bytes: Bytes) -> Result<PoolTransaction, DecodeError> {
            let (id, full_id, size_bytes) = (TxId::default(), TxFullId::default(), bytes.len());
            let (consumes, produces) = (Arc::default(), Arc::default());
            let facts =
                TransactionFacts { id, full_id, size_bytes, signatures: 0, is_statement: false, consumes, produces };
            Ok(PoolTransaction::new(bytes, facts))
        }

        fn check(&self, _transaction: &PoolTransaction, _pending: &dyn Pending) -> Result<Checked, CheckError> {
            Err(ERROR.into())
        }

        fn is_available(&self, _resource: &Resource) -> Result<bool, ReadError> {
            Err(ERROR)
        }

        fn is_confirmed(&self, _id: &TxId) -> Result<bool, ReadError> {
            Err(ERROR)
        }
    }

    impl Pending for Unreadable {
        fn producer(&self, _of: &Resource) -> Option<Bytes> {
            None
        }
    }

    #[test]
    fn each_failed_read_ends_the_process() {
        let ends = Arc::new(AtomicUsize::new(0));
        let counted = ends.clone();
        let reporter = FatalReporter::new(move |reason| {
            assert_eq!((reason.component, reason.text), ("mempool", ERROR.to_string()));
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let rules = FatalRules { rules: Arc::new(Unreadable), fatal: FatalHandle::new("mempool", reporter) };
        let transaction = rules.parse(Bytes::new()).unwrap();
        assert!(matches!(rules.check(&transaction, &Unreadable), Err(CheckError::Read(_))));
        assert!(rules.is_available(&Resource { origin: Hash::ZERO, index: 0 }).is_err());
        assert!(rules.is_confirmed(&transaction.facts.id).is_err());
        assert_eq!(ends.load(Ordering::Relaxed), 3);
    }
}
