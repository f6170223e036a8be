//! timed-peer
