//! A storm over a cluster: real processes or somebody's own nodes, faults by seed, clients that work all the time, and
//! a verdict at the end.

mod run;
mod autopsy;
mod watch;
mod schedule;
mod nemesis;
mod scene;
mod args;

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

pub use args::StormArgs;

use self::nemesis::Nemesis;
use crate::check;
use crate::fleet::Fleet;
use crate::report::Report;

/// What a storm is made of.
pub struct Storm {
    /// The cluster, not yet started where its processes are our own.
    pub fleet: Fleet,
    /// Decides everything that can be decided.
    pub seed: u64,
    /// How long faults go on.
    pub duration: Duration,
    /// Messages that each publisher sends in a second, at most.
    pub rate: u32,
    /// For the cluster to serve everybody again after the faults of a round have healed.
    pub patience: Duration,
    /// Faults to be tried.
    nemeses: Vec<Nemesis>,
    /// Faults that were asked for and cannot be tried, and why.
    not_tried: Vec<(String, String)>,
    /// Whether a fault that cannot be tried is a failure.
    strict: bool,
    /// The words that start this storm again.
    command: String,
}

impl Storm {
    /// A storm with these faults; with all that can be tried where no name is given. An unknown name is an error.
    pub fn new(fleet: Fleet, seed: u64, names: &[String]) -> io::Result<Storm> {
        let wanted = match names {
            [] => nemesis::ALL.to_vec(),
            names => names.iter().map(|name| known(name)).collect::<io::Result<Vec<_>>>()?,
        };
        let mut nemeses = Vec::new();
        let mut not_tried = Vec::new();
        for nemesis in wanted {
            match (nemesis.lacks)(&fleet) {
                None => nemeses.push(nemesis),
                Some(why) => not_tried.push((nemesis.name.to_owned(), why)),
            }
        }
        Ok(Storm {
            fleet,
            seed,
            duration: Duration::from_secs(60),
            rate: 50,
            patience: Duration::from_secs(30),
            nemeses,
            not_tried,
            strict: !names.is_empty(),
            command: String::new(),
        })
    }

    /// Lets it rage, and says what it does as it goes. An error is one of this machine, not of the cluster.
    pub fn run(mut self, progress: &mut dyn Write) -> io::Result<Outcome> {
        let (report, history) = run::run(&self, progress)?;
        let evidence = if report.passed() { None } else { self.fleet.keep() };
        if let Some(evidence) = &evidence {
            let mut out = io::BufWriter::new(File::create(evidence.join("history.txt"))?);
            check::lines(&history).try_for_each(|line| writeln!(out, "{line}"))?;
            out.flush()?;
        }
        Ok(Outcome { report, evidence })
    }
}

/// What came of a storm.
pub struct Outcome {
    report: Report,
    /// Where data and logs of the nodes are, when something was wrong.
    pub evidence: Option<PathBuf>,
}

impl Outcome {
    /// Whether every promise was kept and nothing failed.
    pub fn passed(&self) -> bool {
        self.report.passed()
    }

    /// The verdict for a person at a terminal.
    pub fn summary(&self) -> String {
        let mut text = self.report.summary();
        if let Some(evidence) = &self.evidence {
            text += &format!("  data and logs of the nodes and history.txt are in {}\n", evidence.display());
        }
        text
    }

    /// How often this promise was broken.
    pub fn violations(&self, promise: &str) -> usize {
        self.report.violations(promise)
    }

    /// The verdict for a program.
    pub fn json(&self) -> io::Result<String> {
        self.report.json()
    }

    /// The verdict for a person with a browser: one page that needs nothing else.
    pub fn page(&self) -> io::Result<String> {
        self.report.page()
    }
}

fn known(name: &str) -> io::Result<Nemesis> {
    nemesis::named(name).ok_or_else(|| {
        let line = |nemesis: &Nemesis| format!("\n  {:<16} {}", nemesis.name, nemesis.does);
        let lines: String = nemesis::ALL.iter().map(line).collect();
        io::Error::other(format!("no fault is called `{name}`; there are{lines}"))
    })
}
