//! Clients that others wrote for Bitcoin's server, unpatched, against a running node. They are installed where PyPI can be reached; where it
//! cannot, the test says so and ends.

use crate::harness::{Network, Node};
use crate::programs::run;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The client and its version, so that the test is the same tomorrow.
const PACKAGE: &str = "python-bitcoinrpc==1.0";
/// Longest time for an installation or a run.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// What a shop does with python-bitcoinrpc, from its first call to a payment that is final. Without its batches: they name version 2.0 and read
/// the answers as those of 1.1, which fails with Bitcoin Core 28 as well.
const SHOP: &str = r#"
import sys, time
from decimal import Decimal
from bitcoinrpc.authproxy import AuthServiceProxy, JSONRPCException

url = sys.argv[1]
rpc = AuthServiceProxy(url, timeout=30)

def final(txid):
    while True:
        transaction = rpc.gettransaction(txid, None, True)
        if transaction["confirmations"] > 0:
            return transaction
        time.sleep(0.1)

assert rpc.getblockchaininfo()["chain"] == "regtest"
assert rpc.getnetworkinfo()["version"] == 100
assert rpc.getblock(rpc.getblockhash(0))["height"] == 0
before = rpc.getbalance("*", 1)
assert isinstance(before, Decimal) and before > 1
address = rpc.getnewaddress("shop", "bech32m")
assert rpc.validateaddress(address)["isvalid"]
assert rpc.getaddressinfo(address)["ismine"]
txid = rpc.sendtoaddress(address, Decimal("1.25"), "for tea", "the shop")
transaction = final(txid)
assert transaction["hex"] == rpc.getrawtransaction(txid)
block = rpc.getblock(transaction["blockhash"], 2)
assert txid in [t["txid"] for t in block["tx"]]
assert rpc.getblockheader(transaction["blockhash"])["height"] == block["height"]
coins = rpc.listunspent(1, 9999999, [address], True, {})
assert [coin["amount"] for coin in coins] == [Decimal("1.25")], coins
raw = rpc.createrawtransaction([{"txid": txid, "vout": coins[0]["vout"]}], {address: Decimal("1.2")})
signed = rpc.signrawtransactionwithwallet(raw)
assert signed["complete"], signed
assert rpc.testmempoolaccept([signed["hex"]], 0)[0]["allowed"]
assert rpc.sendrawtransaction(signed["hex"], 0) == rpc.decoderawtransaction(signed["hex"])["txid"]
other = rpc.getnewaddress()
rpc.setlabel(other, "savings")
assert list(rpc.getaddressesbylabel("savings")) == [other]
assert rpc.getaddressesbylabel("shop")[address]["purpose"] == "receive"
amounts = {address: Decimal("1"), other: Decimal("0.5")}
several = final(rpc.sendmany("", amounts, 1, "wages", [other]))
paid = {out["address"]: out["value"] for out in several["decoded"]["vout"] if out["address"] in amounts}
assert paid[address] == 1 and several["fee"] < 0 and paid[other] == Decimal("0.5") + several["fee"], (paid, several["fee"])
whole = final(rpc.sendtoaddress(other, Decimal("2"), "", "", True))
assert [o["value"] for o in whole["decoded"]["vout"] if o["address"] == other] == [2 + whole["fee"]]
funded = rpc.fundrawtransaction(rpc.createrawtransaction([], {address: Decimal("3")}))
signed = rpc.signrawtransactionwithwallet(funded["hex"])
assert signed["complete"] and funded["fee"] > 0
final(rpc.sendrawtransaction(signed["hex"]))
history = rpc.getaddresstxids({"addresses": [other]})
assert history == [several["txid"], whole["txid"]], history
deltas = rpc.getaddressdeltas({"addresses": [other]})
held = rpc.getaddressbalance({"addresses": [other]})
assert sum(d["satoshis"] for d in deltas) == held["balance"]
assert sum(d["satoshis"] for d in deltas if d["satoshis"] > 0) == held["received"]
for method, arguments, code in [
    ("getblock", ["00" * 32], -5),
    ("getblockhash", [10**9], -8),
    ("getblockhash", ["one"], -3),
    ("getblockhash", [], -1),
    ("getblocktemplate", [], -32601),
]:
    try:
        getattr(rpc, method)(*arguments)
        raise SystemExit(method + " succeeded")
    except JSONRPCException as error:
        assert error.code == code, (method, error.code, error.message)
print("done")
"#;

