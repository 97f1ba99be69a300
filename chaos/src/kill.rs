//! The storm: a broker is killed again and again while clients work, then its promises are checked.
//!
//! Publishers and subscribers with durable sessions run all the time and reconnect by themselves. The broker
//! is sent SIGKILL at random moments, also within milliseconds of its start, and is started again on the
//! same directory and port. At the end the clients drain and `check` reads what they saw.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::broker::{Place, Recipe};
use crate::history::{History, What};
use crate::verdict::{self, Kept};

mod storm;

/// What a storm is made of.
#[derive(Clone, Debug)]
pub struct Storm {
    /// The broker.
    pub recipe: Recipe,
    /// How often it is killed; 0 lets it live for one round, while clients still come and go.
    pub rounds: u32,
    /// Decides when to kill and when clients go away.
    pub seed: u64,
    /// The longest life of a broker between two kills (and the whole storm where there are none).
    pub round: Duration,
    /// Messages that each publisher sends in a second, at most.
    pub rate: u32,
    /// Where the broker's directory is made; the system's temporary directory when absent.
    pub directory: Option<PathBuf>,
    /// The first broker starts with an empty directory and is to serve within this time; later ones too.
    pub patience: Duration,
}

/// What a storm brought to light.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The seed of the storm.
    pub seed: u64,
    /// Kills.
    pub kills: u32,
    /// Kills that came before the broker served.
    pub kills_while_starting: u32,
    /// Length of the storm with its drain, in seconds.
    pub seconds: f64,
    /// Longest time from a start to the first CONNACK, in seconds.
    pub slowest_start_seconds: f64,
    /// Connections of durable clients.
    pub connections: u64,
    /// Messages sent.
    pub sent: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// The promises, and how each was kept.
    pub promises: Vec<Kept>,
    /// What else went wrong: a broker that did not come back, clients that did not drain.
    pub failures: Vec<String>,
    /// Where the broker's directory and the history are, when something was wrong.
    pub evidence: Option<PathBuf>,
}

impl Storm {
    /// Runs the storm and checks what happened. An error is one of this machine, not of the broker.
    pub fn run(&self) -> io::Result<Verdict> {
        let start = Instant::now();
        let place = Place::new(self.directory.as_deref())?;
        let (history, weather) = storm::rage(self, &place)?;
        let mut verdict = judge(&history);
        verdict.seed = self.seed;
        verdict.kills_while_starting = weather.kills_while_starting;
        verdict.slowest_start_seconds = weather.slowest_start.as_secs_f64();
        verdict.failures = weather.failures;
        verdict.seconds = start.elapsed().as_secs_f64();
        if !verdict.passed() {
            verdict.evidence = Some(self.keep(place, &history)?);
        }
        Ok(verdict)
    }

    /// Keeps the broker's directory, and writes what happened beside it, one event a line.
    fn keep(&self, place: Place, history: &History) -> io::Result<PathBuf> {
        let directory = place.keep();
        let mut out = io::BufWriter::new(File::create(directory.join("history.txt"))?);
        for event in &history.events {
            writeln!(out, "{:.6} {:?}", event.at.as_secs_f64(), event.what)?;
        }
        out.flush()?;
        Ok(directory)
    }
}

impl Verdict {
    /// Whether every promise was kept and nothing failed.
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.promises.iter().all(|promise| promise.violations == 0)
    }

    /// The verdict for a person.
    pub fn summary(&self) -> String {
        let mut text = format!(
            "{} kills ({} of them before the broker served) in {:.1} s, seed {}, slowest start {:.2} s\n\
             {} connections, {} messages sent, {} acknowledged, {} deliveries\n",
            self.kills,
            self.kills_while_starting,
            self.seconds,
            self.seed,
            self.slowest_start_seconds,
            self.connections,
            self.sent,
            self.acked,
            self.delivered
        );
        text += &verdict::lines(&self.promises);
        for failure in &self.failures {
            text += &format!("  FAILED: {failure}\n");
        }
        if let Some(evidence) = &self.evidence {
            text += &format!("  data, broker.log and history.txt are in {}\n", evidence.display());
        }
        text += if self.passed() { "every promise was kept\n" } else { "promises were broken\n" };
        text
    }
}

fn judge(history: &History) -> Verdict {
    let count = |wanted: fn(&What) -> bool| history.events.iter().filter(|e| wanted(&e.what)).count() as u64;
    Verdict {
        seed: 0,
        kills: count(|what| matches!(what, What::Killed(_))) as u32,
        kills_while_starting: 0,
        seconds: 0.0,
        slowest_start_seconds: 0.0,
        connections: count(|what| matches!(what, What::Connected { .. })),
        sent: count(|what| matches!(what, What::Sent(_))),
        acked: count(|what| matches!(what, What::Acked(_))),
        delivered: count(|what| matches!(what, What::Delivered { .. })),
        promises: verdict::judge(history),
        failures: Vec::new(),
        evidence: None,
    }
}
