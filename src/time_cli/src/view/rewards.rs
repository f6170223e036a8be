//! Rewards and penalties for people.

use super::{CliView, at, dash, items, left, line, number, raw, right, short};
use serde_json::Value;
use timed_primitives::Amount;

/// The name of a masternode, or the first digits of its id.
fn who(row: &Value) -> String {
    at(row, "name").as_str().map_or_else(|| short(at(row, "registration")), |_| raw(at(row, "name")))
}

/// How many of its heights it signed, or by how many witnesses it was reached.
fn signed(row: &Value) -> String {
    match (at(row, "expected"), at(row, "reached"), at(row, "witnesses")) {
        (Value::Null, Value::Null, _) => dash(),
        (Value::Null, reached, Value::Null) => format!("reached by {}", raw(reached)),
        (Value::Null, reached, witnesses) => format!("reached by {} of {}", raw(reached), raw(witnesses)),
        (expected, ..) => format!("{} of {}", raw(at(row, "signed")), raw(expected)),
    }
}

/// Whether an amount is above zero.
pub(super) fn is_some_money(amount: &Value) -> bool {
    raw(amount).parse::<Amount>().is_ok_and(|amount| amount > Amount::ZERO)
}

impl CliView {
    /// `getrewardreport`.
    pub(super) fn reward_report(&self, result: &Value) -> String {
        let Value::Object(map) = result else { return self.plain(result) };
        let mut text = String::new();
        for (name, value) in
            map.iter().filter(|(name, _)| !["masternodes", "free", "warned", "missing"].contains(&name.as_str()))
        {
            let value = match name.as_str() {
                "closes" | "pays" => format!("{} at the earliest", self.moment_to_come(number(value))),
                "time" => self.moment(number(value)),
                "emission" | "fees" | "treasury" => format!("{} TIME", raw(value)),
                _ => raw(value),
            };
            text.push_str(&self.named(&name.replace('_', " "), &value));
        }
        for name in ["warned", "missing"] {
            let ids: Vec<String> = items(at(result, name)).iter().map(short).collect();
            if !ids.is_empty() {
                text.push_str(&self.named(if name == "missing" { "to be jailed" } else { name }, &ids.join(", ")));
            }
        }
        let all = items(at(result, "masternodes")).iter().chain(items(at(result, "free")));
        let rows = all.map(|row| {
            let tier = if at(row, "tier").is_null() { "free".to_owned() } else { raw(at(row, "tier")) };
            vec![who(row), tier, signed(row), raw(at(row, "earned")), raw(at(row, "paid")), raw(at(row, "why"))]
        });
        let columns = [
            left("MASTERNODE"),
            left("TIER"),
            left("SIGNED"),
            right("EARNED").extra(),
            right("PAID (TIME)"),
            left("WHY NOT MORE").extra(),
        ];
        text.push('\n');
        text.push_str(&self.table(&columns, rows.collect(), "nobody took part yet"));
        text
    }

    /// `masternodewinners`.
    pub(crate) fn masternode_winners(&self, result: &Value) -> String {
        let mut rows = Vec::new();
        for interval in items(result) {
            for winner in items(at(interval, "winners")) {
                rows.push(vec![
                    raw(at(interval, "interval")),
                    raw(at(interval, "height")),
                    who(winner),
                    raw(at(winner, "tier")),
                    raw(at(winner, "paid")),
                    raw(at(winner, "why")),
                ]);
            }
        }
        let columns = [
            right("INTERVAL"),
            right("HEIGHT"),
            left("MASTERNODE"),
            left("TIER"),
            right("PAID (TIME)"),
            left("WHY NOT MORE").extra(),
        ];
        self.table(&columns, rows, "nobody was paid yet")
    }

    /// `masternoderewards`.
    pub(crate) fn masternode_rewards(&self, result: &Value) -> String {
        if !result.is_object() {
            return self.plain(result);
        }
        let rows = items(at(result, "rewards")).iter().map(|row| {
            vec![
                raw(at(row, "interval")),
                format!("{} ago", self.age(number(at(row, "time")))),
                signed(row),
                raw(at(row, "earned")),
                raw(at(row, "paid")),
                raw(at(row, "why")),
            ]
        });
        let columns = [
            right("INTERVAL"),
            right("WHEN"),
            left("SIGNED"),
            right("EARNED").extra(),
            right("PAID (TIME)"),
            left("WHY NOT MORE").extra(),
        ];
        let table = self.table(&columns, rows.collect(), "it was in none of them");
        format!(
            "{}{table}",
            line(&format!("{}: {} TIME in {}", who(result), raw(at(result, "paid")), intervals(result)))
        )
    }

