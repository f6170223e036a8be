//! More than the nodes can do: the highest rate, then multiples of it in an open loop, and a light load before and three seconds after each.
//! Says what was offered, taken, refused and made final, how long each took, and what it cost the nodes and the generator.

pub(super) mod follow;
pub(super) mod generator;
mod half_core;
pub(super) mod http;
pub(super) mod load;
pub(super) mod slots;

use super::payments::coins::BenchCoins;
use super::payments::run::split_coins;
use super::report::{self, Percentiles, float, rounded};
use super::usage;
use anyhow::Context as _;
use clap::Args;
use follow::{Followers, NodeBlock};
use generator::{CALLS_EACH, Generator, Recorded, Stretch, dues};
use half_core::HalfCore;
use load::{LoadKind, PaymentLoad};
use serde_json::{Value, json};
use slots::{CallOutcome, LoadFigures};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use timed_cli::table::{left, right, table};
use timed_devnet::local_nodes::{NodeProcess, Nodes, Ports};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// How long a light load lasts.
const LIGHT_TIME: Duration = Duration::from_secs(3);
/// From the end of the load to the light one.
const REST: Duration = Duration::from_secs(3);
/// How long what was taken may need to become final after that.
const SETTLE_MAX: Duration = Duration::from_secs(20);
/// How long one trial of the search sends.
const TRIAL: Duration = Duration::from_secs(8);
/// The first trial. Unit: calls per second.
const FIRST: f64 = 500.0;
/// Of 64 KiB each.
const FIRST_LARGE: f64 = 8.0;
/// Highest trial.
const LAST: f64 = 20_000.0;
/// The search ends when the bounds are this close.
const CLOSE: f64 = 1.1;
/// Of what can become final, how much must become final while a trial sends.
const SUSTAINED: f64 = 0.97;
/// Payments are signed ahead for so many times what the nodes are expected to take.
const AHEAD: f64 = 1.4;

/// Flags of `timed-bench overload`.
#[derive(Clone, Debug, Args)]
pub(super) struct OverloadArgs {
    /// How many masternodes to run.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=20))]
    nodes: u64,
    /// The highest rate, in calls per second [default: searched].
    #[arg(long, value_name = "R", value_parser = parse_rate)]
    rate: Option<f64>,
    /// What multiples of the highest rate to offer, one after the other.
    #[arg(long, default_values_t = [1.0, 2.0, 4.0, 10.0], value_delimiter = ',', value_name = "N,...", value_parser = parse_factor)]
    factors: Vec<f64>,
    /// How long each is offered, such as 60s.
    #[arg(long, default_value = "60s", value_name = "TIME", value_parser = timed_devnet::parse_duration)]
    time: Duration,
    /// What is offered.
    #[arg(long, value_enum, default_value_t = LoadKind::Normal, value_name = "KIND")]
    kind: LoadKind,
    /// Most calls in one request. All of them are answered together: with 1, nobody waits for another's call.
    #[arg(long, default_value_t = CALLS_EACH, value_name = "N", value_parser = parse_batch)]
    batch: usize,
    /// Give the last node half a processor core.
    #[arg(long)]
    slow_node: bool,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Folder for the nodes' data and logs, kept afterwards [default: one below ~/.timed that is removed].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (1.0..=LAST).contains(&rate) => Ok(rate),
        _ => Err(format!("expected a number from 1 to {LAST}")),
    }
}

fn parse_batch(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(batch) if (1..=100).contains(&batch) => Ok(batch),
        _ => Err("expected a number from 1 to 100".into()),
    }
}

fn parse_factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.1..=20.0).contains(&factor) => Ok(factor),
        _ => Err("expected a number from 0.1 to 20".into()),
    }
}

/// Measures and prints.
pub(super) fn run(arguments: &OverloadArgs, program: &Path) -> anyhow::Result<()> {
    let measured = match &arguments.data_dir {
        Some(folder) => measure(arguments, program, folder)?,
        None => super::in_temporary_folder(|folder| measure(arguments, program, folder))?,
    };
    match arguments.json {
        true => report::print_json(&measured.as_json(arguments)),
        false => measured.print(arguments),
    }
    Ok(())
}

fn measure(arguments: &OverloadArgs, program: &Path, folder: &Path) -> anyhow::Result<OverloadFigures> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut network = OverloadNetwork::start(arguments, program, folder)?;
    let outcome = network.measure_all(arguments, &runtime);
    runtime.block_on(network.nodes.stop());
    outcome
}

