//! Methods about fees, and what clients of a mined chain ask.

use super::calls::{Call, FeeCall};
use super::method::Method;
use crate::param::{ParamKind, ignored, required};

const GROUP: &str = "Fees and mining";

pub(super) const ROWS: &[Method] = &[
    Method {
        call: Call::Fee(FeeCall::EstimateSmartFee),
        name: "estimatesmartfee",
        kebab: "estimate-smart-fee",
        group: GROUP,
        params: &[
            required(
                "conf_target",
                ParamKind::Integer,
                "within so many blocks, from 1; the answer is the same for all",
            ),
            ignored("estimate_mode"),
        ],
        summary: "The fee that enters the mempool now, and so the next blocks",
        returns: "an object",
        example: "2",
    },
    Method {
        call: Call::Fee(FeeCall::GetMiningInfo),
        name: "getmininginfo",
        kebab: "get-mining-info",
        group: GROUP,
        params: &[],
        summary: "What a miner would ask: height, waiting transactions, and that nothing is mined",
        returns: "an object",
        example: "",
    },
    Method {
        call: Call::Fee(FeeCall::GetNetworkHashPs),
        name: "getnetworkhashps",
        kebab: "get-network-hash-ps",
        group: GROUP,
        params: &[ignored("nblocks"), ignored("height")],
        summary: "Always 0: nobody mines here",
        returns: "a number",
        example: "",
    },
    Method {
        call: Call::Fee(FeeCall::PrioritiseTransaction),
        name: "prioritisetransaction",
        kebab: "prioritise-transaction",
        group: GROUP,
        params: &[required("txid", ParamKind::Hash, "id of the transaction"), ignored("dummy"), ignored("fee_delta")],
        summary: "Refused: blocks take transactions by what they pay, the same on all nodes",
        returns: "an error",
        example: "",
    },
];
