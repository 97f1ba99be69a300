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

/// The last words of one whose port somebody else had just then.
const TAKEN: &str = "Address already in use (os error 98)";

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
    /// The number that it is told at its start.
    id: Option<u64>,
    excused: bool,
    /// It leaves the cluster, or has left it.
    gone: bool,
    starts: u32,
    /// Nodes that were here before and have left the cluster.
    past: u32,
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

    /// The number that it is told.
    pub(super) fn name(&self, id: Option<u64>) {
        self.life().id = id;
    }

    pub(super) fn variable(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.into()));
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn start(&self) -> io::Result<()> {
        let mut life = self.life();
        if life.gone {
            return Ok(());
        }
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
            .args(life.id.iter().flat_map(|id| ["--node-id".to_owned(), id.to_string()]))
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
        send(&mut child, Signal::SIGTERM)?;
        // One that is frozen would never hear it.
        send(&mut child, Signal::SIGCONT)?;
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                let life = self.life();
                return if life.excused || life.gone { Ok(()) } else { well(status) };
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
        self.life().child.as_mut().map_or(Ok(()), |child| send(child, which))
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
        if life.excused || life.gone {
            return None;
        }
        life.child = None;
        drop(life);
        // Others on this machine look for free ports too, and one that is down holds none.
        if self.last_words().ends_with(TAKEN) && self.start().is_ok() {
            return None;
        }
        Some(status.to_string())
    }

    pub(super) fn take_leave(&self) {
        self.life().gone = true;
    }

    /// What was here is put away, and a node without data and number may start.
    pub(super) fn begin_anew(&self) -> io::Result<()> {
        self.kill()?;
        let mut life = self.life();
        if self.data.exists() {
            life.past += 1;
            fs::rename(&self.data, self.past(life.past))?;
        }
        (life.id, life.gone) = (None, false);
        Ok(())
    }

    fn past(&self, number: u32) -> PathBuf {
        self.home.join(format!("past-{number}"))
    }

    pub(super) fn weather(&self) -> Option<&Weather> {
        self.weather.as_ref()
    }

    pub(super) fn lives(&self) -> u32 {
        self.life().starts
    }

    pub(super) fn binary(&self) -> &Path {
        &self.binary
    }

    /// The directories of all that were here.
    pub(super) fn data(&self) -> Vec<PathBuf> {
        let past = (1..=self.life().past).map(|number| self.past(number));
        past.chain(self.data.exists().then(|| self.data.clone())).collect()
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

/// One that has ended hears nothing, and its number may be another's by now.
fn send(child: &mut Child, which: Signal) -> io::Result<()> {
    if child.try_wait()?.is_some() {
        return Ok(());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn process(script: &str) -> (tempfile::TempDir, Process) {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("program");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let home = directory.path().join("home");
        let process = Process::new(&program, home, Ports::new().unwrap(), None).unwrap();
        (directory, process)
    }

    /// Until it has ended and this has been seen, so that its number is nobody's any more.
    fn end(process: &Process) {
        while process.life().child.as_mut().unwrap().try_wait().unwrap().is_none() {
            thread::yield_now();
        }
    }

    #[test]
    fn one_that_has_ended_and_may_do_so_can_be_stopped() {
        let (_directory, process) = process("exit 1");
        process.excuse(true);
        process.start().unwrap();
        end(&process);
        assert_eq!(process.ended(), None);
        process.pause().unwrap();
        process.stop(Duration::from_secs(10)).unwrap();
        process.excuse(false);
        process.start().unwrap();
        end(&process);
        assert!(process.stop(Duration::from_secs(10)).is_err(), "nothing excuses this one");
    }

    #[test]
    fn one_that_left_is_not_started_and_its_place_is_taken_by_another() {
        let (_directory, process) = process("mkdir \"$9\"; echo \"$*\" >>\"$9/words\"");
        process.name(Some(7));
        process.start().unwrap();
        end(&process);
        process.take_leave();
        process.kill().unwrap();
        process.start().unwrap();
        assert!(!process.is_up() && process.lives() == 1);
        process.begin_anew().unwrap();
        process.start().unwrap();
        end(&process);
        let words = |data: &PathBuf| fs::read_to_string(data.join("words")).unwrap();
        let words: Vec<String> = process.data().iter().map(words).collect();
        assert!(
            words.len() == 2 && words[0].contains("--node-id 7") && !words[1].contains("--node-id"),
            "{words:?}"
        );
    }
}
