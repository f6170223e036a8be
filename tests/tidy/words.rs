//! One word names one thing, and it is the field's; one name names one type.

use super::{before_tests, is_test_file, root, rust_files};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Words that the code once had of its own, where the field has others. Left is what a word begins with or, after `=`, what it is; right is
/// what to say instead. The parts of names count as words: `has_told`, `JudgeError`.
const RETIRED_WORDS: [(&str, &str); 24] = [
    ("=told", "reported, announced, sent; of two things: distinguished"),
    ("=untold", "unreported"),
    ("=tells", "reports, announces, sends, says"),
    ("=telling", "reporting, announcing, sending"),
    ("judg", "validate, Validity; who checks a simulated run is the checker"),
    ("greet", "handshake; Hello for the message"),
    ("stranger", "unknown peer"),
    ("liar", "Byzantine validator"),
    ("ghost", "stale session"),
    ("=heed", "apply"),
    ("=remind", "resend"),
    ("=thank", "report useful"),
    ("=thanks", "report useful"),
    ("holding", "known votes, VoteSetBits"),
    ("ballot", "EngineVote"),
    ("=rooms", "crates, components, actors, channels, threads: whichever they are"),
    ("=inlet", "InboundRouter"),
    ("=outbox", "OutboundQueue"),
    ("=cabin", "NodeDriver"),
    ("=seat", "NodeInner"),
    ("=weather", "fault schedule"),
    ("=calm", "quiet, a quiet period"),
    ("=richest", "with all precommits"),
    ("=vital", "FatalHandle"),
];

/// The same for phrases.
const RETIRED_PHRASES: [(&str, &str); 7] = [
    ("good life", "a session that was stable"),
    ("links heal", "vote-set gossip"),
    ("the hands of", "the actor of"),
    ("consensus room", "the consensus actor, the crate of consensus"),
    ("set back", "restored from an old copy; of a clock: turned back"),
    ("looked at", "inspected, read, checked"),
    ("held votes", "known votes"),
];

/// Names that no type may have: they say too little, or are those of others.
const RETIRED_TYPES: [&str; 16] = [
    "Send",
    "Close",
    "Arrived",
    "Measured",
    "AddressNews",
    "Owed",
    "Left",
    "Beat",
    "Place",
    "Flight",
    "Line",
    "Late",
    "Told",
    "Held",
    "Offer",
    "Room",
];

/// Where a retired word stands on purpose: in names that are seen outside, and in labels that keys are drawn from.
const RETIRED_BUT_ALLOWED: [(&str, &str); 12] = [
    ("src/wallet/src/phrase.rs", "legal winner thank year"),
    ("README.md", "the node always tells you why"),
    ("src/wire/src/message.rs", "\"holdings\""),
    ("src/simulator/src/adversary.rs", "\"false holdings\""),
    ("src/simulator/src/fault_kind.rs", "\"liar\""),
    ("src/simulator/src/world.rs", "development(\"stranger\""),
    ("src/simulator/src/unknown_peer.rs", "agent: \"stranger\""),
    ("src/simulator/src/scenarios/operations.rs", "development(\"ghost\""),
    ("src/bench/src/verify.rs", "\"judge_unknown_ms\""),
    ("src/bench/src/verify.rs", "\"judge_known_ms\""),
    ("tests/bench/parts.rs", "/block/judge_known_ms"),
    ("tests/bench/parts.rs", "/block/judge_unknown_ms"),
];

/// Code, manifests, documents and scripts, without golden files, inputs of fuzz targets and raw results.
fn texts() -> Vec<(String, String)> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir()
                && !["target", "golden", "corpus", "benchmarks", "proptest-regressions"].contains(&&name[..])
            {
                walk(&path, into);
            } else if path.is_file() {
                into.push(path);
            }
        }
    }
    let root = root();
    let of_root = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "Cargo.toml",
        "deny.toml",
        "rust-toolchain.toml",
    ];
    let mut paths: Vec<_> = of_root.iter().map(|name| root.join(name)).collect();
    for folder in ["src", "actors", "config", "examples", "tests", "docs", "docker", ".ci"] {
        walk(&root.join(folder), &mut paths);
    }
    paths.sort();
    let is_here = |path: &String| path != "tests/tidy/words.rs";
    let named = paths.into_iter().map(|path| (path.strip_prefix(&root).unwrap().display().to_string(), path));
    named
        .filter(|(name, _)| is_here(name))
        .filter_map(|(name, path)| Some((name, fs::read_to_string(path).ok()?)))
        .collect()
}

/// The words of a line in small letters; `JudgeError` and `judge_error` are two each.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in line.chars() {
        if !c.is_alphabetic() || (c.is_uppercase() && was_small) {
            words.push(String::new());
        }
        if c.is_alphabetic() {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
        was_small = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn words_of_our_own_are_not_used_where_the_field_has_one() {
    let is_retired = |word: &str, retired: &str| match retired.strip_prefix('=') {
        Some(whole) => word == whole,
        None => word.starts_with(retired),
    };
    let mut found = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            let allowed = RETIRED_BUT_ALLOWED.iter().filter(|(file, _)| *file == path);
            let line = allowed.fold(line.to_owned(), |line, (_, text)| line.replace(text, ""));
            let (words, small) = (words(&line), line.to_lowercase());
            let retired =
                RETIRED_WORDS.iter().filter(|(retired, _)| words.iter().any(|word| is_retired(word, retired)));
            let phrases = RETIRED_PHRASES.iter().filter(|(phrase, _)| small.contains(phrase));
            found.extend(retired.chain(phrases).map(|(what, instead)| {
                format!("{path}:{}: `{}` is a word of our own: {instead}", number + 1, what.trim_start_matches('='))
            }));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Types of all crates outside tests, public or not, as (name, file).
fn types() -> Vec<(String, String)> {
    let mut types = Vec::new();
    for (path, text) in ["src", "actors", "config"].iter().flat_map(|folder| rust_files(folder)) {
        if is_test_file(&path) {
            continue;
        }
        for line in before_tests(&text).lines() {
            let item = line.trim_start();
            let item = match item.strip_prefix("pub") {
                Some(rest) if rest.starts_with('(') => rest.split_once(") ").map_or(rest, |(_, item)| item),
                Some(rest) => rest.trim_start(),
                None => item,
            };
            let is_member = line.starts_with(' ') && item.starts_with("type ");
            let name =
                ["struct ", "enum ", "trait ", "union ", "type "].iter().find_map(|kind| item.strip_prefix(kind));
            if let (Some(name), false) = (name, is_member) {
                let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
                if end > 0 {
                    types.push((name[..end].to_owned(), path.clone()));
                }
            }
        }
    }
    types
}

#[test]
fn one_name_names_one_type() {
    let types = types();
    assert!(types.len() > 500, "only {} types were found", types.len());
    let (mut known, mut found) = (BTreeMap::new(), Vec::new());
    for (name, path) in types {
        if RETIRED_TYPES.contains(&&name[..]) {
            found.push(format!("{path}: {name} says too little of what the type is: give it a longer name"));
        }
        if let Some(other) = known.insert(name.clone(), path.clone()) {
            found.push(format!("{name} is a type of {other} and of {path}: name each by what it is"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
