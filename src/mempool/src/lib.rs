//! timed-mempool
