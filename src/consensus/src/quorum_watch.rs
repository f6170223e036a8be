//! When the operator hears that the connected validators are no quorum, and that they are again.

use crate::messages::Output;
use std::time::Duration;
use timed_primitives::Instant;

/// What is over sooner is no news: peers are gone for a moment at every start, when two sessions with one become one, and while a node ends.
const GRACE: Duration = Duration::from_secs(1);

/// What was found, and what of it was reported.
///
/// | state | event | next state | reported |
/// |---|---|---|---|
/// | quorum | it is lost | lost, since now | - |
/// | lost | it is back | quorum | - |
/// | lost | [`GRACE`] has passed | known to be lost | which validators are missing |
/// | known to be lost | others are missing | the same | which |
/// | known to be lost | it is back | quorum | that it is back |
#[derive(Debug)]
pub(crate) struct QuorumWatch {
    /// Whether who is connected or who votes may have changed since the last look: not for every vote.
    pub(crate) is_stale: bool,
    lost: Option<QuorumLoss>,
}

#[derive(Debug)]
struct QuorumLoss {
    since: Instant,
    /// Who is missing.
    line: String,
    is_reported: bool,
}

impl Default for QuorumWatch {
    fn default() -> Self {
        Self { is_stale: true, lost: None }
    }
}

impl QuorumWatch {
    /// To be called after every input, of which one comes each second. `line`: when that may have changed, who is missing, if anybody is.
    pub(crate) fn look(&mut self, now: Instant, line: Option<Option<String>>) -> Option<Output> {
        self.is_stale &= line.is_none();
        match (line, &mut self.lost) {
            (Some(None), lost) => return lost.take().filter(|lost| lost.is_reported).map(|_| Output::QuorumBack),
            (Some(Some(line)), Some(lost)) => {
                lost.is_reported &= lost.line == line;
                lost.line = line;
            }
            (Some(Some(line)), lost @ None) => *lost = Some(QuorumLoss { since: now, line, is_reported: false }),
            (None, _) => {}
        }
        let due = self.lost.as_mut().filter(|lost| !lost.is_reported && now.since(lost.since) >= GRACE)?;
        due.is_reported = true;
        Some(Output::QuorumLost { line: due.line.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at so many milliseconds, with what is found: nothing new, a quorum, or who is missing.
    fn reports(looks: &[(u64, Option<Option<&str>>)]) -> Vec<(u64, String)> {
        let mut watch = QuorumWatch::default();
        let look = |(ms, line): &(u64, Option<Option<&str>>)| {
            let line = line.map(|line| line.map(str::to_owned));
            let said = match watch.look(Instant(ms * 1_000), line)? {
                Output::QuorumLost { line } => line,
                _ => "back".into(),
            };
            Some((*ms, said))
        };
        looks.iter().filter_map(look).collect()
    }

    #[test]
    fn what_lasts_a_second_is_reported_once_and_again_when_others_are_missing() {
        let (quorum, lost) = (Some(None), |who| Some(Some(who)));
        let moments = [(0, lost("a")), (500, quorum), (600, lost("a")), (1_500, None), (1_599, quorum), (9_000, None)];
        assert_eq!(reports(&moments), []);
        let lasting = [(0, lost("a")), (900, lost("b")), (1_000, None), (2_000, None), (3_000, lost("b"))];
        assert_eq!(reports(&lasting), [(1_000, "b".into())]);
        let changing =
            [(0, lost("a")), (1_200, None), (1_300, lost("b")), (1_400, quorum), (1_500, lost("b")), (2_000, None)];
        assert_eq!(reports(&changing), [(1_200, "a".into()), (1_300, "b".into()), (1_400, "back".into())]);
    }
}
