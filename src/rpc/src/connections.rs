//! Which connections stay: who gives way when there are too many, and how long each may keep us waiting. Knows no socket and no clock.
//!
//! | state | begins with | ends with | bound |
//! |---|---|---|---|
//! | head | accept, or the first byte of a further request | the whole head of a request | [`RpcLimits::head_time`] |
//! | body | a head | the end of its body | [`RpcLimits::body_time`], by the reader of the body |
//! | answering | the whole of a request | the end of its answer | [`RpcLimits::call_time`], by the call |
//! | upgraded | a request for a WebSocket | the end of the connection | pings, and what waits for the client: see the events |
//! | idle | the end of an answer | the first byte of a further request | [`RpcLimits::idle_time`] |
//!
//! Beside these, bytes that the client does not take have [`RpcLimits::write_time`], and longer only while they go at
//! [`WRITE_BYTES_PER_SECOND_MIN`].
//!
//! # Security
//! Every connection is accepted at once, so nobody waits behind those who hang. Whoever has not shown credentials gives way: the connection
//! whose last sign of work (accept or head) is oldest, of the address with most of them. So a client that sends its request at once is served
//! whatever others hold open, and an address that floods displaces itself first. Clients with credentials never give way to those without,
//! only to one another while they have no call in progress, and leave some places free, so that a health probe always finds one.

use crate::limits::RpcLimits;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// What a client that reads its answer slowly must take on average. Unit: bytes per second.
pub(crate) const WRITE_BYTES_PER_SECOND_MIN: u64 = 64 * 1024;

/// Number of a connection, in the order of accepting.
pub(crate) type ConnectionId = u64;

/// Why a connection was closed by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CloseReason {
    /// Another one needed the place.
    GaveWay,
    /// The head of a request did not come in time.
    HeadLate,
    /// No further request came.
    Idle,
    /// The client does not read.
    NotRead,
}

impl CloseReason {
    pub(crate) const ALL: [Self; 4] = [Self::GaveWay, Self::HeadLate, Self::Idle, Self::NotRead];

    /// The name in logs and metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::GaveWay => "gave_way",
            Self::HeadLate => "head_late",
            Self::Idle => "idle",
            Self::NotRead => "not_read",
        }
    }
}

/// What a connection is doing. Times count from the server's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionState {
    Head {
        since: Duration,
    },
    Body,
    Answering,
    /// A WebSocket.
    Upgraded,
    Idle {
        since: Duration,
    },
}

/// Bytes that the system does not take, because the client does not read.
#[derive(Clone, Copy, Debug)]
struct Blocked {
    since: Duration,
    written_bytes: u64,
}

#[derive(Debug)]
struct RpcConnection {
    from: ClientOrigin,
    is_authenticated: bool,
    state: ConnectionState,
    blocked: Option<Blocked>,
    /// Parts of an answer are handed over, and more follow at once.
    is_sending: bool,
    /// Accept, or the last head.
    worked_at: Duration,
}

/// Who is one party: an address, a /64 of IPv6, or this machine. All programs and all nodes of a local network share this machine's address,
/// so it has no bound of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ClientOrigin {
    ThisMachine,
    Address(IpAddr),
}

impl ClientOrigin {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            address if address.is_loopback() => Self::ThisMachine,
            IpAddr::V6(v6) => Self::Address(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into()),
            v4 => Self::Address(v4),
        }
    }
}

/// So many connections may be open however few files there are.
const PLACES_MIN: usize = 4;
/// How long the number of connections stays where it was when the system had no file for one more.
const WITHOUT_FILES: Duration = Duration::from_secs(60);

/// All connections of the server. Bound: [`RpcLimits::connections_max`], and fewer for a while after the system had no file for one more.
#[derive(Debug)]
pub(crate) struct Connections {
    limits: RpcLimits,
    /// How many may be open after that, and since when.
    without_files: Option<(usize, Duration)>,
    open: BTreeMap<ConnectionId, RpcConnection>,
    next: ConnectionId,
    closed: BTreeMap<CloseReason, u64>,
}

