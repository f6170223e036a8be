//! `timed healthcheck`: asks a running node whether it is alive, for those who watch over it, such as a container engine.

use crate::node;
use crate::node_args::NodeArgs;
use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use timed_cli::{DATA_DIR_VARIABLE, no_answer, web_address};
use ureq::Agent;

/// Longest wait for the answer: a node that takes longer is not well.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Longest answer read. Unit: bytes.
const ANSWER_BYTES_MAX: u64 = 4096;

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
    let page = format!("{url}health");
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(ANSWER_WITHIN))
        .proxy(None)
        .build()
        .into();
    let refused = |error| anyhow!(no_answer(&url, &error).to_string().replace('\n', "; "));
    let mut answer = agent.get(&page).call().map_err(refused)?;
    let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().unwrap_or_default();
    let (status, text) = (answer.status().as_u16(), text.trim());
    if status != 200 {
        bail!("{page} answers {status}: {text}");
    }
    // Whoever asked may have gone.
    let _ = writeln!(std::io::stdout(), "{page}: {text}");
    Ok(())
}

/// Where the node keeps its address. A folder that is named needs no more of the configuration to be known here.
fn folder(arguments: &NodeArgs) -> anyhow::Result<PathBuf> {
    let named = arguments.data_dir.clone().or_else(|| std::env::var_os(DATA_DIR_VARIABLE).map(PathBuf::from));
    named.map_or_else(|| node::folder(arguments), Ok)
}
