//! Lines that a terminal is too narrow for, broken between words.

use console::measure_text_width;

/// Indent where the value of a line with a name does not fit beside it. Unit: columns.
const BELOW: usize = 2;

/// The text with no line wider than the terminal, as far as its words allow: an id stays whole, so that it can be copied. What belongs to a name
/// stays beside it. Tables fit already, see [`crate::table`].
pub(crate) fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let mut fitted = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let bare = line.strip_suffix('\n').unwrap_or(line);
        if measure_text_width(bare) <= width {
            fitted.push_str(line);
        } else {
            wrap_line(bare, width, &mut fitted);
            fitted.push_str(&line[bare.len()..]);
        }
    }
    fitted
}

fn wrap_line(line: &str, width: usize, into: &mut String) {
    let (name, value) = line.split_at(value_at(line, width));
    let indent = measure_text_width(name);
    into.push_str(name);
    let (mut used, mut is_first) = (indent, true);
    for word in value.split(' ') {
        let wide = measure_text_width(word);
        // What begins the line has no better place below.
        if used + wide + usize::from(!is_first) <= width || (is_first && name.is_empty()) {
            into.push_str(if is_first { "" } else { " " });
            used += wide + usize::from(!is_first);
        } else {
            let indent = if indent + wide <= width { indent } else { BELOW };
            let trimmed = into.trim_end_matches(' ').len();
            into.truncate(trimmed);
            into.push('\n');
            into.push_str(&" ".repeat(indent));
            used = indent + wide;
        }
        into.push_str(word);
        is_first = false;
    }
}

/// Where the value begins in a line of name and value; 0 in any other line.
fn value_at(line: &str, width: usize) -> usize {
    let ends = line.match_indices("  ").map(|(at, spaces)| at + spaces.len());
    let is_value = |at: &usize| {
        let (name, value) = line.split_at(*at);
        !value.starts_with(' ') && !value.is_empty() && measure_text_width(name) <= width / 2
    };
    ends.filter(is_value).last().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, width: usize, expected: &str) {
        assert_eq!(wrapped(text, Some(width)), expected, "{text:?} in {width} columns");
    }

    #[test]
    fn words_go_to_the_next_line_and_stay_beside_their_name() {
        check("short\n", 5, "short\n");
        check("one two three", 8, "one two\nthree");
        check("name    one two three\nx\n", 16, "name    one two\n        three\nx\n");
        check("nm  0123456789\n", 12, "nm\n  0123456789\n");
        check("id  012345678901234567890123\n", 20, "id\n  012345678901234567890123\n");
        check("012345678901234567890123 ab\n", 20, "012345678901234567890123\nab\n");
        assert_eq!(wrapped("name    one two three\n", None), "name    one two three\n");
    }

    #[test]
    fn colours_take_no_room() {
        let line = "\x1b[2mname  \x1b[0m  \x1b[31mone two three\x1b[0m\n";
        check(line, 21, line);
        check(line, 16, "\x1b[2mname  \x1b[0m  \x1b[31mone two\n        three\x1b[0m\n");
    }
}
