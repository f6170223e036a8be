//! Answers about the node itself.

use super::shape::{json, object};
use crate::catalogue::help_all;
use crate::error::RpcError;
use crate::methods::{ControlCall, Method};
use crate::node::NodeApi;
use crate::openrpc;
use crate::params::Args;
use crate::refused::unknown_method;
use serde_json::{Value, json as value_of};

/// Parts of the log of Bitcoin's server, which clients insist on. None is written here, where the configuration says what is (log.filter).
const LOG_CATEGORIES: [&str; 28] = [
    "addrman",
    "bench",
    "blockstorage",
    "cmpctblock",
    "coindb",
    "estimatefee",
    "http",
    "i2p",
    "ipc",
    "leveldb",
    "libevent",
    "mempool",
    "mempoolrej",
    "net",
    "proxy",
    "prune",
    "qt",
    "rand",
    "reindex",
    "rpc",
    "scan",
    "selectcoins",
    "tor",
    "txpackages",
    "txreconciliation",
    "validation",
    "walletdb",
    "zmq",
];

pub(super) fn answer(node: &dyn NodeApi, call: ControlCall, args: &Args<'_>) -> Result<Value, RpcError> {
    match call {
        ControlCall::Uptime => json(node.uptime().as_secs()),
        ControlCall::GetRpcInfo => Ok(value_of!({ "active_commands": [], "logpath": "" })),
        ControlCall::GetMemoryInfo => Ok(value_of!({
            "locked": { "used": 0, "free": 0, "total": 0, "locked": 0, "chunks_used": 0, "chunks_free": 0 }
        })),
        ControlCall::Logging => Ok(object(LOG_CATEGORIES.map(|name| (name.to_owned(), false.into())))),
        ControlCall::GetZmqNotifications => Ok(value_of!([])),
        ControlCall::RpcDiscover => Ok(openrpc::document()),
        ControlCall::Stop => {
            node.stop();
            json("timed is stopping")
        }
        ControlCall::Help => {
            let command = args.text_or("command")?.unwrap_or_default();
            match Method::find(command) {
                _ if command.is_empty() => json(help_all()),
                Some(method) => json(method.help()),
                None => Err(unknown_method(command)),
            }
        }
    }
}
