//! What the commands do.

use super::command::*;
use super::draft::MasternodeDraft;
use super::keys;
use crate::connect::{Failure, NodeConnection};
use crate::printed::{fit_to_show, json};
use crate::view::CliView;
use clap::ArgMatches;
use serde_json::{Map, Value, json as value_of};
use std::path::{Path, PathBuf};
use timed_ledger::{Address, KeyHash};
use timed_primitives::{Network, SecretKey};

/// How an answer is shown.
pub(crate) struct ShownAs<'a> {
    /// For people.
    pub(crate) view: &'a CliView,
    /// For programs instead.
    pub(crate) as_json: bool,
}

impl ShownAs<'_> {
    fn of(&self, value: &Value, words: impl FnOnce(&CliView, &Value) -> String) -> String {
        if self.as_json { json(value) } else { words(self.view, &fit_to_show(value.clone())) }
    }
}

/// Runs one of the commands below `masternode` and gives what to print.
pub(crate) fn run(all: &ArgMatches, matches: &ArgMatches, shown: &ShownAs<'_>) -> Result<String, Failure> {
    let (name, sub) = matches.subcommand().ok_or_else(|| Failure::Usage("masternode: name a command".into()))?;
    match name {
        KEY => key(sub, shown),
        SIGN => sign(sub, shown),
        PREPARE => {
            let file = path(sub, OUTPUT).unwrap_or_else(|| DRAFT_FILE.into());
            refuse_existing(&file)?;
            let draft = MasternodeDraft::of(prepare(&mut NodeConnection::open(all)?, sub)?)?;
            draft.write_new(&file)?;
            Ok(written(&draft, &file, shown))
        }
        SUBMIT => {
            let draft = MasternodeDraft::read(&path(sub, FILE).unwrap_or_default())?;
            let params = value_of!(["register_submit", draft.hex()]);
            let txid = NodeConnection::open(all)?.call("protx", params)?;
            Ok(shown.of(&txid, |_, txid| sent(txid)))
        }
        REGISTER => register(&mut NodeConnection::open(all)?, sub, shown),
        LIST => {
            let rows = NodeConnection::open(all)?.call("masternodelist", value_of!([]))?;
            Ok(shown.of(&rows, CliView::masternodes))
        }
        STATUS => {
            let params = text(sub, ID).map_or_else(|| value_of!([]), |id| value_of!([id]));
            let row = NodeConnection::open(all)?.call("masternodestatus", params)?;
            Ok(shown.of(&row, CliView::masternode_status))
        }
        WHY => {
            let events = NodeConnection::open(all)?.call("masternodehistory", of_one(sub))?;
            Ok(shown.of(&events, CliView::masternode_why))
        }
        WINNERS => {
            let count = sub.get_one::<u64>(COUNT).map_or_else(|| value_of!([]), |count| value_of!([count]));
            let rows = NodeConnection::open(all)?.call("masternodewinners", count)?;
            Ok(shown.of(&rows, CliView::masternode_winners))
        }
        REWARDS => {
            let rows = NodeConnection::open(all)?.call("masternoderewards", of_one(sub))?;
            Ok(shown.of(&rows, CliView::masternode_rewards))
        }
        PROOF => {
            let mut node = NodeConnection::open(all)?;
            let id = id_or_own(&mut node, sub)?;
            let proof = node.call("getmasternodeproof", value_of!([id]))?;
            Ok(shown.of(&proof, CliView::masternode_proof))
        }
        name => change(&mut NodeConnection::open(all)?, name, sub, shown),
    }
}

/// Which masternode, and of how many intervals. A number alone is how many, unless it may be an id.
fn of_one(matches: &ArgMatches) -> Value {
    let (name, count) = (text(matches, NAME), matches.get_one::<u64>(COUNT).copied());
    match (name.map(str::parse::<u16>), count) {
        (Some(Ok(count)), None) if name.is_some_and(|name| name.len() < 64) => value_of!([null, count]),
        _ => value_of!([name, count]),
    }
}

fn text<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.try_get_one::<String>(name).ok().flatten().map(String::as_str)
}

fn path(matches: &ArgMatches, name: &str) -> Option<PathBuf> {
    text(matches, name).map(PathBuf::from)
}

