//! Targets for fuzzing: one for every place where bytes from outside are read.
//!
//! Knows: the cores and their decoders. Must not know: actors, the daemon, an engine. A target takes any bytes and panics when a promise is
//! broken: besides "no panic", that what is read is written back the same, that bounds hold, that where bytes are cut changes nothing.
//!
//! `cargo test -p timed-fuzz` plays the corpus (`corpus/<target>`) and many mutations of it; `src/fuzz/run 60` looks for new inputs by
//! coverage, for 60 s each. docs/fuzzing.md says which decoder each target covers.

mod files;
mod objects;
mod rpc;
mod store;
mod stream;
mod texts;

/// A target by name.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [FuzzTarget; 15] = [
    ("frames", stream::frames),
    ("body", stream::body),
    ("handshake", stream::handshake),
    ("objects", objects::canonical),
    ("records", objects::records),
    ("validate", objects::validate),
    ("block_log", files::block_log),
    ("journal", files::journal),
    ("pool_file", files::pool_file),
    ("store", store::store),
    ("texts", texts::texts),
    ("genesis", texts::genesis),
    ("config", texts::config),
    ("settings", texts::settings),
    ("rpc", rpc::rpc),
];

/// The target with this name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS.iter().find(|(found, _)| *found == name).map(|(_, target)| *target)
}
