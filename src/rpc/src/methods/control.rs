//! Methods about the node itself.

use super::calls::{Call, ControlCall};
use super::method::Method;
use crate::param::{ParamKind, ignored, only, optional};

const GROUP: &str = "Control";

pub(super) const ROWS: &[Method] = &[
    Method {
        call: Call::Control(ControlCall::Uptime),
        name: "uptime",
        kebab: "uptime",
        group: GROUP,
        params: &[],
        summary: "Seconds since the node started",
        returns: "a number",
        example: "",
    },
    Method {
        call: Call::Control(ControlCall::GetRpcInfo),
        name: "getrpcinfo",
        kebab: "get-rpc-info",
        group: GROUP,
        params: &[],
        summary: "Calls in progress, which this node does not list",
        returns: "an object",
        example: "",
    },
    Method {
        call: Call::Control(ControlCall::GetMemoryInfo),
        name: "getmemoryinfo",
        kebab: "get-memory-info",
        group: GROUP,
        params: &[only("mode", &["\"stats\""])],
        summary: "Memory that is locked for secrets: none",
        returns: "an object",
        example: "",
    },
    Method {
        call: Call::Control(ControlCall::Logging),
        name: "logging",
        kebab: "logging",
        group: GROUP,
        params: &[only("include", &["[]"]), only("exclude", &["[]"])],
        summary: "Parts of the log, which the configuration chooses (log.filter) and no call changes",
        returns: "an object by name",
        example: "",
    },
    Method {
        call: Call::Control(ControlCall::GetZmqNotifications),
        name: "getzmqnotifications",
        kebab: "get-zmq-notifications",
        group: GROUP,
        params: &[],
        summary: "None: waitfornewblock is how to hear of blocks",
        returns: "an empty list",
        example: "",
    },
    Method {
        call: Call::Control(ControlCall::RpcDiscover),
        name: "rpc.discover",
        kebab: "rpc.discover",
        group: GROUP,
        params: &[],
        summary: "All methods as an OpenRPC document",
        returns: "an object",
        example: "",
    },
    Method {
        call: Call::Control(ControlCall::Stop),
        name: "stop",
        kebab: "stop",
        group: GROUP,
        params: &[ignored("wait")],
        summary: "Stops the node in good order",
        returns: "text",
        example: "",
    },
    Method {
        call: Call::Control(ControlCall::Help),
        name: "help",
        kebab: "help",
        group: GROUP,
        params: &[optional("command", ParamKind::Text, "", "a method; none: a list of all")],
        summary: "Lists all methods, or explains one",
        returns: "text",
        example: "getblock",
    },
];
