//! Where lines of the log go: into memory, and from there by a thread of its own to standard output.
//!
//! No other thread waits for whoever reads standard output. What does not fit the memory is dropped, counted, and reported in the log as
//! soon as it is read again.

use crate::own_thread::{self, ThreadError};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use timed_primitives::planted::{Bug, is_planted};
use timed_primitives::printable;
use tracing_subscriber::fmt::MakeWriter;

/// Most bytes of lines that wait or are being written. A busy node at level info makes a few kilobytes a second. Unit: bytes.
const BYTES_MAX: usize = 4 << 20;
/// Memory that a waiting line takes beside its text, so that many short lines are bounded as well. Unit: bytes.
const LINE_COST: usize = 64;
/// Most bytes given to the system at once. Unit: bytes.
const WRITE_BYTES: usize = 64 << 10;
/// Pause before a full descriptor that does not wait is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// Takes lines from any thread. Clones write to the same place.
#[derive(Clone)]
pub struct LogWriter {
    shared: Arc<LogWriterInner>,
    /// Whether lines are painted for a terminal.
    is_painted: bool,
}

struct LogWriterInner {
    queue: Mutex<LineQueue>,
    /// Signalled when a line has come, or the log is to end.
    filled: Condvar,
    /// Signalled when everything is written.
    emptied: Condvar,
    bytes_max: usize,
}

#[derive(Default)]
struct LineQueue {
    lines: VecDeque<Vec<u8>>,
    /// Cost of these and of what is being written.
    bytes: usize,
    is_writing: bool,
    /// Dropped since the start.
    dropped: u64,
    /// Of these, not reported yet.
    unreported: u64,
    /// What the system said to the last write that failed, until that is reported.
    refusal: Option<Arc<str>>,
}

/// How much was dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DroppedLines {
    /// Lines since the start.
    pub all: u64,
    /// Lines since it was last reported, which is to say since it was last read.
    pub unreported: u64,
    /// What the system said when they could not be written; `None` when nobody read them in time.
    pub refusal: Option<Arc<str>>,
}

