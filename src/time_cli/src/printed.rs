//! Answers as they may be printed: no text of others moves a cursor or forges a line.

use serde_json::Value;
use timed_primitives::printable;

/// Control characters that JSON allows as they are, such as those of U+0080 to U+009F, become its escapes as well: a terminal may show this.
pub(crate) fn json(value: &Value) -> String {
    printable_lines(&format!("{value:#}\n"))
}

/// The same in one line.
pub(crate) fn line(value: &Value) -> String {
    printable(&value.to_string()).into_owned()
}

/// A text of others in one line.
pub(crate) fn one_line(text: &str) -> String {
    printable(text.lines().next().unwrap_or_default()).into_owned()
}

/// Keeps the line feeds that are ours.
pub(crate) fn printable_lines(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => format!("{}\n", printable(line)),
            None => printable(line).into_owned(),
        })
        .collect()
}

/// The same value with texts that a terminal can be shown: agents, addresses and errors come from others.
pub(crate) fn fit_to_show(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(printable(&text).into_owned()),
        Value::Array(list) => Value::Array(list.into_iter().map(fit_to_show).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter().map(|(name, value)| (printable(&name).into_owned(), fit_to_show(value))).collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}
