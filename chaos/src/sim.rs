//! A whole node on virtual time: one seed decides every byte, every fault and every turn of every thread.
//!
//! The node is the real one without its threads, sockets and disk; clients speak MQTT through `wire`. Steps of a
//! seeded scheduler move it, faults included; then everything heals, and what the clients saw goes to `check`.
//! The same seed gives the same history, byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use holdfast_node::config::Fault;

use crate::check;
use crate::history::{History, What};

mod storm;
mod several;
mod whim;
mod weather;
mod world;
mod host;
mod owner;
mod node;
mod net;
mod raft;
mod plan;
mod cast;
mod client;
mod subscriber;
mod publisher;
mod recorder;
mod rot;
mod link;
mod trace;
mod disk;
mod clock;

/// Violations of one seed that are told.
const WITNESSES_MAX: usize = 5;
/// Events of a history that are shown for a violation.
const EXCERPT_MAX: usize = 60;

/// Which simulations to run.
#[derive(Args, Clone, Debug)]
pub struct SimArgs {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Nodes of the cluster
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub nodes: u8,
    /// Steps of each storm; by default 2000 over one node, and 10000 over several
    #[arg(long)]
    pub steps: Option<u32>,
    /// How many seeds, one after another
    #[arg(long, default_value_t = 1)]
    pub seeds: u64,
    /// Write everything that happens to stderr, what the nodes say about it included
    #[arg(long)]
    pub trace: bool,
    /// Put in a fault that has to be found, in builds with debug assertions
    #[arg(long, value_parser = fault)]
    pub fault: Option<Fault>,
}

/// One simulation.
#[derive(Clone, Copy, Debug)]
pub struct Sim {
    /// Decides everything.
    pub seed: u64,
    /// Nodes of the cluster.
    pub nodes: u8,
    /// Steps of the storm.
    pub steps: u32,
    /// A fault put in on purpose.
    pub fault: Option<Fault>,
}

/// What came of a simulation.
pub struct Outcome {
    /// Counts and the digest of the history, in one line.
    pub summary: String,
    /// Broken promises and what else must not be, each with its excerpt; empty when all is well.
    pub violations: Vec<String>,
    /// Promises that were broken, by their names.
    pub broken: BTreeSet<&'static str>,
    /// What befell the nodes, and how often.
    pub befell: BTreeMap<&'static str, u64>,
    /// What happened.
    pub history: History,
}

/// What Raft promises.
const OF_RAFT: [&str; 4] = ["election_safety", "leader_completeness", "log_matching", "state_machine_safety"];
/// What is due only in the end, which a simulation that failed before does not reach.
const IN_THE_END: [&str; 4] = ["acked_is_delivered", "shared_loses_none", "will_once", "retained_converges"];

impl Sim {
    /// Runs it.
    pub fn run(self) -> Outcome {
        let mut world = world::World::new(self.seed, usize::from(self.nodes), self.fault);
        type Part = fn(&mut world::World);
        let (gather, rage, drain): (Part, fn(&mut world::World, u32), Part) = match self.nodes {
            1 => (storm::gather, storm::rage, storm::drain),
            _ => (several::gather, several::rage, several::drain),
        };
        gather(&mut world);
        rage(&mut world, self.steps);
        // Where Raft is broken there may never be rest.
        let of_raft = |found: &check::Violation| OF_RAFT.contains(&found.promise);
        let broken = check::all(&world.recorder.history).iter().any(of_raft);
        let cut_short = broken || !world.failures.is_empty();
        if !cut_short {
            drain(&mut world);
        } else if self.nodes > 1 {
            world.read_disks();
        }
        let mut befell = std::mem::take(&mut world.counts.befell);
        if let Some(fate) = world.ether.as_ref().map(|ether| ether.fate()) {
            let frames = [
                ("frames sent", fate.sent),
                ("frames over slow links", fate.late),
                ("frames lost", fate.lost),
                ("frames that came twice", fate.twice),
                ("frames out of order", fate.astray),
            ];
            befell.extend(frames);
        }
        let history = world.recorder.history;
        // A message that is refused, and said again because its refusal was lost, comes after what was sent behind
        // it: there is no order to promise while the disk has no room. Where there are several, the history says when.
        let reordered = ["order_per_publisher", "retained_converges", "retained_never_goes_back"];
        let cut_short = cut_short || !world.failures.is_empty();
        let excused = |promise: &str| {
            self.nodes == 1 && world.may_be_full && reordered.contains(&promise)
                || cut_short && IN_THE_END.contains(&promise)
        };
        let mut violations = world.failures;
        let found: Vec<_> =
            check::all(&history).into_iter().filter(|found| !excused(found.promise)).collect();
        let broken = found.iter().map(|found| found.promise).collect();
        violations.extend(found.iter().take(WITNESSES_MAX).map(|violation| {
            let excerpt = check::excerpt(&history, &violation.witness, EXCERPT_MAX);
            format!("{violation}\n    {}", excerpt.join("\n    "))
        }));
        let count =
            |wanted: fn(&What) -> bool| history.events.iter().filter(|event| wanted(&event.what)).count();
        let counts = world.counts;
        let summary = format!(
            "seed {} nodes {} steps {}: {} sent, {} acknowledged, {} delivered, {} connections, {} takeovers, {} crashes \
             ({} while starting), {} stops, {} clock jumps, {} entries read, {} events, digest {:016x}",
            self.seed,
            self.nodes,
            self.steps,
            count(|what| matches!(what, What::Sent(_))),
            count(|what| matches!(what, What::Acked(_))),
            count(|what| matches!(what, What::Delivered { .. })),
            count(|what| matches!(what, What::Opened { .. })),
            counts.takeovers,
            counts.crashes,
            counts.failed_starts,
            counts.stops,
            counts.jumps,
            counts.entries,
            history.events.len(),
            digest(&history),
        );
        Outcome { summary, violations, broken, befell, history }
    }
}

