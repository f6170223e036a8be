//! The checker of a run: sees what every node makes durable and what it publishes, in all its lives, and remembers all of it.
//!
//! No honest key may ever sign two things for one place; every height has one block; what a node called final stays so; the
//! application finds nothing wrong with its state; nobody drops a peer that is alive or keeps one that is dead; everything stays within its bounds.

mod quiet;
pub mod reads;
mod violation;

pub use quiet::QuietTimes;
pub use violation::Violation;

use crate::application::SimulatedApplication;
use crate::trace::Trace;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use timed_actors::Handles;
use timed_actors::peer::PostMortem;
use timed_actors::peer_manager::PeersView;
use timed_chain::{DecidedBlock, History};
use timed_consensus::inspect::Statements;
use timed_consensus::statement::{SignedRecord, SignedStep, Statement, statements_of};
use timed_peer::{EndReason, LaneLimits};
use timed_primitives::{BlockId, Hash, Height, HistoryPeaks, PayloadFormat, PublicKey, Round, SecretKey, TxId};
use tokio::time::Instant;

/// Violations remembered; the first ones say the most.
const VIOLATIONS_MAX: usize = 100;
/// A session that lasted so long between two nodes that nothing disturbed may end only because a node wishes so.
const SETTLED: Duration = Duration::from_secs(10);
/// How long after the last disturbance of two nodes its effects may last.
const AFTERMATH: Duration = Duration::from_secs(10);
/// Connections to one peer that may come to nothing because there is a session: dials that were under way when it began.
const SURPLUS_MAX: usize = 4;
/// How late a view is published and a timer fires, at most.
const LATENESS: Duration = Duration::from_secs(3);

/// What became final, for those who wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewlyFinal {
    /// The transaction.
    pub txid: TxId,
    /// In the block of this height.
    pub height: Height,
    /// When a first node called it final.
    pub at: Instant,
}

/// A height as the first node that called it final saw it.
struct Final {
    id: BlockId,
    /// The round that decided it, as far as that node knew.
    round: Round,
    state: Option<Hash>,
}

/// What is known of a node over its lives.
#[derive(Default)]
struct Known {
    /// What it called final, in any life since its disk was last taken from it.
    published: Height,
    /// Compared in this life.
    checked: Height,
    /// What clients read at it, in the same time as `published`.
    read: Height,
    answers: BTreeMap<u64, u64>,
    /// The newest end of a session that was checked.
    checked_end: Option<Arc<PostMortem>>,
}

/// Remembers and checks.
pub struct Checker {
    trace: Trace,
    application: Arc<dyn SimulatedApplication>,
    chain: BTreeMap<Height, Final>,
    /// The same, as headers name it.
    history: HistoryPeaks,
    statements: Statements,
    /// Places of statements that only their signer keeps.
    unheard: BTreeSet<(PublicKey, Height, u32, SignedStep)>,
    guards: BTreeMap<(u64, Height, u32, SignedStep), SignedRecord>,
    known: BTreeMap<u64, Known>,
    by_consensus_key: BTreeMap<PublicKey, u64>,
    by_node_key: BTreeMap<PublicKey, u64>,
    /// Whose signatures may contradict.
    byzantine: BTreeSet<u64>,
    quiet: QuietTimes,
    /// What the answer to a question is after a height, as it was first read.
    answers: BTreeMap<(Height, u64), u64>,
    newly_final: Vec<NewlyFinal>,
    transactions: u64,
    rounds_failed: u64,
    violations: Vec<Violation>,
    checks: u64,
    /// Sessions that were up and ended, each end counted, by reason.
    ended: BTreeMap<&'static str, u64>,
}

/// The checker, for all who show it something.
#[derive(Clone)]
pub struct SharedChecker(Arc<Mutex<Checker>>);

