//! `timed resume-signing`: lifts the stop that a node wrote when it found another one that signs with its key.

use anyhow::Context as _;
use clap::Args;
use std::path::PathBuf;
use timed_consensus::guard::{GUARD_FILE, clear_stop};
use timed_store::DataDir;

/// Flags of `timed resume-signing`.
#[derive(Clone, Debug, Args)]
pub struct ResumeSigningArgs {
    /// The node's folder.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

/// Lifts the stop and says what it was.
///
/// # Errors
/// When the folder is not a node's, a node runs in it, or the system refuses.
pub fn run(arguments: &ResumeSigningArgs) -> anyhow::Result<()> {
    let folder = &arguments.data_dir;
    let has_guard = folder.join(GUARD_FILE).try_exists().unwrap_or(false);
    anyhow::ensure!(has_guard, "{} is not the folder of a node: it has no file {GUARD_FILE}", folder.display());
    let folder = DataDir::open_existing(folder)?;
    match clear_stop(&folder.disk()).with_context(|| format!("in {}", folder.path().display()))? {
        Some(found) => println!("signing may go on: the stop is lifted. It was written because {found}."),
        None => println!("signing was not stopped here; nothing was changed."),
    }
    Ok(())
}
