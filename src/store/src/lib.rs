//! timed-store
