//! Clocks that differ, jump and go back: no height waits for one, and no block is from the far future.

#![allow(clippy::unwrap_used, reason = "a test")]

mod sim;

use sim::{CHAIN, Sim, consensus_key, node_key};
use std::sync::Arc;
use std::time::Duration;
use timed_consensus::leaders::{LeaderOrder, leader};
use timed_consensus::{Gossip, Input, KeyReport, Output, Payload};
use timed_primitives::vote::{proposal_signing_bytes, vote_signing_bytes};
use timed_primitives::{Block, BlockId, CommitCertificate, Height, Proposal, Round, Vote, VoteKind};

const SECOND: Duration = Duration::from_secs(1);
const HOUR_MS: i64 = 3_600_000;

/// Idle, with these clocks, after its first height.
fn idle_network(offsets_ms: [i64; 4]) -> Sim {
    let mut sim = Sim::new(4, 0, 41);
    set_clocks(&mut sim, offsets_ms);
    sim.start_all();
    assert!(sim.run_until(30 * SECOND, |s| s.lowest() >= 1), "{:#?}", sim.status(0));
    sim
}

fn set_clocks(sim: &mut Sim, offsets_ms: [i64; 4]) {
    sim.nodes.iter_mut().zip(offsets_ms).for_each(|(node, offset)| node.clock_offset_ms = offset);
}

/// How long a payment takes from its arrival at all nodes to its commit at all of them.
fn payment(sim: &mut Sim) -> Duration {
    let (before, since) = (sim.lowest(), sim.now);
    sim.payload_everywhere();
    assert!(sim.run_until(200 * SECOND, |s| s.lowest() > before), "{:#?}", sim.status(0));
    (0..4).for_each(|node| sim.payload(node, Payload::Nothing));
    let took = sim.now.since(since);
    sim.run_for(SECOND);
    took
}

/// Of 24 payments, the middle one.
fn median(sim: &mut Sim) -> Duration {
    let mut took: Vec<_> = (0..24).map(|_| payment(sim)).collect();
    took.sort();
    took[12]
}

const MINORITY: [[i64; 4]; 10] = [
    [300, 0, 0, 0],
    [-300, 0, 0, 0],
    [0, 2_000, 0, 0],
    [0, -2_000, 0, 0],
    [0, 0, 4_500, 0],
    [0, 0, -4_500, 0],
    [0, 0, 0, HOUR_MS],
    [0, 0, 0, -HOUR_MS],
    [24 * HOUR_MS, 0, 0, 0],
    [-24 * HOUR_MS, 0, 0, 0],
];

#[test]
fn a_payment_takes_as_long_as_with_equal_clocks() {
    let quiet = median(&mut idle_network([0; 4]));
    let all = [300, -300, 2_000, -4_500, HOUR_MS, -24 * HOUR_MS].map(|offset| [offset; 4]);
    let apart = [[-2_000, 2_000, 300, 0], [4_500, 0, -300, 2_000]];
    for offsets in MINORITY.into_iter().chain(all).chain(apart) {
        let skewed = median(&mut idle_network(offsets));
        assert!(skewed * 2 <= quiet * 3, "{offsets:?}: {skewed:?}, with equal clocks {quiet:?}");
    }
}

/// A validator within the tolerance costs no round, whoever leads.
#[test]
fn no_payment_waits_for_a_clock_that_is_ahead() {
    for offsets in [[2_000, 0, 0, 0], [0, 0, 0, 4_500], [-4_500, -4_500, 0, 0]] {
        let mut sim = idle_network(offsets);
        let longest = (0..12).map(|_| payment(&mut sim)).max().unwrap();
        assert!(longest < SECOND / 10, "{offsets:?}: {longest:?}");
        assert_eq!(sim.rounds(0).iter().max(), Some(&0), "{offsets:?}");
    }
}

#[test]
fn clocks_set_forward_and_back_delay_nothing() {
    for who in 1..=4 {
        let mut sim = idle_network([0; 4]);
        let quiet = (0..4).map(|_| payment(&mut sim)).max().unwrap();
        let jumped = std::array::from_fn(|id| if id < who { 90_000 } else { 0 });
        set_clocks(&mut sim, jumped);
        (0..8).for_each(|_| _ = payment(&mut sim));
        set_clocks(&mut sim, [0; 4]);
        let after = (0..8).map(|_| payment(&mut sim)).max().unwrap();
        assert!(after <= 2 * quiet, "{who} of 4 clocks: {after:?}, before {quiet:?}");
    }
}

