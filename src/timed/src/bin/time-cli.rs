//! The client of `timed`.

use std::process::ExitCode;

fn main() -> ExitCode {
    timed::cli::run_as("time-cli", std::env::args_os().skip(1))
}
