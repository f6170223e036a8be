//! A node that catches up from peers of every kind: with one honest peer that stays, it always gets there.

use super::*;
use crate::sync::PendingRequest;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How a peer behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Honest,
    /// Claims far more than it has, and answers requests for it with `End` or not at all.
    Boaster {
        is_silent: bool,
    },
    /// Never answers.
    Silent,
    /// Sends one block of each request, then `End`.
    Short,
    /// Sends a block that is provably false.
    Forger,
    /// Goes after so many blocks, and comes back later.
    Vanishing {
        after: u64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    kind: Kind,
    latency: Duration,
    /// Bytes per second.
    speed: u64,
    has: u64,
}

enum Reply {
    Block { request: u64, height: u64, is_false: bool },
    End { request: u64 },
    Gone,
    Back,
}

struct World {
    sync: Sync,
    peers: Vec<Peer>,
    target: u64,
    now: Instant,
    /// What is on its way to us.
    flying: BTreeMap<(Instant, u64), (usize, Reply)>,
    sent: u64,
    /// When each peer has sent what it was asked for so far.
    busy_until: Vec<Instant>,
    gone: BTreeSet<usize>,
    served: Vec<u64>,
    /// Heights asked for: number of the request and when it is late.
    open: BTreeMap<u64, (u64, BTreeSet<u64>)>,
    /// To be committed, one at a time.
    batch: VecDeque<u64>,
    commit_at: Option<Instant>,
    tip: u64,
    limits: SyncLimits,
}

/// Sizes differ, some blocks are large.
fn size(height: u64) -> usize {
    if height.is_multiple_of(7) { 60_000 } else { 900 }
}

impl World {
    fn new(peers: Vec<Peer>, target: u64) -> Self {
        let limits = SyncLimits { window: 40, bytes_max: 300_000, batch_blocks_max: 10, ..SyncLimits::default() };
        let mut world = Self {
            sync: BlockSync::new(limits.clone(), Height(0)),
            busy_until: vec![ms(0); peers.len()],
            served: vec![0; peers.len()],
            peers,
            target,
            now: ms(0),
            flying: BTreeMap::new(),
            sent: 0,
            gone: BTreeSet::new(),
            open: BTreeMap::new(),
            batch: VecDeque::new(),
            commit_at: None,
            tip: 0,
            limits,
        };
        for n in 0..world.peers.len() {
            world.connect(n);
        }
        world
    }

    fn key(n: usize) -> PublicKey {
        peer(u8::try_from(n).unwrap())
    }

    fn connect(&mut self, n: usize) {
        let claimed = match self.peers[n].kind {
            Kind::Boaster { .. } => u64::MAX,
            _ => self.peers[n].has,
        };
        let actions = self.sync.on_status(self.now, Self::key(n), Height(claimed), Height(1));
        self.carry_out(actions);
    }

    fn fly(&mut self, at: Instant, n: usize, reply: Reply) {
        self.sent += 1;
        self.flying.insert((at, self.sent), (n, reply));
    }

    fn carry_out(&mut self, actions: Vec<SyncAction<u64>>) {
        for action in actions {
            match action {
                SyncAction::Request { to, request, from, count } => {
                    self.on_request(to, request, from.0, u64::from(count))
                }
                SyncAction::Deliver { first, items } => {
                    assert!(self.batch.is_empty(), "the last batch is not committed");
                    assert_eq!(first.0, self.tip + 1);
                    assert!(items.len() <= self.limits.batch_blocks_max);
                    for (height, item) in (first.0..).zip(items) {
                        assert_eq!((item.height.0, item.item), (height, height));
                        self.batch.push_back(height);
                    }
                    self.commit_at = Some(self.now + Duration::from_millis(5));
                }
                SyncAction::Blame { peer, .. } => {
                    let n = usize::from(peer.0[0]);
                    assert_eq!(self.peers[n].kind, Kind::Forger, "an honest peer is blamed");
                    self.end_session(n);
                }
            }
        }
    }