/// Running nodes, what pays, and what is seen of them.
struct OverloadNetwork {
    kind: LoadKind,
    batch_max: usize,
    nodes: Nodes,
    load: PaymentLoad,
    addresses: Vec<(SocketAddr, String)>,
    blocks: mpsc::UnboundedReceiver<NodeBlock>,
    _followers: Followers,
    _half_core: Option<HalfCore>,
}

/// One factor.
struct OverloadPhase {
    factor: f64,
    rate: f64,
    time: Duration,
    load: LoadFigures,
    /// From three seconds after the load.
    after: LoadFigures,
    reasons: BTreeMap<String, usize>,
    /// Processor time of each node while the load lasted.
    cpu: Vec<Option<Duration>>,
    generator_cpu: Duration,
    /// Of each node, at the end and at most so far. Unit: MiB.
    memory: Vec<Option<(f64, f64)>>,
}

struct OverloadFigures {
    /// Unit: calls per second.
    highest: f64,
    is_searched: bool,
    trials: Vec<OverloadPhase>,
    /// A light load before any other. Unit: ms.
    light: Percentiles,
    phases: Vec<OverloadPhase>,
}

impl OverloadNetwork {
    fn start(arguments: &OverloadArgs, program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let nodes = Nodes::start(program, arguments.nodes, folder, Ports::Free)?;
        super::wait_for_height(&nodes, 1)?;
        let mut coins = BenchCoins::of_devnet(arguments.nodes);
        let kind = arguments.kind;
        split_coins(&nodes, &mut coins, kind.coins(), kind.split_into())?;
        let address = |node: &NodeProcess| {
            let (cookie, address) = timed_rpc::read_cookie(&node.folder).context("a node has no cookie")?;
            anyhow::Ok((address, cookie.header()))
        };
        let addresses = nodes.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        let (sender, blocks) = mpsc::unbounded_channel();
        let followers = Followers::start(nodes.iter().map(|node| node.folder.as_path()), &sender)?;
        let load = PaymentLoad::new(kind, coins, addresses.len());
        let slow = nodes.iter().last().filter(|_| arguments.slow_node).map(|node| HalfCore::of(node.pid()));
        Ok(Self {
            kind,
            batch_max: arguments.batch,
            nodes,
            load,
            addresses,
            blocks,
            _followers: followers,
            _half_core: slow,
        })
    }

    fn measure_all(&mut self, arguments: &OverloadArgs, runtime: &Runtime) -> anyhow::Result<OverloadFigures> {
        let light = self.play(runtime, &[], self.kind.light_rate(), LIGHT_TIME)?.load.finality;
        let mut trials = Vec::new();
        let highest = match arguments.rate {
            Some(rate) => rate,
            None => self.search(runtime, &mut trials)?,
        };
        let mut phases = Vec::new();
        for factor in &arguments.factors {
            let rate = highest * factor;
            report::progress(format!("{factor} times the highest rate: {rate:.0} calls per second"));
            let rest = arguments.time + REST;
            let light = Stretch { from: rest, length: LIGHT_TIME, rate: self.kind.light_rate() };
            let phase = self.play(runtime, &[light], rate, arguments.time)?;
            report::progress(format!("  {:.0} final per second", phase.load.final_per_second));
            phases.push(OverloadPhase { factor: *factor, ..phase });
        }
        Ok(OverloadFigures { highest, is_searched: arguments.rate.is_none(), trials, light, phases })
    }

    /// Doubles the rate until the nodes fall behind, then halves the distance.
    fn search(&mut self, runtime: &Runtime, trials: &mut Vec<OverloadPhase>) -> anyhow::Result<f64> {
        let (mut good, mut bad) = (0.0, f64::INFINITY);
        let mut rate = if self.kind == LoadKind::Large { FIRST_LARGE } else { FIRST };
        while bad / good > CLOSE && rate <= LAST {
            let trial = self.play(runtime, &[], rate, TRIAL)?;
            let wanted = rate * self.kind.valid_share();
            let is_good = trial.load.final_per_second >= SUSTAINED * wanted && trial.load.count(CallOutcome::Busy) == 0;
            let reached = trial.load.final_per_second;
            report::progress(format!("{rate:.0} per second: {reached:.0} of {wanted:.0} became final per second"));
            trials.push(trial);
            if is_good {
                good = rate;
            } else {
                bad = rate;
            }
            rate = match (good > 0.0, bad.is_finite()) {
                (_, false) => good * 2.0,
                (false, true) => bad / 2.0,
                (true, true) => (good * bad).sqrt(),
            };
            anyhow::ensure!(rate >= 1.0, "the nodes do not sustain one call per second; their logs say why");
        }
        Ok(good.round())
    }

