//! A network of containers under a name of its own. It is removed with everything that belongs to it, also when a test panics.

use crate::client::Client;
use crate::engine::{Image, PROJECT_LABEL, compose, docker, docker_folder, project_prefix, run};
use crate::waiting::wait_for;
use serde_json::json;
use std::fs;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use timed_cli::{Failure, NodeConnection};

/// Name that clients of every network use.
const RPC_USER: &str = "operator";
/// The password in `docker/compose.yaml`.
const DEVELOPMENT_PASSWORD: &str = "development-only";
/// How much of a log a failure shows. Unit: lines.
const LOG_LINES_SHOWN: usize = 25;

/// One container.
pub(crate) struct Member {
    client: Client,
    service: String,
    /// The engine's id; the same over restarts.
    container: String,
    /// Where it answers, once looked up: the engine chooses a port at each start and at each connection to the network.
    address: Arc<Mutex<Option<String>>>,
}

impl Deref for Member {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Member {
    fn new(id: u64, service: &str, container: String, password: &str) -> Self {
        let address: Arc<Mutex<Option<String>>> = Arc::default();
        let (known, asked, password) = (address.clone(), container.clone(), password.to_owned());
        let client = Client::new(id, move || {
            let mut known = known.lock().unwrap();
            if known.is_none() {
                *known = Some(published(&asked)?);
            }
            NodeConnection::with_password(known.as_deref().unwrap_or_default(), RPC_USER, &password)
        });
        Self { client, service: service.to_owned(), container, address }
    }

    fn forget_address(&self) {
        *self.address.lock().unwrap() = None;
    }

    /// A fact that the engine knows of it.
    pub(crate) fn inspect(&self, format: &str) -> String {
        docker(&["inspect", "--format", format, &self.container])
    }

    /// Runs a command in the container; a failure fails the test.
    pub(crate) fn exec(&self, words: &[&str]) -> String {
        docker(&[&["exec", &self.container], words].concat())
    }

    /// Its address in the network; empty while it has none.
    pub(crate) fn ip(&self) -> String {
        self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    }

    /// How many connections it has.
    pub(crate) fn connections(&self) -> usize {
        self.ask("getpeerinfo", json!([])).as_array().expect("a list").len()
    }

    pub(crate) fn has_quorum(&self) -> bool {
        self.ask("getconsensusinfo", json!([]))["has_quorum"] == json!(true)
    }

    /// Runs `iptables` in its network namespace, where the engine's own tools do not reach.
    fn iptables(&self, arguments: &[&str]) {
        let pid = self.inspect("{{.State.Pid}}");
        let enter = ["nsenter", "--target", &pid, "--net", "iptables", "--wait"];
        run(&[&enter, arguments].concat()).unwrap_or_else(|error| panic!("{error}"));
    }

    /// From now on it can be reached, and can reach nobody by itself, until links are healed.
    pub(crate) fn forbid_dialling(&self) {
        self.iptables(&[
            "--append",
            "OUTPUT",
            "!",
            "--out-interface",
            "lo",
            "--protocol",
            "tcp",
            "--syn",
            "--jump",
            "DROP",
        ]);
    }

    /// True when its votes count again: after an absence it holds them back until others have decided two heights.
    pub(crate) fn signs(&self) -> bool {
        self.ask("getconsensusinfo", json!([]))["signing"] == json!(true)
    }

