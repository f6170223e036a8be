//! What is known of peers and outlives the process: bans, and why sessions ended. The address book has a file of its own in
//! `address_file`.

use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use timed_peer::{Ban, Offence};
use timed_primitives::{Clock, PublicKey, UnixTime};
use timed_rpc::Text;
use timed_rpc::result::EndInfo;
use timed_store::{read_bounded, write_durably};

/// Bans in force, as JSON.
const BANS: &str = "bans.json";
/// Longest file of bans that is read: a ban takes some 200, and there are at most some thousand. Unit: bytes.
const BANS_BYTES_MAX: u64 = 16 << 20;
/// Ends of sessions, a line of JSON for each.
const HISTORY: &str = "peer-history.jsonl";
/// The file before it.
const HISTORY_BEFORE: &str = "peer-history.1.jsonl";
/// At this size the history becomes the file before it, and a new one begins. Unit: bytes.
const HISTORY_BYTES_MAX: u64 = 4 << 20;
/// Ends of earlier runs that are shown; the oldest are forgotten at the bound.
const EARLIER_MAX: usize = 256;
/// Longest line that is read: an end of a session takes some two thousand. Unit: bytes.
const LINE_BYTES_MAX: usize = 1 << 16;

/// A file about peers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PeerFileError {
    /// The system refused.
    #[error("cannot use {}: {source}; {}", path.display(), timed_store::remedy(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody changed it.
    #[error("{} is longer than {bytes_max} bytes, so it does not hold our bans; mend the file, or remove it to start without bans", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The bound.
        bytes_max: u64,
    },
    /// Somebody changed it.
    #[error("{} does not hold bans: {source}; mend the file, or remove it to start without bans", path.display())]
    Bans {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// A ban as it is kept: by civil time.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptBan {
    node_key: Text<PublicKey>,
    /// Unit: milliseconds since 1970.
    until_ms: u64,
    /// What was left when it was written: it lasts no longer, however far the clock was turned back since. Unit: milliseconds.
    left_ms: u64,
    /// Name of the offence; none: an operator.
    offence: Option<String>,
}

/// The files in a node's data folder. Clones are of the same.
#[derive(Clone)]
pub struct PeerFiles {
    folder: PathBuf,
    /// The folder is ours no more.
    is_left: Arc<AtomicBool>,
}

