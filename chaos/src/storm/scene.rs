//! What all faults of a storm work on, and the chronicle that they write.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::fleet::{Fleet, Node};
use crate::history::{Event, What};
use crate::proxy::Proxy;
use crate::seed::Seed;
use crate::workload::Doors;
use crate::workload::recorder::Signals;

/// The cluster, the clients' signals, and what was done.
pub(super) struct Scene<'a> {
    pub(super) fleet: &'a Fleet,
    pub(super) signals: Arc<Signals>,
    /// Where clients come in.
    pub(super) doors: Doors,
    /// For a node to serve after its start.
    pub(super) patience: Duration,
    chronicle: Mutex<Chronicle>,
    over: AtomicBool,
    kills: AtomicU32,
}

/// What was done, for the history and for the picture.
#[derive(Default)]
pub(super) struct Chronicle {
    pub(super) events: Vec<Event>,
    pub(super) spans: Vec<Span>,
}

/// A fault, as long as it lasted.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Span {
    /// Whose fault it is.
    pub(super) nemesis: &'static str,
    /// Nodes that it meets, from 1; none where it is all clients.
    pub(super) nodes: Vec<usize>,
    /// Ways that it meets, from one node to another.
    pub(super) links: Vec<(usize, usize)>,
    /// What it is.
    pub(super) words: String,
    /// Seconds since the start.
    pub(super) from: f64,
    /// The same; absent while it lasts.
    pub(super) to: Option<f64>,
}

/// A fault that lasts, to be ended with [`Scene::end`].
#[must_use]
pub(super) struct Open(usize);

impl<'a> Scene<'a> {
    pub(super) fn new(fleet: &'a Fleet, signals: &Arc<Signals>, patience: Duration) -> Scene<'a> {
        let doors = fleet.members().into_iter().map(|node| fleet.nodes()[node].mqtt()).collect();
        Scene {
            fleet,
            signals: Arc::clone(signals),
            doors: Doors::new(doors),
            patience,
            chronicle: Mutex::default(),
            over: AtomicBool::new(false),
            kills: AtomicU32::new(0),
        }
    }

    fn chronicle(&self) -> MutexGuard<'_, Chronicle> {
        self.chronicle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since the start of the storm.
    pub(super) fn now(&self) -> Duration {
        self.signals.start.elapsed()
    }

    pub(super) fn note(&self, what: What) {
        let mut chronicle = self.chronicle();
        let at = self.now();
        chronicle.events.push(Event { at, what });
    }

    /// A fault begins that meets these nodes and ways, counted from 0.
    pub(super) fn begin(
        &self,
        nemesis: &'static str,
        (nodes, links): (&[usize], &[(usize, usize)]),
        words: String,
    ) -> Open {
        self.note(What::Struck(words.clone()));
        let from = self.now().as_secs_f64();
        let nodes = nodes.iter().map(|node| node + 1).collect();
        let links = links.iter().map(|(from, to)| (from + 1, to + 1)).collect();
        let spans = &mut self.chronicle().spans;
        spans.push(Span { nemesis, nodes, links, words, from, to: None });
        Open(spans.len() - 1)
    }

    /// It is over.
    pub(super) fn end(&self, open: Open) {
        let to = self.now().as_secs_f64();
        let mut chronicle = self.chronicle();
        let span = &mut chronicle.spans[open.0];
        span.to = Some(to);
        let words = format!("over: {}", span.words);
        drop(chronicle);
        self.note(What::Struck(words));
    }

    /// Everything that was written, for good.
    pub(super) fn close(self) -> Chronicle {
        self.chronicle.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that goes on is to end.
    pub(super) fn call_off(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_called_off(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Waits, but no longer than the storm lasts.
    pub(super) fn hold(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.is_called_off() {
            thread::sleep((until - Instant::now()).min(Duration::from_millis(10)));
        }
    }

    pub(super) fn node(&self, index: usize) -> &Node {
        &self.fleet.nodes()[index]
    }

    /// A node by chance.
    pub(super) fn any(&self, seed: &mut Seed) -> usize {
        let members = self.fleet.members();
        members[seed.below(members.len() as u64) as usize]
    }

    /// All nodes but these.
    pub(super) fn others(&self, nodes: &[usize]) -> Vec<usize> {
        let members = self.fleet.members().into_iter();
        members.filter(|node| !nodes.contains(node)).collect()
    }

    /// All nodes but these, and the places of those that may join meanwhile.
    pub(super) fn everybody_else(&self, nodes: &[usize]) -> Vec<usize> {
        (0..self.fleet.nodes().len()).filter(|node| !nodes.contains(node)).collect()
    }

    /// SIGKILL, or what stands for it.
    pub(super) fn kill(&self, index: usize) -> io::Result<()> {
        let count = self.kills.fetch_add(1, Ordering::SeqCst) + 1;
        self.note(What::Killed(count));
        self.node(index).kill()
    }

    /// The proxy; only faults that need it ask.
    pub(super) fn proxy(&self) -> io::Result<&Proxy> {
        self.fleet.proxy().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}

/// A length between two, in milliseconds.
pub(super) fn between(seed: &mut Seed, least: u64, most: u64) -> Duration {
    Duration::from_millis(least + seed.below(most - least + 1))
}
