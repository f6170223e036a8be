//! The table of methods: one row is the whole knowledge of a method's name, parameters and purpose. The server checks parameters by
//! it, `help` prints it, and the client makes its own help from it.

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number, not negative.
    Integer,
    /// `true` or `false`; 1 and 0 do too.
    Boolean,
    /// Text without a form of its own.
    Text,
    /// 64 hex digits.
    Hash,
    /// 64 hex digits, or a height.
    HashOrHeight,
    /// A transaction in hex.
    Hex,
    /// An address of this network.
    Address,
    /// TIME with at most 8 decimals, as a number or as text.
    Amount,
    /// A list of transactions in hex.
    HexList,
    /// A list of addresses.
    AddressList,
}

impl Kind {
    /// What an error says was expected.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Integer => "a whole number",
            Self::Boolean => "true or false",
            Self::Text => "text",
            Self::Hash => "64 hex digits",
            Self::HashOrHeight => "a block hash (64 hex digits) or a height (a whole number)",
            Self::Hex => "a transaction in hex",
            Self::Address => "an address",
            Self::Amount => "an amount such as 12.5",
            Self::HexList => "a list of 1 to 25 transactions in hex",
            Self::AddressList => "a list of addresses",
        }
    }
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name, as Bitcoin has it where the meaning is the same.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it is when absent; `None` when it must be there.
    pub default: Option<&'static str>,
    /// What it is for.
    pub help: &'static str,
}

const fn required(name: &'static str, kind: Kind, help: &'static str) -> Param {
    Param { name, kind, default: None, help }
}

const fn optional(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Param {
    Param { name, kind, default: Some(default), help }
}

/// Which method, for the exhaustive `match` that answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is the method of the same name in the table")]
pub enum Call {
    GetBlockchainInfo,
    GetBlockCount,
    GetBestBlockHash,
    GetBlock,
    GetBlockHash,
    WaitForNewBlock,
    GetTransaction,
    GetRawTransaction,
    GetTxOut,
    SendRawTransaction,
    TestMempoolAccept,
    GetMempoolInfo,
    GetRawMempool,
    GetNetworkInfo,
    GetPeerInfo,
    GetConsensusInfo,
    MasternodeList,
    GetBalance,
    GetNewAddress,
    ListUnspent,
    SendToAddress,
    ValidateAddress,
    Uptime,
    Stop,
    Help,
}

/// One method.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Which.
    pub call: Call,
    /// Its name.
    pub name: &'static str,
    /// Its name with hyphens, as the client also takes it.
    pub kebab: &'static str,
    /// Heading in `help`.
    pub group: &'static str,
    /// Its parameters, in order.
    pub params: &'static [Param],
    /// What it does, in one line.
    pub summary: &'static str,
    /// What comes back.
    pub returns: &'static str,
    /// Parameters of an example, as typed in a shell.
    pub example: &'static str,
}

const TXID: Param = required("txid", Kind::Hash, "id of the transaction");

