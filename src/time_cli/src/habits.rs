//! Command lines as `bitcoin-cli` takes them: options with one dash ahead of the method, and a method in any spelling.

use crate::audit::AUDIT;
use crate::command;
use crate::masternode::MASTERNODE;
use crate::subscribe::SUBSCRIBE;
use crate::wallet_command::WALLET;
use std::ffi::OsString;
use timed_rpc::{Method, RpcError, unknown_method};

/// Where a node listens for clients unless its configuration says otherwise.
const PORT: &str = "7100";

/// Options of ours that take the next word.
const WITH_VALUE: [&str; 9] = [
    command::WALLET_OF,
    command::DATA_DIR,
    command::NODE,
    command::RPC_URL,
    command::RPC_USER,
    command::RPC_PASSWORD,
    command::COOKIE,
    command::TIMEOUT,
    command::COLOR,
];

/// What the options with one dash ask for.
#[derive(Default)]
struct BitcoinOptions {
    host: Option<String>,
    port: Option<String>,
    folder: Option<String>,
    user: Option<String>,
    password: Option<String>,
    cookie: Option<String>,
    reads_stdin: bool,
    /// Words that stand as they are.
    words: Vec<OsString>,
}

/// The command line in our own form.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn translated(
    arguments: impl IntoIterator<Item = OsString>,
    stdin: impl FnOnce() -> Result<String, String>,
) -> Result<Vec<OsString>, String> {
    let mut arguments = arguments.into_iter();
    let mut options = BitcoinOptions::default();
    while let Some(word) = arguments.next() {
        let Some(text) = word.to_str() else {
            options.words.push(word);
            break;
        };
        if WITH_VALUE.contains(&text) {
            options.words.push(word);
            options.words.extend(arguments.next());
        } else if text.starts_with("--") || text.len() < 3 && text.starts_with('-') {
            options.words.push(word);
        } else if let Some(option) = text.strip_prefix('-') {
            options.read(option)?;
        } else {
            options.words.push(method_name(text)?.into());
            break;
        }
    }
    options.finish(arguments, stdin)
}

impl BitcoinOptions {
    fn read(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let text = value.to_owned();
        match name {
            "rpcconnect" => self.host = Some(text),
            "rpcport" => self.port = Some(text),
            "datadir" => self.folder = Some(text),
            "rpcuser" => self.user = Some(text),
            "rpcpassword" => self.password = Some(text),
            "rpccookiefile" => self.cookie = Some(text),
            "rpcclienttimeout" => self.words.extend([command::TIMEOUT.into(), text.into()]),
            "rpcwait" => self.words.push(command::WAIT.into()),
            "stdin" => self.reads_stdin = true,
            // Words of the form name=value are named parameters here anyway, and the network is the node's.
            "named" | "regtest" | "testnet" | "chain" | "conf" => {}
            "rpcwallet" => self.words.extend([command::WALLET_OF.into(), text.into()]),
            "getinfo" => self.words.push(command::STATUS.into()),
            "netinfo" => self.words.extend([command::PEER.into(), command::PEER_LIST.into()]),
            "version" | "help" | "?" => {
                self.words.push(if name == "version" { "--version" } else { "--help" }.into());
            }
            _ => return Err(format!("unknown option -{name}; --help lists all options")),
        }
        Ok(())
    }

