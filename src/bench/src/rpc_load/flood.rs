//! What is asked of a node, more often than anybody should.

use clap::ValueEnum;
use serde_json::{Value, json};

/// Connections of clients that never read.
const UNREAD_CONNECTIONS: usize = 64;

/// A flood of calls that only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FloodKind {
    /// `getblock` with all transactions, of the largest block.
    Blocks,
    /// `gettxoutsetinfo`.
    Sums,
    /// `listunspent` of the address with many outputs.
    Unspent,
    /// `scantxoutset` and `getaddresstxids` of that address, and the wallet's history.
    Scans,
    /// `getblock` as above, by 64 clients that never read an answer.
    Unread,
}

/// What floods ask about.
#[derive(Clone, Debug)]
pub(super) struct FloodTargets {
    /// Height of the largest block.
    pub(super) height: u64,
    /// The address with many outputs.
    pub(super) address: String,
}

impl FloodKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Sums => "sums",
            Self::Unspent => "unspent",
            Self::Scans => "scans",
            Self::Unread => "unread",
        }
    }

    /// How many clients take part when others have so many.
    pub(super) fn connections(self, usual: usize) -> usize {
        if self == Self::Unread { UNREAD_CONNECTIONS } else { usual }
    }

    /// The requests, which clients send in turn.
    pub(super) fn bodies(self, targets: &FloodTargets) -> Vec<Vec<u8>> {
        let FloodTargets { height, address } = targets;
        match self {
            Self::Blocks | Self::Unread => vec![body("getblock", &json!([height, 2]))],
            Self::Sums => vec![body("gettxoutsetinfo", &json!([]))],
            Self::Unspent => vec![body("listunspent", &json!([0, 9_999_999, [address]]))],
            Self::Scans => vec![
                body("scantxoutset", &json!(["start", [address]])),
                body("listtransactions", &json!(["*", 1_000])),
                body("getaddresstxids", &json!([{ "addresses": [address], "start": 1, "end": height }])),
                body("listsinceblock", &json!([])),
            ],
        }
    }
}

/// The body of a call.
pub(super) fn body(method: &str, params: &Value) -> Vec<u8> {
    json!({ "id": 1, "method": method, "params": params }).to_string().into_bytes()
}
