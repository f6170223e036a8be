//! The table of methods as an OpenRPC document (spec.open-rpc.org), for tools that generate clients.

use crate::methods::{METHODS, Method};
use crate::param::Param;
use serde_json::{Value, json};

/// The version of the specification that the document follows.
const OPENRPC: &str = "1.3.2";

/// All methods.
pub(crate) fn document() -> Value {
    json!({
        "openrpc": OPENRPC,
        "info": { "title": "timed", "version": env!("CARGO_PKG_VERSION"), "description": "JSON-RPC of a timed node" },
        "methods": METHODS.iter().map(method).collect::<Vec<_>>(),
    })
}

fn method(method: &Method) -> Value {
    json!({
        "name": method.name,
        "summary": method.summary,
        "tags": [{ "name": method.group }],
        "paramStructure": "either",
        "params": method.params.iter().map(param).collect::<Vec<_>>(),
        "result": { "name": method.returns, "schema": {} },
    })
}

fn param(param: &Param) -> Value {
    let schema = param.kind.schema_type().map_or_else(|| json!({}), |kind| json!({ "type": kind }));
    json!({
        "name": param.name,
        "description": format!("{} ({})", param.help, param.kind.expected()),
        "required": param.default.is_none(),
        "schema": schema,
    })
}
