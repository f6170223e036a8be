//! The edge of a process of ours: its log, signals, the request to end, last words, and its limit of open files.
//!
//! Knows: standard output and error, signals, threads that nothing may hold up. Must not know: what the process is for; no actor, no store.
//!
//! No thread but the log's own waits for whoever reads standard output ([`log_writer`]), a thread of its own deals with signals
//! ([`signals`]), and what is said at the end is said within a moment or not at all ([`last_words`]).

pub mod last_words;
pub mod log_writer;
pub mod logging;
pub mod open_files;
pub mod own_thread;
pub mod private_files;
pub mod signals;
pub mod stop;

pub use log_writer::LogWriter;
pub use own_thread::ThreadError;
pub use stop::{Stop, StopCause};
