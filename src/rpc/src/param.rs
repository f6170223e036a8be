//! Parameters of methods.

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// A whole number, not negative.
    Integer,
    /// `true` or `false`; 1 and 0 do too.
    Boolean,
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
    /// A peer, by one of its names.
    Peer,
}

impl ParamKind {
    /// What an error says was expected.
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Integer => "a whole number",
            Self::Boolean => "true or false",
            Self::Text => "text",
            Self::Hash => "64 hex digits",
            Self::HashOrHeight => "a block hash (64 hex digits) or a height (a whole number)",
            Self::Hex => "a transaction in hex",
            Self::Address => "an address",
            Self::Amount => "an amount such as 12.5",
            Self::HexList => "a list of 1 to 25 transactions in hex",
            Self::AddressList => "a list of addresses",
            Self::Peer => {
                "a node key or its first 8 digits or more, an address such as 10.0.0.2:7000, or an id of getpeerinfo"
            }
        }
    }
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name, as Bitcoin has it where the meaning is the same.
    pub name: &'static str,
    /// What it is.
    pub kind: ParamKind,
    /// What it is when absent; `None` when it must be there.
    pub default: Option<&'static str>,
    /// What it is for.
    pub help: &'static str,
}

pub(crate) const fn required(name: &'static str, kind: ParamKind, help: &'static str) -> Param {
    Param { name, kind, default: None, help }
}

pub(crate) const fn optional(name: &'static str, kind: ParamKind, default: &'static str, help: &'static str) -> Param {
    Param { name, kind, default: Some(default), help }
}