    fn finish(
        self,
        rest: impl Iterator<Item = OsString>,
        stdin: impl FnOnce() -> Result<String, String>,
    ) -> Result<Vec<OsString>, String> {
        let is_elsewhere = self.host.is_some() || self.port.is_some() || self.user.is_some() || self.cookie.is_some();
        let mut words: Vec<OsString> = Vec::new();
        let mut add = |name: &str, value: String| words.extend([OsString::from(name), value.into()]);
        if is_elsewhere {
            let host = self.host.unwrap_or_else(|| "127.0.0.1".into());
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            let port = self.port.unwrap_or_else(|| PORT.into());
            add(command::RPC_URL, if has_port { host } else { format!("{host}:{port}") });
            let cookie =
                self.cookie.or(self.folder.filter(|_| self.user.is_none()).map(|dir| format!("{dir}/.cookie")));
            cookie.into_iter().for_each(|file| add(command::COOKIE, file));
            self.user.into_iter().for_each(|user| add(command::RPC_USER, user));
            self.password.into_iter().for_each(|password| add(command::RPC_PASSWORD, password));
        } else if let Some(folder) = self.folder {
            add(command::DATA_DIR, folder);
        }
        words.extend(self.words);
        words.extend(rest);
        if self.reads_stdin {
            words.extend(stdin()?.lines().map(OsString::from));
        }
        Ok(words)
    }
}

/// The name of the command that is meant.
fn method_name(text: &str) -> Result<String, String> {
    const OWN: [&str; 9] =
        [command::STATUS, "getinfo", command::CONSENSUS, command::PEER, MASTERNODE, AUDIT, WALLET, SUBSCRIBE, "events"];
    if OWN.contains(&text) {
        return Ok(text.to_owned());
    }
    if let Some(method) = Method::find(text) {
        return Ok(method.name.to_owned());
    }
    Err(match unknown_method(text) {
        RpcError::UnknownMethod { nearest: None, .. } => format!("unknown command {text:?}; `help` lists all commands"),
        error => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &str, expected: Result<&str, &str>) {
        let words = given.split_whitespace().map(OsString::from);
        let found = translated(words, || Ok("one\ntwo words\n".into()));
        let found = found.map(|words| words.join(std::ffi::OsStr::new(" ")).into_string().unwrap());
        match expected {
            Ok(words) => assert_eq!(found.as_deref(), Ok(words), "{given}"),
            Err(part) => assert!(found.as_ref().unwrap_err().contains(part), "{given}: {found:?}"),
        }
    }

    #[test]
    fn options_of_bitcoins_client_are_understood() {
        check("-getinfo", Ok("status"));
        check("-netinfo", Ok("peer list"));
        check("-rpcconnect=node.example getblockcount", Ok("--rpc-url node.example:7100 getblockcount"));
        check("-rpcconnect=a:1 getblockcount", Ok("--rpc-url a:1 getblockcount"));
        check(
            "-rpcport=8 -rpcuser=u -rpcpassword=p getblock 1",
            Ok("--rpc-url 127.0.0.1:8 --rpc-user u --rpc-password p getblock 1"),
        );
        check("-datadir=/d uptime", Ok("--data-dir /d uptime"));
        check("-datadir=/d -rpcport=8 uptime", Ok("--rpc-url 127.0.0.1:8 --cookie /d/.cookie uptime"));
        check("-rpccookiefile=/c uptime", Ok("--rpc-url 127.0.0.1:7100 --cookie /c uptime"));
        check("-named -rpcwait getblock blockhash=1", Ok("--rpc-wait getblock blockhash=1"));
        check("-stdin help", Ok("help one two words"));
        check("-colour uptime", Err("unknown option -colour"));
        check("-rpcwallet=other getbalance", Ok("--wallet other getbalance"));
        check("--wallet savings wallet unlock", Ok("--wallet savings wallet unlock"));
    }

    #[test]
    fn methods_in_any_spelling_and_our_own_options_stay() {
        for spelling in ["getBlockCount", "get-block-count", "GETBLOCKCOUNT", "get_block_count"] {
            check(spelling, Ok("getblockcount"));
        }
        check("--node 2 --json getPeerInfo", Ok("--node 2 --json getpeerinfo"));
        check("getblockhash -9", Ok("getblockhash -9"));
        check("-V", Ok("-V"));
        check("getblockcnt", Err("did you mean \"getblockcount\"?"));
        check("getblok", Err("did you mean \"getblock\"?"));
        check("generatetoaddress", Err("nobody mines here"));
        check("xyzzy", Err("unknown command \"xyzzy\""));
    }
}
