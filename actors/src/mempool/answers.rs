//! Questions to the mempool, answered from the pool as it is.

use super::{GetEntry, ListConflicts, ListConsumed, ListEntries, MempoolActor, ResourceStates};
use actix::Handler;
use timed_chain::Resource;
use timed_mempool::{Conflict, EntryInfo, ResourceState};

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

impl Handler<ListConsumed> for MempoolActor {
    type Result = Vec<Resource>;

    fn handle(&mut self, _list: ListConsumed, _ctx: &mut Self::Context) -> Self::Result {
        let mut consumed = self.pool.consumed();
        consumed.extend(self.restoring.consumed());
        consumed
    }
}

impl Handler<ResourceStates> for MempoolActor {
    type Result = Vec<Option<ResourceState>>;

    fn handle(&mut self, ask: ResourceStates, _ctx: &mut Self::Context) -> Self::Result {
        // What cannot be read ends the process; until then nothing is known of it.
        ask.0.iter().map(|resource| self.pool.resource_state(resource, &self.rules).unwrap_or(None)).collect()
    }
}

impl Handler<ListConflicts> for MempoolActor {
    type Result = Vec<Conflict>;

    fn handle(&mut self, _list: ListConflicts, _ctx: &mut Self::Context) -> Self::Result {
        self.pool.conflicts().cloned().collect()
    }
}
