//! The command line of a storm.

use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::{Outcome, Storm};
use crate::fleet::{Fleet, Hooks, Plan};
use crate::seed::Seed;

/// Settings of the nodes in a storm: logs that are cut soon, so that who was away long needs more than entries.
const SETTINGS: [(&str, &str); 2] = [("HOLDFAST_RETENTION_AGE", "1m"), ("HOLDFAST_RETENTION_BYTES", "1MiB")];

/// A storm over a cluster.
#[derive(Args, Debug)]
pub struct StormArgs {
    /// Path of the holdfast binary, of which nodes are started on this machine
    #[arg(long, required_unless_present = "targets", conflicts_with = "targets")]
    holdfast: Option<PathBuf>,
    /// Nodes to start: 1, 3 or 5
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=7))]
    nodes: u16,
    /// MQTT addresses of the nodes of a cluster that is running already
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    targets: Vec<String>,
    /// HTTP addresses of the same nodes, in the same order
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',', requires = "targets")]
    http: Vec<String>,
    /// Command that kills a node, in which {node} is its number in --targets, from 1
    #[arg(long, value_name = "CMD", requires = "targets")]
    hook_kill: Option<String>,
    /// Command that starts it again
    #[arg(long, value_name = "CMD", requires = "targets")]
    hook_start: Option<String>,
    /// Command that stops it as one should, and returns when it has ended
    #[arg(long, value_name = "CMD", requires = "targets")]
    hook_stop: Option<String>,
    /// Command that freezes it
    #[arg(long, value_name = "CMD", requires = "targets")]
    hook_pause: Option<String>,
    /// Command that thaws it
    #[arg(long, value_name = "CMD", requires = "targets")]
    hook_resume: Option<String>,
    /// How long faults go on: a number and s, m or h
    #[arg(long, default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// Decides what strikes when, and what the clients do
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Faults, or `all` that can be tried; see the README
    #[arg(long, default_value = "all", value_name = "NAMES", value_delimiter = ',')]
    nemesis: Vec<String>,
    /// Messages that each publisher sends in a second, at most
    #[arg(long, default_value_t = 50)]
    rate: u32,
    /// Longest time from the end of a fault until everybody is served again
    #[arg(long, default_value = "30s", value_parser = duration)]
    patience: Duration,
    /// Where the nodes' directories are made (removed at the end, if all was well)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where the report goes; a file of the same name with `.json` lies beside it
    #[arg(long, value_name = "FILE", default_value = "storm.html")]
    report: PathBuf,
}

impl StormArgs {
    /// Runs it, writes the reports, and says whether all was well. Progress goes to `progress`, the verdict to `out`.
    ///
    /// # Errors
    /// When this machine cannot run it.
    pub fn run(&self, progress: &mut dyn Write, out: &mut dyn Write) -> io::Result<bool> {
        let outcome = self.storm()?.run(progress)?;
        self.write(&outcome)?;
        write!(out, "{}", outcome.summary())?;
        writeln!(out, "the report is in {}", self.report.display())?;
        Ok(outcome.passed())
    }

    fn storm(&self) -> io::Result<Storm> {
        let names: &[String] =
            if self.nemesis.iter().any(|name| name == "all") { &[] } else { &self.nemesis };
        let mut storm = Storm::new(self.fleet()?, self.seed, names)?;
        (storm.duration, storm.rate, storm.patience) = (self.duration, self.rate, self.patience);
        storm.command = self.words();
        Ok(storm)
    }

    fn fleet(&self) -> io::Result<Fleet> {
        let Some(binary) = &self.holdfast else {
            if !self.http.is_empty() && self.http.len() != self.targets.len() {
                return Err(io::Error::other("--http names as many nodes as --targets, in the same order"));
            }
            let hooks = Hooks {
                kill: self.hook_kill.clone(),
                start: self.hook_start.clone(),
                stop: self.hook_stop.clone(),
                pause: self.hook_pause.clone(),
                resume: self.hook_resume.clone(),
            };
            return Fleet::foreign(&addresses(&self.targets)?, &addresses(&self.http)?, &hooks);
        };
        let plan = Plan {
            binary: absolute(binary)?,
            nodes: usize::from(self.nodes),
            spares: usize::from(self.nodes > 1),
            directory: self.dir.clone(),
            environment: SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            proxied: true,
        };
        Fleet::own(&plan, &mut Seed::new(!self.seed))
    }

    /// What decides how it goes.
    fn words(&self) -> String {
        let whom = match &self.holdfast {
            Some(binary) => format!("--holdfast {} --nodes {}", binary.display(), self.nodes),
            None => self.foreigners(),
        };
        format!(
            "holdfast-chaos storm {whom} --duration {}s --seed {} --nemesis {} --rate {} --patience {}s",
            self.duration.as_secs(),
            self.seed,
            self.nemesis.join(","),
            self.rate,
            self.patience.as_secs()
        )
    }

    /// Somebody's own cluster, in the words of a shell.
    fn foreigners(&self) -> String {
        let mut words = format!("--targets {}", self.targets.join(","));
        if !self.http.is_empty() {
            words += &format!(" --http {}", self.http.join(","));
        }
        let hooks = [
            ("kill", &self.hook_kill),
            ("start", &self.hook_start),
            ("stop", &self.hook_stop),
            ("pause", &self.hook_pause),
            ("resume", &self.hook_resume),
        ];
        for (name, hook) in hooks {
            if let Some(hook) = hook {
                words += &format!(" --hook-{name} '{}'", hook.replace('\'', r"'\''"));
            }
        }
        words
    }

    fn write(&self, outcome: &Outcome) -> io::Result<()> {
        fs::write(&self.report, outcome.page()?)?;
        fs::write(self.report.with_extension("json"), outcome.json()?)
    }
}

/// A binary in the working directory has no slash, and would be looked for in PATH.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn addresses(names: &[String]) -> io::Result<Vec<SocketAddr>> {
    let resolve = |name: &String| {
        let found = name.to_socket_addrs().map(|mut found| found.next());
        let found = found.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
        found.ok_or_else(|| io::Error::other(format!("{name} has no address")))
    };
    names.iter().map(resolve).collect()
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| "a number and s, m or h".to_owned())?;
    let seconds = match unit {
        "" | "s" => number,
        "m" => number * 60,
        "h" => number * 3600,
        _ => return Err("a number and s, m or h".to_owned()),
    };
    Ok(Duration::from_secs(seconds))
}