    /// A load from now on, and more stretches after it.
    fn play(
        &mut self,
        runtime: &Runtime,
        more: &[Stretch],
        rate: f64,
        time: Duration,
    ) -> anyhow::Result<OverloadPhase> {
        // No more than what the nodes can be expected to take, whatever is offered.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the largest rate")]
        let expected = (rate.min(self.most()) * time.as_secs_f64() * AHEAD).ceil() as usize;
        let stretches: Vec<_> =
            [Stretch { from: Duration::ZERO, length: time, rate }].into_iter().chain(more.iter().copied()).collect();
        let due = dues(&stretches, self.kind.is_paired());
        self.load.sign_ahead(expected, due.len());
        anyhow::ensure!(self.load.ready() > 0, "no coin is left that can pay; the nodes' logs say why");
        // What was decided meanwhile is of no run.
        while self.blocks.try_recv().is_ok() {}
        let pids: Vec<u32> = self.nodes.iter().map(NodeProcess::pid).collect();
        let used = || pids.iter().map(|pid| usage::cpu_time(*pid)).collect::<Vec<_>>();
        let (nodes_before, before) = (used(), usage::process_cpu_time());
        let mut at_end = None;
        let generator = Generator::new(self.kind, &mut self.load, &self.addresses, due, self.batch_max);
        let look = |now: Duration| {
            if now >= time && at_end.is_none() {
                at_end = Some((used(), usage::process_cpu_time()));
            }
        };
        let recorded = runtime.block_on(generator.run(&mut self.blocks, SETTLE_MAX, look));
        let Recorded { slots, blocks, reasons } = recorded;
        let (nodes_after, after) = at_end.unwrap_or_else(|| (used(), usage::process_cpu_time()));
        let spent = |(before, after): (&Option<Duration>, Option<Duration>)| Some(after?.saturating_sub((*before)?));
        Ok(OverloadPhase {
            factor: 1.0,
            rate,
            time,
            load: LoadFigures::of(&slots, &blocks, Duration::ZERO, time),
            after: LoadFigures::of(&slots, &blocks, time + REST, time + REST + LIGHT_TIME),
            reasons,
            cpu: nodes_before.iter().zip(nodes_after).map(spent).collect(),
            generator_cpu: after.saturating_sub(before),
            memory: pids.iter().map(|pid| usage::memory_mib(*pid)).collect(),
        })
    }

    /// More than the nodes will take. Unit: calls per second.
    fn most(&self) -> f64 {
        if self.kind == LoadKind::Large { 100.0 } else { 4_000.0 }
    }
}

impl OverloadFigures {
    /// Of what becomes final at the highest rate. Unit: percent.
    fn percent(&self, phase: &OverloadPhase, kind: LoadKind) -> f64 {
        rounded(100.0 * phase.load.final_per_second / (self.highest * kind.valid_share()).max(f64::EPSILON), 1)
    }

    fn as_json(&self, arguments: &OverloadArgs) -> Value {
        let trial = |trial: &OverloadPhase| {
            json!({ "rate": rounded(trial.rate, 1), "final_per_s": rounded(trial.load.final_per_second, 1),
                    "busy": trial.load.count(CallOutcome::Busy), "finality_ms": trial.load.finality })
        };
        json!({
            "benchmark": "overload",
            "setting": report::setting(),
            "nodes": arguments.nodes,
            "kind": format!("{:?}", arguments.kind).to_lowercase(),
            "slow_node": arguments.slow_node,
            "highest_per_s": self.highest,
            "highest_is_searched": self.is_searched,
            "valid_share": arguments.kind.valid_share(),
            "light_finality_ms": self.light,
            "trials": self.trials.iter().map(trial).collect::<Vec<_>>(),
            "phases": self.phases.iter().map(|phase| self.phase(phase, arguments.kind)).collect::<Vec<_>>(),
        })
    }

