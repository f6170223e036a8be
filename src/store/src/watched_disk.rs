//! How long the disk takes to make writes durable. Votes and blocks wait for that, so a node that is slow because of it must be able to say so.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use timed_primitives::{Clock, Disk, DiskFile, Instant};

/// A sync that takes so long is slow: a block is decided in hundredths of a second.
const SLOW_FROM: Duration = Duration::from_secs(1);
/// How long a slow sync counts after its end: whoever is slow has one after another.
const COUNTS_FOR: Duration = Duration::from_secs(10);

/// A sync that takes, or took, a second or longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowSync {
    /// The file.
    pub file: String,
    /// How long it took, or has taken until now.
    pub took: Duration,
}

/// How long syncs take. Cheap to clone; clones share what they know. Bound: the syncs in progress, one for each thread, and one that has ended.
#[derive(Clone)]
pub struct SyncTimes {
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<KnownSyncs>>,
}

#[derive(Default)]
struct KnownSyncs {
    /// In progress: the file, and since when.
    running: BTreeMap<u64, (Arc<str>, Instant)>,
    next: u64,
    /// The slowest of those that count still, and when it ended.
    slowest: Option<(SlowSync, Instant)>,
}

impl fmt::Debug for SyncTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncTimes").finish_non_exhaustive()
    }
}

impl SyncTimes {
    /// None is known yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, known: Arc::default() }
    }

    /// The slowest sync in progress or of the last ten seconds, if one takes or took a second or longer. Waits for no disk.
    pub fn slow(&self) -> Option<SlowSync> {
        let now = self.clock.now();
        let known = self.known();
        let running = known.running.values().map(|(file, since)| (file.to_string(), now.since(*since)));
        let running = running.map(|(file, took)| SlowSync { file, took });
        let ended = known.slowest.iter().filter(|(_, at)| now.since(*at) < COUNTS_FOR).map(|(slow, _)| slow.clone());
        running.chain(ended).filter(|slow| slow.took >= SLOW_FROM).max_by_key(|slow| slow.took)
    }

    fn known(&self) -> MutexGuard<'_, KnownSyncs> {
        // Held for a few instructions, by nobody who waits for a disk.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure<T>(&self, file: &Arc<str>, sync: impl FnOnce() -> T) -> T {
        let begun = self.clock.now();
        let number = {
            let mut known = self.known();
            known.next += 1;
            let number = known.next;
            known.running.insert(number, (file.clone(), begun));
            number
        };
        let outcome = sync();
        let now = self.clock.now();
        let took = now.since(begun);
        let mut known = self.known();
        known.running.remove(&number);
        let is_beaten =
            known.slowest.as_ref().is_some_and(|(slowest, at)| now.since(*at) < COUNTS_FOR && slowest.took > took);
        if took >= SLOW_FROM && !is_beaten {
            known.slowest = Some((SlowSync { file: file.to_string(), took }, now));
        }
        outcome
    }
}

/// A folder of files whose syncs are measured.
#[derive(Clone, Debug)]
pub struct WatchedDisk<D> {
    disk: D,
    times: SyncTimes,
}

impl<D: Disk> WatchedDisk<D> {
    /// `times` learns of every sync of the files of `disk`.
    pub const fn new(disk: D, times: SyncTimes) -> Self {
        Self { disk, times }
    }
}

impl<D: Disk> Disk for WatchedDisk<D> {
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let (file, name) = (self.disk.open(name)?, Arc::from(name));
        Ok(Arc::new(WatchedFile { file, name, times: self.times.clone() }))
    }

    /// Makes the names durable, so it is measured too.
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.times.measure(&Arc::from(to), || self.disk.rename(from, to))
    }
}

struct WatchedFile {
    file: Arc<dyn DiskFile>,
    name: Arc<str>,
    times: SyncTimes,
}

impl DiskFile for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn preallocate(&self, range: Range<u64>) -> io::Result<()> {
        self.file.preallocate(range)
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn identity(&self) -> io::Result<Option<u128>> {
        self.file.identity()
    }

