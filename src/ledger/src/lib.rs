//! timed-ledger
