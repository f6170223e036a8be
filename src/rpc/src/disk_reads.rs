//! Reads for clients that may wait for the disk: off the thread that answers, few at once, and given up by their clients when the disk is silent.
//!
//! | reads | at once | may take | says that the disk is silent |
//! |---|---|---|---|
//! | of quick calls | [`ReadLimits::reads_max`] | [`ReadLimits::time`] | when it takes longer |
//! | of long calls, which give way to whatever else runs | [`ReadLimits::long_max`] | as long as the call | never: it may just wait for a processor |

use crate::error::RpcError;
use crate::trouble::Trouble;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio::time::{Instant, timeout, timeout_at};

tokio::task_local! {
    /// When the long call ends that this is part of.
    static LONG_CALL: Instant;
}

/// Makes an answer whose reads have places of their own, and until then.
pub(crate) fn as_long_call<T>(deadline: Instant, answer: impl Future<Output = T>) -> impl Future<Output = T> {
    LONG_CALL.scope(deadline, answer)
}

/// What reads may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Most reads of quick calls at once, each on a thread. A disk that hangs keeps so many threads.
    pub reads_max: usize,
    /// Most reads of long calls at once, beside those and each on a thread: as many as there are such calls, so that none of them waits for another.
    pub long_max: usize,
    /// Most reads that wait for one of these; more are answered "busy".
    pub waiting_max: usize,
    /// How long a read may wait, and then take, before its client learns that the disk is silent. Twice this is below
    /// [`RpcLimits::call_time`](crate::RpcLimits::call_time), so that the client learns which it was.
    pub time: Duration,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { reads_max: 4, long_max: 6, waiting_max: 64, time: Duration::from_secs(5) }
    }
}

/// Runs reads. Cheap to clone; clones share the bounds. A read that was given up goes on, and keeps its place, until the disk answers.
#[derive(Clone, Debug)]
pub struct DiskReads {
    limits: ReadLimits,
    slots: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    long: Arc<Semaphore>,
    /// Of quick calls.
    running: Arc<RunningReads>,
}

/// When each read in progress of a quick call began.
#[derive(Debug, Default)]
struct RunningReads {
    begun: Mutex<BTreeMap<u64, Instant>>,
    next: AtomicU64,
}

/// One read in progress.
struct RunningRead {
    running: Arc<RunningReads>,
    number: u64,
}

impl RunningReads {
    fn begin(self: &Arc<Self>) -> RunningRead {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Instant::now());
        RunningRead { running: self.clone(), number }
    }

    /// How long the oldest has taken.
    fn oldest(&self) -> Duration {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.first_key_value().map(|(_, since)| since.elapsed()).unwrap_or_default()
    }
}

impl Drop for RunningRead {
    fn drop(&mut self) {
        self.running.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

impl DiskReads {
    /// With these bounds, for a runtime that has threads for what blocks.
    pub fn new(limits: ReadLimits) -> Self {
        let (slots, waiting) = (Semaphore::new(limits.reads_max), Semaphore::new(limits.waiting_max));
        let long = Arc::new(Semaphore::new(limits.long_max));
        Self { limits, slots: Arc::new(slots), waiting: Arc::new(waiting), long, running: Arc::default() }
    }

    /// Runs a read on a thread of its own. Within a long call, it has a place among those, and as long as the call.
    ///
    /// # Errors
    /// Its own. Of a long call, [`RpcError::Timeout`] when it is over. Of a quick one, [`RpcError::DiskSilent`] when the read takes longer than
    /// [`ReadLimits::time`], or at once when all places are held by such reads; [`RpcError::Busy`] when as many wait as may, or the reads before it
    /// took that long together.
    pub async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        match LONG_CALL.try_with(|deadline| *deadline) {
            Ok(deadline) => self.run_long(deadline, read).await,
            // It is part of none.
            Err(_) => self.run_quick(read).await,
        }
    }

    async fn run_long<T: Send + 'static>(
        &self,
        deadline: Instant,
        read: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let begun = Instant::now();
        let reading = async {
            let slot = self.long.clone().acquire_owned().await;
            let reading = tokio::task::spawn_blocking(move || {
                let _until_the_end = slot;
                read()
            });
            reading.await.unwrap_or_else(|fault| Err(panicked(&fault)))
        };
        let outcome = timeout_at(deadline, reading).await;
        outcome.unwrap_or_else(|_| Err(RpcError::Timeout(begun.elapsed().as_secs())))
    }

