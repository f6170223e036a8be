//! House rules that a compiler does not check. Each failure names the file, the rule and the way out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, with the place")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Every Rust file below a folder, as (path from the root, text).
fn rust_files(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|n| n != "target") {
                walk(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                into.push(path);
            }
        }
    }
    let root = root();
    let mut paths = Vec::new();
    walk(&root.join(folder), &mut paths);
    paths.sort();
    paths.into_iter().map(|p| (p.strip_prefix(&root).unwrap().display().to_string(), read(&p))).collect()
}

/// The part of a file before its tests.
fn before_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]").next().unwrap_or(text)
}

/// True for files that hold tests only.
fn is_test_file(path: &str) -> bool {
    path.contains("/tests/") || path.starts_with("tests/") || path.ends_with("/tests.rs")
}

/// Rooms that know no runtime, clock, socket or thread.
const CORES: [&str; 8] = [
    "src/primitives",
    "src/wire",
    "src/peer",
    "src/consensus",
    "src/mempool",
    "src/block_sync",
    "src/ledger",
    "src/wallet",
];

/// Which rooms each room may open the door to. A new door is a decision: make it here and in README.md.
fn allowed_doors() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("src/primitives", vec![]),
        ("src/wire", vec!["timed-primitives"]),
        ("src/peer", vec!["timed-primitives", "timed-wire"]),
        ("src/consensus", vec!["timed-primitives"]),
        ("src/mempool", vec!["timed-primitives"]),
        ("src/block_sync", vec!["timed-primitives"]),
        ("src/ledger", vec!["timed-primitives"]),
        ("src/wallet", vec!["timed-primitives"]),
        ("src/store", vec!["timed-primitives", "timed-ledger"]),
        ("src/rpc", vec!["timed-primitives"]),
        ("config", vec!["timed-primitives"]),
        (
            "actors",
            vec![
                "timed-primitives",
                "timed-wire",
                "timed-peer",
                "timed-consensus",
                "timed-mempool",
                "timed-block-sync",
                "timed-ledger",
            ],
        ),
        (
            "src/fuzz",
            vec![
                "timed-primitives",
                "timed-wire",
                "timed-peer",
                "timed-consensus",
                "timed-ledger",
                "timed-mempool",
                "timed-rpc",
                "timed-config",
            ],
        ),
        (
            "src/simulator",
            vec![
                "timed-primitives",
                "timed-wire",
                "timed-peer",
                "timed-consensus",
                "timed-mempool",
                "timed-ledger",
                "timed-actors",
            ],
        ),
        (
            "src/timed",
            vec![
                "timed-primitives",
                "timed-wire",
                "timed-peer",
                "timed-consensus",
                "timed-mempool",
                "timed-block-sync",
                "timed-ledger",
                "timed-wallet",
                "timed-store",
                "timed-rpc",
                "timed-actors",
                "timed-simulator",
                "timed-config",
            ],
        ),
    ])
}

