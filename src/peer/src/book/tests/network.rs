//! A network of books: dials, handshakes that complete at different times at both ends, closes whose news travels.

use super::*;

pub(super) fn node_key(id: u32) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&id.to_be_bytes());
    PublicKey(bytes)
}

fn address(id: usize) -> String {
    format!("10.0.0.{id}:7000")
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum EndState {
    /// The handshake is on its way.
    Pending,
    Up(u64),
    Closed,
}

struct Conn {
    /// Dialler, listener.
    ends: [usize; 2],
    /// Lives of the nodes when it began: a restarted node knows nothing of it.
    lives: [u32; 2],
    states: [EndState; 2],
    up_at: [Instant; 2],
}

#[derive(Debug)]
enum Event {
    Wake(usize),
    DialFailed { node: usize, life: u32, to: usize },
    Up { conn: usize, end: usize },
    Closed { conn: usize, end: usize, reason: EndReason },
}

struct Node {
    book: PeerBook,
    life: u32,
    configured: Vec<usize>,
    wake: Option<Instant>,
}

pub(super) struct Network {
    nodes: Vec<Node>,
    conns: Vec<Conn>,
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    now: Instant,
    rng: StdRng,
    latency_ms: u64,
    blocked: BTreeSet<(usize, usize)>,
    side: Vec<bool>,
    pub(super) announces_address: bool,
    pub(super) dials: usize,
    /// Per node, when it dialled.
    dialled_at: Vec<Vec<Instant>>,
}

fn fresh_book(id: usize) -> PeerBook {
    PeerBook::new(BookConfig::new(node_key(id as u32), true))
}

impl Network {
    pub(super) fn new(nodes: usize, seed: u64, latency_ms: u64) -> Self {
        let node = |id| Node { book: fresh_book(id), life: 0, configured: Vec::new(), wake: None };
        Self {
            nodes: (0..nodes).map(node).collect(),
            conns: Vec::new(),
            events: BTreeMap::new(),
            sequence: 0,
            now: Instant(0),
            rng: StdRng::seed_from_u64(seed),
            latency_ms,
            blocked: BTreeSet::new(),
            side: vec![false; nodes],
            announces_address: true,
            dials: 0,
            dialled_at: vec![Vec::new(); nodes],
        }
    }

    pub(super) fn configure(&mut self, node: usize, peer: usize) {
        self.nodes[node].configured.push(peer);
        self.nodes[node].book.add_configured(self.now, &address(peer), None, true);
        self.dial_due(node);
    }

    pub(super) fn configure_all(&mut self) {
        for node in 0..self.nodes.len() {
            for peer in 0..self.nodes.len() {
                if peer != node {
                    self.nodes[node].configured.push(peer);
                    self.nodes[node].book.add_configured(self.now, &address(peer), None, true);
                }
            }
        }
        for node in 0..self.nodes.len() {
            self.dial_due(node);
        }
    }

    pub(super) fn block_dials(&mut self, from: usize, to: usize) {
        self.blocked.insert((from, to));
    }

    /// Cuts every connection without a goodbye; the ends notice within `notice`.
    pub(super) fn cut(&mut self, notice: Duration) {
        for conn in 0..self.conns.len() {
            self.break_conn(conn, notice);
        }
    }

    /// The node loses all it knew and starts again as a new instance.
    pub(super) fn restart(&mut self, node: usize, notice: Duration) {
        for conn in 0..self.conns.len() {
            if self.conns[conn].ends.contains(&node) {
                self.break_conn(conn, notice);
            }
        }
        let state = &mut self.nodes[node];
        state.life += 1;
        state.book = fresh_book(node);
        state.wake = None;
        for peer in state.configured.clone() {
            self.nodes[node].book.add_configured(self.now, &address(peer), None, true);
        }
        self.dial_due(node);
    }

    pub(super) fn partition(&mut self, side: impl Fn(usize) -> bool) {
        self.side = (0..self.nodes.len()).map(side).collect();
        for conn in 0..self.conns.len() {
            let [a, b] = self.conns[conn].ends;
            if self.side[a] != self.side[b] {
                self.break_conn(conn, Duration::from_secs(15));
            }
        }
    }

    pub(super) fn heal(&mut self) {
        self.side = vec![false; self.nodes.len()];
    }

    pub(super) fn run_until(&mut self, until: Instant) {
        while let Some((&(when, sequence), _)) = self.events.first_key_value() {
            if when > until {
                break;
            }
            self.now = when;
            let event = self.events.remove(&(when, sequence)).unwrap();
            self.handle(event);
        }
        self.now = until;
    }

    /// Every pair must have exactly one session, the same at both ends.
    pub(super) fn mesh_errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        for a in 0..self.nodes.len() {
            for b in a + 1..self.nodes.len() {
                match (self.conn_of(a, b), self.conn_of(b, a)) {
                    (Some(x), Some(y)) if x == y => {}
                    (x, y) => errors.push(format!("{a} has {x:?} with {b}, which has {y:?}")),
                }
            }
        }
        let live = |c: &Conn| c.states.iter().any(|s| matches!(s, EndState::Up(_)));
        let ends_up: usize = self.conns.iter().filter(|c| live(c)).count();
        let sessions: usize = self.nodes.iter().map(|n| n.book.sessions().len()).sum();
        if errors.is_empty() && sessions != ends_up * 2 {
            errors.push(format!("{ends_up} live connections for {sessions} sessions"));
        }
        errors
    }

    pub(super) fn session_conns(&self) -> Vec<usize> {
        (0..self.conns.len()).filter(|c| self.conns[*c].states.iter().all(|s| matches!(s, EndState::Up(_)))).collect()
    }

    /// Most dials that one node made in any second.
    pub(super) fn dials_per_second_max(&self, from: Instant, until: Instant) -> usize {
        let per_second = |times: &Vec<Instant>| {
            let seconds = from.0 / 1_000_000..until.0 / 1_000_000;
            seconds.map(|s| times.iter().filter(|t| t.0 / 1_000_000 == s).count()).max().unwrap_or(0)
        };
        self.dialled_at.iter().map(per_second).max().unwrap_or(0)
    }

    fn conn_of(&self, node: usize, peer: usize) -> Option<usize> {
        let generation = self.nodes[node].book.session(&node_key(peer as u32))?.generation;
        self.find(node, peer, generation)
    }

    fn find(&self, node: usize, peer: usize, generation: u64) -> Option<usize> {
        (0..self.conns.len()).rev().find(|c| {
            let conn = &self.conns[*c];
            (0..2).any(|end| {
                conn.ends[end] == node
                    && conn.ends[1 - end] == peer
                    && conn.lives[end] == self.nodes[node].life
                    && conn.states[end] == EndState::Up(generation)
            })
        })
    }

    fn at(&mut self, when: Instant, event: Event) {
        self.sequence += 1;
        self.events.insert((when, self.sequence), event);
    }

    fn latency(&mut self) -> Duration {
        crate::backoff::uniform(&mut self.rng, Duration::from_micros(100), Duration::from_millis(self.latency_ms))
    }

    fn break_conn(&mut self, conn: usize, notice: Duration) {
        for end in 0..2 {
            if self.conns[conn].states[end] != EndState::Closed {
                let when = self.conns[conn].up_at[end].max(self.now)
                    + crate::backoff::uniform(&mut self.rng, Duration::ZERO, notice);
                self.at(when, Event::Closed { conn, end, reason: EndReason::Silent });
            }
        }
    }

    fn dial_due(&mut self, node: usize) {
        let dials = self.nodes[node].book.wants_dial(self.now, &mut self.rng);
        for dial in dials {
            let to = (0..self.nodes.len()).find(|id| address(*id) == dial.address).unwrap();
            self.dials += 1;
            self.dialled_at[node].push(self.now);
            let life = self.nodes[node].life;
            if self.blocked.contains(&(node, to)) || self.side[node] != self.side[to] {
                self.at(self.now + Duration::from_secs(3), Event::DialFailed { node, life, to });
                continue;
            }
            let (conn, lives) = (self.conns.len(), [life, self.nodes[to].life]);
            let connected = self.now + self.latency();
            let up_at = [connected + self.latency(), connected + self.latency()];
            self.conns.push(Conn { ends: [node, to], lives, states: [EndState::Pending; 2], up_at });
            for (end, when) in up_at.into_iter().enumerate() {
                self.at(when, Event::Up { conn, end });
            }
        }
        let wake = self.nodes[node].book.next_wake();
        assert!(wake.is_none_or(|w| w > self.now), "a wake that wants nothing");
        if self.nodes[node].wake != wake {
            self.nodes[node].wake = wake;
            if let Some(wake) = wake {
                self.at(wake, Event::Wake(node));
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let node = match event {
            Event::Wake(node) => {
                if self.nodes[node].wake != Some(self.now) {
                    return;
                }
                self.nodes[node].wake = None;
                node
            }
            Event::DialFailed { node, life, to } => {
                if self.nodes[node].life == life {
                    let reason = EndReason::DialTimeout;
                    self.nodes[node].book.on_dial_failed(self.now, &address(to), reason, &mut self.rng);
                }
                node
            }
            Event::Up { conn, end } => self.on_up(conn, end),
            Event::Closed { conn, end, reason } => self.on_closed(conn, end, reason),
        };
        self.dial_due(node);
    }

    fn on_up(&mut self, conn: usize, end: usize) -> usize {
        let Conn { ends, lives, states, .. } = &self.conns[conn];
        let (node, peer) = (ends[end], ends[1 - end]);
        if states[end] != EndState::Pending || lives[end] != self.nodes[node].life {
            return node;
        }
        let direction = if end == 0 { Outbound } else { Inbound };
        let arrival = CompletedHandshake {
            key: node_key(peer as u32),
            direction,
            instance: Uuid::from_u128((peer as u128) << 64 | u128::from(lives[1 - end])),
            is_validator: true,
            dialled: (end == 0).then(|| address(peer)),
            address: self.announces_address.then(|| address(peer)),
            observed: None,
        };
        match self.nodes[node].book.on_up(self.now, arrival, &mut self.rng) {
            SessionDecision::Keep { generation, .. } => self.conns[conn].states[end] = EndState::Up(generation),
            SessionDecision::Replace { generation, older, reason, .. } => {
                let older = self.find(node, peer, older).expect("the older session is one of ours");
                self.close(older, node, reason);
                self.conns[conn].states[end] = EndState::Up(generation);
            }
            SessionDecision::Refuse { reason } => self.close(conn, node, reason),
            SessionDecision::Evict { .. } => panic!("nobody is evicted here"),
        }
        node
    }

    /// This end closes; the news reaches the other end after its handshake did.
    fn close(&mut self, conn: usize, node: usize, reason: EndReason) {
        let end = usize::from(self.conns[conn].ends[1] == node);
        if let EndState::Up(generation) = self.conns[conn].states[end] {
            let peer = node_key(self.conns[conn].ends[1 - end] as u32);
            let departure =
                self.nodes[node].book.on_down(self.now, &peer, generation, SessionEnd::ours(reason), &mut self.rng);
            assert_eq!(departure, Departure::Stale, "replaced before it was closed");
        }
        self.conns[conn].states[end] = EndState::Closed;
        let when = (self.now + self.latency()).max(self.conns[conn].up_at[1 - end]);
        self.at(when, Event::Closed { conn, end: 1 - end, reason });
    }

    fn on_closed(&mut self, conn: usize, end: usize, reason: EndReason) -> usize {
        let Conn { ends, lives, states, .. } = &self.conns[conn];
        let (node, peer, state) = (ends[end], ends[1 - end], states[end]);
        let is_this_life = lives[end] == self.nodes[node].life;
        self.conns[conn].states[end] = EndState::Closed;
        match state {
            EndState::Up(generation) if is_this_life => {
                let (key, end) = (node_key(peer as u32), SessionEnd::theirs(reason));
                let _ = self.nodes[node].book.on_down(self.now, &key, generation, end, &mut self.rng);
            }
            EndState::Pending if is_this_life && end == 0 => {
                self.nodes[node].book.on_dial_failed(self.now, &address(peer), reason, &mut self.rng);
            }
            EndState::Up(_) | EndState::Pending | EndState::Closed => {}
        }
        node
    }
}