fn refuse_existing(file: &Path) -> Result<(), Failure> {
    if file.exists() {
        return Err(Failure::Usage(format!(
            "{} is there already: name another --output, or move it away",
            file.display()
        )));
    }
    Ok(())
}

fn sent(txid: &Value) -> String {
    let txid = txid.as_str().unwrap_or_default();
    format!("sent: {txid}\nit acts two heights after its block; `masternode status` shows it\n")
}

/// `masternode key`.
fn key(matches: &ArgMatches, shown: &ShownAs<'_>) -> Result<String, Failure> {
    let network = text(matches, NETWORK).map(|name| name.parse::<Network>());
    let network = network.transpose().map_err(|error| Failure::Usage(format!("--network: {error}")))?;
    let file = path(matches, FILE).unwrap_or_default();
    let (key, is_made) = keys::read_or_make(&file)?;
    let mut answer =
        value_of!({ "file": file.display().to_string(), "made": is_made, "key": key.public().to_string() });
    if let Some(network) = network {
        let key_hash = KeyHash::of(&key.public());
        answer["address"] = Address { network, key_hash }.to_string().into();
    }
    Ok(shown.of(&answer, CliView::plain))
}

/// `masternode sign`: needs no node.
fn sign(matches: &ArgMatches, shown: &ShownAs<'_>) -> Result<String, Failure> {
    let file = path(matches, FILE).unwrap_or_default();
    let mut draft = MasternodeDraft::read(&file)?;
    for key_file in matches.get_many::<String>(KEYS).into_iter().flatten() {
        let key = keys::read(Path::new(key_file))?;
        if draft.sign(&key) == 0 {
            return Err(Failure::Usage(format!(
                "the key of {key_file} ({}) signs nothing here; missing: {}; nothing is written",
                key.public(),
                draft.missing().join(", ")
            )));
        }
    }
    draft.write_back(&file)?;
    if shown.as_json {
        return Ok(json(draft.value()));
    }
    let next = match draft.missing().is_empty() {
        true => "complete".to_owned(),
        false => format!("signatures still missing: {}", draft.missing().len()),
    };
    Ok(format!("{}{next}: take {} to the node: masternode submit\n", draft.words(), file.display()))
}

/// What `protx register_prepare` answers.
fn prepare(node: &mut NodeConnection, matches: &ArgMatches) -> Result<Value, Failure> {
    let mut options = Map::new();
    for (name, argument) in [
        ("service", SERVICE),
        ("owner", OWNER),
        ("operator", OPERATOR),
        ("collateral", COLLATERAL),
        ("fund_from", FUND_FROM),
    ] {
        options.extend(text(matches, argument).map(|text| (name.to_owned(), text.into())));
    }
    options.extend(payees(matches)?.map(|payees| ("payees".to_owned(), payees)));
    node.call("protx", value_of!(["register_prepare", text(matches, TIER), options]))
}

/// Shares by address; one without a share has all.
fn payees(matches: &ArgMatches) -> Result<Option<Value>, Failure> {
    let given: Vec<&String> = matches.get_many::<String>(PAYEE).into_iter().flatten().collect();
    let mut shares = Map::new();
    for payee in &given {
        let (address, share) = payee.split_once('=').unwrap_or((payee, "10000"));
        let share = share.parse::<u16>();
        let share = share.map_err(|_| Failure::Usage(format!("--payee {payee}: a share is a number up to 10000")))?;
        if shares.insert(address.to_owned(), share.into()).is_some() {
            return Err(Failure::Usage(format!("--payee {address} is there twice: give it one share")));
        }
    }
    Ok((!given.is_empty()).then(|| shares.into()))
}

fn written(draft: &MasternodeDraft, file: &Path, shown: &ShownAs<'_>) -> String {
    if shown.as_json {
        return json(draft.value());
    }
    let file = file.display();
    format!("{}written to {file}: sign it where the keys are: masternode sign {file} KEYFILE...\n", draft.words())
}