/// Heights in two minutes without a payload.
fn idle_heights(offsets: [i64; 4]) -> u64 {
    let mut sim = idle_network(offsets);
    let before = sim.lowest();
    sim.run_for(120 * SECOND);
    sim.lowest() - before
}

#[test]
fn an_idle_network_makes_no_more_blocks_than_with_equal_clocks() {
    let quiet = idle_heights([0; 4]);
    assert!((11..=12).contains(&quiet), "one each ten seconds: {quiet}");
    for offsets in MINORITY.into_iter().chain([[HOUR_MS; 4], [-HOUR_MS; 4]]) {
        let heights = idle_heights(offsets);
        assert!((quiet - 1..=quiet).contains(&heights), "{offsets:?}: {heights}, with equal clocks {quiet}");
    }
}

/// The shortest interval counts from the commit here, whatever the blocks' times say.
#[test]
fn heights_keep_the_shortest_interval_whatever_the_clocks_say() {
    for offsets in [[0; 4], [HOUR_MS, 0, 0, 0], [-HOUR_MS, 0, 0, 0], [4_000, -4_000, 0, 2_000]] {
        let mut sim = Sim::new(4, 0, 42);
        sim.config.min_block_interval = Duration::from_millis(250);
        set_clocks(&mut sim, offsets);
        sim.start_all();
        sim.payload_everywhere();
        assert!(sim.run_until(30 * SECOND, |s| s.lowest() >= 1));
        let (before, since) = (sim.lowest(), sim.now);
        sim.run_for(15 * SECOND);
        let heights = sim.lowest() - before;
        let bound = sim.now.since(since).as_millis() as u64 / 250;
        assert!((bound * 3 / 5..=bound).contains(&heights), "{offsets:?}: {heights} heights, at most {bound}");
    }
}

/// All restarted in an idle network: nobody knows when the tip was committed, and no clock is asked.
#[test]
fn an_idle_network_that_restarts_goes_on() {
    for offsets in [[0; 4], [-HOUR_MS; 4], [HOUR_MS, 0, 0, 0]] {
        let mut sim = idle_network([0; 4]);
        (0..4).for_each(|id| sim.kill(id));
        set_clocks(&mut sim, offsets);
        sim.start_all();
        let before = sim.lowest();
        sim.run_for(60 * SECOND);
        let heights = sim.lowest() - before;
        assert!((5..=7).contains(&heights), "{offsets:?}: {heights} heights in a minute");
        // The leader that is an hour ahead loses its turn.
        let lost = u32::from(offsets[0] > 0);
        assert_eq!(sim.rounds(0).iter().max(), Some(&lost), "{offsets:?}");
    }
}

/// Node that leads a round of height 1.
fn first_leader(sim: &Sim, round: u32) -> usize {
    let order = LeaderOrder::new(sim.set.clone(), []).order(Height(1));
    let key = leader(&sim.set, &order, Round(round)).unwrap();
    (0..4).find(|id| consensus_key(*id).public() == key).unwrap()
}

/// A leader whose clock is too far ahead costs its round, and nobody waits in it.
#[test]
fn a_block_too_far_ahead_costs_one_round_and_no_time_out() {
    let mut sim = Sim::new(4, 0, 43);
    let fast = first_leader(&sim, 0);
    sim.nodes[fast].clock_offset_ms = HOUR_MS;
    sim.start_all();
    sim.payload_everywhere();
    // 300 ms of listening come first; waiting for a proposal takes up to a second.
    assert!(sim.run_until(SECOND / 2, |s| s.lowest() >= 1), "{:#?}", sim.status(1));
    assert_eq!(sim.rounds(1)[0], 1);
    (0..4).for_each(|node| sim.payload(node, Payload::Nothing));
    let longest = (0..16).map(|_| payment(&mut sim)).max().unwrap();
    assert!(longest < SECOND / 10, "{longest:?}");
    assert!(sim.rounds(1).iter().max() <= Some(&1), "{:?}", sim.rounds(1));
    let chain = &sim.nodes[(fast + 1) % 4].chain;
    assert!(chain.iter().all(|(block, _)| block.header.proposer != consensus_key(fast).public()));
    let is_blame = |output: &Output| matches!(output, Output::Invalid { .. });
    assert!(sim.nodes.iter().all(|node| !node.outputs.iter().any(is_blame)));
}

