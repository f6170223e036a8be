//! Who was left in peace since when: a node may lose a peer only when something happened to one of them or to the link between.

use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// What the world does to nodes and links.
#[derive(Default)]
pub struct QuietTimes {
    /// Nodes that do nothing at present, and since when.
    off: BTreeMap<u64, Instant>,
    /// From whom to whom nothing goes at present, and since when.
    cut: BTreeMap<(u64, u64), Instant>,
    /// Links that are slow at present, and how long what is sent over them travels at most.
    slow: BTreeMap<(u64, u64), Duration>,
    /// When something last happened to a node, or to a link.
    nodes: BTreeMap<u64, Instant>,
    links: BTreeMap<(u64, u64), Instant>,
}

fn link(a: u64, b: u64) -> (u64, u64) {
    (a.min(b), a.max(b))
}

impl QuietTimes {
    /// A node stops doing anything: dead or paused.
    pub fn on_off(&mut self, node: u64) {
        self.off.entry(node).or_insert_with(Instant::now);
    }

    /// A node begins to act, or goes on.
    pub fn on_on(&mut self, node: u64) {
        self.off.remove(&node);
        self.nodes.insert(node, Instant::now());
    }

    /// A node does nothing until then, such as in a slow sync.
    pub fn on_stumble(&mut self, node: u64, until: Instant) {
        self.nodes.insert(node, until);
    }

    /// Nothing goes from one to the other any more.
    pub fn on_cut(&mut self, from: u64, to: u64) {
        self.cut.entry((from, to)).or_insert_with(Instant::now);
    }

    /// Connections of a link were reset. What is cut stays cut.
    pub fn on_reset(&mut self, a: u64, b: u64) {
        self.links.insert(link(a, b), Instant::now());
    }

    /// A link works again in both directions.
    pub fn on_heal(&mut self, a: u64, b: u64) {
        self.cut.remove(&(a, b));
        self.cut.remove(&(b, a));
        // What a slow link took before comes as late as it would have.
        let last_arrival = Instant::now() + self.slow.remove(&link(a, b)).unwrap_or_default();
        self.links.insert(link(a, b), last_arrival);
    }

    /// A link is slow until [`Self::on_heal`]: what is sent arrives within this time.
    pub fn on_slow(&mut self, a: u64, b: u64, within: Duration) {
        let slowest = self.slow.entry(link(a, b)).or_default();
        *slowest = within.max(*slowest);
    }

    /// Whether nothing happened to two nodes and their link for so long.
    pub(crate) fn is_quiet_for(&self, a: u64, b: u64, length: Duration) -> bool {
        let is_off = self.off.contains_key(&a) || self.off.contains_key(&b);
        let is_cut =
            self.cut.contains_key(&(a, b)) || self.cut.contains_key(&(b, a)) || self.slow.contains_key(&link(a, b));
        let last = [self.nodes.get(&a), self.nodes.get(&b), self.links.get(&link(a, b))].into_iter().flatten().max();
        !is_off && !is_cut && last.is_none_or(|last| last.elapsed() > length)
    }

    /// For how long `node`, which acts, cannot have heard of `peer`.
    pub(crate) fn unheard_for(&self, node: u64, peer: u64) -> Duration {
        let since = [self.off.get(&peer), self.cut.get(&(peer, node))].into_iter().flatten().min();
        let Some(since) = since.filter(|_| !self.slow.contains_key(&link(node, peer))) else { return Duration::ZERO };
        // What a node did not do while it was not there itself is not its fault, and a healed link brings what the dead had sent before.
        let later = [self.nodes.get(&node), self.links.get(&link(node, peer))].into_iter().flatten().max();
        later.map_or(*since, |later| (*since).max(*later)).elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn peace_begins_when_the_last_disturbance_of_either_node_or_the_link_is_over() {
        let mut quiet = QuietTimes::default();
        assert!(quiet.is_quiet_for(1, 2, SECOND));
        quiet.on_cut(2, 1);
        tokio::time::sleep(5 * SECOND).await;
        assert!(!quiet.is_quiet_for(1, 2, SECOND) && quiet.is_quiet_for(1, 3, SECOND));
        assert_eq!((quiet.unheard_for(1, 2), quiet.unheard_for(2, 1)), (5 * SECOND, Duration::ZERO));
        quiet.on_reset(1, 2);
        tokio::time::sleep(2 * SECOND).await;
        assert!(!quiet.is_quiet_for(1, 2, SECOND), "a reset heals nothing");
        quiet.on_heal(1, 2);
        assert!(!quiet.is_quiet_for(1, 2, SECOND));
        tokio::time::sleep(2 * SECOND).await;
        assert!(quiet.is_quiet_for(1, 2, SECOND));
        quiet.on_off(2);
        tokio::time::sleep(4 * SECOND).await;
        quiet.on_off(2);
        quiet.on_stumble(1, Instant::now() + SECOND);
        assert_eq!(quiet.unheard_for(1, 2), Duration::ZERO);
        tokio::time::sleep(4 * SECOND).await;
        assert_eq!(quiet.unheard_for(3, 2), 8 * SECOND);
        assert_eq!(quiet.unheard_for(1, 2), 3 * SECOND, "counted from when it acted itself");
        quiet.on_heal(3, 2);
        tokio::time::sleep(SECOND).await;
        assert_eq!(quiet.unheard_for(3, 2), SECOND, "what was under way came when the link healed");
        quiet.on_slow(1, 2, 4 * SECOND);
        assert_eq!(quiet.unheard_for(1, 2), Duration::ZERO, "it may still come");
        quiet.on_heal(1, 2);
        tokio::time::sleep(6 * SECOND).await;
        assert_eq!(quiet.unheard_for(1, 2), 2 * SECOND, "what a slow link took came late");
        quiet.on_on(2);
        assert_eq!(quiet.unheard_for(3, 2), Duration::ZERO);
        assert!(!quiet.is_quiet_for(1, 2, SECOND));
    }
}
