//! timed-block-sync
