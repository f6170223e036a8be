//! One crash point, and how it is written.

use crate::gate::Crash;
use std::fmt;
use std::str::FromStr;

/// Where the validator crashes, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    /// In its first life or in its second.
    pub life: u8,
    /// Which event of that life does not happen any more, or only in part. From 1.
    pub event: u64,
    /// How. The second time it is drawn.
    pub crash: Crash,
    /// The event of the life after it at which it crashes again. From 1.
    pub again_at: Option<u64>,
}

impl CrashPoint {
    /// How it crashes again. What the system still had after the end of a process may be lost with its machine.
    pub(crate) fn crash_again(self, seed: u64) -> Crash {
        if self.fate(seed) >> 32 & 1 == 0 { Crash::Process } else { Crash::Power }
    }

    /// What the crash tears and loses is drawn from this.
    pub(crate) fn fate(self, seed: u64) -> u64 {
        let hash = blake3::hash(format!("{seed} {}/{}/{}", self.life, self.event, kind(self.crash)).as_bytes());
        hash.as_bytes().iter().take(8).fold(0, |fate, byte| fate << 8 | u64::from(*byte))
    }
}

const fn kind(crash: Crash) -> &'static str {
    match crash {
        Crash::Process => "process",
        Crash::Power => "power",
    }
}

impl fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.life, self.event, kind(self.crash))?;
        self.again_at.map_or(Ok(()), |again_at| write!(f, "/{again_at}"))
    }
}

/// Not a crash point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no crash point; say life/event/process or life/event/power, and perhaps /event of a second crash: 2/317/power/40"
)]
pub struct UnknownPoint(String);

impl FromStr for CrashPoint {
    type Err = UnknownPoint;

    fn from_str(text: &str) -> Result<Self, UnknownPoint> {
        let number = |part: &str| part.parse().ok().filter(|number| *number > 0);
        let read = || {
            let mut parts = text.split('/');
            let life = parts.next()?.parse().ok().filter(|life| [1, 2].contains(life))?;
            let event = number(parts.next()?)?;
            let name = parts.next()?;
            let crash = [Crash::Process, Crash::Power].into_iter().find(|crash| kind(*crash) == name)?;
            let again_at = parts.next().map(number).map_or(Some(None), |again| again.map(Some))?;
            parts.next().is_none().then_some(CrashPoint { life, event, crash, again_at })
        };
        read().ok_or_else(|| UnknownPoint(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_read_as_they_are_shown_and_nothing_else_is() {
        for text in ["1/1/process", "2/317/power", "2/317/power/40"] {
            assert_eq!(text.parse::<CrashPoint>().unwrap().to_string(), text);
        }
        for text in ["", "3/1/power", "1/0/power", "1/1/flood", "1/1", "1/1/power/0", "1/1/power/1/1"] {
            assert!(text.parse::<CrashPoint>().is_err(), "{text}");
        }
        let fates = ["1/1/process", "1/1/power", "1/2/power"].map(|text| text.parse::<CrashPoint>().unwrap().fate(1));
        assert!(fates[0] != fates[1] && fates[1] != fates[2]);
    }
}
