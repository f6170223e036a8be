//! What happens to nodes and to the path between them, drawn beforehand: then each pair of nodes can be played alone, and a checker can look up
//! who was really alive.

use rand::{Rng, RngExt as _};
use std::time::Duration;
use timed_primitives::Instant;

/// A time from `from` up to, not including, `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Instant,
    pub(super) to: Instant,
}

impl Span {
    pub(super) const fn length(self) -> Duration {
        self.to.since(self.from)
    }
}

/// Spans in order, none touching another.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans(Vec<Span>);

impl Spans {
    /// Spans with a mean time of `every` between them, and lengths from `length`.
    pub(super) fn draw(
        rng: &mut dyn Rng,
        until: Instant,
        every: Duration,
        mut length: impl FnMut(&mut dyn Rng) -> Duration,
    ) -> Self {
        let (mut spans, mut at) = (Vec::new(), Instant::START);
        loop {
            let from = at + between(rng, Duration::from_micros(1), every * 2);
            if from >= until {
                return Self(spans);
            }
            at = from + length(rng);
            spans.push(Span { from, to: at });
        }
    }

    /// All of these and those of the others.
    pub(super) fn merged(mut self, others: impl IntoIterator<Item = Span>) -> Self {
        self.0.extend(others);
        self.0.sort_by_key(|span| span.from);
        let mut merged: Vec<Span> = Vec::with_capacity(self.0.len());
        for span in self.0 {
            match merged.last_mut() {
                Some(last) if span.from <= last.to => last.to = last.to.max(span.to),
                _ => merged.push(span),
            }
        }
        Self(merged)
    }

    /// The span at this time.
    pub(super) fn at(&self, at: Instant) -> Option<Span> {
        self.first_after(at).filter(|span| span.from <= at)
    }

    /// The first span that ends after this time.
    pub(super) fn first_after(&self, at: Instant) -> Option<Span> {
        self.0.get(self.0.partition_point(|span| span.to <= at)).copied()
    }

    /// Whether a span touches the time between both.
    pub(super) fn touches(&self, from: Instant, to: Instant) -> bool {
        self.first_after(from).is_some_and(|span| span.from <= to)
    }

    /// The last span that touches the time between both.
    pub(super) fn last_within(&self, from: Instant, to: Instant) -> Option<Span> {
        let after = self.0.partition_point(|span| span.from <= to);
        after.checked_sub(1).and_then(|last| self.0.get(last)).filter(|span| span.to > from).copied()
    }

    /// Those that touch the time between both, in order.
    pub(super) fn within(&self, from: Instant, to: Instant) -> impl Iterator<Item = Span> + '_ {
        let first = self.0.partition_point(|span| span.to <= from);
        self.0.iter().skip(first).take_while(move |span| span.from <= to).copied()
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }
}

/// What happens to one node.
#[derive(Clone, Debug)]
pub(super) struct NodeFaults {
    /// Whether it votes: then it pings and redials sooner.
    pub(super) votes: bool,
    /// Its process stands still, as in a suspended machine, under SIGSTOP, or without a free processor.
    pub(super) stalls: Spans,
    /// It is not there and its connections end with a goodbye: a restart.
    pub(super) restarts: Spans,
    /// It is not there and nobody knows: its machine lost power.
    pub(super) outages: Spans,
}

impl NodeFaults {
    pub(super) fn draw(rng: &mut dyn Rng, until: Instant, votes: bool) -> Self {
        let stalls = Spans::draw(rng, until, Duration::from_secs(1_200), stall);
        let restarts = Spans::draw(rng, until, hours(24), |rng| doubling(rng, Duration::from_millis(300), 10));
        let outages = Spans::draw(rng, until, hours(48), |rng| doubling(rng, Duration::from_secs(4), 14));
        Self { votes, stalls, restarts, outages }
    }

    /// Whether it is switched off, stopped or lost at this time, and until when.
    pub(super) fn absence(&self, at: Instant) -> Option<Span> {
        self.outages.at(at).or_else(|| self.restarts.at(at))
    }

    /// When it next is absent, or comes back.
    pub(super) fn next_change(&self, at: Instant) -> Option<Instant> {
        let change = |spans: &Spans| {
            let span = spans.first_after(at)?;
            Some(if span.from > at { span.from } else { span.to })
        };
        [change(&self.outages), change(&self.restarts)].into_iter().flatten().min()
    }

