//! The command line of `subscribe`, and what it asks for.

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};
use timed_rpc::Topic;

pub(crate) const SUBSCRIBE: &str = "subscribe";
const TOPIC: &str = "topic";
const ADDRESS: &str = "--address";
const WALLETS: &str = "--wallets";
const OUTPUT: &str = "--output";
const DETAIL: &str = "--verbosity";
const AFTER: &str = "--after";
const COUNT: &str = "--count";

/// `program` is how help calls it.
pub(crate) fn command(program: &str) -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name.trim_start_matches('-')).value_name(value).help(help)
    };
    Command::new(SUBSCRIBE)
        .visible_alias("events")
        .about("Shows events as they happen, until it is ended")
        .long_about(
            "Shows events as they happen, one line each; with --json, one object each. A connection that ends is made again, and goes on after the \
             last final event. Payments are those of the wallets that are loaded unless addresses are given. docs/events.md explains each field.",
        )
        .arg(
            Arg::new(TOPIC)
                .value_name("TOPIC")
                .required(true)
                .num_args(1..)
                .value_parser(Topic::ALL.map(Topic::name))
                .help("What to follow"),
        )
        .arg(option(ADDRESS, "ADDRESS", "Payments and outputs of this address; may be repeated").action(ArgAction::Append))
        .arg(
            option(WALLETS, "", "Payments and outputs of the wallets that are loaded, beside those")
                .action(ArgAction::SetTrue)
                .num_args(0),
        )
        .arg(option(OUTPUT, "TXID:N", "The states of this output; may be repeated").action(ArgAction::Append))
        .arg(
            option(DETAIL, "N", "Of blocks: 0 the header, 1 with ids, 2 with transactions")
                .value_parser(clap::value_parser!(u64).range(0..=2))
                .default_value("0"),
        )
        .arg(option(AFTER, "CURSOR", "Begin after this height, or the cursor of an event"))
        .arg(option(COUNT, "N", "End after so many events").value_parser(clap::value_parser!(u64).range(1..)))
        .after_help(format!(
            "Examples:\n  {program} {SUBSCRIBE} payments\n  {program} {SUBSCRIBE} blocks --after 0\n  \
             {program} --json {SUBSCRIBE} payments --address ADDRESS | jq .state"
        ))
}

/// A subscription as it is asked for, and how far it has come.
pub(super) struct WantedTopic {
    pub(super) topic: Topic,
    options: Map<String, Value>,
    /// Of the last event.
    pub(super) cursor: Option<String>,
}

impl WantedTopic {
    pub(super) fn all(sub: &ArgMatches) -> Vec<Self> {
        let list = |name: &str| sub.get_many::<String>(name).into_iter().flatten().cloned().collect::<Vec<_>>();
        let topics: Vec<Topic> = list(TOPIC).iter().filter_map(|name| Topic::find(name)).collect();
        let (addresses, outputs) = (list(ADDRESS), list(OUTPUT));
        let of_wallet = |topic: Topic| {
            let has_others = !addresses.is_empty() || (topic == Topic::Outputs && !outputs.is_empty());
            sub.get_flag(WALLETS) || !has_others
        };
        let wanted = topics.into_iter().map(|topic| {
            let mut options = Map::new();
            if matches!(topic, Topic::Payments | Topic::Outputs) {
                options.insert("addresses".into(), json!(addresses));
                options.insert("wallet".into(), of_wallet(topic).into());
            }
            if topic == Topic::Outputs {
                options.insert("outputs".into(), json!(outputs));
            }
            if topic == Topic::Blocks {
                options.insert("verbosity".into(), json!(sub.get_one::<u64>(DETAIL)));
            }
            let cursor = sub.get_one::<String>(AFTER).filter(|_| has_past(topic)).cloned();
            Self { topic, options, cursor }
        });
        wanted.collect()
    }

    pub(super) fn call(&self, id: usize) -> String {
        let mut options = self.options.clone();
        if let Some(cursor) = &self.cursor {
            options.insert("after".into(), cursor.as_str().into());
        }
        let params = json!([self.topic.name(), options]);
        json!({ "jsonrpc": "2.0", "id": id, "method": "subscribe", "params": params }).to_string()
    }
}

pub(super) const fn has_past(topic: Topic) -> bool {
    matches!(topic, Topic::Blocks | Topic::Payments | Topic::Outputs)
}

/// After how many events it ends.
pub(super) fn count(sub: &ArgMatches) -> u64 {
    sub.get_one::<u64>(COUNT).copied().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payments_are_those_of_the_wallet_unless_others_are_named() {
        let wanted = |words: &[&str]| {
            let matches = command("time-cli").try_get_matches_from(std::iter::once(&SUBSCRIBE).chain(words)).unwrap();
            let calls = WantedTopic::all(&matches)
                .iter()
                .map(|one| serde_json::from_str::<Value>(&one.call(0)).unwrap()["params"].clone())
                .collect();
            Value::Array(calls)
        };
        assert_eq!(wanted(&["payments"]), json!([["payments", { "addresses": [], "wallet": true }]]));
        assert_eq!(
            wanted(&["payments", "blocks", "--address", "x", "--after", "12-3", "--verbosity", "1"]),
            json!([
                ["payments", { "addresses": ["x"], "wallet": false, "after": "12-3" }],
                ["blocks", { "verbosity": 1, "after": "12-3" }],
            ])
        );
        assert_eq!(
            wanted(&["outputs", "peers", "--output", "t:1", "--after", "7"]),
            json!([["outputs", { "addresses": [], "wallet": false, "outputs": ["t:1"], "after": "7" }], ["peers", {}]])
        );
    }
}