/// `masternode register`: for a test network, where all keys may be in one place.
fn register(node: &mut NodeConnection, matches: &ArgMatches, shown: &ShownAs<'_>) -> Result<String, Failure> {
    let made = |name: &str| {
        let file = path(matches, name).unwrap_or_default();
        keys::read_or_make(&file).map(|(key, is_made)| (key, is_made, file))
    };
    let (owner, operator) = (made(OWNER_KEY)?, made(OPERATOR_KEY)?);
    let mut options = value_of!({
        "service": text(matches, SERVICE),
        "owner": owner.0.public().to_string(),
        "operator": operator.0.public().to_string(),
    });
    if let Some(payees) = payees(matches)? {
        options["payees"] = payees;
    }
    let draft = node.call("protx", value_of!(["register_prepare", text(matches, TIER), options]))?;
    let mut draft = MasternodeDraft::of(draft)?;
    draft.sign(&owner.0);
    draft.sign(&operator.0);
    let txid = node.call("protx", value_of!(["register_submit", draft.hex()]))?;
    if shown.as_json {
        return Ok(json(
            &value_of!({ "registration": txid, "owner": owner.0.public().to_string(), "operator": operator.0.public().to_string() }),
        ));
    }
    let mut text = String::new();
    for (_, is_made, file) in [&owner, &operator] {
        let what = if *is_made { "made the key file" } else { "used the key file" };
        text.push_str(&format!("{what} {}\n", file.display()));
    }
    Ok(format!("{text}{}", sent(&txid)))
}

fn id_or_own(node: &mut NodeConnection, matches: &ArgMatches) -> Result<Value, Failure> {
    match text(matches, ID) {
        Some(id) => Ok(id.into()),
        None => Ok(node.call("masternodestatus", value_of!([]))?["registration"].take()),
    }
}

/// `update`, `pause`, `resume`, `revoke` and `release`.
fn change(node: &mut NodeConnection, name: &str, matches: &ArgMatches, shown: &ShownAs<'_>) -> Result<String, Failure> {
    let mut options = Map::new();
    let payees = if name == UPDATE { payees(matches)? } else { None };
    let command = match name {
        UPDATE => update_command(matches, payees.is_some())?,
        name => name,
    };
    options.extend(payees.map(|payees| ("payees".to_owned(), payees)));
    for (name, argument) in [("service", SERVICE), ("operator", OPERATOR), ("to", TO)] {
        options.extend(text(matches, argument).map(|text| (name.to_owned(), text.into())));
    }
    let files = [OWNER_KEY, OPERATOR_KEY, COLLATERAL_KEY].into_iter().filter_map(|name| path(matches, name));
    let secrets = files.map(|file| keys::read(&file)).collect::<Result<Vec<SecretKey>, _>>()?;
    let output = path(matches, OUTPUT);
    output.as_deref().map_or(Ok(()), refuse_existing)?;
    let id = id_or_own(node, matches)?;
    let answer = node.call("protx", value_of!([command, id, options]))?;
    if answer.is_string() {
        return Ok(shown.of(&answer, |_, txid| sent(txid)));
    }
    // Signed here: no key leaves its file.
    let mut draft = MasternodeDraft::of(answer)?;
    for key in &secrets {
        draft.sign(key);
    }
    let missing = draft.missing();
    if missing.is_empty() {
        let txid = node.call("protx", value_of!(["register_submit", draft.hex()]))?;
        return Ok(shown.of(&txid, |_, txid| sent(txid)));
    }
    match output {
        Some(file) => {
            draft.write_new(&file)?;
            Ok(written(&draft, &file, shown))
        }
        None => Err(Failure::Usage(format!(
            "signatures are missing: {}; name the key file, or write a draft with --output FILE and sign it elsewhere; nothing is sent",
            missing.join(", ")
        ))),
    }
}

/// One change in a block: the address, or keys and payees.
fn update_command(matches: &ArgMatches, has_payees: bool) -> Result<&'static str, Failure> {
    match (text(matches, SERVICE).is_some(), text(matches, OPERATOR).is_some() || has_payees) {
        (true, false) => Ok("update_service"),
        (false, true) => Ok("update_registrar"),
        (true, true) => {
            Err(Failure::Usage("update: one change at a time: --service, or --operator and --payee".into()))
        }
        (false, false) => Err(Failure::Usage("update: name what changes: --service, --operator or --payee".into())),
    }
}