    fn describe(&self) -> String {
        let state =
            run(&["docker", "inspect", "--format", "{{.State.Status}} {{.State.Health.Status}}", &self.container]);
        let why = self.call("getconsensusinfo", json!([])).map(|info| info["why"].clone());
        // Without the heartbeats, which are most of a log.
        let log = format!("docker logs {} 2>&1 | grep -v 'BOUND\\] ' | tail -n {LOG_LINES_SHOWN}", self.container);
        let log = run(&["sh", "-c", &log]).unwrap_or_default();
        format!("--- {}: {state:?}, height {:?}, {why:?}\n{log}", self.service, self.height())
    }
}

/// Where the port of a container is published on this machine.
fn published(container: &str) -> Result<String, Failure> {
    let shown = run(&["docker", "port", container]).unwrap_or_default();
    match shown.lines().next().and_then(|line| line.split(" -> ").nth(1)) {
        Some(address) => Ok(address.to_owned()),
        None => Err(Failure::Unreachable(format!("{container} has no published port"))),
    }
}

/// All containers of a compose file.
pub(crate) struct Network {
    name: String,
    file: PathBuf,
    variables: Vec<(String, String)>,
    pub(crate) members: Vec<Member>,
    image: Arc<Image>,
    /// What the containers mount, when it was made for them.
    _folder: Option<TempDir>,
}

/// `masternode-1` and so on, and one observer.
fn services(masternodes: u64) -> Vec<String> {
    let masternodes = (1..=masternodes).map(|number| format!("masternode-{number}"));
    masternodes.chain(["observer-1".to_owned()]).collect()
}

impl Network {
    /// The network of `docker/compose.yaml`: four masternodes and an observer.
    pub(crate) fn of_development(image: Arc<Image>) -> Self {
        let ports = (1..=5).map(|id| (format!("RPC_PORT_{id}"), "0".to_owned())).collect();
        Self::start(image, docker_folder().join("compose.yaml"), &services(4), DEVELOPMENT_PASSWORD, ports, None)
    }

    /// A network that `timed testnet` writes: masternodes and an observer, each with money of its own.
    pub(crate) fn written(image: Arc<Image>, masternodes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("network");
        let count = masternodes.to_string();
        let flags = ["testnet", "--masternodes", &count, "--output", output.to_str().unwrap()];
        run(&[&[env!("CARGO_BIN_EXE_timed")], &flags[..]].concat()).unwrap_or_else(|error| panic!("{error}"));
        // As written, but for the ports on this machine.
        let file = output.join("compose.yaml");
        let mut compose = fs::read_to_string(&file).unwrap();
        for port in 7100..=7100 + masternodes {
            let published = format!("\"127.0.0.1:{port}:{port}\"");
            assert!(compose.contains(&published), "{compose}");
            compose = compose.replace(&published, &format!("\"127.0.0.1:0:{port}\""));
        }
        fs::write(&file, compose).unwrap();
        let config = fs::read_to_string(output.join("masternode-1/config.toml")).unwrap();
        let password = config.lines().find_map(|line| line.strip_prefix("password = ")).expect("a password");
        Self::start(image, file, &services(masternodes), password.trim_matches('"'), Vec::new(), Some(folder))
    }

    /// Starts all services of the file and waits for height 1 on each. Ports are the engine's choice.
    fn start(
        image: Arc<Image>,
        file: PathBuf,
        services: &[String],
        password: &str,
        mut variables: Vec<(String, String)>,
        folder: Option<TempDir>,
    ) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{}{}", project_prefix(std::process::id()), COUNT.fetch_add(1, Ordering::Relaxed));
        variables.push(("TIMED_IMAGE".to_owned(), image.name.clone()));
        // From here on its end removes what there is of it.
        let mut network = Self { name, file, variables, members: Vec::new(), image, _folder: folder };
        network.compose(&["up", "--detach"]).unwrap_or_else(|error| panic!("{error}"));
        for (id, service) in (1..).zip(services) {
            let container = network.compose(&["ps", "--quiet", service]).unwrap_or_else(|error| panic!("{error}"));
            network.members.push(Member::new(id, service, container, password));
        }
        network.wait_height(1);
        network
    }

    fn compose(&self, arguments: &[&str]) -> Result<String, String> {
        let own = ["--project-name", &self.name, "--file", self.file.to_str().unwrap()];
        compose(&[&own, arguments].concat(), &self.variables)
    }

    /// The member with this number, from 1.
    pub(crate) fn member(&self, id: u64) -> &Member {
        self.members.iter().find(|member| member.id == id).expect("a member of the network")
    }

    pub(crate) fn clients(&self, ids: &[u64]) -> Vec<&Client> {
        ids.iter().map(|id| &self.member(*id).client).collect()
    }

    pub(crate) fn all(&self) -> Vec<&Client> {
        self.members.iter().map(|member| &member.client).collect()
    }

    pub(crate) fn wait_height(&self, height: u64) {
        wait_for(&format!("height {height} on every node"), || {
            self.members.iter().all(|member| member.height() >= Some(height)).then_some(())
        });
    }

