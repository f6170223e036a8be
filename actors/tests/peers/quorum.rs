//! Bans never take a validator below the connectivity that quorum needs: real faults on real sessions with six other validators.

use crate::common::*;
use bytes::{BufMut, BytesMut};
use timed_actors::messages::{LiftBan, Penalize, SetBan, ValidatorsChanged};
use timed_peer::{Ban, EndReason, LocalNode, Offence};
use timed_primitives::{Clock as _, Instant, SecretKey, Validator, ValidatorSet};
use timed_test_support::MemoryNetwork;
use timed_wire::Kind;
use tokio::io::AsyncWriteExt as _;
use tokio::task::{JoinError, JoinHandle};

/// More than any ban takes: each bad frame weighs a fifth of one, and points decay a little meanwhile.
const FRAMES: usize = 12;

fn consensus_key(id: u64) -> SecretKey {
    SecretKey::development("consensus", id)
}

/// These validators, of power 1 each, with the quorum of that many.
pub(crate) fn set(ids: impl IntoIterator<Item = u64>) -> ValidatorsChanged {
    let validators = ids.into_iter().map(|id| Validator { key: consensus_key(id).public(), power: 1 }).collect();
    let validators = ValidatorSet::new(validators).expect("the keys differ");
    let quorum = validators.total_power() * 2 / 3 + 1;
    ValidatorsChanged { validators, quorum }
}

/// Why a peer was sent away; none when it was not within a minute.
async fn end_of(peer: impl Future<Output = Result<Option<EndReason>, JoinError>>) -> Option<EndReason> {
    tokio::time::timeout(60 * SECOND, peer).await.ok()?.ok()?
}

/// Node 1, a validator of seven, in a network of raw peers.
struct Seven {
    network: MemoryNetwork,
    node: Node,
}

impl Seven {
    /// Node 1 without a peer.
    async fn alone() -> Self {
        let network = MemoryNetwork::new();
        let node = Setup::new(1).start(&network).await;
        node.manager.do_send(set(1..=7));
        Self { network, node }
    }

    /// Node 1 with the validators 2 to 7. It takes five of seven.
    async fn begin() -> (Self, Vec<JoinHandle<Option<EndReason>>>) {
        let scene = Self::alone().await;
        let mut peers = Vec::new();
        for id in 2..=7 {
            peers.push(scene.comes(local(id, id.into()), id).await);
        }
        assert!((2..=7).all(|id| scene.node.is_up(id)));
        (scene, peers)
    }

    /// A peer connects and behaves; refused or not, it is heard to its end.
    async fn comes(&self, me: LocalNode, id: u64) -> JoinHandle<Option<EndReason>> {
        let mut raw = Raw::dial(&self.network, id, 1).await;
        raw.shake_hands(me).await;
        let living = tokio::task::spawn_local(raw.behave());
        pass(SECOND).await;
        living
    }

    /// A peer connects, sends one frame that proves its fault, and hears why it is sent away.
    async fn bad_frame(&self, me: LocalNode, id: u64, number: usize) -> Option<EndReason> {
        let mut raw = Raw::dial(&self.network, id, 1).await;
        raw.shake_hands(me).await;
        let mut frame = BytesMut::new();
        frame.put_u32(if number.is_multiple_of(2) { u32::MAX } else { 3 });
        frame.put_u8(Kind::Ping.number());
        frame.put_slice(&[0xc1, 0xc1, 0xc1]);
        // Whoever is refused may find the connection closed.
        let _ = raw.stream.write_all(&frame).await;
        let _ = raw.stream.flush().await;
        let reason = raw.goodbye().await;
        pass(SECOND).await;
        reason
    }

    /// Bad frames until the peer is refused as banned; how many it took, and none when all of [`FRAMES`] were not enough.
    async fn bad_frames(&self, me: LocalNode, id: u64) -> Option<usize> {
        for number in 0..FRAMES {
            match self.bad_frame(me.clone(), id, number).await {
                Some(EndReason::Banned) => return Some(number),
                Some(EndReason::OversizedFrame) => assert!(number.is_multiple_of(2), "frame {number} of {id}"),
                Some(EndReason::Undecodable) => assert!(!number.is_multiple_of(2), "frame {number} of {id}"),
                other => panic!("frame {number} of {id} ended with {other:?}"),
            }
        }
        None
    }

    async fn penalize(&self, id: u64, offence: Offence, times: usize) {
        (0..times).for_each(|_| self.node.manager.do_send(Penalize { peer: key(id), offence }));
        pass(SECOND).await;
    }

