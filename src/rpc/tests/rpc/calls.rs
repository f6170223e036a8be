//! Calls of every method that succeed, by the name of the file with their golden answer.

use crate::sample::masternodes::{masternode_id, proved_masternode};
use crate::sample::rewards::payouts;
use crate::sample::{address, block, history_proof, transaction};
use serde_json::{Value, json};
use timed_ledger::{
    OutPoint, Payout, Payouts, RegisterPayload, TextSignature, Tier, Transaction, TransactionBody, TransactionPayload,
};
use timed_primitives::{
    BlockId, ChainId, DoubleSign, Hash, Height, Round, SecretKey, Signature, Vote, VoteKind, encode,
};

/// Name of the golden file, and the parameters.
pub(crate) fn calls() -> Vec<(&'static str, Value)> {
    let txid = transaction().id().to_string();
    let mut other = transaction();
    other.body.inputs[0].previous.index = 5;
    let mut body = transaction().body;
    body.inputs[0].previous = OutPoint { txid: transaction().id(), index: 0 };
    let spending = hex::encode(encode(&Transaction { body, witnesses: Vec::new() }));
    let (raw, other) = (hex::encode(encode(&transaction())), hex::encode(encode(&other)));
    vec![
        ("getblockchaininfo", json!([])),
        ("getblockcount", json!([])),
        ("getbestblockhash", json!([])),
        ("getblock.0", json!([2, 0])),
        ("getblock", json!([block(2).id().to_string()])),
        ("getblock.2", json!({ "verbosity": 2, "blockhash": 2 })),
        ("getblock.first", json!([1, true])),
        ("getblockhash", json!([1])),
        ("waitfornewblock", json!([1])),
        ("gettransaction", json!([txid])),
        ("getrawtransaction", json!([txid])),
        ("getrawtransaction.verbose", json!([txid, 1])),
        ("gettxout", json!([txid, 1])),
        ("gettxout.locked", json!([txid, 1, false])),
        ("gettxout.none", json!([txid, 2])),
        ("sendrawtransaction", json!([other])),
        ("testmempoolaccept", json!([[raw, other]])),
        ("getmempoolinfo", json!([])),
        ("getrawmempool", json!([])),
        ("getrawmempool.verbose", json!([true])),
        ("getnetworkinfo", json!([])),
        ("getpeerinfo", json!([])),
        ("getpeerhistory", json!({ "node": "127.0.0.1:7001" })),
        ("getpeerhistory.none", json!(["", 0])),
        ("ping", json!([])),
        ("pingpeer", json!([])),
        ("getblock.genesis", json!([0])),
        ("getblock.genesis.0", json!([0, 0])),
        ("getblock.genesis.2", json!([0, 2])),
        ("getblockheader.genesis.hex", json!([0, false])),
        ("getblockheader", json!([2])),
        ("getblockheader.hex", json!([2, false])),
        ("getblockstats", json!([2])),
        ("getblockstats.some", json!([2, ["txs", "totalfee"]])),
        ("gethistoryproof", json!([1])),
        ("verifyhistoryproof", json!([hex::encode(encode(&history_proof()))])),
        ("getdifficulty", json!([])),
        ("getchaintips", json!([])),
        ("getchaintxstats", json!([])),
        ("getdeploymentinfo", json!([])),
        ("gettxoutsetinfo", json!([])),
        ("scantxoutset", json!(["start", [format!("addr({})", address(1))]])),
        ("getindexinfo", json!([])),
        ("waitforblock", json!([block(2).id().to_string(), 1])),
        ("waitforblockheight", json!([1])),
        ("gettransaction.verbose", json!([txid, null, true])),
        ("gettxspendingprevout", json!([[{ "txid": txid, "vout": 0 }, { "txid": txid, "vout": 1 }]])),
        ("decoderawtransaction", json!([raw])),
        ("decodescript", json!(["00".repeat(33)])),
        ("decodescript.other", json!(["76a9"])),
        ("createrawtransaction", json!([[{ "txid": txid, "vout": 0 }], { address(2).to_string(): 1.5 }])),
        ("combinerawtransaction", json!([[raw, raw]])),
        ("signrawtransactionwithkey", json!([spending, [hex::encode(SecretKey::development("wallet", 1).seed())]])),
        ("signrawtransactionwithkey.none", json!([raw, []])),
        ("signrawtransactionwithwallet", json!([spending])),
        ("getrawmempool.sequence", json!([false, true])),
        ("getmempoolentry", json!([txid])),
        ("getmempoolancestors", json!([txid])),
        ("getmempooldescendants", json!([txid, true])),
        ("estimatesmartfee", json!([2])),
        ("getmininginfo", json!([])),
        ("getnetworkhashps", json!([])),
        ("getconnectioncount", json!([])),
        ("getnettotals", json!([])),
        ("getaddednodeinfo", json!([])),
        ("getnodeaddresses", json!([0])),
        ("setnetworkactive", json!([true])),
        ("getbalance.unconfirmed", json!(["*", 0])),
        ("getbalances", json!([])),
        ("getunconfirmedbalance", json!([])),
        ("getwalletinfo", json!([])),
        ("listwallets", json!([])),
        ("listwalletdir", json!([])),
        ("createwallet", json!({ "wallet_name": "savings", "passphrase": "pass" })),
        ("restorewallet", json!(["savings", "/backup"])),
        ("restorewallet.phrase", json!({ "wallet_name": "savings", "phrase": "zoo", "passphrase": "pass" })),
        ("loadwallet", json!(["savings"])),
        ("unloadwallet", json!(["savings"])),
        ("walletpassphrase", json!(["pass", 60])),
        ("walletlock", json!([])),
        ("walletpassphrasechange", json!(["pass", "word"])),
        ("backupwallet", json!(["/backup"])),
        ("keypoolrefill", json!([])),
        ("rescanblockchain", json!([1])),
        ("abortrescan", json!([])),
        ("getrawchangeaddress", json!([])),
        ("getaddressinfo", json!([address(1).to_string()])),
        ("signmessage", json!([address(1).to_string(), "my order is 17"])),
        ("verifymessage", json!([address(1).to_string(), signed_order(), "my order is 17"])),
        ("verifymessage.other", json!([address(2).to_string(), signed_order(), "my order is 17"])),
        ("lockunspent", json!([false, [{ "txid": txid, "vout": 0 }]])),
        ("listlockunspent", json!([])),
        ("lockunspent.all", json!([true])),
        ("listtransactions", json!([])),
        ("listsinceblock", json!([])),
        ("settxfee", json!([0])),
        ("getaddressbalance", json!([{ "addresses": [address(1).to_string()] }])),
        ("getaddressutxos", json!([address(2).to_string()])),
        ("getaddressmempool", json!([[address(2).to_string()]])),
        ("getaddresstxids", json!([address(2).to_string()])),
        ("getaddressdeltas", json!([{ "addresses": [address(1).to_string(), address(2).to_string()] }])),
        ("getaddressdeltas.some", json!([{ "addresses": [address(1).to_string()], "start": 1, "end": 1 }])),
        ("sendmany", json!(["", { address(1).to_string(): 1, address(2).to_string(): "2.5" }])),
        ("fundrawtransaction", json!([raw])),
        ("setlabel", json!([address(1).to_string(), "tea"])),
        ("getaddressesbylabel", json!(["supplier"])),
        ("getaddressesbylabel.shop", json!(["shop"])),
        ("listlabels", json!([])),
        ("getrpcinfo", json!([])),
        ("getmemoryinfo", json!([])),
        ("logging", json!([])),
        ("getzmqnotifications", json!([])),
        ("rpc.discover", json!([])),
        ("addnode", json!(["masternode-5:7000"])),
        ("disconnectnode", json!(["127.0.0.1:7001"])),
        ("setban", json!(["127.0.0.1:7001", "add", 60])),
        ("setban.remove", json!(["127.0.0.1:7001", "remove"])),
        ("listbanned", json!([])),
        ("clearbanned", json!([])),
        ("getconsensusinfo", json!([])),
        ("masternodelist", json!([])),
        ("masternodelist.filter", json!(["", "127.0.0.1:7001"])),
        ("masternodelist.json", json!(["json", "127.0.0.1:7001"])),
        ("masternodelist.full", json!(["full"])),
        ("masternodelist.status", json!(["status"])),
        ("masternodelist.addr", json!(["addr"])),
        ("masternodestatus", json!([])),
        ("masternodestatus.left", json!([masternode_id(3).to_string()])),
        ("masternodestatus.paused", json!([masternode_id(4).to_string()])),
        ("masternodestatus.free", json!([masternode_id(5).to_string()])),
        ("getmasternodeproof", json!([masternode_id(2).to_string()])),
        ("verifymasternodeproof", json!([masternode_proof()])),
        ("listlockedcollaterals", json!([])),
        ("checkcollateral", json!(["23".repeat(32), 0])),
        ("checkcollateral.amount", json!([txid, 0])),
        ("checkcollateral.unknown", json!(["ab".repeat(32), 0])),
        ("getrewardreport", json!([])),
        ("getrewardreport.waiting", json!(["waiting"])),
        ("getrewardreport.open", json!([3])),
        ("masternodewinners", json!([])),
        ("masternoderewards", json!(["node 2"])),
        ("masternoderewards.free", json!([masternode_id(5).to_string()])),
        ("masternodehistory", json!([masternode_id(2).to_string(), 10])),
        ("masternodestatus.jailed", json!([masternode_id(6).to_string()])),
        ("masternodehistory.ended", json!([masternode_id(7).to_string()])),
        ("getsupply", json!([])),
        ("gettreasurybalance", json!([])),
        ("gettxout.payout", json!([payouts().to_string(), 1])),
        ("checkcollateral.payout", json!([payouts().to_string(), 0])),
        ("decoderawtransaction.doublesign", json!([statement(double_sign())])),
        ("decoderawtransaction.late", json!([statement(late_precommits())])),
        ("decoderawtransaction.reachability", json!([statement(reachability())])),
        ("protx.list", json!(["list"])),
        ("protx.list.wallet", json!(["list", "wallet"])),
        ("protx.info", json!(["info", masternode_id(2).to_string()])),
        ("protx.register_prepare", json!(["register_prepare", "bronze", register_options()])),
        ("protx.register_submit", json!({ "command": "register_submit", "target": signed_registration() })),
        ("protx.pause", json!(["pause", masternode_id(1).to_string()])),
        ("protx.revoke", json!(["revoke", masternode_id(2).to_string(), { "owner_key": secret("owner", 2) }])),
        ("decoderawtransaction.register", json!([hex::encode(encode(&registration()))])),
        ("signrawtransactionwithkey.register", json!([signed_registration(), [secret("owner", 9)]])),
        ("listunspent.collateral", json!({ "query_options": { "coinType": 4 } })),
        ("getbalance", json!(["*"])),
        ("getbalance.address", json!([address(1).to_string()])),
        ("getnewaddress", json!([])),
        ("listunspent", json!([0])),
        ("listunspent.address", json!({ "addresses": [address(2).to_string()] })),
        ("sendtoaddress", json!([address(1).to_string(), "12.5"])),
        ("validateaddress", json!([address(1).to_string()])),
        ("validateaddress.invalid", json!(["time1qqqq"])),
        ("uptime", json!(null)),
        ("stop", json!([])),
        ("help", json!([])),
        ("help.getblock", json!(["get-block"])),
    ]
}

