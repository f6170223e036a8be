//! One target under the engine: `TIMED_FUZZ_TARGET` names it, the arguments are the engine's.
//!
//! Beside what the target itself checks, an input that takes too long or too much memory is a finding.

#![no_main]
#![allow(unsafe_code, reason = "the engine calls the target as a C function, and memory is counted where it is taken")]

use libfuzzer_sys::fuzz_target;
use rustix::time::{ClockId, clock_gettime};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Longest processor time of one input, with all the marks of the engine in the code.
const TIME_MAX: Duration = Duration::from_millis(100);
/// Largest piece of memory that one input may make us take at once: inputs are 64 KiB at most. Unit: bytes.
const PIECE_MAX: usize = 8 << 20;

/// The chosen target.
static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("TIMED_FUZZ_TARGET").unwrap_or_default();
    timed_fuzz::target(&name).unwrap_or_else(|| {
        let names: Vec<_> = timed_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
        panic!("TIMED_FUZZ_TARGET must be one of {}", names.join(", "))
    })
});

/// The largest piece since the input began. Unit: bytes.
static LARGEST: AtomicUsize = AtomicUsize::new(0);

/// The system's memory, with an eye on large pieces.
struct WatchedMemory;

// SAFETY: everything is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for WatchedMemory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static MEMORY: WatchedMemory = WatchedMemory;

/// Processor time of this thread, which a busy machine does not lengthen.
fn spent() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn bounded(bytes: &[u8]) -> (Duration, usize) {
    LARGEST.store(0, Ordering::Relaxed);
    let begun = spent();
    TARGET(bytes);
    (spent().saturating_sub(begun), LARGEST.load(Ordering::Relaxed))
}

fuzz_target!(|bytes: &[u8]| {
    let (mut time, piece) = bounded(bytes);
    if time > TIME_MAX {
        // The first input of a run also makes what all later ones share.
        time = bounded(bytes).0;
    }
    assert!(time <= TIME_MAX, "{} bytes took {time:?}", bytes.len());
    assert!(piece <= PIECE_MAX, "{} bytes took a piece of {piece} bytes", bytes.len());
});
