//! A node that is a process of this storm.

use std::fs::{self, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::shim::{Shim, Weather};

/// Lines of a log that are shown when a node ends by itself.
const WORDS: usize = 20;

/// Where a node listens.
pub(super) struct Ports {
    pub(super) mqtt: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) cluster: SocketAddr,
}

impl Ports {
    pub(super) fn new() -> io::Result<Ports> {
        Ok(Ports { mqtt: super::loopback()?, http: super::loopback()?, cluster: super::loopback()? })
    }
}

/// How it is started, and how it is.
pub(super) struct Process {
    binary: PathBuf,
    home: PathBuf,
    data: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, PathBuf)>,
    weather: Option<Weather>,
    life: Mutex<Life>,
}

/// `child` is there from a start to the end that was asked for or noticed.
#[derive(Default)]
struct Life {
    child: Option<Child>,
    excused: bool,
    starts: u32,
}

impl Process {
    pub(super) fn new(binary: &Path, home: PathBuf, ports: Ports, shim: Option<&Shim>) -> io::Result<Self> {
        fs::create_dir_all(&home)?;
        let data = home.join("data");
        let mut environment = Vec::new();
        let mut weather = None;
        if let Some(shim) = shim {
            let sky = Weather::new(home.join("weather"))?;
            environment.extend(shim.environment(&sky, &data).map(|(name, path)| (name.to_owned(), path)));
            weather = Some(sky);
        }
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (mqtt, http, cluster) =
            (ports.mqtt.to_string(), ports.http.to_string(), ports.cluster.to_string());
        let mut arguments = words(&["start", "--mqtt", &mqtt, "--http", &http, "--cluster", &cluster]);
        arguments.extend(["--data-dir".to_owned(), data.display().to_string()]);
        let life = Mutex::default();
        Ok(Process { binary: binary.to_owned(), home, data, arguments, environment, weather, life })
    }

    pub(super) fn arguments(&mut self, words: &[String]) {
        self.arguments.extend_from_slice(words);
    }

    pub(super) fn variable(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.into()));
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn start(&self) -> io::Result<()> {
        let mut life = self.life();
        if let Some(child) = &mut life.child {
            if child.try_wait()?.is_none() {
                return Ok(());
            }
            // Whoever asks for a start knows that it has ended.
            life.child = None;
        }
        let trace = OpenOptions::new().create(true).append(true).open(self.trace())?;
        let child = Command::new(&self.binary)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(trace.try_clone()?)
            .stderr(trace)
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", self.binary.display())))?;
        life.child = Some(child);
        life.starts += 1;
        Ok(())
    }

    pub(super) fn kill(&self) -> io::Result<()> {
        if let Some(mut child) = self.life().child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    pub(super) fn stop(&self, patience: Duration) -> io::Result<()> {
        // Out of the lock while it is waited for: nobody else needs this process any more.
        let Some(mut child) = self.life().child.take() else { return Ok(()) };
        send(&child, Signal::SIGTERM)?;
        // One that is frozen would never hear it.
        send(&child, Signal::SIGCONT)?;
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                return well(status);
            }
            thread::sleep(Duration::from_millis(10));
        }
        child.kill()?;
        child.wait()?;
        Err(io::Error::other(format!("it did not stop within {patience:?}, and was killed")))
    }

    pub(super) fn pause(&self) -> io::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    pub(super) fn resume(&self) -> io::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, which: Signal) -> io::Result<()> {
        self.life().child.as_ref().map_or(Ok(()), |child| send(child, which))
    }

    pub(super) fn is_up(&self) -> bool {
        self.life().child.is_some()
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.life().child.as_ref().map(Child::id)
    }

    pub(super) fn excuse(&self, excused: bool) {
        self.life().excused = excused;
    }

    pub(super) fn ended(&self) -> Option<String> {
        let mut life = self.life();
        let status = life.child.as_mut()?.try_wait().ok()??;
        if life.excused {
            return None;
        }
        life.child = None;
        Some(status.to_string())
    }

    pub(super) fn weather(&self) -> Option<&Weather> {
        self.weather.as_ref()
    }

    pub(super) fn lives(&self) -> u32 {
        self.life().starts
    }

    pub(super) fn own(&self) -> (&Path, &Path) {
        (&self.binary, &self.data)
    }

    fn trace(&self) -> PathBuf {
        self.home.join("node.log")
    }

    pub(super) fn last_words(&self) -> String {
        let log = fs::read(self.trace()).unwrap_or_default();
        let text = String::from_utf8_lossy(&log[log.len().saturating_sub(8000)..]).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(WORDS)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It fails only when the process has ended already, which is what is wanted.
        self.kill().ok();
    }
}

fn send(child: &Child, which: Signal) -> io::Result<()> {
    // A pid of the kernel fits an i32.
    signal::kill(Pid::from_raw(child.id() as i32), which).map_err(io::Error::from)
}

fn well(status: ExitStatus) -> io::Result<()> {
    match (status.success(), status.signal()) {
        (true, _) => Ok(()),
        (false, Some(signal)) => Err(io::Error::other(format!("it ended by signal {signal}"))),
        (false, None) => Err(io::Error::other(format!("it stopped with {status}"))),
    }
}