/// Registers a masternode; it is signed by those of the payload, and not by the coin's owner.
pub(crate) fn registration() -> Transaction {
    let [owner, operator] = ["owner", "consensus"].map(|purpose| SecretKey::development(purpose, 9));
    let share = |id, share| Payout { to: address(id).lock().owner(), share };
    let payload = TransactionPayload::Register(RegisterPayload {
        tier: Tier::Bronze,
        owner: owner.public(),
        operator: operator.public(),
        service: "[2001:db8::1]:7000".parse().unwrap(),
        payouts: Payouts::new(vec![share(2, 7_500), share(3, 2_500)]).unwrap(),
    });
    let body = TransactionBody { payload, ..transaction().body };
    body.sign(&[&SecretKey::development("wallet", 2), &owner, &operator])
}

/// A statement in hex, signed by the second operator where somebody must.
fn statement(payload: TransactionPayload) -> String {
    let operator = SecretKey::development("consensus", 2);
    let signers = if payload.signers() == 0 { vec![] } else { vec![&operator] };
    hex::encode(encode(&TransactionBody::statement(ChainId(7), payload).sign(&signers)))
}

fn double_sign() -> TransactionPayload {
    let vote = |block| Vote {
        kind: VoteKind::Prevote,
        height: Height(2),
        round: Round(1),
        block: Some(BlockId(Hash([block; 32]))),
        validator: SecretKey::development("consensus", 2).public(),
        signature: Signature([block; 64]),
    };
    let proof = DoubleSign::of_votes(vote(1), vote(2));
    TransactionPayload::DoubleSign { registration: masternode_id(2), proof }
}

