//! Faulty neighbours and awkward orders: re-proposals, missing blocks, forgeries, contradictions, clocks.

#![allow(clippy::unwrap_used, reason = "a test")]

mod sim;

use sim::{CHAIN, Sim, consensus_key, node_key};
use std::cell::Cell;
use std::time::Duration;
use timed_consensus::leaders::{LeaderOrder, leader};
use timed_consensus::{Gossip, GossipOffence, Input, Output, Payload};
use timed_primitives::vote::{proposal_signing_bytes, vote_signing_bytes};
use timed_primitives::{BlockId, DoubleSign, Hash, Height, Proposal, Round, Signature, Vote, VoteKind};

const SECOND: Duration = Duration::from_secs(1);

fn vote(id: usize, kind: VoteKind, height: u64, round: u32, block: Option<BlockId>) -> Vote {
    let key = consensus_key(id);
    let (height, round, validator) = (Height(height), Round(round), key.public());
    let signature = key.sign(&vote_signing_bytes(CHAIN, kind, height, round, block, &validator));
    Vote { kind, height, round, block, validator, signature }
}

fn proposal(id: usize, height: u64, round: u32, block: BlockId, valid_round: Option<u32>) -> Proposal {
    let key = consensus_key(id);
    let (height, round, valid_round, proposer) = (Height(height), Round(round), valid_round.map(Round), key.public());
    let signature = key.sign(&proposal_signing_bytes(CHAIN, height, round, block, valid_round, &proposer));
    Proposal { height, round, block, valid_round, proposer, signature }
}

fn block_id(byte: u8) -> BlockId {
    BlockId(Hash([byte; 32]))
}

/// Node that leads a round of height 1.
fn first_leader(sim: &Sim, round: u32) -> usize {
    let order = LeaderOrder::new(sim.set.clone(), []).order(Height(1));
    let key = leader(&sim.set, &order, Round(round)).unwrap();
    (0..sim.set.len()).find(|id| consensus_key(*id).public() == key).unwrap()
}

fn give(sim: &mut Sim, to: usize, from: usize, message: Gossip) -> Vec<Output> {
    let before = sim.nodes[to].outputs.len();
    sim.handle(to, Input::Gossip { from: node_key(from), message });
    sim.nodes[to].outputs[before..].to_vec()
}

/// A quorum prevoted the first block, but only two saw it: they precommit it, the others nil. The next leader proposes it again, and
/// those who did not see the quorum are shown it.
#[test]
fn reproposal_by_another_leader() {
    let mut sim = Sim::new(4, 0, 1);
    let order = LeaderOrder::new(sim.set.clone(), []).order(Height(1));
    let by_round: Vec<_> = (0..4).map(|r| leader(&sim.set, &order, Round(r)).unwrap()).collect();
    let id_of = |key| (0..4).find(|id| consensus_key(*id).public() == key).unwrap();
    let (first, second, third, fourth) =
        (id_of(by_round[0]), id_of(by_round[1]), id_of(by_round[2]), id_of(by_round[3]));
    // The fourth finds every first-round block bad; the third does not get the first's prevote of round 0.
    sim.is_valid = Box::new(move |id, block| id != fourth || block.header.height != Height(1));
    let hidden = consensus_key(first).public();
    sim.filter = Box::new(move |_, to, message| {
        matches!(message, Gossip::Vote(v) if to == third && v.validator == hidden && v.height == Height(1)
            && v.round == Round(0) && v.kind == VoteKind::Prevote)
    });
    sim.start_all();
    assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= 1), "{:#?}", sim.status(0));
    let (block, certificate) = &sim.nodes[0].chain[0];
    assert_eq!(block.header.proposer, consensus_key(first).public());
    assert_eq!(block.header.first_round, Round(0));
    assert_eq!(certificate.round, Round(1), "decided in the round of the second leader, {second}");
    assert!(sim.signed_by(second).contains(&(1, 1, 0)), "the second leader proposed it again");
}

/// Nodes by the round of height 1 that they lead.
fn by_round(sim: &Sim) -> [usize; 4] {
    [0, 1, 2, 3].map(|round| first_leader(sim, round))
}

