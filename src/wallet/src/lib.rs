//! timed-wallet
