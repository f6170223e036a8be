//! Accepting a connection can fail ten times a second for as long as the cause lasts; the log needs one line of it now and then.

use crate::time::Instant;
use std::io;
use std::time::Duration;

/// Time between two lines of one listener.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Linux: ENFILE (the machine's limit) and EMFILE (the process's).
const TOO_MANY_FILES: [i32; 2] = [23, 24];

/// Whether the process, or the machine, has no file left for what was to be opened.
pub fn is_out_of_files(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code))
}

/// Failures of one listener to accept.
#[derive(Debug, Default)]
pub struct AcceptErrors {
    said_at: Option<Instant>,
    unsaid: u64,
}

impl AcceptErrors {
    /// What to log of a failure: nothing, if the last line is younger than a minute.
    pub fn on_error(&mut self, now: Instant, error: &io::Error) -> Option<String> {
        if self.said_at.is_some_and(|at| now.since(at) < SAY_EVERY) {
            self.unsaid += 1;
            return None;
        }
        self.said_at = Some(now);
        let mut text = format!("cannot accept connections: {error}");
        let unsaid = std::mem::take(&mut self.unsaid);
        if unsaid > 0 {
            text += &format!(" ({} more since the last such line)", crate::counted(unsaid, "time"));
        }
        if is_out_of_files(error) {
            text += "; others must close theirs first. Raise the limit: ulimit -n, LimitNOFILE in systemd, nofile in docker";
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_minute_with_the_count_and_the_remedy() {
        let (mut errors, full) = (AcceptErrors::default(), io::Error::from_raw_os_error(24));
        let at = |tenths: u64| Instant::START + Duration::from_millis(tenths * 100);
        let lines: Vec<_> = (0..1_200).filter_map(|tenths| errors.on_error(at(tenths), &full)).collect();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("(os error 24); others") && lines[0].contains("ulimit -n"), "{}", lines[0]);
        assert!(lines[1].contains("(599 times more since the last such line)"), "{}", lines[1]);
        let reset = AcceptErrors::default().on_error(at(0), &io::Error::from_raw_os_error(104)).unwrap();
        assert!(!reset.contains("ulimit"), "{reset}");
    }
}
