//! Finds the node and asks it.

use super::command;
use clap::ArgMatches;
use serde_json::{Map, Value, json};
use std::cmp::Reverse;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use timed_rpc::auth::{COOKIE_FILE, basic};
use timed_rpc::{Cookie, read_cookie};
use ureq::Agent;

/// Longest time to reach a node.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// Longest time for one of several candidates to show that it lives. Above [`CONNECT_TIME`], so that a machine that does not answer is distinguished
/// from a server that does not.
const PROBE_TIME: Duration = Duration::from_secs(5);
/// Largest answer. Unit: bytes. A batch of ours is never larger than 32 MiB and one more answer.
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// Most folders looked through on this machine.
const FOLDERS_MAX: usize = 1_000;

/// The environment's name for the node's data folder, as the node itself reads it.
pub const DATA_DIR_VARIABLE: &str = "TIMED__NODE__DATA_DIR";

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// Nobody listens where the node should be, or no node is known.
    #[error("{0}")]
    Unreachable(String),
    /// Something listens there and does not answer.
    #[error("{0}")]
    Silent(String),
    /// A server answers, but not to us.
    #[error("{0}")]
    Refused(String),
    /// The node says why not.
    #[error("{message} (code {code})")]
    Rpc {
        /// The number of the error.
        code: i64,
        /// Its text.
        message: String,
        /// When it makes sense to ask again, of a node that is busy.
        retry_after: Option<Duration>,
    },
    /// The node's blocks are not what the rules say.
    #[error("the audit found a difference: {0}")]
    Audit(timed_audit::AuditError),
}

/// Where to ask, and with which credentials.
pub struct NodeConnection {
    agent: Agent,
    url: String,
    /// What follows it for calls about a wallet.
    wallet: String,
    authorization: Option<String>,
    timeout: Duration,
    /// How long a node that is busy is asked again.
    patience: Duration,
}

/// Shortest time before a busy node is asked again.
const RETRY_MIN: Duration = Duration::from_millis(10);

impl NodeConnection {
    /// The node that the options name, or the first that runs on this machine.
    pub(crate) fn open(matches: &ArgMatches) -> Result<Self, Failure> {
        let wallet = matches.get_one::<String>(command::WALLET_OF).map(|name| wallet_path(name)).transpose()?;
        let connection = Self::open_node(matches)?;
        Ok(Self { wallet: wallet.unwrap_or_default(), ..connection })
    }

    fn open_node(matches: &ArgMatches) -> Result<Self, Failure> {
        let timeout = Duration::from_secs(matches.get_one::<u64>(command::TIMEOUT).copied().unwrap_or(30));
        let text = |name| matches.get_one::<String>(name).map(String::as_str);
        if let Some(url) = text(command::RPC_URL) {
            let connection = Self::new(web_address(url)?, credentials(&text)?, timeout);
            return Ok(Self { patience: timeout, ..connection });
        }
        if text(command::COOKIE).is_some() {
            return Err(Failure::Usage(
                "--cookie goes with --rpc-url; with --data-dir the cookie is found by itself".into(),
            ));
        }
        let node = matches.get_one::<u64>(command::NODE).copied();
        let named = text(command::DATA_DIR).map(PathBuf::from);
        // A node named by number is another one than that of the environment.
        let named = named.or_else(|| std::env::var_os(DATA_DIR_VARIABLE).filter(|_| node.is_none()).map(PathBuf::from));
        let is_named = named.is_some();
        let (candidates, looked_in) = match named {
            Some(dir) => (candidates(std::slice::from_ref(&dir), node), dir),
            None => {
                let root = timed_config::default_root().ok_or_else(|| {
                    Failure::Usage("no home folder is known: name the node by --data-dir or --rpc-url".into())
                })?;
                (candidates(&subfolders(&root), node), root)
            }
        };
        Self::first_alive(candidates, timeout, |why| nobody(&looked_in, is_named, node, why))
    }

