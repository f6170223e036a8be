//! Methods about any address, as Dash has them.

use super::calls::{AddressCall, Call};
use super::method::Method;
use crate::param::{ParamKind, required};

const GROUP: &str = "Addresses";
const IN_BLOCKS: &str =
    "at most 1000 addresses; in an object, start and end bound the heights, which are at most 10000 apart";

pub(super) const ROWS: &[Method] = &[
    Method {
        call: Call::Address(AddressCall::GetAddressBalance),
        name: "getaddressbalance",
        kebab: "get-address-balance",
        group: GROUP,
        params: &[required("addresses", ParamKind::Owners, "at most 1000 addresses")],
        summary: "What addresses have, in units of 10⁻⁸ TIME",
        returns: "an object",
        example: "dtime1…address…",
    },
    Method {
        call: Call::Address(AddressCall::GetAddressUtxos),
        name: "getaddressutxos",
        kebab: "get-address-utxos",
        group: GROUP,
        params: &[required("addresses", ParamKind::Owners, "at most 1000 addresses")],
        summary: "Final unspent outputs of addresses",
        returns: "a list of objects",
        example: "dtime1…address…",
    },
    Method {
        call: Call::Address(AddressCall::GetAddressTxids),
        name: "getaddresstxids",
        kebab: "get-address-txids",
        group: GROUP,
        params: &[required("addresses", ParamKind::Owners, IN_BLOCKS)],
        summary: "Final transactions that paid addresses or spent what they had, in order; there is no index of these, so blocks are read",
        returns: "a list of ids",
        example: "'{\"addresses\":[\"dtime1…\"],\"start\":1,\"end\":5000}'",
    },
    Method {
        call: Call::Address(AddressCall::GetAddressDeltas),
        name: "getaddressdeltas",
        kebab: "get-address-deltas",
        group: GROUP,
        params: &[required("addresses", ParamKind::Owners, IN_BLOCKS)],
        summary: "What final transactions brought addresses and took from them, in order; there is no index of these, so blocks are read",
        returns: "a list of objects",
        example: "'{\"addresses\":[\"dtime1…\"],\"start\":1,\"end\":5000}'",
    },
    Method {
        call: Call::Address(AddressCall::GetAddressMempool),
        name: "getaddressmempool",
        kebab: "get-address-mempool",
        group: GROUP,
        params: &[required("addresses", ParamKind::Owners, "at most 1000 addresses")],
        summary: "What transactions of the mempool bring addresses and take from them",
        returns: "a list of objects",
        example: "dtime1…address…",
    },
];
