//! The daemon `timed`. `timed --help` says what it can do.

use clap::Parser;
use std::process::ExitCode;
use timed::args::{Cli, Command};
use timed_process::last_words::{causes, say};

fn main() -> ExitCode {
    let arguments = Cli::parse();
    let outcome = match arguments.command {
        None => timed::node::run(&arguments.node),
        Some(Command::Localnet(localnet)) => timed_devnet::localnet::run(&localnet),
        Some(Command::Testnet(testnet)) => timed_devnet::testnet::run(&testnet),
        Some(Command::Healthcheck(healthcheck)) => timed::healthcheck::run(&healthcheck),
        Some(Command::Config { action, node }) => timed::node::show_config(action, &node),
        Some(Command::Inspect(inspect)) => timed_inspect::run(&inspect),
        Some(Command::Systemd) => timed::service_manager::print_unit(),
        Some(Command::ResumeSigning(resume)) => timed::resume_signing::run(&resume),
        #[cfg(feature = "simulate")]
        Some(Command::Simulate(simulate)) => timed_simulator::command::run(&simulate),
        Some(Command::Cli { arguments }) => return timed_cli::run(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("timed: {}", causes(&error)));
            ExitCode::FAILURE
        }
    }
}
