//! The command line of `timed`.

use crate::node_args::{ConfigAction, NodeArgs};
use clap::{Parser, Subcommand};
use std::ffi::OsString;

/// A masternode daemon: connects to other masternodes, agrees on blocks, makes payments final.
///
/// Without a subcommand it runs one node. Three shells with --node-id 1 to 3 are a network.
#[derive(Debug, Parser)]
#[command(
    name = "timed",
    version,
    max_term_width = 80,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  timed --node-id 1 --p2p-port 7000        one of three nodes of this machine\n  \
                  timed --dev-nodes 1                      a network of one\n  timed localnet --nodes 4 --tps 20        four nodes with a live view\n  \
                  timed cli getblockcount                  ask the first local node"
)]
pub struct Cli {
    /// What to do; without one, run a node.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run the node.
    #[command(flatten)]
    pub node: NodeArgs,
}

/// What `timed` can do besides running a node.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a network of several nodes on this machine and watch it.
    #[command(after_help = "Example:\n  timed localnet --nodes 4 --tps 20 --duration 60s")]
    Localnet(timed_devnet::localnet::LocalnetArgs),
    /// Write a test network of your own: fresh keys, genesis, a configuration for each node, and a file for containers.
    #[command(after_help = "Example:\n  timed testnet --masternodes 4 --output my-testnet")]
    Testnet(timed_devnet::testnet::TestnetArgs),
    /// Ask a running node whether it is alive: exit status 0 when it is, 1 when not, and one line that says so.
    #[command(
        after_help = "Examples:\n  timed healthcheck --node-id 1\n  timed healthcheck --data-dir /var/lib/timed\n  \
                      timed healthcheck --url http://127.0.0.1:7100"
    )]
    Healthcheck(crate::healthcheck::HealthcheckArgs),
    /// Show or check the configuration that a node would run with, from preset, file, environment and flags.
    #[command(after_help = "Examples:\n  timed config print --node-id 2\n  timed config check --config node.toml")]
    Config {
        /// What to do with it.
        action: ConfigAction,
        /// The node's flags.
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Show what the folder of a stopped node holds, and whether it is sound. Nothing in it is changed.
    #[command(
        after_help = "Example:\n  timed inspect --data-dir ~/.timed/devnet-GENESIS/node-1 --node-id 1\n  timed inspect --data-dir ~/.timed/devnet-GENESIS/node-1 --audit"
    )]
    Inspect(timed_inspect::InspectArgs),
    /// Print a unit for systemd that runs a node: restarted when a part of it hangs, shut off from what it does not need.
    #[command(after_help = "Example:\n  timed systemd | sudo tee /etc/systemd/system/timed.service")]
    Systemd,
    /// Let a stopped node sign again after another was found to sign with its key. First end that other one for good.
    #[command(
        after_help = "Example:\n  timed resume-signing --data-dir /var/lib/timed\n\nThe node must not run. `timed cli \
                      getconsensusinfo` says which other\nnode was found, and where."
    )]
    ResumeSigning(crate::resume_signing::ResumeSigningArgs),
    /// Play a network of real nodes in virtual time, with faults drawn from a seed, and check it.
    #[cfg(feature = "simulate")]
    #[command(after_help = "Examples:\n  timed simulate --nodes 7 --seed 42 --minutes 60\n  \
                            timed simulate --nodes 4 --seed 7 --minutes 2 --faults kill,partition --trace\n  \
                            timed simulate --seeds 100 --minutes 10\n  \
                            timed simulate --scenario d06-frame-split")]
    Simulate(timed_simulator::command::SimulateArgs),
    /// Ask a running node, as time-cli does.
    #[command(disable_help_flag = true)]
    Cli {
        /// Everything that time-cli takes; `timed cli --help` lists it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// `timed cli` has the help of time-cli, which is checked there.
    #[test]
    fn all_help_fits_a_terminal_and_no_example_is_broken() {
        fn check(command: &mut clap::Command) -> usize {
            let [short, long] = [command.render_help(), command.render_long_help()].map(|text| text.to_string());
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in [short, long, examples].iter().flat_map(|text| text.lines()) {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
            1 + command.get_subcommands_mut().map(check).sum::<usize>()
        }
        let mut command = Cli::command();
        command.build();
        assert!(check(&mut command) >= 8);
    }
}
