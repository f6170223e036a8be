//! Peers for people: who is connected, and why a session ended.

use super::{CliView, at, bytes, items, left, line, milliseconds, number, raw, right, rows, short, yes};
use serde_json::Value;
use std::time::Duration;

impl CliView {
    pub(crate) fn peers(&self, result: &Value) -> String {
        let rows = rows(result, |p| {
            vec![
                raw(at(p, "id")),
                raw(at(p, "addr")),
                if yes(p, "inbound") { "in" } else { "out" }.into(),
                short(at(p, "node_key")),
                short(at(p, "validator")),
                milliseconds(at(p, "pingtime")),
                milliseconds(at(p, "minping")),
                quiet(p),
                queue_age(p),
                raw(at(p, "height")),
                self.age(number(at(p, "conntime"))),
                bytes(number(at(p, "bytessent"))),
                bytes(number(at(p, "bytesrecv"))),
                raw(at(p, "subver")),
            ]
        });
        let columns = [
            right("ID"),
            left("ADDRESS"),
            left("DIR"),
            left("NODE KEY"),
            left("VALIDATOR").extra(),
            right("PING"),
            right("MIN").extra(),
            right("QUIET").extra(),
            right("QUEUE").extra(),
            right("HEIGHT").extra(),
            right("CONNECTED").extra(),
            right("SENT").extra(),
            right("RECEIVED").extra(),
            left("VERSION").extra(),
        ];
        self.table(&columns, rows, "no peers connected")
    }

    pub(super) fn pings(&self, result: &Value) -> String {
        let rows = rows(result, |p| {
            let rtt = at(p, "rtt");
            let answer = if rtt.is_null() { self.bad("no answer in time") } else { milliseconds(rtt) };
            vec![raw(at(p, "addr")), short(at(p, "node_key")), answer]
        });
        self.table(&[left("ADDRESS"), left("NODE KEY"), right("ROUND TRIP")], rows, "no peers connected")
    }

    pub(super) fn bans(&self, result: &Value) -> String {
        let rows = rows(result, |b| {
            let left = Duration::from_secs(number(at(b, "time_remaining")));
            vec![raw(at(b, "node_key")), humantime::format_duration(left).to_string(), raw(at(b, "reason"))]
        });
        self.table(&[left("NODE KEY"), right("TIME LEFT"), left("REASON")], rows, "nobody is banned")
    }

    /// A line for each end of a session, the newest first.
    pub(crate) fn peer_history(&self, result: &Value) -> String {
        let rows = rows(result, |end| {
            vec![
                format!("{} ago", self.age(number(at(end, "ended")))),
                raw(at(end, "addr")),
                short(at(end, "node_key")),
                if yes(end, "inbound") { "in" } else { "out" }.into(),
                seconds(at(end, "uptime")),
                raw(at(end, "why")),
            ]
        });
        let columns = [
            right("ENDED"),
            left("ADDRESS"),
            left("NODE KEY").extra(),
            left("DIR").extra(),
            right("WAS UP").extra(),
            left("WHY"),
        ];
        self.table(&columns, rows, "no session has ended")
    }

    /// The newest end, with everything that is known of it.
    pub(crate) fn peer_why(&self, result: &Value) -> String {
        let Some(end) = items(result).first() else {
            return "no session with this peer has ended since the node started\n".into();
        };
        let direction = if yes(end, "inbound") { "inbound" } else { "outbound" };
        let mut text = line(&format!("{} ({direction}, node key {})", raw(at(end, "addr")), raw(at(end, "node_key"))));
        text.push_str(&line(&format!("ended {}: {}", self.moment(number(at(end, "ended"))), raw(at(end, "why")))));
        let silent = seconds(at(end, "silent"));
        text.push_str(&line(&format!("was up for {}; nothing had come for {silent}", seconds(at(end, "uptime")))));
        let rtts: Vec<String> = items(at(end, "rtt")).iter().map(milliseconds).collect();
        let rtts = if rtts.is_empty() { "none measured".into() } else { rtts.join(", ") };
        text.push_str(&line(&format!("last round trips: {rtts}")));
        for queue in items(at(end, "queues")).iter().filter(|queue| number(at(queue, "bytes")) > 0) {
            let (lane, size) = (raw(at(queue, "lane")), bytes(number(at(queue, "bytes"))));
            text.push_str(&line(&format!(
                "waiting in lane {lane}: {size}, the oldest for {}",
                seconds(at(queue, "age"))
            )));
        }
        for message in items(at(end, "last_messages")) {
            let verb = if yes(message, "sent") { "sent" } else { "received" };
            let (kind, size) = (raw(at(message, "kind")), bytes(number(at(message, "bytes"))));
            text.push_str(&line(&format!("{} before: {verb} {kind}, {size}", seconds(at(message, "before_end")))));
        }
        text
    }
}

/// The longest silence beside the longest that is allowed.
fn quiet(peer: &Value) -> String {
    match (at(peer, "silencemax").as_f64(), at(peer, "deadline").as_f64()) {
        (Some(longest), Some(deadline)) => format!("{longest:.1}/{deadline:.0} s"),
        _ => super::dash(),
    }
}

/// How long the oldest message of any lane has waited to be sent.
fn queue_age(peer: &Value) -> String {
    let oldest =
        items(at(peer, "lanes")).iter().filter_map(|lane| at(lane, "queueage").as_f64()).max_by(f64::total_cmp);
    oldest.map_or_else(super::dash, |age| milliseconds(&age.into()))
}

/// A span with as many digits as matter.
fn seconds(value: &Value) -> String {
    match value.as_f64() {
        Some(span @ 0.0..60.0) => format!("{span:.3} s"),
        Some(span) if span.is_finite() && span >= 60.0 => super::duration(span as u64),
        _ => super::dash(),
    }
}
