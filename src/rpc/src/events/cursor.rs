//! Where in the chain a subscription is: what a client that comes back names.

use serde_json::Value;
use std::fmt;
use timed_primitives::Height;

/// The last thing of the chain that a subscription was sent, or that did not concern it.
///
/// Shown as `HEIGHT-INDEX`, or `HEIGHT` for all of a block. The same for every subscription of a topic, and on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EventCursor {
    pub(crate) height: Height,
    /// Position in the block, from 0.
    pub(crate) index: u32,
}

/// All of a block.
const WHOLE: u32 = u32::MAX;

impl EventCursor {
    /// All of a block.
    pub(crate) const fn of_block(height: Height) -> Self {
        Self { height, index: WHOLE }
    }

    /// As clients write it: a height, or the text of a cursor.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
        match value {
            Value::Number(height) => Some(Self::of_block(Height(height.as_u64()?))),
            Value::String(text) => match text.split_once('-') {
                None => Some(Self::of_block(Height(number(text)?))),
                Some((height, index)) => {
                    let index = u32::try_from(number(index)?).ok()?;
                    Some(Self { height: Height(number(height)?), index })
                }
            },
            _ => None,
        }
    }

    /// The first block that may hold what comes after it.
    pub(crate) fn next_block(self) -> Height {
        if self.index == WHOLE { self.height.next() } else { self.height }
    }
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            WHOLE => write!(f, "{}", self.height),
            index => write!(f, "{}-{index}", self.height),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cursor_is_read_as_it_is_shown() {
        let read = |value: Value| EventCursor::read(&value);
        for cursor in [
            EventCursor { height: Height(12), index: 3 },
            EventCursor::of_block(Height(12)),
            EventCursor::of_block(Height(0)),
        ] {
            assert_eq!(read(json!(cursor.to_string())), Some(cursor));
        }
        assert_eq!(read(json!(12)), read(json!("12")));
        for bad in [json!(""), json!("-"), json!("1-"), json!("-1"), json!("1-2-3"), json!("+1"), json!(-1), json!(1.5)]
        {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
        assert_eq!(EventCursor { height: Height(12), index: 3 }.next_block(), Height(12));
        assert_eq!(EventCursor::of_block(Height(12)).next_block(), Height(13));
        assert!(EventCursor { height: Height(12), index: 3 } < EventCursor::of_block(Height(12)));
    }
}
