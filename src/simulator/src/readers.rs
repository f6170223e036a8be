//! Clients that read: the tip and a number that never gets smaller, at every node that would answer.

use crate::check::reads::TipRead;
use crate::node::Node;
use crate::world::World;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tokio::time::Instant;

/// Reads at all nodes of a world.
pub(crate) struct Readers(StdRng);

impl Readers {
    pub(crate) const fn new(rng: StdRng) -> Self {
        Self(rng)
    }

    /// Every node is asked for its tip and one question.
    pub(crate) fn read(&mut self, world: &World) {
        let question = self.0.random_range(0..world.application().questions());
        let request = world.application().question(question);
        for node in world.nodes() {
            if let Some(read) = node.read(question, &request) {
                world.checker().lock().on_read(node.id(), read);
            }
        }
    }
}

impl Node {
    /// `None` when it does not answer now, or cannot read. Nothing is decided between the two questions.
    fn read(&self, question: u64, request: &[u8]) -> Option<TipRead> {
        let life = self.life().filter(|life| !life.is_paused.get() && life.gate.now() <= Instant::now())?;
        let answer = life.handles.history.query(request).ok()?;
        let tip = life.handles.history.tip();
        let answer = u64::from_le_bytes(answer.try_into().ok()?);
        Some(TipRead { height: tip.height, block: tip.id, question, answer })
    }
}
