//! A broker as a process: how to start it on a fixed port and directory, stop it, kill it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::client;

/// Ports are taken from here, below the range that the kernel gives to outgoing connections: a client that
/// calls a port of that range while the broker is down can end up connected to itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How a broker is started.
#[derive(Clone, Debug)]
pub enum Recipe {
    /// The `holdfast` binary at this path.
    Holdfast(PathBuf),
    /// The `mosquitto` binary at this path, without persistence, its queue limits lifted.
    Mosquitto(PathBuf),
    /// A program and its arguments, in which `{port}` and `{dir}` are replaced.
    Command(Vec<String>),
}

/// Where a broker lives, across all its starts.
#[derive(Debug)]
pub struct Place {
    directory: tempfile::TempDir,
    mqtt: u16,
    http: u16,
    cluster: u16,
}

/// A started broker. Dropping it kills it.
#[derive(Debug)]
pub struct Broker {
    child: Child,
}

impl Place {
    /// A new directory below `parent` (the system's temporary directory when absent) and free ports.
    pub fn new(parent: Option<&Path>) -> io::Result<Place> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("holdfast-chaos-");
        let directory = match parent {
            Some(parent) => builder.tempdir_in(parent)?,
            None => builder.tempdir()?,
        };
        Ok(Place { directory, mqtt: free_port()?, http: free_port()?, cluster: free_port()? })
    }

    /// Port of the broker's HTTP listener, where it has one.
    pub fn http(&self) -> u16 {
        self.http
    }

    /// Where the broker's MQTT listener is.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.mqtt).into()
    }

    /// The last lines that the broker wrote.
    pub fn last_words(&self) -> String {
        let log = fs::read(self.trace()).unwrap_or_default();
        let text = String::from_utf8_lossy(&log[log.len().saturating_sub(4000)..]).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Leaves the directory where it is, with the broker's data and log, and returns it.
    pub fn keep(self) -> PathBuf {
        self.directory.keep()
    }

    fn trace(&self) -> PathBuf {
        self.directory.path().join("broker.log")
    }
}

impl Recipe {
    /// The words that start this broker at `place`.
    fn words(&self, place: &Place) -> io::Result<Vec<String>> {
        let data = place.directory.path().join("data");
        let data = data.display();
        let at = |port: u16| format!("127.0.0.1:{port}");
        Ok(match self {
            Recipe::Holdfast(path) => vec![
                path.display().to_string(),
                "start".into(),
                "--data-dir".into(),
                data.to_string(),
                "--mqtt".into(),
                at(place.mqtt),
                "--http".into(),
                at(place.http),
                "--cluster".into(),
                at(place.cluster),
            ],
            Recipe::Mosquitto(path) => {
                let config = place.directory.path().join("mosquitto.conf");
                fs::write(&config, mosquitto_config(place.mqtt))?;
                vec![path.display().to_string(), "-c".into(), config.display().to_string()]
            }
            Recipe::Command(words) => words
                .iter()
                .map(|word| {
                    word.replace("{port}", &place.mqtt.to_string()).replace("{dir}", &data.to_string())
                })
                .collect(),
        })
    }

    /// Starts the broker; it does not wait until it serves.
    pub fn start(&self, place: &Place) -> io::Result<Broker> {
        let words = self.words(place)?;
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let trace: File = OpenOptions::new().create(true).append(true).open(place.trace())?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(trace.try_clone()?)
            .stderr(trace)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{program}: {e}")))?;
        Ok(Broker { child })
    }
}

impl Broker {
    /// The broker's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it greets a client; an error when it exits or stays silent for `patience`.
    pub fn wait_until_ready(&mut self, place: &Place, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.exited()? {
                return Err(self.gone(status, place));
            }
            if client::answers(place.address(), Duration::from_millis(500)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let words = place.last_words();
        Err(io::Error::other(format!(
            "the broker did not serve within {patience:?}; its last words:\n{words}"
        )))
    }

    /// The exit status, if it has ended by itself.
    pub fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// SIGTERM, and SIGKILL after `patience`. Returns how it ended.
    pub fn stop(mut self, patience: Duration) -> io::Result<ExitStatus> {
        // A pid of the kernel fits an i32.
        kill(Pid::from_raw(self.pid() as i32), Signal::SIGTERM).map_err(io::Error::from)?;
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        self.child.wait()
    }

    fn gone(&self, status: ExitStatus, place: &Place) -> io::Error {
        io::Error::other(format!(
            "the broker ended by itself ({status}); its last words:\n{}",
            place.last_words()
        ))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Both fail only when it has ended already, which is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn mosquitto_config(port: u16) -> String {
    format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n\
         max_inflight_messages 0\nlog_dest none\n"
    )
}

/// A port that is free for TCP and UDP now. No two searches of this process look at the same port, and
/// different processes begin at different places.
pub(crate) fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let span = u32::from(PORTS.end - PORTS.start);
    for _ in 0..span {
        let step =
            NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id().wrapping_mul(1_009)) % span;
        let port = PORTS.start + step as u16;
        let address = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_gets_its_port_and_directory() {
        let place = Place::new(None).unwrap();
        let words = Recipe::Command(vec!["b".into(), "--p={port}".into(), "{dir}/x".into()]).words(&place);
        let words = words.unwrap();
        assert_eq!(words[1], format!("--p={}", place.mqtt));
        assert!(words[2].ends_with("/data/x"));
    }

    #[test]
    fn a_broker_that_ends_by_itself_is_an_error_with_its_last_words() {
        let place = Place::new(None).unwrap();
        let recipe = Recipe::Command(vec!["sh".into(), "-c".into(), "echo too early; exit 3".into()]);
        let mut broker = recipe.start(&place).unwrap();
        let error = broker.wait_until_ready(&place, Duration::from_secs(10)).unwrap_err().to_string();
        assert!(error.contains("too early") && error.contains("exit status: 3"), "{error}");
    }
}