    /// `masternodehistory`: an event in two lines, the reason below what happened.
    pub(crate) fn masternode_why(&self, result: &Value) -> String {
        if !result.is_object() {
            return self.plain(result);
        }
        let mut text = line(&format!("{}, {}, {}", who(result), raw(at(result, "status")), intervals(result)));
        if is_some_money(at(result, "penalty")) {
            text.push_str(&line(&self.bad(&format!("penalty: {} TIME", raw(at(result, "penalty"))))));
        }
        if at(result, "warned") == &Value::Bool(true) {
            text.push_str(&line(&self.bad("it is warned: the next time it signs too little it is jailed")));
        }
        let events = items(at(result, "events"));
        if events.is_empty() {
            text.push_str("nothing was missed and nothing is charged\n");
        }
        for event in events {
            let place = match (at(event, "interval"), at(event, "height")) {
                (Value::Null, Value::Null) => "at a height that is not known any more".to_owned(),
                (Value::Null, height) => format!("height {}", raw(height)),
                (interval, height) => format!("interval {}, height {}", raw(interval), raw(height)),
            };
            let when = match at(event, "time").as_u64() {
                Some(time) => format!(" ({} ago)", self.age(time)),
                None => String::new(),
            };
            let amount = match (at(event, "paid"), at(event, "charged")) {
                (Value::Null, Value::Null) => String::new(),
                (Value::Null, charged) => format!(", {} TIME charged", raw(charged)),
                (paid, _) => format!(", {} TIME", raw(paid)),
            };
            text.push_str(&line(&format!("{}{amount}: {place}{when}", self.bold(&raw(at(event, "event"))))));
            text.push_str(&line(&format!("  {}", raw(at(event, "reason")))));
        }
        text
    }

    /// What `masternodestatus` says of participation and rewards.
    pub(super) fn participation(&self, result: &Value) -> Vec<(&'static str, String)> {
        let all = at(result, "participation");
        if all.is_null() {
            return Vec::new();
        }
        let (open, assessed) = (at(all, "open"), at(all, "since_assessed"));
        let percent = at(assessed, "percent").as_f64().map_or_else(dash, |percent| format!("{percent:.1} %"));
        let mut pairs = vec![
            ("signed", format!("{} in interval {}, which is open", signed(open), raw(at(open, "interval")))),
            (
                "assessed",
                format!(
                    "{} since the last time ({percent}); {} % of {} or more are asked for",
                    signed(assessed),
                    raw(at(assessed, "least_percent")),
                    raw(at(assessed, "assessed_at"))
                ),
            ),
        ];
        if at(result, "warned") == &Value::Bool(true) {
            pairs.push(("warned", self.bad("yes: the next time it signs too little it is jailed")));
        }
        let penalty = at(result, "penalty");
        if is_some_money(penalty) {
            pairs.push(("penalty", self.bad(&format!("{} TIME, paid by the release", raw(penalty)))));
        }
        let last = at(result, "last_payment");
        pairs.push(match last {
            Value::Null => ("last paid", "not in the last 20 intervals".into()),
            last => ("last paid", format!("{} TIME for interval {}", raw(at(last, "paid")), raw(at(last, "interval")))),
        });
        let next = at(result, "next_payout");
        if !next.is_null() {
            let estimate = match at(next, "estimate") {
                Value::Null => String::new(),
                estimate => format!(", {} TIME as it looks now", raw(estimate)),
            };
            let when = self.moment_to_come(number(at(next, "time")));
            pairs.push(("next paid", format!("interval {} at {when}{estimate}", raw(at(next, "interval")))));
        }
        if let Value::String(why) = at(result, "not_paid_because") {
            pairs.push(("why not", self.bad(why)));
        }
        pairs
    }

    fn named(&self, name: &str, value: &str) -> String {
        line(&format!("{}  {value}", self.dim(&format!("{name:<12}"))))
    }
}

fn intervals(result: &Value) -> String {
    match (at(result, "first_interval"), at(result, "last_interval")) {
        (Value::Null, _) => "no interval is paid yet".into(),
        (first, last) => format!("intervals {} to {}", raw(first), raw(last)),
    }
}
