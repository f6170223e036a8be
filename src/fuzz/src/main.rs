//! One target under the engine: `TIMED_FUZZ_TARGET` names it, the arguments are the engine's.

#![no_main]
#![allow(unsafe_code, reason = "the engine calls the target as a C function; its macro writes that function")]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// The chosen target.
static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("TIMED_FUZZ_TARGET").unwrap_or_default();
    timed_fuzz::target(&name).unwrap_or_else(|| {
        let names: Vec<_> = timed_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
        panic!("TIMED_FUZZ_TARGET must be one of {}", names.join(", "))
    })
});

fuzz_target!(|bytes: &[u8]| {
    TARGET(bytes);
});
