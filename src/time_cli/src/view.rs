//! Answers for people. Names are those of the JSON, so that what is read here can be asked for there; numbers get units.

mod blocks;
mod masternodes;
mod objects;
mod peers;
mod rewards;

use super::table::{Column, left, right, table};
use serde_json::{Map, Value};
use std::time::{Duration, UNIX_EPOCH};
use timed_primitives::counted;
use timed_rpc::{
    Call, ChainCall, ConsensusCall, ControlCall, MasternodeCall, NetworkCall, TransactionCall, WalletCall,
};

/// What is there for programs written for Bitcoin's server, and says nothing to people; `--json` shows it.
const FOR_PROGRAMS: [&str; 30] = [
    "bip125-replaceable",
    "bits",
    "chainwork",
    "details",
    "difficulty",
    "fullrbf",
    "in_active_chain",
    "incrementalfee",
    "incrementalrelayfee",
    "loaded",
    "localaddresses",
    "localrelay",
    "localservices",
    "localservicesnames",
    "locktime",
    "mediantime",
    "networkactive",
    "networks",
    "nonce",
    "pruned",
    "strippedsize",
    "target",
    "timeoffset",
    "timereceived",
    "unbroadcastcount",
    "usage",
    "versionHex",
    "vsize",
    "walletconflicts",
    "weight",
];

/// How to show things.
#[derive(Clone, Copy)]
pub(crate) struct CliView {
    /// Against which ages are shown. Unit: seconds since 1970.
    pub(crate) now: u64,
    /// Whether to use colours.
    pub(crate) color: bool,
    /// The width of the terminal. Unit: columns; none where the output goes elsewhere.
    pub(crate) width: Option<usize>,
}

impl CliView {
    /// The result of a method.
    pub(crate) fn result(&self, call: Call, result: &Value) -> String {
        match call {
            Call::Network(call) => self.network_result(call, result),
            Call::Consensus(ConsensusCall::GetConsensusInfo) => self.consensus(result),
            Call::Masternode(MasternodeCall::MasternodeList) => self.masternodes(result),
            Call::Masternode(MasternodeCall::MasternodeStatus) => self.masternode_status(result),
            Call::Masternode(MasternodeCall::GetMasternodeProof) => self.masternode_proof(result),
            Call::Masternode(MasternodeCall::GetRewardReport) => self.reward_report(result),
            Call::Masternode(MasternodeCall::MasternodeWinners) => self.masternode_winners(result),
            Call::Masternode(MasternodeCall::MasternodeRewards) => self.masternode_rewards(result),
            Call::Masternode(MasternodeCall::MasternodeHistory) => self.masternode_why(result),
            Call::Wallet(WalletCall::ListUnspent) => self.unspent(result),
            Call::Wallet(WalletCall::ListTransactions) => self.history(result),
            Call::Transaction(TransactionCall::GetRawMempool) => self.mempool(result),
            Call::Transaction(TransactionCall::TestMempoolAccept) => self.acceptance(result),
            Call::Chain(ChainCall::GetBlock | ChainCall::GetBlockHeader) => self.block(result),
            Call::Transaction(TransactionCall::GetTransaction | TransactionCall::GetRawTransaction) => {
                self.transaction(result)
            }
            Call::Transaction(TransactionCall::GetTxOut) if result.is_null() => {
                "no such unspent output: it is spent, or never was\n".into()
            }
            // `size` is a number of transactions there, and elsewhere of bytes.
            Call::Transaction(TransactionCall::GetMempoolInfo) => self.mempool_info(result),
            Call::Control(ControlCall::Uptime) => line(&duration(result.as_u64().unwrap_or_default())),
            Call::Chain(_)
            | Call::Transaction(_)
            | Call::Fee(_)
            | Call::Masternode(_)
            | Call::Wallet(_)
            | Call::Wallets(_)
            | Call::Address(_)
            | Call::Control(_) => self.plain(result),
        }
    }

    fn network_result(&self, call: NetworkCall, result: &Value) -> String {
        match call {
            NetworkCall::GetPeerInfo => self.peers(result),
            NetworkCall::GetPeerHistory => self.peer_history(result),
            NetworkCall::PingPeer => self.pings(result),
            NetworkCall::ListBanned => self.bans(result),
            _ if result.is_null() => "done\n".into(),
            _ => self.plain(result),
        }
    }