    /// When what happens to it at this time can be handled.
    pub(super) fn awake(&self, at: Instant) -> Instant {
        self.stalls.at(at).map_or(at, |stall| stall.to)
    }
}

/// Most are too short to notice, some are as long as a deadline, a few are hours.
fn stall(rng: &mut dyn Rng) -> Duration {
    match rng.random_range(0..1_000) {
        0..900 => doubling(rng, Duration::from_millis(5), 7),
        900..980 => doubling(rng, Duration::from_millis(640), 4),
        980..998 => doubling(rng, Duration::from_secs(10), 4),
        _ => doubling(rng, Duration::from_secs(160), 7),
    }
}

/// Times at which the paths between two halves of the network are cut, with the side of each node.
pub(super) fn partitions(rng: &mut dyn Rng, until: Instant) -> Vec<(Span, u128)> {
    let spans = Spans::draw(rng, until, hours(24), |rng| doubling(rng, Duration::from_secs(2), 11));
    spans.0.into_iter().map(|span| (span, u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()))).collect()
}

/// Times at which nothing gets through between two nodes: their own, and the partitions that part them.
pub(super) fn cuts(rng: &mut dyn Rng, until: Instant, partitions: &[(Span, u128)], ends: [usize; 2]) -> Spans {
    let own = Spans::draw(rng, until, hours(12), |rng| doubling(rng, Duration::from_millis(250), 13));
    let is_parted = |sides: u128| {
        ends.map(|end| sides >> (end % 128) & 1) == [0, 1] || ends.map(|end| sides >> (end % 128) & 1) == [1, 0]
    };
    own.merged(partitions.iter().filter(|(_, sides)| is_parted(*sides)).map(|(span, _)| *span))
}

/// Between `shortest` and `shortest` × 2^`doublings`; each doubling is equally likely.
pub(super) fn doubling(rng: &mut dyn Rng, shortest: Duration, doublings: u32) -> Duration {
    let low = shortest * (1 << rng.random_range(0..doublings));
    between(rng, low, low * 2)
}

/// Uniform between both.
pub(super) fn between(rng: &mut dyn Rng, low: Duration, high: Duration) -> Duration {
    let span = u64::try_from(high.saturating_sub(low).as_micros()).unwrap_or(u64::MAX);
    low + Duration::from_micros(rng.random_range(0..=span))
}

const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3_600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn span(from: u64, to: u64) -> Span {
        Span { from: Instant(from), to: Instant(to) }
    }

    #[test]
    fn spans_are_found_by_time() {
        let spans = Spans(vec![span(10, 20), span(30, 40)]);
        assert_eq!([9, 10, 19, 20].map(|t| spans.at(Instant(t))), [None, Some(span(10, 20)), Some(span(10, 20)), None]);
        assert_eq!(spans.first_after(Instant(20)), Some(span(30, 40)));
        assert!(spans.touches(Instant(5), Instant(10)) && !spans.touches(Instant(20), Instant(29)));
        assert_eq!(spans.last_within(Instant(0), Instant(35)), Some(span(30, 40)));
        assert_eq!(spans.last_within(Instant(20), Instant(29)), None);
        assert_eq!(spans.within(Instant(15), Instant(30)).count(), 2);
    }

    #[test]
    fn spans_that_touch_become_one() {
        let merged = Spans(vec![span(10, 20), span(50, 60)]).merged([span(15, 25), span(25, 30)]);
        assert_eq!(merged.0, [span(10, 30), span(50, 60)]);
    }

    #[test]
    fn drawn_spans_are_in_order_and_within_the_time() {
        let mut rng = StdRng::seed_from_u64(5);
        let until = Instant::START + hours(24 * 30);
        let faults = NodeFaults::draw(&mut rng, until, true);
        for spans in [&faults.stalls, &faults.restarts, &faults.outages] {
            assert!(spans.len() > 5);
            assert!(spans.0.iter().all(|span| span.from < span.to && span.from < until));
            assert!(spans.0.windows(2).all(|pair| pair[0].to < pair[1].from));
        }
    }
}