/// Where a node answers, and the name and password of its cookie.
pub(crate) fn credentials(node: &Node) -> (String, String, String) {
    let read = |name: &str| fs::read_to_string(node.folder.join(name)).unwrap().trim().to_owned();
    let cookie = read(".cookie");
    let (user, password) = cookie.split_once(':').expect("a name and a password");
    (read("rpc.addr"), user.to_owned(), password.to_owned())
}

/// The address of a node with its cookie, as such clients are given it.
fn url(node: &Node) -> String {
    let (address, user, password) = credentials(node);
    format!("http://{user}:{password}@{address}/")
}

/// The interpreter of an environment with a package of PyPI in it, or why there is none.
pub(crate) fn python_with(package: &str, folder: &Path) -> Result<Command, String> {
    let environment = folder.join("python");
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&environment);
    if Command::new("python3").arg("--version").output().is_err() {
        return Err("python3 is not installed".into());
    }
    let made = run(make, LIMIT);
    if !made.status.success() {
        return Err(format!("no environment: {}", String::from_utf8_lossy(&made.stderr)));
    }
    let mut install = Command::new(environment.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "10", package]);
    let installed = run(install, LIMIT);
    if !installed.status.success() {
        let errors = String::from_utf8_lossy(&installed.stderr);
        return Err(format!("{package} cannot be installed: {}", errors.lines().last().unwrap_or_default()));
    }
    Ok(Command::new(environment.join("bin/python")))
}

#[test]
fn a_shop_with_python_bitcoinrpc_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let mut python = match python_with(PACKAGE, folder.path()) {
        Ok(python) => python,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    let network = Network::start(1, 0);
    network.wait_height(0);
    python.arg("-c").arg(SHOP).arg(url(network.node(1)));
    let output = run(python, LIMIT);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n", "{}", String::from_utf8_lossy(&output.stderr));
}

