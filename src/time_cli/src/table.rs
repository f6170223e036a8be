//! Columns without lines around them, as wide as their content: easy to read, to cut and to grep.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

/// A column: its heading and side.
#[derive(Clone, Copy)]
pub struct Column {
    head: &'static str,
    side: CellAlignment,
}

/// A column of text.
pub const fn left(head: &'static str) -> Column {
    Column { head, side: CellAlignment::Left }
}

/// A column of numbers.
pub const fn right(head: &'static str) -> Column {
    Column { head, side: CellAlignment::Right }
}

/// The table; `bold` paints headings.
pub fn table(columns: &[Column], rows: Vec<Vec<String>>, bold: impl Fn(&str) -> String) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|c| Cell::new(bold(c.head)).set_alignment(c.side)));
    for row in rows {
        table.add_row(row.into_iter().zip(columns).map(|(text, c)| Cell::new(text).set_alignment(c.side)));
    }
    let last = columns.len();
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if i + 1 == last { 0 } else { 2 }));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
