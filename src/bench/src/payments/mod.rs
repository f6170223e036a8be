//! Payments through real nodes, at a rate that does not wait for them (an open loop): signed before the run, sent to the nodes' RPC
//! when they are due, final when a node's `waitfornewblock` shows the block that holds them. Latency counts from the moment a payment was
//! due, so a node that makes clients wait cannot hide it.

mod accounts;
pub(super) mod coins;
mod cost;
mod network;
pub(super) mod run;
mod search;
mod senders;
mod watch;

use super::report::{self, Percentiles, float, ms, rounded};
use anyhow::Context as _;
use clap::Args;
use network::PaymentNetwork;
use run::PaymentFigures;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Flags of the benchmark of payments.
#[derive(Clone, Debug, Args)]
pub(super) struct PaymentsArgs {
    /// How many masternodes to run.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=20))]
    nodes: u64,
    /// Payments per second, or max to search the highest rate that the nodes sustain.
    #[arg(long, default_value = "50", value_name = "R", value_parser = parse_rate)]
    tps: SendRate,
    /// How long to send, such as 60 or 2m.
    #[arg(long, default_value = "60", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    duration: Duration,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Folder for the nodes' data and logs, kept afterwards [default: one below ~/.timed that is removed].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq)]
enum SendRate {
    PerSecond(f64),
    Max,
}

/// Highest rate that can be asked for. Unit: payments per second.
const RATE_MAX: f64 = 50_000.0;

fn parse_rate(text: &str) -> Result<SendRate, String> {
    if text == "max" {
        return Ok(SendRate::Max);
    }
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= RATE_MAX => Ok(SendRate::PerSecond(rate)),
        _ => Err(format!("expected a number above 0 and up to {RATE_MAX}, or max")),
    }
}

/// Measures and prints.
pub(super) fn run(arguments: &PaymentsArgs, program: &Path) -> anyhow::Result<()> {
    let (measured, trials) = match &arguments.data_dir {
        Some(folder) => measure(arguments, program, folder)?,
        None => super::in_temporary_folder(|folder| measure(arguments, program, folder))?,
    };
    if arguments.json {
        report::print_json(&as_json(arguments.nodes, &measured, &trials));
    } else {
        print_table(&measured);
    }
    Ok(())
}

/// The run asked for, and the trials that led to its rate.
fn measure(
    arguments: &PaymentsArgs,
    program: &Path,
    folder: &Path,
) -> anyhow::Result<(PaymentFigures, Vec<PaymentFigures>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut network = PaymentNetwork::start(program, arguments.nodes, folder)?;
    let outcome = match arguments.tps {
        SendRate::PerSecond(rate) => {
            run::measure(&mut network, rate, arguments.duration).map(|measured| (measured, Vec::new()))
        }
        SendRate::Max => search::highest(&mut network, arguments.duration),
    };
    runtime.block_on(network.nodes.stop());
    outcome
}

/// What a run at a rate shows of costs.
pub(super) struct RateCosts {
    /// Processor time per height and node. Unit: ms.
    pub(super) height_ms: f64,
    /// Finality. Unit: ms.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Processor time per payment and node, in signature checks.
    pub(super) payment_checks: f64,
    /// Payments made final per second.
    pub(super) achieved: f64,
}

/// Runs a network of so many nodes at one rate after the other. Unit: payments per second.
///
/// # Errors
/// When the nodes cannot be started, or nothing becomes final.
pub(super) fn costs_at<const N: usize>(
    program: &Path,
    folder: &Path,
    nodes: u64,
    rates: [f64; N],
    time: Duration,
) -> anyhow::Result<[RateCosts; N]> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut network = PaymentNetwork::start(program, nodes, folder)?;
    let all = rates.iter().map(|rate| {
        let measured = run::measure(&mut network, *rate, time)?;
        let cost = measured.cost().context("nothing became final, or the system shows no processor time")?;
        let Percentiles { p50, p99, .. } = percentiles(&measured.finality);
        let (height_ms, payment_checks) = (1e3 * cost.height, cost.payment_in_checks());
        Ok(RateCosts { height_ms, p50_ms: p50, p99_ms: p99, payment_checks, achieved: measured.achieved() })
    });
    let all: anyhow::Result<Vec<_>> = all.collect();
    runtime.block_on(network.nodes.stop());
    all?.try_into().map_err(|_| anyhow::anyhow!("one figure for each rate"))
}

fn percentiles(values: &[Duration]) -> Percentiles {
    let all = Percentiles::of(values.iter().map(|value| ms(*value)).collect());
    Percentiles {
        p50: rounded(all.p50, 2),
        p95: rounded(all.p95, 2),
        p99: rounded(all.p99, 2),
        max: rounded(all.max, 2),
    }
}

fn as_json(nodes: u64, measured: &PaymentFigures, trials: &[PaymentFigures]) -> Value {
    let mut report = fields(nodes, measured);
    report["setting"] = report::setting();
    if !trials.is_empty() {
        report["trials"] = trials
            .iter()
            .map(|trial| {
                json!({ "tps": trial.rate, "sustained": trial.is_sustained(), "achieved_tps": rounded(trial.achieved(), 1),
                        "finality_ms": percentiles(&trial.finality), "refused": trial.accounts.refused.count,
                        "unanswered": trial.accounts.unanswered.count, "lost": trial.accounts.lost() })
            })
            .collect();
    }
    report
}