/// All methods, in the order in which `help` shows them.
pub const METHODS: &[Method] = &[
    Method {
        call: Call::GetBlockchainInfo,
        name: "getblockchaininfo",
        kebab: "get-blockchain-info",
        group: "Chain",
        params: &[],
        summary: "Where the chain stands on this node: height, last block, progress of sync, supply",
        returns: "an object",
        example: "",
    },
    Method {
        call: Call::GetBlockCount,
        name: "getblockcount",
        kebab: "get-block-count",
        group: "Chain",
        params: &[],
        summary: "Height of the last block",
        returns: "a number",
        example: "",
    },
    Method {
        call: Call::GetBestBlockHash,
        name: "getbestblockhash",
        kebab: "get-best-block-hash",
        group: "Chain",
        params: &[],
        summary: "Hash of the last block",
        returns: "64 hex digits",
        example: "",
    },
    Method {
        call: Call::GetBlock,
        name: "getblock",
        kebab: "get-block",
        group: "Chain",
        params: &[
            required("blockhash", Kind::HashOrHeight, "hash of the block, or its height"),
            optional("verbosity", Kind::Integer, "1", "0: hex; 1: with transaction ids; 2: with whole transactions"),
        ],
        summary: "A block, with the certificate that made it final",
        returns: "an object, or hex with verbosity 0",
        example: "12 2",
    },
    Method {
        call: Call::GetBlockHash,
        name: "getblockhash",
        kebab: "get-block-hash",
        group: "Chain",
        params: &[required("height", Kind::Integer, "height of the block, from 1")],
        summary: "Hash of the block at a height",
        returns: "64 hex digits",
        example: "12",
    },
    Method {
        call: Call::WaitForNewBlock,
        name: "waitfornewblock",
        kebab: "wait-for-new-block",
        group: "Chain",
        params: &[
            optional("timeout", Kind::Integer, "0", "most milliseconds to wait; 0 and above 600000: 600000"),
            optional(
                "current_tip",
                Kind::Hash,
                "the tip now",
                "answer at once when the tip is another than this block",
            ),
        ],
        summary: "Waits until a block is final, or the time is over, and tells the tip",
        returns: "an object with hash and height",
        example: "30000",
    },
    Method {
        call: Call::GetTransaction,
        name: "gettransaction",
        kebab: "get-transaction",
        group: "Transactions",
        params: &[TXID],
        summary: "Any transaction of the chain or the mempool, with its state and confirmations",
        returns: "an object",
        example: "4f1c…64 hex digits…09ab",
    },
    Method {
        call: Call::GetRawTransaction,
        name: "getrawtransaction",
        kebab: "get-raw-transaction",
        group: "Transactions",
        params: &[TXID, optional("verbose", Kind::Boolean, "false", "an object in place of hex")],
        summary: "The encoding of any transaction of the chain or the mempool",
        returns: "hex, or an object with verbose",
        example: "4f1c…64 hex digits…09ab true",
    },
    Method {
        call: Call::GetTxOut,
        name: "gettxout",
        kebab: "get-tx-out",
        group: "Transactions",
        params: &[
            TXID,
            required("n", Kind::Integer, "position of the output, from 0"),
            optional("include_mempool", Kind::Boolean, "true", "whether the mempool counts"),
        ],
        summary: "An unspent output",
        returns: "an object, or null when it is spent or never was",
        example: "4f1c…64 hex digits…09ab 0",
    },
    Method {
        call: Call::SendRawTransaction,
        name: "sendrawtransaction",
        kebab: "send-raw-transaction",
        group: "Transactions",
        params: &[required("hexstring", Kind::Hex, "the signed transaction")],
        summary: "Checks a signed transaction and sends it to the network",
        returns: "its id",
        example: "0100…hex…",
    },
    Method {
        call: Call::TestMempoolAccept,
        name: "testmempoolaccept",
        kebab: "test-mempool-accept",
        group: "Transactions",
        params: &[required("rawtxs", Kind::HexList, "signed transactions, at most 25")],
        summary: "Says of each transaction whether the mempool would take it, sending nothing",
        returns: "a list of objects",
        example: "0100…hex…",
    },
    Method {
        call: Call::GetMempoolInfo,
        name: "getmempoolinfo",
        kebab: "get-mempool-info",
        group: "Transactions",
        params: &[],
        summary: "How full the mempool is and which fee enters it",
        returns: "an object",
        example: "",
    },
    Method {
        call: Call::GetRawMempool,
        name: "getrawmempool",
        kebab: "get-raw-mempool",
        group: "Transactions",
        params: &[optional("verbose", Kind::Boolean, "false", "an object for each in place of its id")],
        summary: "Transactions that wait for a block",
        returns: "a list of ids, or an object by id with verbose",
        example: "true",
    },
    Method {
        call: Call::GetNetworkInfo,
        name: "getnetworkinfo",
        kebab: "get-network-info",
        group: "Network",
        params: &[],
        summary: "This node among its peers: key, addresses, number of connections",
        returns: "an object",
        example: "",
    },
    Method {
        call: Call::GetPeerInfo,
        name: "getpeerinfo",
        kebab: "get-peer-info",
        group: "Network",
        params: &[],
        summary: "Each connected peer: address, key, ping time, height, traffic by kind of message",
        returns: "a list of objects",
        example: "",
    },
    Method {
        call: Call::GetConsensusInfo,
        name: "getconsensusinfo",
        kebab: "get-consensus-info",
        group: "Consensus",
        params: &[],
        summary: "What is being decided, who has voted, who is missing, and why it is not decided yet",
        returns: "an object",
        example: "",
    },
    Method {
        call: Call::MasternodeList,
        name: "masternodelist",
        kebab: "masternode-list",
        group: "Consensus",
        params: &[],
        summary: "The validators: voting power, connection, how regularly they sign",
        returns: "a list of objects",
        example: "",
    },
    Method {
        call: Call::GetBalance,
        name: "getbalance",
        kebab: "get-balance",
        group: "Wallet",
        params: &[optional("address", Kind::Text, "*", "an address; * is this node's wallet")],
        summary: "Money that is final and can be spent now",
        returns: "an amount",
        example: "",
    },
    Method {
        call: Call::GetNewAddress,
        name: "getnewaddress",
        kebab: "get-new-address",
        group: "Wallet",
        params: &[],
        summary: "An address of this node's wallet to receive money",
        returns: "an address",
        example: "",
    },
    Method {
        call: Call::ListUnspent,
        name: "listunspent",
        kebab: "list-unspent",
        group: "Wallet",
        params: &[
            optional("minconf", Kind::Integer, "1", "fewest confirmations; 0 shows the mempool too"),
            optional("maxconf", Kind::Integer, "9999999", "most confirmations"),
            optional("addresses", Kind::AddressList, "[]", "only these; none: this node's wallet"),
        ],
        summary: "Unspent outputs of this node's wallet, or of some addresses",
        returns: "a list of objects",
        example: "0",
    },
    Method {
        call: Call::SendToAddress,
        name: "sendtoaddress",
        kebab: "send-to-address",
        group: "Wallet",
        params: &[
            required("address", Kind::Address, "who is paid"),
            required("amount", Kind::Amount, "how much, in TIME"),
        ],
        summary: "Pays from this node's wallet",
        returns: "the id of the transaction",
        example: "dtime1…address… 12.5",
    },
    Method {
        call: Call::ValidateAddress,
        name: "validateaddress",
        kebab: "validate-address",
        group: "Wallet",
        params: &[required("address", Kind::Text, "what may be an address")],
        summary: "Whether this network can pay an address, and if not, why",
        returns: "an object",
        example: "dtime1…address…",
    },
    Method {
        call: Call::Uptime,
        name: "uptime",
        kebab: "uptime",
        group: "Control",
        params: &[],
        summary: "Seconds since the node started",
        returns: "a number",
        example: "",
    },
    Method {
        call: Call::Stop,
        name: "stop",
        kebab: "stop",
        group: "Control",
        params: &[],
        summary: "Stops the node in good order",
        returns: "text",
        example: "",
    },
    Method {
        call: Call::Help,
        name: "help",
        kebab: "help",
        group: "Control",
        params: &[optional("command", Kind::Text, "", "a method; none: a list of all")],
        summary: "Lists all methods, or explains one",
        returns: "text",
        example: "getblock",
    },
];