/// What a program asks, and what of each answer it reads.
type Requests = &'static [(&'static str, &'static str, &'static [&'static str])];

/// An exporter of metrics for Prometheus: its calls at each scrape.
const EXPORTER: Requests = &[
    ("uptime", "[]", &[]),
    (
        "getmemoryinfo",
        r#"["stats"]"#,
        &[
            "/locked/used",
            "/locked/free",
            "/locked/total",
            "/locked/locked",
            "/locked/chunks_used",
            "/locked/chunks_free",
        ],
    ),
    (
        "getblockchaininfo",
        "[]",
        &["/blocks", "/difficulty", "/size_on_disk", "/verificationprogress", "/bestblockhash"],
    ),
    (
        "getnetworkinfo",
        "[]",
        &["/version", "/protocolversion", "/connections", "/connections_in", "/connections_out", "/warnings"],
    ),
    ("getchaintips", "[]", &["/0/height", "/0/status"]),
    ("getmempoolinfo", "[]", &["/bytes", "/size", "/usage", "/unbroadcastcount"]),
    ("getnettotals", "[]", &["/totalbytesrecv", "/totalbytessent"]),
    ("getrpcinfo", "[]", &["/active_commands"]),
    ("getchaintxstats", "[]", &["/txcount"]),
    (
        "getblockstats",
        "[1]",
        &["/total_size", "/total_weight", "/totalfee", "/txs", "/height", "/ins", "/outs", "/total_out"],
    ),
    ("getnetworkhashps", "[120]", &[]),
    ("getnetworkhashps", "[-1]", &[]),
    ("estimatesmartfee", "[2]", &["/feerate"]),
    ("listbanned", "[]", &[]),
];

/// An explorer: its start page, a block, the peers, the mempool.
const EXPLORER: Requests = &[
    (
        "getblockchaininfo",
        "[]",
        &["/chain", "/chainwork", "/pruned", "/initialblockdownload", "/headers", "/mediantime"],
    ),
    ("getdeploymentinfo", "[]", &["/deployments"]),
    ("getnetworkinfo", "[]", &["/subversion", "/localservices", "/networks/0/name", "/localaddresses", "/relayfee"]),
    ("getindexinfo", "[]", &["/txindex/synced"]),
    ("getmininginfo", "[]", &["/networkhashps", "/pooledtx"]),
    ("getpeerinfo", "[]", &[]),
    ("getmempoolinfo", "[]", &["/mempoolminfee", "/maxmempool"]),
    ("getrawmempool", "[true]", &[]),
    ("getblockhash", "[0]", &[]),
    ("getblock", "[1]", &["/nTx", "/weight", "/merkleroot", "/previousblockhash", "/bits", "/nonce", "/versionHex"]),
    ("getblockheader", "[1]", &["/confirmations", "/time", "/previousblockhash"]),
    ("gettxoutsetinfo", r#"["muhash"]"#, &["/txouts", "/total_amount", "/disk_size", "/muhash"]),
    ("getchaintxstats", "[1]", &["/txcount", "/window_block_count"]),
    ("estimatesmartfee", r#"[1,"CONSERVATIVE"]"#, &["/feerate", "/blocks"]),
    ("getconnectioncount", "[]", &[]),
    ("getdifficulty", "[]", &[]),
    ("help", r#"["getblock"]"#, &[]),
];

/// A backend of an explorer with a mempool of its own: `BLOCK` and `TX` are put in by the test.
const MEMPOOL_BACKEND: Requests = &[
    ("getblockchaininfo", "[]", &["/blocks", "/headers", "/initialblockdownload"]),
    ("getblockcount", "[]", &[]),
    (
        "getblock",
        r#"["BLOCK",2]"#,
        &[
            "/tx/0/txid",
            "/tx/0/version",
            "/tx/0/locktime",
            "/tx/0/size",
            "/tx/0/weight",
            "/tx/0/hex",
            "/tx/0/vin/0/txid",
            "/tx/0/vin/0/vout",
            "/tx/0/vin/0/scriptSig/asm",
            "/tx/0/vin/0/scriptSig/hex",
            "/tx/0/vin/0/sequence",
            "/tx/0/vin/0/txinwitness",
            "/tx/0/vout/0/value",
            "/tx/0/vout/0/n",
            "/tx/0/vout/0/scriptPubKey/asm",
            "/tx/0/vout/0/scriptPubKey/hex",
            "/tx/0/vout/0/scriptPubKey/type",
            "/tx/0/vout/0/scriptPubKey/address",
            "/hash",
            "/height",
            "/version",
            "/time",
            "/bits",
            "/nonce",
            "/difficulty",
            "/merkleroot",
            "/nTx",
            "/size",
            "/weight",
            "/previousblockhash",
            "/mediantime",
        ],
    ),
    ("getblock", r#"["BLOCK",1]"#, &["/tx/0"]),
    ("getblock", r#"["BLOCK",0]"#, &[]),
    ("getblockheader", r#"["BLOCK",false]"#, &[]),
    ("getblockheader", r#"["BLOCK",true]"#, &["/height", "/nTx"]),
    (
        "getblockstats",
        r#"["BLOCK",["avgfee","avgfeerate","avgtxsize","feerate_percentiles","ins","maxfee","maxfeerate","medianfee","minfee","outs","subsidy","swtotal_size","swtxs","total_out","totalfee","utxo_increase","utxo_size_inc"]]"#,
        &["/feerate_percentiles/4", "/medianfee", "/utxo_increase"],
    ),
    ("getrawtransaction", r#"["TX",true]"#, &["/txid", "/blockhash", "/blocktime", "/confirmations"]),
    ("getrawtransaction", r#"["TX",false]"#, &[]),
    ("gettxout", r#"["TX",0,true]"#, &["/value", "/scriptPubKey/address"]),
    ("getrawmempool", "[]", &[]),
    ("getrawmempool", "[true]", &[]),
    (
        "getmempoolinfo",
        "[]",
        &["/loaded", "/size", "/bytes", "/usage", "/maxmempool", "/mempoolminfee", "/minrelaytxfee"],
    ),
    ("getchaintips", "[]", &["/0/branchlen"]),
    ("getnetworkhashps", "[1008,1]", &[]),
    ("getmininginfo", "[]", &["/blocks", "/difficulty", "/networkhashps"]),
    ("getindexinfo", "[]", &["/txindex/best_block_height"]),
    (
        "validateaddress",
        r#"["ADDRESS"]"#,
        &["/isvalid", "/address", "/scriptPubKey", "/isscript", "/iswitness", "/witness_version", "/witness_program"],
    ),
    ("estimatesmartfee", "[6]", &["/feerate"]),
    ("getnetworkinfo", "[]", &["/version", "/subversion", "/relayfee"]),
];

/// An explorer that walks the chain by height and keeps balances itself.
const WALKING_EXPLORER: Requests = &[
    ("getblockhash", "[0]", &[]),
    ("getblock", r#"["BLOCK"]"#, &["/hash", "/height", "/time", "/confirmations", "/tx/0", "/nextblockhash"]),
    (
        "getrawtransaction",
        r#"["TX",1]"#,
        &[
            "/txid",
            "/time",
            "/blockhash",
            "/vin/0/txid",
            "/vin/0/vout",
            "/vout/0/value",
            "/vout/0/n",
            "/vout/0/scriptPubKey/type",
        ],
    ),
    ("getdifficulty", "[]", &[]),
    ("getconnectioncount", "[]", &[]),
    ("getmininginfo", "[]", &["/networkhashps"]),
    ("getpeerinfo", "[]", &[]),
    ("gettxoutsetinfo", "[]", &["/total_amount", "/txouts"]),
    ("getrawmempool", "[]", &[]),
    ("getnetworkinfo", "[]", &["/subversion", "/protocolversion"]),
    ("masternodelist", "[]", &[]),
];

/// What clients of Dash ask about addresses, and about the network.
const DASH: Requests = &[
    ("getaddressbalance", r#"[{"addresses":["ADDRESS"]}]"#, &["/balance"]),
    (
        "getaddressutxos",
        r#"[{"addresses":["ADDRESS"]}]"#,
        &["/0/address", "/0/txid", "/0/outputIndex", "/0/script", "/0/satoshis", "/0/height"],
    ),
    ("getaddresstxids", r#"[{"addresses":["ADDRESS"],"start":1,"end":1000}]"#, &["/0"]),
    (
        "getaddressdeltas",
        r#"[{"addresses":["ADDRESS"]}]"#,
        &["/0/satoshis", "/0/txid", "/0/index", "/0/blockindex", "/0/height", "/0/address"],
    ),
    ("getaddressmempool", r#"[{"addresses":["ADDRESS"]}]"#, &[]),
    ("getbestblockhash", "[]", &[]),
    ("masternodelist", r#"["full"]"#, &[]),
    ("masternodelist", r#"["json","abc"]"#, &[]),
    ("getblockcount", "[]", &[]),
    ("getblockhash", "[1]", &[]),
    ("getnewaddress", "[]", &[]),
    ("sendtoaddress", r#"["ADDRESS",0.1,"","",false,false,false]"#, &[]),
];

/// What they ask that there is not here: they get the reason.
const WITHOUT_MEANING: [(&str, &str); 6] = [
    ("mnsync", "getblockchaininfo"),
    ("masternode", "masternodelist"),
    ("gobject", "nobody votes on a budget"),
    ("getgovernanceinfo", "nobody votes on a budget"),
    ("spork", "rules are those of the genesis"),
    ("getinfo", "getblockchaininfo"),
];

#[test]
fn exporters_and_explorers_read_what_they_ask_for() {
    let network = Network::start(1, 0);
    let node = network.node(1);
    // The statistics are of a block.
    let address = node.ask("getnewaddress", json!([]));
    let txid = node.ask("sendtoaddress", json!([address, "1.5"]));
    network.wait_final(txid.as_str().unwrap());
    let found = node.ask("gettransaction", json!([txid]));
    assert!(found["fee"].as_f64().is_some_and(|fee| fee < 0.0), "it spends an output of the genesis: {found}");
    let block = found["blockhash"].clone();
    // What is paid with later leaves this output alone; another block comes after it.
    assert_eq!(node.ask("lockunspent", json!([false, [{ "txid": txid, "vout": 0 }]])), true);
    let later = node.pay().unwrap();
    network.wait_final(&later);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (address, txid, block) = (text(&address), text(&txid), text(&block));
    for (method, params, fields) in
        EXPORTER.iter().chain(EXPLORER).chain(MEMPOOL_BACKEND).chain(WALKING_EXPLORER).chain(DASH)
    {
        let params = params.replace("BLOCK", &block).replace("TX", &txid).replace("ADDRESS", &address);
        let params: Value = serde_json::from_str(&params).unwrap();
        let result = node.call(method, params.clone()).unwrap_or_else(|error| panic!("{method} {params}: {error}"));
        for field in *fields {
            assert!(result.pointer(field).is_some(), "{method}: no {field} in {result:#}");
        }
    }
    for (method, part) in WITHOUT_MEANING {
        let error = node.call(method, json!([])).unwrap_err().to_string();
        assert!(error.contains(part), "{method}: {error}");
    }
    let last = node.pay().unwrap();
    network.wait_final(&last);
    let first = node.ask("getblockhash", json!([1]));
    assert_eq!(node.ask("getblock", json!([node.ask("getblockhash", json!([0]))]))["nextblockhash"], first);
    assert_eq!(node.ask("getblock", json!([first]))["previousblockhash"], node.ask("getblockhash", json!([0])));
    assert_eq!(node.ask("getmempoolinfo", json!([]))["loaded"], true);
    let history = node.ask("listtransactions", json!(["*", 10]));
    assert!(!history.as_array().unwrap().is_empty(), "a payment of the wallet is in its history");
    assert_eq!(history, node.ask("listsinceblock", json!([]))["transactions"]);
}
