//! One connection of a network in memory: two pipes, of which each end writes one and reads the other.
//!
//! A pipe keeps order and loses nothing, as TCP does: bytes leave at the rate of the link, travel for its latency and a jitter, and wait
//! while the link is cut in their direction. Without latency and rate they arrive at once, and no timer is needed.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use timed_actors::transport::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What one direction holds unread before the writer waits, as a socket's buffers would. Unit: bytes.
const BUFFER_BYTES: usize = 64 * 1024;
/// The same on a link with latency, where much is on its way. Unit: bytes.
const WINDOW_BYTES: usize = 4 * 1024 * 1024;
/// How long a writer may be ahead of the wire: what it has unsent is bounded as with the daemon's sockets.
const AHEAD_MAX: Duration = Duration::from_millis(10);

/// How good a link is, in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkQuality {
    /// How long bytes travel at least.
    pub latency: Duration,
    /// How much longer at most, drawn for each write. Order is kept.
    pub jitter: Duration,
    /// How many bytes leave in a second; `None` for as many as there are.
    pub bytes_per_second: Option<NonZeroU64>,
}

impl LinkQuality {
    const fn is_instant(&self) -> bool {
        self.latency.is_zero() && self.jitter.is_zero() && self.bytes_per_second.is_none()
    }

    /// How much leaves within [`AHEAD_MAX`], at least a packet.
    fn bytes_ahead(&self) -> usize {
        let bytes = |rate: NonZeroU64| u128::from(rate.get()) * AHEAD_MAX.as_millis() / 1000;
        self.bytes_per_second.map_or(usize::MAX, |rate| usize::try_from(bytes(rate)).unwrap_or(usize::MAX).max(1500))
    }

    fn time_on_wire(&self, bytes: usize) -> Duration {
        self.bytes_per_second.map_or(Duration::ZERO, |rate| Duration::from_nanos(bytes as u64 * 1_000_000_000 / rate))
    }
}

/// Both ends of a connection share it.
pub(super) struct MemoryLink(Mutex<MemoryLinkState>);

pub(super) struct MemoryLinkState {
    quality: LinkQuality,
    /// Arrivals fall on multiples of `tick` since `origin`.
    origin: Instant,
    tick: Duration,
    rng: StdRng,
    is_broken: bool,
    /// By the end that writes.
    pipes: [Pipe; 2],
}

/// One direction.
struct Pipe {
    chunks: VecDeque<Chunk>,
    unread: usize,
    /// When the wire takes the next byte.
    free_at: Instant,
    /// When the last byte arrives: order is kept.
    arrived_at: Instant,
    is_cut: bool,
    /// The writer's host lost power: nobody will say that it is gone.
    is_silent: bool,
    /// When the reader learns that nothing more comes.
    closes_at: Option<Instant>,
    /// Nobody reads any more.
    is_deaf: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Chunk {
    arrives: Instant,
    bytes: Vec<u8>,
    /// How much of it was read.
    read: usize,
}

impl Pipe {
    fn new(now: Instant) -> Self {
        Self {
            chunks: VecDeque::new(),
            unread: 0,
            free_at: now,
            arrived_at: now,
            is_cut: false,
            is_silent: false,
            closes_at: None,
            is_deaf: false,
            reader: None,
            writer: None,
        }
    }

    fn wake(&mut self) {
        [self.reader.take(), self.writer.take()].into_iter().flatten().for_each(Waker::wake);
    }

    fn read(&mut self, now: Instant, buffer: &mut ReadBuf<'_>) {
        while let Some(chunk) = self.chunks.front_mut().filter(|chunk| chunk.arrives <= now) {
            let rest = chunk.bytes.get(chunk.read..).unwrap_or_default();
            let count = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..count]);
            chunk.read += count;
            self.unread -= count;
            if chunk.read < chunk.bytes.len() {
                break;
            }
            self.chunks.pop_front();
        }
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

impl MemoryLinkState {
    /// When bytes that leave now arrive.
    fn arrival(&mut self, leaves: Instant) -> Instant {
        if self.quality.is_instant() {
            return leaves;
        }
        let jitter_micros = u64::try_from(self.quality.jitter.as_micros()).unwrap_or(u64::MAX);
        let jitter = Duration::from_micros(self.rng.random_range(0..=jitter_micros));
        let since = (leaves + self.quality.latency + jitter).duration_since(self.origin);
        let ticks = since.as_nanos().div_ceil(self.tick.as_nanos().max(1));
        self.origin + self.tick * u32::try_from(ticks).unwrap_or(u32::MAX)
    }

    fn is_cut(&self) -> bool {
        self.pipes.iter().any(|pipe| pipe.is_cut)
    }

    /// A broken connection shows to whom the news can reach.
    fn is_reset(&self) -> bool {
        self.is_broken && !self.is_cut()
    }
}

/// What a connection is made with.
pub(super) struct MemoryLinkParts {
    pub(super) quality: LinkQuality,
    pub(super) origin: Instant,
    pub(super) tick: Duration,
    pub(super) seed: u64,
}

impl MemoryLink {
    pub(super) fn new(parts: MemoryLinkParts) -> Arc<Self> {
        let MemoryLinkParts { quality, origin, tick, seed } = parts;
        let (now, rng) = (Instant::now(), StdRng::seed_from_u64(seed));
        let pipes = [Pipe::new(now), Pipe::new(now)];
        Arc::new(Self(Mutex::new(MemoryLinkState { quality, origin, tick, rng, is_broken: false, pipes })))
    }

