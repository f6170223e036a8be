//! Text from outside, made fit for a line of a log or a cell of a table.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with every character written as `\n`, `\t`, `\r` or `\u001b` that a terminal would obey or that would end a line: control
/// characters, line and paragraph separators, and those that change the direction of what is shown.
///
/// The escapes are those of JSON strings. A text without such characters is returned as it is.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            // All of them are below 0x10000.
            c if !is_harmless(c) => drop(write!(shown, "\\u{:04x}", u32::from(c))),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

fn is_harmless(c: char) -> bool {
    // Separators of lines and paragraphs, and the controls of writing direction (Unicode TR 9), which can make a text show another's end.
    !(c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}'))
}

/// A number of things, as people say it: `1 block`, `2 blocks`. The plural of `noun` must end in `s` alone.
pub fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    // What does not fit is more than one.
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!([0_u64, 1, 2].map(|n| counted(n, "block")), ["0 blocks", "1 block", "2 blocks"]);
        assert_eq!(counted(1_usize, "masternode"), "1 masternode");
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_not_obeyed() {
        let cases = [
            ("timed/0.1 ✅ ünï 127.0.0.1:7001", "timed/0.1 ✅ ünï 127.0.0.1:7001"),
            ("x\n2026-11-28 INFO forged", "x\\n2026-11-28 INFO forged"),
            ("a\r\tb", "a\\r\\tb"),
            ("\u{1b}[2J\u{7}\u{0}\u{7f}", "\\u001b[2J\\u0007\\u0000\\u007f"),
            ("\u{9b}31m", "\\u009b31m"),
            ("\u{2028}\u{202e}gpj.exe", "\\u2028\\u202egpj.exe"),
        ];
        for (given, expected) in cases {
            assert_eq!(printable(given), expected, "{given:?}");
        }
        assert!(matches!(printable("plain"), Cow::Borrowed(_)));
    }
}
