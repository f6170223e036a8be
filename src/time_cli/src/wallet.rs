//! Wallets with a phrase, for people: what is secret is asked for without being shown, or read from standard input, and never stands on the command
//! line.

use crate::connect::{Failure, NodeConnection};
use crate::params::from_stdin;
use crate::printed::{fit_to_show, json};
use crate::wallet_command::{CREATE, FILE, GAP, NAME, RESTORE, SECONDS, UNLOCK};
use clap::ArgMatches;
use serde_json::{Value, json as value_of};
use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use zeroize::Zeroizing;

/// How many of the words are asked back.
const WORDS_ASKED: usize = 3;
/// How often, before the person is left to it.
const TRIES: usize = 3;

/// Where secrets come from.
enum Secrets {
    Terminal(console::Term),
    /// Lines that are left of standard input.
    Lines(std::vec::IntoIter<Zeroizing<String>>),
}

impl Secrets {
    fn open() -> Result<Self, Failure> {
        if io::stdin().is_terminal() {
            return Ok(Self::Terminal(console::Term::stderr()));
        }
        let text = Zeroizing::new(from_stdin(&mut io::stdin()).map_err(Failure::Usage)?);
        let lines: Vec<_> = text.lines().map(|line| Zeroizing::new(line.to_owned())).collect();
        Ok(Self::Lines(lines.into_iter()))
    }

    fn ask(&mut self, what: &str) -> Result<Zeroizing<String>, Failure> {
        match self {
            Self::Terminal(terminal) => {
                let read = terminal.write_str(&format!("{what}: ")).and_then(|()| terminal.read_secure_line());
                read.map(Zeroizing::new)
                    .map_err(|error| Failure::Usage(format!("cannot read from the terminal: {error}")))
            }
            Self::Lines(lines) => {
                lines.next().ok_or_else(|| Failure::Usage(format!("standard input has no further line: {what}")))
            }
        }
    }

    /// A new one; a person types it twice.
    fn ask_new(&mut self, what: &str) -> Result<Zeroizing<String>, Failure> {
        let first = self.ask(what)?;
        if first.is_empty() {
            return Err(Failure::Usage(format!("{what}: it is empty; the keys of a wallet are always encrypted")));
        }
        if matches!(self, Self::Terminal(_)) && *self.ask("The same again")? != *first {
            return Err(Failure::Usage("the two are not the same; nothing was changed".into()));
        }
        Ok(first)
    }
}

/// Runs one of the commands below `wallet` and gives what to print.
pub(crate) fn run(all: &ArgMatches, matches: &ArgMatches, as_json: bool) -> Result<String, Failure> {
    let (name, sub) = matches.subcommand().ok_or_else(|| Failure::Usage("wallet: name a command".into()))?;
    // Whether a node is there is known before anybody types a secret.
    let mut node = NodeConnection::open(all)?;
    match name {
        CREATE => create(&mut node, text(sub, NAME).unwrap_or_default(), as_json),
        RESTORE => restore(&mut node, sub, as_json),
        UNLOCK => {
            let passphrase = Secrets::open()?.ask("Passphrase")?;
            let seconds = sub.get_one::<u32>(SECONDS).copied().unwrap_or(60);
            node.call("walletpassphrase", value_of!([*passphrase, seconds]))?;
            Ok(format!("open for {seconds} s; `walletlock` closes it at once\n"))
        }
        _ => {
            let mut secrets = Secrets::open()?;
            let (old, new) = (secrets.ask("Passphrase")?, secrets.ask_new("New passphrase")?);
            node.call("walletpassphrasechange", value_of!([*old, *new]))?;
            Ok("changed; backups keep the passphrase that they were written with\n".into())
        }
    }
}

fn text<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.get_one::<String>(name).map(String::as_str)
}