    fn sync(&self) -> io::Result<()> {
        self.times.measure(&self.name, || self.file.sync())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use timed_primitives::{MemoryDisk, UnixTime};

    /// A clock that each sync moves.
    #[derive(Default)]
    struct Moved {
        now: AtomicU64,
        sync_takes: AtomicU64,
    }

    impl Clock for Moved {
        fn now(&self) -> Instant {
            Instant(self.now.load(Ordering::SeqCst))
        }

        fn unix(&self) -> UnixTime {
            UnixTime(0)
        }
    }

    impl Moved {
        fn wait(&self, millis: u64) {
            self.now.fetch_add(millis * 1_000, Ordering::SeqCst);
        }
    }

    /// Syncs take time, and look at what is known of them meanwhile.
    struct SlowFile(Arc<dyn DiskFile>, Arc<Moved>, SyncTimes, Arc<Mutex<Vec<Option<u64>>>>);

    impl DiskFile for SlowFile {
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            self.0.read_at(offset, buffer)
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            self.0.write_at(offset, bytes)
        }

        fn set_len(&self, size: u64) -> io::Result<()> {
            self.0.set_len(size)
        }

        fn identity(&self) -> io::Result<Option<u128>> {
            self.0.identity()
        }

        fn sync(&self) -> io::Result<()> {
            self.1.wait(self.1.sync_takes.load(Ordering::SeqCst));
            self.3.lock().unwrap().push(self.2.slow().map(|slow| u64::try_from(slow.took.as_millis()).unwrap()));
            self.0.sync()
        }
    }

    struct SlowDisk(MemoryDisk, Arc<Moved>, SyncTimes, Arc<Mutex<Vec<Option<u64>>>>);

    impl Disk for SlowDisk {
        fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
            Ok(Arc::new(SlowFile(self.0.open(name)?, self.1.clone(), self.2.clone(), self.3.clone())))
        }

        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.1.wait(self.1.sync_takes.load(Ordering::SeqCst));
            self.0.rename(from, to)
        }
    }

    #[test]
    fn a_slow_sync_is_known_while_it_lasts_and_ten_seconds_after() {
        let (clock, seen) = (Arc::new(Moved::default()), Arc::default());
        let times = SyncTimes::new(clock.clone());
        let slow_disk = SlowDisk(MemoryDisk::default(), clock.clone(), times.clone(), Arc::clone(&seen));
        let disk = WatchedDisk::new(slow_disk, times.clone());
        let journal = disk.open("journal").unwrap();
        let slow = || times.slow().map(|slow| (slow.file, u64::try_from(slow.took.as_millis()).unwrap()));
        let sync = |file: &Arc<dyn DiskFile>, takes| {
            clock.sync_takes.store(takes, Ordering::SeqCst);
            file.write_at(0, b"x").unwrap();
            file.sync().unwrap();
        };
        sync(&journal, 999);
        assert_eq!((slow(), seen.lock().unwrap().pop()), (None, Some(None)), "below a second");
        sync(&journal, 2_500);
        assert_eq!(seen.lock().unwrap().pop(), Some(Some(2_500)), "while it lasts");
        assert_eq!(slow(), Some(("journal".into(), 2_500)));
        clock.wait(6_000);
        sync(&disk.open("guard").unwrap(), 1_000);
        assert_eq!(slow(), Some(("journal".into(), 2_500)), "the slowest");
        clock.wait(2_999);
        assert_eq!(slow(), Some(("journal".into(), 2_500)));
        clock.wait(1);
        assert_eq!(slow(), None, "ten seconds after its end");
        sync(&journal, 1_200);
        assert_eq!(slow(), Some(("journal".into(), 1_200)));
        clock.wait(10_000);
        clock.sync_takes.store(3_000, Ordering::SeqCst);
        disk.rename("journal", "old").unwrap();
        assert_eq!(slow(), Some(("old".into(), 3_000)), "names are made durable too");
        assert!(times.known().running.is_empty());
    }
}
