//! A light load and what becomes of it: small payments at a steady rate by one node's wallet, and when that node saw each block.

use super::{LOOK_EVERY, ask};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use timed_cli::NodeConnection;
use timed_ledger::{Address, KeyHash};
use timed_primitives::{Network, SecretKey};

/// Longest wait of one question for a new block.
const WAIT_MS: u64 = 500;

/// When a height was seen first. Heights that came between two looks are seen together.
#[derive(Clone, Copy)]
pub(super) struct SeenHeight {
    pub(super) at: Instant,
    pub(super) height: u64,
}

/// Pays and watches until it is dropped.
pub(super) struct LightLoad {
    ended: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<SeenHeight>>>,
    accepted: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl LightLoad {
    /// Pays by the node with this data folder, so many payments per second at most.
    pub(super) fn start(folder: &Path, per_second: f64) -> Self {
        let (ended, seen, accepted) = (Arc::<AtomicBool>::default(), Arc::default(), Arc::<AtomicU64>::default());
        let every = Duration::from_secs_f64(1.0 / per_second);
        let pays = {
            let (folder, ended, accepted) = (folder.to_owned(), ended.clone(), accepted.clone());
            std::thread::spawn(move || pay_all(&folder, every, &ended, &accepted))
        };
        let watches = {
            let (folder, ended, seen) = (folder.to_owned(), ended.clone(), Arc::clone(&seen));
            std::thread::spawn(move || watch(&folder, &ended, &seen))
        };
        Self { ended, seen, accepted, threads: vec![pays, watches] }
    }

    /// Everything seen so far, in order.
    pub(super) fn seen(&self) -> Vec<SeenHeight> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Payments that the node has taken.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for LightLoad {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // A panic of it has been shown.
            let _ = thread.join();
        }
    }
}

fn pay_all(folder: &Path, every: Duration, ended: &AtomicBool, accepted: &AtomicU64) {
    let (start, mut number) = (Instant::now(), 0u32);
    let mut connection = None;
    while !ended.load(Ordering::Acquire) {
        // What could not be sent in time is not made up for: a node that stands still is not flooded afterwards.
        let due = every * number;
        match due.checked_sub(start.elapsed()) {
            Some(early) => std::thread::sleep(early),
            None => number = u32::try_from(start.elapsed().as_nanos() / every.as_nanos().max(1)).unwrap_or(u32::MAX),
        }
        number = number.saturating_add(1);
        let key = SecretKey::development("payee", u64::from(number) % 100).public();
        let address = Address { network: Network::Devnet, key_hash: KeyHash::of(&key) };
        if call(&mut connection, folder, "sendtoaddress", json!([address.to_string(), "0.001"])).is_some() {
            accepted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn watch(folder: &Path, ended: &AtomicBool, seen: &Mutex<Vec<SeenHeight>>) {
    let mut connection = None;
    let mut tip = Value::Null;
    while !ended.load(Ordering::Acquire) {
        let mut params = json!({ "timeout": WAIT_MS });
        if !tip.is_null() {
            params["current_tip"] = tip.clone();
        }
        let Some(new) = call(&mut connection, folder, "waitfornewblock", params) else {
            std::thread::sleep(LOOK_EVERY);
            continue;
        };
        let at = Instant::now();
        if let Some(height) = new["height"].as_u64()
            && new["hash"] != tip
        {
            tip = new["hash"].clone();
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(SeenHeight { at, height });
        }
    }
}

/// Asks over a connection that is kept, and opened anew after a failure.
fn call(connection: &mut Option<NodeConnection>, folder: &Path, method: &str, params: Value) -> Option<Value> {
    if connection.is_none() {
        *connection = NodeConnection::of_data_dir(folder).ok();
    }
    let answer = connection.as_mut()?.call(method, params);
    if answer.is_err() {
        *connection = None;
    }
    answer.ok()
}

/// Heights decided between two moments, per second.
pub(super) fn heights_per_second(seen: &[SeenHeight], from: Instant, to: Instant) -> f64 {
    let height_at = |at: Instant| seen.iter().take_while(|seen| seen.at <= at).last().map_or(0, |seen| seen.height);
    let heights = height_at(to).saturating_sub(height_at(from));
    super::report::float(heights) / to.duration_since(from).as_secs_f64().max(1e-9)
}

/// The first new block after a moment.
pub(super) fn first_after(seen: &[SeenHeight], at: Instant) -> Option<Duration> {
    seen.iter().find(|seen| seen.at > at).map(|seen| seen.at.duration_since(at))
}

/// The longest time without a new block between two moments.
pub(super) fn longest_gap(seen: &[SeenHeight], from: Instant, to: Instant) -> Duration {
    let within = seen.iter().map(|seen| seen.at).filter(|at| (from..to).contains(at));
    let ends = within.clone().chain([to]);
    [from].into_iter().chain(within).zip(ends).map(|(start, end)| end.duration_since(start)).max().unwrap_or_default()
}

/// Whether a validator's precommit is in the certificate of a block of this height or above, as a node knows it.
pub(super) fn has_signed_since(folder: &Path, height: u64, validator: &str) -> bool {
    let Some(tip) = ask(folder, "getblockcount", json!([])).ok().and_then(|tip| tip.as_u64()) else { return false };
    tip >= height && has_signed(folder, tip, validator)
}

/// Whether it is in the certificate of this height.
pub(super) fn has_signed(folder: &Path, height: u64, validator: &str) -> bool {
    let block = ask(folder, "getblockhash", json!([height])).and_then(|hash| ask(folder, "getblock", json!([hash])));
    let block = block.unwrap_or_default();
    let signers = block["certificate"]["signatures"].as_array().map(Vec::as_slice).unwrap_or_default();
    signers.iter().any(|signature| signature["validator"] == validator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_gaps_count_from_what_was_seen() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let seen: Vec<_> =
            [(100, 1), (200, 2), (700, 5), (900, 6)].map(|(ms, height)| SeenHeight { at: at(ms), height }).into();
        assert!((heights_per_second(&seen, at(150), at(950)) - 5.0 / 0.8).abs() < 1e-9);
        assert_eq!(first_after(&seen, at(250)), Some(Duration::from_millis(450)));
        assert_eq!(first_after(&seen, at(900)), None);
        assert_eq!(longest_gap(&seen, at(150), at(1_000)), Duration::from_millis(500));
        assert_eq!(longest_gap(&seen, at(250), at(600)), Duration::from_millis(350));
    }
}
