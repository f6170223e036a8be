//! The end of a process whose parts hang. Each case is a process of its own: this test program, made the node by its environment.

use super::*;
use actix_rt::System;
use std::process::{Child, Command, ExitStatus, Stdio};
use timed_actors::{Component, SystemClock};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Names the folder of a node to be played.
const FOLDER: &str = "TIMED_TEST_WATCHDOG_FOLDER";
/// What hangs in it.
const HANGS: &str = "TIMED_TEST_WATCHDOG_HANGS";

/// A node that is asked to end by a signal and does not: its main thread and its ledger hang, and with `log` the reader of its log, too.
fn play(folder: PathBuf) {
    let what = std::env::var(HANGS).unwrap();
    let output = std::fs::File::from(std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned().unwrap());
    let log = LogWriter::start(output).unwrap();
    tracing_subscriber::registry().with(timed_process::logging::text_layer(log.clone(), false)).init();
    let stop = Stop::default();
    timed_process::signals::watch(stop.clone(), log.clone()).unwrap();
    let pulses = Pulses::default();
    for component in [Component::Ledger, Component::Consensus, Component::Runtime] {
        pulses.expect(component);
    }
    let beating = pulses.clone();
    let beat = move || loop {
        beating.beat(Component::Consensus);
        thread::park_timeout(Duration::from_millis(100));
    };
    thread::Builder::new().spawn(beat).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let syncs = timed_store::SyncTimes::new(clock.clone());
    let noticed = Noticed::default();
    Watchdog { pulses, clock, stop, folder, log: log.clone(), noticed, syncs }.start().unwrap();
    if what == "log" {
        use std::io::Write as _;
        use tracing_subscriber::fmt::MakeWriter as _;
        for _ in 0..100 {
            log.make_writer().write_all(&[b'x'; 4_000]).unwrap();
        }
    }
    System::new().block_on(async move {
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::TERM).unwrap();
        // The runtime never comes back.
        loop {
            thread::park();
        }
    });
}

/// The end of a process, which comes within five seconds, or twice that on a machine that is busy; it is not waited for any longer.
fn end_of(child: &mut Child) -> ExitStatus {
    let clock = SystemClock::start();
    let since = clock.now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if clock.now().since(since) >= Duration::from_secs(10) {
            child.kill().unwrap();
            panic!("the process did not end: {}", child.wait().unwrap());
        }
        thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_process_ends_though_its_runtime_and_an_actor_hang_and_says_who() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return play(PathBuf::from(folder));
    }
    for what in ["actor", "log"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(timed_rpc::auth::COOKIE_FILE), "secret").unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "watchdog::tests::a_process_ends_though_its_runtime_and_an_actor_hang_and_says_who",
                "--nocapture",
            ])
            .env(FOLDER, folder.path())
            .env(HANGS, what)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The pipe of the log is not read before the end.
        let status = end_of(&mut child);
        assert_eq!(status.code(), Some(1), "{what}: {status}");
        let mut errors = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut errors).unwrap();
        let mut output = String::new();
        std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut output).unwrap();
        // In the log, and when nobody reads that, on standard error.
        let (said, silent) = if what == "log" { (&errors, &output) } else { (&output, &errors) };
        assert!(said.contains("not everything ended in time (hangs: ledger, runtime)"), "{what}: {said}");
        assert!(!silent.contains("not everything ended"), "{what}: twice");
        assert!(!folder.path().join(timed_rpc::auth::COOKIE_FILE).exists(), "the cookie is left");
    }
}

#[test]
fn who_hangs_is_named() {
    let pulses = Pulses::default();
    assert!(unfinished(&pulses).contains("(nobody in particular hangs)"));
    pulses.expect(Component::Ledger);
    let mut monitor = Monitor::default();
    for second in 1..5 {
        monitor.look(Instant::START + Duration::from_secs(second), &pulses);
    }
    assert!(unfinished(&pulses).contains("(hangs: ledger)"), "{}", unfinished(&pulses));
}
