//! Programs under test that run to their end.

use crate::waiting::{Stopwatch, wait_for};
use std::fs::{self, File};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Settings of the shell that runs the tests say nothing to the programs.
pub(crate) fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIMED__")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command to its end; one that takes longer than `limit` fails the test and is killed.
pub(crate) fn run(mut command: Command, limit: Duration) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let (out, errors) = (folder.path().join("out"), folder.path().join("errors"));
    let described = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(File::create(&out).unwrap()).stderr(File::create(&errors).unwrap());
    let mut running = Running(command.spawn().unwrap());
    let watch = Stopwatch::start();
    let status = wait_for(&described, || {
        assert!(watch.elapsed() < limit, "{described} runs longer than {limit:?}");
        running.0.try_wait().unwrap()
    });
    Output { status, stdout: fs::read(out).unwrap(), stderr: fs::read(errors).unwrap() }
}