/// The last leader alone saw that a quorum prevoted the first block, and is locked on it; the first is gone, so nothing is decided without
/// the last. The others hear of the quorum, though they have left its round, and lead with its block before its turn comes.
#[test]
fn a_quorum_of_prevotes_that_one_validator_saw_alone_is_shown_to_those_in_later_rounds() {
    let mut sim = Sim::new(4, 0, 1);
    let [first, second, third, fourth] = by_round(&sim);
    let key = consensus_key(fourth).public();
    sim.filter = Box::new(move |_, to, message| match message {
        Gossip::Vote(v) => to != fourth && v.validator == key && v.round == Round::ZERO,
        Gossip::Proposal(p) => to == third && p.round == Round::ZERO,
        _ => false,
    });
    sim.start_all();
    let precommitted = |s: &Sim| s.signed_by(fourth).contains(&(1, 0, 2));
    assert!(sim.run_until(10 * SECOND, precommitted), "{:#?}", sim.status(fourth));
    sim.kill(first);
    let decided = |s: &Sim| [second, third, fourth].iter().all(|id| s.height(*id) >= 1);
    assert!(sim.run_until(60 * SECOND, decided), "{:#?}", sim.status(fourth));
    let (block, certificate) = &sim.nodes[second].chain[0];
    assert_eq!(block.header.first_round, Round::ZERO, "the block on which the fourth is locked");
    assert!(certificate.round < Round(3), "decided before the fourth leads, in {:?}", certificate.round);
}

/// A Byzantine validator prevotes the block to one neighbour and nothing to the others, whose bitmaps show no lack then.
#[test]
fn a_quorum_of_prevotes_that_a_byzantine_validator_shows_to_one_alone_is_shown_to_all() {
    let mut sim = Sim::new(4, 0, 1);
    sim.contradictions = Some(Default::default());
    let [first, byzantine, third, fourth] = by_round(&sim);
    sim.filter =
        Box::new(move |_, to, message| matches!(message, Gossip::Proposal(p) if to == third && p.round == Round::ZERO));
    [first, third, fourth].into_iter().for_each(|id| sim.start(id));
    assert!(sim.run_until(10 * SECOND, |s| s.status(fourth).proposal.is_some()), "{:#?}", sim.status(fourth));
    let block = sim.status(fourth).proposal;
    for (to, said) in [(fourth, block), (first, None), (third, None)] {
        give(&mut sim, to, byzantine, Gossip::Vote(vote(byzantine, VoteKind::Prevote, 1, 0, said)));
    }
    let decided = |s: &Sim| [first, third, fourth].iter().all(|id| s.height(*id) >= 1);
    assert!(sim.run_until(60 * SECOND, decided), "{:#?}", sim.status(fourth));
    let (decided, certificate) = &sim.nodes[first].chain[0];
    assert_eq!(Some(decided.id()), block, "the block on which the fourth is locked");
    assert_eq!(certificate.round, Round(2), "the third led with it");
    assert!(sim.signed_by(fourth).contains(&(1, 0, 2)), "the fourth is locked");
}

#[test]
fn a_proposal_that_names_its_own_or_a_later_round_as_proof_is_refused() {
    let mut sim = Sim::started(4, 2);
    sim.run_for(SECOND / 2);
    let height = sim.height(0) + 1;
    let status = sim.status(0);
    let from = (0..4).find(|id| Some(consensus_key(*id).public()) == status.proposer).unwrap();
    let to = (from + 1) % 4;
    for valid_round in [0, 1, u32::MAX] {
        let bad = proposal(from, height, 0, block_id(9), Some(valid_round));
        assert_eq!(give(&mut sim, to, from, Gossip::Proposal(bad)), []);
        assert_eq!(sim.status(to).proposal, None);
    }
    // Nor one by another than the leader.
    let other = (0..4).find(|id| *id != from && *id != to).unwrap();
    let bad = proposal(other, height, 0, block_id(9), None);
    assert_eq!(give(&mut sim, to, other, Gossip::Proposal(bad)), []);
    assert_eq!(sim.status(to).proposal, None);
    let good = proposal(from, height, 0, block_id(9), None);
    give(&mut sim, to, from, Gossip::Proposal(good));
    assert_eq!(sim.status(to).proposal, Some(block_id(9)));
}

