//! timed-actors
pub mod clock;
pub mod tls;
pub mod transport;