    fn is_banned(&self, id: u64) -> bool {
        self.node.view().bans.iter().any(|ban| ban.key == key(id))
    }

    fn penalty(&self, id: u64) -> u32 {
        self.node.view().peers.iter().find(|p| p.key == key(id)).map_or(0, |p| p.penalty)
    }
}

#[test]
fn bad_frames_ban_validators_only_down_to_quorum_and_anybody_else_at_once() {
    run(async {
        let (scene, _peers) = Seven::begin().await;
        for (id, left) in [(2, 6), (3, 5)] {
            let frames = scene.bad_frames(local(id, id.into()), id).await.unwrap_or(usize::MAX);
            assert!(
                (5..=6).contains(&frames),
                "validator {id} was banned after {frames} frames, {left} stay connected"
            );
            assert!(scene.is_banned(id) && !scene.node.is_up(id));
        }
        // Without a third one four of seven would be left. Its frames end its sessions, and it is let in again each time.
        assert_eq!(scene.bad_frames(local(4, 4), 4).await, None);
        let _four = scene.comes(local(4, 4), 4).await;
        assert!(scene.node.is_up(4) && !scene.is_banned(4));
        assert!(scene.penalty(4) >= 200, "{} points", scene.penalty(4));
        // Nobody needs these: no validator, and one that proved a key which does not decide.
        for (id, consensus_key) in [(8, None), (9, Some(consensus_key(9)))] {
            let me = LocalNode { consensus_key, ..local(id, id.into()) };
            let frames = scene.bad_frames(me, id).await.unwrap_or(usize::MAX);
            assert!((5..=6).contains(&frames), "peer {id} was banned after {frames} frames");
        }
        // One comes back: there is one to spare, and one more frame is enough.
        assert!(scene.node.manager.send(LiftBan { peer: key(2) }).await.unwrap());
        let _two = scene.comes(local(2, 2), 2).await;
        assert_eq!(scene.bad_frame(local(4, 4), 4, 0).await, Some(EndReason::OversizedFrame));
        assert!(scene.is_banned(4) && !scene.node.is_up(4));
        for id in [2, 5, 6, 7] {
            assert!(scene.node.is_up(id), "{id} is connected");
        }
        for id in 5..=7 {
            assert_eq!(scene.node.ends(id), [], "{id} never lost its session");
        }
    });
}

#[test]
fn what_actors_prove_of_validators_keeps_their_sessions_while_quorum_needs_them() {
    run(async {
        let (scene, mut peers) = Seven::begin().await;
        // Actors prove three wrong signatures of each of them: 120 points, where 100 ban.
        for id in 2..=7 {
            scene.penalize(id, Offence::InvalidSignature, 3).await;
        }
        for (id, peer) in (2..).zip(&mut peers) {
            if id <= 3 {
                assert_eq!(end_of(peer).await, Some(EndReason::Misbehaviour));
                assert!(scene.is_banned(id) && !scene.node.is_up(id));
            } else {
                assert!(!peer.is_finished() && scene.node.is_up(id) && !scene.is_banned(id));
                assert!((115..=120).contains(&scene.penalty(id)), "{} points", scene.penalty(id));
            }
        }
        let downs = scene.node.news().iter().filter(|news| matches!(news, News::Down(..))).count();
        assert_eq!(downs, 2);
        // A set without 4 and 5: they are needed no more, and the next fault of each bans it. Its quorum is four of five.
        scene.node.manager.do_send(set([1, 2, 3, 6, 7]));
        for id in [4, 5] {
            scene.penalize(id, Offence::WrongAnswer, 1).await;
            assert!(scene.is_banned(id) && !scene.node.is_up(id));
        }
        scene.penalize(6, Offence::InvalidBlock, 1).await;
        assert!(!scene.is_banned(6) && scene.node.is_up(6));
        // Connectivity is back: the ban that was due is carried out at its next fault, down to quorum again and no further.
        for id in [2, 3] {
            assert!(scene.node.manager.send(LiftBan { peer: key(id) }).await.unwrap());
        }
        let _back = [scene.comes(local(2, 2), 2).await, scene.comes(local(3, 3), 3).await];
        for id in [6, 7] {
            scene.penalize(id, Offence::WrongAnswer, 1).await;
        }
        assert!(scene.is_banned(6) && !scene.node.is_up(6));
        assert!(!scene.is_banned(7) && scene.node.is_up(7));
    });
}

