//! Nodes killed, frozen, wiped and restored from old copies, again and again under load, with a checker that reads all their files.
//!
//! A few rounds of each; `TIMED_KILL_ROUNDS=100` makes a long run of it, see docs/faults.md. `TIMED_KILL_SEED` repeats the choices of a run.

use crate::checker::{Checker, Fault};
use crate::harness::{Client, Network, Node, Stopwatch, pause, wait_for};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use timed_primitives::Height;

/// Nodes of every test here. One may be missing.
const NODES: u64 = 4;
/// Newest payments that a node is asked for before it is killed.
const ASKED_MAX: usize = 100;

/// How long a run is.
struct Length {
    rounds: usize,
    /// Longest time for which a node is frozen.
    freeze_max: Duration,
}

/// `usual` rounds, or in a long run one for each `share` of the rounds that the environment names.
fn length(usual: usize, share: usize) -> Length {
    let rounds = std::env::var("TIMED_KILL_ROUNDS").ok().map(|rounds| rounds.parse::<usize>().expect("a number"));
    match rounds {
        Some(rounds) => Length { rounds: (rounds / share).max(1), freeze_max: Duration::from_secs(60) },
        None => Length { rounds: usual, freeze_max: Duration::from_secs(2) },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads that end with the test, also when it fails.
struct Background {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

#[allow(clippy::disallowed_methods, reason = "this test is no daemon")]
impl Background {
    fn run(&mut self, mut work: impl FnMut() + Send + 'static) {
        let is_over = self.is_over.clone();
        self.threads.push(std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                work();
                pause();
            }
        }));
    }

    /// Ends the work; a panic in it is one of the test.
    fn end(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Who pays, and what was accepted.
#[derive(Default)]
struct Payer {
    /// Node that is not asked, since it would not answer.
    frozen: Option<u64>,
    accepted: Vec<String>,
}

/// A network of four under load, watched.
struct Loop {
    name: &'static str,
    network: Network,
    checker: Arc<Mutex<Checker>>,
    payer: Arc<Mutex<Payer>>,
    background: Background,
    rng: StdRng,
    watch: Stopwatch,
    lengths: Length,
}

impl Loop {
    fn start(name: &'static str, lengths: Length) -> Self {
        let seed = std::env::var("TIMED_KILL_SEED").ok().map(|seed| seed.parse().expect("a number"));
        let seed: u64 = seed.unwrap_or_else(rand::random);
        println!("{name}: {} rounds, TIMED_KILL_SEED={seed}", lengths.rounds);
        let mut this = Self {
            name,
            network: Network::start(NODES, 0),
            checker: Arc::new(Mutex::new(Checker::new(NODES))),
            payer: Arc::default(),
            background: Background { is_over: Arc::default(), threads: Vec::new() },
            rng: StdRng::seed_from_u64(seed),
            watch: Stopwatch::start(),
            lengths,
        };
        let clients: Vec<_> = this.network.nodes.iter().map(Node::client).collect();
        let watched: Vec<_> = this.network.nodes.iter().map(|node| (node.id, node.folder.clone())).collect();
        let checker = this.checker.clone();
        this.background.run(move || {
            watched.iter().for_each(|(id, folder)| lock(&checker).peek(*id, folder).unwrap());
        });
        let (payer, mut turn) = (this.payer.clone(), 0);
        this.background.run(move || pay(&payer, &clients, &mut turn));
        this
    }

    fn random(&mut self, below: u64) -> u64 {
        self.rng.random_range(0..below)
    }

    fn random_node(&mut self) -> u64 {
        1 + self.random(NODES)
    }

    /// Lets the network run for a random time up to this.
    fn run_up_to(&mut self, longest: Duration) {
        let time = self.rng.random_range(Duration::ZERO..longest);
        let watch = Stopwatch::start();
        while watch.elapsed() < time {
            pause();
        }
    }

    fn check<T>(&self, question: impl FnOnce(&mut Checker) -> Result<T, Fault>) -> T {
        question(&mut lock(&self.checker)).unwrap_or_else(|fault| panic!("{}: {fault}", self.name))
    }

    /// Takes down what a node calls final; returns its height.
    fn take_promises(&self, id: u64) -> Height {
        let recent: Vec<_> = lock(&self.payer).accepted.iter().rev().take(ASKED_MAX).cloned().collect();
        self.take_payments(id, &recent);
        Height(wait_for("the height of a node", || self.network.node(id).height()))
    }

    fn take_payments(&self, id: u64, payments: &[String]) {
        for txid in payments.iter().filter(|txid| !lock(&self.checker).is_promised(txid)) {
            if let Some(block) = self.network.node(id).block_of(txid) {
                self.check(|checker| checker.promise_payment(id, txid, block));
            }
        }
    }

    /// `kill -9`, and a look at what it left: all that the node called final is there.
    fn kill(&mut self, id: u64) {
        let promised = self.take_promises(id);
        self.network.node_mut(id).kill();
        self.read_files(id);
        self.check(|checker| checker.check_height(id, promised));
    }

    fn read_files(&self, id: u64) {
        self.check(|checker| checker.read(id, &self.network.node(id).folder));
    }

    /// Waits until every node has decided more than any had, then says how far the test is.
    fn go_on(&self, round: usize, what: &str) {
        let target = wait_for("a node that answers", || highest(self.network.nodes.iter())) + 2;
        self.network.wait_height(target);
        for node in &self.network.nodes {
            self.check(|checker| checker.read_log(node.id, &node.folder));
        }
        let (counts, accepted) = (lock(&self.checker).counts(), lock(&self.payer).accepted.len());
        println!(
            "{} {}/{}: {what}; {} blocks, {accepted} payments accepted, {} statements, {:.0} s",
            self.name,
            round + 1,
            self.lengths.rounds,
            counts.blocks,
            counts.statements,
            self.watch.elapsed().as_secs_f64()
        );
    }

    /// Ends the load, waits until all agree, ends all nodes and checks everything.
    fn finish(mut self) {
        self.background.end();
        self.agreement();
        let accepted = lock(&self.payer).accepted.clone();
        self.take_payments(1, &accepted);
        for node in &self.network.nodes {
            self.check(|checker| checker.check_payments(node));
        }
        let reported = self.agreement();
        let folders =
            self.network.nodes.iter().map(|node| (node.id, node.folder.clone(), reported.clone())).collect::<Vec<_>>();
        self.network.nodes.iter_mut().for_each(Node::kill);
        self.check(|checker| checker.finish(&folders));
        for node in &self.network.nodes {
            assert!(!node.log().contains("contradicted itself"), "node {} saw a validator sign twice", node.id);
            assert_eq!(node.errors(), "", "node {} failed", node.id);
        }
        let (counts, accepted) = (lock(&self.checker).counts(), lock(&self.payer).accepted.len());
        println!(
            "{}: {} rounds in {:.0} s: {accepted} payments accepted, {} of them final, {} blocks, {} signed statements, {} looks at \
             the files, 0 contradictions",
            self.name,
            self.lengths.rounds,
            self.watch.elapsed().as_secs_f64(),
            counts.promises,
            counts.blocks,
            counts.statements,
            counts.reads
        );
        assert!(counts.promises > 0, "no payment was final");
    }

    /// Waits until nothing is under way and all nodes say the same of their tips, and returns that.
    fn agreement(&self) -> Value {
        let tips = || -> Option<Vec<Value>> {
            let tip = |node: &Node| {
                let info = node.call("getblockchaininfo", json!([])).ok()?;
                let waiting = node.call("getmempoolinfo", json!([])).ok()?["size"].as_u64()?;
                (waiting == 0).then_some(info)
            };
            self.network.nodes.iter().map(tip).collect()
        };
        wait_for("the same tip on every node", || {
            let tips = tips()?;
            let is_same = |what: &str| tips.iter().all(|tip| tip[what] == tips[0][what]);
            ["blocks", "bestblockhash", "state_commitment", "supply", "utxos"]
                .into_iter()
                .all(is_same)
                .then(|| tips[0].clone())
        })
    }
}

/// The greatest height that any of these nodes reports.
fn highest<'a>(nodes: impl Iterator<Item = &'a Node>) -> Option<u64> {
    nodes.filter_map(|node| node.height()).max()
}

/// One payment, by the node that paid last, or by the next one if that does not answer.
fn pay(payer: &Mutex<Payer>, clients: &[Client], turn: &mut usize) {
    let mut payer = lock(payer);
    let client = &clients[*turn % clients.len()];
    let paid = if payer.frozen == Some(client.id) { None } else { client.pay().ok() };
    match paid {
        Some(txid) => payer.accepted.push(txid),
        None => *turn += 1,
    }
}

#[test]
fn one_node_killed_at_a_time() {
    let mut run = Loop::start("one killed", length(5, 1));
    for round in 0..run.lengths.rounds {
        run.run_up_to(Duration::from_secs(1));
        let id = run.random_node();
        run.kill(id);
        run.run_up_to(Duration::from_millis(300));
        run.network.node_mut(id).start();
        run.go_on(round, &format!("node {id} killed"));
    }
    run.finish();
}

#[test]
fn all_nodes_killed_at_once() {
    let mut run = Loop::start("all killed", length(3, 5));
    for round in 0..run.lengths.rounds {
        run.run_up_to(Duration::from_secs(1));
        let promised: Vec<_> = (1..=NODES).map(|id| (id, run.take_promises(id))).collect();
        run.network.nodes.iter_mut().for_each(Node::kill);
        for (id, height) in promised {
            run.read_files(id);
            run.check(|checker| checker.check_height(id, height));
        }
        run.network.nodes.iter_mut().for_each(Node::start);
        run.go_on(round, "all killed");
    }
    run.finish();
}

#[test]
fn a_node_frozen_while_the_others_go_on() {
    let mut run = Loop::start("frozen", length(2, 10));
    let last = (run.lengths.rounds - 1).max(1) as f64;
    for round in 0..run.lengths.rounds {
        let id = run.random_node();
        // From one second to the longest, by equal factors.
        let time = Duration::from_secs_f64(run.lengths.freeze_max.as_secs_f64().powf(round as f64 / last));
        lock(&run.payer).frozen = Some(id);
        run.network.node_mut(id).process().signal("STOP");
        let watch = Stopwatch::start();
        run.read_files(id);
        let others = || highest(run.network.nodes.iter().filter(|node| node.id != id));
        let before = others();
        while watch.elapsed() < time {
            pause();
        }
        wait_for("a height of the others while one is frozen", || (others() > before).then_some(()));
        run.network.node_mut(id).process().signal("CONT");
        lock(&run.payer).frozen = None;
        run.go_on(round, &format!("node {id} frozen for {:.1} s", time.as_secs_f64()));
    }
    run.finish();
}

/// What a node logged since some length of its log.
fn logged_since(node: &Node, start: usize) -> String {
    node.log().split_off(start)
}

impl Loop {
    /// Starts a node that has forgotten what it signed: it must find that out, stay silent, and sign again in the end.
    fn start_forgetful(&mut self, id: u64) {
        let start = self.network.node(id).log().len();
        self.network.node_mut(id).start();
        let node = self.network.node(id);
        let log = wait_for("signing on again", || {
            let log = logged_since(node, start);
            log.contains("signing is on").then_some(log)
        });
        // By its guard, or by what its neighbours remember of it: whichever is found first.
        let off = log.find("signing is off: ").expect("signing was never off");
        assert!(Some(off) < log.find("signing is on"), "it signed first");
    }
}

#[test]
fn a_node_that_lost_its_folder_does_not_sign_twice() {
    let mut run = Loop::start("folder lost", length(1, 10));
    for round in 0..run.lengths.rounds {
        run.run_up_to(Duration::from_secs(1));
        let id = run.random_node();
        run.kill(id);
        fs::remove_dir_all(&run.network.node(id).folder).unwrap();
        lock(&run.checker).forget_folder(id);
        run.start_forgetful(id);
        run.go_on(round, &format!("node {id} lost its folder"));
    }
    run.finish();
}

#[test]
fn a_node_set_back_to_an_old_copy_does_not_sign_twice() {
    let mut run = Loop::start("restored", length(1, 10));
    for round in 0..run.lengths.rounds {
        let id = run.random_node();
        let folder = run.network.node(id).folder.clone();
        let copy = folder.with_extension("copy");
        run.run_up_to(Duration::from_secs(1));
        run.kill(id);
        copy_folder(&folder, &copy);
        run.network.node_mut(id).start();
        run.go_on(round, &format!("node {id} copied"));
        run.run_up_to(Duration::from_secs(2));
        run.kill(id);
        fs::remove_dir_all(&folder).unwrap();
        fs::rename(&copy, &folder).unwrap();
        lock(&run.checker).forget_folder(id);
        run.start_forgetful(id);
        run.go_on(round, &format!("node {id} restored from an old copy"));
    }
    run.finish();
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