impl SharedChecker {
    /// For a chain, with the development keys of so many nodes.
    pub fn new(application: Arc<dyn SimulatedApplication>, nodes: u64, trace: Trace) -> Self {
        let keys = |purpose| (1..=nodes).map(move |id| (SecretKey::development(purpose, id).public(), id)).collect();
        Self(Arc::new(Mutex::new(Checker {
            trace,
            statements: Statements::new(application.genesis().chain_id),
            application,
            chain: BTreeMap::new(),
            history: HistoryPeaks::default(),
            unheard: BTreeSet::new(),
            guards: BTreeMap::new(),
            known: BTreeMap::new(),
            by_consensus_key: keys("consensus"),
            by_node_key: keys("node"),
            byzantine: BTreeSet::new(),
            quiet: QuietTimes::default(),
            answers: BTreeMap::new(),
            newly_final: Vec::new(),
            transactions: 0,
            rounds_failed: 0,
            violations: Vec::new(),
            checks: 0,
            ended: BTreeMap::new(),
        })))
    }

    /// The checker itself. Never held over an await.
    pub fn lock(&self) -> MutexGuard<'_, Checker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checker {
    /// What was found, the first first. Bound: 100.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// How the payloads of this network are read.
    pub(crate) fn payload_format(&self) -> PayloadFormat {
        self.application.payload_format()
    }

    /// How many comparisons were made.
    pub const fn checks(&self) -> u64 {
        self.checks
    }