impl Connections {
    pub(crate) fn new(limits: RpcLimits) -> Self {
        Self { limits, without_files: None, open: BTreeMap::new(), next: 0, closed: BTreeMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Open connections with credentials, or without.
    pub(crate) fn count(&self, authenticated: bool) -> usize {
        self.open.values().filter(|c| c.is_authenticated == authenticated).count()
    }

    /// How many we closed for this reason.
    pub(crate) fn closed(&self, reason: CloseReason) -> u64 {
        self.closed.get(&reason).copied().unwrap_or_default()
    }

    /// A connection was accepted. Returns its number, and the one to close for it.
    pub(crate) fn on_accept(&mut self, now: Duration, from: IpAddr) -> (ConnectionId, Option<ConnectionId>) {
        let (id, from) = (self.next, ClientOrigin::of(from));
        self.next += 1;
        let state = ConnectionState::Head { since: now };
        let (is_authenticated, is_sending) = (false, false);
        self.open
            .insert(id, RpcConnection { from, is_authenticated, state, blocked: None, is_sending, worked_at: now });
        let counts = self.unknown_by_origin();
        let own = counts.get(&from).copied().unwrap_or_default();
        let crowded = if from != ClientOrigin::ThisMachine && own > self.limits.per_address_max {
            Some(from)
        } else if self.open.len() > self.places() {
            self.most_crowded(&counts)
        } else {
            None
        };
        let victim = crowded.and_then(|origin| self.oldest(|c| !c.is_authenticated && c.from == origin));
        let victim = victim.map(|(id, _)| id);
        (id, victim.map(|victim| self.close(victim, CloseReason::GaveWay)))
    }

    /// The system has no file for another connection. Returns those to close, so that there is one, and some are left for others: of four one
    /// gives way, and as many as are left are the bound for a minute.
    pub(crate) fn on_no_file(&mut self, now: Duration) -> Vec<ConnectionId> {
        let places = (self.open.len() - self.open.len() / 4).max(PLACES_MIN);
        self.without_files = Some((places, now));
        let mut closed = Vec::new();
        while self.open.len() > places
            && let Some(origin) = self.most_crowded(&self.unknown_by_origin())
            && let Some((id, _)) = self.oldest(|c| !c.is_authenticated && c.from == origin)
        {
            closed.push(self.close(id, CloseReason::GaveWay));
        }
        closed
    }

    /// How many may be open.
    fn places(&self) -> usize {
        let max = self.limits.connections_max;
        self.without_files.map_or(max, |(places, _)| places.min(max))
    }

    /// Of those without credentials, who has most, the oldest of them first.
    fn most_crowded(&self, counts: &BTreeMap<ClientOrigin, usize>) -> Option<ClientOrigin> {
        let most = counts.values().max().copied().unwrap_or_default();
        let of_most = |origin: &ClientOrigin| counts.get(origin) == Some(&most);
        self.oldest(|c| !c.is_authenticated && of_most(&c.from)).map(|(_, c)| c.from)
    }

    /// Bytes came.
    pub(crate) fn on_read(&mut self, now: Duration, id: ConnectionId) {
        if let Some(connection) = self.open.get_mut(&id)
            && matches!(connection.state, ConnectionState::Idle { .. })
        {
            connection.state = ConnectionState::Head { since: now };
        }
    }

    /// The head of a request is complete.
    pub(crate) fn on_head(&mut self, now: Duration, id: ConnectionId) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.state = ConnectionState::Body;
            connection.worked_at = now;
        }
    }

