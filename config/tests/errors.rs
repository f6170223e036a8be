//! Every kind of refusal, word for word: an operator reads nothing else when a node does not start.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use timed_config::{Overrides, load_text};

/// A file's text, a variable, and nothing else.
const CASES: &[(&str, &str)] = &[
    // Not TOML.
    ("[p2p", ""),
    ("[p2p]\nport = \n", ""),
    ("[p2p]\nport = 1\nport = 2", ""),
    ("\n[p2p]\nport = 99999999999999999999", ""),
    // Keys that there are not.
    ("[p2p]\n# A comment.\nprot = 1", ""),
    ("port = 1", ""),
    ("[peer]\nlisten = \"::1\"", ""),
    ("[consensus]\nquorum = 1", ""),
    ("[nod]", ""),
    ("p2p = 5", ""),
    ("[p2p]\nport.number = 1", ""),
    ("\"p2p[9999999999]\" = 1", ""),
    ("", "TIMED__P2P__PROT=1"),
    ("", "TIMED__P2P[9999999999]=1"),
    // A variable that sets a key does not hide a misspelt section of the file.
    ("p2p = 5", "TIMED__P2P__PORT=1"),
    // Values of another type.
    ("[p2p]\nport = \"x\"", ""),
    ("[p2p]\n\n\nport = 70000", ""),
    ("[p2p]\nport = -1", ""),
    ("[p2p]\nport = 2.7", ""),
    ("[p2p]\nport = \"7000\"", ""),
    ("[p2p]\nport = true", ""),
    ("[p2p]\nlisten = \"here\"", ""),
    ("[p2p]\npeers = 5", ""),
    ("[p2p]\npeers = [\"a:1\",\n  5]", ""),
    ("[p2p]\nallowed = [\"07\"]", ""),
    ("[consensus]\nsign = \"yes\"", ""),
    ("[consensus]\nsign = 1", ""),
    ("[mempool]\nexpiry = \"soon\"", ""),
    ("[mempool]\nexpiry = 5", ""),
    ("[log]\nformat = \"xml\"", ""),
    ("[log]\nlevel = 3", ""),
    ("[node]\ndata_dir = 5", ""),
    ("[rpc]\nuser = \"u\"\npassword = 1234567890123456", ""),
    ("", "TIMED__P2P__PORT=x"),
    ("", "TIMED__P2P__PORT=70000"),
    ("", "TIMED__CONSENSUS__SIGN=perhaps"),
    ("", "TIMED__P2P__LISTEN=here"),
    ("", "TIMED__P2P__ALLOWED=07"),
    ("", "TIMED__RPC__CALLS_MAX="),
    ("network = \"moonnet\"", ""),
    ("network = 5", ""),
    ("", "TIMED__NETWORK=moonnet"),
    // Values out of bounds, and values that do not fit each other.
    ("network = \"testnet\"\n[node]\nid = 1", ""),
    ("[node]\nid = 0", ""),
    ("[node]\ndata_dir = \"\"", ""),
    ("[p2p]\ninbound_max = 0", ""),
    ("[mempool]\nexpiry = \"59s\"", ""),
    ("[p2p]\nport = 5\n[rpc]\nport = 5", ""),
    ("[rpc]\nlisten = \"0.0.0.0\"", ""),
    ("[rpc]\nuser = \"u\"", ""),
    ("[rpc]\nuser = \"u\"\npassword = \"short\"", ""),
    ("[rpc]\nuser = \"a:b\"\npassword = \"0123456789abcdef\"", ""),
    ("[rpc]\nhosts = [\"http://x.example\"]", ""),
    ("[p2p]\nlisten = \"0.0.0.0\"", ""),
    ("[p2p]\npeers = [\"host\"]", ""),
    ("[p2p]\nexternal = \"0.0.0.0:7000\"", ""),
    ("[log]\nlevel = \"loud\"", ""),
];

#[test]
fn refusals_are_as_agreed() {
    let mut text = String::new();
    for (file, variable) in CASES {
        let environment = variable.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let loaded = load_text(Some((Path::new("/etc/timed.toml"), file)), environment, &Overrides::default());
        let error = loaded.map(|loaded| loaded.print()).unwrap_err();
        writeln!(text, "{file}\n{variable}\n=> {error}\n").unwrap();
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/config/refusals.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
}
