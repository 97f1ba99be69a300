//! A whole node on virtual time: one seed decides every byte, every fault and every turn of every thread.
//!
//! The node is the real one without its threads, sockets and disk; clients speak MQTT through `wire`. Steps of a
//! seeded scheduler move it, faults included; then everything heals, and what the clients saw goes to `check`.
//! The same seed gives the same history, byte for byte.

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
    /// Put in the fault that acknowledges before it syncs, which has to be found
    #[arg(long)]
    pub ack_before_sync: bool,
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
    /// What happened.
    pub history: History,
}

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
        if world.failures.is_empty() {
            drain(&mut world);
        }
        let history = world.recorder.history;
        // A message that is refused, and said again because its refusal was lost, comes after what was sent behind
        // it: there is no order to promise while the disk has no room.
        let reordered = ["order_per_publisher", "retained_converges", "retained_never_goes_back"];
        let excused = |promise: &str| world.may_be_full && reordered.contains(&promise);
        let mut violations = world.failures;
        if violations.is_empty() {
            let found = check::all(&history).into_iter().filter(|found| !excused(found.promise));
            let found = found.take(WITNESSES_MAX);
            let excerpt = |witness: &str| check::excerpt(&history, witness, EXCERPT_MAX);
            violations.extend(
                found.map(|violation| {
                    format!("{violation}\n    {}", excerpt(&violation.witness).join("\n    "))
                }),
            );
        }
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
        Outcome { summary, violations, history }
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
        let fault = self.ack_before_sync.then_some(Fault::AckBeforeSync);
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
            if !outcome.violations.is_empty() {
                let fault = if self.ack_before_sync { " --ack-before-sync" } else { "" };
                writeln!(out, "{}{fault}", again(seed, nodes, steps))?;
                for violation in &outcome.violations {
                    writeln!(out, "{violation}")?;
                }
                return Ok(false);
            }
        }
        Ok(true)
    }
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
