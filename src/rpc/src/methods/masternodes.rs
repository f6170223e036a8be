//! Methods about masternodes.

use super::calls::{Call, MasternodeCall};
use super::method::Method;
use crate::param::{ParamKind, optional, required};

const GROUP: &str = "Masternodes";

pub(super) const ROWS: &[Method] = &[
    Method {
        call: Call::Masternode(MasternodeCall::MasternodeList),
        name: "masternodelist",
        kebab: "masternode-list",
        group: GROUP,
        params: &[
            optional(
                "mode",
                ParamKind::Text,
                "",
                "json, full, status or addr: an object by collateral, as Dash has it; without: a list",
            ),
            optional("filter", ParamKind::Text, "", "only those with this text in their keys, names or addresses"),
        ],
        summary: "All masternodes of the chain: status, voting power, connection, how regularly they sign",
        returns: "a list of objects, or an object by collateral",
        example: "",
    },
    Method {
        call: Call::Masternode(MasternodeCall::MasternodeStatus),
        name: "masternodestatus",
        kebab: "masternode-status",
        group: GROUP,
        params: &[optional(
            "registration",
            ParamKind::Hash,
            "",
            "id of the masternode; without: the one that has this node's consensus key",
        )],
        summary: "A masternode: whether it votes, with which power, since when it waits, and what to do",
        returns: "an object, with advice in words",
        example: "",
    },
    Method {
        call: Call::Masternode(MasternodeCall::GetMasternodeProof),
        name: "getmasternodeproof",
        kebab: "get-masternode-proof",
        group: GROUP,
        params: &[required("registration", ParamKind::Hash, "id of the masternode")],
        summary: "Proof of what the list of masternodes says of one, by header and certificate of the last block",
        returns: "an object, with the whole proof in hex and its parts",
        example: "4f1c…64 hex digits…09ab",
    },
    Method {
        call: Call::Masternode(MasternodeCall::VerifyMasternodeProof),
        name: "verifymasternodeproof",
        kebab: "verify-masternode-proof",
        group: GROUP,
        params: &[required("proof", ParamKind::Text, "what getmasternodeproof gave as proof: hex")],
        summary: "Checks a proof of getmasternodeproof, signatures included, and says what it proves",
        returns: "an object; an error when it proves nothing",
        example: "- < proof.hex",
    },
    Method {
        call: Call::Masternode(MasternodeCall::ListLockedCollaterals),
        name: "listlockedcollaterals",
        kebab: "list-locked-collaterals",
        group: GROUP,
        params: &[],
        summary: "Outputs of this node's wallet that are collateral of masternodes, which its payments leave alone",
        returns: "a list of objects",
        example: "",
    },
    Method {
        call: Call::Masternode(MasternodeCall::CheckCollateral),
        name: "checkcollateral",
        kebab: "check-collateral",
        group: GROUP,
        params: &[
            required("txid", ParamKind::Hash, "id of the transaction that made the output"),
            required("n", ParamKind::Integer, "position of the output, from 0"),
        ],
        summary: "Whether an output is the collateral of a masternode, or could pay for one, and what to do",
        returns: "an object, with advice in words",
        example: "4f1c…64 hex digits…09ab 0",
    },
    Method {
        call: Call::Masternode(MasternodeCall::Protx),
        name: "protx",
        kebab: "protx",
        group: GROUP,
        params: &[
            required(
                "command",
                ParamKind::Text,
                "list, info, register_prepare, register_submit, update_service, update_registrar, pause, resume, revoke or release",
            ),
            optional(
                "target",
                ParamKind::Text,
                "",
                "for register_prepare a tier, for register_submit hex, for list what to list, else the id of a masternode",
            ),
            optional("options", ParamKind::Options, "{}", "what the command needs: see docs/masternodes.md"),
        ],
        summary: "Registers a masternode, changes it, and gets its collateral back",
        returns: "the id of the transaction that was sent, or an object with its hex and whose signatures are missing",
        example: "info 4f1c…64 hex digits…09ab",
    },
];
