//! How soon who registers votes: from the registration at a node to its block, and to the first block that has the newcomer's precommit.

use super::light_load::{LightLoad, has_signed};
use super::report::{self, float, median, ms, rounded};
use super::{ask, wait_for};
use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use timed_devnet::local_nodes::{NodeProcess, Nodes, Ports, Setup, choose};
use timed_ledger::{
    Genesis, KeyHash, Lock, LockOwner, OutPoint, Payouts, RegisterPayload, Tier, Transaction, TransactionBody,
    TransactionPayload, TxInput, TxOutput,
};
use timed_primitives::{Amount, SecretKey, encode};

/// Nodes that vote at first.
const NODES: u64 = 4;
/// Blocks come at any time under so many payments per second, as on a network that is used.
const LOAD: f64 = 20.0;
/// Fee of a registration.
const FEE: u64 = 10_000;
/// Flags of `timed-bench join`.
#[derive(Clone, Debug, Args)]
pub(super) struct JoinArgs {
    /// How many join, one after the other. Each runs a node beside the four that vote at first.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=20))]
    newcomers: u16,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// How one joined.
struct Joining {
    /// From its registration at a node until that node has its block.
    is_final: Duration,
    /// Until that node has a block whose certificate has its precommit.
    votes: Duration,
    /// Heights from the registration's to that one.
    heights: u64,
}

/// Measures and prints.
pub(super) fn run(arguments: &JoinArgs, program: &Path) -> anyhow::Result<()> {
    let joined = super::in_temporary_folder(|folder| measure(arguments, program, folder))?;
    let middle = |of: fn(&Joining) -> f64| rounded(median(joined.iter().map(of).collect()), 1);
    let most = joined.iter().map(|one| one.heights).max().unwrap_or_default();
    let (is_final, votes) = (middle(|one| ms(one.is_final)), middle(|one| ms(one.votes)));
    if arguments.json {
        let all = joined.iter().map(|one| {
            json!({ "final_ms": rounded(ms(one.is_final), 1), "votes_ms": rounded(ms(one.votes), 1), "heights": one.heights })
        });
        report::print_json(&json!({
            "benchmark": "join",
            "setting": report::setting(),
            "nodes": NODES,
            "payments_per_second": LOAD,
            "final_ms": is_final,
            "votes_ms": votes,
            "heights": middle(|one| float(one.heights)),
            "heights_max": most,
            "all": all.collect::<Vec<Value>>(),
        }));
        return Ok(());
    }
    report::print_rows(&[
        ("registration is final after", format!("{is_final} ms"), "median"),
        ("newcomer votes after", format!("{votes} ms"), "median, its precommit is in a block's certificate"),
        ("  at most", format!("{most} heights"), "after the registration's"),
    ]);
    Ok(())
}

fn measure(arguments: &JoinArgs, program: &Path, folder: &Path) -> anyhow::Result<Vec<Joining>> {
    let nodes = Nodes::start(program, NODES, folder, Ports::Free)?;
    super::wait_for_height(&nodes, 1)?;
    let first = nodes.first_running().context("no node runs")?.folder.clone();
    let newcomers = newcomers(arguments.newcomers, program, folder, &nodes)?;
    let _load = LightLoad::start(&first, LOAD);
    let join = |newcomer: &NodeProcess| {
        report::progress(format!("node {} joins ...", newcomer.id));
        join(&first, newcomer)
    };
    newcomers.iter().map(join).collect()
}

/// Nodes with a key of their own that follow the chain.
fn newcomers(count: u16, program: &Path, folder: &Path, nodes: &Nodes) -> anyhow::Result<Vec<NodeProcess>> {
    let (ports, _) = choose(Ports::Free, count.into())?;
    let mut newcomers = Vec::new();
    for (id, ports) in (NODES + 1..).zip(ports) {
        let file = folder.join(format!("consensus-{id}.key"));
        std::fs::write(&file, hex::encode(SecretKey::development("consensus", id).seed()))?;
        let environment = vec![("TIMED__NODE__CONSENSUS_KEY", file.display().to_string())];
        let peers = nodes.iter().map(|node| node.p2p_port).collect();
        newcomers.push(Setup { program, id, validators: NODES, folder, ports, peers, environment }.start()?);
    }
    for node in &newcomers {
        wait_for("an observer at the tip", || {
            let tip = ask(&node.folder, "getblockcount", json!([])).ok();
            tip.and_then(|tip| tip.as_u64()).is_some_and(|tip| tip > 0)
        })?;
    }
    Ok(newcomers)
}

fn join(at: &Path, newcomer: &NodeProcess) -> anyhow::Result<Joining> {
    let transaction = registration(at, newcomer.id)?;
    let key = SecretKey::development("consensus", newcomer.id).public().to_string();
    let start = Instant::now();
    let txid = ask(at, "sendrawtransaction", json!([hex::encode(encode(&transaction))]))?;
    let mut height = None;
    wait_for("the registration to be final", || {
        let row = ask(at, "getrawtransaction", json!([txid, true])).ok();
        height = row.and_then(|row| row["blockheight"].as_u64());
        height.is_some()
    })?;
    let (is_final, mut look) = (start.elapsed(), height.unwrap_or_default());
    let registered = look;
    // Each height in turn, so that none is passed over.
    wait_for("the newcomer's vote", || {
        let tip = ask(at, "getblockcount", json!([])).ok().and_then(|tip| tip.as_u64()).unwrap_or_default();
        while look < tip && !has_signed(at, look + 1, &key) {
            look += 1;
        }
        look < tip
    })?;
    Ok(Joining { is_final, votes: start.elapsed(), heights: look + 1 - registered })
}

/// A bronze masternode with the development keys of this number, paid by coins that the node's wallet has now.
fn registration(at: &Path, id: u64) -> anyhow::Result<Transaction> {
    let coins = ask(at, "listunspent", json!([]))?;
    let mut coins: Vec<(u64, OutPoint)> = coins.as_array().into_iter().flatten().filter_map(coin).collect();
    coins.sort_unstable_by_key(|(amount, outpoint)| (*amount, *outpoint));
    let needed = Tier::Bronze.collateral(Amount::ONE).0 + FEE;
    let (mut total, mut spent) = (0, Vec::new());
    while total < needed {
        let (amount, outpoint) = coins.pop().context("the wallet has less than a masternode needs")?;
        (total, spent) = (total + amount, [spent, vec![outpoint]].concat());
    }
    let key = |purpose| SecretKey::development(purpose, id);
    let (wallet, owner, operator) = (SecretKey::development("wallet", 0), key("owner"), key("consensus"));
    let payload = TransactionPayload::Register(RegisterPayload {
        tier: Tier::Bronze,
        owner: owner.public(),
        operator: operator.public(),
        service: timed_ledger::ServiceAddress::new(([127, 0, 0, 1], 7_000).into()),
        payouts: Payouts::one(LockOwner::KeyHash(KeyHash::of(&wallet.public()))),
    });
    let lock = Lock::KeyHash(KeyHash::of(&wallet.public()));
    let locked = Amount(needed - FEE);
    let outputs = vec![TxOutput { amount: locked, lock }, TxOutput { amount: Amount(total - needed), lock }];
    let inputs: Vec<_> = spent.iter().map(|previous| TxInput { previous: *previous }).collect();
    let keys: Vec<_> = inputs.iter().map(|_| &wallet).chain([&owner, &operator]).collect();
    let transfer = TransactionBody::transfer(Genesis::devnet(NODES).chain_id, inputs, outputs);
    Ok(TransactionBody { payload, ..transfer }.sign(&keys))
}

/// Amount and outpoint of a row of `listunspent`.
fn coin(row: &Value) -> Option<(u64, OutPoint)> {
    let txid = row["txid"].as_str()?.parse().ok()?;
    let index = row["vout"].as_u64()?.try_into().ok()?;
    Some((row["amount"].to_string().trim_matches('"').parse::<Amount>().ok()?.0, OutPoint { txid, index }))
}