    fn phase(&self, phase: &OverloadPhase, kind: LoadKind) -> Value {
        let load = &phase.load;
        let count = |outcome| load.count(outcome);
        let seconds = |spent: &Option<Duration>| spent.map(|spent| rounded(spent.as_secs_f64(), 2));
        json!({
            "factor": phase.factor,
            "rate": rounded(phase.rate, 1),
            "time_s": phase.time.as_secs_f64(),
            "offered": load.offered,
            "accepted": count(CallOutcome::Accepted),
            "busy": count(CallOutcome::Busy),
            "refused": count(CallOutcome::Refused),
            "unanswered": count(CallOutcome::Unanswered),
            "unsent": count(CallOutcome::Unsent),
            "refusal_reasons": phase.reasons,
            "finalized": load.finalized,
            "accepted_not_final": load.waiting,
            "final_per_s": rounded(load.final_per_second, 1),
            "percent_of_highest": self.percent(phase, kind),
            "finality_ms": load.finality,
            "answer_ms": load.answers,
            "busy_answer_ms": load.refusals,
            "blocks": load.blocks,
            "block_transactions_max": load.block_max,
            "failed_rounds": load.failed_rounds,
            "failed_rounds_percent": load.failed_share(),
            "failed_rounds_in_row": load.failed_in_row,
            "light_after_finality_ms": phase.after.finality,
            "light_after_refused": phase.after.offered - phase.after.count(CallOutcome::Accepted),
            "cpu_s_per_node": phase.cpu.iter().map(seconds).collect::<Vec<_>>(),
            "cpu_s_generator": rounded(phase.generator_cpu.as_secs_f64(), 2),
            "rss_mib_per_node": phase.memory.iter().map(|m| m.map(|(now, _)| rounded(now, 1))).collect::<Vec<_>>(),
            "rss_max_mib_per_node": phase.memory.iter().map(|m| m.map(|(_, most)| rounded(most, 1))).collect::<Vec<_>>(),
        })
    }

    fn print(&self, arguments: &OverloadArgs) {
        let how = if self.is_searched { "searched" } else { "given" };
        report::print_text(&format!(
            "Highest rate: {:.0} calls per second ({how}). Light load: p50 {} ms.",
            self.highest, self.light.p50
        ));
        let columns = [
            left("times"),
            right("offered/s"),
            right("accepted"),
            right("busy"),
            right("other"),
            right("final/s"),
            right("% of highest"),
            right("finality p50 / p99, ms"),
            right("not final"),
            right("busy after p50 / p99, ms"),
            right("blocks"),
            right("failed rounds"),
            right("in a row"),
            right("light after, p50 ms"),
            right("memory, MiB"),
            right("cpu s nodes"),
            right("generator"),
        ];
        let rows: Vec<_> = self.phases.iter().map(|phase| self.row(phase, arguments.kind)).collect();
        report::print_text(&table(&columns, &rows, None, str::to_owned));
        for phase in &self.phases {
            for (reason, count) in &phase.reasons {
                report::print_text(&format!("{} times: {count} refused: {reason}", phase.factor));
            }
        }
    }

    fn row(&self, phase: &OverloadPhase, kind: LoadKind) -> Vec<String> {
        let load = &phase.load;
        let other =
            [CallOutcome::Refused, CallOutcome::Unanswered, CallOutcome::Unsent].map(|outcome| load.count(outcome));
        let memory = phase.memory.iter().flatten().map(|(_, most)| *most).fold(0.0, f64::max);
        let cpu: f64 = phase.cpu.iter().flatten().map(Duration::as_secs_f64).sum();
        vec![
            phase.factor.to_string(),
            format!("{:.0}", float(load.offered as u64) / phase.time.as_secs_f64()),
            load.count(CallOutcome::Accepted).to_string(),
            load.count(CallOutcome::Busy).to_string(),
            other.iter().sum::<usize>().to_string(),
            format!("{:.0}", load.final_per_second),
            format!("{:.0}", self.percent(phase, kind)),
            format!("{:.0} / {:.0}", load.finality.p50, load.finality.p99),
            load.waiting.to_string(),
            format!("{:.0} / {:.0}", load.refusals.p50, load.refusals.p99),
            load.blocks.to_string(),
            format!("{} ({} %)", load.failed_rounds, load.failed_share()),
            load.failed_in_row.to_string(),
            format!("{:.1}", phase.after.finality.p50),
            format!("{memory:.0}"),
            format!("{cpu:.1}"),
            format!("{:.1}", phase.generator_cpu.as_secs_f64()),
        ]
    }
}