    async fn run_quick<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let slot = match self.slots.clone().try_acquire_owned() {
            Ok(slot) => slot,
            Err(_) if self.is_silent() => return Err(self.refusal()),
            Err(_) => {
                let _place = self.waiting.try_acquire().map_err(|_| self.refusal())?;
                let slot = timeout(self.limits.time, self.slots.clone().acquire_owned()).await;
                // Nobody closes the semaphore.
                slot.ok().and_then(Result::ok).ok_or_else(|| self.refusal())?
            }
        };
        let running = self.running.begin();
        let reading = tokio::task::spawn_blocking(move || {
            let _until_the_end = (slot, running);
            read()
        });
        match timeout(self.limits.time, reading).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(fault)) => Err(panicked(&fault)),
            Err(_) => {
                let silent = self.limits.time;
                tracing::warn!("the disk has not answered a client's read for {} s", silent.as_secs());
                Err(RpcError::DiskSilent { silent })
            }
        }
    }

    /// That the disk does not answer a read of a quick call.
    pub fn trouble(&self) -> Option<Trouble> {
        self.is_silent().then(|| Trouble::DiskSilent { silent: self.running.oldest() })
    }

    fn is_silent(&self) -> bool {
        self.running.oldest() >= self.limits.time
    }

    fn refusal(&self) -> RpcError {
        match self.running.oldest() {
            silent if silent >= self.limits.time => RpcError::DiskSilent { silent },
            _ => RpcError::Busy(self.limits.reads_max + self.limits.waiting_max - self.waiting.available_permits()),
        }
    }
}

fn panicked(fault: &JoinError) -> RpcError {
    RpcError::Internal(format!("a read of the chain ended by a fault of its own: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::Condvar;

    /// What reads wait for.
    #[derive(Clone, Default)]
    struct Held(Arc<(Mutex<bool>, Condvar)>);

    impl Held {
        fn read(&self, value: u64) -> impl FnOnce() -> Result<u64, RpcError> + Send + 'static {
            let held = self.0.clone();
            move || {
                drop(held.1.wait_while(held.0.lock().unwrap(), |is_free| !*is_free).unwrap());
                Ok(value)
            }
        }

        fn free(&self) {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_all();
        }
    }

    const TIME: Duration = Duration::from_secs(5);

    fn is_silent(outcome: &Result<u64, RpcError>) -> bool {
        matches!(outcome, Err(RpcError::DiskSilent { silent }) if *silent >= TIME)
    }

    /// Virtual time stands still while a read runs, so the test moves it.
    #[tokio::test(start_paused = true)]
    async fn a_silent_disk_holds_its_places_and_nobody_who_asks() {
        let reads = DiskReads::new(ReadLimits { reads_max: 2, waiting_max: 1, time: TIME, ..ReadLimits::default() });
        let held = Held::default();
        assert_eq!(reads.run(|| Ok(7)).await, Ok(7));
        let begin = |value| {
            let (reads, read) = (reads.clone(), held.read(value));
            tokio::spawn(async move { reads.run(read).await })
        };
        let asked: Vec<_> = (1..=3).map(begin).collect();
        tokio::task::yield_now().await;
        assert_eq!(
            reads.run(held.read(4)).await,
            Err(RpcError::Busy(3)),
            "two read and one waits: it may be just busy"
        );
        tokio::time::advance(TIME - Duration::from_millis(1)).await;
        assert_eq!(reads.trouble(), None, "not yet");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(matches!(reads.trouble(), Some(Trouble::DiskSilent { silent }) if silent >= TIME));
        for outcome in join_all(asked).await {
            assert!(is_silent(&outcome.unwrap()));
        }
        assert!(is_silent(&reads.run(held.read(5)).await), "at once");
        held.free();
        while reads.trouble().is_some() || reads.slots.available_permits() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(reads.run(held.read(6)).await, Ok(6), "it answers again");
        assert_eq!(reads.waiting.available_permits(), 1);
    }

    /// They may be starved of processor, whatever the disk does.
    #[tokio::test(start_paused = true)]
    async fn long_reads_that_hang_hold_up_no_quick_one_and_are_no_trouble() {
        let reads = DiskReads::new(ReadLimits { reads_max: 1, long_max: 2, waiting_max: 1, time: TIME });
        let held = Held::default();
        let call_time = 3 * TIME;
        let begin = |value| {
            let (reads, read) = (reads.clone(), held.read(value));
            tokio::spawn(as_long_call(Instant::now() + call_time, async move { reads.run(read).await }))
        };
        let asked: Vec<_> = (1..=3).map(begin).collect();
        tokio::task::yield_now().await;
        assert_eq!(reads.run(|| Ok(7)).await, Ok(7), "a quick one has places of its own");
        tokio::time::advance(2 * TIME).await;
        assert_eq!(reads.trouble(), None);
        assert_eq!(reads.run(|| Ok(8)).await, Ok(8));
        tokio::time::advance(TIME).await;
        for outcome in join_all(asked).await {
            assert_eq!(outcome.unwrap(), Err(RpcError::Timeout(call_time.as_secs())));
        }
        assert_eq!(reads.trouble(), None);
        held.free();
        while reads.long.available_permits() < 2 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_read_that_panics_is_its_own_fault_and_gives_its_place_back() {
        let reads = DiskReads::new(ReadLimits { reads_max: 1, waiting_max: 1, time: TIME, ..ReadLimits::default() });
        let outcome: Result<u64, _> = reads.run(|| panic!("a bug")).await;
        assert!(matches!(outcome, Err(RpcError::Internal(text)) if text.contains("fault of its own")));
        assert_eq!(reads.run(|| Ok(1)).await, Ok(1));
    }
}
