//! What the operator calls addresses.

use super::shape::{json, object};
use crate::error::RpcError;
use crate::node::NodeApi;
use crate::params::Args;
use serde_json::{Value, json as value_of};
use std::collections::BTreeSet;
use timed_ledger::Address;

/// The label of a call; empty when there is none.
pub(super) fn read(args: &Args<'_>) -> Result<String, RpcError> {
    match args.text_or("label")?.unwrap_or_default() {
        "*" => Err(RpcError::LabelReserved),
        label => Ok(label.to_owned()),
    }
}

/// The label that an answer is to be about; none for all.
pub(super) fn wanted<'a>(args: &Args<'a>) -> Result<Option<&'a str>, RpcError> {
    Ok(args.text_or("label")?.filter(|label| *label != "*"))
}

/// What `getaddressinfo` lists: an address of the wallet has a label, be it an empty one.
pub(super) fn of(node: &dyn NodeApi, address: &Address) -> Vec<String> {
    let label = node.label(address);
    if label.is_empty() && !node.is_mine(address) { Vec::new() } else { vec![label] }
}

fn purpose(node: &dyn NodeApi, address: &Address) -> &'static str {
    if node.is_mine(address) { "receive" } else { "send" }
}

/// `getaddressesbylabel`.
pub(super) fn addresses(node: &dyn NodeApi, label: &str) -> Result<Value, RpcError> {
    let labels = node.labels();
    let found: Vec<Address> = if label.is_empty() {
        let labelled: BTreeSet<Address> = labels.into_iter().map(|(address, _)| address).collect();
        node.addresses().into_iter().filter(|address| !labelled.contains(address)).collect()
    } else {
        labels.into_iter().filter(|(_, other)| other == label).map(|(address, _)| address).collect()
    };
    if found.is_empty() {
        return Err(RpcError::LabelUnknown(label.chars().take(60).collect()));
    }
    let row = |address: Address| (address.to_string(), value_of!({ "purpose": purpose(node, &address) }));
    Ok(object(found.into_iter().map(row)))
}

/// `listlabels`.
pub(super) fn list(node: &dyn NodeApi, wanted: &str) -> Result<Value, RpcError> {
    if !["", "receive", "send"].contains(&wanted) {
        let wanted: String = wanted.chars().take(40).collect();
        return Err(RpcError::InvalidParameter(format!(
            "listlabels: purpose: expected receive or send, got {wanted:?}"
        )));
    }
    let labels = node.labels();
    let has_plain = wanted != "send" && node.addresses().len() > labels.iter().filter(|(a, _)| node.is_mine(a)).count();
    let named = labels.into_iter().filter(|(address, _)| wanted.is_empty() || purpose(node, address) == wanted);
    let all: BTreeSet<String> = named.map(|(_, label)| label).chain(has_plain.then(String::new)).collect();
    json(all)
}
