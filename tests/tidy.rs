//! House rules that a compiler does not check. Each failure names the file, the rule and the way out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, with the place")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/words.rs"]
mod words;

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

/// Crates that know no runtime, clock, socket or thread.
const CORES: [&str; 10] = [
    "src/primitives",
    "src/wire",
    "src/peer",
    "src/consensus",
    "src/mempool",
    "src/block_sync",
    "src/chain",
    "src/ledger",
    "src/wallet",
    "src/audit",
];

/// Files of cores with hash maps of ids, on the way of every payment: they are looked up, and sorted where one goes through all.
const LOOK_UPS: [&str; 15] = [
    "src/chain/src/compact_block.rs",
    "src/chain/src/execute.rs",
    "src/chain/src/state_view.rs",
    "src/chain/src/verified.rs",
    "src/ledger/src/delta.rs",
    "src/ledger/src/recent.rs",
    "src/mempool/src/block_relay.rs",
    "src/mempool/src/check_queue.rs",
    "src/mempool/src/graph.rs",
    "src/mempool/src/index.rs",
    "src/mempool/src/known.rs",
    "src/mempool/src/newest.rs",
    "src/mempool/src/payload.rs",
    "src/mempool/src/relay.rs",
    "src/primitives/src/id_map.rs",
];

/// Which crates each crate may depend on. A new dependency is a decision: make it here and in README.md.
///
/// What works for any application (`chain`, `consensus`, `mempool`, `block_sync`, `wire`, `peer`, `actors`, `store`) must not know `ledger`, where
/// everything about payments is.
fn allowed_dependencies() -> BTreeMap<&'static str, Vec<&'static str>> {
    BTreeMap::from([
        ("src/primitives", vec![]),
        ("src/wire", vec!["timed-primitives"]),
        ("src/peer", vec!["timed-primitives", "timed-wire"]),
        ("src/consensus", vec!["timed-primitives"]),
        ("src/chain", vec!["timed-primitives"]),
        ("src/mempool", vec!["timed-primitives", "timed-chain"]),
        ("src/block_sync", vec!["timed-primitives"]),
        ("src/ledger", vec!["timed-primitives", "timed-chain"]),
        ("src/wallet", vec!["timed-primitives", "timed-ledger"]),
        ("src/audit", vec!["timed-primitives", "timed-chain", "timed-ledger"]),
        ("src/store", vec!["timed-primitives", "timed-chain"]),
        ("src/rpc", vec!["timed-primitives", "timed-ledger"]),
        ("config", vec!["timed-primitives"]),
        ("src/time_cli", vec!["timed-primitives", "timed-ledger", "timed-audit", "timed-rpc", "timed-config"]),
        (
            "actors",
            vec![
                "timed-primitives",
                "timed-wire",
                "timed-peer",
                "timed-consensus",
                "timed-mempool",
                "timed-block-sync",
                "timed-chain",
            ],
        ),
        (
            "src/fuzz",
            vec![
                "timed-primitives",
                "timed-wire",
                "timed-peer",
                "timed-consensus",
                "timed-chain",
                "timed-ledger",
                "timed-test-support",
                "timed-mempool",
                "timed-rpc",
                "timed-config",
            ],
        ),
        ("src/test_support", vec!["timed-primitives", "timed-chain", "timed-actors"]),
        (
            "src/simulator",
            vec![
                "timed-test-support",
                "timed-primitives",
                "timed-wire",
                "timed-peer",
                "timed-consensus",
                "timed-mempool",
                "timed-chain",
                "timed-audit",
                "timed-ledger",
                "timed-actors",
            ],
        ),
        ("src/process", vec!["timed-primitives", "timed-config"]),
        (
            "src/node_files",
            vec![
                "timed-primitives",
                "timed-peer",
                "timed-ledger",
                "timed-wallet",
                "timed-store",
                "timed-rpc",
                "timed-config",
            ],
        ),
        (
            "src/inspect",
            vec![
                "timed-primitives",
                "timed-consensus",
                "timed-mempool",
                "timed-chain",
                "timed-ledger",
                "timed-audit",
                "timed-store",
                "timed-node-files",
                "timed-cli",
                "timed-config",
            ],
        ),
        (
            "src/devnet",
            vec!["timed-primitives", "timed-ledger", "timed-store", "timed-cli", "timed-config", "timed-process"],
        ),
        (
            "src/bench",
            vec![
                "timed-primitives",
                "timed-wire",
                "timed-peer",
                "timed-mempool",
                "timed-chain",
                "timed-ledger",
                "timed-wallet",
                "timed-test-support",
                "timed-store",
                "timed-rpc",
                "timed-cli",
                "timed-actors",
                "timed-config",
                "timed-devnet",
                "timed-process",
            ],
        ),
        (
            "src/service",
            vec![
                "timed-primitives",
                "timed-wire",
                "timed-peer",
                "timed-consensus",
                "timed-mempool",
                "timed-chain",
                "timed-ledger",
                "timed-wallet",
                "timed-node-files",
                "timed-rpc",
                "timed-process",
                "timed-actors",
            ],
        ),
        (
            "src/timed",
            vec![
                "timed-service",
                "timed-primitives",
                "timed-wire",
                "timed-peer",
                "timed-consensus",
                "timed-mempool",
                "timed-chain",
                "timed-ledger",
                "timed-wallet",
                "timed-store",
                "timed-node-files",
                "timed-inspect",
                "timed-rpc",
                "timed-cli",
                "timed-devnet",
                "timed-process",
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
fn crates_depend_only_on_what_they_may() {
    let allowed = allowed_dependencies();
    let root = root();
    for member in fs::read_dir(root.join("src")).unwrap() {
        let name = format!("src/{}", member.unwrap().file_name().to_string_lossy());
        assert!(
            allowed.contains_key(&name[..]),
            "{name} is a crate without a row in tests/tidy.rs: say whom it may know"
        );
    }
    for (folder, crates) in allowed {
        for found in dependencies(&root.join(folder).join("Cargo.toml"), "dependencies") {
            if found.starts_with("timed-") {
                assert!(crates.contains(&&found[..]), "{folder} must not know {found}: see the code map in README.md");
            }
        }
    }
}

/// What stands in for the outside is for tests, simulation, fuzzing and the measuring of parts: the node that people run is built without it.
#[test]
fn test_doubles_are_for_tests_and_the_simulator() {
    const MAY: [&str; 3] = ["src/simulator", "src/fuzz", "src/bench"];
    for folder in allowed_dependencies().keys().filter(|folder| !MAY.contains(folder)) {
        let found = dependencies(&root().join(folder).join("Cargo.toml"), "dependencies");
        assert!(
            !found.contains("timed-test-support"),
            "{folder} must name timed-test-support among its dev-dependencies"
        );
    }
}

#[test]
fn cores_know_no_runtime_clock_socket_or_thread() {
    const FORBIDDEN_CRATES: [&str; 6] = ["tokio", "actix", "actix-rt", "axum", "fjall", "async-std"];
    const TABLES: [&str; 4] = ["HashMap<", "HashSet<", "IdMap<", "IdSet<"];
    const FORBIDDEN_WORDS: [&str; 8] =
        ["std::net", "std::thread", "std::fs", "Instant::now", "SystemTime", "rand::rng()", "thread_rng", "OsRng"];
    let root = root();
    let has_table = |path: &str| TABLES.iter().any(|word| read(&root.join(path)).contains(word));
    let stale: Vec<_> = LOOK_UPS.iter().filter(|path| !has_table(path)).collect();
    assert!(stale.is_empty(), "no longer needed among the files with hash maps: {stale:?}");
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
                let tables = if LOOK_UPS.contains(&&path[..]) { &[][..] } else { &TABLES[..] };
                for word in FORBIDDEN_WORDS.iter().chain(tables) {
                    assert!(
                        !code.contains(word),
                        "{path}:{}: {word} in a core: take it as an argument (hash tables: use BTreeMap, whose order is fixed)",
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

/// The documents of the repository, as (path from the root, text).
fn documents() -> Vec<(String, String)> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else {
                into.push(path);
            }
        }
    }
    let root = root();
    let mut paths: Vec<_> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    walk(&root.join("docs"), &mut paths);
    paths.retain(|path| path.extension().is_some_and(|e| e == "md"));
    paths.sort();
    paths.into_iter().map(|path| (path.strip_prefix(&root).unwrap().display().to_string(), read(&path))).collect()
}

/// Every file of the repository that a document may name, from the root.
fn repository_files() -> BTreeSet<PathBuf> {
    fn walk(folder: &Path, root: &Path, into: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if ["target", ".git"].iter().any(|name| path.ends_with(name)) {
                continue;
            }
            if path.is_dir() {
                walk(&path, root, into);
            } else {
                into.insert(path.strip_prefix(root).unwrap().to_path_buf());
            }
        }
    }
    let (root, mut files) = (root(), BTreeSet::new());
    walk(&root, &root, &mut files);
    files
}

/// The headings of a document as links name them.
fn headings(text: &str) -> BTreeSet<String> {
    let anchor = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        words.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
    };
    text.lines().filter(|line| line.starts_with('#')).map(anchor).collect()
}

/// A document says where to read on; a file that moved must take its mentions along. What counts as a path:
///
/// - the target of a link that is no address: from the document's folder, and what follows a `#` is a heading there;
/// - a word between backticks, outside of blocks of code, that begins with a folder of the root and a slash (`src/peer`): from the root;
/// - such a word that ends in `.rs` or `.md` (`consensus.rs`, `peer/stats.rs`): the end of some file's path.
///
/// Words with a placeholder (`…`, `*`, `<kind>`) are no paths.
#[test]
fn files_named_in_the_docs_exist() {
    let (root, files) = (root(), repository_files());
    let folders: BTreeSet<_> = files.iter().filter(|f| f.iter().count() > 1).filter_map(|f| f.iter().next()).collect();
    let (mut missing, mut named) = (Vec::new(), 0);
    for (document, text) in documents() {
        let here = Path::new(&document).parent().unwrap();
        let prose: String = text.split("\n```").step_by(2).collect();
        let links = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
        for target in links.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            named += 1;
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = root.join(here).join(path);
            if !path.exists() || !(heading.is_empty() || headings(&read(&path)).contains(heading)) {
                missing.push(format!("{document} links to {target}"));
            }
        }
        for word in prose.split('`').skip(1).step_by(2).flat_map(str::split_whitespace) {
            let path = Path::new(word.trim_end_matches([',', ';']));
            let is_rooted = word.contains('/') && path.iter().next().is_some_and(|first| folders.contains(first));
            let is_name = path.extension().is_some_and(|e| e == "rs" || e == "md");
            if word.contains(['…', '*', '<', '{', '$']) || !(is_rooted || is_name) {
                continue;
            }
            named += 1;
            let is_there = match is_rooted {
                true => root.join(path).exists(),
                false => files.iter().any(|file| file.ends_with(path)),
            };
            if !is_there {
                missing.push(format!("{document} names `{word}`"));
            }
        }
    }
    assert!(missing.is_empty(), "no such file or folder:\n{}", missing.join("\n"));
    assert!(named > 100, "only {named} paths were found in the documents");
}

#[test]
fn no_file_is_too_long() {
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

/// The daemon is the command line, the wiring and the end; whatever else comes to it is a crate beside it.
#[test]
fn the_daemon_is_small() {
    const LINES_MAX: usize = 3_500;
    let lines: usize = rust_files("src/timed/src").iter().map(|(_, text)| text.lines().count()).sum();
    assert!(
        lines <= LINES_MAX,
        "src/timed/src has {lines} lines, more than {LINES_MAX}: move a part to a crate of its own"
    );
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
fn readme_names_every_crate() {
    let readme = read(&root().join("README.md"));
    for folder in allowed_dependencies().keys() {
        let name = folder.strip_prefix("src/").unwrap_or(folder);
        assert!(readme.contains(&format!("`{name}`")), "README.md does not name the crate {folder}");
    }
}

#[test]
fn packages_take_versions_from_the_one_table() {
    let root = root();
    for folder in allowed_dependencies().keys().chain(&["tests"]) {
        let manifest: toml::Table = read(&root.join(folder).join("Cargo.toml")).parse().unwrap();
        for table in ["dependencies", "dev-dependencies"] {
            let Some(dependencies) = manifest.get(table).and_then(|t| t.as_table()) else { continue };
            for (name, value) in dependencies {
                let from_workspace = value.get("workspace").and_then(|w| w.as_bool()) == Some(true);
                assert!(from_workspace, "{folder}: {name} must come from [workspace.dependencies] in Cargo.toml");
            }
        }
    }
}

#[test]
fn every_dependency_is_named_in_the_code_of_its_crate() {
    let root = root();
    for folder in allowed_dependencies().keys() {
        let code: String = rust_files(&format!("{folder}/src")).into_iter().map(|(_, text)| text).collect();
        for name in dependencies(&root.join(folder).join("Cargo.toml"), "dependencies") {
            assert!(
                code.contains(&name.replace('-', "_")),
                "{folder} depends on {name} and never names it: take it out"
            );
        }
    }
}