/// A leader that knows by how much its clock is ahead of the others' names their time, and loses no turn. It never names a later one
/// than its own.
#[test]
fn a_leader_that_knows_the_networks_time_names_it() {
    for (offset, reported, is_named) in
        [(HOUR_MS, -HOUR_MS, true), (HOUR_MS, HOUR_MS, false), (-HOUR_MS, HOUR_MS, true)]
    {
        let mut sim = Sim::new(4, 0, 44);
        sim.nodes[0].clock_offset_ms = offset;
        sim.start_all();
        sim.handle(0, Input::NetworkTime { offset_ms: Some(reported) });
        (0..20).for_each(|_| _ = payment(&mut sim));
        assert_eq!(sim.rounds(1).iter().max() == Some(&0), is_named, "{offset} {reported}: {:?}", sim.rounds(1));
        let slow: Vec<_> =
            sim.nodes[1].chain.iter().filter(|(b, _)| b.header.proposer == consensus_key(0).public()).collect();
        assert_eq!(slow.is_empty(), !is_named);
        if offset < 0 {
            // The chain's time is not turned back, and not moved on by a clock that is behind.
            let times: Vec<u64> = sim.nodes[1].chain.iter().map(|(b, _)| b.header.time.0).collect();
            let is_next = |(block, _): &&(Arc<Block>, CommitCertificate)| {
                let height = block.height().0 as usize;
                height < 2 || times[height - 1] == times[height - 2] + 1
            };
            assert!(slow.iter().all(is_next), "{times:?}");
        }
    }
}

fn vote(id: usize, kind: VoteKind, round: u32, block: Option<BlockId>) -> Input {
    let key = consensus_key(id);
    let (height, round, validator) = (Height(1), Round(round), key.public());
    let signature = key.sign(&vote_signing_bytes(CHAIN, kind, height, round, block, &validator));
    let vote = Vote { kind, height, round, block, validator, signature };
    Input::Gossip { from: node_key(id), message: Gossip::Vote(vote) }
}

fn proposal(id: usize, round: u32, block: BlockId, valid_round: Option<u32>) -> Input {
    let key = consensus_key(id);
    let (height, round, valid_round, proposer) = (Height(1), Round(round), valid_round.map(Round), key.public());
    let signature = key.sign(&proposal_signing_bytes(CHAIN, height, round, block, valid_round, &proposer));
    let proposal = Proposal { height, round, block, valid_round, proposer, signature };
    Input::Gossip { from: node_key(id), message: Gossip::Proposal(proposal) }
}

/// What `id` prevoted in a round of height 1.
fn prevoted(sim: &Sim, id: usize, round: u32) -> Option<Option<BlockId>> {
    sim.nodes[id].outputs.iter().find_map(|output| match output {
        Output::Broadcast(Gossip::Vote(v)) if v.kind == VoteKind::Prevote && v.round == Round(round) => Some(v.block),
        _ => None,
    })
}

/// A node of which the three others are played by hand; none of it leads the first two rounds. It has a block by the first leader, this
/// much ahead of its clock, and has prevoted in round 0.
fn given_a_block_ahead(ahead: Duration) -> (Sim, usize, BlockId) {
    let mut sim = Sim::new(4, 0, 45);
    let leaders = [0, 1].map(|round| first_leader(&sim, round));
    let id = (0..4).find(|id| !leaders.contains(id)).unwrap();
    sim.start(id);
    for other in (0..4).filter(|other| *other != id) {
        let validator = Some(consensus_key(other).public());
        let (peer, height) = (node_key(other), Height(0));
        sim.handle(id, Input::PeerUp { peer, validator, instance: other as u128, address: None });
        sim.handle(id, Input::PeerHeight { peer, height });
        let message = Gossip::KeyReport(KeyReport { height, other: None });
        sim.handle(id, Input::Gossip { from: peer, message });
    }
    sim.run_for(SECOND / 2);
    let time = sim.unix(id).plus(ahead);
    let block = sim.build(leaders[0], Height(1), Round(0), BlockId::default(), time, None);
    let from = node_key(leaders[0]);
    sim.handle(id, proposal(leaders[0], 0, block.id(), None));
    sim.handle(id, Input::Gossip { from, message: Gossip::Block(block.clone()) });
    // Waiting for a proposal takes a second.
    sim.run_for(SECOND / 10);
    (sim, id, block.id())
}

#[test]
fn the_bound_of_a_fresh_proposal_is_five_seconds() {
    for (ms, is_accepted) in [(0, true), (5_000, true), (5_200, false), (3_600_000, false)] {
        let (sim, id, block) = given_a_block_ahead(Duration::from_millis(ms));
        assert_eq!(prevoted(&sim, id, 0), Some(Some(block).filter(|_| is_accepted)), "{ms} ms ahead");
    }
}

