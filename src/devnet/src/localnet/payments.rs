//! Payments in the background, at a steady rate whatever the network does.

use crate::local_nodes::Nodes;
use std::path::Path;
use std::time::Duration;
use timed_cli::NodeConnection;
use timed_ledger::{Address, KeyHash};
use timed_primitives::{Network, SecretKey};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

/// Most payments whose answer is waited for; at the bound further ones are skipped and counted.
const IN_FLIGHT_MAX: usize = 64;
/// How long the last answers are waited for.
const SETTLE_WITHIN: Duration = Duration::from_secs(2);

/// Sends payments and counts what becomes of them.
pub(super) struct PaymentSender {
    per_second: f64,
    /// Runs from the moment the first node answers.
    clock: Option<Interval>,
    in_flight: JoinSet<Result<(), String>>,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) skipped: u64,
    /// Why the last one was refused.
    pub(super) last_refusal: Option<String>,
    number: u64,
}

impl PaymentSender {
    pub(super) fn new(per_second: f64) -> Self {
        Self {
            per_second,
            clock: None,
            in_flight: JoinSet::new(),
            accepted: 0,
            refused: 0,
            skipped: 0,
            last_refusal: None,
            number: 0,
        }
    }

    /// The first node answers: payments begin.
    pub(super) fn begin(&mut self) {
        if self.clock.is_none() && self.per_second > 0.0 {
            let mut clock = tokio::time::interval(Duration::from_secs_f64(1.0 / self.per_second));
            clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
            self.clock = Some(clock);
        }
    }

    /// Ready when the next payment is to be sent; never without a rate.
    pub(super) async fn due(&mut self) {
        match &mut self.clock {
            Some(clock) => {
                clock.tick().await;
            }
            None => std::future::pending().await,
        }
    }

    /// Sends one payment by the first node that runs; its wallet keeps the development money.
    pub(super) fn pay(&mut self, nodes: &Nodes) {
        self.take_answers();
        let Some(node) = nodes.first_running() else { return };
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            self.skipped += 1;
            return;
        }
        self.number += 1;
        let (folder, number) = (node.folder.clone(), self.number);
        self.in_flight.spawn_blocking(move || pay(&folder, number));
    }

    fn take_answers(&mut self) {
        while let Some(answer) = self.in_flight.try_join_next() {
            match answer {
                Ok(Ok(())) => self.accepted += 1,
                Ok(Err(refusal)) => {
                    self.refused += 1;
                    self.last_refusal = Some(refusal);
                }
                Err(_) => self.refused += 1,
            }
        }
    }

    /// Waits for the last answers.
    pub(super) async fn settle(&mut self) {
        let _ = tokio::time::timeout(SETTLE_WITHIN, async {
            while !self.in_flight.is_empty() {
                self.take_answers();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        self.take_answers();
    }
}

fn pay(folder: &Path, number: u64) -> Result<(), String> {
    let receiver = SecretKey::development("payee", number % 100);
    let address = Address { network: Network::Devnet, key_hash: KeyHash::of(&receiver.public()) };
    let mut client = NodeConnection::of_data_dir(folder).map_err(|failure| first_line(&failure.to_string()))?;
    let sent = client.call("sendtoaddress", serde_json::json!([address.to_string(), "0.1"]));
    sent.map(|_| ()).map_err(|failure| first_line(&failure.to_string()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