    /// Sessions that were up and ended, each end counted, by reason.
    pub const fn ended(&self) -> &BTreeMap<&'static str, u64> {
        &self.ended
    }

    /// Height of the highest block that any node called final.
    pub fn height(&self) -> Height {
        self.chain.keys().next_back().copied().unwrap_or_default()
    }

    /// Transactions in final blocks.
    pub const fn transactions(&self) -> u64 {
        self.transactions
    }

    /// Rounds that failed at heights that are final.
    pub const fn rounds_failed(&self) -> u64 {
        self.rounds_failed
    }

    /// The rounds that decided the heights above this one: each says how many failed before it.
    pub fn rounds_above(&self, height: Height) -> impl Iterator<Item = Round> {
        self.chain.range(height.next()..).map(|(_, first)| first.round)
    }

    /// Transactions that became final since the last call.
    pub fn take_newly_final(&mut self) -> Vec<NewlyFinal> {
        std::mem::take(&mut self.newly_final)
    }

    /// Who was disturbed when.
    pub const fn quiet(&mut self) -> &mut QuietTimes {
        &mut self.quiet
    }

    /// This node's key may sign what it likes.
    pub fn set_byzantine(&mut self, node: u64) {
        self.byzantine.insert(node);
    }

    /// A node gave up by itself, without a fault of its disk. One that shares its key with another may.
    pub(crate) fn on_given_up(&mut self, node: u64, text: String) {
        if !self.byzantine.contains(&node) {
            self.report(Violation::Stopped { node, text });
        }
    }

    /// Notes what must not be.
    pub fn report(&mut self, violation: Violation) {
        self.trace.world(format_args!("VIOLATION {violation}"));
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(violation);
        }
    }

    /// A node's disk was wiped or restored from an old copy by the world: what it published may be gone, and so is what it signed and nobody else keeps.
    /// That it cannot know, and no message that it sent was ever acted upon; should a neighbour remember one, that comes up as soon as the
    /// neighbour makes it durable.
    pub fn forget_published(&mut self, node: u64) {
        let known = self.known.entry(node).or_default();
        (known.published, known.read, known.answers) = Default::default();
        self.guards.retain(|(of, ..), _| *of != node);
        let unheard: Vec<_> =
            self.unheard.extract_if(.., |place| self.by_consensus_key.get(&place.0) == Some(&node)).collect();
        for (key, height, round, step) in unheard {
            self.statements.forget(key, height, Round(round), step);
        }
    }

    /// A statement is durable in a node's journal, or part of a final block.
    pub fn on_statement(&mut self, found_at: u64, statement: Statement) {
        self.checks += 1;
        let (key, second) = (statement.signer(), statement.record());
        let Some(signer) = self.by_consensus_key.get(&key).copied() else { return };
        if self.byzantine.contains(&signer) {
            return;
        }
        let held = self.statements.get(key, second.height, second.round, second.step).map(Statement::record);
        let place = (key, second.height, second.round.0, second.step);
        match (found_at == signer, held) {
            (true, None) => drop(self.unheard.insert(place)),
            (true, Some(_)) => {}
            (false, _) => drop(self.unheard.remove(&place)),
        }
        match self.statements.add(statement) {
            Ok(None) => {}
            Ok(Some(_)) => {
                let first = held.unwrap_or(second);
                self.report(Violation::SignedTwice { signer, first, second, found_at });
            }
            Err(forged) => self.report(Violation::Forged { node: found_at, text: forged.to_string() }),
        }
    }

    /// A record is durable in a node's guard. It bears no signature, but the node had reason to write it.
    pub fn on_guard(&mut self, node: u64, guard: SignedRecord) {
        self.checks += 1;
        let place = (node, guard.height, guard.round.0, guard.step);
        let held = *self.guards.entry(place).or_insert(guard);
        let key = SecretKey::development("consensus", node).public();
        let signed = self.statements.get(key, guard.height, guard.round, guard.step).map(Statement::record);
        if let Some(signed) = [Some(held), signed].into_iter().flatten().find(|signed| *signed != guard)
            && !self.byzantine.contains(&node)
        {
            self.report(Violation::GuardDiffers { node, guard, signed });
        }
    }

    /// A node opened its files: everything it ever called final must be there.
    pub(crate) fn on_start(&mut self, node: u64, history: &dyn History) {
        let known = self.known.entry(node).or_default();
        known.checked = Height::GENESIS;
        known.checked_end = None;
        let (published, found) = (known.published, history.tip().height);
        if found < published {
            self.report(Violation::WentBack { node, published, found });
        }
        self.on_tip(node, history);
    }

    /// A node published a tip.
    pub(crate) fn on_tip(&mut self, node: u64, history: &dyn History) {
        let tip = history.tip();
        let known = self.known.entry(node).or_default();
        let checked = known.checked;
        if tip.height < checked {
            let published = checked;
            self.report(Violation::WentBack { node, published, found: tip.height });
            return;
        }
        known.checked = tip.height;
        known.published = known.published.max(tip.height);
        for height in (checked.0 + 1..=tip.height.0).map(Height) {
            self.compare_block(node, height, history);
        }
        if tip.height == Height::GENESIS {
            return;
        }
        self.check_commitment(node, tip.height, tip.state_commitment, history);
        self.compare_state(node, tip.height, tip.state_commitment);
        if let Err(text) = self.application.check(history) {
            self.report(Violation::ImpossibleState { node, height: tip.height, text });
        }
    }

    fn compare_block(&mut self, node: u64, height: Height, history: &dyn History) {
        self.checks += 1;
        let unreadable = |text| Violation::Unreadable { node, height, text };
        let found = match history.block_id(height) {
            Ok(Some(found)) => found,
            Ok(None) => return self.report(unreadable("it is not there".to_owned())),
            Err(error) => return self.report(unreadable(error.to_string())),
        };
        match self.chain.get(&height).map(|first| first.id) {
            Some(other) if other == found => {}
            Some(other) => self.report(Violation::OtherBlock { node, height, found, other }),
            None => {
                self.chain.insert(height, Final { id: found, round: Round::ZERO, state: None });
                match history.decided(height) {
                    Ok(Some(decided)) => self.take_block(node, &decided, history),
                    Ok(None) => self.report(unreadable("it is not there".to_owned())),
                    Err(error) => self.report(unreadable(error.to_string())),
                }
            }
        }
    }

    /// A block is final for the first time.
    fn take_block(&mut self, node: u64, decided: &DecidedBlock, history: &dyn History) {
        let block = &decided.block;
        let (committed, found) = (block.header.history_root, self.history.root());
        if committed != found {
            self.report(Violation::FalseHistory { node, height: block.height(), committed, found });
        }
        self.history.append(&block.id());
        let transactions = history.transactions(&block.payload).unwrap_or_default();
        self.trace.node(
            node,
            format_args!(
                "commits height {} round {} block {} with {} transactions",
                block.height(),
                decided.certificate.round.0,
                block.id().short(),
                transactions.len()
            ),
        );
        self.transactions += transactions.len() as u64;
        self.rounds_failed += u64::from(decided.certificate.round.0);
        let (height, at) = (block.height(), Instant::now());
        if let Some(first) = self.chain.get_mut(&height) {
            first.round = decided.certificate.round;
        }
        self.newly_final.extend(transactions.iter().map(|facts| NewlyFinal { txid: facts.id, height, at }));
        for statement in statements_of(&decided.certificate) {
            // What made a block final is known to a quorum.
            self.on_statement(node, statement.clone());
            let record = statement.record();
            self.unheard.remove(&(statement.signer(), record.height, record.round.0, record.step));
        }
    }

    /// The first node at a height: does the block say what state it leads to?
    fn check_commitment(&mut self, node: u64, height: Height, found: Hash, history: &dyn History) {
        if self.chain.get(&height).is_none_or(|first| first.state.is_some()) {
            return;
        }
        let block = history.block(height).ok().flatten();
        let committed = block.map(|block| block.header.state_commitment).filter(|committed| *committed != found);
        if let Some(committed) = committed {
            self.report(Violation::FalseCommitment { node, height, committed, found });
        }
    }

    fn compare_state(&mut self, node: u64, height: Height, found: Hash) {
        self.checks += 1;
        let Some(first) = self.chain.get_mut(&height) else { return };
        let other = *first.state.get_or_insert(found);
        if other != found {
            self.report(Violation::OtherState { node, height, found, other });
        }
    }

    /// A node published who is connected.
    pub(crate) fn on_peers(&mut self, node: u64, view: &PeersView) {
        let mut seen = BTreeSet::new();
        for peer in &view.peers {
            self.checks += 1;
            let Some(id) = self.by_node_key.get(&peer.key).copied() else { continue };
            if !seen.insert(id) {
                self.report(Violation::TwoSessions { node, peer: id });
            }
            let gone_for = self.quiet.unheard_for(node, id);
            if gone_for > timed_peer::heartbeat::deadline(peer.interval) + LATENESS {
                self.report(Violation::DeadPeerKept { node, peer: id, gone_for });
            }
            let LaneLimits { control, consensus, bulk, .. } = LaneLimits::default();
            let bound = (control + consensus + bulk) as u64;
            let found = peer.queued_bytes.iter().sum::<usize>() as u64;
            if found > bound {
                self.report(Violation::Unbounded { node, what: "bytes queued for one peer", found, bound });
            }
        }
        let checked = self.known.entry(node).or_default().checked_end.clone();
        let is_checked = |end: &Arc<PostMortem>| checked.as_ref().is_some_and(|checked| Arc::ptr_eq(checked, end));
        let fresh: Vec<_> = view.ended.iter().rev().take_while(|end| !is_checked(end)).cloned().collect();
        for end in fresh.iter().rev() {
            self.check_end(node, end);
        }
        if let Some(newest) = fresh.first() {
            self.check_dials(node, view);
            self.known.entry(node).or_default().checked_end = Some(newest.clone());
        }
    }

    /// Two may dial each other at one moment; who is connected is not dialled again and again.
    fn check_dials(&mut self, node: u64, view: &PeersView) {
        for peer in &view.peers {
            let Some(id) = self.by_node_key.get(&peer.key).copied() else { continue };
            let is_surplus = |end: &&Arc<PostMortem>| {
                end.key == Some(peer.key)
                    && end.end.reason == EndReason::Duplicate
                    && end.ended_at > peer.connected_since
            };
            let times = view.ended.iter().filter(is_surplus).count();
            if times > SURPLUS_MAX {
                self.report(Violation::DialledAgain { node, peer: id, times });
            }
        }
    }

    fn check_end(&mut self, node: u64, ended: &PostMortem) {
        let Some(peer) = ended.key.and_then(|key| self.by_node_key.get(&key).copied()) else { return };
        let reason = ended.end.reason;
        if ended.up_for > Duration::ZERO {
            *self.ended.entry(reason.name()).or_default() += 1;
        }
        let is_wished = matches!(
            reason,
            EndReason::Duplicate
                | EndReason::Replaced
                | EndReason::Evicted
                | EndReason::TooManyPeers
                | EndReason::Operator
                | EndReason::Shutdown
        );
        let up_for = ended.up_for;
        let is_quiet = self.quiet.is_quiet_for(node, peer, ended.silent_for + AFTERMATH + LATENESS);
        let are_honest = !self.byzantine.contains(&peer) && !self.byzantine.contains(&node);
        // Held against the peer: between honest nodes never right, whatever befell them.
        let is_accusation =
            matches!(reason, EndReason::Misbehaviour | EndReason::Undecodable | EndReason::OversizedFrame);
        if are_honest && (is_accusation || (up_for > SETTLED && !is_wished && is_quiet)) {
            self.report(Violation::FalseDisconnect { node, peer, reason, up_for });
        }
    }

    /// Looks at the bounds of what a node holds.
    pub(crate) fn on_levels(&mut self, node: u64, handles: &Handles) {
        let mut levels = Vec::new();
        if let Some(status) = &*handles.mempool_status.borrow() {
            levels.push(("transactions waiting", status.pool.count as u64, status.pool.count_max as u64));
            levels.push(("bytes of transactions", status.pool.bytes as u64, status.pool.bytes_max as u64));
        }
        if let Some(status) = &*handles.consensus.borrow() {
            levels.push(("bytes of undecided blocks", status.undecided_bytes, 64 << 20));
        }
        for (what, found, bound) in levels {
            self.checks += 1;
            if found > bound {
                self.report(Violation::Unbounded { node, what, found, bound });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payments::SimulatedPayments;
    use crate::{Crash, KeptState, World, WorldConfig, play};
    use timed_primitives::{Round, Vote, VoteKind};

    fn vote(height: u64, block: Option<BlockId>) -> Statement {
        let (key, chain) = (SecretKey::development("consensus", 2), SimulatedPayments::devnet(4).genesis().chain_id);
        let (kind, height, round) = (VoteKind::Precommit, Height(height), Round(0));
        let bytes = timed_primitives::vote::vote_signing_bytes(chain, kind, height, round, block, &key.public());
        let signature = key.sign(&bytes);
        Statement::Vote(Vote { kind, height, round, block, validator: key.public(), signature })
    }

    #[tokio::test(start_paused = true)]
    async fn a_contradiction_a_forgery_and_a_guard_that_differs_are_seen() {
        let checker = SharedChecker::new(Arc::new(SimulatedPayments::devnet(4)), 4, Trace::new(None));
        let mut checker = checker.lock();
        let other = Some(BlockId(Hash([7; 32])));
        for fine in [vote(1, None), vote(1, None), vote(2, other)] {
            checker.on_statement(1, fine);
        }
        checker.on_guard(2, vote(1, None).record());
        assert_eq!(checker.violations(), []);
        checker.on_statement(3, vote(1, other));
        checker.on_guard(2, vote(2, None).record());
        let Statement::Vote(mut forged) = vote(3, None) else { unreachable!("a vote was made") };
        forged.signature.0[0] ^= 1;
        checker.on_statement(4, Statement::Vote(forged));
        let found = checker.violations();
        assert!(matches!(found[0], Violation::SignedTwice { signer: 2, found_at: 3, .. }), "{found:?}");
        assert!(matches!(found[1], Violation::GuardDiffers { node: 2, .. }), "{found:?}");
        assert!(matches!(found[2], Violation::Forged { node: 4, .. }), "{found:?}");
        // What only its signer kept is gone with its disk, what another keeps is not.
        let before = checker.violations().len();
        for (found_at, height) in [(2, 5), (2, 6), (1, 6)] {
            checker.on_statement(found_at, vote(height, None));
        }
        checker.forget_published(2);
        checker.on_statement(2, vote(5, other));
        assert_eq!(checker.violations().len(), before);
        checker.on_statement(2, vote(6, other));
        assert_eq!(checker.violations().len(), before + 1);
        checker.violations.truncate(before);
        checker.set_byzantine(2);
        checker.on_statement(3, vote(2, None));
        assert_eq!(checker.violations().len(), 3, "nothing is held against a key that may contradict");
    }

    #[test]
    fn a_lost_chain_another_chain_and_other_money_are_seen() {
        play(async {
            let mut worlds = [1, 2].map(|seed| World::new(WorldConfig::instant(1, seed)));
            for world in &mut worlds {
                world.start(1).unwrap().reaches(Height(2), Duration::from_secs(60)).await;
                world.run_for(Duration::from_millis(7)).await;
            }
            let [one, two] = &worlds;
            let unknown = two.node(1).unwrap().handles().history;
            one.checker().lock().on_tip(2, &*unknown);
            assert!(matches!(one.checker().lock().violations()[0], Violation::OtherBlock { node: 2, .. }));
            two.checker().lock().application = Arc::new(SimulatedPayments::with_supply(1, 1));
            two.checker().lock().known.clear();
            two.checker().lock().on_tip(1, &*unknown);
            assert!(matches!(two.checker().lock().violations()[..], [Violation::ImpossibleState { node: 1, .. }]));
            let node = one.node(1).unwrap();
            node.kill(Crash::Process);
            node.0.kept.replace(KeptState::default());
            node.start().unwrap();
            let last = one.checker().lock().violations().last().cloned();
            assert!(matches!(last, Some(Violation::WentBack { node: 1, found: Height(0), .. })), "{last:?}");
        });
    }

    /// What a node shows of its peers, changed as it must never be.
    #[test]
    fn false_ends_two_sessions_too_many_bytes_another_state_and_gaps_are_seen() {
        play(async {
            let mut world = World::new(WorldConfig::instant(2, 3));
            let nodes = [1, 2].map(|id| world.start(id).unwrap());
            nodes[0].reaches(Height(2), Duration::from_secs(60)).await;
            world.run_for(Duration::from_secs(60)).await;
            let handles = nodes[0].handles();
            let view = PeersView::clone(&handles.peers.borrow());
            let found = |show: &dyn Fn(&mut Checker)| {
                let mut checker = world.checker().lock();
                checker.violations.clear();
                show(&mut checker);
                checker.violations.clone()
            };
            assert_eq!(found(&|checker| checker.on_peers(1, &view)), []);

            let mut twice = view.clone();
            twice.peers.push(view.peers[0].clone());
            let twice = found(&|checker| checker.on_peers(1, &twice));
            assert!(matches!(twice[..], [Violation::TwoSessions { node: 1, peer: 2 }]), "{twice:?}");

            let mut full = view.clone();
            full.peers[0].queued_bytes = [1 << 30; 3];
            let full = found(&|checker| checker.on_peers(1, &full));
            assert!(matches!(full[..], [Violation::Unbounded { node: 1, .. }]), "{full:?}");

            let end = |reason, up_for| {
                let mut ended = view.clone();
                let peer = &view.peers[0];
                let end = timed_peer::SessionEnd::ours(reason);
                ended.ended.push(Arc::new(PostMortem {
                    key: Some(peer.key),
                    up_for: Duration::from_secs(up_for),
                    ..PostMortem::never_up(peer.address.clone(), peer.direction, end, peer.connected_since)
                }));
                found(&|checker| checker.on_peers(1, &ended))
            };
            assert_eq!(end(EndReason::Operator, 30), [], "an operator may");
            assert_eq!(end(EndReason::Silent, 5), [], "it was not settled");
            let lost = end(EndReason::Silent, 30);
            assert!(matches!(lost[..], [Violation::FalseDisconnect { node: 1, peer: 2, .. }]), "{lost:?}");

            let accused = end(EndReason::Misbehaviour, 5);
            assert!(matches!(accused[..], [Violation::FalseDisconnect { node: 1, peer: 2, .. }]), "{accused:?}");

            let other = found(&|checker| checker.compare_state(1, Height(1), Hash([9; 32])));
            assert!(matches!(other[..], [Violation::OtherState { node: 1, .. }]), "{other:?}");
            let gap = found(&|checker| checker.compare_block(1, Height(1_000), &*handles.history));
            assert!(matches!(gap[..], [Violation::Unreadable { node: 1, .. }]), "{gap:?}");
        });
    }
}
