//! The daemon `timed`. `timed --help` says what it can do.

use clap::Parser;
use std::process::ExitCode;
use timed::args::{Cli, Command};

fn main() -> ExitCode {
    let arguments = Cli::parse();
    let outcome = match arguments.command {
        None => timed::node::run(&arguments.node),
        Some(Command::Localnet(localnet)) => timed::localnet::run(&localnet),
        Some(Command::Bench(bench)) => timed::bench::run(&bench),
        Some(Command::Testnet(testnet)) => timed::testnet::run(&testnet),
        Some(Command::Healthcheck(healthcheck)) => timed::healthcheck::run(&healthcheck),
        Some(Command::Config { action, node }) => timed::node::show_config(action, &node),
        Some(Command::Inspect(inspect)) => timed::inspect::run(&inspect),
        Some(Command::ResumeSigning(resume)) => timed::resume_signing::run(&resume),
        #[cfg(feature = "simulate")]
        Some(Command::Simulate(simulate)) => timed::simulate::run(&simulate),
        Some(Command::Cli { arguments }) => return timed_cli::run(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            timed::last_words::say(&format!("timed: {}", timed::causes(&error)));
            ExitCode::FAILURE
        }
    }
}