    /// Counts as counts, sizes as sizes.
    fn mempool_info(&self, result: &Value) -> String {
        let Value::Object(map) = result else { return self.plain(result) };
        let count = |name: &str| if name == "size" { "transactions".to_owned() } else { name.to_owned() };
        self.pairs(&map.iter().map(|(name, value)| (count(name), value.clone())).collect(), &[])
    }

    /// A value without a view of its own: an object as lines of name and value, a list one item a line, the rest as it is.
    pub(crate) fn plain(&self, value: &Value) -> String {
        match value {
            Value::Object(map) if !map.is_empty() => self.pairs(map, &[]),
            Value::Object(_) => "(none)\n".into(),
            Value::Array(list) if list.is_empty() => "(none)\n".into(),
            Value::Array(list) => {
                self.objects(list).unwrap_or_else(|| list.iter().map(|item| line(&raw(item))).collect())
            }
            value => line(raw(value).trim_end()),
        }
    }

    /// Lines of name and value, leaving out some names and milliseconds that a second's line shows as well.
    fn pairs(&self, map: &Map<String, Value>, without: &[&str]) -> String {
        let shown = |name: &str| !without.contains(&name) && name != "time_ms" && !FOR_PROGRAMS.contains(&name);
        let mut rows: Vec<(String, String)> = Vec::new();
        for (name, value) in map.iter().filter(|(name, _)| shown(name)) {
            match value {
                Value::Object(inner) => {
                    rows.extend(inner.iter().map(|(n, v)| (format!("{name}.{n}"), self.field(n, v))));
                }
                value => rows.push((name.clone(), self.field(name, value))),
            }
        }
        let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        rows.iter().map(|(name, value)| line(&format!("{}  {value}", self.dim(&format!("{name:<width$}"))))).collect()
    }

    /// A value with the unit that its name implies.
    fn field(&self, name: &str, value: &Value) -> String {
        match (name, value) {
            (_, Value::Null) => "-".into(),
            ("warnings", Value::Array(list)) if !list.is_empty() => self.bad(&raw(value)),
            (_, Value::Array(list)) if list.is_empty() => "none".into(),
            ("isvalid" | "allowed" | "signing" | "has_quorum", Value::Bool(false)) => self.bad("no"),
            (_, Value::Bool(yes)) => if *yes { "yes" } else { "no" }.into(),
            ("unlocked_until", value) if number(value) == 0 => "locked".into(),
            ("unlocked_until", value) => self.moment_to_come(number(value)),
            (
                "time" | "birthtime" | "blocktime" | "mediantime" | "timereceived" | "conntime" | "lastsend"
                | "lastrecv",
                value,
            ) => self.moment(number(value)),
            ("size" | "bytes" | "maxmempool" | "usage" | "size_on_disk" | "vsize" | "strippedsize", value) => {
                bytes(number(value))
            }
            ("verificationprogress", value) => format!("{:.2} %", value.as_f64().unwrap_or_default() * 100.0),
            ("percent", value) => format!("{:.1} %", value.as_f64().unwrap_or_default()),
            ("eta_seconds", value) => duration(number(value)),
            ("pingtime" | "minping" | "pingwait", value) => milliseconds(value),
            ("supply" | "unspent" | "fee" | "fees" | "total_fee" | "value" | "amount", value) => {
                format!("{} TIME", raw(value))
            }
            (
                "relayfee" | "incrementalfee" | "incrementalrelayfee" | "mempoolminfee" | "minrelaytxfee" | "feerate",
                value,
            ) => format!("{} TIME per 1,000 bytes", raw(value)),
            (name, Value::Number(_)) if name.ends_with("_ms") => rounded(value),
            (_, value) => raw(value),
        }
    }

