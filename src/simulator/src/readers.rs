//! Clients that read: the tip and the balance of a payee, at every node that would answer.

use crate::check::reads::TipRead;
use crate::node::Node;
use crate::payments::{PAYEES, payee};
use crate::world::World;
use rand::RngExt as _;
use rand::rngs::StdRng;
use timed_primitives::{Amount, KeyHash};
use tokio::time::Instant;

/// More outputs than any payee gets.
const OUTPUTS_MAX: usize = 1_000_000;

/// Reads at all nodes of a world.
pub(crate) struct Readers(StdRng);

impl Readers {
    pub(crate) const fn new(rng: StdRng) -> Self {
        Self(rng)
    }

    /// Every node is asked for its tip and for what one payee has there.
    pub(crate) fn read(&mut self, world: &World) {
        let number = self.0.random_range(0..PAYEES);
        let of = KeyHash::of(&payee(number).public());
        for node in world.nodes() {
            if let Some(read) = node.read(number, &of) {
                world.checker().lock().on_read(node.id(), read);
            }
        }
    }
}

impl Node {
    /// `None` when it does not answer now, or cannot read.
    fn read(&self, payee: u64, of: &KeyHash) -> Option<TipRead> {
        let life = self.life().filter(|life| !life.is_paused.get() && life.gate.now() <= Instant::now())?;
        let view = life.handles.reader.view();
        let outputs = view.outputs_of(of, None, OUTPUTS_MAX).ok()?;
        let balance = Amount::sum(outputs.iter().map(|(_, entry)| entry.output.amount))?;
        let tip = view.tip();
        Some(TipRead { height: tip.height, block: tip.id, payee, balance })
    }
}
