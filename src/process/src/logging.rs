//! Logs for people or for programs, on standard output. No ANSI codes off a terminal.

use crate::log_writer::LogWriter;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::panic::PanicHookInfo;
use std::time::Duration;
use timed_config::{LogFormat, LogSection};
use tracing::Subscriber;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

/// The consensus library logs every vote, the store of every file; what matters of it we say ourselves.
const QUIET: [&str; 6] = [
    "fjall=warn",
    "lsm_tree=warn",
    "arc_malachitebft_core_consensus=error",
    "arc_malachitebft_core_driver=error",
    "arc_malachitebft_core_state_machine=error",
    "arc_malachitebft_core_votekeeper=error",
];

/// How long the end of the process waits for the last lines to be read.
const FLUSH_WITHIN: Duration = Duration::from_millis(500);

/// The log of this process. Writes what waits when it is dropped.
pub struct Logging(LogWriter);

impl Logging {
    /// Where the lines go.
    pub fn writer(&self) -> LogWriter {
        self.0.clone()
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.flush(FLUSH_WITHIN);
    }
}

/// Starts logging for the whole process, panics included: from now on no thread but the log's own writes to standard output or error.
///
/// # Errors
/// When the filter is no level and no list of directives, or the system refuses a thread.
pub fn start(log: &LogSection) -> anyhow::Result<Logging> {
    let mut filter = EnvFilter::try_new(&log.level).map_err(|e| {
        anyhow::anyhow!(
            "log level {:?}: {e}; expected a level such as info, or directives such as info,heartbeat=debug",
            log.level
        )
    })?;
    for directive in QUIET {
        filter = filter.add_directive(directive.parse()?);
    }
    // A descriptor of our own: what the library keeps for standard output has a lock, which a write to a full pipe would hold.
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let writer = LogWriter::start(output)?;
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Text => registry.with(text_layer(writer.clone(), io::stdout().is_terminal())).try_init()?,
        LogFormat::Json => registry.with(json_layer(writer.clone())).try_init()?,
    }
    std::panic::set_hook(Box::new(log_panic));
    Ok(Logging(writer))
}

/// Lines for people.
pub fn text_layer<S>(writer: LogWriter, has_ansi: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fmt::layer().with_ansi(has_ansi).with_target(false).with_writer(writer.painted(has_ansi))
}

/// Lines for programs.
pub fn json_layer<S>(writer: LogWriter) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fmt::layer().json().flatten_event(true).with_writer(writer)
}

/// Instead of the library's way, which writes to standard error and waits for its reader.
fn log_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let text = info.payload_as_str().unwrap_or("no text");
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(thread, place, %backtrace, "panicked: {text}");
    } else {
        tracing::error!(thread, place, "panicked: {text}");
    }
}
