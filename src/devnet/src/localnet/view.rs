//! The live table of a local network; plain lines where the output is no terminal.

use super::payments::PaymentSender;
use crate::local_nodes::Nodes;
use comfy_table::{Table, presets};
use console::Term;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;
use timed_cli::NodeConnection;
use timed_primitives::{counted, printable};

/// Without a terminal, one line for every so many looks.
const PLAIN_EVERY: u64 = 10;

/// What is shown of a node.
pub(super) struct NodeRow {
    pub(super) id: u64,
    pub(super) height: Option<u64>,
    round: Option<u64>,
    peers: Option<u64>,
    rtt_ms: Option<f64>,
    mempool: Option<u64>,
    finality_ms: Option<f64>,
    finality_p50_ms: Option<f64>,
    finality_p99_ms: Option<f64>,
    note: String,
    has_ended: bool,
}

impl NodeRow {
    pub(super) fn starting(id: u64) -> Self {
        Self {
            id,
            height: None,
            round: None,
            peers: None,
            rtt_ms: None,
            mempool: None,
            finality_ms: None,
            finality_p50_ms: None,
            finality_p99_ms: None,
            note: "starting".into(),
            has_ended: false,
        }
    }

    pub(super) fn ended(id: u64, why: &str) -> Self {
        Self { note: format!("ended, {why}"), has_ended: true, ..Self::starting(id) }
    }

    /// Asks one node; it has nothing to say while it starts.
    pub(super) fn ask(id: u64, folder: &Path) -> Self {
        let Ok(mut client) = NodeConnection::of_data_dir(folder) else { return Self::starting(id) };
        let mut call = |method| client.call(method, json!([])).ok();
        // A node that does not answer costs one time-out, not four.
        let Some(consensus) = call("getconsensusinfo") else { return Self::starting(id) };
        let (peers, pool, height) = (call("getpeerinfo"), call("getmempoolinfo"), call("getblockcount"));
        let peers = peers.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
        let mut rtts: Vec<f64> =
            peers.iter().filter_map(|peer| number(&peer["pingtime"])).map(|s| s * 1_000.0).collect();
        rtts.sort_by(f64::total_cmp);
        Self {
            id,
            height: height.as_ref().and_then(number).map(whole),
            round: number(&consensus["round"]).map(whole),
            peers: u64::try_from(peers.len()).ok(),
            rtt_ms: rtts.get(rtts.len() / 2).copied(),
            mempool: pool.as_ref().and_then(|pool| number(&pool["size"])).map(whole),
            finality_ms: number(&consensus["finality_last_ms"]),
            finality_p50_ms: number(&consensus["finality_p50_ms"]),
            finality_p99_ms: number(&consensus["finality_p99_ms"]),
            note: text(&consensus[if consensus["has_quorum"] == Value::Bool(true) { "step" } else { "why" }]),
            has_ended: false,
        }
    }
}

/// JSON numbers keep their digits here, so they are read as text.
fn number(value: &Value) -> Option<f64> {
    value.as_number().and_then(|n| n.to_string().parse().ok())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts that a node reports: whole and not negative"
)]
fn whole(n: f64) -> u64 {
    n as u64
}

fn shown<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or_else(|| "-".into(), |v| v.to_string())
}

fn shown_ms(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |ms| format!("{ms:.1} ms"))
}

/// Draws.
pub(super) struct LocalnetView {
    term: Term,
    is_live: bool,
    drawn_lines: usize,
    looks: u64,
    commands: Vec<String>,
    are_commands_shown: bool,
}

impl LocalnetView {
    pub(super) fn new(nodes: &Nodes) -> Self {
        let term = Term::stdout();
        let is_live = term.is_term();
        Self { is_live, term, drawn_lines: 0, looks: 0, commands: commands(nodes), are_commands_shown: false }
    }

    fn line(&self, text: &str) {
        // A closed output, such as a pipe to `head`, ends nothing.
        // Notes and refusals are texts of others.
        let _ = self.term.write_line(&printable(text));
    }

    pub(super) fn introduce(&self, nodes: &Nodes, folder: &Path) {
        self.line(&format!("{}, data and logs in {}", counted(nodes.iter().count(), "masternode"), folder.display()));
        if nodes.has_other_ports {
            self.line("some of the usual ports 7000.. and 7100.. are taken, so other ports are used");
        }
    }

