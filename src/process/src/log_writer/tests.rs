//! A reader that hangs costs lines and never time; nothing in a value looks like a line.

use super::*;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

/// An output whose reader takes a piece when the test does.
struct Pipe(SyncSender<Vec<u8>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(|_| ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pipe(bytes_max: usize) -> (LogWriter, Receiver<Vec<u8>>) {
    let (sender, receiver) = sync_channel(0);
    (LogWriter::bounded(Pipe(sender), bytes_max).unwrap(), receiver)
}

/// Everything until a line with these words.
fn read_until(reader: &Receiver<Vec<u8>>, words: &str) -> String {
    let mut text = String::new();
    while !text.contains(words) {
        text.push_str(&String::from_utf8(reader.recv_timeout(Duration::from_secs(10)).unwrap()).unwrap());
    }
    text
}

#[test]
fn a_reader_that_hangs_costs_lines_that_are_counted_and_reported() {
    let (log, reader) = pipe(10_000);
    // Of this test only; and for the writer's thread as well, hence global.
    let own = Targets::new().with_target("timed_process::log_writer", tracing::Level::INFO);
    let subscriber = tracing_subscriber::registry().with(own).with(crate::logging::text_layer(log.clone(), false));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    for n in 0..1_000 {
        tracing::info!(n, "a line");
    }
    // Nobody has read, and we are here.
    let dropped = log.dropped();
    assert!(dropped.all > 800 && dropped.unreported == dropped.all, "{dropped:?}");
    assert!(!log.flush(Duration::from_millis(50)), "it is not read");
    let text = read_until(&reader, "lines of the log are lost");
    let kept = text.lines().filter(|line| line.contains("a line")).count() as u64;
    assert_eq!(kept + dropped.all, 1_000);
    assert!(text.contains(&format!("lines={}", dropped.all)), "{text}");
    assert_eq!(log.dropped(), DroppedLines { all: dropped.all, unreported: 0, refusal: None });
    // It goes on as before, in order.
    for n in 0..10 {
        tracing::info!(n, "after");
    }
    let text = read_until(&reader, "n=9");
    let order: Vec<_> =
        text.lines().filter(|line| line.contains("after")).filter_map(|line| line.split("n=").nth(1)).collect();
    assert_eq!(order, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
}

/// Whether more lines than there is memory for are taken while nobody reads.
fn takes_all(prepare: impl FnOnce() -> Option<Box<dyn std::any::Any>> + Send + 'static) -> bool {
    let (log, reader) = pipe(10_000);
    let taken = crate::last_words::within(Duration::from_secs(2), move || {
        let _planted = prepare();
        for _ in 0..1_000 {
            LogEvent(&log).write_all(b"a line\n").unwrap();
        }
    });
    drop(reader);
    taken
}

#[test]
fn whoever_has_a_line_waits_for_nobody() {
    assert!(takes_all(|| None));
}

#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::plant;

    #[test]
    fn log_waits() {
        assert!(!takes_all(|| Some(Box::new(plant(Bug::LogWaits)))));
    }
}

#[test]
fn the_last_lines_are_written_before_the_end() {
    let (log, reader) = pipe(BYTES_MAX);
    for n in 0..100 {
        LogEvent(&log).write_all(format!("line {n}\n").as_bytes()).unwrap();
    }
    let read = move || {
        let mut text = Vec::new();
        while let Ok(piece) = reader.recv_timeout(Duration::from_secs(1)) {
            text.extend(piece);
        }
        String::from_utf8(text).unwrap()
    };
    let text = thread::Builder::new().spawn(read).unwrap();
    assert!(log.flush(Duration::from_secs(10)));
    let queue = log.queue();
    assert!(queue.lines.is_empty() && !queue.is_writing && queue.bytes == 0);
    drop(queue);
    let text = text.join().unwrap();
    let expected: String = (0..100).map(|n| format!("line {n}\n")).collect();
    assert_eq!(text, expected);
}

#[test]
fn a_closed_output_is_counted_and_holds_nobody() {
    let (log, reader) = pipe(BYTES_MAX);
    drop(reader);
    LogEvent(&log).write_all(b"lost\n").unwrap();
    log.flush(Duration::from_secs(10));
    assert_eq!(log.dropped().all, 1);
    assert!(log.dropped().refusal.is_some_and(|why| why.contains("broken pipe")), "{:?}", log.dropped());
}

/// A disk with so much room, whose content the test sees.
#[derive(Clone)]
struct FullDisk(Arc<Mutex<(usize, Vec<u8>)>>);

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (room, content) = &mut *self.0.lock().unwrap();
        let count = bytes.len().min(*room);
        *room -= count;
        content.extend(&bytes[..count]);
        if count == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(count) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_log_on_a_full_disk_says_so_and_what_is_cut_off_spoils_no_other_line() {
    // Two lines and a half.
    let disk = FullDisk(Arc::new(Mutex::new((25, Vec::new()))));
    let log = LogWriter::bounded(disk.clone(), BYTES_MAX).unwrap();
    let write = |line: String| {
        LogEvent(&log).write_all(format!("{line}\n").as_bytes()).unwrap();
        assert!(log.flush(Duration::from_secs(10)));
    };
    (0..6).for_each(|n| write(format!("line {n}...")));
    let dropped = log.dropped();
    assert_eq!((dropped.all, dropped.unreported), (4, 4));
    assert_eq!(dropped.refusal.as_deref(), Some("no storage space"));
    disk.0.lock().unwrap().0 = 1_000;
    write("after".into());
    let text = String::from_utf8(disk.0.lock().unwrap().1.clone()).unwrap();
    assert_eq!(text, "line 0...\nline 1...\nline \nafter\n");
    // Its thread reports once it has written.
    let reported = DroppedLines { all: 4, unreported: 0, refusal: None };
    let is_reported = |_| {
        thread::yield_now();
        log.dropped() == reported
    };
    assert!((0..1_000_000).any(is_reported), "{:?}", log.dropped());
}

/// What a layer makes of an event with a value from outside.
fn written(is_json: bool, has_ansi: bool) -> String {
    let (log, reader) = pipe(BYTES_MAX);
    let agent = "evil\n2026-11-28T00:00:00Z  INFO all is well\r\u{1b}[2K\u{85}\u{202e}";
    let event = || {
        tracing::info!(agent, address = %agent, error = ?agent, "peer {agent}");
        tracing::info!("the end");
    };
    if is_json {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(crate::logging::json_layer(log)), event);
    } else {
        let layer = crate::logging::text_layer(log, has_ansi);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), event);
    }
    read_until(&reader, "the end")
}

#[test]
fn no_value_looks_like_a_line_of_the_log() {
    for (is_json, has_ansi) in [(false, false), (false, true), (true, false)] {
        let text = written(is_json, has_ansi);
        assert_eq!(text.lines().count(), 2, "json {is_json}, ansi {has_ansi}: {text}");
        let harm = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}') && !(has_ansi && c == '\u{1b}');
        assert!(!text.contains(harm), "json {is_json}, ansi {has_ansi}: {text:?}");
        assert!(!text.contains("\u{1b}[2K"), "the value's own ESC: {text:?}");
        if is_json {
            for line in text.lines() {
                serde_json::from_str::<serde_json::Value>(line).unwrap();
            }
        }
    }
}