    /// The whole of a request has come.
    pub(crate) fn on_request(&mut self, id: ConnectionId) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.state = ConnectionState::Answering;
        }
    }

    /// The client has shown credentials. Returns the connection to close for it.
    ///
    /// # Errors
    /// `Busy` when as many clients with credentials as there may be have all a call in progress.
    pub(crate) fn on_authenticated(&mut self, id: ConnectionId) -> Result<Option<ConnectionId>, Busy> {
        if self.open.get(&id).is_none_or(|connection| connection.is_authenticated) {
            return Ok(None);
        }
        let mut victim = None;
        let places = self.places();
        let reserved = self.limits.connections_reserved;
        let reserved = self.without_files.map_or(reserved, |_| reserved.min(places / 4));
        if self.count(true) >= places.saturating_sub(reserved) {
            let is_busy = |c: &RpcConnection| matches!(c.state, ConnectionState::Answering | ConnectionState::Upgraded);
            let idle = self.oldest(|c| c.is_authenticated && !is_busy(c)).map(|(id, _)| id);
            victim = Some(self.close(idle.ok_or(Busy)?, CloseReason::GaveWay));
        }
        if let Some(connection) = self.open.get_mut(&id) {
            connection.is_authenticated = true;
        }
        Ok(victim)
    }

    /// It becomes a WebSocket, which may be silent for as long as it likes.
    pub(crate) fn on_upgrade(&mut self, id: ConnectionId) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.state = ConnectionState::Upgraded;
        }
    }

    /// A part of an answer is handed over, and more may follow: at once, or when there is more to say.
    pub(crate) fn on_part(&mut self, id: ConnectionId, is_sending: bool) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.is_sending = is_sending;
        }
    }

    /// The answer is handed over; it may still have to be sent.
    pub(crate) fn on_answered(&mut self, now: Duration, id: ConnectionId) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.is_sending = false;
            if connection.state != ConnectionState::Upgraded {
                connection.state = ConnectionState::Idle { since: now };
            }
        }
    }

    /// The system takes no more bytes for the client now.
    pub(crate) fn on_write_blocked(&mut self, now: Duration, id: ConnectionId) {
        if let Some(connection) = self.open.get_mut(&id) {
            connection.blocked.get_or_insert(Blocked { since: now, written_bytes: 0 });
        }
    }

    /// The system took bytes for the client.
    pub(crate) fn on_written(&mut self, id: ConnectionId, bytes: usize) {
        if let Some(Blocked { written_bytes, .. }) = self.open.get_mut(&id).and_then(|c| c.blocked.as_mut()) {
            *written_bytes = written_bytes.saturating_add(bytes as u64);
        }
    }

    /// All that there was to send is with the system. While an answer goes in parts, this is said after each, and its time counts on.
    pub(crate) fn on_flushed(&mut self, now: Duration, id: ConnectionId) {
        if let Some(connection) = self.open.get_mut(&id)
            && !connection.is_sending
            && connection.blocked.take().is_some()
            && let ConnectionState::Idle { since } = &mut connection.state
        {
            *since = now;
        }
    }

    /// It has ended, whoever closed it.
    pub(crate) fn on_end(&mut self, id: ConnectionId) {
        self.open.remove(&id);
    }

    /// The connections whose time is over, to be closed now.
    pub(crate) fn on_tick(&mut self, now: Duration) -> Vec<(ConnectionId, CloseReason)> {
        self.without_files = self.without_files.filter(|(_, since)| now < *since + WITHOUT_FILES);
        let late = |(id, connection): (&ConnectionId, &RpcConnection)| Some((*id, self.overdue(now, connection)?));
        let late: Vec<(ConnectionId, CloseReason)> = self.open.iter().filter_map(late).collect();
        for (id, reason) in &late {
            self.close(*id, *reason);
        }
        late
    }

    fn overdue(&self, now: Duration, connection: &RpcConnection) -> Option<CloseReason> {
        let limits = &self.limits;
        if let Some(Blocked { since, written_bytes }) = connection.blocked {
            let taken = Duration::from_millis(written_bytes.saturating_mul(1_000) / WRITE_BYTES_PER_SECOND_MIN);
            // What is being sent is not idle.
            return (now >= since + limits.write_time + taken).then_some(CloseReason::NotRead);
        }
        match connection.state {
            ConnectionState::Head { since } if now >= since + limits.head_time => Some(CloseReason::HeadLate),
            ConnectionState::Idle { since } if now >= since + limits.idle_time => Some(CloseReason::Idle),
            _ => None,
        }
    }

    fn close(&mut self, id: ConnectionId, reason: CloseReason) -> ConnectionId {
        self.open.remove(&id);
        *self.closed.entry(reason).or_default() += 1;
        id
    }

    fn oldest(&self, is_meant: impl Fn(&RpcConnection) -> bool) -> Option<(ConnectionId, &RpcConnection)> {
        let meant = self.open.iter().filter(|(_, connection)| is_meant(connection));
        meant.map(|(id, connection)| (*id, connection)).min_by_key(|(id, connection)| (connection.worked_at, *id))
    }

    fn unknown_by_origin(&self) -> BTreeMap<ClientOrigin, usize> {
        let mut counts = BTreeMap::new();
        for connection in self.open.values().filter(|c| !c.is_authenticated) {
            *counts.entry(connection.from).or_default() += 1;
        }
        counts
    }
}

