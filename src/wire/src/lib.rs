//! timed-wire
