//! What goes wrong inside a node that lives on: an actor that stands still, a disk that syncs no more.

use crate::cost::FILE_WRITER;
use crate::node::Node;
use std::time::Duration;

impl Node {
    /// The next work on one of its threads takes so much longer: that actor stands still. `None` when its work takes no time.
    pub(crate) fn stick(&self, thread: usize, time: Duration) -> Option<()> {
        let life = self.life()?;
        let processors = life.processors.as_ref()?;
        life.gate
            .trace
            .node(self.0.id, format_args!("has actors of thread {thread} stuck for {} ms", time.as_millis()));
        processors.stick(thread, time);
        self.upset();
        Some(())
    }

    /// The next write or sync of the mempool's file hangs for so long. Nothing where work takes no time.
    pub fn hold_file(&self, time: Duration) {
        let _ = self.stick(FILE_WRITER, time);
    }

    /// Undoes [`Self::stick`] where it did not begin.
    pub(crate) fn unstick(&self) {
        self.upset();
        if let Some(processors) = self.life().and_then(|life| life.processors.clone()) {
            processors.unstick();
        }
    }

    /// Lets every sync fail, until its disk is set anew or this life ends: it gives up at the first that it needs, and what it had written
    /// stays readable until its machine loses power.
    pub fn fail_syncs(&self) {
        self.upset();
        if let Some(life) = self.life() {
            life.gate.fail_syncs();
        }
    }
}
