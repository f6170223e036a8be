//! Events for people.

use serde_json::Value;

/// An event for people.
pub(super) fn shown(event: &Value) -> String {
    let text = |name: &str| match &event[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (height, topic, state) = (text("height"), text("topic"), text("state"));
    let rest = match (topic.as_str(), state.as_str()) {
        (_, "caught_up") => return format!("{height}  {topic}  all that was and is there has been shown"),
        ("blocks", _) => {
            let block = &event["block"];
            let count = block["nTx"].as_u64().unwrap_or_default();
            format!(
                "{}  {count} transaction{}",
                block["hash"].as_str().unwrap_or_default(),
                if count == 1 { "" } else { "s" }
            )
        }
        ("payments", _) => {
            let addresses = |name: &str| {
                let all = event[name].as_array().into_iter().flatten().filter_map(|one| one["address"].as_str());
                all.collect::<Vec<_>>().join(", ")
            };
            let (to, from, why) = (addresses("received"), addresses("spent"), text("why"));
            let mut rest = format!("{}  {} TIME", text("txid"), text("amount"));
            for (word, what) in [("to", to), ("from", from), ("because", why)] {
                if !what.is_empty() {
                    rest.push_str(&format!("  {word} {what}"));
                }
            }
            rest
        }
        ("outputs", _) => {
            let by = text("by");
            let by = if by.is_empty() { by } else { format!("  by {by}") };
            format!("{}:{}{by}", text("txid"), text("vout"))
        }
        ("peers", "down") => format!("{}  {}", text("addr"), text("why")),
        ("peers", _) => text("addr"),
        ("consensus", _) => format!("round {}", text("round")),
        ("masternodes", _) => format!("{}  {}", text("registration"), text("service")),
        _ => String::new(),
    };
    format!("{height}  {topic}  {state}  {rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_event_is_one_line() {
        for (event, expected) in [
            (
                json!({ "topic": "blocks", "height": 7, "state": "final", "block": { "hash": "ab", "nTx": 1 } }),
                "7  blocks  final  ab  1 transaction",
            ),
            (
                json!({ "topic": "blocks", "height": 7, "state": "caught_up" }),
                "7  blocks  all that was and is there has been shown",
            ),
            (
                json!({ "topic": "payments", "height": 7, "state": "final", "txid": "cd", "amount": 1.5, "received": [{ "address": "x" }, { "address": "y" }], "spent": [] }),
                "7  payments  final  cd  1.5 TIME  to x, y",
            ),
            (
                json!({ "topic": "payments", "height": 7, "state": "declined", "txid": "cd", "amount": 0, "received": [], "spent": [{ "address": "x" }], "why": "expired" }),
                "7  payments  declined  cd  0 TIME  from x  because expired",
            ),
            (
                json!({ "topic": "outputs", "height": 7, "state": "Locked", "txid": "cd", "vout": 1, "by": "ef" }),
                "7  outputs  Locked  cd:1  by ef",
            ),
            (
                json!({ "topic": "peers", "height": 7, "state": "down", "addr": "a:1", "why": "it left" }),
                "7  peers  down  a:1  it left",
            ),
            (
                json!({ "topic": "consensus", "height": 8, "state": "prevote", "round": 0 }),
                "8  consensus  prevote  round 0",
            ),
        ] {
            assert_eq!(shown(&event), expected);
        }
    }
}