impl PeerFiles {
    /// In this folder; nothing is read or written yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), is_left: Arc::default() }
    }

    /// Nothing is written any more.
    pub fn leave(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Relaxed)
    }

    /// Where the file of this name is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn failed(&self, name: &str) -> impl Fn(io::Error) -> PeerFileError {
        let path = self.file(name);
        move |source| PeerFileError::Io { path: path.clone(), source }
    }

    /// Bans that are still in force.
    ///
    /// # Errors
    /// [`PeerFileError`]; no file means no bans.
    pub fn bans(&self, clock: &dyn Clock) -> Result<Vec<Ban>, PeerFileError> {
        let text = match read_bounded(&self.file(BANS), BANS_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(PeerFileError::TooLong { path: self.file(BANS), bytes_max: BANS_BYTES_MAX });
            }
            Err(error) => return Err(self.failed(BANS)(error)),
        };
        let kept: Vec<KeptBan> =
            serde_json::from_slice(&text).map_err(|source| PeerFileError::Bans { path: self.file(BANS), source })?;
        let (now, unix) = (clock.now(), clock.unix());
        let in_force = kept.into_iter().filter(|ban| UnixTime(ban.until_ms) > unix);
        let ban = |kept: KeptBan| Ban {
            key: kept.node_key.0,
            until: now + UnixTime(kept.until_ms).since(unix).min(Duration::from_millis(kept.left_ms)),
            offence: kept.offence.as_deref().and_then(Offence::from_name),
        };
        Ok(in_force.map(ban).collect())
    }

    /// Keeps these bans in place of all others.
    ///
    /// # Errors
    /// [`PeerFileError::Io`]; the file is as it was.
    pub fn keep_bans(&self, bans: &[Ban], clock: &dyn Clock) -> Result<(), PeerFileError> {
        if self.is_left() {
            return Ok(());
        }
        let (now, unix) = (clock.now(), clock.unix());
        let kept: Vec<_> = bans
            .iter()
            .map(|ban| KeptBan {
                node_key: ban.key.into(),
                until_ms: unix.plus(ban.until.since(now)).0,
                left_ms: u64::try_from(ban.until.since(now).as_millis()).unwrap_or(u64::MAX),
                offence: ban.offence.map(|offence| offence.name().to_owned()),
            })
            .collect();
        let text = serde_json::to_string_pretty(&kept).map_err(|e| self.failed(BANS)(e.into()))?;
        write_durably(&self.file(BANS), &text).map_err(self.failed(BANS))
    }

    /// The last ends of sessions that earlier runs kept, oldest first. Lines that are none, such as a torn last one, are passed over.
    ///
    /// # Errors
    /// [`PeerFileError::Io`].
    pub fn history(&self) -> Result<Vec<EndInfo>, PeerFileError> {
        let mut ends = Vec::new();
        for name in [HISTORY_BEFORE, HISTORY] {
            let file = match fs::File::open(self.file(name)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(self.failed(name)(error)),
            };
            // One whole file and one line more at most, whatever lies there.
            let file = file.take(HISTORY_BYTES_MAX + LINE_BYTES_MAX as u64);
            for line in BufReader::new(file).split(b'\n') {
                let line = line.map_err(self.failed(name))?;
                if line.len() <= LINE_BYTES_MAX {
                    ends.extend(serde_json::from_slice::<EndInfo>(&line).ok());
                }
            }
        }
        ends.drain(..ends.len().saturating_sub(EARLIER_MAX));
        Ok(ends)
    }

    /// Adds ends of sessions. Not synced: a loss of power may take the last.
    ///
    /// # Errors
    /// [`PeerFileError::Io`].
    pub fn add_history(&self, ends: &[EndInfo]) -> Result<(), PeerFileError> {
        if self.is_left() {
            return Ok(());
        }
        let failed = self.failed(HISTORY);
        let path = self.file(HISTORY);
        let open = || OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path).map_err(&failed);
        let mut file = open()?;
        if file.metadata().map_err(&failed)?.len() >= HISTORY_BYTES_MAX {
            fs::rename(&path, self.file(HISTORY_BEFORE)).map_err(&failed)?;
            file = open()?;
        }
        let mut text = String::new();
        if is_torn(&mut file).map_err(&failed)? {
            text.push('\n');
        }
        for end in ends {
            let line = serde_json::to_string(end).map_err(|e| failed(e.into()))?;
            text.push_str(&line);
            text.push('\n');
        }
        file.write_all(text.as_bytes()).map_err(&failed)
    }
}

