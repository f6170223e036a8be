//! Columns without lines around them, as wide as their content: easy to read, to cut and to grep. On a terminal that is too narrow for all,
//! those that matter least are left out, and named.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use console::measure_text_width;

/// A column: its heading and side.
#[derive(Clone, Copy)]
pub struct Column {
    head: &'static str,
    side: CellAlignment,
    is_extra: bool,
}

impl Column {
    /// The column, which may be left out where there is no room.
    pub const fn extra(self) -> Self {
        Self { is_extra: true, ..self }
    }
}

/// A column of text.
pub const fn left(head: &'static str) -> Column {
    Column { head, side: CellAlignment::Left, is_extra: false }
}

/// A column of numbers.
pub const fn right(head: &'static str) -> Column {
    Column { head, side: CellAlignment::Right, is_extra: false }
}

/// The table; `bold` paints headings. Extra columns are left out from the right until it fits in `width` columns of a terminal.
pub fn table(columns: &[Column], rows: &[Vec<String>], width: Option<usize>, bold: impl Fn(&str) -> String) -> String {
    let (mut shown, mut left_out) = ((0..columns.len()).collect::<Vec<_>>(), Vec::new());
    loop {
        let text = lines(columns, &shown, rows, &bold);
        let fits = width.is_none_or(|width| text.lines().all(|line| measure_text_width(line) <= width));
        let extra = shown.iter().rposition(|&i| columns.get(i).is_some_and(|c| c.is_extra));
        match extra.filter(|_| !fits) {
            Some(at) => left_out.extend(columns.get(shown.remove(at)).map(|column| column.head)),
            None if left_out.is_empty() => return text,
            None => {
                left_out.reverse();
                return format!("{text}(no room for {}; a wider terminal or --json shows them)\n", left_out.join(", "));
            }
        }
    }
}

fn lines(columns: &[Column], shown: &[usize], rows: &[Vec<String>], bold: impl Fn(&str) -> String) -> String {
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
             (no room for VERSION; a wider terminal or --json shows them)\n"
        );
        let least =
            "ID  ADDRESS\n 1  127.0.0.1:7000\n(no room for SENT, VERSION; a wider terminal or --json shows them)\n";
        assert_eq!((shown(Some(26)).as_str(), shown(Some(1)).as_str()), (least, least));
    }
}
