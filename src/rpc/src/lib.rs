//! timed-rpc
