//! Questions to the mempool, answered from the pool as it is.

use super::{GetEntry, ListConflicts, ListEntries, ListSpends, MempoolActor, OutputStates};
use actix::Handler;
use timed_mempool::{Conflict, EntryInfo, OutputState};
use timed_primitives::OutPoint;

impl Handler<GetEntry> for MempoolActor {
    type Result = Option<EntryInfo>;

    fn handle(&mut self, get: GetEntry, _ctx: &mut Self::Context) -> Self::Result {
        self.pool.entry(&get.0)
    }
}

impl Handler<ListEntries> for MempoolActor {
    type Result = Vec<EntryInfo>;

    fn handle(&mut self, _list: ListEntries, _ctx: &mut Self::Context) -> Self::Result {
        self.pool.entries().collect()
    }
}

impl Handler<ListSpends> for MempoolActor {
    type Result = Vec<OutPoint>;

    fn handle(&mut self, _list: ListSpends, _ctx: &mut Self::Context) -> Self::Result {
        self.pool.spends().collect()
    }
}

impl Handler<OutputStates> for MempoolActor {
    type Result = Vec<Option<OutputState>>;

    fn handle(&mut self, ask: OutputStates, _ctx: &mut Self::Context) -> Self::Result {
        ask.0.iter().map(|outpoint| self.pool.output_state(outpoint, &self.chain)).collect()
    }
}

impl Handler<ListConflicts> for MempoolActor {
    type Result = Vec<Conflict>;

    fn handle(&mut self, _list: ListConflicts, _ctx: &mut Self::Context) -> Self::Result {
        self.pool.conflicts().cloned().collect()
    }
}