    /// One of the two ends: 0 for who dialled, 1 for who accepted.
    pub(super) fn end(self: &Arc<Self>, end: usize) -> MemoryEnd {
        MemoryEnd { link: self.clone(), end, timers: [None, None] }
    }

    /// Changes what both ends see, and wakes them.
    fn change(&self, change: impl FnOnce(&mut MemoryLinkState)) {
        let mut state = self.state();
        change(&mut state);
        state.pipes.iter_mut().for_each(Pipe::wake);
    }

    /// Cuts or heals what `end` writes.
    pub(super) fn set_cut(&self, end: usize, is_cut: bool) {
        self.change(|state| state.pipes[end].is_cut = is_cut);
    }

    pub(super) fn set_quality(&self, quality: LinkQuality) {
        self.change(|state| state.quality = quality);
    }

    /// Both ends fail from now on.
    pub(super) fn reset(&self) {
        self.change(|state| state.is_broken = true);
    }

    /// The host of `end` loses power: the other end hears nothing any more, not even an end.
    pub(super) fn silence(&self, end: usize) {
        self.change(|state| state.pipes[end].is_silent = true);
    }

    pub(super) fn is_silent(&self, end: usize) -> bool {
        self.state().pipes[end].is_silent
    }

    fn state(&self) -> MutexGuard<'_, MemoryLinkState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One end of a connection.
pub(super) struct MemoryEnd {
    link: Arc<MemoryLink>,
    end: usize,
    /// For reading and for writing.
    timers: [Option<Pin<Box<Sleep>>>; 2],
}

const READ: usize = 0;
const WRITE: usize = 1;

impl MemoryEnd {
    /// Ready when `at` has come.
    fn poll_until(&mut self, which: usize, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self.timers[which].get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if timer.deadline() != at {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(cx)
    }

    fn close(&self) {
        let mut state = self.link.state();
        let now = Instant::now();
        let leaves = now.max(state.pipes[self.end].free_at);
        let arrival = state.arrival(leaves);
        let pipe = &mut state.pipes[self.end];
        if !pipe.is_silent && pipe.closes_at.is_none() {
            pipe.closes_at = Some(arrival.max(pipe.arrived_at));
            pipe.wake();
        }
    }

    /// Reads what has come; otherwise when something will.
    fn read(&self, buffer: &mut ReadBuf<'_>, cx: &Context<'_>) -> Result<Poll<()>, Option<Instant>> {
        let mut state = self.link.state();
        if state.is_reset() {
            return Err(None);
        }
        let pipe = &mut state.pipes[1 - self.end];
        pipe.reader = Some(cx.waker().clone());
        if pipe.is_cut || buffer.remaining() == 0 {
            return Ok(Poll::Pending);
        }
        let (now, before) = (Instant::now(), buffer.filled().len());
        pipe.read(now, buffer);
        if buffer.filled().len() > before {
            return Ok(Poll::Ready(()));
        }
        match pipe.chunks.front().map(|chunk| chunk.arrives).or(pipe.closes_at) {
            Some(at) if at > now => Err(Some(at)),
            Some(_) => Ok(Poll::Ready(())),
            None => Ok(Poll::Pending),
        }
    }

    /// Takes what fits; otherwise says when more will.
    fn write(&self, bytes: &[u8], cx: &Context<'_>) -> Result<Poll<usize>, Option<Instant>> {
        let mut state = self.link.state();
        let is_cut = state.is_cut();
        if state.is_reset() || (state.pipes[self.end].is_deaf && !is_cut) {
            return Err(None);
        }
        let now = Instant::now();
        let window = if state.quality.is_instant() { BUFFER_BYTES } else { WINDOW_BYTES };
        let ahead_bytes = state.quality.bytes_ahead();
        let pipe = &mut state.pipes[self.end];
        if pipe.unread >= window {
            pipe.writer = Some(cx.waker().clone());
            return Ok(Poll::Pending);
        }
        if pipe.free_at > now + AHEAD_MAX {
            return Err(Some(pipe.free_at - AHEAD_MAX));
        }
        let count = bytes.len().min(window - pipe.unread).min(ahead_bytes);
        let leaves = now.max(pipe.free_at);
        let left = leaves + state.quality.time_on_wire(count);
        let arrives = state.arrival(left);
        let pipe = &mut state.pipes[self.end];
        pipe.free_at = left;
        pipe.arrived_at = arrives.max(pipe.arrived_at);
        pipe.unread += count;
        pipe.chunks.push_back(Chunk { arrives: pipe.arrived_at, bytes: bytes[..count].to_vec(), read: 0 });
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        Ok(Poll::Ready(count))
    }
}

impl AsyncRead for MemoryEnd {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.read(buffer, cx) {
                Ok(poll) => return poll.map(Ok),
                Err(None) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Err(Some(at)) => std::task::ready!(self.poll_until(READ, at, cx)),
            }
        }
    }
}

impl Stream for MemoryEnd {}

impl AsyncWrite for MemoryEnd {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.write(bytes, cx) {
                Ok(poll) => return poll.map(Ok),
                Err(None) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Err(Some(at)) => std::task::ready!(self.poll_until(WRITE, at, cx)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for MemoryEnd {
    fn drop(&mut self) {
        self.close();
        let mut state = self.link.state();
        if !state.pipes[self.end].is_silent {
            let read = &mut state.pipes[1 - self.end];
            read.is_deaf = true;
            read.wake();
        }
    }
}