#[test]
fn a_dead_proposer_costs_one_timeout_not_one_per_turn() {
    let mut sim = Sim::new(4, 0, 3);
    sim.config.min_block_interval = Duration::from_millis(50);
    (0..3).for_each(|id| sim.start(id));
    sim.payload_everywhere();
    assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= 80), "{:#?}", sim.status(0));
    let failed: Vec<_> = sim.rounds(0).into_iter().filter(|r| *r > 0).collect();
    assert_eq!(failed, [1], "one failed round in 80 heights");
    // Back among the living it leads again, once its precommit is in a certificate.
    sim.start(3);
    sim.payload_everywhere();
    let key = consensus_key(3).public();
    let leads = |s: &Sim| s.nodes[0].chain.iter().any(|(b, _)| b.header.proposer == key);
    assert!(sim.run_until(60 * SECOND, leads), "{:#?}", sim.status(3));
}

#[test]
fn a_dead_proposer_costs_little_where_heights_are_fast() {
    let mut sim = Sim::started(4, 5);
    sim.steady_payload = Payload::Light;
    sim.payload_everywhere();
    assert!(sim.run_until(60 * SECOND, |s| s.lowest() >= 60), "{:#?}", sim.status(0));
    sim.kill(3);
    let (mut longest, end) = (Duration::ZERO, sim.height(0) + 150);
    while sim.height(0) < end {
        let (height, since) = (sim.height(0), sim.now);
        assert!(sim.run_until(10 * SECOND, |s| s.height(0) > height), "{:#?}", sim.status(0));
        longest = longest.max(sim.now.since(since));
    }
    assert!(sim.rounds(0).into_iter().any(|round| round > 0), "the dead one has led");
    // A height takes some 15 ms here: 4 times that for the relay, 4 times for the proposal, and the round that follows.
    assert!(longest < Duration::from_millis(250), "{longest:?} without a height");
}

#[test]
fn a_leader_that_withholds_its_blocks_costs_rounds_and_nothing_else() {
    let mut sim = Sim::new(4, 0, 4);
    sim.nodes[2].withholds_blocks = true;
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(120 * SECOND, |s| s.lowest() >= 30), "{:#?}", sim.status(0));
}

/// Three of four run, so every vote is needed; one of them never gets a block by itself.
#[test]
fn a_missing_block_is_fetched() {
    let mut sim = Sim::new(4, 0, 5);
    let dropped = std::rc::Rc::new(Cell::new(0));
    let count = dropped.clone();
    // Blocks pushed to node 2 are lost; it gets those it asks for, which come more than 100 ms after the push.
    let asked = std::rc::Rc::new(Cell::new(false));
    let is_asked = asked.clone();
    sim.filter = Box::new(move |from, to, message| {
        if from == 2 && matches!(message, Gossip::GetBlock { .. }) {
            is_asked.set(true);
        }
        let is_lost = to == 2 && matches!(message, Gossip::Block(_)) && !is_asked.replace(false);
        count.set(count.get() + u32::from(is_lost));
        is_lost
    });
    (0..3).for_each(|id| sim.start(id));
    sim.payload_everywhere();
    assert!(sim.run_until(120 * SECOND, |s| s.lowest() >= 5), "{:#?}", sim.status(2));
    assert!(dropped.get() > 0 && sim.delivered["get block"] > 0);
    assert!(sim.nodes[2].outputs.iter().any(|o| matches!(o, Output::Wanted { .. })));
}

#[test]
fn an_observer_decides_without_signing() {
    let mut sim = Sim::new(4, 1, 6);
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(30 * SECOND, |s| s.lowest() >= 20));
    let own = sim.nodes[4].outputs.iter().filter(|o| matches!(o, Output::Commit { .. })).count();
    assert!(own >= 15, "{own} of {} heights decided by itself", sim.height(4));
    assert!(
        !sim.nodes[4].outputs.iter().any(|o| matches!(o, Output::Broadcast(Gossip::Vote(_) | Gossip::Proposal(_))))
    );
    assert_eq!(sim.status(4).signing.to_string(), "observer: no consensus key");
}

#[test]
fn in_normal_traffic_a_vote_costs_one_delivery_per_other_node() {
    let mut sim = Sim::started(4, 7);
    sim.payload_everywhere();
    assert!(sim.run_until(30 * SECOND, |s| s.lowest() >= 5));
    sim.delivered.clear();
    let before = sim.lowest();
    assert!(sim.run_until(30 * SECOND, |s| s.lowest() >= before + 100));
    let heights = sim.lowest() - before;
    let per_height = sim.delivered["vote"] as f64 / heights as f64;
    assert!((23.0..=26.0).contains(&per_height), "{per_height} deliveries of votes per height, 24 expected");
    assert!(sim.delivered["block"] <= 3 * heights + 12);
}