    /// Waits until every member has this many connections and sees a quorum.
    pub(crate) fn wait_whole(&self, connections: usize) {
        wait_for("every node connected to every other", || {
            self.members.iter().all(|m| m.connections() == connections && m.has_quorum()).then_some(())
        });
    }

    /// Waits until the engine's own look at each container says that it is healthy.
    pub(crate) fn wait_healthy(&self) {
        wait_for("every container healthy", || {
            self.members.iter().all(|m| m.inspect("{{.State.Health.Status}}") == "healthy").then_some(())
        });
    }

    /// Gives one of the engine's orders (`kill`, `start`, `pause`, `unpause`) for these members at once.
    pub(crate) fn order(&self, order: &str, ids: &[u64]) {
        let containers: Vec<_> = ids.iter().map(|id| &self.member(*id).container[..]).collect();
        docker(&[&[order], &containers[..]].concat());
        ids.iter().for_each(|id| self.member(*id).forget_address());
    }

    fn engine_network(&self) -> String {
        format!("{}_timed", self.name)
    }

    /// Takes a member off the network, as pulling its cable would.
    pub(crate) fn disconnect(&self, id: u64) {
        docker(&["network", "disconnect", &self.engine_network(), &self.member(id).container]);
        self.member(id).forget_address();
    }

    /// Brings it back under its name. Its address is the engine's choice.
    pub(crate) fn connect(&self, id: u64) {
        let Member { service, container, .. } = self.member(id);
        docker(&["network", "connect", "--alias", service, &self.engine_network(), container]);
        self.member(id).forget_address();
    }

    /// Takes the next free address of the network, so that nobody else is given it.
    pub(crate) fn take_address(&self) -> Placeholder {
        let name = format!("{}-placeholder", self.name);
        // Made before the container: an engine that fails half-way leaves nothing either.
        let placeholder = Placeholder(name.clone());
        let network = self.engine_network();
        // Known as part of the network to whoever cleans up after a run that was killed.
        let label = format!("{PROJECT_LABEL}={}", self.name);
        let does = [
            "--label",
            &label,
            "--network",
            &network,
            "--entrypoint",
            "sleep",
            "--no-healthcheck",
            &self.image.name,
            "600",
        ];
        docker(&[&["run", "--detach", "--name", &name], &does[..]].concat());
        placeholder
    }

    /// Cuts every link between members of different groups: packets vanish without an error.
    pub(crate) fn cut(&self, groups: &[&[u64]]) {
        let ips: Vec<_> = groups.iter().map(|group| group.iter().map(|id| self.member(*id).ip()).collect()).collect();
        let ips: &[Vec<String>] = &ips;
        for (own, group) in groups.iter().enumerate() {
            let foreign = ips.iter().enumerate().filter(|(other, _)| *other != own).flat_map(|(_, ips)| ips);
            let foreign = foreign.map(String::as_str).collect::<Vec<_>>().join(",");
            for id in *group {
                let member = self.member(*id);
                member.iptables(&["--append", "INPUT", "--source", &foreign, "--jump", "DROP"]);
                member.iptables(&["--append", "OUTPUT", "--destination", &foreign, "--jump", "DROP"]);
            }
        }
    }

    /// Undoes all cuts and prohibitions.
    pub(crate) fn heal(&self) {
        self.members.iter().for_each(|member| member.iptables(&["--flush"]));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for member in &self.members {
                eprintln!("{}", member.describe());
            }
        }
        // A frozen container would keep the engine waiting; the others are not frozen, and that is fine.
        for member in &self.members {
            let _ = run(&["docker", "unpause", &member.container]);
        }
        if let Err(error) = self.compose(&["down", "--volumes", "--remove-orphans", "--timeout", "1"]) {
            eprintln!("{} could not be removed: {error}", self.name);
        }
    }
}

/// A container that holds an address and does nothing; removed when dropped.
pub(crate) struct Placeholder(String);

impl Drop for Placeholder {
    fn drop(&mut self) {
        let _ = run(&["docker", "rm", "--force", "--volumes", &self.0]);
    }
}