    /// A time, and how long ago it was.
    fn moment(&self, seconds: u64) -> String {
        if seconds == 0 {
            return "never".into();
        }
        let date = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds.min(LATEST_DATE)));
        format!("{} UTC ({} ago)", date.to_string().replace('T', " ").trim_end_matches('Z'), self.age(seconds))
    }

    /// A time that may be to come, and in how long.
    fn moment_to_come(&self, seconds: u64) -> String {
        if seconds <= self.now {
            return self.moment(seconds);
        }
        let date = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds.min(LATEST_DATE)));
        let date = date.to_string().replace('T', " ");
        format!("{} UTC (in {})", date.trim_end_matches('Z'), duration(seconds - self.now))
    }

    fn age(&self, seconds: u64) -> String {
        duration(self.now.saturating_sub(seconds))
    }

    /// `status`.
    pub(crate) fn status(&self, all: &Value) -> String {
        let part = |name: &str| all.get(name).unwrap_or(&Value::Null);
        let (chain, net, pool) = (part("getblockchaininfo"), part("getnetworkinfo"), part("getmempoolinfo"));
        let consensus = part("getconsensusinfo");
        let blocks = number(at(chain, "blocks"));
        let sync = if yes(chain, "initialblockdownload") {
            let progress = at(chain, "verificationprogress").as_f64().unwrap_or_default() * 100.0;
            self.bad(&format!("{blocks} of {} ({progress:.2} %)", raw(at(chain, "headers"))))
        } else {
            self.good(&format!("{blocks}, up to date"))
        };
        let last = number(at(chain, "time"));
        let quorum = format!(
            "{} of {} voting power connected, {} needed",
            raw(at(consensus, "connected_power")),
            raw(at(consensus, "voting_power")),
            raw(at(consensus, "quorum_power"))
        );
        let rows = [
            ("chain", format!("{} (id {})", raw(at(chain, "network")), raw(at(chain, "chain_id")))),
            ("blocks", sync),
            ("last block", if blocks == 0 { "none yet".into() } else { self.moment(last) }),
            (
                "peers",
                format!(
                    "{} ({} in, {} out, {})",
                    raw(at(net, "connections")),
                    raw(at(net, "connections_in")),
                    raw(at(net, "connections_out")),
                    counted(number(at(net, "connections_validators")), "validator")
                ),
            ),
            (
                "mempool",
                format!("{}, {}", counted(number(at(pool, "size")), "transaction"), bytes(number(at(pool, "bytes")))),
            ),
            ("quorum", if yes(consensus, "has_quorum") { self.good(&quorum) } else { self.bad(&quorum) }),
            ("consensus", raw(at(consensus, "why"))),
            ("signing", self.signing(consensus)),
            ("listens on", raw(at(net, "listen"))),
            ("version", raw(at(net, "subversion"))),
            ("uptime", duration(number(part("uptime")))),
        ];
        let mut text: String =
            rows.iter().map(|(name, value)| line(&format!("{}  {value}", self.dim(&format!("{name:<10}"))))).collect();
        for warning in [chain, net].into_iter().filter_map(|part| part.get("warnings")?.as_array()).flatten() {
            text.push_str(&line(&self.bad(&format!("warning: {}", raw(warning)))));
        }
        text
    }

    fn signing(&self, consensus: &Value) -> String {
        match (yes(consensus, "signing"), at(consensus, "signing_off_reason")) {
            (true, _) => "yes".into(),
            (false, Value::String(reason)) => self.bad(&format!("no: {reason}")),
            (false, _) => "no".into(),
        }
    }

    fn consensus(&self, info: &Value) -> String {
        let Value::Object(map) = info else { return self.plain(info) };
        let mut text = self.pairs(map, &["validators"]);
        text.push('\n');
        let rows = rows(at(info, "validators"), |v| {
            vec![
                raw(at(v, "name")),
                short(at(v, "key")),
                raw(at(v, "power")),
                self.flag(v, "connected"),
                short(at(v, "prevote")),
                short(at(v, "precommit")),
            ]
        });
        let columns =
            [left("VALIDATOR"), left("KEY"), right("POWER"), left("CONNECTED"), left("PREVOTE"), left("PRECOMMIT")];
        text.push_str(&self.table(&columns, rows, "no validators"));
        text
    }

    /// `consensus why`: the sentence, and whose votes are missing.
    pub(crate) fn consensus_why(&self, info: &Value) -> String {
        let place = ["height", "round"].map(|name| format!("{name} {}", raw(at(info, name)))).join(", ");
        let mut text = line(&format!("{place}, step {}: {}", raw(at(info, "step")), raw(at(info, "why"))));
        for kind in ["prevote", "precommit"] {
            let missing = items(at(info, "validators")).iter().filter(|v| at(v, kind).is_null());
            let names: Vec<String> = missing
                .map(|v| {
                    let name = at(v, "name").as_str().map_or_else(|| short(at(v, "key")), str::to_owned);
                    if yes(v, "connected") { name } else { format!("{name} (not connected)") }
                })
                .collect();
            let names = if names.is_empty() { self.good("none") } else { names.join(", ") };
            text.push_str(&line(&format!("{kind}s missing: {names}")));
        }
        text.push_str(&line(&format!("this node signs: {}", self.signing(info))));
        text
    }

    fn mempool(&self, result: &Value) -> String {
        let Value::Object(map) = result else {
            return if items(result).is_empty() { "the mempool is empty\n".into() } else { self.plain(result) };
        };
        let entries = map.values().map(|e| {
            vec![
                raw(at(e, "txid")),
                bytes(number(at(e, "size"))),
                raw(at(e, "fee")),
                self.age(number(at(e, "time"))),
                items(at(e, "depends")).len().to_string(),
            ]
        });
        let columns = [
            left("TRANSACTION"),
            right("SIZE").extra(),
            right("FEE (TIME)").extra(),
            right("AGE"),
            right("PARENTS").extra(),
        ];
        self.table(&columns, entries.collect(), "the mempool is empty")
    }

    fn acceptance(&self, result: &Value) -> String {
        let rows = rows(result, |a| {
            vec![
                raw(at(a, "txid")),
                self.flag(a, "allowed"),
                bytes(number(at(a, "size"))),
                raw(at(a, "fee")),
                raw(at(a, "reject-reason")),
            ]
        });
        let columns = [
            left("TRANSACTION"),
            left("ALLOWED"),
            right("SIZE").extra(),
            right("FEE (TIME)").extra(),
            left("REASON").extra(),
        ];
        self.table(&columns, rows, "no transactions")
    }

    fn table(&self, columns: &[Column<'_>], rows: Vec<Vec<String>>, empty: &str) -> String {
        if rows.is_empty() { line(empty) } else { table(columns, &rows, self.width, |head| self.bold(head)) }
    }

    fn flag(&self, value: &Value, name: &str) -> String {
        if yes(value, name) { self.good("yes") } else { self.bad("no") }
    }

    fn good(&self, text: &str) -> String {
        self.paint("32", text)
    }

    fn bad(&self, text: &str) -> String {
        self.paint("31", text)
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    /// SGR codes of ECMA-48.
    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }
}

