//! The example as a reader runs it.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

use std::process::Stdio;
use std::time::Duration;

#[actix_rt::test]
async fn two_peers_meet_and_talk() {
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_timed-example-two-peers"));
    let child = program.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output()).await;
    let output = output.expect("it ends in a minute").unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for words in
        ["asks: Question { text: \"who is there?\" }", "the answer: Answer { text: \"the first\" }", "a ping to"]
    {
        assert!(output.status.success() && text.contains(words), "no {words:?} in {text}");
    }
}
