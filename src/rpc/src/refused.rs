//! Methods of Bitcoin's and Dash's that have no meaning here, and why: whoever asks for one learns that it is no slip of his.

use crate::error::RpcError;
use crate::methods::Method;

/// Names, and the reason with what to use in their place.
pub const REFUSED: &[(&[&str], &str)] = &[
    (
        &[
            "getblocktemplate",
            "submitblock",
            "submitheader",
            "generate",
            "generateblock",
            "generatetoaddress",
            "generatetodescriptor",
            "getprioritisedtransactions",
        ],
        "nobody mines here: validators make blocks, see `getconsensusinfo` and `masternodelist`",
    ),
    (
        &[
            "analyzepsbt",
            "combinepsbt",
            "converttopsbt",
            "createpsbt",
            "decodepsbt",
            "descriptorprocesspsbt",
            "finalizepsbt",
            "joinpsbts",
            "utxoupdatepsbt",
            "walletcreatefundedpsbt",
            "walletprocesspsbt",
            "psbtbumpfee",
        ],
        "transactions are exchanged as they are: `createrawtransaction`, `signrawtransactionwithkey`, `combinerawtransaction`",
    ),
    (
        &[
            "createwalletdescriptor",
            "deriveaddresses",
            "getdescriptoractivity",
            "getdescriptorinfo",
            "gethdkeys",
            "importdescriptors",
            "listdescriptors",
            "migratewallet",
            "addmultisigaddress",
            "createmultisig",
        ],
        "an output pays one key's hash and has no script: an address says all of it, see `validateaddress`",
    ),
    (
        &["invalidateblock", "reconsiderblock", "preciousblock", "getblockfrompeer"],
        "every block is final: there is no other branch to choose",
    ),
    (
        &["pruneblockchain", "dumptxoutset", "loadtxoutset", "getchainstates", "getblockfilter", "importmempool"],
        "a node keeps the whole chain, and nothing is loaded into a running one",
    ),
    (
        &["bumpfee", "abandontransaction", "estimaterawfee"],
        "a payment that is accepted is final within seconds and is never replaced",
    ),
    (
        &["gettxoutproof", "verifytxoutproof"],
        "a block's certificate proves it: `getblock` shows it, and `gettransaction` the place of a transaction; `gethistoryproof` proves an old block by the certificate of a recent one",
    ),
    (
        &["getinfo"],
        "Bitcoin's server has none since 0.16 either: `getblockchaininfo`, `getnetworkinfo` and `getwalletinfo` have its fields, and `time-cli status` shows them on one page",
    ),
    (
        &["masternode", "quorum", "spork"],
        "`masternodelist`, `masternodestatus` and `getconsensusinfo` say who votes and how, `protx` changes a masternode: rules are those of the genesis",
    ),
    (
        &["mnsync"],
        "`getblockchaininfo` says how far the chain is (`initialblockdownload`), and nothing else is synchronised",
    ),
    (
        &["gobject", "getgovernanceinfo", "getsuperblockbudget", "voteraw"],
        "nobody votes on a budget here yet: `gettreasurybalance` says what the treasury has",
    ),
    (
        &["instantsend", "getislocks", "getspecialtxes", "coinjoin"],
        "every payment is final in a fraction of a second, and none is mixed",
    ),
    (
        &["encryptwallet"],
        "a wallet is encrypted since `createwallet` made it, and `walletpassphrasechange` changes its passphrase; the node's own is a file with one key and cannot be encrypted: make another and pay yourself",
    ),
    (&["submitpackage"], "the mempool takes parents before children: send them one after the other"),
];

/// The method that was meant, and why there is none.
fn reason_against(name: &str) -> Option<(&'static str, &'static str)> {
    REFUSED.iter().find_map(|(names, reason)| {
        names.iter().find(|known| known.eq_ignore_ascii_case(name)).map(|known| (*known, *reason))
    })
}

/// The error for a name that is no method's.
pub fn unknown_method(name: &str) -> RpcError {
    if let Some((name, reason)) = reason_against(name) {
        return RpcError::Meaningless { name, reason };
    }
    if ["subscribe", "unsubscribe"].contains(&name) {
        return RpcError::Elsewhere(format!("{name} is called over a WebSocket at /ws; `time-cli subscribe` does it"));
    }
    RpcError::UnknownMethod { name: name.chars().take(60).collect(), nearest: Method::nearest(name) }
}