impl SimArgs {
    /// Runs the simulations until one breaks a promise; `false` then. What is written depends on the seed alone.
    ///
    /// # Errors
    /// When `out` takes no more.
    pub fn run(&self, out: &mut dyn Write) -> io::Result<bool> {
        let current = Arc::new(AtomicU64::new(self.seed));
        let nodes = self.nodes;
        let steps = self.steps.unwrap_or_else(|| steps(nodes));
        let at = Arc::clone(&current);
        let fault = self.fault;
        if fault.is_some() && !cfg!(debug_assertions) {
            return Err(io::Error::other("this build has no faults: they need debug assertions"));
        }
        let mut befell: BTreeMap<&'static str, u64> = BTreeMap::new();
        if self.trace {
            trace::begin();
        }
        let usual = std::panic::take_hook();
        // The process may end in a panic of the node: say first how to come back here.
        std::panic::set_hook(Box::new(move |panic| {
            let seed = at.load(Ordering::Relaxed);
            let _ = writeln!(io::stderr(), "{}", again(seed, nodes, steps));
            usual(panic);
        }));
        for seed in self.seed..self.seed.saturating_add(self.seeds) {
            current.store(seed, Ordering::Relaxed);
            let outcome = Sim { seed, nodes, steps, fault }.run();
            writeln!(out, "{}", outcome.summary)?;
            outcome.befell.iter().for_each(|(what, times)| *befell.entry(what).or_default() += times);
            if !outcome.violations.is_empty() {
                let fault = fault.map_or(String::new(), |fault| format!(" --fault {}", fault.name()));
                writeln!(out, "{}{fault}", again(seed, nodes, steps))?;
                for violation in &outcome.violations {
                    writeln!(out, "{violation}")?;
                }
                tell(&befell)?;
                return Ok(false);
            }
        }
        tell(&befell)?;
        Ok(true)
    }
}

/// What befell the nodes of all simulations, on stderr.
fn tell(befell: &BTreeMap<&'static str, u64>) -> io::Result<()> {
    befell.iter().try_for_each(|(what, times)| writeln!(io::stderr(), "{times:>12} {what}"))
}

fn fault(name: &str) -> Result<Fault, String> {
    let names = Fault::ALL.map(|(name, _)| name).join(", ");
    Fault::named(name).ok_or_else(|| format!("no fault is called that; there are {names}"))
}

/// Steps of a storm where nobody says how many.
pub fn steps(nodes: u8) -> u32 {
    if nodes == 1 { 2_000 } else { 10_000 }
}

/// How to come back to a simulation.
pub fn again(seed: u64, nodes: u8, steps: u32) -> String {
    format!("again with: holdfast-chaos sim --seed {seed} --nodes {nodes} --steps {steps}")
}

/// FNV-1a over everything that happened.
fn digest(history: &History) -> u64 {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    let mut line = String::new();
    for event in &history.events {
        line.clear();
        let _ = write!(line, "{} {:?}", event.at.as_nanos(), event.what);
        for byte in line.bytes() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    digest
}