    /// The first candidate that answers to its cookie. When none does, the failure is that of the one that came nearest to it.
    fn first_alive(
        candidates: Vec<NodeCandidate>,
        timeout: Duration,
        nobody: impl Fn(Option<String>) -> String,
    ) -> Result<Self, Failure> {
        // The only one has all the time that the user gives.
        let probe_time = if candidates.len() == 1 { timeout } else { PROBE_TIME };
        let mut nearest = Failure::Unreachable(nobody(None));
        let mut is_first = true;
        for NodeCandidate { folder, cookie, address } in candidates {
            let mut connection = Self::new(format!("http://{address}/"), Some(cookie.header()), probe_time);
            let failure = match connection.call("uptime", Value::Null) {
                // It knows the cookie, so it is the one, even if it says no.
                Ok(_) | Err(Failure::Rpc { .. }) => return Ok(Self { timeout, patience: timeout, ..connection }),
                Err(failure) => failure,
            };
            match (&failure, &nearest) {
                (Failure::Silent(_), Failure::Silent(_)) => {}
                (Failure::Silent(why), _) => {
                    nearest = Failure::Silent(format!("the node of {}: {why}", folder.display()));
                }
                _ if !is_first => {}
                (Failure::Unreachable(_), _) => {
                    let why = format!("{} has the address {address}, where nobody listens", folder.display());
                    nearest = Failure::Unreachable(nobody(Some(why)));
                }
                (other, _) => {
                    let place = format!("{} has the address {address}, where another server answers", folder.display());
                    nearest = Failure::Unreachable(nobody(Some(format!("{place}: {other}"))));
                }
            }
            is_first = false;
        }
        Err(nearest)
    }

    /// The node at this address, asked under a configured name. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Failure::Usage`] for what is no address.
    pub fn with_password(url: &str, user: &str, password: &str) -> Result<Self, Failure> {
        Ok(Self::new(web_address(url)?, Some(basic(user, password)), PROBE_TIME))
    }

    /// The node that runs in this data folder. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] when no node runs there.
    pub fn of_data_dir(folder: &Path) -> Result<Self, Failure> {
        let (cookie, address) =
            read_cookie(folder).map_err(|_| Failure::Unreachable(nobody(folder, true, None, None)))?;
        Ok(Self::new(format!("http://{address}/"), Some(cookie.header()), PROBE_TIME))
    }