fn fields(nodes: u64, measured: &PaymentFigures) -> Value {
    let (accounts, cost) = (&measured.accounts, measured.cost());
    json!({
        "nodes": nodes,
        "tps": measured.rate,
        "duration_s": measured.duration.as_secs_f64(),
        "scheduled": measured.scheduled,
        "submitted": accounts.accepted.count,
        "refused": accounts.refused.count,
        "unanswered": accounts.unanswered.count,
        "unsent": accounts.unsent.count,
        "last_refusal": measured.last_refusal,
        "finalized": accounts.finals(),
        "finalized_unanswered": accounts.unanswered.finals,
        "finalized_refused": accounts.contradictions(),
        "lost": accounts.lost(),
        "achieved_tps": rounded(measured.achieved(), 1),
        "finality_ms": percentiles(&measured.finality),
        "answer_ms": percentiles(&measured.answers),
        "blocks": measured.blocks,
        "heights_per_s": rounded(float(measured.blocks) / measured.took.as_secs_f64(), 2),
        "payments_per_block": rounded(float(measured.finality.len() as u64) / float(measured.blocks.max(1)), 2),
        "later_rounds": measured.later_rounds,
        "cpu_s_per_node": measured.cpu.iter().map(|cpu| cpu.map(|cpu| rounded(cpu.as_secs_f64(), 2))).collect::<Vec<_>>(),
        "payment_us": cost.map(|cost| rounded(1e6 * cost.payment, 1)),
        "payment_signature_checks": cost.map(|cost| rounded(cost.payment_in_checks(), 2)),
        "height_ms": cost.map(|cost| rounded(1e3 * cost.height, 3)),
        "signature_check_us": rounded(1e6 * measured.signature_check, 2),
        "cpu_s_client": measured.client_cpu.map(|cpu| rounded(cpu.as_secs_f64(), 2)),
        "rss_mb_per_node": measured.memory.iter().map(|m| m.map(|(now, _)| rounded(now, 1))).collect::<Vec<_>>(),
        "rss_max_mb_per_node": measured.memory.iter().map(|m| m.map(|(_, most)| rounded(most, 1))).collect::<Vec<_>>(),
    })
}

fn print_table(measured: &PaymentFigures) {
    let accounts = &measured.accounts;
    let finality = percentiles(&measured.finality);
    let answers = percentiles(&measured.answers);
    let seconds = measured.took.as_secs_f64();
    let per_node = |values: Vec<Option<f64>>| {
        let shown = values.iter().map(|value| value.map_or("-".into(), |value| format!("{value:.1}")));
        shown.collect::<Vec<_>>().join(" ")
    };
    let cpu = measured.cpu.iter().map(|cpu| cpu.map(|cpu| cpu.as_secs_f64())).collect();
    let memory = measured.memory.iter().map(|m| m.map(|(now, _)| now)).collect();
    report::print_rows(&[
        ("payments due", measured.scheduled.to_string(), &format!("{} per second", measured.rate)),
        ("  accepted", accounts.accepted.count.to_string(), ""),
        ("  refused", accounts.refused.count.to_string(), measured.last_refusal.as_deref().unwrap_or_default()),
        (
            "  unanswered",
            accounts.unanswered.count.to_string(),
            &format!("no answer in time; {} of them are final all the same", accounts.unanswered.finals),
        ),
        ("  unsent", accounts.unsent.count.to_string(), "due and never sent: all connections waited too long"),
        ("  final", accounts.finals().to_string(), &format!("{:.1} per second", measured.achieved())),
        ("  lost", accounts.lost().to_string(), "accepted and not final at the end"),
        (
            "finality p50",
            format!("{:.1} ms", finality.p50),
            "from the moment a payment was due to the client's seeing its block",
        ),
        ("  p95", format!("{:.1} ms", finality.p95), ""),
        ("  p99", format!("{:.1} ms", finality.p99), ""),
        ("  largest", format!("{:.1} ms", finality.max), ""),
        ("answer p50", format!("{:.1} ms", answers.p50), "from the moment it was due to the node's answer"),
        ("  p99", format!("{:.1} ms", answers.p99), ""),
        (
            "blocks",
            measured.blocks.to_string(),
            &format!("{:.1} per second, {} not in round 0", float(measured.blocks) / seconds, measured.later_rounds),
        ),
        ("processor time", per_node(cpu), &format!("s per node in {seconds:.1} s")),
        ("  client", measured.client_cpu.map_or("-".into(), |cpu| format!("{:.1}", cpu.as_secs_f64())), "s"),
        ("memory", per_node(memory), "MiB per node"),
    ]);
    if accounts.contradictions() > 0 {
        report::print_text(&format!("{} payments are final that no node had accepted", accounts.contradictions()));
    }
    if let Some(cost) = measured.cost() {
        report::print_text(&cost.line());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_or_max() {
        assert_eq!(parse_rate("max"), Ok(SendRate::Max));
        assert_eq!(parse_rate("0.5"), Ok(SendRate::PerSecond(0.5)));
        for bad in ["0", "-1", "nan", "1e9", "fast"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }
}