fn create(node: &mut NodeConnection, name: &str, as_json: bool) -> Result<String, Failure> {
    let mut secrets = Secrets::open()?;
    let passphrase = secrets.ask_new("Passphrase for the keys")?;
    let params = value_of!({ "wallet_name": name, "passphrase": *passphrase, "load_on_startup": true });
    let made = node.call("createwallet", params)?;
    if as_json {
        return Ok(json(&made));
    }
    let words = Zeroizing::new(made.get("phrase").and_then(Value::as_str).unwrap_or_default().to_owned());
    let page = numbered(&words);
    let Secrets::Terminal(terminal) = secrets else {
        return Ok(format!("wallet {name}\n\n{}\n{WARNING}", *page));
    };
    let failed = |error: io::Error| Failure::Usage(format!("the wallet is made; cannot show its words: {error}"));
    for _ in 0..TRIES {
        terminal.write_line(&format!("\n{}\n{WARNING}\nPress Enter when they are on paper.", *page)).map_err(failed)?;
        terminal.read_line().map_err(failed)?;
        terminal.clear_screen().map_err(failed)?;
        if asked_back(&words, &terminal).map_err(failed)? {
            return Ok(format!("wallet {name} is made and loaded; it is locked: `wallet unlock` opens it to pay\n"));
        }
        terminal.write_line("That is another word. Here they are once more.").map_err(failed)?;
    }
    Ok(format!(
        "wallet {name} is made, and the words that were asked back were wrong {TRIES} times. If they are not on paper, pay nothing to it: make \
         another wallet\n"
    ))
}

const WARNING: &str = "Write these words down in order, on paper. They are not shown again. Whoever has them has the money, without\n\
                       any passphrase; without them it is lost with the disk.\n";

/// The words in four columns, each with its number.
fn numbered(words: &str) -> Zeroizing<String> {
    let mut page = Zeroizing::new(String::new());
    for (number, word) in (1..).zip(words.split(' ')) {
        page.push_str(&format!("{number:>2} {word:<10}{}", if number % 4 == 0 { "\n" } else { " " }));
    }
    page
}

/// Asks for words at drawn places. Whether all were right.
fn asked_back(words: &str, terminal: &console::Term) -> io::Result<bool> {
    let words: Vec<&str> = words.split(' ').collect();
    for place in drawn(words.len(), rand::random::<u32>) {
        terminal.write_str(&format!("Word {}: ", place + 1))?;
        let answer = Zeroizing::new(terminal.read_line()?);
        if !words.get(place).is_some_and(|word| answer.trim().eq_ignore_ascii_case(word)) {
            return Ok(false);
        }
    }
    terminal.clear_screen()?;
    Ok(true)
}

/// Different places among so many, from 0, in order.
fn drawn(count: usize, mut random: impl FnMut() -> u32) -> BTreeSet<usize> {
    let mut places = BTreeSet::new();
    while places.len() < WORDS_ASKED.min(count) {
        places.insert(usize::try_from(random()).unwrap_or_default() % count);
    }
    places
}

fn restore(node: &mut NodeConnection, matches: &ArgMatches, as_json: bool) -> Result<String, Failure> {
    let name = text(matches, NAME);
    let mut params = value_of!({ "wallet_name": name, "load_on_startup": true });
    match text(matches, FILE) {
        Some(file) => params["backup_file"] = file.into(),
        None => {
            let mut secrets = Secrets::open()?;
            let words = secrets.ask("The 24 words, with blanks between them")?;
            params["phrase"] = words.as_str().into();
            params["passphrase"] = secrets.ask_new("New passphrase for the keys")?.as_str().into();
            if let Some(gap) = matches.get_one::<u32>(GAP) {
                params["gap_limit"] = (*gap).into();
            }
        }
    }
    let restored = node.call("restorewallet", params)?;
    if as_json {
        return Ok(json(&restored));
    }
    let restored = fit_to_show(restored);
    let warnings = restored.get("warnings").and_then(Value::as_array).into_iter().flatten();
    let warnings: String = warnings.filter_map(Value::as_str).map(|text| format!("{text}\n")).collect();
    Ok(format!("wallet {} is restored and loaded; it is locked\n{warnings}", name.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_in_order_with_their_numbers_and_different_ones_are_asked() {
        let words: Vec<String> = (1..=24).map(|n| format!("word{n}")).collect();
        let page = numbered(&words.join(" "));
        assert_eq!(page.lines().count(), 6);
        assert!(page.starts_with(" 1 word1") && page.contains("24 word24"), "{}", *page);
        let mut numbers = [5u32, 29, 5, 23, 0].into_iter();
        let places = drawn(24, || numbers.next().unwrap());
        assert_eq!(places.into_iter().collect::<Vec<_>>(), [0, 5, 23], "29 is 5 again");
    }
}
