//! A real `holdfast` process in a folder of its own, and hand-written bytes to talk to it.
//!
//! Nothing here uses the crates under test: what they get wrong must not be wrong here in the same way.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod wire;

use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use client::Client;

/// Longest wait for something that must happen: the machine may be busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const LOOPBACK: &str = "127.0.0.1:0";

/// The folder of one node: its data directory and its configuration file.
pub(crate) struct Home {
    dir: tempfile::TempDir,
    fault: RefCell<Option<String>>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder"), fault: RefCell::default() }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("holdfast.toml")
    }

    /// Settings of all later starts.
    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.file(), text).expect("written");
    }

    /// A fault of all later starts.
    pub(crate) fn set_fault(&self, fault: &str) {
        *self.fault.borrow_mut() = Some(fault.to_owned());
    }

    /// The command with what `args` do not say themselves.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HOLDFAST_")) {
            command.env_remove(name);
        }
        if let Some(fault) = &*self.fault.borrow() {
            command.env("HOLDFAST_FAULT", fault);
        }
        command.env("HOLDFAST_LOG", "info").arg("start").args(args);
        for flag in ["--mqtt", "--http", "--cluster"] {
            if !args.contains(&flag) {
                command.args([flag, LOOPBACK]);
            }
        }
        if !args.contains(&"--data-dir") {
            command.arg("--data-dir").arg(self.data());
        }
        if self.file().exists() {
            command.arg("--config").arg(self.file());
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn start(&self) -> Node {
        self.start_with(&[])
    }

    /// A node that serves.
    pub(crate) fn start_with(&self, args: &[&str]) -> Node {
        let mut node = self.spawn(args);
        node.wait_ready();
        node
    }

    /// A start that must fail: its exit code and what it says.
    pub(crate) fn fails(&self, args: &[&str]) -> (i32, String) {
        let mut node = self.spawn(args);
        let status = node.exit();
        (status.code().expect("it was not killed"), node.trace.text())
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Node {
        let mut child = self.command(args).spawn().expect("the program");
        let stderr = child.stderr.take().expect("piped");
        let trace = Arc::new(Trace::default());
        let lines = Arc::clone(&trace);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.push(line);
            }
            lines.end();
        });
        let nowhere = LOOPBACK.parse().expect("an address");
        Node { child, trace, mqtt: nowhere, http: nowhere }
    }
}

/// What a node wrote to its standard error.
#[derive(Default)]
pub(crate) struct Trace {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

impl Trace {
    fn push(&self, line: String) {
        self.lines.lock().expect("nobody panics with it").0.push(line);
        self.more.notify_all();
    }

    fn end(&self) {
        self.lines.lock().expect("nobody panics with it").1 = true;
        self.more.notify_all();
    }

    pub(crate) fn text(&self) -> String {
        self.lines.lock().expect("nobody panics with it").0.join("\n")
    }

    /// The first line that `is` accepts; `None` when the process ended without one.
    pub(crate) fn wait(&self, is: impl Fn(&str) -> bool) -> Option<String> {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock().expect("nobody panics with it");
        loop {
            if let Some(line) = lines.0.iter().find(|line| is(line)) {
                return Some(line.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if lines.1 || left.is_zero() {
                return None;
            }
            lines = self.more.wait_timeout(lines, left).expect("nobody panics with it").0;
        }
    }

    fn wait_end(&self) {
        let lines = self.lines.lock().expect("nobody panics with it");
        drop(self.more.wait_timeout_while(lines, PATIENCE, |lines| !lines.1));
    }
}

/// A running process; killed when it is dropped.
pub(crate) struct Node {
    child: Child,
    pub(crate) trace: Arc<Trace>,
    pub(crate) mqtt: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Node {
    /// Waits until it serves, and learns where.
    pub(crate) fn wait_ready(&mut self) {
        let ready = self.trace.wait(|line| line.contains(" ready "));
        let line = ready.unwrap_or_else(|| panic!("it did not start: {}", self.trace.text()));
        let address = |key: &str| -> SocketAddr {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(key));
            word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no {key} in {line}"))
        };
        (self.mqtt, self.http) = (address("mqtt="), address("http="));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A socket that has said nothing.
    pub(crate) fn open(&self, version: u8) -> Client {
        Client::open(self.mqtt, version)
    }

    /// A connected client whose session ends with its connection.
    pub(crate) fn clean(&self, version: u8, id: &str) -> Client {
        let mut client = self.open(version);
        let (_, reason) = client.connect(wire::Connect::clean(id));
        assert_eq!(reason, 0, "{id} is refused: {}", self.trace.text());
        client
    }

    /// A connected client with a durable session, and whether it was there before.
    pub(crate) fn durable(&self, version: u8, id: &str) -> (Client, bool) {
        let mut client = self.open(version);
        let (present, reason) = client.connect(wire::Connect::durable(id));
        assert_eq!(reason, 0, "{id} is refused: {}", self.trace.text());
        (client, present)
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.pid().to_string()]).status().expect("kill");
        assert!(status.success(), "kill {name}");
    }

    /// Waits for its end.
    pub(crate) fn exit(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                self.trace.wait_end();
                return status;
            }
            assert!(Instant::now() < until, "it does not end: {}", self.trace.text());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn running(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Stops it gracefully.
    pub(crate) fn stop(mut self) {
        self.signal("-TERM");
        let status = self.exit();
        assert_eq!(status.code(), Some(0), "{}", self.trace.text());
    }

    /// Ends it without warning.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("our child");
    }

    /// Memory in use. Unit: bytes.
    pub(crate) fn rss(&self) -> u64 {
        proc_number(&format!("/proc/{}/status", self.pid()), "VmRSS:") * 1024
    }

    /// Most memory that was in use so far. Unit: bytes.
    pub(crate) fn rss_peak(&self) -> u64 {
        proc_number(&format!("/proc/{}/status", self.pid()), "VmHWM:") * 1024
    }

    /// Time that its threads have worked so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("a running process");
        // The name may hold anything but ends with the last bracket; user and system time are the 12th and 13th behind.
        let (_, rest) = text.rsplit_once(") ").expect("the kernel's words");
        let ticks = rest.split(' ').skip(11).take(2).map(|word| word.parse::<u64>().expect("a number"));
        // The kernel counts in hundredths of a second for whoever asks.
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// Bytes handed to write calls on files so far.
    pub(crate) fn bytes_written(&self) -> u64 {
        proc_number(&format!("/proc/{}/io", self.pid()), "wchar:")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn proc_number(path: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(path).expect("a running process");
    let line = text.lines().find_map(|line| line.strip_prefix(key)).expect("the kernel's words");
    line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
}

/// Asks again until `done` says so.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The files of a folder with this ending, largest first.
pub(crate) fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = std::fs::read_dir(dir)
        .expect("a folder")
        .filter_map(|file| Some((file.as_ref().ok()?.metadata().ok()?.len(), file.ok()?.path())))
        .filter(|(_, path)| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ending)))
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

/// A page of the admin API, which must be there.
pub(crate) fn get(node: &Node, path: &str) -> String {
    let text = ask(node, path);
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    text
}

/// What the admin API answers.
pub(crate) fn ask(node: &Node, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(node.http).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: holdfast\r\nConnection: close\r\n\r\n").expect("open");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}
