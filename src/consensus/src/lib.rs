//! timed-consensus
