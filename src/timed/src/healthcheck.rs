//! `timed healthcheck`: asks a running node whether it is alive, for those who watch over it, such as a container engine.

use crate::node;
use crate::node_args::NodeArgs;
use anyhow::{Context as _, anyhow};
use clap::Args;
use std::io::Write as _;
use std::path::PathBuf;
use timed_cli::{DATA_DIR_VARIABLE, health, web_address};

/// Flags of `timed healthcheck`.
#[derive(Clone, Debug, Args)]
pub struct HealthcheckArgs {
    /// Ask the node at this address, such as http://127.0.0.1:7100, instead of the one that the other flags describe.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The flags of the node to ask.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// Asks, and says in one line that the node is alive.
///
/// # Errors
/// When it is not: no node runs in the folder, it does not answer in time, or it says what is wrong with it.
pub fn run(arguments: &HealthcheckArgs) -> anyhow::Result<()> {
    let url = match &arguments.url {
        Some(url) => web_address(url)?,
        None => {
            let folder = folder(&arguments.node)?;
            let (_, address) =
                timed_rpc::read_cookie(&folder).with_context(|| format!("no node runs in {}", folder.display()))?;
            format!("http://{address}/")
        }
    };
    let line = health(&url).map_err(|failure| anyhow!(failure.to_string().replace('\n', "; ")))?;
    // Whoever asked may have gone.
    let _ = writeln!(std::io::stdout(), "{line}");
    Ok(())
}

/// Where the node keeps its address. A folder that is named needs no more of the configuration to be known here.
fn folder(arguments: &NodeArgs) -> anyhow::Result<PathBuf> {
    let named = arguments.data_dir.clone().or_else(|| std::env::var_os(DATA_DIR_VARIABLE).map(PathBuf::from));
    named.map_or_else(|| node::folder(arguments), Ok)
}