/// The lines about blocks that are too early.
fn lines(sim: &Sim, id: usize) -> Vec<String> {
    let line = |output: &Output| match output {
        Output::BlockTooEarly { line } => Some(line.clone()),
        _ => None,
    };
    sim.nodes[id].outputs.iter().filter_map(line).collect()
}

#[test]
fn a_block_that_is_refused_as_too_early_is_named_in_the_log_and_in_the_status() {
    let (mut sim, id, block) = given_a_block_ahead(Duration::from_millis(5_000));
    let is_silent = |sim: &Sim| sim.status(id).too_early.is_none() && lines(sim, id).is_empty();
    assert!(is_silent(&sim) && !sim.status(id).why.contains("refused"), "{}", sim.status(id).why);

    (sim, _, _) = given_a_block_ahead(Duration::from_secs(3600));
    let leader = first_leader(&sim, 0);
    let status = sim.status(id);
    let refused = status.too_early.expect("the refused block");
    assert_eq!((Some(refused.block), refused.proposer), (status.proposal, consensus_key(leader).public()));
    assert_ne!(refused.block, block, "another block than the one that is in time");
    assert!(refused.ahead.abs_diff(Duration::from_secs(3600)) < SECOND, "{refused:?}");
    let name = format!("block {} proposed by node {}", refused.block.short(), leader + 1);
    let words = format!("{name} is refused: its time is 3600.0 s ahead of this node's clock, 5 s are allowed");
    assert!(status.why.contains(&words), "{}", status.why);
    let said = lines(&sim, id);
    assert!(said.len() == 1 && said[0].starts_with(&words) && said[0].contains("check the clocks"), "{said:?}");

    // Proposed again it is refused again, and not logged again. A quorum for it ends that.
    let others: Vec<usize> = (0..4).filter(|other| *other != id).collect();
    for kind in [VoteKind::Prevote, VoteKind::Precommit] {
        others.iter().for_each(|other| sim.handle(id, vote(*other, kind, 0, None)));
    }
    sim.run_for(SECOND / 10);
    let next = first_leader(&sim, 1);
    sim.handle(id, proposal(next, 1, refused.block, None));
    sim.run_for(SECOND / 10);
    assert_eq!((sim.status(id).round, sim.status(id).too_early), (Some(Round(1)), Some(refused)));
    assert_eq!(lines(&sim, id).len(), 1);
    others.iter().for_each(|other| sim.handle(id, vote(*other, VoteKind::Prevote, 1, Some(refused.block))));
    assert_eq!(sim.status(id).too_early, None, "{}", sim.status(id).why);
}

/// The bound holds for the block, in whatever round it comes and whatever is said of it, until a quorum is seen to have accepted it.
#[test]
fn a_block_from_the_future_is_refused_again_until_a_quorum_prevoted_it() {
    for (valid_round, has_quorum, is_accepted) in
        [(None, false, false), (Some(0), false, false), (Some(0), true, true), (None, true, true)]
    {
        let (mut sim, id, block) = given_a_block_ahead(Duration::from_secs(3600));
        let others: Vec<usize> = (0..4).filter(|other| *other != id).collect();
        let prevote = Some(block).filter(|_| has_quorum);
        others.iter().for_each(|other| sim.handle(id, vote(*other, VoteKind::Prevote, 0, prevote)));
        others.iter().for_each(|other| sim.handle(id, vote(*other, VoteKind::Precommit, 0, None)));
        sim.run_for(SECOND / 10);
        assert_eq!(sim.status(id).round, Some(Round(1)));
        let next = first_leader(&sim, 1);
        sim.handle(id, proposal(next, 1, block, valid_round));
        sim.run_for(2 * SECOND);
        // Without a quorum a re-proposal is not answered before the time-out, and then with nil.
        let expected = Some(block).filter(|_| is_accepted);
        assert_eq!(prevoted(&sim, id, 1), Some(expected), "{valid_round:?} {has_quorum}");
    }
}

#[cfg(feature = "planted")]
mod planted {
    use super::*;
    use timed_primitives::planted::{Bug, is_caught};

    #[test]
    fn hold_by_wall_clock() {
        assert!(is_caught(Bug::HoldByWallClock, no_payment_waits_for_a_clock_that_is_ahead));
        assert!(is_caught(Bug::HoldByWallClock, clocks_set_forward_and_back_delay_nothing));
    }
}
