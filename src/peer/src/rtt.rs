//! Round-trip time, smoothed as TCP does.

use std::collections::VecDeque;
use std::time::Duration;

/// How many samples the history keeps, for post-mortems.
const HISTORY: usize = 16;

/// Smallest time after which a pong counts as late.
const LATE_MIN: Duration = Duration::from_secs(2);

/// Smoothed round-trip time of one session.
///
/// Source: RFC 6298, section 2 (alpha 1/8, beta 1/4; first sample R gives srtt R and rttvar R/2). Bound: 16 samples of history.
#[derive(Clone, Debug, Default)]
pub struct Rtt {
    smoothed: Option<Smoothed>,
    min: Option<Duration>,
    history: VecDeque<Duration>,
    samples: u64,
}

#[derive(Clone, Copy, Debug)]
struct Smoothed {
    srtt: Duration,
    rttvar: Duration,
}

impl Rtt {
    /// Takes in one sample.
    pub fn add(&mut self, sample: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => Smoothed { srtt: sample, rttvar: sample / 2 },
            Some(Smoothed { srtt, rttvar }) => Smoothed {
                srtt: srtt.saturating_mul(7).saturating_add(sample) / 8,
                rttvar: rttvar.saturating_mul(3).saturating_add(srtt.abs_diff(sample)) / 4,
            },
        });
        self.min = Some(self.min.map_or(sample, |min| min.min(sample)));
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(sample);
        self.samples = self.samples.saturating_add(1);
    }

    /// Smoothed time; `None` before the first sample.
    pub fn srtt(&self) -> Option<Duration> {
        self.smoothed.map(|s| s.srtt)
    }

    /// Smoothed deviation; `None` before the first sample.
    pub fn rttvar(&self) -> Option<Duration> {
        self.smoothed.map(|s| s.rttvar)
    }

    /// Shortest of the session.
    pub fn min(&self) -> Option<Duration> {
        self.min
    }

    /// The newest sample.
    pub fn last(&self) -> Option<Duration> {
        self.history.back().copied()
    }

    /// The last samples, oldest first. Bound: 16.
    pub fn history(&self) -> impl ExactSizeIterator<Item = Duration> + '_ {
        self.history.iter().copied()
    }

    /// How many samples there were.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// After this long without a pong the peer is shown as late: max(2 s, srtt + 4 × rttvar). It ends nothing.
    pub fn late_after(&self) -> Duration {
        let timeout = self.smoothed.map_or(LATE_MIN, |s| s.srtt.saturating_add(s.rttvar.saturating_mul(4)));
        timeout.max(LATE_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smooths_as_rfc_6298() {
        let ms = Duration::from_millis;
        let mut rtt = Rtt::default();
        assert_eq!((rtt.srtt(), rtt.min(), rtt.late_after()), (None, None, ms(2000)));
        rtt.add(ms(80));
        assert_eq!((rtt.srtt(), rtt.rttvar()), (Some(ms(80)), Some(ms(40))));
        rtt.add(ms(160));
        // rttvar = 3/4 · 40 + 1/4 · |80 − 160| = 50; srtt = 7/8 · 80 + 1/8 · 160 = 90.
        assert_eq!((rtt.srtt(), rtt.rttvar()), (Some(ms(90)), Some(ms(50))));
        assert_eq!((rtt.min(), rtt.last(), rtt.samples()), (Some(ms(80)), Some(ms(160)), 2));
        rtt.add(Duration::MAX);
        for _ in 0..100 {
            rtt.add(ms(10));
        }
        assert_eq!(rtt.history().len(), HISTORY);
        assert_eq!(rtt.min(), Some(ms(10)));
    }
}
