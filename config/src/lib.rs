//! timed-config
