//! `timed-bench`: real nodes, figures that add up. How fast something is, is not for a test to say.
//!
//! The nodes are processes of the `timed` that is built beside `timed-bench`: all tests together build both.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod parts;
mod payments;
#[path = "../process/programs.rs"]
mod programs;
#[path = "../process/waiting.rs"]
mod waiting;

use programs::{clean, run};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

/// Runs `timed-bench` with a home of its own, in which it must leave nothing.
fn bench(arguments: &[&str], limit: Duration) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_timed-bench"));
    assert!(
        program.with_file_name("timed").is_file(),
        "build the daemon before these tests run alone: cargo build -p timed"
    );
    let home = tempfile::tempdir().unwrap();
    let mut command = clean(Command::new(program));
    command.args(arguments).env("HOME", home.path());
    let output = run(command, limit);
    let left: Vec<_> = fs::read_dir(home.path().join(".timed")).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{arguments:?} left {left:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Its one JSON object.
fn report(arguments: &[&str], limit: Duration) -> Value {
    let output = bench(&[arguments, &["--json"]].concat(), limit);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
