//! Whether a node lives, by its own word.

use crate::connect::{Failure, no_answer};
use std::time::Duration;
use ureq::Agent;

/// Longest wait for the answer: a node that takes longer is not well.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Longest answer read. Unit: bytes.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Asks the node at `url`, which ends with a slash, for `/health`. Gives the page and what it says, in one line.
///
/// # Errors
/// In one line: it does not answer in time, or says what is wrong with it.
pub fn health(url: &str) -> Result<String, Failure> {
    let page = format!("{url}health");
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(ANSWER_WITHIN))
        .proxy(None)
        .build()
        .into();
    let mut answer = agent.get(&page).call().map_err(|error| no_answer(url, &error))?;
    let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().unwrap_or_default();
    match (answer.status().as_u16(), text.trim()) {
        (200, text) => Ok(format!("{page}: {text}")),
        (status, text) => Err(Failure::Refused(format!("{page} answers {status}: {text}"))),
    }
}