    fn new(url: String, authorization: Option<String>, timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIME))
            .max_redirects(0)
            // The node is on this machine or at an address the user gave; a proxy would only see the credentials.
            .proxy(None)
            .build();
        Self { agent: config.into(), url, wallet: String::new(), authorization, timeout, patience: Duration::ZERO }
    }

    /// Where it listens: `host:port`, or the name alone.
    pub(crate) fn host(&self) -> &str {
        self.url.trim_start_matches("http://").trim_end_matches('/')
    }

    /// The value of the header that shows who asks.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Asks and returns the result. A node that the command line names, and that is busy, is asked again for as long as an answer may take.
    ///
    /// # Errors
    /// [`Failure`] says why there is no result.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value, Failure> {
        // A call that waits says how long; the answer may take that much longer.
        let wait = match (method, params.get("timeout").and_then(Value::as_u64)) {
            ("waitfornewblock", None | Some(0)) => Duration::from_secs(600),
            ("waitfornewblock", Some(milliseconds)) => Duration::from_millis(milliseconds),
            _ => Duration::ZERO,
        };
        let params = if params.is_null() { json!([]) } else { params };
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let patience = Patience::new(self.patience);
        loop {
            let (status, answer) = self.post(&body, wait)?;
            match self.result(status, &answer) {
                Err(failure) if patience.waited(failure.retry_after()) => {}
                result => return result,
            }
        }
    }

    /// Asks several things in one request; the answers are in the order of the questions. None of them may wait.
    ///
    /// # Errors
    /// [`Failure`] when the request as a whole has no answer; each question has a result of its own.
    pub fn batch(&mut self, calls: Vec<(&str, Value)>) -> Result<Vec<Result<Value, Failure>>, Failure> {
        let patience = Patience::new(self.patience);
        let mut results = self.ask_all(&calls)?;
        loop {
            let refused = results.iter().enumerate();
            let refused = refused.filter_map(|(n, result)| Some((n, result.as_ref().err()?.retry_after()?)));
            let (again, waits): (Vec<usize>, Vec<Duration>) = refused.unzip();
            if !patience.waited(waits.into_iter().max()) {
                return Ok(results);
            }
            let asked: Vec<_> = again.iter().filter_map(|n| calls.get(*n).cloned()).collect();
            for (n, result) in again.into_iter().zip(self.ask_all(&asked)?) {
                if let Some(place) = results.get_mut(n) {
                    *place = result;
                }
            }
        }
    }

    fn ask_all(&self, calls: &[(&str, Value)]) -> Result<Vec<Result<Value, Failure>>, Failure> {
        let body: Vec<Value> = (0u64..)
            .zip(calls)
            .map(|(id, (method, params))| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
            .collect();
        let (status, body) = self.post(&Value::Array(body), Duration::ZERO)?;
        match serde_json::from_str::<Vec<Map<String, Value>>>(&body) {
            Ok(answers) if answers.len() == calls.len() => {
                Ok(answers.into_iter().map(|answer| self.outcome(answer)).collect())
            }
            _ => Err(match self.result(status, &body) {
                Err(failure) => failure,
                Ok(_) => Failure::Refused(format!("{} did not answer every call of a batch", self.url)),
            }),
        }
    }

    /// Status and text of the answer.
    fn post(&self, body: &Value, wait: Duration) -> Result<(u16, String), Failure> {
        let mut request =
            self.agent.post(format!("{}{}", self.url, self.wallet)).header("Content-Type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let request = request.config().timeout_global(Some(self.timeout + wait)).build();
        let mut response = request.send(body.to_string()).map_err(|error| no_answer(&self.url, &error))?;
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let body = body.map_err(|error| no_answer(&self.url, &error))?;
        Ok((status, body))
    }

    fn result(&self, status: u16, body: &str) -> Result<Value, Failure> {
        let Ok(Value::Object(answer)) = serde_json::from_str(body) else {
            return Err(Failure::Refused(match status {
                401 => format!(
                    "{} refused the credentials: use --data-dir, --cookie FILE, or --rpc-user and --rpc-password",
                    self.url
                ),
                200 => format!("{} is no timed node: its answer is not JSON-RPC", self.url),
                _ => format!(
                    "{} answered with status {status}: {}",
                    self.url,
                    body.chars().take(200).collect::<String>().trim()
                ),
            }));
        };
        self.outcome(answer)
    }

    /// The result in the answer to one call.
    fn outcome(&self, mut answer: Map<String, Value>) -> Result<Value, Failure> {
        match answer.remove("error") {
            None | Some(Value::Null) => answer
                .remove("result")
                .ok_or_else(|| Failure::Refused(format!("{} is no timed node: its answer has no result", self.url))),
            Some(error) => Err(Failure::Rpc {
                code: error.get("code").and_then(Value::as_i64).unwrap_or_default(),
                message: error.get("message").and_then(Value::as_str).unwrap_or("no message").to_owned(),
                retry_after: error.pointer("/data/retry_after_ms").and_then(Value::as_u64).map(Duration::from_millis),
            }),
        }
    }
}

impl Failure {
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rpc { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// How long a node that is busy is asked again.
struct Patience {
    until: Instant,
}

impl Patience {
    #[allow(clippy::disallowed_methods, reason = "a program at the edge: a person waits for it")]
    fn new(patience: Duration) -> Self {
        Self { until: Instant::now() + patience }
    }

    /// Waits so long, when there is a time to wait for and enough is left. Whether it did.
    #[allow(clippy::disallowed_methods, reason = "a program at the edge: a person waits for it")]
    fn waited(&self, after: Option<Duration>) -> bool {
        let Some(after) = after.map(|after| after.max(RETRY_MIN)) else { return false };
        let is_in_time = Instant::now() + after < self.until;
        if is_in_time {
            std::thread::sleep(after);
        }
        is_in_time
    }
}

/// Why a server gave no answer, and what to do: nobody listens there, or somebody listens and does not answer, or it is no server of ours.
pub fn no_answer(url: &str, error: &ureq::Error) -> Failure {
    use std::io::ErrorKind;
    match error {
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => Failure::Unreachable(format!(
            "cannot reach a node at {url}: the machine does not answer\nIs it on, and does no firewall stand between?"
        )),
        ureq::Error::Timeout(_) => Failure::Silent(format!(
            "{url} listens and did not answer in time\nIt is overloaded or hangs: its log says more, and {url}health. \
             Wait longer with --timeout SECONDS; if it stays so, end it and start it again"
        )),
        ureq::Error::Io(error)
            if matches!(
                error.kind(),
                ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::UnexpectedEof
            ) =>
        {
            Failure::Silent(format!(
                "{url} listens and closed the connection without an answer\nIt is stopping, has too many clients, or is no node: \
                 try again in a moment; its log says more"
            ))
        }
        ureq::Error::Protocol(_) | ureq::Error::Http(_) => {
            Failure::Refused(format!("{url} is no timed node: what it answers is not HTTP ({error})"))
        }
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => Failure::Unreachable(format!(
            "cannot reach a node at {url}: nobody listens there\nIs it running? Start one with: timed --node-id 1"
        )),
        error => Failure::Unreachable(format!(
            "cannot reach a node at {url}: {error}\nIs it running? Start one with: timed --node-id 1"
        )),
    }
}

/// Name and password, or the cookie file, or nothing.
fn credentials<'a>(text: &impl Fn(&'static str) -> Option<&'a str>) -> Result<Option<String>, Failure> {
    match (text(command::RPC_USER), text(command::RPC_PASSWORD), text(command::COOKIE)) {
        (_, _, Some(file)) => match Cookie::read(Path::new(file)) {
            Ok(cookie) => Ok(Some(cookie.header())),
            Err(error) => Err(Failure::Usage(format!("cannot read the cookie file {file}: {error}"))),
        },
        (Some(user), Some(password), None) => Ok(Some(basic(user, password))),
        (None, None, None) => Ok(None),
        (Some(_), None, None) => Err(Failure::Usage("--rpc-user needs --rpc-password".into())),
        (None, Some(_), None) => Err(Failure::Usage("--rpc-password needs --rpc-user".into())),
    }
}

/// Completes the address of a server: `http://<host>/`.
///
/// # Errors
/// [`Failure::Usage`] for what is no address, or not one of a node.
pub fn web_address(url: &str) -> Result<String, Failure> {
    if url.starts_with("https://") {
        return Err(Failure::Usage(
            "the node speaks http only: reach a far one through a tunnel (ssh -L 7100:127.0.0.1:7100 host)".into(),
        ));
    }
    let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    if rest.is_empty() || rest.contains('/') || rest.contains(char::is_whitespace) {
        return Err(Failure::Usage(format!(
            "{url:?} is no address of a node: expected one such as http://127.0.0.1:7100"
        )));
    }
    Ok(format!("http://{rest}/"))
}

/// What follows the address of a node for calls about a wallet.
fn wallet_path(name: &str) -> Result<String, Failure> {
    let is_one = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !is_one {
        return Err(Failure::Usage(format!("--wallet {name:?}: a wallet's name has letters, digits, - and _ only")));
    }
    Ok(format!("wallet/{name}"))
}

/// A node that may run.
struct NodeCandidate {
    folder: PathBuf,
    cookie: Cookie,
    address: SocketAddr,
}

/// Nodes that may run: those with a cookie in one of the folders or in a `node-<id>` below. Lower ids first, then the newest.
fn candidates(chains: &[PathBuf], node: Option<u64>) -> Vec<NodeCandidate> {
    let mut found: Vec<(u64, Reverse<SystemTime>, NodeCandidate)> = Vec::new();
    for chain in chains {
        for dir in std::iter::once(chain.clone()).chain(subfolders(chain)) {
            let id = dir.file_name().and_then(|n| n.to_str()?.strip_prefix("node-")?.parse::<u64>().ok());
            if node.is_some() && node != id {
                continue;
            }
            if let Ok((cookie, address)) = read_cookie(&dir) {
                let written = std::fs::metadata(dir.join(COOKIE_FILE)).and_then(|m| m.modified());
                found.push((
                    id.unwrap_or_default(),
                    Reverse(written.unwrap_or(SystemTime::UNIX_EPOCH)),
                    NodeCandidate { folder: dir, cookie, address },
                ));
            }
        }
    }
    found.sort_by_key(|(id, written, candidate)| (*id, *written, candidate.address));
    found.into_iter().map(|(_, _, candidate)| candidate).collect()
}

fn subfolders(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().take(FOLDERS_MAX).flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// What to do when no node runs. `why` says what the traces of one came to.
fn nobody(looked_in: &Path, is_data_dir: bool, node: Option<u64>, why: Option<String>) -> String {
    let dir = looked_in.display();
    let start = match (is_data_dir, node) {
        (true, _) => format!("timed --data-dir {dir}"),
        (false, Some(id)) => format!("timed --node-id {id}"),
        (false, None) => "timed --node-id 1   (or a network of four: timed localnet)".into(),
    };
    let which = node.map(|id| format!("development node {id}")).unwrap_or_else(|| "node".into());
    let why = why.map(|why| format!("; {why}")).unwrap_or_default();
    format!(
        "no running {which} found in {dir}{why}\nStart one with: {start}\nOr name one: --data-dir DIR, or --rpc-url URL with --cookie FILE"
    )
}
