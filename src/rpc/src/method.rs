//! The table of methods: one row is the whole knowledge of a method's name, parameters and purpose. The server checks parameters by
//! it, `help` prints it, and the client makes its own help from it. The rows are in `methods.rs`.

use crate::methods::{Call, METHODS};

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

/// One method.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Which.
    pub call: Call,
    /// Its name.
    pub name: &'static str,
    /// Its name with hyphens, as the client also takes it.
    pub kebab: &'static str,
    /// Heading in `help`.
    pub group: &'static str,
    /// Its parameters, in order.
    pub params: &'static [Param],
    /// What it does, in one line.
    pub summary: &'static str,
    /// What comes back.
    pub returns: &'static str,
    /// Parameters of an example, as typed in a shell.
    pub example: &'static str,
}

impl Method {
    /// The method with this name, plain or with hyphens, in any case.
    pub fn find(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|m| m.name.eq_ignore_ascii_case(name) || m.kebab.eq_ignore_ascii_case(name))
    }

    /// The name that is fewest edits from `name`, when it is near enough to be what was meant.
    pub fn nearest(name: &str) -> Option<&'static str> {
        let name: String =
            name.chars().filter(|c| c.is_ascii_alphanumeric()).take(40).collect::<String>().to_lowercase();
        METHODS
            .iter()
            .map(|m| (edits(&name, m.name), m.name))
            .min()
            .filter(|(distance, known)| *distance <= 2.max(known.len() / 3))
            .map(|(_, known)| known)
    }

    /// Name and parameters: `getblock <blockhash> [verbosity]`.
    pub fn usage(&self) -> String {
        let params = self.params.iter().map(|p| match p.default {
            None => format!(" <{}>", p.name),
            Some(_) => format!(" [{}]", p.name),
        });
        format!("{}{}", self.name, params.collect::<String>())
    }

    /// The whole row for people.
    pub fn help(&self) -> String {
        let mut text = format!("{}\n\n{}.\n", self.usage(), self.summary);
        if !self.params.is_empty() {
            text.push_str("\nParameters:\n");
            for (i, p) in self.params.iter().enumerate() {
                let default = match p.default {
                    None => "required".to_owned(),
                    Some("") => "optional".to_owned(),
                    Some(default) => format!("default {default}"),
                };
                text.push_str(&format!("  {}. {:<16} {} ({}, {default})\n", i + 1, p.name, p.help, p.kind.expected()));
            }
        }
        text.push_str(&format!("\nReturns {}.\n", self.returns));
        text
    }
}

/// All methods under their headings, for `help` without a name.
pub fn help_all() -> String {
    let mut text = String::new();
    let mut group = "";
    for method in METHODS {
        if method.group != group {
            group = method.group;
            text.push_str(&format!("{}== {group} ==\n", if text.is_empty() { "" } else { "\n" }));
        }
        text.push_str(&format!("{:<52} {}\n", method.usage(), method.summary));
    }
    text
}

/// Edit distance (Levenshtein, one row); both texts are short.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let best = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_found_in_each_spelling() {
        let calls: BTreeSet<Call> = METHODS.iter().map(|m| m.call).collect();
        let names: BTreeSet<&str> = METHODS.iter().map(|m| m.name).collect();
        assert_eq!((calls.len(), names.len()), (METHODS.len(), METHODS.len()));
        for method in METHODS {
            assert_eq!(method.kebab.replace('-', ""), method.name);
            for spelling in [method.name, method.kebab, &method.name.to_uppercase()] {
                assert_eq!(Method::find(spelling).map(|m| m.name), Some(method.name));
            }
            let first_optional = method.params.iter().position(|p| p.default.is_some()).unwrap_or(method.params.len());
            assert!(method.params[first_optional..].iter().all(|p| p.default.is_some()), "{}", method.name);
            assert!(help_all().contains(method.summary) && method.help().contains(method.returns));
        }
        assert!(Method::find("get").is_none());
    }

    #[test]
    fn a_slip_finds_what_was_meant() {
        assert_eq!(Method::nearest("getblokcount"), Some("getblockcount"));
        assert_eq!(Method::nearest("get-peer-inf"), Some("getpeerinfo"));
        assert_eq!(Method::nearest("peerinfo"), Some("getpeerinfo"));
        assert_eq!(Method::nearest("walletpassphrasechange"), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
