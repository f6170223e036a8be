//! The counter on networks in virtual time, with every fault the simulator knows.

#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod common;

use common::{add, counter, key};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use timed_chain::{
    Application as _, Chain, ChainGenesis, ChainWriter, History, PoolTransaction, Store, payload_format,
};
use timed_example_counter::Add;
use timed_primitives::{Disk, PayloadFormat, TxId, decode, encode};
use timed_simulator::{Latency, RunConfig, SimulatedApplication, Workload, run};

/// So many add, each by three.
const CLIENTS: u64 = 16;
const STEP: u32 = 3;

struct SimulatedCounter {
    voters: u64,
}

impl SimulatedApplication for SimulatedCounter {
    fn genesis(&self) -> ChainGenesis {
        counter(self.voters).genesis().clone()
    }

    fn payload_format(&self) -> PayloadFormat {
        payload_format::<Add>()
    }

    fn empty_block_interval(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn open(&self, disk: &dyn Disk, store: Arc<dyn Store>) -> Result<Box<dyn ChainWriter>, String> {
        Ok(Box::new(Chain::open(counter(self.voters), disk, store).map_err(|error| error.to_string())?))
    }

    fn transaction(&self, number: usize, variant: u64) -> Option<PoolTransaction> {
        Some(add(CLIENTS + u64::try_from(number).ok()?, 0, u32::try_from(variant).ok()?))
    }

    fn workload(&self) -> Box<dyn Workload> {
        Box::new(Clients { free: (0..CLIENTS).map(|id| (id, 0)).collect(), waiting: BTreeMap::new() })
    }

    fn check(&self, history: &dyn History) -> Result<(), String> {
        for id in 0..CLIENTS {
            let answer = history.query(&encode(&key(id))).map_err(|error| error.to_string())?;
            let sum: u64 = decode(&answer).map_err(|error| error.to_string())?;
            if !sum.is_multiple_of(STEP.into()) {
                return Err(format!("client {id} only adds {STEP}, and has {sum}"));
            }
        }
        Ok(())
    }

    fn questions(&self) -> u64 {
        CLIENTS
    }

    fn question(&self, number: u64) -> Vec<u8> {
        encode(&key(number))
    }
}

/// Clients and the number of their next addition.
struct Clients {
    free: VecDeque<(u64, u32)>,
    waiting: BTreeMap<TxId, (u64, u32)>,
}

impl Workload for Clients {
    fn next(&mut self) -> Option<PoolTransaction> {
        let (id, number) = self.free.pop_front()?;
        let transaction = add(id, number, STEP);
        self.waiting.insert(transaction.facts.id, (id, number + 1));
        Some(transaction)
    }

    fn on_final(&mut self, txid: &TxId) {
        self.free.extend(self.waiting.remove(txid));
    }
}

#[test]
fn additions_survive_every_fault() {
    for seed in 1..=4 {
        let config = RunConfig {
            nodes: 4,
            observers: 1,
            length: Duration::from_secs(180),
            latency: Latency::Lan,
            application: |voters| Arc::new(SimulatedCounter { voters }),
            ..RunConfig::new(seed)
        };
        let report = run(config);
        assert_eq!(report.violations, [""; 0], "seed {seed}");
        assert!(report.payments_final > 50, "seed {seed}: {} of {} final", report.payments_final, report.payments_sent);
    }
}