/// The last second of the year 9999, beyond which dates cannot be shown.
const LATEST_DATE: u64 = 253_402_300_799;

fn at<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn rows(list: &Value, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    items(list).iter().map(row).collect()
}

fn yes(value: &Value, name: &str) -> bool {
    at(value, name).as_bool().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// The sum of an amount over a list, from its exact digits.
fn sum(list: &[Value], name: &str) -> String {
    let amounts = list.iter().filter_map(|item| raw(at(item, name)).parse().ok());
    timed_primitives::Amount::sum(amounts).map_or_else(dash, |sum| sum.to_string())
}

fn dash() -> String {
    "-".into()
}

/// Text without quotes, lists with commas, nothing as a dash.
fn raw(value: &Value) -> String {
    match value {
        Value::Null => dash(),
        Value::String(text) => printable(text),
        Value::Array(list) => list.iter().map(raw).collect::<Vec<_>>().join(", "),
        value => value.to_string(),
    }
}

/// Text of a peer or a server may hold codes that move the cursor; they are shown as question marks.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
}

/// The first eight digits of a key or hash; shorter text as it is.
fn short(value: &Value) -> String {
    let text = raw(value);
    if text.len() == 64 && text.is_ascii() { text.chars().take(8).collect() } else { text }
}

fn line(text: &str) -> String {
    format!("{text}\n")
}

