//! timed-actors