fn dependencies(manifest: &Path, table: &str) -> BTreeSet<String> {
    let manifest: toml::Table = read(manifest).parse().unwrap();
    manifest.get(table).and_then(|t| t.as_table()).map(|t| t.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn rooms_open_only_their_allowed_doors() {
    let allowed = allowed_doors();
    let root = root();
    for member in fs::read_dir(root.join("src")).unwrap() {
        let name = format!("src/{}", member.unwrap().file_name().to_string_lossy());
        assert!(
            allowed.contains_key(&name[..]),
            "{name} is a room without a row in tests/tidy.rs: say whom it may know"
        );
    }
    for (room, doors) in allowed {
        for found in dependencies(&root.join(room).join("Cargo.toml"), "dependencies") {
            if found.starts_with("timed-") {
                assert!(doors.contains(&&found[..]), "{room} must not know {found}: see the code map in README.md");
            }
        }
    }
}

#[test]
fn cores_know_no_runtime_clock_socket_or_thread() {
    const FORBIDDEN_CRATES: [&str; 6] = ["tokio", "actix", "actix-rt", "axum", "fjall", "async-std"];
    const FORBIDDEN_WORDS: [&str; 10] = [
        "std::net",
        "std::thread",
        "std::fs",
        "Instant::now",
        "SystemTime",
        "rand::rng()",
        "thread_rng",
        "OsRng",
        "HashMap<",
        "HashSet<",
    ];
    let root = root();
    for core in CORES {
        for found in dependencies(&root.join(core).join("Cargo.toml"), "dependencies") {
            assert!(!FORBIDDEN_CRATES.contains(&&found[..]), "{core} is a core and must not depend on {found}");
        }
        for (path, text) in rust_files(core) {
            if is_test_file(&path) {
                continue;
            }
            for (number, line) in before_tests(&text).lines().enumerate() {
                let code = line.split("//").next().unwrap_or("");
                for word in FORBIDDEN_WORDS {
                    assert!(
                        !code.contains(word),
                        "{path}:{}: {word} in a core: take it as an argument (HashMap and HashSet: use BTreeMap, whose order is fixed)",
                        number + 1
                    );
                }
            }
        }
    }
}

#[test]
fn shells_reach_the_outside_by_seams_only() {
    // The real ends of the seams, and nothing else: clock, sockets, threads.
    const ALLOWED: [(&str, &str); 7] = [
        ("actors/src/clock.rs", "SystemTime"),
        ("actors/src/transport/tcp.rs", "tokio::net"),
        ("actors/src/transport/tcp.rs", "lookup_host"),
        ("actors/src/threads.rs", "spawn_blocking"),
        ("actors/src/threads.rs", "Arbiter::try_"),
        ("actors/src/transport/tcp.rs", "TcpStream"),
        ("actors/src/transport/tcp.rs", "TcpListener"),
    ];
    const FORBIDDEN: [&str; 17] = [
        "std::fs",
        "tokio::fs",
        "tokio::net",
        "lookup_host",
        "spawn_blocking",
        "Arbiter::try_",
        "std::thread::spawn",
        "HashMap<",
        "HashSet<",
        "Uuid::new_v4",
        "SystemTime",
        "std::time::Instant",
        "rand::rng()",
        "OsRng",
        "TcpStream",
        "TcpListener",
        "Arbiter::current",
    ];
    for (path, text) in rust_files("actors/src") {
        for (number, line) in before_tests(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            for word in FORBIDDEN {
                assert!(
                    !code.contains(word) || ALLOWED.iter().any(|(p, w)| path.starts_with(p) && *w == word),
                    "{path}:{}: {word} in a shell: use the seam for it (Transport, Clock, Threads, Disk, Store)",
                    number + 1
                );
            }
        }
    }
}

/// docs/peers.md promises nothing that is not there.
#[test]
fn tests_and_scenarios_named_in_the_docs_exist() {
    let root = root();
    let text = read(&root.join("docs/peers.md"));
    let files: Vec<_> = ["src", "actors", "tests"].iter().flat_map(|folder| rust_files(folder)).collect();
    let mut named = 0;
    for name in text.split('`').skip(1).step_by(2).filter(|name| !name.contains([' ', '…'])) {
        let (test, scenario) = (format!("fn {name}("), format!("\"{name}\""));
        let is_there = files.iter().any(|(_, text)| text.contains(&test) || text.contains(&scenario));
        assert!(is_there, "docs/peers.md names {name}, which is neither a test nor a scenario");
        named += 1;
    }
    assert!(named > 50, "only {named} names were found in docs/peers.md");
}

#[test]
fn no_file_is_a_city() {
    const LINES_MAX: usize = 500;
    for folder in ["src", "actors", "config"] {
        for (path, text) in rust_files(folder) {
            let lines = before_tests(&text).lines().count();
            assert!(
                lines <= LINES_MAX || is_test_file(&path),
                "{path} has {lines} lines before its tests, more than {LINES_MAX}: split it by subject"
            );
        }
    }
}

#[test]
fn nothing_is_hidden_or_left_for_later() {
    let forbidden: Vec<String> = [
        ["allow(dead", "_code)"],
        ["todo", "!("],
        ["unimplemented", "!("],
        ["FIX", "ME"],
        ["#[ig", "nore"],
        [".to_string().con", "tains("],
    ]
    .map(|p| p.concat())
    .to_vec();
    for folder in ["src", "actors", "config", "tests"] {
        for (path, text) in rust_files(folder) {
            for word in &forbidden {
                // What an error says may be read by tests, never by code.
                let searched = if word.starts_with(".to_string") { before_tests(&text) } else { &text };
                if word.starts_with(".to_string") && is_test_file(&path) {
                    continue;
                }
                assert!(!searched.contains(word), "{path}: {word} is not allowed here");
            }
        }
    }
}

#[test]
fn every_image_has_the_same_user_paths_and_entry() {
    let shared = |name: &str| {
        let text = read(&root().join("docker").join(name));
        let (_, rest) = text.split_once("\n# From here to the end of this part").expect("the shared part begins");
        let (part, _) = rest.split_once("\n# The end of that part.\n").expect("the shared part ends");
        part.to_owned()
    };
    assert_eq!(shared("Dockerfile"), shared("Dockerfile.prebuilt"), "change both files of docker/ alike");
}

#[test]
fn readme_names_every_room() {
    let readme = read(&root().join("README.md"));
    for room in allowed_doors().keys() {
        let name = room.strip_prefix("src/").unwrap_or(room);
        assert!(readme.contains(&format!("`{name}`")), "README.md does not name the room {room}");
    }
}

#[test]
fn packages_take_versions_from_the_one_table() {
    let root = root();
    for room in allowed_doors().keys().chain(&["tests"]) {
        let manifest: toml::Table = read(&root.join(room).join("Cargo.toml")).parse().unwrap();
        for table in ["dependencies", "dev-dependencies"] {
            let Some(dependencies) = manifest.get(table).and_then(|t| t.as_table()) else { continue };
            for (name, value) in dependencies {
                let from_workspace = value.get("workspace").and_then(|w| w.as_bool()) == Some(true);
                assert!(from_workspace, "{room}: {name} must come from [workspace.dependencies] in Cargo.toml");
            }
        }
    }
}

#[test]
fn every_dependency_is_named_in_the_code_of_its_room() {
    let root = root();
    for room in allowed_doors().keys() {
        let code: String = rust_files(&format!("{room}/src")).into_iter().map(|(_, text)| text).collect();
        for name in dependencies(&root.join(room).join("Cargo.toml"), "dependencies") {
            assert!(code.contains(&name.replace('-', "_")), "{room} depends on {name} and never names it: take it out");
        }
    }
}
