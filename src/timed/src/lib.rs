//! The daemon `timed`.
//!
//! Knows: the command line, configuration, logging, and which part is wired to which. Must not know: a rule of the protocol.

mod address_file;
pub mod args;
pub mod bench;
#[cfg(test)]
mod damaged_files;
mod files;
mod folder_guard;
pub mod healthcheck;
pub mod inspect;
mod keys;
pub mod last_words;
mod local_nodes;
pub mod localnet;
mod log_writer;
mod logging;
pub mod node;
mod open_files;
mod peer_files;
pub mod resume_signing;
mod service;
mod signals;
#[cfg(feature = "simulate")]
pub mod simulate;
mod stop;
pub mod testnet;
mod watchdog;

/// An error with its causes, each said once: many name their cause themselves.
pub fn causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string).filter(|cause| !cause.is_empty()) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::causes;
    use anyhow::Context as _;

    #[derive(Debug, thiserror::Error)]
    #[error("journal-a: {source}; check the disk")]
    struct NamesItsCause {
        source: std::io::Error,
    }

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::Error::new(NamesItsCause { source: std::io::Error::from_raw_os_error(28) });
        assert_eq!(causes(&error), "journal-a: No space left on device (os error 28); check the disk");
        let plain = Err::<(), _>(std::io::Error::from_raw_os_error(13)).context("cannot read the file").unwrap_err();
        assert_eq!(causes(&plain), "cannot read the file: Permission denied (os error 13)");
    }
}
