//! A small world of three network namespaces for one run: near end, link, far end. Nothing outside it is touched, and it is gone when its
//! processes are, however they end, since nothing names it.
//!
//! ```text
//!   near end                    link (this process)                  far end
//!   10.78.0.1 on `wan` ──VXLAN── 10.77.1.1  relay  10.77.2.1 ──VXLAN── `wan` with 10.78.0.2
//! ```
//!
//! Each end's `wan` is a VXLAN device, whose packets are UDP datagrams; the relay is an ordinary program that delays and drops them. So TCP at
//! both ends is the kernel's own, and no queueing discipline has to be there.

use anyhow::Context as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Port of VXLAN (RFC 7348, section 5).
pub(super) const TUNNEL_PORT: u16 = 4789;
/// How long a process takes at most to enter its namespace.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest packet between the ends, as on Ethernet. Unit: bytes.
const PACKET_BYTES: &str = "1500";
/// The same with the tunnel's headers. Unit: bytes.
const TUNNELLED_BYTES: &str = "1600";

/// What the run needs of the machine, said when it is not there.
pub(super) const NEEDS: &str =
    "needs root or user namespaces, `unshare` (util-linux), `ip` (iproute2) and a kernel with veth and VXLAN";

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LinkSide {
    /// Dials, and sends blocks.
    Near,
    /// Listens, and asks for blocks.
    Far,
}

impl LinkSide {
    const fn number(self) -> u8 {
        match self {
            Self::Near => 1,
            Self::Far => 2,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Far => "far",
        }
    }

    /// The relay, seen from this end.
    pub(super) const fn relay_address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number(), 1)
    }

    /// This end, seen from the relay.
    pub(super) const fn wire_address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number(), 2)
    }

    /// This end, seen from the other.
    pub(super) const fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 78, 0, self.number())
    }
}

/// Runs this program's own command line again, in a network namespace of its own, and says how that ended.
pub(super) fn enter_and_run_again() -> anyhow::Result<()> {
    let probe = ["ip", "link", "add", "probe", "type", "vxlan", "id", "1", "remote", "127.0.0.1", "dstport", "4789"];
    run(unshare().args(probe)).with_context(|| format!("timed-bench lanes {NEEDS}"))?;
    let mut again = unshare();
    again.arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).arg("--inside");
    let mut child = again.stdin(Stdio::piped()).spawn()?;
    // Held open: when this process is gone, that one ends.
    let input = child.stdin.take();
    let status = child.wait()?;
    drop(input);
    anyhow::ensure!(status.success(), "the run in its own network namespace failed");
    Ok(())
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--net");
    // Where `ip` is, which the paths of ordinary users may leave out.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--");
    command
}

/// Runs a command to its end; what it complains of is the error.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run `{name}`"))?;
    anyhow::ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// `ip` with these words.
fn ip(words: &str) -> anyhow::Result<()> {
    run(Command::new("ip").args(words.split_whitespace())).with_context(|| format!("ip {words}"))
}

/// An end's process: it waits for a line, then sets up its own namespace.
pub(super) struct EndProcess {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    place: LinkSide,
}

impl EndProcess {
    /// Starts the end in a namespace of its own and lays the wire to it.
    pub(super) fn start(place: LinkSide, arguments: &[String]) -> anyhow::Result<Self> {
        let own = namespace("self")?;
        let mut command = Command::new("unshare");
        command.args(["--net", "--"]).arg(std::env::current_exe()?);
        command.args(["lanes-end", place.name()]).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pid = child.id().to_string();
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let input = input.context("a pipe is missing")?;
        let output = BufReader::new(output.context("a pipe is missing")?);
        let end = Self { child, input, output, place };
        let start = Instant::now();
        while namespace(&pid)? == own {
            anyhow::ensure!(start.elapsed() < PATIENCE, "the {} end does not start", place.name());
            std::thread::sleep(Duration::from_millis(1));
        }
        let (name, address) = (place.name(), place.relay_address());
        ip(&format!("link add {name} type veth peer name wire netns {pid}"))?;
        ip(&format!("address add {address}/30 dev {name}"))?;
        ip(&format!("link set {name} mtu {TUNNELLED_BYTES} up"))?;
        Ok(end)
    }

    /// Lets it go on.
    pub(super) fn go(&mut self) -> anyhow::Result<()> {
        writeln!(self.input, "go").with_context(|| format!("the {} end has ended", self.place.name()))
    }

    /// The next line that it says.
    pub(super) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let bytes = self.output.read_line(&mut line)?;
        anyhow::ensure!(bytes > 0, "the {} end has failed", self.place.name());
        Ok(line)
    }
}

impl Drop for EndProcess {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A namespace goes some time after its last process, and its wire with it; the next one needs the name now.
        let _ = ip(&format!("link delete {}", self.place.name()));
    }
}

/// Which network namespace a process is in.
fn namespace(pid: &str) -> anyhow::Result<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/net")).context("the system does not show a process's namespace")
}

/// In the end's own process: waits until the wire lies, and sets up the link's end.
pub(super) fn set_up_end(place: LinkSide, congestion: Option<&str>) -> anyhow::Result<()> {
    let mut line = String::new();
    anyhow::ensure!(std::io::stdin().read_line(&mut line)? > 0, "nobody starts this end");
    end_with_input()?;
    let (relay, wire, own) = (place.relay_address(), place.wire_address(), place.address());
    ip(&format!("link set wire mtu {TUNNELLED_BYTES} up"))?;
    ip(&format!("address add {wire}/30 dev wire"))?;
    ip(&format!(
        "link add wan type vxlan id 77 remote {relay} local {wire} dev wire dstport {TUNNEL_PORT} remcsumtx remcsumrx"
    ))?;
    // One packet at a time, as a link sees them; else the relay would see what the kernel has put together.
    ip("link set wan gso_max_segs 1")?;
    ip(&format!("link set wan mtu {PACKET_BYTES} up"))?;
    ip(&format!("address add {own}/24 dev wan"))?;
    if let Some(congestion) = congestion {
        ip(&format!("route replace 10.78.0.0/24 dev wan src {own} congctl lock {congestion}"))?;
    }
    Ok(())
}

/// Ends this process when whoever started it is gone.
pub(super) fn end_with_input() -> anyhow::Result<()> {
    let wait = || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    };
    std::thread::Builder::new().name("input".into()).spawn(wait)?;
    Ok(())
}
