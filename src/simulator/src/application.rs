//! What a simulated network runs: an application, the transactions of its clients, and what must hold of its state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use timed_chain::{ChainGenesis, ChainWriter, History, PoolTransaction, Store};
use timed_primitives::{Disk, PayloadFormat, TxId};

/// An application as the simulator plays it. It has the development validators 1 to the number that it was made for.
pub trait SimulatedApplication: Send + Sync {
    /// How its chain starts.
    fn genesis(&self) -> ChainGenesis;

    /// How its payloads are read.
    fn payload_format(&self) -> PayloadFormat;

    /// After this time without a transaction an empty block is due.
    fn empty_block_interval(&self) -> Duration;

    /// Opens its chain.
    ///
    /// # Errors
    /// What an operator would read.
    fn open(&self, disk: &dyn Disk, store: Arc<dyn Store>) -> Result<Box<dyn ChainWriter>, String>;

    /// The transaction of a number. Those of different numbers can all be decided, of one number only one `variant`. `None` when there are
    /// no more.
    fn transaction(&self, number: usize, variant: u64) -> Option<PoolTransaction>;

    /// Clients who make transactions that can all be decided.
    fn workload(&self) -> Box<dyn Workload>;

    /// What is wrong with the state at the tip, whatever was decided.
    ///
    /// # Errors
    /// What is wrong.
    fn check(&self, history: &dyn History) -> Result<(), String>;

    /// A change of who decides that is allowed at this tip, if there is one for this draw. None unless it is replaced.
    fn change(&self, _history: &dyn History, _draw: &ChangeDraw) -> Option<PoolTransaction> {
        None
    }

    /// What its blocks did beside payments, by kind, as far as they were checked. Nothing unless it is replaced.
    fn changes(&self) -> BTreeMap<&'static str, u64> {
        BTreeMap::new()
    }

    /// How many questions there are to be asked. At least one.
    fn questions(&self) -> u64;

    /// A question for [`History::query`] about a number that never gets smaller. Its answer is that number as eight bytes, little endian.
    fn question(&self, number: u64) -> Vec<u8>;
}

/// What a change of who decides is drawn from.
#[derive(Clone, Debug)]
pub struct ChangeDraw {
    /// How many were drawn before.
    pub number: usize,
    /// Chance.
    pub word: u64,
    /// Of the nodes of genesis.
    pub voters: u64,
    /// Numbers of nodes that run, can join, and have a key of their own.
    pub candidates: Vec<u64>,
    /// So many vote on, since fewer than a third of them may forget or lie.
    pub voters_least: u64,
}

/// Clients of a network.
pub trait Workload {
    /// The next transaction of a client that is free; `None` when all wait.
    fn next(&mut self) -> Option<PoolTransaction>;

    /// A transaction of theirs is final: who made it is free.
    fn on_final(&mut self, txid: &TxId);
}
