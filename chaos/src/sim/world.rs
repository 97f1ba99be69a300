//! The world of one simulation: a node, its disk, clients, and the connections between them.

use std::sync::Arc;

use super::cast;
use super::client::{Client, Role};
use super::clock::SimClock;
use super::disk::SimDisk;
use super::link::Link;
use super::node::{Links, Node};
use super::plan::Build;
use super::recorder::Recorder;
use crate::history::What;
use crate::seed::Seed;
use holdfast_node::config::Fault;
use holdfast_node::log::Offset;

/// Bytes of entries read at once to see that they are what they were.
const ENTRY_BYTES: u64 = 1 << 20;

/// What a simulation counted that is not in its history.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) crashes: u32,
    pub(super) failed_starts: u32,
    pub(super) stops: u32,
    pub(super) takeovers: u32,
    pub(super) jumps: u32,
    pub(super) entries: u64,
}

pub(super) struct World {
    pub(super) seed: Seed,
    pub(super) clock: Arc<SimClock>,
    pub(super) disk: Arc<SimDisk>,
    build: Build,
    pub(super) node: Option<Node>,
    pub(super) links: Links,
    next_link: u64,
    pub(super) clients: Vec<Client>,
    pub(super) recorder: Recorder,
    pub(super) counts: Counts,
    /// The disk may have no room.
    pub(super) may_be_full: bool,
    /// When the node comes back, microseconds.
    pub(super) start_at: u64,
    /// Offsets up to which the log has been read, by partition.
    read_up_to: Vec<u64>,
    /// What must never happen and is in no history.
    pub(super) failures: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64, fault: Option<Fault>) -> World {
        let mut seed = Seed::new(seed);
        let build = Build::draw(&mut seed, fault);
        let clock = Arc::new(SimClock::new());
        let history = cast::facts();
        let may_be_full = seed.below(2) == 0;
        let clients = cast::clients(&history, may_be_full, &mut seed);
        World {
            disk: Arc::new(SimDisk::new(Arc::clone(&clock))),
            recorder: Recorder::new(Arc::clone(&clock), history),
            node: None,
            links: Links::new(),
            next_link: 1,
            clients,
            counts: Counts::default(),
            start_at: 0,
            read_up_to: vec![0; usize::from(build.identity.partitions)],
            failures: Vec::new(),
            may_be_full,
            seed,
            clock,
            build,
        }
    }

    /// The node starts, if it is down and may.
    pub(super) fn start(&mut self) {
        if self.node.is_some() || self.clock.micros() < self.start_at {
            return;
        }
        match Node::open(&self.build, &self.disk, &self.clock, self.seed.bits()) {
            Ok(node) => {
                self.node = Some(node);
                self.read_up_to.fill(0);
                self.read_log();
            }
            Err(error) => {
                self.counts.failed_starts += 1;
                self.ended(&error);
            }
        }
    }

    /// The node has ended by itself, which it may only when its disk has failed.
    pub(super) fn ended(&mut self, error: &str) {
        if !self.disk.may_fail() {
            self.failures.push(format!("the node ended by itself: {error}"));
        }
        self.crash();
    }

    /// Power goes, or the process is killed: what was not synced is lost, wholly or in part.
    pub(super) fn crash(&mut self) {
        self.counts.crashes += 1;
        self.recorder.record(What::Killed(self.counts.crashes));
        let kept = if self.seed.below(3) == 0 { usize::MAX } else { self.seed.below(6) as usize };
        self.disk.power_cut(kept);
        self.node = None;
        self.drop_links();
        self.start_at = self.clock.micros() + self.seed.below(100_000);
    }

    /// The node stops as it is asked to, and starts again later.
    pub(super) fn stop(&mut self) {
        let Some(node) = self.node.take() else { return };
        self.counts.stops += 1;
        self.recorder.record(What::Weather("the node is asked to stop"));
        let stopped = node.stop(&mut self.links);
        self.drop_links();
        match stopped {
            Ok(()) => self.disk.power_cut(0),
            Err(error) => self.ended(&error),
        }
        self.start_at = self.clock.micros() + self.seed.below(100_000);
    }

    /// The node's ends of all connections are gone; what it wrote may still arrive, in part.
    fn drop_links(&mut self) {
        for (number, link) in &mut self.links {
            if std::mem::take(&mut link.open) {
                let (client, connection) = (link.client_id.clone(), *number);
                self.recorder.record(What::Closed { client, connection });
            }
            (link.key, link.accepted) = (None, true);
            let kept = self.seed.below(link.down.len() as u64 + 1) as usize;
            link.down.truncate(kept);
            link.up.clear();
        }
    }

    /// A client opens a connection; `false` where it cannot.
    pub(super) fn connect(&mut self, client: usize) -> bool {
        let Some(node) = &self.node else { return false };
        if self.clients[client].link.is_some() || self.clients[client].retired {
            return false;
        }
        let number = self.next_link;
        self.next_link += 1;
        let worker = self.seed.below(node.workers() as u64) as usize;
        let mut link = Link::new(client, &self.clients[client].name, worker);
        link.up = self.clients[client].connect(number, &mut self.recorder);
        self.links.insert(number, link);
        true
    }

    /// A client goes: `ended` says whether the worker ever hears of it, `arrives` how much of what was sent does.
    pub(super) fn cut(&mut self, client: usize, ended: bool, arrives: bool) {
        let Some(number) = self.clients[client].link else { return };
        self.clients[client].disconnected(&mut self.recorder);
        let Some(link) = self.links.get_mut(&number) else { return };
        (link.abandoned, link.ended) = (true, ended);
        if !arrives {
            let kept = self.seed.below(link.up.len() as u64 + 1) as usize;
            link.up.truncate(kept);
        }
    }

    /// The worker takes a connection in, or reads from it.
    pub(super) fn serve(&mut self, number: u64, bytes: usize) {
        let Some(node) = &mut self.node else { return };
        if self.links.get(&number).is_some_and(|link| !link.accepted) {
            node.accept(number, &mut self.links);
        }
        node.read(number, bytes, &mut self.links);
        self.look();
    }

    /// A piece of a worker's work; `false` where there was none.
    pub(super) fn worker(&mut self, worker: usize, choice: u64) -> bool {
        let Some(node) = &mut self.node else { return false };
        let worked = node.worker_turn(worker % node.workers(), choice, &mut self.links);
        self.look();
        worked
    }

    /// A turn of the hub; `false` where there was nothing to do.
    pub(super) fn hub(&mut self) -> bool {
        let turned = self.node.as_mut().map(Node::hub_turn);
        self.turned(turned)
    }

    /// A turn of the log reader; `false` where there was nothing to do.
    pub(super) fn catchup(&mut self) -> bool {
        let turned = self.node.as_mut().map(Node::catchup_turn);
        self.turned(turned)
    }

    fn turned(&mut self, turned: Option<Result<bool, String>>) -> bool {
        match turned {
            None => false,
            Some(Ok(worked)) => worked,
            Some(Err(error)) => {
                self.ended(&error);
                true
            }
        }
    }

    fn look(&mut self) {
        let Some(node) = &mut self.node else { return };
        for (connection, open) in node.look(&mut self.links) {
            let client = self.links[&connection].client_id.clone();
            self.recorder.record(match open {
                true => What::Opened { client, connection },
                false => What::Closed { client, connection },
            });
        }
    }

    /// A client reads up to `bytes` of what has arrived for it, and answers.
    pub(super) fn receive(&mut self, number: u64, bytes: usize) {
        let Some(link) = self.links.get_mut(&number) else { return };
        if link.abandoned {
            if link.over() || link.accepted && link.key.is_none() {
                self.links.remove(&number);
            }
            return;
        }
        let client = &mut self.clients[link.client];
        let read: Vec<u8> = link.down.drain(..bytes.min(link.down.len())).collect();
        let mut out = Vec::new();
        let heard = client.input(&read, &mut out, &mut self.recorder);
        client.ping(self.clock.micros(), &mut out);
        link.up.extend_from_slice(&out);
        let over = link.over();
        let at = link.client;
        match heard {
            Ok(true) if !over => {}
            Ok(_) => self.gone(at, number),
            Err(fault) => {
                self.failures.push(fault);
                self.gone(at, number);
            }
        }
    }

    fn gone(&mut self, client: usize, number: u64) {
        self.cut(client, true, true);
        let pause = self.seed.below(50_000);
        self.clients[client].back_at = self.clock.micros() + pause;
        if self.links.get(&number).is_some_and(|link| link.accepted && link.key.is_none()) {
            self.links.remove(&number);
        }
    }

    /// A publisher that is here publishes; `false` where it cannot.
    pub(super) fn publish(&mut self, client: usize) -> bool {
        let client = &mut self.clients[client];
        let Some(link) = client.link.filter(|_| client.online) else { return false };
        let Role::Publisher(publisher) = &mut client.role else { return false };
        let mut out = Vec::new();
        publisher.publish(&mut out, &mut self.recorder);
        if let Some(link) = self.links.get_mut(&link) {
            link.up.extend_from_slice(&out);
        }
        !out.is_empty()
    }

    /// Reads what is new in the log; all of it after a start.
    pub(super) fn read_log(&mut self) {
        let Some(node) = &self.node else { return };
        for partition in node.route.all_partitions() {
            let Some((first, end)) = node.reader.bounds(partition.group()) else { continue };
            let up_to = &mut self.read_up_to[partition.index()];
            *up_to = (*up_to).max(first.get());
            while *up_to < end.get() {
                let entries = match node.reader.read(partition.group(), Offset::new(*up_to), ENTRY_BYTES) {
                    Ok(entries) => entries,
                    Err(error) => {
                        self.failures.push(format!("{partition} at {up_to}: {error}"));
                        return;
                    }
                };
                let Some(last) = entries.last() else { break };
                *up_to = last.end().get();
                for entry in &entries {
                    self.counts.entries += 1;
                    let (partition, offset) = (partition.get(), entry.base.get());
                    let sum = crc32fast::hash(&entry.payload);
                    self.recorder.record(What::Entry { partition, offset, sum });
                }
            }
        }
    }

    /// Everybody does everything there is to do once, nothing goes wrong, and time goes on.
    pub(super) fn pump(&mut self, micros: u64) {
        self.start();
        for client in 0..self.clients.len() {
            if self.clock.micros() >= self.clients[client].back_at {
                self.connect(client);
            }
        }
        let numbers: Vec<u64> = self.links.keys().copied().collect();
        numbers.iter().for_each(|number| self.serve(*number, usize::MAX));
        self.settle_workers(true);
        self.hub();
        self.catchup();
        self.settle_workers(false);
        numbers.iter().for_each(|number| self.receive(*number, usize::MAX));
        self.clock.advance(micros);
    }

    fn settle_workers(&mut self, tick: bool) {
        for worker in 0..self.node.as_ref().map_or(0, Node::workers) {
            self.worker(worker, if tick { 0 } else { 1 });
            self.worker(worker, 1);
            for _ in 0..200 {
                self.worker(worker, 1);
                if self.node.as_mut().is_none_or(|node| node.worker_idle(worker)) {
                    break;
                }
            }
        }
    }
}
