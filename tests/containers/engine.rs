//! The container engine, by its commands, and the image of the programs under test.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

/// Longest time for one command of the engine. Unit: seconds. The longest is a start of a network on a busy machine.
const COMMAND_SECONDS_MAX: &str = "120";
/// Longest time to make the image; the first time on a machine its base is fetched, too. Unit: seconds.
const IMAGE_SECONDS_MAX: &str = "600";
/// Exit status of docker/prebuilt.sh where no base image can be made.
const NO_BASE: i32 = 3;
/// Left behind as a cache: the next image is made from its layers.
const CACHED_IMAGE: &str = "timed-test:cache";

/// A command that ends, one way or another. Settings of the shell that runs the tests say nothing to the programs.
fn command(seconds_max: &str, words: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", seconds_max]).args(words).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TIMED_")) {
        command.env_remove(name);
    }
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// What a command says, or how it failed.
pub(crate) fn run(words: &[&str]) -> Result<String, String> {
    result(words, command(COMMAND_SECONDS_MAX, words).output())
}

fn result(words: &[&str], output: std::io::Result<Output>) -> Result<String, String> {
    let output = output.map_err(|error| format!("{}: {error}", words.join(" ")))?;
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{}: {}: {} {}", words.join(" "), output.status, text(&output.stdout), text(&output.stderr)))
}

/// What `docker` says; a failure fails the test.
pub(crate) fn docker(arguments: &[&str]) -> String {
    run(&[&["docker"], arguments].concat()).unwrap_or_else(|error| panic!("{error}"))
}

/// The two programs that read compose files, in the order of preference.
const COMPOSE: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];

/// The compose program of this machine, with settings for the file's variables.
pub(crate) fn compose(arguments: &[&str], variables: &[(String, String)]) -> Result<String, String> {
    let program = compose_program().ok_or("no compose program")?;
    let words = [program, arguments].concat();
    result(&words, command(COMMAND_SECONDS_MAX, &words).envs(variables.iter().cloned()).output())
}

fn compose_program() -> Option<&'static [&'static str]> {
    COMPOSE.into_iter().find(|program| run(&[program, &["version"][..]].concat()).is_ok())
}

/// Why containers cannot be tested here, if they cannot.
fn missing() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("this is not Linux".into());
    }
    if run(&["id", "-u"]).ok().as_deref() != Some("0") {
        return Some("only root can cut the links of a container".into());
    }
    if std::env::var_os("DOCKER_HOST").is_some_and(|host| !host.to_string_lossy().starts_with("unix:")) {
        return Some("the container engine is on another machine".into());
    }
    if let Err(error) = run(&["docker", "version", "--format", "{{.Server.Version}}"]) {
        return Some(format!("no container engine answers ({})", error.lines().next().unwrap_or_default()));
    }
    if compose_program().is_none() {
        return Some("neither `docker compose` nor `docker-compose` is installed".into());
    }
    let tools = [["nsenter", "--version"], ["iptables", "--version"]];
    tools.iter().find_map(|tool| run(tool).err()).map(|error| format!("a tool to cut links is missing ({error})"))
}

/// The image that is made from the programs under test. The last to let go of it leaves it as the cache.
pub(crate) struct Image {
    pub(crate) name: String,
}

/// The image, or `None` and one line where containers cannot be tested.
pub(crate) fn image() -> Option<Arc<Image>> {
    static IMAGE: Mutex<Weak<Image>> = Mutex::new(Weak::new());
    static SAID: Once = Once::new();
    let mut shared = IMAGE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(image) = shared.upgrade() {
        return Some(image);
    }
    match missing().map_or_else(Image::make, Err) {
        Ok(image) => {
            let image = Arc::new(image);
            *shared = Arc::downgrade(&image);
            Some(image)
        }
        Err(reason) => {
            // Not by a macro: the line is to be seen although the tests pass.
            SAID.call_once(|| drop(writeln!(std::io::stderr(), "containers were not tested: {reason}")));
            None
        }
    }
}

impl Image {
    /// The reason, where this machine cannot make its base.
    fn make() -> Result<Self, String> {
        remove_orphans();
        let name = format!("timed-test:{}", std::process::id());
        let script = docker_folder().join("prebuilt.sh");
        let programs = Path::new(env!("CARGO_BIN_EXE_timed")).parent().expect("a folder");
        let words = [script.to_str().unwrap(), &name, programs.to_str().unwrap()];
        let output = command(IMAGE_SECONDS_MAX, &words).output().unwrap();
        if output.status.code() == Some(NO_BASE) {
            return Err(text(&output.stderr).lines().last().unwrap_or_default().to_owned());
        }
        result(&words, Ok(output)).unwrap_or_else(|error| panic!("{error}"));
        Ok(Self { name })
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // Each fails only when there is nothing to do, or an engine that fails now.
        let _ = run(&["docker", "rmi", CACHED_IMAGE]);
        let _ = run(&["docker", "tag", &self.name, CACHED_IMAGE]);
        let _ = run(&["docker", "rmi", &self.name]);
    }
}

/// With this the engine knows what belongs to a compose project.
pub(crate) const PROJECT_LABEL: &str = "com.docker.compose.project";

/// How all networks of one run of the tests are called.
pub(crate) fn project_prefix(run: u32) -> String {
    format!("timedtest-{run}-")
}

/// Removes what runs left that were killed before they could do it themselves: their containers would start again for ever.
fn remove_orphans() {
    let list = |words: &[&str]| {
        let lines = run(&[&["docker"], words].concat()).unwrap_or_default();
        lines.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let is_over = |run: &str| run.parse::<u32>().is_ok() && !Path::new("/proc").join(run).exists();
    let is_orphan = |project: &&String| {
        project.strip_prefix("timedtest-").and_then(|rest| rest.split('-').next()).is_some_and(is_over)
    };
    for project in
        list(&["ps", "--all", "--format", &format!("{{{{.Label \"{PROJECT_LABEL}\"}}}}")]).iter().filter(is_orphan)
    {
        let filter = format!("label={PROJECT_LABEL}={project}");
        let kinds: [[&[&str]; 2]; 3] = [
            [&["ps", "--all", "--quiet"], &["rm", "--force", "--volumes"]],
            [&["network", "ls", "--quiet"], &["network", "rm"]],
            [&["volume", "ls", "--quiet"], &["volume", "rm"]],
        ];
        for [find, remove] in kinds {
            for found in list(&[find, &["--filter", &filter]].concat()) {
                let _ = run(&[&["docker"], remove, &[&found]].concat());
            }
        }
    }
    for tag in list(&["images", "--format", "{{.Tag}}", "timed-test"]).iter().filter(|tag| is_over(tag)) {
        let _ = run(&["docker", "rmi", &format!("timed-test:{tag}")]);
    }
}

/// The folder `docker` of the sources.
pub(crate) fn docker_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker").canonicalize().unwrap()
}