fn late_precommits() -> TransactionPayload {
    TransactionPayload::LatePrecommits(proved_masternode(masternode_id(2)).unwrap().certificate)
}

fn reachability() -> TransactionPayload {
    TransactionPayload::Reachability { interval: 2, free: masternode_id(5), witness: masternode_id(2) }
}

pub(crate) fn secret(purpose: &str, id: u64) -> String {
    hex::encode(SecretKey::development(purpose, id).seed())
}

pub(crate) fn register_options() -> Value {
    let owner = SecretKey::development("owner", 9).public().to_string();
    json!({ "service": "203.0.113.9:7000", "owner": owner, "payees": { address(2).to_string(): 10_000 }, "collateral": address(1).to_string() })
}

fn signed_registration() -> String {
    hex::encode(encode(&registration()))
}

/// What `signmessage` answers.
pub(crate) fn signed_order() -> String {
    use base64::Engine as _;
    let signed = TextSignature::new(&SecretKey::development("wallet", 1), "my order is 17");
    base64::engine::general_purpose::STANDARD.encode(signed.to_bytes())
}

pub(crate) fn masternode_proof() -> String {
    let proved = proved_masternode(masternode_id(2)).unwrap();
    hex::encode(encode(&(proved.proof, proved.header, proved.certificate)))
}
