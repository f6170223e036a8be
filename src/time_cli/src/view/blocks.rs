//! Blocks and transactions for people.

use super::{CliView, at, bytes, items, left, line, number, raw, right, rows, short, sum};
use serde_json::Value;
use timed_primitives::counted;

impl CliView {
    pub(crate) fn block(&self, result: &Value) -> String {
        let Value::Object(map) = result else { return self.plain(result) };
        let mut text = self.pairs(map, &["tx", "certificate"]);
        let signatures = items(at(at(result, "certificate"), "signatures"));
        if !signatures.is_empty() {
            let keys: Vec<String> = signatures.iter().map(|s| short(at(s, "validator"))).collect();
            let round = raw(at(at(result, "certificate"), "round"));
            text.push_str(&format!(
                "\nfinal by {} of round {round}: {}\n",
                counted(keys.len(), "precommit"),
                keys.join(", ")
            ));
        }
        let transactions = items(at(result, "tx"));
        if transactions.iter().any(Value::is_object) {
            text.push('\n');
            text.push_str(&self.transactions(transactions));
        } else if !transactions.is_empty() {
            text.push_str(&format!("\n{}\n", self.bold("TRANSACTIONS")));
            text.extend(transactions.iter().map(|id| line(&raw(id))));
        }
        text
    }

    fn transactions(&self, transactions: &[Value]) -> String {
        let rows = transactions.iter().map(|t| {
            let outputs = items(at(t, "vout"));
            vec![
                raw(at(t, "txid")),
                bytes(number(at(t, "size"))),
                items(at(t, "vin")).len().to_string(),
                outputs.len().to_string(),
                sum(outputs, "value"),
            ]
        });
        let columns = [
            left("TRANSACTION"),
            right("SIZE").extra(),
            right("INPUTS").extra(),
            right("OUTPUTS").extra(),
            right("SUM (TIME)").extra(),
        ];
        self.table(&columns, rows.collect(), "no transactions")
    }

    pub(crate) fn transaction(&self, result: &Value) -> String {
        let Value::Object(map) = result else { return self.plain(result) };
        let mut text = self.pairs(map, &["vin", "vout", "hex", "hash", "time"]);
        let inputs = rows(at(result, "vin"), |i| {
            vec![format!("{}:{}", raw(at(i, "txid")), raw(at(i, "vout"))), short(at(i, "key"))]
        });
        let outputs = rows(at(result, "vout"), |o| vec![raw(at(o, "n")), raw(at(o, "value")), raw(at(o, "address"))]);
        text.push('\n');
        text.push_str(&self.table(&[left("SPENDS"), left("SIGNED BY")], inputs, "spends nothing"));
        text.push('\n');
        text.push_str(&self.table(&[right("N"), right("TIME"), left("PAYS TO")], outputs, "pays nothing"));
        text
    }
}
