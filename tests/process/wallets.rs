//! Wallets with a phrase, as a person has them: made on one machine, lost with its disk, and restored from the words on another that is empty.

use crate::harness::{Network, Node, cli, wait_for};
use std::fs;
use std::io::Write as _;
use std::process::Stdio;

/// What `time-cli` prints, or its error, with this on standard input.
fn client(node: &Node, words: &[&str], input: &str) -> Result<String, String> {
    let mut command = cli();
    command.arg("--data-dir").arg(&node.folder).args(words);
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// As [`client`], of the wallet called savings.
fn savings(node: &Node, words: &[&str], input: &str) -> Result<String, String> {
    client(node, &[&["--wallet", "savings"], words].concat(), input)
}

fn balance(node: &Node) -> String {
    savings(node, &["getbalance"], "").unwrap().trim().to_owned()
}

/// The words that `wallet create` shows, in their order.
fn words_of(page: &str) -> String {
    let mut numbered: Vec<(usize, &str)> = Vec::new();
    let parts: Vec<&str> = page.lines().skip(2).take(6).flat_map(str::split_whitespace).collect();
    for pair in parts.chunks(2) {
        numbered.push((pair[0].parse().unwrap(), pair[1]));
    }
    numbered.sort_unstable();
    assert_eq!(numbered.len(), 24, "{page}");
    numbered.into_iter().map(|(_, word)| word).collect::<Vec<_>>().join(" ")
}

#[test]
fn money_comes_back_from_24_words_on_an_empty_machine() {
    let mut network = Network::prepare(1, 1);
    network.node_mut(1).start();
    network.wait_height(1);
    let page = client(network.node(1), &["wallet", "create", "savings"], "open sesame\n").unwrap();
    let words = words_of(&page);
    let log = network.node(1).log();
    assert!(!log.contains(&words) && !log.contains("open sesame"), "no secret is in the log");

    // Paid far behind unused addresses, and what was paid first is spent again.
    let node = network.node(1);
    let mut given = Vec::new();
    for _ in 0..30 {
        given.push(savings(node, &["getnewaddress"], "").unwrap().trim().to_owned());
    }
    let paid = client(node, &["--wallet", "", "sendtoaddress", &given[19], "5"], "").unwrap();
    network.wait_final(paid.trim());
    let refused = savings(node, &["sendtoaddress", &given[0], "1"], "").unwrap_err();
    assert!(refused.contains("(code -13)") && refused.contains("walletpassphrase"), "{refused}");
    let wrong = savings(node, &["wallet", "unlock"], "open sesam\n").unwrap_err();
    assert!(wrong.contains("the passphrase is wrong (code -14)"), "{wrong}");
    savings(node, &["wallet", "unlock", "--seconds", "600"], "open sesame\n").unwrap();
    let spent = savings(node, &["sendtoaddress", &given[29], "2"], "").unwrap();
    network.wait_final(spent.trim());
    let before = balance(node);
    assert!(before.starts_with("4.999"), "the fee is gone: {before}");
    let which = client(node, &["getbalance"], "").unwrap_err();
    assert!(which.contains("(code -19)") && which.contains("--wallet NAME"), "{which}");

    // A kill forgets that it was open, and nothing else.
    network.node_mut(1).kill();
    network.node_mut(1).start();
    wait_for("the node answers", || network.node(1).height());
    assert_eq!(balance(network.node(1)), before);
    let locked = savings(network.node(1), &["sendtoaddress", &given[0], "1"], "").unwrap_err();
    assert!(locked.contains("(code -13)"), "{locked}");

    // The other machine has nothing but the words.
    network.node_mut(2).start();
    let height = network.node(1).height().unwrap();
    network.wait_height(height);
    let empty = network.node(2);
    let swapped = words.replacen(words.split(' ').next().unwrap(), "zzzz", 1);
    let refused = client(empty, &["wallet", "restore", "savings"], &format!("{swapped}\nnew one\n")).unwrap_err();
    assert!(refused.contains("word 1 of 24 is not in the list"), "{refused}");
    let restored = client(empty, &["wallet", "restore", "savings"], &format!("{words}\nnew one\n")).unwrap();
    assert!(restored.contains("is restored and loaded; it is locked"), "{restored}");
    assert_eq!(balance(empty), before);
    let again = client(empty, &["wallet", "restore", "savings"], &format!("{words}\nnew one\n")).unwrap_err();
    assert!(again.contains("(code -36)"), "{again}");
    let next = savings(empty, &["getnewaddress"], "").unwrap();
    assert!(!given.contains(&next.trim().to_owned()), "an address that was given out is given out again");
    savings(empty, &["wallet", "unlock"], "new one\n").unwrap();
    let txid = savings(empty, &["sendtoaddress", &given[0], "1"], "").unwrap();
    network.wait_final(txid.trim());

    // From a backup, with the old passphrase.
    let file = empty.folder.join("savings.backup");
    savings(network.node(1), &["backupwallet", file.to_str().unwrap()], "").unwrap();
    client(empty, &["wallet", "restore", "second", "--file", file.to_str().unwrap()], "").unwrap();
    client(empty, &["--wallet", "second", "wallet", "unlock"], "open sesame\n").unwrap();
    let second = client(empty, &["--wallet", "second", "getbalance"], "").unwrap();
    assert_eq!(second.trim(), balance(empty));
    fs::write(&file, &fs::read(&file).unwrap()[..80]).unwrap();
    let cut = client(empty, &["wallet", "restore", "third", "--file", file.to_str().unwrap()], "").unwrap_err();
    assert!(cut.contains("cut off"), "{cut}");
}
