//! A typed client of Python's asyncio that others wrote for Bitcoin's server, unpatched, against a running node: many calls at once, errors, and
//! the fields that its types promise.

use crate::harness::Network;
use crate::programs::run;
use crate::stock_clients::{LIMIT, credentials, python_with};
use std::fmt::Write as _;

/// The client and its version, so that the test is the same tomorrow.
const PACKAGE: &str = "bitcoinrpc==0.7.0";

/// Fields that its types promise and an answer has not, and why that is no fault of the answer.
const WITHOUT: [(&str, &str, &str); 6] = [
    ("getnetworkinfo", "localservicenames", "a slip of the client's for localservicesnames"),
    ("getmempoolinfo", "maxmempoool", "a slip of the client's for maxmempool"),
    ("getmempoolinfo", "mempoolmaxfee", "Bitcoin Core has no such field either"),
    ("getblockchaininfo", "softforks", "Bitcoin Core has getdeploymentinfo for it since 23"),
    ("getblockstats", "heigth", "a slip of the client's for height"),
    ("getblockheader", "nextblockhash", "the last block has none"),
];

/// Asks for everything that the client has a typed call for and a node without miners an answer. It prints `call field` for each field that a type
/// promises and that the answer has not, and then `done`.
const CALLS: &str = r#"
import asyncio, sys, typing
from bitcoinrpc import BitcoinRPC, RPCError, _types

url, user, password = sys.argv[1:4]

def missing(call, value, kind):
    promised = typing.get_type_hints(kind)
    for field in sorted(set(promised) - set(value)):
        print(call, field)
    for field, hint in promised.items():
        if hint in (int, str, bool) and field in value and (call, field) not in LOOSE:
            assert isinstance(value[field], hint), (call, field, value[field])

# Its types say text where Bitcoin Core answers otherwise: warnings are a list since 28, the others were numbers at all times.
LOOSE = {(call, "warnings") for call in ("getblockchaininfo", "getnetworkinfo", "getmininginfo")}
LOOSE |= {("getnetworkinfo", "protocolversion"), ("getrawtransaction", "confirmations")}

async def main():
    async with BitcoinRPC.from_config(url, auth=(user, password), timeout=30) as rpc:
        txid = await rpc.acall("sendtoaddress", [await rpc.acall("getnewaddress", []), 1.25])
        while (await rpc.acall("gettransaction", [txid]))["confirmations"] == 0:
            await asyncio.sleep(0.1)
        for call in ("getmempoolinfo", "getmininginfo", "getnetworkinfo", "getblockchaininfo"):
            kind = getattr(_types, {"getmempoolinfo": "MempoolInfo", "getmininginfo": "MiningInfo",
                                    "getnetworkinfo": "NetworkInfo", "getblockchaininfo": "BlockchainInfo"}[call])
            missing(call, await getattr(rpc, call)(), kind)
        assert await rpc.getconnectioncount() == 0 and await rpc.getdifficulty() == 1
        assert await rpc.getnetworkhashps() == 0
        [tip] = await rpc.getchaintips()
        missing("getchaintips", tip, _types._ChainTipsDetail)
        best, count = await rpc.getbestblockhash(), await rpc.getblockcount()
        assert tip["hash"] == best == await rpc.getblockhash(count)
        missing("getblockheader", await rpc.getblockheader(best), _types._BlockHeader)
        assert isinstance(await rpc.getblockheader(best, False), str)
        block = (await rpc.getrawtransaction(txid))["blockhash"]
        missing("getblockstats", await rpc.getblockstats(block), _types.BlockStats)
        assert set(await rpc.getblockstats(block, "txs", "outs")) == {"txs", "outs"}
        whole = await rpc.getblock(block, 2)
        assert txid in [transaction["txid"] for transaction in whole["tx"]]
        assert isinstance(await rpc.getblock(block, 0), str) and txid in (await rpc.getblock(block))["tx"]
        missing("getrawtransaction", await rpc.getrawtransaction(txid, True, block), _types._RawTransaction)
        assert isinstance(await rpc.getrawtransaction(txid, False), str)
        heights = await asyncio.gather(*(rpc.getblockcount() for _ in range(50)))
        assert all(height >= count for height in heights)
        for call, code in [(rpc.getblockhash(10**9), -8), (rpc.getblock("00" * 32), -5),
                           (rpc.analyzepsbt("cHNidP8="), -32601)]:
            try:
                await call
                raise SystemExit("an error was expected")
            except RPCError as error:
                assert error.error["code"] == code, error
    print("done")

asyncio.run(main())
"#;

#[test]
fn a_typed_async_client_is_served() {
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
    let (address, user, password) = credentials(network.node(1));
    python.arg("-c").arg(CALLS).args([format!("http://{address}"), user, password]);
    let output = run(python, LIMIT);
    let mut expected = String::new();
    for (call, field, _why) in WITHOUT {
        writeln!(expected, "{call} {field}").unwrap();
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    expected.push_str("done\n");
    assert_eq!(sorted(&said), sorted(&expected), "{}", String::from_utf8_lossy(&output.stderr));
}
