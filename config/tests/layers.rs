//! Presets, layers, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use timed_config::{Config, ConfigError, LogFormat, Overrides, RuleError, SettingOrigin, load};
use timed_primitives::{Network, PublicKey};

/// Loads with a file of this text, these variables and these flags.
fn load_all(file: &str, environment: &[(&str, &str)], flags: &Overrides) -> Result<timed_config::Loaded, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("timed.toml");
    std::fs::write(&path, file).unwrap();
    load(Some(&path), environment.iter().map(|(k, v)| ((*k).into(), (*v).into())), flags)
}

fn file(text: &str) -> Config {
    load_all(text, &[], &Overrides::default()).unwrap().config
}

/// The whole error text must contain this part.
fn refused(file: &str, environment: &[(&str, &str)], part: &str) {
    let error = load_all(file, environment, &Overrides::default()).unwrap_err().to_string();
    assert!(error.contains(part), "{error:?} lacks {part:?}");
}

#[test]
fn presets_are_as_agreed() {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/config");
    for network in [Network::Devnet, Network::Testnet, Network::Mainnet] {
        let flags = Overrides { network: Some(network), ..Overrides::default() };
        let config = load(None, [], &flags).unwrap().config;
        let text = format!("{config:#?}\n");
        let path = golden.join(format!("{network}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&golden).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, expected, "{} differs; UPDATE_GOLDEN=1 writes it anew", path.display());
    }
}

#[test]
fn development_nodes_find_each_other() {
    let node = |id, dev_nodes| {
        let flags = Overrides { node_id: Some(id), dev_nodes, ..Overrides::default() };
        load(None, [], &flags).unwrap().config
    };
    let third = node(3, None);
    assert_eq!((third.p2p.port, third.rpc.port), (7002, 7102));
    assert_eq!(third.p2p.peers, ["127.0.0.1:7000", "127.0.0.1:7001"]);
    let observer = node(4, None);
    assert_eq!(observer.p2p.peers, ["127.0.0.1:7000", "127.0.0.1:7001", "127.0.0.1:7002"]);
    assert!(node(1, Some(1)).p2p.peers.is_empty());
    let last = node(100, None);
    assert_eq!((last.p2p.port, last.rpc.port), (7099, 7199));
    let own = file("[node]\nid = 2\n[p2p]\nport = 9000\npeers = [\"192.0.2.1:7\"]");
    assert_eq!((own.p2p.port, own.rpc.port, own.p2p.peers), (9000, 7101, vec!["192.0.2.1:7".into()]));
}

#[test]
fn each_layer_wins_over_the_one_below() {
    let port = |file: &str, environment: &[(&str, &str)], flag| {
        let flags = Overrides { p2p_port: flag, ..Overrides::default() };
        let loaded = load_all(file, environment, &flags).unwrap();
        let (_, _, origin) = loaded.settings.iter().find(|(key, _, _)| key == "p2p.port").unwrap().clone();
        (loaded.config.p2p.port, origin)
    };
    let (in_file, variable) = ("[p2p]\nport = 2", [("TIMED__P2P__PORT", "3"), ("PATH", "/bin")]);
    let text = |origin: SettingOrigin| origin.to_string();
    assert_eq!(port("", &[], None), (7000, text(SettingOrigin::NodeId(1))));
    let (found, origin) = port(in_file, &[], None);
    assert!(found == 2 && origin.starts_with("in /") && origin.ends_with("timed.toml, line 2"), "{origin}");
    assert_eq!(port(in_file, &variable, None), (3, text(SettingOrigin::Environment("TIMED__P2P__PORT".into()))));
    assert_eq!(port(in_file, &variable, Some(4)), (4, text(SettingOrigin::Flag)));
    let testnet = load_all("network = \"testnet\"", &[], &Overrides::default()).unwrap();
    assert_eq!((testnet.config.network, testnet.config.p2p.port), (Network::Testnet, 24100));
    let mainnet = load_all("network = \"testnet\"", &[("TIMED__NETWORK", "mainnet")], &Overrides::default()).unwrap();
    assert_eq!(mainnet.config.network, Network::Mainnet);
    let id = load_all("[node]\nid = 2", &[("TIMED__NODE__ID", "3")], &Overrides::default()).unwrap();
    assert_eq!(id.config.p2p.port, 7002, "ports follow the id that wins");
}

/// One line for each key: a value other than the default, and where it must show.
#[test]
fn every_key_takes_effect() {
    let text = r#"
        network = "devnet"
        [node]
        id = 5
        dev_nodes = 4
        dev_public_keys_ok = true
        data_dir = "/d"
        genesis = "/g"
        node_key = "/n"
        consensus_key = "/c"
        wallet_key = "/w"
        [p2p]
        listen = "0.0.0.0"
        port = 1
        peers = ["a:1", "[::1]:2"]
        external = "b:2"
        allowed = ["0707070707070707070707070707070707070707070707070707070707070707"]
        inbound_max = 3
        outbound_max = 4
        [rpc]
        listen = "::"
        port = 5
        user = "u"
        password = "0123456789abcdef"
        hosts = ["h"]
        calls_max = 6
        [consensus]
        sign = false
        [mempool]
        transactions_max = 7
        bytes_max = 1_048_576
        expiry = "90s"
        [log]
        level = "warn,heartbeat=debug"
        format = "json"
    "#;
    let loaded = load_all(text, &[], &Overrides::default()).unwrap();
    let (c, settings) = (loaded.config, loaded.settings);
    assert!(settings.iter().all(|(_, _, origin)| origin.starts_with("in /")), "the file sets every key");
    let path = |text: &str| Some(PathBuf::from(text));
    assert_eq!((c.node.id, c.node.dev_nodes, c.node.dev_public_keys_ok), (Some(5), 4, true));
    assert_eq!((c.node.data_dir.clone(), c.node.genesis.clone()), (path("/d"), path("/g")));
    assert_eq!((&c.node.node_key, &c.node.consensus_key, &c.node.wallet_key), (&path("/n"), &path("/c"), &path("/w")));
    assert_eq!((c.p2p_address(), c.rpc_address()), ("0.0.0.0:1".parse().unwrap(), "[::]:5".parse().unwrap()));
    assert_eq!((c.p2p.peers.len(), c.p2p.external.as_deref()), (2, Some("b:2")));
    assert_eq!(c.p2p.allowed, BTreeSet::from([PublicKey([7; 32])]));
    assert_eq!((c.p2p.inbound_max, c.p2p.outbound_max, c.rpc.calls_max), (3, 4, 6));
    assert_eq!((c.rpc.user.as_deref(), c.rpc.password.as_deref()), (Some("u"), Some("0123456789abcdef")));
    assert_eq!((&c.rpc.hosts[..], c.consensus.sign), (&["h".to_owned()][..], false));
    assert_eq!((c.mempool.transactions_max, c.mempool.bytes_max), (7, 1 << 20));
    assert_eq!((c.mempool.expiry, c.log.format), (Duration::from_secs(90), LogFormat::Json));
    assert_eq!(c.log.level, "warn,heartbeat=debug");
    assert_eq!(c.data_dir("abcd"), path("/d"));
}

#[test]
fn every_key_can_be_set_by_the_environment() {
    let variables = [
        ("TIMED__P2P__LISTEN", "127.0.0.2"),
        ("TIMED__P2P__PEERS", "a:1, b:2"),
        ("TIMED__RPC__HOSTS", r#"["x", "y"]"#),
        ("TIMED__RPC__USER", "123"),
        ("TIMED__RPC__PASSWORD", "0123456789012345"),
        ("TIMED__CONSENSUS__SIGN", "false"),
        ("TIMED__MEMPOOL__EXPIRY", "2h"),
        ("TIMED__LOG__FORMAT", "json"),
        ("TIMED__NODE__DATA_DIR", "/d"),
        // Lower case is not ours.
        ("timed__p2p__port", "x"),
    ];
    let config = load_all("", &variables, &Overrides::default()).unwrap().config;
    assert_eq!(config.p2p.listen, "127.0.0.2".parse::<std::net::IpAddr>().unwrap());
    assert_eq!(
        (&config.p2p.peers[..], &config.rpc.hosts[..]),
        (&["a:1".into(), "b:2".into()][..], &["x".into(), "y".into()][..])
    );
    assert_eq!((config.rpc.user.as_deref(), config.rpc.password.as_deref()), (Some("123"), Some("0123456789012345")));
    assert_eq!((config.consensus.sign, config.mempool.expiry), (false, Duration::from_secs(7_200)));
    assert_eq!((config.log.format, config.node.data_dir), (LogFormat::Json, Some("/d".into())));
}

#[test]
fn flags_set_what_they_name() {
    let flags = Overrides {
        network: Some(Network::Devnet),
        node_id: Some(2),
        dev_nodes: Some(5),
        dev_public_keys_ok: Some(true),
        data_dir: Some("/d".into()),
        genesis: Some("/g".into()),
        p2p_listen: Some("0.0.0.0".parse().unwrap()),
        p2p_port: Some(1),
        peers: vec!["a:1".into()],
        external: Some("b:2".into()),
        rpc_listen: Some("127.0.0.3".parse().unwrap()),
        rpc_port: Some(2),
        sign: Some(false),
        log_level: Some("trace".into()),
        log_format: Some("json".into()),
    };
    let loaded = load(None, [], &flags).unwrap();
    let set = loaded.settings.iter().filter(|(_, _, origin)| *origin == SettingOrigin::Flag.to_string()).count();
    assert_eq!(set, 15, "each flag is a setting");
    let c = loaded.config;
    assert_eq!(
        (c.node.id, c.node.dev_nodes, c.p2p.peers.clone(), c.consensus.sign),
        (Some(2), 5, vec!["a:1".into()], false)
    );
    assert_eq!((c.rpc_address(), c.log.level.as_str()), ("127.0.0.3:2".parse().unwrap(), "trace"));
}

#[test]
fn unknown_keys_are_refused_by_name() {
    refused("[p2p]\nprot = 1", &[], "unknown key `p2p.prot` (in ");
    refused("[p2p]\nprot = 1", &[], "did you mean `p2p.port`?");
    refused("port = 1", &[], "unknown key `port`");
    refused("[peer]\nlisten = \"::1\"", &[], "did you mean `p2p.listen`?");
    refused("[consensus]\nquorum = 1", &[], "unknown key `consensus.quorum`");
    refused("[nod]", &[], "unknown key `nod`");
    refused("p2p = 5", &[], "unknown key `p2p`");
    refused(
        "",
        &[("TIMED__P2P__PROT", "1")],
        "unknown key `p2p.prot` (from TIMED__P2P__PROT), did you mean `p2p.port`?",
    );
    refused("network = \"testnet\"\n[node]\nid = 1", &[], "`node.id` is for devnets only");
    assert!(load_all("[p2p]\n[log]", &[], &Overrides::default()).is_ok(), "empty sections are fine");
}

#[test]
fn wrong_types_and_values_are_refused_by_name() {
    refused("[p2p]\nport = \"x\"", &[], "`p2p.port` = \"x\" (in ");
    refused("[p2p]\nport = 70000", &[], "`p2p.port` = 70000");
    refused("[p2p]\nport = -1", &[], "`p2p.port` = -1");
    refused("", &[("TIMED__P2P__PORT", "x")], "(from TIMED__P2P__PORT)");
    refused("", &[("TIMED__P2P__PORT", "70000")], "`p2p.port` = \"70000\"");
    refused("[p2p]\nlisten = \"here\"", &[], "`p2p.listen` = \"here\"");
    refused("[p2p]\npeers = 5", &[], "`p2p.peers` = 5");
    refused("[p2p]\nallowed = [\"07\"]", &[], "expected a key of 64 hex digits");
    let many: Vec<_> = (0..1_001).map(|n| format!("{n:064x}")).collect();
    refused(&format!("[p2p]\nallowed = {many:?}"), &[], "`p2p.allowed` is 1001: choose a value from 0 to 1000");
    refused("[consensus]\nsign = \"perhaps\"", &[], "`consensus.sign`");
    refused("[mempool]\nexpiry = \"soon\"", &[], "`mempool.expiry` = \"soon\"");
    refused("[mempool]\nexpiry = 5", &[], "`mempool.expiry` = 5");
    refused("[log]\nformat = \"xml\"", &[], "`log.format` = \"xml\"");
    refused("network = \"moonnet\"", &[], "expected mainnet, testnet or devnet");
    refused("network = 5", &[], "`network` = 5");
    refused("[rpc]\nuser = \"u\"\npassword = 1234567890123456", &[], "`rpc.password` = … (in ");
    refused("[p2p", &[], "is not valid TOML");
    let error = load(Some("/dev/zero".as_ref()), [], &Overrides::default()).unwrap_err();
    assert!(error.to_string().contains("it is longer than 1048576 bytes"), "{error}");
    let error = load(Some("/no/such/file".as_ref()), [], &Overrides::default()).unwrap_err();
    assert!(error.to_string().contains("cannot read the configuration file /no/such/file"), "{error}");
}

#[test]
fn values_must_fit_each_other() {
    let rule = |text: &str| match load_all(text, &[], &Overrides::default()) {
        Err(ConfigError::Rule(rule)) => rule,
        other => panic!("{text}: {other:?}"),
    };
    let bounds = |text: &str, expected: &str| match rule(text) {
        RuleError::Bounds { key, .. } => assert_eq!(key, expected),
        other => panic!("{text}: {other:?}"),
    };
    bounds("[node]\nid = 0", "node.id");
    bounds("[node]\nid = 101", "node.id");
    bounds("[node]\ndev_nodes = 0", "node.dev_nodes");
    bounds("[p2p]\ninbound_max = 0", "p2p.inbound_max");
    bounds("[p2p]\noutbound_max = 1001", "p2p.outbound_max");
    bounds("[rpc]\ncalls_max = 0", "rpc.calls_max");
    bounds("[mempool]\ntransactions_max = 0", "mempool.transactions_max");
    bounds("[mempool]\nbytes_max = 5", "mempool.bytes_max");
    bounds("[mempool]\nexpiry = \"59s\"", "mempool.expiry");
    for key in ["data_dir", "genesis", "node_key", "consensus_key", "wallet_key"] {
        let RuleError::EmptyPath(named) = rule(&format!("[node]\n{key} = \"\"")) else { panic!("{key}") };
        assert_eq!(named, format!("node.{key}"));
    }
    let forgotten = load_all("", &[("TIMED__NODE__DATA_DIR", "")], &Overrides::default()).unwrap_err();
    assert!(matches!(forgotten, ConfigError::Rule(RuleError::EmptyPath("node.data_dir"))), "{forgotten}");
    assert_eq!(rule("[p2p]\nport = 5\n[rpc]\nport = 5"), RuleError::SamePort(5));
    assert!(matches!(rule("[rpc]\nlisten = \"0.0.0.0\""), RuleError::RpcOpen(_)));
    assert_eq!(rule("[rpc]\nuser = \"u\""), RuleError::HalfCredential);
    assert_eq!(rule("[rpc]\npassword = \"0123456789abcdef\""), RuleError::HalfCredential);
    assert_eq!(rule("[rpc]\nuser = \"u\"\npassword = \"short\""), RuleError::WeakPassword(5));
    assert_eq!(rule("[rpc]\nuser = \"a:b\"\npassword = \"0123456789abcdef\""), RuleError::User);
    assert_eq!(rule("[rpc]\nuser = \"__cookie__\"\npassword = \"0123456789abcdef\""), RuleError::User);
    assert!(matches!(rule("[p2p]\nlisten = \"0.0.0.0\""), RuleError::DevelopmentKeysOpen(_, 1)));
    for peer in ["host", "host:0", ":7", "a b:7", "::1:7", "[::g]:7", "host:70000"] {
        let found = rule(&format!("[p2p]\npeers = [\"{peer}\"]"));
        assert!(matches!(found, RuleError::HostPort { key: "p2p.peers", .. }), "{peer}");
    }
    assert!(matches!(rule("[p2p]\nexternal = \"x\""), RuleError::HostPort { key: "p2p.external", .. }));
    let own_keys = "[node]\nnode_key = \"a\"\nconsensus_key = \"b\"\n[p2p]\nlisten = \"";
    for peer in ["::1", "127.0.0.1:1\\nERROR fake log line:1", "-a:7", "a..b:7", "1.2.3:7", "a.256:7", "host:+7"] {
        for key in ["peers = [\"{}\"]", "external = \"{}\""] {
            let found = rule(&format!("[p2p]\n{}", key.replace("{}", peer)));
            assert!(matches!(found, RuleError::HostPort { .. }), "{peer}: {found:?}");
        }
    }
    for place in
        ["0.0.0.0:7000", "[::]:7000", "[::ffff:0.0.0.0]:7000", "224.0.0.1:7000", "[ff02::1]:7000", "255.255.255.255:7"]
    {
        for key in ["peers = [\"{}\"]", "external = \"{}\""] {
            let found = rule(&format!("[p2p]\n{}", key.replace("{}", place)));
            assert!(matches!(found, RuleError::Unreachable { .. }), "{place}: {found:?}");
        }
    }
    let found = rule("[p2p]\nexternal = \"0.0.0.0:7000\"").to_string();
    assert!(
        found.contains("(unspecified): write the address or name under which other nodes reach this one"),
        "{found}"
    );
    assert!(matches!(rule(&format!("{own_keys}224.0.0.1\"")), RuleError::Unreachable { key: "p2p.listen", .. }));
    assert!(matches!(rule("[rpc]\nlisten = \"255.255.255.255\""), RuleError::Unreachable { key: "rpc.listen", .. }));
    for host in ["**", "http://x.example", "*.x.example", "x.example:80", "x.example/", "", "x.example.", "a b"] {
        assert_eq!(rule(&format!("[rpc]\nhosts = [\"{host}\"]")), RuleError::HostName(host.into()));
    }
    for good in ["hosts = [\"x.example\", \"NODE_1\", \"192.0.2.1\", \"::1\"]", "hosts = []", "hosts = [\"*\"]"] {
        assert!(load_all(&format!("[rpc]\n{good}"), &[], &Overrides::default()).is_ok(), "{good}");
    }
    for level in ["loud", "", "info,", "=debug", "heartbeat=loud"] {
        assert_eq!(rule(&format!("[log]\nlevel = \"{level}\"")), RuleError::LogLevel(level.into()));
    }
    assert!(matches!(rule("network = \"mainnet\"\n[node]\ndev_public_keys_ok = true"), RuleError::DevnetOnly(_)));
    assert!(
        load_all(&format!("{own_keys}0.0.0.0\""), &[], &Overrides::default()).is_ok(),
        "keys of one's own may be public"
    );
}

#[test]
fn nothing_shows_the_password() {
    let text = "[rpc]\nuser = \"u\"\npassword = \"0123456789abcdef\"";
    let loaded = load_all(text, &[], &Overrides::default()).unwrap();
    let shown = format!("{:?} {}", loaded, loaded.print());
    assert!(!shown.contains("0123456789abcdef"), "{shown}");
    assert!(
        loaded.print().lines().any(|line| line.starts_with("rpc.user = \"u\"") && line.contains("# in ")),
        "{shown}"
    );
}

#[test]
fn a_relative_path_counts_from_the_file_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("timed.toml");
    let text = "[node]\nid = 1\ndata_dir = \"data\"\ngenesis = \"../genesis.json\"\nnode_key = \"a.key\"\n\
                consensus_key = \"b.key\"\nwallet_key = \"/elsewhere/c.key\"";
    std::fs::write(&path, text).unwrap();
    let environment = [("TIMED__NODE__NODE_KEY".to_owned(), "here.key".to_owned())];
    let node = load(Some(&path), environment, &Overrides::default()).unwrap().config.node;
    let own = |name: &str| Some(dir.path().join(name));
    assert_eq!((node.data_dir, node.genesis), (own("data"), own("../genesis.json")));
    assert_eq!((node.consensus_key, node.wallet_key), (own("b.key"), Some("/elsewhere/c.key".into())));
    assert_eq!(node.node_key, Some("here.key".into()), "one from elsewhere counts from where the program was started");
}

#[test]
fn default_folders_carry_chain_and_node() {
    let root = timed_config::default_root().unwrap();
    assert_eq!(file("[node]\nid = 2").data_dir("00c0ffee").unwrap(), root.join("devnet-00c0ffee").join("node-2"));
    assert_eq!(file("network = \"mainnet\"").data_dir("00c0ffee").unwrap(), root.join("mainnet-00c0ffee"));
}
