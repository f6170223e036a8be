//! Keys under which clients handed in invalid signatures.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use timed_primitives::{Instant, PublicKey};

/// How long a key is remembered after the last invalid signature.
const REMEMBERED_FOR: Duration = Duration::from_secs(10);
/// Most keys remembered; above it the oldest is forgotten.
const KEYS_MAX: usize = 1_024;
/// Most transactions of such a key whose signatures wait to be checked: enough for its owner, whom somebody else may have slandered.
const WAITING_MAX: usize = 8;

#[derive(Debug)]
struct Suspect {
    until: Instant,
    waiting: usize,
}

/// Keys under which clients handed in invalid signatures a short time ago. Each may have few transactions waiting for their check, so that
/// a client with nothing but invalid ones does not fill the queue.
#[derive(Debug, Default)]
pub struct Suspects {
    keys: BTreeMap<PublicKey, Suspect>,
    order: VecDeque<PublicKey>,
}

impl Suspects {
    /// A signature said to be by this key is not.
    pub fn on_invalid(&mut self, now: Instant, key: PublicKey) {
        let until = now + REMEMBERED_FOR;
        if let Some(suspect) = self.keys.get_mut(&key) {
            suspect.until = until;
            return;
        }
        if self.keys.len() >= KEYS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        self.keys.insert(key, Suspect { until, waiting: 0 });
        self.order.push_back(key);
    }

    /// Whether a signature said to be by this key was invalid a short time ago.
    pub fn contains(&self, now: Instant, key: &PublicKey) -> bool {
        self.keys.get(key).is_some_and(|suspect| now < suspect.until)
    }

    /// Whether another transaction of this key must wait outside.
    pub fn is_full(&self, now: Instant, key: &PublicKey) -> bool {
        self.keys.get(key).is_some_and(|suspect| now < suspect.until && suspect.waiting >= WAITING_MAX)
    }

    /// A transaction of this key waits for its check.
    pub fn on_queued(&mut self, key: &PublicKey) {
        if let Some(suspect) = self.keys.get_mut(key) {
            suspect.waiting += 1;
        }
    }

    /// It waits no longer. One that was queued before its key was suspected may be counted here too.
    pub fn on_left(&mut self, key: &PublicKey) {
        if let Some(suspect) = self.keys.get_mut(key) {
            suspect.waiting = suspect.waiting.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timed_primitives::SecretKey;

    fn key(n: u64) -> PublicKey {
        SecretKey::development("payee", n).public()
    }

    #[test]
    fn few_of_a_suspected_key_wait_and_others_do_not_notice() {
        let (mut suspects, second) = (Suspects::default(), |n: u64| Instant(n * 1_000_000));
        let queue = |suspects: &mut Suspects, n| {
            let mut queued = 0;
            while queued < 100 && !suspects.is_full(second(1), &key(n)) {
                suspects.on_queued(&key(n));
                queued += 1;
            }
            queued
        };
        assert_eq!(queue(&mut suspects, 1), 100);
        suspects.on_invalid(second(1), key(1));
        assert_eq!([queue(&mut suspects, 1), queue(&mut suspects, 2)], [8, 100]);
        let is_known = |n, at| suspects.contains(second(at), &key(n));
        assert_eq!([is_known(1, 1), is_known(1, 10), is_known(1, 11), is_known(2, 1)], [true, true, false, false]);
        suspects.on_left(&key(1));
        assert_eq!(queue(&mut suspects, 1), 1);
        assert!(suspects.is_full(second(10), &key(1)) && !suspects.is_full(second(11), &key(1)), "it is forgiven");
        for n in 2..2_000 {
            suspects.on_invalid(second(2), key(n));
        }
        assert_eq!((suspects.keys.len(), suspects.order.len()), (1_024, 1_024));
    }
}
