//! Finds methods by name, and lists them all for `help`.

use crate::methods::{METHODS, Method};

impl Method {
    /// The method with this name, plain or with hyphens or underscores, in any case (`getBlockCount`).
    pub fn find(name: &str) -> Option<&'static Self> {
        METHODS.iter().find(|method| {
            let written = name.bytes().filter(|b| !b"-_".contains(b)).map(|b| b.to_ascii_lowercase());
            method.name.bytes().eq(written)
        })
    }

    /// The name that is fewest edits from `name`, when it is near enough to be what was meant.
    pub fn nearest(name: &str) -> Option<&'static str> {
        let name: String =
            name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').take(40).collect::<String>().to_lowercase();
        METHODS
            .iter()
            // Of equally near ones the one that begins alike: letters are left out at the end more often than at the start.
            .map(|m| (edits(&name, m.name), usize::MAX - alike(&name, m.name), m.name))
            .min()
            .filter(|(distance, _, known)| *distance <= 2.max(known.len() / 3))
            .map(|(_, _, known)| known)
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

/// How many letters both begin with.
fn alike(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count()
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
    use crate::methods::Call;
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
        assert_eq!(Method::nearest("xyzzyplughfoobarquux"), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
