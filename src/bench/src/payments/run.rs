//! One run at one rate.

use super::accounts::PaymentAccounts;
use super::coins::{BenchCoins, Signed};
use super::cost::Cost;
use super::network::{PaymentNetwork, connections};
use super::senders::SendSchedule;
use super::watch::LastBlock;
use crate::report::{self, float};
use crate::usage;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use timed_devnet::local_nodes::Nodes;

/// Connections that send to each node.
const SENDERS_PER_NODE: usize = 4;
/// How long accepted payments may take to become final after the last was due.
const SETTLE_MAX: Duration = Duration::from_secs(20);
/// Time between two looks whether all is final.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Payments pause this long between the splitting of coins and the run.
const REST: Duration = Duration::from_millis(500);
/// How fast coins are split. Unit: transactions per second.
const SPLIT_RATE: f64 = 200.0;
/// So often are those sent that a node which is busy has refused.
const SPLIT_TRIES: u32 = 5;
/// A coin pays again after so many seconds at the earliest, so that its change is final by then.
const COIN_RESTS_S: f64 = 5.0;
/// Coins made from one coin of genesis.
const SPLIT_INTO: u64 = 40;
/// Coins there are at least.
const COINS_MIN: usize = 1_000;

/// What was measured.
pub(super) struct PaymentFigures {
    pub(super) rate: f64,
    pub(super) duration: Duration,
    /// From the start until the last payment was final, or the last was due.
    pub(super) took: Duration,
    pub(super) scheduled: usize,
    pub(super) accounts: PaymentAccounts,
    pub(super) last_refusal: Option<String>,
    pub(super) finality: Vec<Duration>,
    pub(super) answers: Vec<Duration>,
    /// Coins that cannot pay again.
    /// Those that are not final.
    not_final: Vec<Signed>,
    pub(super) blocks: u64,
    pub(super) later_rounds: u64,
    /// Of each node.
    pub(super) cpu: Vec<Option<Duration>>,
    /// Processor time of checking one signature, in batches. Unit: seconds.
    pub(super) signature_check: f64,
    pub(super) client_cpu: Option<Duration>,
    /// Of each node, now and at most. Unit: MiB.
    pub(super) memory: Vec<Option<(f64, f64)>>,
}

impl PaymentFigures {
    /// Payments made final per second.
    pub(super) fn achieved(&self) -> f64 {
        float(self.finality.len() as u64) / self.took.as_secs_f64().max(f64::EPSILON)
    }

    /// What payments and heights cost a node; `None` where the system does not say.
    pub(super) fn cost(&self) -> Option<Cost> {
        let nodes: Option<Vec<f64>> = self.cpu.iter().map(|cpu| cpu.map(|cpu| cpu.as_secs_f64())).collect();
        Cost::of(&nodes?, self.finality.len(), self.blocks, self.signature_check)
    }

    /// The nodes kept up: all payments final, at 98 % of the rate or above, so that no queue was left at the end.
    pub(super) fn is_sustained(&self) -> bool {
        self.finality.len() == self.scheduled && self.achieved() >= 0.98 * self.rate
    }
}

/// One run at one rate.
pub(super) fn measure(network: &mut PaymentNetwork, rate: f64, duration: Duration) -> anyhow::Result<PaymentFigures> {
    let PaymentNetwork { nodes, coins } = network;
    prepare_coins(nodes, coins, rate)?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by the largest rate and any sane time"
    )]
    let count = (rate * duration.as_secs_f64()).ceil() as usize;
    report::progress(format!("signing {count} payments"));
    let payments = coins.payments(count);
    report::progress(format!("sending {rate} payments per second for {} s", duration.as_secs_f64()));
    let mut measured = play(nodes, rate, duration, payments)?;
    measured.signature_check = super::cost::signature_check()?;
    coins.forget(&measured.not_final.iter().filter_map(|payment| payment.place).collect());
    Ok(measured)
}

/// Splits coins until there are enough for this rate.
fn prepare_coins(nodes: &Nodes, coins: &mut BenchCoins, rate: f64) -> anyhow::Result<()> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the largest rate")]
    let wanted = ((rate * COIN_RESTS_S).ceil() as usize).max(COINS_MIN);
    split_coins(nodes, coins, wanted, SPLIT_INTO)
}

/// Splits coins of genesis into `into` each, until so many can pay.
///
/// # Errors
/// When a split is not final soon: nothing can be measured then.
pub(crate) fn split_coins(nodes: &Nodes, coins: &mut BenchCoins, wanted: usize, into: u64) -> anyhow::Result<()> {
    let splits = coins.split(wanted, into);
    if splits.is_empty() {
        return Ok(());
    }
    report::progress(format!("splitting coins: {} transactions for {} coins", splits.len(), coins.len()));
    make_final(nodes, splits, SPLIT_RATE)
}

