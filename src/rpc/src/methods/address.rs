//! Methods about any address, as Dash has them.

use super::calls::{AddressCall, Call};
use super::method::Method;
use crate::param::{ParamKind, required};

const GROUP: &str = "Addresses";

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
        call: Call::Address(AddressCall::GetAddressMempool),
        name: "getaddressmempool",
        kebab: "get-address-mempool",
        group: GROUP,
        params: &[required("addresses", ParamKind::Owners, "at most 1000 addresses")],
        summary: "What transactions of the mempool bring addresses",
        returns: "a list of objects",
        example: "dtime1…address…",
    },
];
