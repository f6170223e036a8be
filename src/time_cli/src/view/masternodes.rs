//! Masternodes for people.

use super::rewards::is_some_money;
use super::{CliView, at, dash, items, left, line, number, raw, right, rows, short, yes};
use crate::table::Column;
use serde_json::Value;

impl CliView {
    /// `masternodelist`: a list, or an object by collateral.
    pub(crate) fn masternodes(&self, result: &Value) -> String {
        let listed: Vec<Value>;
        let result = match result {
            Value::Object(map) if map.values().all(Value::is_object) => {
                listed = map.values().cloned().collect();
                &Value::Array(listed)
            }
            Value::Object(_) => return self.plain(result),
            result => result,
        };
        // Of most networks nobody is charged anything.
        let has_penalties = items(result).iter().any(|m| is_some_money(at(m, "penalty")));
        let rows = rows(result, |m| {
            let name = raw(at(m, "name"));
            let mut row = vec![
                short(at(m, "registration")),
                if yes(m, "is_self") { format!("{name} (this)") } else { name },
                raw(at(m, "status")),
                raw(at(m, "tier")),
                raw(at(m, "power")),
                self.flag(m, "connected"),
                raw(at(m, "service")),
                at(m, "signed_percent").as_f64().map_or_else(dash, |p| format!("{p:.0} %")),
            ];
            row.extend(has_penalties.then(|| raw(at(m, "penalty"))));
            row
        });
        let mut columns: Vec<Column<'_>> = vec![
            left("MASTERNODE"),
            left("NAME").extra(),
            left("STATUS"),
            left("TIER"),
            right("POWER"),
            left("PEER").extra(),
            left("ADDRESS"),
            right("SIGNED").extra(),
        ];
        columns.extend(has_penalties.then(|| right("PENALTY").extra()));
        self.table(&columns, rows, "no masternodes")
    }

    /// `masternodestatus`.
    pub(crate) fn masternode_status(&self, result: &Value) -> String {
        if !result.is_object() {
            return self.plain(result);
        }
        let place = match at(result, "place") {
            Value::Null => "none: it has no claim to vote".into(),
            place => {
                format!("{} of {} with a claim to vote; the first 150 do", raw(place), raw(at(result, "candidates")))
            }
        };
        let power = format!(
            "{} now, {} two heights on (the tier has {})",
            raw(at(result, "power")),
            raw(at(result, "effective_power")),
            raw(at(result, "tier_power"))
        );
        let mut pairs = vec![
            ("masternode", raw(at(result, "registration"))),
            ("status", format!("{}, {}", raw(at(result, "status")), raw(at(result, "tier")))),
            ("to do", raw(at(result, "advice"))),
            ("power", power),
            ("place", place),
            ("operator", raw(at(result, "key"))),
            ("owner", raw(at(result, "owner"))),
            ("collateral", raw(at(result, "collateral"))),
            ("service", raw(at(result, "service"))),
        ];
        pairs.extend(self.participation(result));
        for payee in items(at(result, "payees")) {
            let share = number(at(payee, "share"));
            let percent = format!("{}.{:02} %", share / 100, share % 100);
            pairs.push(("payee", format!("{percent} to {}", raw(at(payee, "address")))));
        }
        pairs.push(("registered", format!("at height {}", raw(at(result, "registered_height")))));
        if !at(result, "exit_height").is_null() {
            pairs.push(("exit", format!("at height {}", raw(at(result, "exit_height")))));
            pairs.push(("release", self.moment_to_come(number(at(result, "release_time")))));
        }
        pairs.iter().map(|(name, value)| line(&format!("{}  {value}", self.dim(&format!("{name:<10}"))))).collect()
    }

    /// `getmasternodeproof`: what is proved; the proof itself is for programs.
    pub(crate) fn masternode_proof(&self, result: &Value) -> String {
        let Value::Object(map) = result else { return self.plain(result) };
        self.pairs(map, &["proof", "entry_hex", "path", "header", "certificate"])
    }
}