impl LogWriter {
    /// Lines go to `output` from now on.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(output: impl Write + Send + 'static) -> Result<Self, ThreadError> {
        Self::bounded(output, BYTES_MAX)
    }

    fn bounded(output: impl Write + Send + 'static, bytes_max: usize) -> Result<Self, ThreadError> {
        let (queue, filled, emptied) = (Mutex::default(), Condvar::new(), Condvar::new());
        let shared = Arc::new(LogWriterInner { queue, filled, emptied, bytes_max });
        let writer = Self { shared, is_painted: false };
        let own = writer.clone();
        own_thread::start("log", move || own.write_all_for_ever(output))?;
        Ok(writer)
    }

    /// The same, for lines that are painted for a terminal.
    pub fn painted(self, is_painted: bool) -> Self {
        Self { is_painted, ..self }
    }

    /// Held for a few instructions only: nothing is written, formatted or freed under it.
    fn queue(&self) -> MutexGuard<'_, LineQueue> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line, or drops it.
    fn push(&self, line: Vec<u8>) {
        let cost = line.len() + LINE_COST;
        let mut queue = self.queue();
        if is_planted(Bug::LogWaits) {
            let is_full = |queue: &mut LineQueue| queue.bytes + cost > self.shared.bytes_max;
            queue = self.shared.emptied.wait_while(queue, is_full).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.bytes + cost > self.shared.bytes_max {
            queue.dropped += 1;
            queue.unreported += 1;
            return;
        }
        queue.bytes += cost;
        queue.lines.push_back(line);
        drop(queue);
        self.shared.filled.notify_one();
    }

    /// How much was dropped.
    pub fn dropped(&self) -> DroppedLines {
        let queue = self.queue();
        DroppedLines { all: queue.dropped, unreported: queue.unreported, refusal: queue.refusal.clone() }
    }

    /// Waits until everything is written, or for `limit`: a reader that hangs does not hold up the end of the process. True when it was.
    pub fn flush(&self, limit: Duration) -> bool {
        let is_busy = |queue: &mut LineQueue| queue.is_writing || !queue.lines.is_empty();
        let waited = self.shared.emptied.wait_timeout_while(self.queue(), limit, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn write_all_for_ever(&self, mut output: impl Write) {
        let mut is_torn = false;
        loop {
            let (mut text, lines, cost) = self.next_text();
            if is_torn {
                // What is left of a line that was cut off stays on a line of its own.
                text.insert(0, b'\n');
            }
            let (written, refusal) = write_fully(&mut output, &text);
            let out = text.get(..written).unwrap_or_default();
            let ends = out.iter().filter(|byte| **byte == b'\n').count() as u64;
            let lost = lines.saturating_sub(ends.saturating_sub((is_torn && written > 0).into()));
            is_torn = out.last().map_or(is_torn, |byte| *byte != b'\n');
            let is_written = refusal.is_none();
            self.written(cost, lost, refusal);
            // To report to nobody would be one more line that is lost.
            if is_written {
                self.report();
            }
        }
    }

    /// Waits for lines and takes some: their text, how many they are, and what they cost.
    fn next_text(&self) -> (Vec<u8>, u64, usize) {
        let mut queue = self.queue();
        queue = self
            .shared
            .filled
            .wait_while(queue, |queue| queue.lines.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        queue.is_writing = true;
        let mut taken = Vec::new();
        let mut size = 0;
        while size < WRITE_BYTES
            && let Some(line) = queue.lines.pop_front()
        {
            size += line.len();
            taken.push(line);
        }
        drop(queue);
        let cost = size + taken.len() * LINE_COST;
        (taken.concat(), taken.len() as u64, cost)
    }

    fn written(&self, cost: usize, lost: u64, refusal: Option<io::Error>) {
        let refusal = refusal.map(|error| Arc::from(error.to_string()));
        let mut queue = self.queue();
        queue.bytes -= cost;
        queue.is_writing = false;
        queue.dropped += lost;
        queue.unreported += lost;
        queue.refusal = refusal.or(queue.refusal.take());
        if queue.lines.is_empty() {
            self.shared.emptied.notify_all();
        }
    }

    /// Says in the log itself what was dropped, once there is room again. By this thread, after a write that came to its end.
    fn report(&self) {
        let mut queue = self.queue();
        if queue.unreported == 0 || queue.bytes > self.shared.bytes_max / 2 {
            return;
        }
        let (lines, refusal) = (std::mem::take(&mut queue.unreported), queue.refusal.take());
        drop(queue);
        match refusal {
            None => tracing::warn!(lines, "lines of the log are lost: standard output was not read fast enough"),
            Some(error) => {
                tracing::warn!(lines, %error, "lines of the log are lost: standard output could not be written")
            }
        }
    }
}

/// Writes everything, in as many pieces as the system takes. How many bytes it took, and what it said to the rest.
fn write_fully(output: &mut impl Write, text: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while let Some(rest) = text.get(written..).filter(|rest| !rest.is_empty()) {
        match output.write(rest) {
            Ok(0) => return (written, Some(ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Somebody made the descriptor one that does not wait.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(RETRY_AFTER),
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}

/// One event on its way into the log. The formatter gives each as one piece of text that ends with a line feed.
pub struct LogEvent<'a>(&'a LogWriter);

impl Write for LogEvent<'_> {
    /// Line feeds within an event would look like events of their own, so they and other control characters are shown as escapes.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = fit(text.strip_suffix('\n').unwrap_or(&text), self.0.is_painted);
        line.push('\n');
        self.0.push(line.into_bytes());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text of one line. Where it is painted, the sequences that set colours (ECMA-48, SGR) are kept, whoever wrote them; all others are shown.
fn fit(text: &str, is_painted: bool) -> String {
    let mut pieces = text.split('\x1b');
    let mut line = printable(pieces.next().unwrap_or_default()).into_owned();
    for piece in pieces {
        let paint = piece.strip_prefix('[').and_then(|rest| rest.split_once('m')).map(|(codes, _)| codes);
        match paint.filter(|codes| is_painted && codes.bytes().all(|b| b.is_ascii_digit() || b == b';')) {
            Some(_) => line.push('\x1b'),
            None => line.push_str("\\u001b"),
        }
        line.push_str(&printable(piece));
    }
    line
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LogEvent<'a>;

    fn make_writer(&'a self) -> LogEvent<'a> {
        LogEvent(self)
    }
}

#[cfg(test)]
mod tests;
