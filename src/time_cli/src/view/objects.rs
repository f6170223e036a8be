//! Lists for people: coins, payments, and any list of objects.

use super::{CliView, FOR_PROGRAMS, at, items, left, number, raw, right, rows, sum};
use crate::table::Column;
use serde_json::{Map, Value};

impl CliView {
    /// A table of a list of objects; `None` for any other list. What is deeper than one level is left to `--json`.
    pub(crate) fn objects(&self, list: &[Value]) -> Option<String> {
        let objects = list.iter().map(Value::as_object).collect::<Option<Vec<_>>>()?;
        let is_flat = |name: &str| objects.iter().all(|object| !object.get(name).is_some_and(is_deep));
        let mut names: Vec<&str> = Vec::new();
        for name in objects.iter().flat_map(|object| object.keys().map(String::as_str)) {
            if !names.contains(&name) && is_flat(name) && !FOR_PROGRAMS.contains(&name) {
                names.push(name);
            }
        }
        let first = names.first()?;
        let column = |name: &&str| {
            let is_number = objects.iter().all(|object| object.get(*name).is_none_or(Value::is_number));
            (name.to_uppercase().replace('_', " "), is_number)
        };
        let heads: Vec<(String, bool)> = names.iter().map(column).collect();
        let columns: Vec<Column<'_>> = heads
            .iter()
            .zip(&names)
            .map(|((head, is_number), name)| {
                let column = if *is_number { right(head) } else { left(head) };
                if name == first { column } else { column.extra() }
            })
            .collect();
        let cell = |object: &Map<String, Value>, name: &str| self.field(name, object.get(name).unwrap_or(&Value::Null));
        let rows = objects.iter().map(|object| names.iter().map(|name| cell(object, name)).collect());
        Some(self.table(&columns, rows.collect(), ""))
    }

    /// `listtransactions`.
    pub(crate) fn history(&self, result: &Value) -> String {
        let rows = rows(result, |payment| {
            vec![
                format!("{} ago", self.age(number(at(payment, "time")))),
                raw(at(payment, "category")),
                raw(at(payment, "amount")),
                raw(at(payment, "label")),
                raw(at(payment, "txid")),
                raw(at(payment, "confirmations")),
                raw(at(payment, "address")),
            ]
        });
        let columns = [
            right("WHEN"),
            left("WHAT"),
            right("TIME"),
            left("LABEL").extra(),
            left("TRANSACTION"),
            right("CONFIRMATIONS").extra(),
            left("ADDRESS").extra(),
        ];
        self.table(&columns, rows, "no payments")
    }

    pub(crate) fn unspent(&self, result: &Value) -> String {
        let rows = rows(result, |u| {
            vec![
                format!("{}:{}", raw(at(u, "txid")), raw(at(u, "vout"))),
                raw(at(u, "amount")),
                raw(at(u, "confirmations")),
                raw(at(u, "state")),
                raw(at(u, "address")),
            ]
        });
        let columns = [
            left("OUTPUT"),
            right("TIME"),
            right("CONFIRMATIONS").extra(),
            left("STATE").extra(),
            left("ADDRESS").extra(),
        ];
        let count = rows.len();
        let mut text = self.table(&columns, rows, "no unspent outputs");
        if count > 1 {
            text.push_str(&format!("\n{count} outputs, together {} TIME\n", sum(items(result), "amount")));
        }
        text
    }
}

/// Whether there is more below.
fn is_deep(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(list) => list.iter().any(|item| item.is_object() || item.is_array()),
        _ => false,
    }
}