    pub(super) fn show(&mut self, rows: &[NodeRow], payments: &PaymentSender) {
        self.looks += 1;
        if self.is_live {
            let _ = self.term.clear_last_lines(self.drawn_lines);
            self.drawn_lines = 0;
        }
        // They ask the first node.
        if !self.are_commands_shown && rows.first().is_some_and(|row| row.height.is_some()) {
            self.are_commands_shown = true;
            for command in &self.commands {
                self.line(command);
            }
        }
        if self.is_live {
            // One line of the terminal for each of ours, or the next clearing would miss some.
            let width = usize::from(self.term.size().1).max(20);
            let text = format!("{}\n\n{}\nCtrl-C ends the network", table(rows), paid(payments));
            for line in text.lines() {
                self.line(&console::truncate_str(line, width, "…"));
                self.drawn_lines += 1;
            }
        } else if self.looks % PLAIN_EVERY == 1 {
            self.line(&plain(rows, payments));
        }
    }

    pub(super) fn finish(&mut self, rows: &[NodeRow], payments: &PaymentSender, ran: Duration, folder: &Path) {
        let height = rows.iter().filter_map(|row| row.height).max().unwrap_or(0);
        let slowest = |of: fn(&NodeRow) -> Option<f64>| rows.iter().filter_map(of).max_by(f64::total_cmp);
        self.line(&format!(
            "localnet ended after {:.1} s: {}, height {height}, {}, finality p50 {} p99 {}; data in {}",
            ran.as_secs_f64(),
            counted(rows.len(), "node"),
            paid(payments),
            shown_ms(slowest(|row| row.finality_p50_ms)),
            shown_ms(slowest(|row| row.finality_p99_ms)),
            folder.display()
        ));
    }
}

fn paid(payments: &PaymentSender) -> String {
    let mut text = format!("{} accepted", counted(payments.accepted, "payment"));
    if payments.refused > 0 {
        let _ = write!(
            text,
            ", {} refused (last: {})",
            payments.refused,
            payments.last_refusal.as_deref().unwrap_or("no answer")
        );
    }
    if payments.skipped > 0 {
        let _ = write!(text, ", {} skipped because the nodes did not keep up", payments.skipped);
    }
    text
}

/// Commands that work while the network runs.
fn commands(nodes: &Nodes) -> Vec<String> {
    let program = std::env::current_exe().map_or_else(|_| "timed".into(), |path| path.display().to_string());
    let Some(node) = nodes.first_running() else { return Vec::new() };
    let ask = format!("{program} cli --data-dir {}", node.folder.display());
    vec![
        format!("try:  {ask} getblockchaininfo"),
        format!("      {ask} getpeerinfo"),
        format!("      {ask} sendtoaddress $({ask} getnewaddress) 1.5"),
        format!("      curl http://127.0.0.1:{}/metrics", node.rpc_port),
    ]
}

fn table(rows: &[NodeRow]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["node", "height", "round", "peers", "rtt p50", "mempool", "last finality", "state"]);
    for row in rows {
        table.add_row([
            row.id.to_string(),
            shown(row.height),
            shown(row.round),
            shown(row.peers),
            shown_ms(row.rtt_ms),
            shown(row.mempool),
            shown_ms(row.finality_ms),
            printable(&row.note).into_owned(),
        ]);
    }
    table.to_string()
}

fn plain(rows: &[NodeRow], payments: &PaymentSender) -> String {
    let mut text = String::new();
    for row in rows {
        if row.has_ended {
            let _ = write!(text, "node {}: {}; ", row.id, row.note);
            continue;
        }
        let _ = write!(
            text,
            "node {}: height {} round {} peers {} rtt {} mempool {} finality {}; ",
            row.id,
            shown(row.height),
            shown(row.round),
            shown(row.peers),
            shown_ms(row.rtt_ms),
            shown(row.mempool),
            shown_ms(row.finality_ms)
        );
    }
    text.push_str(&paid(payments));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_a_node_that_has_ended_says_why() {
        let rows = [NodeRow::starting(1), NodeRow::ended(2, "exit status: 1: timed: the disk is full")];
        let text = plain(&rows, &PaymentSender::new(0.0));
        assert!(text.starts_with("node 1: height - round -"), "{text}");
        assert!(text.contains("; node 2: ended, exit status: 1: timed: the disk is full; 0 payments"), "{text}");
    }
}
