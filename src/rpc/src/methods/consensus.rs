//! Methods about validators and their votes.

use super::calls::{Call, ConsensusCall};
use super::method::Method;

const GROUP: &str = "Consensus";

pub(super) const ROWS: &[Method] = &[Method {
    call: Call::Consensus(ConsensusCall::GetConsensusInfo),
    name: "getconsensusinfo",
    kebab: "get-consensus-info",
    group: GROUP,
    params: &[],
    summary: "What is being decided, who has voted, who is missing, and why it is not decided yet",
    returns: "an object",
    example: "",
}];