#[test]
fn a_validator_with_two_nodes_counts_once() {
    run(async {
        let scene = Seven::alone().await;
        let mut peers = Vec::new();
        for id in 2..=5 {
            peers.push(scene.comes(local(id, id.into()), id).await);
        }
        let second = LocalNode { consensus_key: Some(consensus_key(5)), ..local(9, 9) };
        peers.push(scene.comes(second, 9).await);
        // Six sessions and ourselves, but five validators: exactly a quorum.
        scene.penalize(2, Offence::InvalidBlock, 10).await;
        assert!(scene.node.is_up(2) && !scene.is_banned(2));
        // Its own other node stays: one of the two is not needed.
        scene.penalize(5, Offence::InvalidBlock, 3).await;
        assert!(scene.is_banned(5) && scene.node.is_up(9));
    });
}

#[test]
fn a_ban_gives_way_when_others_have_gone_and_an_operators_does_not() {
    run(async {
        let (scene, mut peers) = Seven::begin().await;
        for id in [2, 3] {
            scene.penalize(id, Offence::InvalidSignature, 3).await;
            assert!(scene.is_banned(id));
        }
        let refused = scene.comes(local(2, 2), 2).await;
        assert_eq!(end_of(refused).await, Some(EndReason::Banned), "quorum is connected");
        // One of the five leaves for reasons of its own.
        peers.pop().unwrap().abort();
        pass(SECOND).await;
        assert!(!scene.node.is_up(7));
        let _two = scene.comes(local(2, 2), 2).await;
        assert!(scene.node.is_up(2) && !scene.is_banned(2));
        assert!((95..=100).contains(&scene.penalty(2)), "{} points", scene.penalty(2));
        let refused = scene.comes(local(3, 3), 3).await;
        assert_eq!(end_of(refused).await, Some(EndReason::Banned), "with the other one it is a quorum again");
        // Nobody but validators gains by it, and the operator's word stands.
        peers.pop().unwrap().abort();
        scene.node.manager.do_send(SetBan { peer: key(3), length: 600 * SECOND });
        scene.penalize(8, Offence::InvalidSignature, 3).await;
        for id in [3, 8] {
            let refused = scene.comes(local(id, id.into()), id).await;
            assert_eq!(end_of(refused).await, Some(EndReason::Banned), "{id}");
        }
        // The others are back: one more fault, and the ban is longer than the first.
        let _back = [scene.comes(local(6, 6), 6).await, scene.comes(local(7, 7), 7).await];
        let now = scene.node.clock.now();
        scene.penalize(2, Offence::WrongAnswer, 1).await;
        let bans = scene.node.view().bans;
        let until = bans.iter().find(|ban| ban.key == key(2)).unwrap().until;
        assert_eq!(until.since(now), 1200 * SECOND);
    });
}

#[test]
fn a_ban_from_before_a_restart_gives_way_only_once_the_set_says_who_is_needed() {
    run(async {
        let network = MemoryNetwork::new();
        let mut setup = Setup::new(1);
        let until = Instant(0) + 3600 * SECOND;
        for id in [2, 8] {
            setup.config.banned.push(Ban { key: key(id), until, offence: Some(Offence::InvalidBlock) });
        }
        let scene = Seven { node: setup.start(&network).await, network };
        let refused = scene.comes(local(2, 2), 2).await;
        assert_eq!(end_of(refused).await, Some(EndReason::Banned), "anybody can make a consensus key");
        scene.node.manager.do_send(set(1..=7));
        let _two = scene.comes(local(2, 2), 2).await;
        let refused = scene.comes(local(8, 8), 8).await;
        assert_eq!(end_of(refused).await, Some(EndReason::Banned), "no validator of the set");
        assert!(scene.node.is_up(2) && !scene.is_banned(2) && scene.is_banned(8));
    });
}

#[test]
fn who_is_a_validator_no_more_gives_its_place_to_one_that_is() {
    run(async {
        let network = MemoryNetwork::new();
        let mut setup = Setup::new(1);
        setup.config.book.inbound_max = 10;
        let scene = Seven { node: setup.start(&network).await, network };
        scene.node.manager.do_send(set(1..=20));
        let mut peers = Vec::new();
        for id in 10..20 {
            peers.push(scene.comes(local(id, id.into()), id).await);
        }
        let refused = scene.comes(local(2, 2), 2).await;
        assert_eq!(end_of(refused).await, Some(EndReason::TooManyPeers), "all places are validators'");
        scene.node.manager.do_send(set([1, 2]));
        let _two = scene.comes(local(2, 2), 2).await;
        assert!(scene.node.is_up(2) && scene.node.view().peers.len() == 10);
        let evicted = (10..20).filter(|id| scene.node.ends(*id) == [EndReason::Evicted]).count();
        assert_eq!(evicted, 1);
    });
}
