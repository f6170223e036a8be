//! Parameters of methods.

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// A whole number, not negative.
    Integer,
    /// `true` or `false`; 1 and 0 do too.
    Boolean,
    /// How much is said, from 0 on; `false` and `true` are 0 and 1.
    Verbosity,
    /// Text without a form of its own.
    Text,
    /// 64 hex digits.
    Hash,
    /// 64 hex digits, or a height.
    HashOrHeight,
    /// A transaction in hex.
    Hex,
    /// An address of this network.
    Address,
    /// TIME with at most 8 decimals, as a number or as text.
    Amount,
    /// A list of transactions in hex.
    HexList,
    /// A list of addresses.
    AddressList,
    /// A list of texts.
    TextList,
    /// A list of outputs: objects with `txid` and `vout`.
    OutPoints,
    /// Who gets how much: an object of amounts by address, or a list of such objects.
    Outputs,
    /// Settings by name.
    Options,
    /// An object with `addresses`, a list of addresses, or one address.
    Owners,
    /// A peer, by one of its names.
    Peer,
    /// An interval of rewards: its number, or which.
    Interval,
    /// Anything: Bitcoin's clients send it, and here it changes nothing.
    Ignored,
    /// One of these values, in JSON: what another would ask for is not done here.
    Only(&'static [&'static str]),
}

impl ParamKind {
    /// What an error says was expected.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Integer => "a whole number",
            Self::Boolean => "true or false",
            Self::Verbosity => "0, 1 or 2",
            Self::Text => "text",
            Self::Hash => "64 hex digits",
            Self::HashOrHeight => "a block hash (64 hex digits) or a height (a whole number)",
            Self::Hex => "a transaction in hex",
            Self::Address => "an address",
            Self::Amount => "an amount such as 12.5",
            Self::HexList => "a list of 1 to 25 transactions in hex",
            Self::AddressList => "a list of addresses",
            Self::TextList => "a list of texts",
            Self::OutPoints => "a list of objects with txid and vout",
            Self::Outputs => "an object of amounts by address, or a list of such objects",
            Self::Options => "an object",
            Self::Owners => "an address, a list of addresses, or an object with addresses",
            Self::Peer => {
                "a node key or its first 8 digits or more, an address such as 10.0.0.2:7000, or an id of getpeerinfo"
            }
            Self::Interval => "the number of an interval, or latest, waiting or open",
            Self::Ignored => "anything: it changes nothing here",
            Self::Only(_) => "only what leaves it out: another value is refused",
        }
    }

    /// Its JSON Schema, as OpenRPC names types.
    pub(crate) const fn schema_type(self) -> Option<&'static str> {
        match self {
            Self::Integer => Some("integer"),
            Self::Boolean => Some("boolean"),
            Self::Text | Self::Hash | Self::Hex | Self::Address => Some("string"),
            Self::HexList | Self::AddressList | Self::TextList | Self::OutPoints => Some("array"),
            Self::Options => Some("object"),
            Self::HashOrHeight
            | Self::Verbosity
            | Self::Amount
            | Self::Outputs
            | Self::Owners
            | Self::Peer
            | Self::Interval
            | Self::Ignored
            | Self::Only(_) => None,
        }
    }
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name, as Bitcoin has it where the meaning is the same.
    pub name: &'static str,
    /// Another name that clients know it by; empty for none.
    pub alias: &'static str,
    /// What it is.
    pub kind: ParamKind,
    /// What it is when absent; `None` when it must be there.
    pub default: Option<&'static str>,
    /// What it is for.
    pub help: &'static str,
}

impl Param {
    /// The same under a second name.
    pub(crate) const fn or(self, alias: &'static str) -> Self {
        Self { alias, ..self }
    }

    /// Whether a client that says `name` means it.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || (!name.is_empty() && self.alias == name)
    }
}

pub(crate) const fn required(name: &'static str, kind: ParamKind, help: &'static str) -> Param {
    Param { name, alias: "", kind, default: None, help }
}

pub(crate) const fn optional(name: &'static str, kind: ParamKind, default: &'static str, help: &'static str) -> Param {
    Param { name, alias: "", kind, default: Some(default), help }
}

/// A parameter of Bitcoin's that changes nothing here.
pub(crate) const fn ignored(name: &'static str) -> Param {
    optional(name, ParamKind::Ignored, "", "taken for the sake of Bitcoin's clients; it changes nothing")
}

/// A parameter of Bitcoin's that is taken at these values only.
pub(crate) const fn only(name: &'static str, values: &'static [&'static str]) -> Param {
    optional(
        name,
        ParamKind::Only(values),
        "",
        "taken for the sake of Bitcoin's clients, and refused where it would change something",
    )
}