    fn on_request(&mut self, to: PublicKey, request: u64, from: u64, count: u64) {
        let n = usize::from(to.0[0]);
        assert!(!self.gone.contains(&n), "asked a peer that is gone");
        assert!(count >= 1 && count <= u64::from(self.limits.request_blocks_max));
        assert!(from > self.tip && from + count - 1 <= self.tip + self.limits.window, "outside of the window");
        let heights: BTreeSet<u64> = (from..from + count).collect();
        self.forget_late();
        for (other, (_, open)) in &self.open {
            assert!(open.is_disjoint(&heights), "request {request} overlaps {other}, which is not late");
        }
        self.open.insert(request, (u64::try_from(n).unwrap(), heights));
        let of_peer = self.open.values().filter(|(owner, _)| *owner == u64::try_from(n).unwrap()).count();
        assert!(of_peer <= self.limits.requests_per_peer_max);
        self.serve(n, request, from, count);
    }

    fn serve(&mut self, n: usize, request: u64, from: u64, count: u64) {
        let Peer { kind, latency, speed, has } = self.peers[n];
        if matches!(kind, Kind::Silent | Kind::Boaster { is_silent: true }) {
            return;
        }
        let mut at = self.busy_until[n].max(self.now + latency);
        let most = if kind == Kind::Short { 1 } else { count };
        for height in (from..from + most).take_while(|height| *height <= has) {
            at += Duration::from_micros(u64::try_from(size(height)).unwrap() * 1_000_000 / speed);
            self.served[n] += 1;
            let is_false = kind == Kind::Forger && self.served[n] % 5 == 3;
            self.fly(at + latency, n, Reply::Block { request, height, is_false });
            if kind == (Kind::Vanishing { after: self.served[n] }) {
                self.fly(at + latency, n, Reply::Gone);
            }
        }
        self.busy_until[n] = at;
        self.fly(at + latency, n, Reply::End { request });
    }

    fn end_session(&mut self, n: usize) {
        self.gone.insert(n);
        self.flying.retain(|_, (from, reply)| *from != n || matches!(reply, Reply::Back));
        self.open.retain(|_, (owner, _)| *owner != u64::try_from(n).unwrap());
        let actions = self.sync.on_peer_down(self.now, &Self::key(n));
        self.fly(self.now + Duration::from_secs(3), n, Reply::Back);
        self.carry_out(actions);
    }

    fn receive(&mut self, n: usize, reply: Reply) {
        let from = Self::key(n);
        let actions = match reply {
            Reply::Back => {
                self.gone.remove(&n);
                self.busy_until[n] = self.now;
                return self.connect(n);
            }
            Reply::Gone => return self.end_session(n),
            Reply::End { request } => {
                self.open.remove(&request);
                self.sync.on_end(self.now, &from, request)
            }
            Reply::Block { request, height, is_false } => {
                if !self.sync.is_expected(&from, request, Height(height)) {
                    return;
                }
                if is_false {
                    self.sync.on_invalid(self.now, from, request, Height(height))
                } else {
                    for (_, open) in self.open.values_mut() {
                        open.remove(&height);
                    }
                    self.open.retain(|_, (_, open)| !open.is_empty());
                    self.sync.on_block(self.now, from, request, Height(height), size(height), height)
                }
            }
        };
        self.carry_out(actions);
    }

    fn commit(&mut self) {
        let Some(height) = self.batch.pop_front() else { return };
        assert_eq!(height, self.tip + 1);
        self.tip = height;
        self.commit_at = (!self.batch.is_empty()).then(|| self.now + Duration::from_millis(5));
        for (_, open) in self.open.values_mut() {
            open.retain(|open| *open > height);
        }
        self.open.retain(|_, (_, open)| !open.is_empty());
        let actions = self.sync.on_committed(self.now, Height(height));
        self.carry_out(actions);
    }

    /// What sync calls late may be asked for again.
    fn forget_late(&mut self) {
        let late = |pending: &PendingRequest| pending.is_late && (pending.is_probe || pending.deadline <= self.now);
        let late: Vec<u64> =
            self.sync.pending_requests.iter().filter(|(_, f)| late(f)).map(|(request, _)| *request).collect();
        self.open.retain(|request, _| !late.contains(request));
    }