fn milliseconds(seconds: &Value) -> String {
    seconds.as_f64().map_or_else(dash, |s| format!("{:.1} ms", s * 1000.0))
}

/// At most three decimals: a thousandth of what it counts.
fn rounded(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if value.as_i64().is_none() => {
            format!("{number:.3}").trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => raw(value),
    }
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, m) => format!("{m} min {} s", seconds % 60),
        (0, h, m) => format!("{h} h {m} min"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

fn bytes(bytes: u64) -> String {
    let unit = |size: u64, name: &str| {
        let tenths = u128::from(bytes) * 10 / u128::from(size);
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    };
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => unit(1 << 10, "KiB"),
        1_048_576..1_073_741_824 => unit(1 << 20, "MiB"),
        _ => unit(1 << 30, "GiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PLAIN: CliView = CliView { now: 1_700_000_100, color: false, width: None };

    #[test]
    fn numbers_get_their_units() {
        let shown = [
            ("time", json!(1_700_000_000), "2023-11-14 22:13:20 UTC (1 min 40 s ago)"),
            ("lastsend", json!(0), "never"),
            ("size", json!(1_536), "1.5 KiB"),
            ("verificationprogress", json!(0.5), "50.00 %"),
            ("pingtime", json!(0.0004), "0.4 ms"),
            ("initialblockdownload", json!(false), "no"),
            ("warnings", json!([]), "none"),
            ("sync", json!(null), "-"),
            ("finality_p99_ms", json!(53.760000000000005), "53.76"),
            ("finality_p50_ms", json!(20.0), "20"),
            ("time_offset_ms", json!(-12), "-12"),
        ];
        for (name, value, expected) in shown {
            assert_eq!(PLAIN.field(name, &value), expected, "{name}");
        }
        let spans: Vec<String> = [59, 61, 3_700, 90_000].into_iter().map(duration).collect();
        assert_eq!(spans, ["59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
        let sizes: Vec<String> = [1_023, 1 << 20, u64::MAX].into_iter().map(bytes).collect();
        assert_eq!(sizes, ["1023 B", "1.0 MiB", "17179869183.9 GiB"]);
    }

    #[test]
    fn colours_only_when_asked_and_never_from_outside() {
        let colored = CliView { color: true, ..PLAIN };
        assert_eq!(colored.field("allowed", &json!(false)), "\x1b[31mno\x1b[0m");
        assert_eq!(PLAIN.field("allowed", &json!(false)), "no");
        assert_eq!(raw(&json!("a\u{1b}[2Jb")), "a?[2Jb");
    }

    #[test]
    fn odd_answers_are_shown_and_never_a_panic() {
        for call in timed_rpc::METHODS.iter().map(|m| m.call) {
            for odd in [json!(null), json!(1), json!("x"), json!([]), json!([1]), json!({"tx": 1, "vin": [[]]})] {
                assert!(PLAIN.result(call, &odd).ends_with('\n'), "{call:?} {odd}");
            }
        }
    }

    /// The answers that the server's golden files hold, as people see them.
    #[test]
    fn every_golden_answer_looks_as_agreed() {
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
        let mut seen = 0;
        for entry in std::fs::read_dir(golden.join("rpc")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let Some(method) = timed_rpc::Method::find(name.split('.').next().unwrap()) else { continue };
            let answer = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            check_golden(&golden.join("cli").join(format!("{name}.txt")), &PLAIN.result(method.call, &answer));
            seen += 1;
        }
        assert!(seen >= timed_rpc::METHODS.len(), "only {seen} answers are there");
        let consensus = golden.join("rpc/getconsensusinfo.json");
        let consensus = serde_json::from_str(&std::fs::read_to_string(consensus).unwrap()).unwrap();
        check_golden(&golden.join("cli/consensus_why.txt"), &PLAIN.consensus_why(&consensus));
        let history = std::fs::read_to_string(golden.join("rpc/getpeerhistory.json")).unwrap();
        check_golden(&golden.join("cli/peer_why.txt"), &PLAIN.peer_why(&serde_json::from_str(&history).unwrap()));
    }

    fn check_golden(path: &std::path::Path, text: &str) {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let expected = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(text, expected, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
    }
}
