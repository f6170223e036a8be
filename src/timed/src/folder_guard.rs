//! Looks after the data folder while the node runs, by a thread of its own: the disk may let it wait.

use std::thread;
use std::time::Duration;
use timed_actors::{Component, FatalReporter, Pulses};
use timed_process::{ThreadError, own_thread};
use timed_rpc::Trouble;
use timed_service::Noticed;
use timed_store::{FolderLost, FolderWatch};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Looks that must find it not writable before the node ends: a remount, or rights that are being changed, may take a moment.
const LOOKS_NOT_WRITABLE: u32 = 3;
/// Less room than this is too little: the store's journal and tables grow by as much before they shrink. Unit: bytes.
const ROOM_MIN: u64 = 128 << 20;

/// What a look led to.
#[derive(Debug, PartialEq, Eq)]
enum FolderVerdict {
    /// Nothing is wrong.
    Good,
    /// Something is, and may come right.
    Trouble(Trouble),
    /// The node must not go on.
    Lost(String),
}

/// Counts those that went wrong.
#[derive(Debug, Default)]
struct Looks {
    not_writable: u32,
}

impl Looks {
    fn on_look(&mut self, outcome: Result<(), FolderLost>) -> FolderVerdict {
        let lost = match outcome {
            Ok(()) => {
                self.not_writable = 0;
                return FolderVerdict::Good;
            }
            Err(lost) => lost,
        };
        let is_early = match lost {
            FolderLost::Removed { .. } | FolderLost::Replaced { .. } => false,
            FolderLost::NotWritable { .. } => {
                self.not_writable += 1;
                self.not_writable < LOOKS_NOT_WRITABLE
            }
            FolderLost::Unknown { .. } => true,
        };
        let text = lost.to_string();
        if is_early { FolderVerdict::Trouble(Trouble::DataFolder { text }) } else { FolderVerdict::Lost(text) }
    }
}

fn room(free: Option<u64>) -> Option<Trouble> {
    free.filter(|free| *free < ROOM_MIN).map(|free| Trouble::DiskNearlyFull { free, needed: ROOM_MIN })
}

/// Begins to look. The thread ends with the process, or when the folder is lost.
///
/// # Errors
/// When the system refuses a thread.
pub(crate) fn start(
    watch: FolderWatch,
    pulses: Pulses,
    noticed: Noticed,
    fatal: FatalReporter,
) -> Result<(), ThreadError> {
    pulses.expect(Component::DataFolder);
    let look = move || {
        let mut looks = Looks::default();
        let full = Trouble::DiskNearlyFull { free: 0, needed: 0 }.name();
        let folder = Trouble::DataFolder { text: String::new() }.name();
        loop {
            pulses.beat(Component::DataFolder);
            match looks.on_look(watch.look()) {
                FolderVerdict::Good => noticed.clear(folder),
                FolderVerdict::Trouble(trouble) => noticed.set_and_log(trouble),
                FolderVerdict::Lost(text) => {
                    noticed.set(Trouble::DataFolder { text: text.clone() });
                    pulses.dismiss(Component::DataFolder);
                    return fatal.report(Component::DataFolder.name(), text);
                }
            }
            match room(watch.free_bytes()) {
                None => noticed.clear(full),
                Some(trouble) => noticed.set_and_log(trouble),
            }
            thread::park_timeout(LOOK_EVERY);
        }
    };
    own_thread::start("data folder", look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::path::PathBuf;

    fn not_writable() -> Result<(), FolderLost> {
        Err(FolderLost::NotWritable { path: PathBuf::from("/data"), source: io::Error::from_raw_os_error(30) })
    }

    #[test]
    fn a_folder_that_is_gone_ends_the_node_and_one_that_is_full_does_not() {
        let mut looks = Looks::default();
        assert_eq!(looks.on_look(Ok(())), FolderVerdict::Good);
        let full = FolderLost::Unknown { path: PathBuf::from("/data"), source: io::Error::from_raw_os_error(28) };
        for _ in 0..2 {
            assert!(matches!(looks.on_look(not_writable()), FolderVerdict::Trouble(Trouble::DataFolder { .. })));
        }
        assert!(matches!(looks.on_look(Err(full)), FolderVerdict::Trouble(Trouble::DataFolder { .. })));
        assert_eq!(looks.on_look(Ok(())), FolderVerdict::Good);
        for _ in 0..2 {
            assert!(
                matches!(looks.on_look(not_writable()), FolderVerdict::Trouble(_)),
                "it begins again after a good look"
            );
        }
        let FolderVerdict::Lost(text) = looks.on_look(not_writable()) else { panic!("the third in a row") };
        assert!(text.contains("/data cannot be written to any more") && !text.contains('\n'), "{text}");
        let removed = FolderLost::Removed { path: PathBuf::from("/data") };
        assert!(matches!(Looks::default().on_look(Err(removed)), FolderVerdict::Lost(_)), "at once");
    }

    #[test]
    fn little_room_is_a_trouble_with_both_numbers() {
        assert_eq!(room(None), None);
        assert_eq!(room(Some(ROOM_MIN)), None);
        assert_eq!(room(Some(5)), Some(Trouble::DiskNearlyFull { free: 5, needed: ROOM_MIN }));
    }
}
