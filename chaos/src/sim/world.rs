//! The world of one simulation: nodes and their disks, clients, and the connections between them.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::cast;
use super::client::{Client, Role};
use super::clock::Time;
use super::host::Host;
use super::link::Link;
use super::net::{Ether, Manners};
use super::node::{Links, Node};
use super::owner::{Owner, Owners};
use super::plan::Build;
use super::raft::{self, Known};
use super::recorder::{Recorder, Stand};
use super::rot::Rot;
use super::trace;
use super::whim::Whims;
use crate::history::What;
use crate::seed::Seed;
use holdfast_node::config::Fault;

/// What a simulation counted that is not in its history.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) crashes: u32,
    pub(super) failed_starts: u32,
    pub(super) stops: u32,
    pub(super) takeovers: u32,
    pub(super) jumps: u32,
    pub(super) cuts: u32,
    pub(super) entries: u64,
    /// What befell the cluster, and how often.
    pub(super) befell: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// It has happened once more.
    pub(super) fn note(&mut self, what: &'static str) {
        *self.befell.entry(what).or_default() += 1;
    }
}

pub(super) struct World {
    pub(super) seed: Seed,
    pub(super) time: Arc<Time>,
    pub(super) hosts: Vec<Host>,
    /// The net between the nodes, where there are several.
    pub(super) ether: Option<Arc<Ether>>,
    pub(super) links: Links,
    next_link: u64,
    pub(super) clients: Vec<Client>,
    pub(super) recorder: Recorder,
    pub(super) counts: Counts,
    pub(super) owners: Owners,
    /// The disk may have no room.
    pub(super) may_be_full: bool,
    /// The node whose wall clock may be wrong.
    pub(super) skewed: usize,
    /// Who is cut off until when: bits of nodes.
    pub(super) isolated: Vec<(u64, u64)>,
    /// Cuts to come: from, until, bits of nodes.
    pub(super) splits: Vec<(u64, u64, u64)>,
    known: Known,
    pub(super) rot: Rot,
    pub(super) whims: Whims,
    /// What must never happen and is in no history.
    pub(super) failures: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64, nodes: usize, fault: Option<Fault>) -> World {
        let rot = Rot::draw(seed, nodes);
        let whims = Whims::draw(seed, nodes);
        let mut seed = Seed::new(seed);
        let build = Build::draw(&mut seed, fault);
        let time = Arc::new(Time::default());
        let mut history = cast::facts(nodes);
        let may_be_full = seed.below(2) == 0;
        let mut clients = cast::clients(&history, may_be_full, &mut seed);
        if whims.hasty() {
            cast::hasten(&mut clients);
        }
        history.nodes = nodes as u16;
        history.clients = clients.iter().map(|client| client.name.clone()).collect();
        let (ether, hosts) = if nodes > 1 {
            let ether = Arc::new(Ether::new(nodes, Manners::draw(&mut seed), seed.branch()));
            let builds = build.of_cluster(nodes, &mut seed).into_iter().enumerate();
            let host = |(at, build)| Host::new(build, &time, Some((Arc::clone(&ether), at)));
            let hosts = builds.map(host).collect();
            (Some(ether), hosts)
        } else {
            (None, vec![Host::new(build, &time, None)])
        };
        let skewed = if nodes > 1 { seed.below(nodes as u64) as usize } else { 0 };
        World {
            recorder: Recorder::new(Arc::clone(&time), history),
            hosts,
            ether,
            links: Links::new(),
            next_link: 1,
            clients,
            counts: Counts::default(),
            owners: Owners::default(),
            failures: Vec::new(),
            may_be_full,
            skewed,
            isolated: Vec::new(),
            splits: Vec::new(),
            known: Known::default(),
            rot,
            whims,
            seed,
            time,
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.time.micros()
    }

    /// Nodes start that are down and may.
    pub(super) fn start(&mut self) {
        for host in 0..self.hosts.len() {
            if self.hosts[host].node.is_some() || self.now() < self.hosts[host].start_at {
                continue;
            }
            let seed = self.seed.bits();
            trace::turn(self.now(), Some(host));
            match self.hosts[host].open(seed) {
                Ok(()) => self.read_log(host),
                Err(error) => {
                    self.counts.failed_starts += 1;
                    self.ended(host, &error);
                }
            }
        }
    }

    /// A node has ended by itself, which it may only when its disk has failed.
    pub(super) fn ended(&mut self, host: usize, error: &str) {
        if !self.hosts[host].ground.disk.may_fail() {
            self.failures.push(format!("node {} ended by itself: {error}", host + 1));
        }
        self.crash(host);
    }

    /// Power goes, or the process is killed: what was not synced is lost, wholly or in part.
    pub(super) fn crash(&mut self, host: usize) {
        self.counts.crashes += 1;
        self.recorder.record(What::Killed(self.counts.crashes));
        let kept = if self.seed.below(3) == 0 { usize::MAX } else { self.seed.below(6) as usize };
        if self.hosts[host].ground.disk.power_cut(kept) {
            self.counts.note("a disk that loses what it had not synced");
        }
        self.hosts[host].close(false);
        self.drop_links(host);
        self.hosts[host].start_at = self.now() + self.seed.below(100_000);
    }

    /// A node that is alone stops as it is asked to, and starts again later.
    pub(super) fn stop(&mut self) {
        let Some(node) = self.hosts[0].node.take() else { return };
        self.counts.stops += 1;
        self.recorder.record(What::Weather("the node is asked to stop"));
        let stopped = node.stop(&mut self.links);
        self.drop_links(0);
        match stopped {
            Ok(()) => drop(self.hosts[0].ground.disk.power_cut(0)),
            Err(error) => self.ended(0, &error),
        }
        self.hosts[0].start_at = self.now() + self.seed.below(100_000);
    }

    /// The node's ends of all connections are gone; what it wrote may still arrive, in part.
    pub(super) fn drop_links(&mut self, host: usize) {
        for (number, link) in self.links.iter_mut().filter(|(_, link)| link.host == host) {
            if std::mem::take(&mut link.open) {
                self.owners.closed(&link.client_id, *number, &mut self.recorder);
            }
            (link.key, link.accepted) = (None, true);
            let kept = self.seed.below(link.down.len() as u64 + 1) as usize;
            link.down.truncate(kept);
            link.up.clear();
        }
    }

    /// A client opens a connection to one of the nodes; `false` where it cannot.
    pub(super) fn connect(&mut self, client: usize) -> bool {
        let shuns = self.clients[client].shuns;
        let welcomes = |host: &usize| self.hosts[*host].welcomes() && shuns != Some(*host);
        let hosts: Vec<usize> = (0..self.hosts.len()).filter(welcomes).collect();
        let host = match (&*hosts, self.clients[client].home) {
            ([], _) => return false,
            (hosts, Some(home)) if hosts.contains(&home) => home,
            (_, Some(_)) => return false,
            ([one], None) => *one,
            (hosts, None) => hosts[self.seed.below(hosts.len() as u64) as usize],
        };
        let Some(node) = &self.hosts[host].node else { return false };
        if self.clients[client].link.is_some() || self.clients[client].retired {
            return false;
        }
        let number = self.next_link;
        self.next_link += 1;
        let worker = self.seed.below(node.workers() as u64) as usize;
        let mut link = Link::new(client, &self.clients[client].name, (host, worker));
        self.recorder.stand = Stand { client: client as u16, connection: number, node: host as u16 };
        link.up = self.clients[client].connect(number, &mut self.recorder);
        self.links.insert(number, link);
        true
    }

    /// Ends, for good, the clients whose wills wait: each is due before the storm is over.
    pub(super) fn cut_patient(&mut self) {
        for client in 0..self.clients.len() {
            let patient = self.clients[client].testament.as_ref().is_some_and(|will| will.delay > 0);
            if patient && self.failures.is_empty() {
                self.clients[client].retired = true;
                self.cut(client, true, true);
            }
        }
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

    /// One client more.
    pub(super) fn enter(&mut self, client: Client) {
        self.recorder.history.clients.push(client.name.clone());
        self.clients.push(client);
    }

    /// The worker takes a connection in, or reads from it.
    pub(super) fn serve(&mut self, number: u64, bytes: usize) {
        let Some(host) = self.links.get(&number).map(|link| link.host) else { return };
        let Some(node) = &mut self.hosts[host].node else { return };
        if self.links.get(&number).is_some_and(|link| !link.accepted) {
            node.accept(number, &mut self.links);
        }
        node.read(number, bytes, &mut self.links);
        self.look(host);
    }

    /// A piece of a worker's work; `false` where there was none.
    pub(super) fn worker(&mut self, host: usize, worker: usize, choice: u64) -> bool {
        trace::turn(self.now(), Some(host));
        let Some(node) = &mut self.hosts[host].node else { return false };
        let (number, links) = (worker % node.workers(), &mut self.links);
        let worked = catch_unwind(AssertUnwindSafe(|| node.worker_turn(number, choice, links)));
        self.look(host);
        worked.unwrap_or_else(|panic| self.panicked(host, &*panic))
    }

    /// A turn of a hub; `false` where there was nothing to do.
    pub(super) fn hub(&mut self, host: usize) -> bool {
        trace::turn(self.now(), Some(host));
        let Some(node) = &mut self.hosts[host].node else { return false };
        let turned = catch_unwind(AssertUnwindSafe(|| node.hub_turn()));
        self.look_at_leaders();
        match turned {
            Ok(turned) => self.turned(host, Some(turned)),
            Err(panic) => self.panicked(host, &*panic),
        }
    }

    fn panicked(&mut self, host: usize, panic: &(dyn Any + Send)) -> bool {
        self.failures.push(format!("node {} panicked: {}", host + 1, told(panic)));
        self.crash(host);
        true
    }

    /// Writes down who has begun to lead what.
    fn look_at_leaders(&mut self) {
        let leads = self.ether.as_ref().map(|ether| ether.leads()).unwrap_or_default();
        self.whims.saw(&leads);
        if let Err(error) = self.known.look(leads, &self.hosts, &mut self.recorder) {
            self.failures.push(error.to_string());
        }
    }

    /// Writes down what lies on all disks.
    pub(super) fn read_disks(&mut self) {
        for (node, host) in (0u16..).zip(&self.hosts) {
            if let Err(error) = raft::logged(node, &*host.ground.disk, &mut self.recorder) {
                self.failures.push(error);
            }
        }
    }

    /// A turn of a log reader; `false` where there was nothing to do.
    pub(super) fn catchup(&mut self, host: usize) -> bool {
        let turned = self.hosts[host].node.as_mut().map(Node::catchup_turn);
        self.turned(host, turned)
    }

    fn turned(&mut self, host: usize, turned: Option<Result<bool, String>>) -> bool {
        match turned {
            None => false,
            Some(Ok(worked)) => worked,
            Some(Err(error)) => {
                self.ended(host, &error);
                true
            }
        }
    }

    fn look(&mut self, host: usize) {
        let Some(node) = &mut self.hosts[host].node else { return };
        for (connection, epoch) in node.look(&mut self.links) {
            let client = &self.links[&connection].client_id;
            match epoch {
                Some(epoch) => {
                    self.owners.opened(client, Owner { host, connection, epoch }, &mut self.recorder);
                }
                None => self.owners.closed(client, connection, &mut self.recorder),
            }
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
        trace::turn(self.time.micros(), None);
        let stand = Stand { client: link.client as u16, connection: number, node: link.host as u16 };
        self.recorder.stand = stand;
        let client = &mut self.clients[link.client];
        let read: Vec<u8> = link.down.drain(..bytes.min(link.down.len())).collect();
        let mut out = Vec::new();
        let heard = client.input(&read, &mut out, &mut self.recorder);
        client.ping(self.time.micros(), &mut out);
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
        self.clients[client].back_at = self.now() + pause;
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

    /// Reads what is new in a node's log; all of it after a start.
    pub(super) fn read_log(&mut self, host: usize) {
        if self.hosts.len() > 1
            && self.hosts[host].node.is_some()
            && let Err(error) = raft::derived(host as u16, &*self.hosts[host].ground.disk, &mut self.recorder)
        {
            self.failures.push(error);
        }
        match self.hosts[host].read_log() {
            Ok(sums) => {
                self.counts.entries += sums.len() as u64;
                for (partition, offset, sum) in sums {
                    self.recorder.record(What::Entry { partition, offset, sum });
                }
            }
            Err(error) => self.failures.push(error),
        }
    }

    /// Everybody of a world with one node does everything there is to do once, nothing goes wrong, and time goes on.
    pub(super) fn pump(&mut self, micros: u64) {
        self.start();
        for client in 0..self.clients.len() {
            if self.now() >= self.clients[client].back_at {
                self.connect(client);
            }
        }
        let numbers: Vec<u64> = self.links.keys().copied().collect();
        numbers.iter().for_each(|number| self.serve(*number, usize::MAX));
        self.settle_workers(true);
        self.hub(0);
        self.catchup(0);
        self.settle_workers(false);
        numbers.iter().for_each(|number| self.receive(*number, usize::MAX));
        self.time.advance(micros);
    }

    fn settle_workers(&mut self, tick: bool) {
        for worker in 0..self.hosts[0].node.as_ref().map_or(0, Node::workers) {
            self.worker(0, worker, if tick { 0 } else { 1 });
            self.worker(0, worker, 1);
            for _ in 0..200 {
                self.worker(0, worker, 1);
                if self.hosts[0].node.as_mut().is_none_or(|node| node.worker_idle(worker)) {
                    break;
                }
            }
        }
    }
}

/// What a panic said.
fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "something".to_owned())
}