#[test]
fn late_precommits_enrich_the_certificate_that_is_included() {
    let mut sim = Sim::new(4, 0, 8);
    // The others need a moment to bring all precommits before the next block is built.
    sim.config.min_block_interval = Duration::from_millis(50);
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(30 * SECOND, |s| s.lowest() >= 20));
    let included = sim.nodes[0].chain.iter().skip(2).map(|(b, _)| b.parent_certificate.as_ref().unwrap());
    assert!(included.clone().count() > 0);
    assert!(included.into_iter().all(|c| c.signatures.len() == 4));
}

/// Another runs with our key, or we forgot: either way what was asked for before must not be signed after it.
#[test]
fn a_vote_of_ours_that_comes_while_a_block_is_built_ends_signing_and_not_the_node() {
    let mut sim = Sim::started(4, 25);
    sim.payload_everywhere();
    let asked = |s: &Sim| matches!(s.nodes[0].outputs.last(), Some(Output::Build { .. }));
    assert!(sim.run_until(10 * SECOND, asked));
    let Some(Output::Build { height, round, .. }) = sim.nodes[0].outputs.last().cloned() else { return };
    give(&mut sim, 0, 1, Gossip::Vote(vote(0, VoteKind::Prevote, height.0, round.0, None)));
    assert!(sim.status(0).signing.to_string().contains("another node signs with our key"), "{}", sim.status(0).signing);
    assert!(sim.run_until(10 * SECOND, |s| s.height(0) > height.0));
}

#[test]
fn forged_votes_are_dropped_and_bounded() {
    let mut sim = Sim::started(4, 9);
    sim.run_for(SECOND / 2);
    let height = sim.height(0) + 1;
    for n in 0..2000u64 {
        let mut forged = vote(1, VoteKind::Prevote, height + n % 3, (n % 50) as u32, None);
        forged.signature = Signature([n as u8; 64]);
        let outputs = give(&mut sim, 0, 1, Gossip::Vote(forged));
        assert!(
            outputs.iter().all(|o| matches!(o, Output::Invalid { offence: GossipOffence::BadSignature, .. })),
            "{outputs:?}"
        );
    }
    assert_eq!(sim.status(0).future_messages, 0);
    assert!(sim.status(0).validators.iter().all(|v| v.prevote.is_none()));
    // Well signed, but more than anyone needs.
    for round in 0..200 {
        for later in 1..=3 {
            give(&mut sim, 0, 1, Gossip::Vote(vote(1, VoteKind::Precommit, height + later, round, Some(block_id(1)))));
        }
    }
    assert!(sim.status(0).future_messages <= 8, "{}", sim.status(0).future_messages);
    // A forgery in our own name is no memory.
    let mut forged = vote(0, VoteKind::Prevote, height, 0, None);
    forged.signature = Signature([1; 64]);
    give(&mut sim, 0, 1, Gossip::Vote(forged));
    assert_eq!(sim.status(0).signing.to_string(), "signing is on");
}

#[test]
fn dedup_nothing_is_done_twice() {
    let mut sim = Sim::started(4, 10);
    sim.run_for(SECOND / 2);
    let height = sim.height(0) + 1;
    let leader = (0..4).find(|id| Some(consensus_key(*id).public()) == sim.status(0).proposer).unwrap();
    let (to, other) = ((leader + 1) % 4, (leader + 2) % 4);
    let first = give(&mut sim, to, leader, Gossip::Proposal(proposal(leader, height, 0, block_id(3), None)));
    let nil = Gossip::Vote(vote(other, VoteKind::Prevote, height, 0, None));
    give(&mut sim, to, other, nil.clone());
    for _ in 0..3 {
        assert_eq!(give(&mut sim, to, other, nil.clone()), []);
        let again = give(&mut sim, to, leader, Gossip::Proposal(proposal(leader, height, 0, block_id(3), None)));
        assert_eq!(again, []);
    }
    assert!(!first.iter().any(|o| matches!(o, Output::Invalid { .. })));
}