    fn tick(&mut self) {
        let actions = self.sync.on_tick(self.now);
        self.carry_out(actions);
    }

    fn check(&self) {
        let progress = self.sync.progress(self.now);
        let is_single = progress.held + self.batch.len() <= 1;
        assert!(progress.held_bytes <= self.limits.bytes_max || is_single, "{} bytes", progress.held_bytes);
        assert!(u64::try_from(progress.in_flight + progress.held).unwrap() <= self.limits.window);
        assert!(progress.percent <= 100.0);
    }

    /// Until the target or the end of time; returns when it got there.
    fn run(&mut self, limit: Duration) -> Option<Instant> {
        let end = self.now + limit;
        let mut steps = 0;
        while self.tip < self.target {
            steps += 1;
            assert!(steps < 1_000_000, "busy without getting on: {:?}", self.sync.progress(self.now));
            let reply = self.flying.first_key_value().map(|((at, _), _)| *at);
            let next = [reply, self.commit_at, self.sync.next_wake()].into_iter().flatten().min()?;
            self.now = self.now.max(next);
            if self.now > end {
                return None;
            }
            if self.commit_at.is_some_and(|at| at <= self.now) {
                self.commit();
            }
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (n, reply) = entry.remove();
                self.receive(n, reply);
            }
            self.tick();
            self.check();
        }
        Some(self.now)
    }
}

fn honest(latency_ms: u64, speed: u64, has: u64) -> Peer {
    Peer { kind: Kind::Honest, latency: Duration::from_millis(latency_ms), speed, has }
}

#[test]
fn two_peers_are_faster_than_one() {
    let fast = |peers| World::new(vec![honest(20, 200_000, 300); peers], 300).run(Duration::from_secs(600)).unwrap();
    let (one, two) = (fast(1), fast(2));
    assert!(two.0 * 10 < one.0 * 7, "{one:?} {two:?}");
}

#[test]
fn a_silent_boaster_costs_little() {
    let alone = World::new(vec![honest(20, 500_000, 300)], 300).run(Duration::from_secs(600)).unwrap();
    let boaster = Peer { kind: Kind::Boaster { is_silent: true }, ..honest(1, 1_000_000, 0) };
    let mut world = World::new(vec![boaster, honest(20, 500_000, 300)], 300);
    let both = world.run(Duration::from_secs(600)).unwrap();
    assert!(both.since(alone) < Duration::from_secs(5), "{alone:?} {both:?}");
    // The tip is reached: sync stops leading once the boaster has failed, and goes on asking it rarely.
    let _ = world.run(Duration::from_secs(30));
    assert!(!world.sync.leads());
}

fn any_peer(target: u64) -> impl Strategy<Value = Peer> {
    let kind = prop_oneof![
        2 => Just(Kind::Honest),
        1 => any::<bool>().prop_map(|is_silent| Kind::Boaster { is_silent }),
        1 => Just(Kind::Silent),
        1 => Just(Kind::Short),
        1 => Just(Kind::Forger),
        1 => (1..30u64).prop_map(|after| Kind::Vanishing { after }),
    ];
    (kind, 0..400u64, 4..200u64, 0..=target)
        .prop_map(|(kind, latency, speed, has)| Peer { kind, ..honest(latency, speed * 5_000, has) })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn one_honest_peer_that_stays_is_enough(
        mut peers in prop::collection::vec(any_peer(150), 0..6),
        place in any::<prop::sample::Index>(),
        latency in 0..400u64,
        speed in 4..200u64,
    ) {
        peers.insert(place.index(peers.len() + 1), honest(latency, speed * 5_000, 150));
        let mut world = World::new(peers, 150);
        let reached = world.run(Duration::from_secs(600));
        prop_assert!(reached.is_some(), "at {} after {:?}: {:?}", world.tip, world.now, world.sync.progress(world.now));
    }
}
