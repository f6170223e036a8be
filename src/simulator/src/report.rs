//! What is said of a run when it is over.

use crate::service::ServiceFigures;
use crate::trace::TraceCounts;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The report card of a run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// The command that repeats it.
    pub command: String,
    /// Nodes, those that only follow included.
    pub nodes: u64,
    /// Virtual time. Unit: milliseconds.
    pub virtual_ms: u64,
    /// The lowest and the highest tip at the end.
    pub heights: (u64, u64),
    /// Rounds that failed at heights that are final.
    pub rounds_failed: u64,
    /// Payments made.
    pub payments_sent: u64,
    /// Payments that became final.
    pub payments_final: u64,
    /// How long a payment took to be final somewhere: half of them less, and 99 in 100 less. Unit: milliseconds.
    pub finality_ms: (u64, u64),
    /// How long accepted payments took to be final where they were accepted, by what went on meanwhile.
    pub services: BTreeMap<&'static str, ServiceFigures>,
    /// Kinds of faults that were drawn, as on the command line.
    pub drawn: String,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Lies sent, by kind.
    pub lies: BTreeMap<&'static str, u64>,
    /// What blocks did beside payments, by kind.
    pub changes: BTreeMap<&'static str, u64>,
    /// How often the network was healed and lived again in time.
    pub heals: u64,
    /// The longest time from a heal until every node had a new height and a new payment was final on all. Unit: milliseconds.
    pub slowest_heal_ms: u64,
    /// What the nodes did.
    pub counts: TraceCounts,
    /// Messages and bytes by kind that connections carried which were up at the end, before encryption.
    pub sent: BTreeMap<&'static str, (u64, u64)>,
    /// Sessions that were up and ended, each end counted, by reason.
    pub ended: BTreeMap<&'static str, u64>,
    /// Of these, of peers that were alive and heard, undisturbed and honest on both sides. Bound: that of [`Report::violations`].
    pub live_dropped: usize,
    /// Peers that were gone and still counted as connected past the deadline. Bound: the same.
    pub dead_kept: usize,
    /// Peers of the node that has fewest and of the one that has most, at the end.
    pub peers: (usize, usize),
    /// Comparisons that the checker made.
    pub checks: u64,
    /// What must never be, the first first.
    pub violations: Vec<String>,
    /// Their kinds, in the same order.
    pub kinds: Vec<&'static str>,
    /// BLAKE3 of the trace.
    pub trace_hash: String,
}

impl Report {
    /// How often a node decided a height: what a cost is to be divided by.
    pub const fn heights_of_all(&self) -> u64 {
        let heights = self.heights.1 * self.nodes;
        if heights == 0 { 1 } else { heights }
    }

    /// Whether nothing was found.
    pub const fn is_sound(&self) -> bool {
        self.violations.is_empty()
    }
}

fn listed(counts: &BTreeMap<&'static str, u64>) -> String {
    let counts: Vec<_> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Duration::from_millis(self.virtual_ms);
        let (faults, lies) = (listed(&self.faults), listed(&self.lies));
        let TraceCounts { events, messages, bytes, syncs } = self.counts;
        writeln!(f, "{}", self.command)?;
        writeln!(f, "virtual time  {} min {} s", time.as_secs() / 60, time.as_secs() % 60)?;
        writeln!(f, "heights       {} to {}, {} rounds failed", self.heights.0, self.heights.1, self.rounds_failed)?;
        writeln!(
            f,
            "payments      {} of {} final, half within {} ms, 99 % within {} ms",
            self.payments_final, self.payments_sent, self.finality_ms.0, self.finality_ms.1
        )?;
        for (condition, service) in &self.services {
            writeln!(f, "service       {condition}: {service}")?;
        }
        writeln!(f, "faults        {faults}")?;
        writeln!(f, "lies          {lies}")?;
        writeln!(f, "changes       {}", listed(&self.changes))?;
        let slowest = self.slowest_heal_ms;
        writeln!(f, "heals         {}, the slowest took {}.{:03} s", self.heals, slowest / 1000, slowest % 1000)?;
        writeln!(f, "traffic       {messages} messages, {bytes} bytes, {syncs} syncs, {events} events")?;
        let shares = self.heights_of_all();
        writeln!(f, "each height   {} messages and {} bytes from each node", messages / shares, bytes / shares)?;
        let sent: Vec<_> =
            self.sent.iter().map(|(kind, (count, bytes))| format!("{count} {kind} ({bytes} bytes)")).collect();
        writeln!(f, "by kind       {}", sent.join(", "))?;
        writeln!(
            f,
            "sessions      {} ended; {} live peers dropped, {} dead ones kept; {} to {} peers at the end",
            listed(&self.ended),
            self.live_dropped,
            self.dead_kept,
            self.peers.0,
            self.peers.1
        )?;
        writeln!(f, "checks        {}", self.checks)?;
        if self.violations.is_empty() {
            writeln!(f, "violations    none")?;
        }
        for violation in &self.violations {
            writeln!(f, "VIOLATION     {violation}")?;
        }
        write!(f, "trace hash    {}", self.trace_hash)
    }
}