#[test]
fn contradictions_are_reported_as_evidence() {
    let mut sim = Sim::started(4, 11);
    sim.run_for(SECOND / 2);
    let height = sim.height(0) + 1;
    let (a, b) =
        (vote(1, VoteKind::Prevote, height, 0, None), vote(1, VoteKind::Prevote, height, 0, Some(block_id(1))));
    give(&mut sim, 0, 1, Gossip::Vote(a.clone()));
    // Who signed both is shown both.
    sim.contradictions = Some(Default::default());
    let mut outputs = give(&mut sim, 0, 2, Gossip::Vote(b.clone()));
    assert_eq!(outputs.pop(), Some(Output::DoubleSign(DoubleSign::of_votes(a.clone(), b.clone()))));
    let shown = |vote| Output::Send { to: node_key(1), message: Gossip::Vote(vote) };
    assert_eq!(outputs, [shown(a), shown(b)]);
    let mut reported = 0;
    for n in 0..100 {
        let more = vote(1, VoteKind::Prevote, height, 0, Some(block_id(n + 2)));
        let outputs = give(&mut sim, 0, 1, Gossip::Vote(more));
        reported += outputs.iter().filter(|output| matches!(output, Output::DoubleSign(_))).count();
    }
    assert!(reported < 40, "{reported} reports");
}

/// One clock is 20 s ahead: its blocks are not accepted while fresh, and heights go on without them.
#[test]
fn a_block_from_the_future_is_not_accepted_and_not_held_against_anyone() {
    let mut sim = Sim::new(4, 0, 12);
    let fast = first_leader(&sim, 0);
    sim.nodes[fast].clock_offset_ms = 20_000;
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(120 * SECOND, |s| s.lowest() >= 8), "{:#?}", sim.status(0));
    let (block, certificate) = &sim.nodes[0].chain[0];
    assert_ne!(block.header.proposer, consensus_key(fast).public());
    assert!(certificate.round > Round(0));
    assert!(sim.nodes.iter().all(|n| !n.outputs.iter().any(|o| matches!(o, Output::Invalid { .. }))));
}

#[test]
fn an_invalid_block_is_not_decided() {
    let mut sim = Sim::new(4, 0, 13);
    let bad = consensus_key(first_leader(&sim, 0)).public();
    sim.is_valid = Box::new(move |_, block| block.header.proposer != bad);
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(120 * SECOND, |s| s.lowest() >= 8), "{:#?}", sim.status(0));
    assert!(sim.nodes[0].chain.iter().all(|(b, _)| b.header.proposer != bad));
    let is_blame = |output: &Output| matches!(output, Output::Invalid { .. });
    assert!(
        sim.nodes.iter().all(|n| !n.outputs.iter().any(is_blame)),
        "who passed on what its proposer signed is blamed"
    );
}

/// Rounds without end at one height: the journal is written anew, and when even that has no room, signing stops for the height.
#[test]
fn a_full_journal_stops_signing_and_not_the_node() {
    let mut sim = Sim::new(4, 0, 14);
    sim.config.journal_step_bytes = 4096;
    sim.config.journal_bytes_max = 96 << 10;
    sim.is_valid = Box::new(|_, block| block.header.height != Height(3));
    sim.start_all();
    sim.payload_everywhere();
    let is_off = |s: &Sim| s.status(0).signing.to_string().contains("the journal of height 3 is full");
    assert!(sim.run_until(4 * 3600 * SECOND, is_off), "{:#?}", sim.status(0));
    assert_eq!(sim.lowest(), 2);
}

#[test]
fn a_node_that_was_away_catches_up_and_votes_again() {
    let mut sim = Sim::new(4, 0, 15);
    sim.config.min_block_interval = Duration::from_millis(100);
    sim.start_all();
    sim.payload_everywhere();
    assert!(sim.run_until(30 * SECOND, |s| s.lowest() >= 5));
    sim.kill(1);
    assert!(sim.run_until(60 * SECOND, |s| s.height(0) >= 60));
    sim.start(1);
    sim.payload(1, Payload::Light);
    assert!(sim.run_until(30 * SECOND, |s| s.height(1) + 1 >= s.height(0)), "{:#?}", sim.status(1));
    let signed = sim.signed_by(1).len();
    assert!(sim.run_until(30 * SECOND, |s| s.signed_by(1).len() > signed + 10), "{:#?}", sim.status(1));
}
