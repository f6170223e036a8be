//! Logs for people or for programs, on standard output. No ANSI codes off a terminal.

use std::io::IsTerminal;
use timed_config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The consensus library tells of every vote, the store of every file; what matters of it we say ourselves.
const QUIET: [&str; 6] = [
    "fjall=warn",
    "lsm_tree=warn",
    "arc_malachitebft_core_consensus=error",
    "arc_malachitebft_core_driver=error",
    "arc_malachitebft_core_state_machine=error",
    "arc_malachitebft_core_votekeeper=error",
];

/// Starts logging for the whole process.
///
/// # Errors
/// When the filter is no level and no list of directives.
pub(crate) fn start(log: &Log) -> anyhow::Result<()> {
    let mut filter = EnvFilter::try_new(&log.level).map_err(|e| {
        anyhow::anyhow!(
            "log level {:?}: {e}; expected a level such as info, or directives such as info,heartbeat=debug",
            log.level
        )
    })?;
    for directive in QUIET {
        filter = filter.add_directive(directive.parse()?);
    }
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Text => {
            let ansi = std::io::stdout().is_terminal();
            registry.with(tracing_subscriber::fmt::layer().with_ansi(ansi).with_target(false)).try_init()?;
        }
        LogFormat::Json => registry.with(tracing_subscriber::fmt::layer().json().flatten_event(true)).try_init()?,
    }
    Ok(())
}