/// No place for another client with credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn connections(max: usize) -> Connections {
        Connections::new(RpcLimits {
            connections_max: max,
            connections_reserved: 2,
            per_address_max: 3,
            ..RpcLimits::default()
        })
    }

    fn here() -> IpAddr {
        [127, 0, 0, 1].into()
    }

    /// A connection of this machine, accepted now.
    fn accept(all: &mut Connections, now: Duration) -> ConnectionId {
        all.on_accept(now, here()).0
    }

    fn authenticated(all: &mut Connections, now: Duration) -> ConnectionId {
        let id = accept(all, now);
        all.on_head(now, id);
        assert_eq!(all.on_authenticated(id), Ok(None));
        all.on_request(id);
        id
    }

    #[test]
    fn who_has_not_authenticated_gives_way_the_oldest_first() {
        let mut all = connections(4);
        let client = authenticated(&mut all, s(0));
        all.on_answered(s(0), client);
        let [a, b, c] = [1, 2, 3].map(|at| accept(&mut all, s(at)));
        assert_eq!(all.on_accept(s(4), here()), (4, Some(a)), "the client is older and stays");
        // A head is a sign of work.
        all.on_head(s(4), b);
        assert_eq!(all.on_accept(s(4), here()).1, Some(c));
        assert_eq!(all.on_accept(s(5), here()).1, Some(b), "also while it is answered, if it does not end");
        assert_eq!((all.count(true), all.count(false)), (1, 3));
        assert_eq!(all.closed(CloseReason::GaveWay), 3);
    }

    #[test]
    fn where_the_system_has_no_file_left_a_fourth_gives_way_and_the_rest_is_the_bound_for_a_minute() {
        let mut all = connections(100);
        let client = authenticated(&mut all, s(0));
        all.on_answered(s(0), client);
        let others: Vec<_> = (1..20).map(|at| accept(&mut all, s(at))).collect();
        assert_eq!(all.on_no_file(s(20)), others[..5], "the oldest, and none with credentials");
        assert_eq!(all.on_accept(s(21), here()).1, Some(others[5]), "fifteen are the bound now");
        assert_eq!(all.on_tick(s(79)).len() + all.open.len(), 15);
        all.on_tick(s(80));
        assert!((0..50).all(|_| all.on_accept(s(80), here()).1.is_none()), "a minute later there are files again");
        // A few stay, whoever else has the files.
        let mut all = connections(100);
        assert!((0..4).all(|at| all.on_accept(s(at), here()).1.is_none()));
        assert!(all.on_no_file(s(4)).is_empty());
        assert_eq!(all.on_accept(s(5), here()), (4, Some(0)));
    }

    #[test]
    fn an_address_displaces_itself_first_and_this_machine_has_the_bound_of_all_alone() {
        let far = |n: u8| IpAddr::from([192, 0, 2, n]);
        let mut all = connections(6);
        let local = accept(&mut all, s(0));
        let [first, second, _] = [1, 2, 3].map(|at| all.on_accept(s(at), far(1)).0);
        assert_eq!(all.on_accept(s(4), far(1)).1, Some(first), "its own bound of three");
        assert_eq!(all.on_accept(s(5), far(2)).1, None);
        assert_eq!(all.on_accept(s(6), here()).1, None);
        // All six are taken: the address with most gives way, although the local one is older.
        assert_eq!(all.on_accept(s(7), far(3)).1, Some(second));
        assert!(all.open.contains_key(&local));

        let mut all = connections(300);
        assert!((0..300).all(|at| all.on_accept(s(at), here()).1.is_none()), "this machine");
        let mut all = connections(300);
        let v6 = |host: u128| IpAddr::from(Ipv6Addr::from_bits((0x2001_0db8 << 96) | host));
        let closed = (0..10).filter(|host| all.on_accept(s(0), v6(*host)).1.is_some()).count();
        assert_eq!(closed, 7, "a /64 is one party");
        let mapped = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x7f00, 1);
        assert!((0..10).all(|_| all.on_accept(s(0), mapped.into()).1.is_none()), "this machine in its other form");
    }

    #[test]
    fn clients_with_credentials_leave_places_for_probes() {
        let mut all = connections(5);
        let [a, b, c] = [0, 1, 2].map(|at| authenticated(&mut all, s(at)));
        let d = accept(&mut all, s(3));
        all.on_head(s(3), d);
        assert_eq!(all.on_authenticated(d), Err(Busy), "all three have a call in progress");
        all.on_answered(s(4), b);
        assert_eq!(all.on_authenticated(d), Ok(Some(b)), "one that is idle gives way");
        let e = accept(&mut all, s(4));
        all.on_head(s(4), e);
        assert_eq!(all.on_authenticated(e), Ok(Some(d)), "and one whose body does not come");
        all.on_request(e);
        assert_eq!(all.on_authenticated(e), Ok(None), "once is enough");
        // So a probe finds a place, and is not the one that gives way.
        let probe = accept(&mut all, s(5));
        let other = accept(&mut all, s(6));
        assert_eq!(all.on_accept(s(7), here()).1, Some(probe));
        assert_eq!(all.open.keys().copied().collect::<Vec<_>>(), [a, c, e, other, 7]);
    }

    #[test]
    fn heads_idle_ones_and_those_who_do_not_read_have_deadlines() {
        let limits = RpcLimits { head_time: s(5), idle_time: s(30), write_time: s(10), ..RpcLimits::default() };
        let mut all = Connections::new(limits);
        let a = accept(&mut all, s(0));
        // Bytes of a first head do not prolong it.
        all.on_read(s(4), a);
        let b = accept(&mut all, s(1));
        all.on_head(s(1), b);
        let ms = Duration::from_millis;
        assert_eq!(all.on_tick(ms(4_999)), []);
        assert_eq!(all.on_tick(s(5)), [(a, CloseReason::HeadLate)]);
        all.on_request(b);
        assert_eq!(all.on_tick(s(1_000)), [], "a call may take as long as calls may take");
        all.on_answered(s(1_000), b);
        assert_eq!(all.on_tick(ms(1_029_999)), []);
        all.on_read(s(1_029), b);
        assert_eq!(all.on_tick(ms(1_033_999)), []);
        assert_eq!(all.on_tick(s(1_034)), [(b, CloseReason::HeadLate)], "a further head that does not end");
        let c = accept(&mut all, s(2_000));
        all.on_head(s(2_000), c);
        all.on_answered(s(2_000), c);
        assert_eq!(all.on_tick(s(2_030)), [(c, CloseReason::Idle)]);
        assert!(all.is_empty());
    }

    #[test]
    fn a_slow_reader_has_as_long_as_it_keeps_the_least_rate() {
        let mut all = Connections::new(RpcLimits { write_time: s(10), idle_time: s(30), ..RpcLimits::default() });
        let id = accept(&mut all, s(0));
        all.on_head(s(0), id);
        all.on_written(id, 1 << 20);
        all.on_write_blocked(s(1), id);
        all.on_answered(s(1), id);
        // Ten seconds and one for each 64 KiB since: what was taken before counts for nothing.
        all.on_write_blocked(s(2), id);
        all.on_written(id, 128 * 1024);
        assert_eq!(all.on_tick(Duration::from_millis(12_999)), []);
        all.on_flushed(s(12), id);
        assert_eq!(all.on_tick(s(41)), [], "idle from when it was sent");
        all.on_write_blocked(s(41), id);
        all.on_written(id, 64 * 1024);
        assert_eq!(all.on_tick(s(52)), [(id, CloseReason::NotRead)]);
        assert_eq!(all.closed(CloseReason::NotRead), 1);
    }

    #[test]
    fn a_large_answer_has_its_time_once_and_not_for_each_part() {
        let mut all = Connections::new(RpcLimits { write_time: s(10), ..RpcLimits::default() });
        let id = accept(&mut all, s(0));
        all.on_head(s(0), id);
        all.on_request(id);
        all.on_part(id, true);
        all.on_write_blocked(s(1), id);
        all.on_written(id, 64 * 1024);
        all.on_flushed(s(9), id);
        all.on_part(id, true);
        all.on_write_blocked(s(9), id);
        assert_eq!(all.on_tick(Duration::from_millis(11_999)), []);
        assert_eq!(all.on_tick(s(12)), [(id, CloseReason::NotRead)]);

        let id = accept(&mut all, s(20));
        all.on_part(id, true);
        all.on_write_blocked(s(20), id);
        // More follows later, and what there was has been sent; then the same for the end of it.
        all.on_part(id, false);
        all.on_flushed(s(21), id);
        all.on_part(id, true);
        all.on_write_blocked(s(25), id);
        all.on_answered(s(26), id);
        all.on_flushed(s(27), id);
        assert_eq!(all.on_tick(s(56)), []);
    }
}
