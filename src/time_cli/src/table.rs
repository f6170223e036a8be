//! Columns without lines around them, as wide as their content: easy to read, to cut and to grep. On a terminal that is too narrow for all,
//! those that matter least are left out, and named.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use console::measure_text_width;

/// Least that is left of a text that is shortened. Unit: columns.
const LEAST: usize = 9;

/// A column: its heading and side.
#[derive(Clone, Copy)]
pub struct Column<'a> {
    head: &'a str,
    side: CellAlignment,
    is_extra: bool,
}

impl Column<'_> {
    /// The column, which may be left out where there is no room.
    pub const fn extra(self) -> Self {
        Self { is_extra: true, ..self }
    }
}

/// A column of text.
pub const fn left(head: &str) -> Column<'_> {
    Column { head, side: CellAlignment::Left, is_extra: false }
}

/// A column of numbers.
pub const fn right(head: &str) -> Column<'_> {
    Column { head, side: CellAlignment::Right, is_extra: false }
}

/// The table; `bold` paints headings. Extra columns are left out from the right until it fits in `width` columns of a terminal; if that does not
/// suffice, the widest column of text is shortened.
pub fn table(
    columns: &[Column<'_>],
    rows: &[Vec<String>],
    width: Option<usize>,
    bold: impl Fn(&str) -> String,
) -> String {
    let (mut shown, mut left_out) = ((0..columns.len()).collect::<Vec<_>>(), Vec::new());
    loop {
        let text = lines(columns, &shown, rows, &bold);
        let wide = text.lines().map(measure_text_width).max().unwrap_or_default();
        let extra = shown.iter().rposition(|&i| columns.get(i).is_some_and(|c| c.is_extra));
        match (width.filter(|width| wide > *width), extra) {
            (None, _) => return format!("{text}{}", note(&left_out, false)),
            (Some(_), Some(at)) => left_out.extend(columns.get(shown.remove(at)).map(|column| column.head)),
            (Some(width), None) => {
                let rows = shortened(columns, &shown, rows, wide - width);
                return format!("{}{}", lines(columns, &shown, &rows, &bold), note(&left_out, true));
            }
        }
    }
}

/// What is not shown, and how to see it.
fn note(left_out: &[&str], is_shortened: bool) -> String {
    let heads: Vec<&str> = left_out.iter().rev().copied().collect();
    let what = match (heads.is_empty(), is_shortened) {
        (true, false) => return String::new(),
        (true, true) => "shortened to fit".to_owned(),
        (false, _) => format!("no room for {}", heads.join(", ")),
    };
    format!("({what}; a wider terminal or --json shows all)\n")
}

/// The rows with the widest column of text narrower by so many columns, as far as at least [`LEAST`] are left: what says more than a word loses
/// its end, an id its middle.
fn shortened(columns: &[Column<'_>], shown: &[usize], rows: &[Vec<String>], by: usize) -> Vec<Vec<String>> {
    let wide = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| measure_text_width(cell)).max().unwrap_or_default()
    };
    let is_text = |column: &usize| columns.get(*column).is_some_and(|c| matches!(c.side, CellAlignment::Left));
    let widest = shown.iter().copied().filter(is_text).max_by_key(|column| wide(*column));
    let mut rows = rows.to_vec();
    let Some(column) = widest else { return rows };
    let room = wide(column).saturating_sub(by).max(LEAST);
    for cell in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
        let count = cell.chars().count();
        if count <= room || measure_text_width(cell) != count {
            continue;
        }
        let tail = if cell.contains(' ') { 0 } else { (room - 1) / 2 };
        let head: String = cell.chars().take(room - 1 - tail).collect();
        *cell = format!("{head}…{}", cell.chars().skip(count - tail).collect::<String>());
    }
    rows
}

fn lines(columns: &[Column<'_>], shown: &[usize], rows: &[Vec<String>], bold: impl Fn(&str) -> String) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let heads = shown.iter().filter_map(|&i| columns.get(i));
    table.set_header(heads.map(|c| Cell::new(bold(c.head)).set_alignment(c.side)));
    for row in rows {
        let cells = shown.iter().filter_map(|&i| row.get(i).zip(columns.get(i)));
        table.add_row(cells.map(|(text, c)| Cell::new(text).set_alignment(c.side)));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if i + 1 == shown.len() { 0 } else { 2 }));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_least_is_left_out_and_named() {
        let columns = [right("ID"), left("ADDRESS"), right("SENT").extra(), left("VERSION").extra()];
        let rows = [vec!["1".into(), "127.0.0.1:7000".into(), "4.0 KiB".into(), "/timed:0.1.0/".into()]];
        let whole = "ID  ADDRESS            SENT  VERSION\n 1  127.0.0.1:7000  4.0 KiB  /timed:0.1.0/\n";
        let shown = |width| table(&columns, &rows, width, str::to_owned);
        assert_eq!((shown(None).as_str(), shown(Some(42)).as_str()), (whole, whole));
        assert_eq!(
            shown(Some(41)),
            "ID  ADDRESS            SENT\n 1  127.0.0.1:7000  4.0 KiB\n\
             (no room for VERSION; a wider terminal or --json shows all)\n"
        );
        let least =
            "ID  ADDRESS\n 1  127.0.0.1:7000\n(no room for SENT, VERSION; a wider terminal or --json shows all)\n";
        assert_eq!(shown(Some(26)), least);
        let cut = "ID  ADDRESS\n 1  127.…7000\n(no room for SENT, VERSION; a wider terminal or --json shows all)\n";
        assert_eq!((shown(Some(13)).as_str(), shown(Some(1)).as_str()), (cut, cut));
    }

    #[test]
    fn what_must_be_there_is_shortened() {
        let columns = [right("ID"), left("WHY")];
        let check = |text: &str, width, expected: &str| {
            let rows = [vec!["1".into(), text.into()], vec!["2".into(), "short".into()]];
            let shown = table(&columns, &rows, Some(width), str::to_owned);
            let note = "(shortened to fit; a wider terminal or --json shows all)\n";
            assert_eq!(shown, format!("ID  WHY\n 1  {expected}\n 2  short\n{note}"));
        };
        check("we closed: it was banned", 20, "we closed: it w…");
        check("0123456789abcdef:15", 20, "01234567…cdef:15");
    }
}
