//! Methods about validators and their votes.

use super::calls::{Call, ConsensusCall};
use super::method::Method;
use crate::param::{ParamKind, ignored, optional};

const GROUP: &str = "Consensus";

pub(super) const ROWS: &[Method] = &[
    Method {
        call: Call::Consensus(ConsensusCall::GetConsensusInfo),
        name: "getconsensusinfo",
        kebab: "get-consensus-info",
        group: GROUP,
        params: &[],
        summary: "What is being decided, who has voted, who is missing, and why it is not decided yet",
        returns: "an object",
        example: "",
    },
    Method {
        call: Call::Consensus(ConsensusCall::MasternodeList),
        name: "masternodelist",
        kebab: "masternode-list",
        group: GROUP,
        params: &[
            ignored("mode"),
            optional("filter", ParamKind::Text, "", "only those whose keys, name or address have this text in them"),
        ],
        summary: "The validators: voting power, connection, how regularly they sign",
        returns: "a list of objects",
        example: "",
    },
];