/// True when the last line has no end: a crash came in between.
fn is_torn(file: &mut fs::File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::{Instant, SecretKey};

    struct At(u64, u64);

    impl Clock for At {
        fn now(&self) -> Instant {
            Instant(self.0 * 1_000_000)
        }

        fn unix(&self) -> UnixTime {
            UnixTime(self.1 * 1_000)
        }
    }

    fn key(id: u64) -> PublicKey {
        SecretKey::development("node", id).public()
    }

    fn end(uptime: f64) -> EndInfo {
        EndInfo {
            node_key: Some(key(1).into()),
            addr: "10.0.0.1:7000".into(),
            inbound: true,
            reason: "silent".into(),
            by: "us".into(),
            why: "closed by us".into(),
            ended: 1_700_000_000,
            uptime,
            silent: 15.0,
            rtt: vec![0.001; 16],
            queues: Vec::new(),
            last_messages: Vec::new(),
        }
    }

    #[test]
    fn bans_outlive_the_process_and_end_by_civil_time() {
        let folder = tempfile::tempdir().unwrap();
        let files = PeerFiles::new(folder.path());
        assert_eq!(files.bans(&At(0, 0)).unwrap(), []);
        let ban = |id, until: u64, offence| Ban { key: key(id), until: Instant(until * 1_000_000), offence };
        let bans = [ban(1, 160, None), ban(2, 400, Some(Offence::InvalidBlock))];
        files.keep_bans(&bans, &At(100, 1_000)).unwrap();
        // Another process, whose clock began anew, 50 s later.
        let found = files.bans(&At(0, 1_050)).unwrap();
        assert_eq!(found, [ban(1, 10, None), ban(2, 250, Some(Offence::InvalidBlock))]);
        assert_eq!(files.bans(&At(0, 1_060)).unwrap().len(), 1);
        // A machine that starts in 1970 makes no ban longer.
        assert_eq!(files.bans(&At(0, 0)).unwrap(), [ban(1, 60, None), ban(2, 300, Some(Offence::InvalidBlock))]);
        // Another list, no text at all, and half a list.
        let whole = fs::read(files.file(BANS)).unwrap();
        for damaged in [b"[{\"node_key\": 7}]", &[0xff; 16][..], &whole[..whole.len() / 2]] {
            fs::write(files.file(BANS), damaged).unwrap();
            let error = files.bans(&At(0, 0)).unwrap_err();
            assert!(matches!(error, PeerFileError::Bans { .. }), "{error:?}");
            let error = error.to_string();
            assert!(error.contains("bans.json does not hold bans") && error.contains("remove it"), "{error}");
        }
        // A file that would fill the memory, of holes.
        let endless = fs::File::create(files.file(BANS)).unwrap();
        endless.set_len(1 << 40).unwrap();
        let error = files.bans(&At(0, 0)).unwrap_err();
        assert!(matches!(error, PeerFileError::TooLong { .. }) && error.to_string().contains("remove it"), "{error}");
    }

    #[test]
    fn the_history_is_bounded_and_survives_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let files = PeerFiles::new(folder.path());
        assert_eq!(files.history().unwrap(), []);
        files.add_history(&[end(1.0), end(2.0)]).unwrap();
        let whole = fs::read(files.file(HISTORY)).unwrap();
        fs::write(files.file(HISTORY), &whole[..whole.len() - 10]).unwrap();
        files.add_history(&[end(3.0)]).unwrap();
        let uptimes = |files: &PeerFiles| files.history().unwrap().iter().map(|end| end.uptime).collect::<Vec<_>>();
        assert_eq!(uptimes(&files), [1.0, 3.0]);
        // A line that is too long is none, whatever it says.
        let long = EndInfo { why: "x".repeat(LINE_BYTES_MAX), ..end(4.0) };
        files.add_history(&[long, end(5.0)]).unwrap();
        assert_eq!(uptimes(&files), [1.0, 3.0, 5.0]);
        let many: Vec<_> = (0..100).map(|n| end(f64::from(n))).collect();
        let size = |name: &str| fs::metadata(files.file(name)).map_or(0, |found| found.len());
        for _ in 0..300 {
            files.add_history(&many).unwrap();
            assert!(size(HISTORY) < HISTORY_BYTES_MAX + (1 << 20));
        }
        assert!(size(HISTORY_BEFORE) > 0, "nothing was moved");
        assert_eq!(uptimes(&files).len(), EARLIER_MAX);
        assert_eq!(uptimes(&files).last(), Some(&99.0));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        // Few in the newer file: those before them come from the older one, and first.
        fs::write(files.file(HISTORY), "").unwrap();
        files.add_history(&[end(1000.0)]).unwrap();
        let last = uptimes(&files).split_off(EARLIER_MAX - 3);
        assert_eq!(last, [98.0, 99.0, 1000.0]);
    }
}
