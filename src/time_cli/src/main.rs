//! The program `time-cli`. `time-cli --help` says what it can do.

use std::process::ExitCode;

fn main() -> ExitCode {
    timed_cli::run_as("time-cli", std::env::args_os().skip(1))
}