/// Sends transactions at a rate (unit: per second) until all of them are final, and those again that a node which was busy refused.
///
/// # Errors
/// When one is not final after [`SPLIT_TRIES`].
pub(crate) fn make_final(nodes: &Nodes, mut transactions: Vec<Signed>, rate: f64) -> anyhow::Result<()> {
    for tried in 1.. {
        let count = transactions.len();
        let duration = Duration::from_secs_f64(float(count as u64) / rate);
        let sent = play(nodes, rate, duration, transactions)?;
        if sent.not_final.is_empty() {
            break;
        }
        anyhow::ensure!(
            tried < SPLIT_TRIES,
            "{} of {count} transactions that prepare coins are not final; the last refusal: {}",
            sent.not_final.len(),
            sent.last_refusal.as_deref().unwrap_or("none")
        );
        transactions = sent.not_final;
    }
    thread::sleep(REST);
    Ok(())
}

/// Sends, follows, waits, counts.
fn play(nodes: &Nodes, rate: f64, duration: Duration, payments: Vec<Signed>) -> anyhow::Result<PaymentFigures> {
    let count = nodes.iter().len();
    let index_of: BTreeMap<String, usize> =
        payments.iter().enumerate().map(|(index, signed)| (signed.id.0.to_string(), index)).collect();
    let mut followers = connections(nodes)?;
    let seen: Vec<LastBlock> = followers.iter_mut().map(LastBlock::now).collect::<Result<_, _>>()?;
    let pids: Vec<u32> = nodes.iter().map(timed_devnet::local_nodes::NodeProcess::pid).collect();
    let cpu_now = || pids.iter().map(|pid| usage::cpu_time(*pid)).collect::<Vec<_>>();
    let mut senders = Vec::new();
    for _ in 0..SENDERS_PER_NODE {
        senders.extend(connections(nodes)?);
    }
    let (cpu_before, client_before) = (cpu_now(), usage::cpu_time(std::process::id()));
    let schedule = &SendSchedule::new(Instant::now(), rate, payments);
    let (index_of, is_over, stride) = (&index_of, &AtomicBool::new(false), senders.len());
    let after = thread::scope(|scope| {
        let sending: Vec<_> = senders
            .iter_mut()
            .enumerate()
            .map(|(first, connection)| scope.spawn(move || schedule.send(connection, first, stride)))
            .collect();
        let following: Vec<_> = followers
            .iter_mut()
            .zip(&seen)
            .enumerate()
            .map(|(node, (connection, seen))| {
                let is_mine = move |index: usize| index % stride % count == node;
                let seen = seen.clone();
                scope.spawn(move || seen.follow(connection, schedule, index_of, is_mine, is_over))
            })
            .collect();
        sending.into_iter().for_each(|sender| drop(sender.join()));
        while schedule.waiting() > 0 && schedule.start.elapsed() < schedule.ends() + SETTLE_MAX {
            thread::sleep(LOOK_EVERY);
        }
        let after = (cpu_now(), usage::cpu_time(std::process::id()));
        is_over.store(true, Ordering::Relaxed);
        let ends: Vec<_> = following.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (after, ends)
    });
    let ((cpu_after, client_after), ends) = after;
    let mut last = Vec::new();
    for end in ends {
        let end = end.map_err(|_| anyhow::anyhow!("a thread that follows a node ended by a fault of its own"))?;
        last.push(end.context("a node stopped answering")?);
    }
    let first = seen.first().map_or(0, |seen| seen.height);
    Ok(PaymentFigures {
        rate,
        duration,
        took: schedule.last_final().max(duration),
        scheduled: schedule.payments.len(),
        accounts: schedule.accounts(),
        last_refusal: schedule.last_refusal(),
        finality: schedule.finals(),
        answers: schedule.answers(),
        not_final: schedule.not_final(),
        blocks: last.first().map_or(0, |seen| seen.height - first),
        later_rounds: last.first().map_or(0, |seen| seen.later_rounds),
        cpu: cpu_before.iter().zip(cpu_after).map(|(before, after)| Some(after?.saturating_sub((*before)?))).collect(),
        signature_check: 0.0,
        client_cpu: client_after.zip(client_before).map(|(after, before)| after.saturating_sub(before)),
        memory: pids.iter().map(|pid| usage::memory_mib(*pid)).collect(),
    })
}