impl Method {
    /// The method with this name, plain or with hyphens, in any case.
    pub fn find(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|m| m.name.eq_ignore_ascii_case(name) || m.kebab.eq_ignore_ascii_case(name))
    }

    /// The name that is fewest edits from `name`, when it is near enough to be what was meant.
    pub fn nearest(name: &str) -> Option<&'static str> {
        let name: String =
            name.chars().filter(|c| c.is_ascii_alphanumeric()).take(40).collect::<String>().to_lowercase();
        METHODS
            .iter()
            .map(|m| (edits(&name, m.name), m.name))
            .min()
            .filter(|(distance, known)| *distance <= 2.max(known.len() / 3))
            .map(|(_, known)| known)
    }

    /// Name and parameters: `getblock <blockhash> [verbosity]`.
    pub fn usage(&self) -> String {
        let params = self.params.iter().map(|p| match p.default {
            None => format!(" <{}>", p.name),
            Some(_) => format!(" [{}]", p.name),
        });
        format!("{}{}", self.name, params.collect::<String>())
    }

    /// The whole row for people.
    pub fn help(&self) -> String {
        let mut text = format!("{}\n\n{}.\n", self.usage(), self.summary);
        if !self.params.is_empty() {
            text.push_str("\nParameters:\n");
            for (i, p) in self.params.iter().enumerate() {
                let default = match p.default {
                    None => "required".to_owned(),
                    Some("") => "optional".to_owned(),
                    Some(default) => format!("default {default}"),
                };
                text.push_str(&format!("  {}. {:<16} {} ({}, {default})\n", i + 1, p.name, p.help, p.kind.expected()));
            }
        }
        text.push_str(&format!("\nReturns {}.\n", self.returns));
        text
    }
}

/// All methods under their headings, for `help` without a name.
pub fn help_all() -> String {
    let mut text = String::new();
    let mut group = "";
    for method in METHODS {
        if method.group != group {
            group = method.group;
            text.push_str(&format!("{}== {group} ==\n", if text.is_empty() { "" } else { "\n" }));
        }
        text.push_str(&format!("{:<52} {}\n", method.usage(), method.summary));
    }
    text
}

/// Edit distance (Levenshtein, one row); both texts are short.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_found_in_each_spelling() {
        let calls: BTreeSet<Call> = METHODS.iter().map(|m| m.call).collect();
        let names: BTreeSet<&str> = METHODS.iter().map(|m| m.name).collect();
        assert_eq!((calls.len(), names.len()), (METHODS.len(), METHODS.len()));
        for method in METHODS {
            assert_eq!(method.kebab.replace('-', ""), method.name);
            for spelling in [method.name, method.kebab, &method.name.to_uppercase()] {
                assert_eq!(Method::find(spelling).map(|m| m.name), Some(method.name));
            }
            let first_optional = method.params.iter().position(|p| p.default.is_some()).unwrap_or(method.params.len());
            assert!(method.params[first_optional..].iter().all(|p| p.default.is_some()), "{}", method.name);
            assert!(help_all().contains(method.summary) && method.help().contains(method.returns));
        }
        assert!(Method::find("get").is_none());
    }

    #[test]
    fn a_slip_finds_what_was_meant() {
        assert_eq!(Method::nearest("getblokcount"), Some("getblockcount"));
        assert_eq!(Method::nearest("get-peer-inf"), Some("getpeerinfo"));
        assert_eq!(Method::nearest("peerinfo"), Some("getpeerinfo"));
        assert_eq!(Method::nearest("walletpassphrasechange"), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
