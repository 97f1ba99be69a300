//! A whole node without threads: hub, workers and log reader, moved one turn at a time.
//!
//! It does what the threads of a node do, in the same pieces: a worker's turn ends in batches that leave one after
//! another, and between two of them everybody else may act.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use holdfast_node::catchup::Catchup;
use holdfast_node::clock::Clock;
use holdfast_node::cluster::link::{Alone, Net};
use holdfast_node::hub::{self, Hub, Plan};
use holdfast_node::log::{Reader, Store};
use holdfast_node::mail::{ConnectionKey, Event, Mailbox, Read, Request};
use holdfast_node::metrics::Counters;
use holdfast_node::route::Route;
use holdfast_node::state::meta::LEVEL;
use holdfast_node::worker::{Now, Outgoing, Place, Tally, Worker};

use super::clock::{SimClock, Time};
use super::disk::SimDisk;
use super::link::Link;
use super::net::{Ether, SimNet};
use super::plan::Build;

/// Connections by number.
pub(super) type Links = BTreeMap<u64, Link>;

/// How often workers and hub look at their clocks, microseconds.
const TICK_MICROS: u64 = 50_000;

/// What leaves a worker, one after another.
enum Parcel {
    Hub(Vec<Request>),
    Reads(Vec<Read>),
    Peer(usize, Vec<Event>),
    Write(u32),
}

struct Thread {
    worker: Worker,
    inbox: Arc<Mailbox<Event>>,
    /// Taken out of the inbox, and not handled yet.
    events: Vec<Event>,
    parcels: VecDeque<Parcel>,
    unsettled: bool,
    ticked_at: u64,
    /// Links by the worker's slots.
    slots: Vec<Option<u64>>,
}

/// What a node stands on.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) time: Arc<Time>,
    pub(super) clock: Arc<SimClock>,
    pub(super) disk: Arc<SimDisk>,
    /// The net, and the node's index in it.
    pub(super) ether: Option<(Arc<Ether>, usize)>,
}

impl Ground {
    fn net(&self) -> Box<dyn Net + Send> {
        match self.ether.clone() {
            None => Box::new(Alone),
            Some((ether, node)) => {
                let (time, disk) = (Arc::clone(&self.time), Arc::clone(&self.disk));
                Box::new(SimNet { ether, time, disk, node })
            }
        }
    }
}

pub(super) struct Node {
    hub: Hub,
    hub_inbox: Arc<Mailbox<Request>>,
    requests: Vec<Request>,
    hub_at: u64,
    /// The hub waits for its disk until then, and nobody hears from it before.
    busy_until: u64,
    catchup: Catchup,
    reads: Arc<Mailbox<Read>>,
    wanted: Vec<Read>,
    threads: Vec<Thread>,
    ground: Ground,
    /// How far group time is ahead of the monotonic clock, milliseconds.
    ahead: Arc<AtomicU64>,
    /// It serves, or did once: clients can connect.
    pub(super) open: bool,
    pub(super) reader: Reader,
    pub(super) route: Route,
}

impl Node {
    /// From a disk to a node; one that is alone serves.
    pub(super) fn open(build: &Build, ground: &Ground, seed: u64) -> Result<Node, String> {
        let store: Arc<dyn Store> = Arc::clone(&ground.disk) as Arc<dyn Store>;
        let hub_inbox = Arc::new(Mailbox::blocking());
        let inboxes: Vec<Arc<Mailbox<Event>>> =
            (0..build.workers).map(|_| Arc::new(Mailbox::blocking())).collect();
        let opened = hub::open(Plan {
            identity: build.identity.clone(),
            store,
            log: build.log.clone(),
            seed,
            limits: build.limits,
            replicas: build.members.len().max(1) as u32,
            clock: Arc::clone(&ground.clock) as Arc<dyn Clock>,
            inbox: Arc::clone(&hub_inbox),
            workers: inboxes.clone(),
            flush_beside: false,
            fsync: "always".to_owned(),
            level: LEVEL,
            fault: build.fault,
            advertised: String::new(),
            members: build.members.clone(),
            joined: false,
            net: ground.net(),
            answer: Box::new(|_| None),
            lease: build.lease,
        })
        .map_err(|error| holdfast_node::start::chain(&error))?;
        let (route, reader, open) = (opened.route, opened.reader, opened.hub.serving());
        let reads = Arc::new(Mailbox::blocking());
        let stop = Arc::new(AtomicBool::new(false));
        let catchup =
            Catchup::new(reader.clone(), Arc::clone(&reads), inboxes.clone(), route.partitions(), stop);
        let place = Place {
            worker: 0,
            workers: build.workers,
            node: opened.hub.node(),
            boot: opened.boot,
            route,
            board: Arc::clone(&opened.board),
            greeted: Arc::new(AtomicUsize::new(0)),
        };
        let threads = (0u32..).zip(inboxes).map(|(worker, inbox)| {
            let place = Place { worker, ..place.clone() };
            let worker = Worker::new(place, Arc::clone(&build.settings), Tally::new(Counters::new()));
            let (events, parcels, slots) = (Vec::new(), VecDeque::new(), Vec::new());
            Thread { worker, inbox, events, parcels, unsettled: false, ticked_at: 0, slots }
        });
        let threads = threads.collect();
        Ok(Node {
            hub: opened.hub,
            hub_inbox,
            requests: Vec::new(),
            hub_at: 0,
            busy_until: 0,
            catchup,
            reads,
            wanted: Vec::new(),
            threads,
            ground: ground.clone(),
            ahead: opened.ahead,
            open,
            reader,
            route,
        })
    }

    pub(super) fn serves(&self) -> bool {
        self.hub.serving()
    }

    pub(super) fn workers(&self) -> usize {
        self.threads.len()
    }

    /// The hub has something to do.
    pub(super) fn hub_due(&mut self) -> bool {
        fill(&self.hub_inbox, &mut self.requests);
        let now = self.ground.time.micros();
        let net = || self.ground.ether.as_ref().is_some_and(|(ether, node)| ether.due(*node, now));
        now >= self.busy_until && (!self.requests.is_empty() || now >= self.hub_at || net())
    }

    /// One turn of the hub; `false` where there was nothing to do. An error ends the node.
    pub(super) fn hub_turn(&mut self) -> Result<bool, String> {
        if !self.hub_due() {
            return Ok(false);
        }
        let now = self.ground.time.micros();
        self.hub_at = now + TICK_MICROS;
        let turned = self.hub.turn(&mut self.requests);
        self.busy_until = now + self.ground.disk.pay();
        self.open |= self.hub.serving();
        turned.map(|()| true).map_err(|error| holdfast_node::start::chain(&error))
    }

    /// Somebody waits for the log reader.
    pub(super) fn catchup_due(&mut self) -> bool {
        fill(&self.reads, &mut self.wanted);
        !self.wanted.is_empty()
    }

    /// One turn of the log reader; `false` where nobody waited for it.
    pub(super) fn catchup_turn(&mut self) -> Result<bool, String> {
        let any = self.catchup_due();
        let turned = self.catchup.turn(&mut self.wanted);
        turned.map(|()| any).map_err(|error| holdfast_node::start::chain(&error))
    }

    /// A worker has something to do.
    pub(super) fn worker_due(&mut self, number: usize) -> bool {
        let (now, busy) = (self.ground.time.micros(), self.busy_until);
        let thread = &mut self.threads[number];
        thread.hear(now >= busy);
        !thread.events.is_empty()
            || !thread.parcels.is_empty()
            || thread.unsettled
            || now >= thread.ticked_at + TICK_MICROS
    }

    /// One piece of a worker's work: `choice` decides what, where there is more than one thing to do. `false`:
    /// there was none.
    pub(super) fn worker_turn(&mut self, number: usize, choice: u64, links: &mut Links) -> bool {
        self.set_now(number);
        let (now, busy) = (self.ground.time.micros(), self.busy_until);
        let thread = &mut self.threads[number];
        if let Some(parcel) = thread.parcels.pop_front() {
            self.send(number, parcel, links);
            return true;
        }
        if now >= thread.ticked_at + TICK_MICROS && choice.is_multiple_of(3) {
            thread.ticked_at = now;
            thread.worker.tick();
            thread.unsettled = true;
        } else if thread.unsettled && choice.is_multiple_of(2) {
            self.settle(number);
        } else {
            thread.hear(now >= busy);
            if thread.events.is_empty() && thread.unsettled {
                self.settle(number);
            } else {
                let any = !thread.events.is_empty();
                thread.unsettled |= any;
                thread.events.drain(..).for_each(|event| thread.worker.event(event));
                return any;
            }
        }
        true
    }

    /// The worker has nothing left to do before its next tick.
    pub(super) fn worker_idle(&mut self, number: usize) -> bool {
        let thread = &self.threads[number];
        thread.parcels.is_empty() && !thread.unsettled
    }

    fn set_now(&mut self, number: usize) {
        let clock = &self.ground.clock;
        let monotonic = u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        let wall = monotonic + self.ahead.load(Ordering::Relaxed);
        self.threads[number].worker.now = Now { monotonic, wall };
    }

    fn settle(&mut self, number: usize) {
        let peers = self.threads.len();
        let thread = &mut self.threads[number];
        let mut outgoing = Outgoing::default();
        outgoing.peers.resize_with(peers, Vec::new);
        thread.worker.settle(&mut outgoing);
        thread.parcels.push_back(Parcel::Hub(outgoing.requests));
        thread.parcels.push_back(Parcel::Reads(outgoing.reads));
        let peers = outgoing.peers.into_iter().enumerate();
        thread.parcels.extend(peers.map(|(peer, events)| Parcel::Peer(peer, events)));
        let mut dirty = Vec::new();
        thread.worker.take_dirty(&mut dirty);
        thread.parcels.extend(dirty.into_iter().map(Parcel::Write));
        thread.parcels.retain(|parcel| match parcel {
            Parcel::Hub(requests) => !requests.is_empty(),
            Parcel::Reads(reads) => !reads.is_empty(),
            Parcel::Peer(_, events) => !events.is_empty(),
            Parcel::Write(_) => true,
        });
        thread.unsettled = thread.worker.has_more();
    }

    fn send(&mut self, number: usize, parcel: Parcel, links: &mut Links) {
        match parcel {
            Parcel::Hub(mut requests) => self.hub_inbox.send(&mut requests),
            Parcel::Reads(mut reads) => self.reads.send(&mut reads),
            Parcel::Peer(peer, mut events) => self.threads[peer].inbox.send(&mut events),
            Parcel::Write(slot) => self.threads[number].write(slot, links),
        }
    }

    /// The worker has a new connection.
    pub(super) fn accept(&mut self, number: u64, links: &mut Links) {
        let Some(link) = links.get_mut(&number).filter(|link| !link.accepted) else { return };
        self.set_now(link.worker);
        let thread = &mut self.threads[link.worker];
        if !thread.parcels.is_empty() {
            return;
        }
        let key = thread.worker.accept(([127, 0, 0, 1], 1).into());
        let slot = key.slot as usize;
        if thread.slots.len() <= slot {
            thread.slots.resize(slot + 1, None);
        }
        thread.slots[slot] = Some(number);
        (link.key, link.accepted) = (Some(key), true);
    }

    /// The worker would do something about a connection, if it looked at its socket now.
    pub(super) fn readable(&mut self, link: &Link) -> bool {
        let thread = &mut self.threads[link.worker];
        // A worker ends its turn before it reads again.
        if !thread.parcels.is_empty() {
            return false;
        }
        let saturated = thread.worker.saturated();
        let Some(key) = link.key else { return !link.accepted };
        let Some(conn) = thread.worker.conn(key) else { return false };
        let writable = conn.blocked && (link.room() > 0 || link.abandoned && link.ended);
        let waits = !link.up.is_empty() || link.ended || conn.stalled && !conn.partial.is_empty();
        writable || waits && !conn.deaf() && !saturated
    }

    /// The worker reads up to `bytes` of what a client has sent, or the end.
    pub(super) fn read(&mut self, number: u64, bytes: usize, links: &mut Links) {
        let Some(link) = links.get_mut(&number) else { return };
        let Some(key) = link.key else { return };
        self.set_now(link.worker);
        let thread = &mut self.threads[link.worker];
        // A worker ends its turn before it reads again.
        if !thread.parcels.is_empty() {
            return;
        }
        let saturated = thread.worker.saturated();
        let Some(conn) = thread.worker.conn(key) else { return };
        if conn.blocked && (link.room() > 0 || link.abandoned && link.ended) {
            conn.blocked = false;
            thread.worker.writable(key);
            thread.unsettled = true;
        }
        let Some(conn) = thread.worker.conn(key).filter(|conn| !conn.deaf() && !saturated) else { return };
        let mut read = std::mem::take(&mut conn.partial);
        if conn.stalled && !read.is_empty() {
            thread.input(key, &read);
            return;
        }
        if link.up.is_empty() && link.ended {
            thread.remove(key, number, links);
            return;
        }
        read.extend(link.up.drain(..bytes.min(link.up.len())));
        thread.input(key, &read);
    }

    /// Notes which of this node's connections began or ceased to be served: (number, epoch of its session if it is).
    pub(super) fn look(&mut self, links: &mut Links) -> Vec<(u64, Option<u64>)> {
        let host = self.ground.ether.as_ref().map_or(0, |(_, node)| *node);
        let mut changed = Vec::new();
        for (number, link) in links.iter_mut().filter(|(_, link)| link.host == host) {
            let worker = self.threads.get_mut(link.worker).map(|thread| &mut thread.worker);
            let conn = link.key.and_then(|key| worker.and_then(|worker| worker.conn(key)));
            let epoch = conn.and_then(|conn| conn.session()).map(|session| session.epoch);
            if epoch.is_some() != std::mem::replace(&mut link.open, epoch.is_some()) {
                changed.push((*number, epoch));
            }
        }
        // A worker lets go before the next one takes over.
        changed.sort_by_key(|(_, epoch)| epoch.is_some());
        changed
    }

    /// Stops as on SIGTERM: everybody is told, everything is synced.
    pub(super) fn stop(mut self, links: &mut Links) -> Result<(), String> {
        for number in 0..self.threads.len() {
            self.set_now(number);
            self.flush(number, links);
            self.threads[number].worker.event(Event::Stop);
            self.threads[number].unsettled = true;
            self.flush(number, links);
        }
        self.hub_inbox.send_one(Request::Stop);
        self.hub.run().map_err(|error| holdfast_node::start::chain(&error))
    }

    fn flush(&mut self, number: usize, links: &mut Links) {
        // Sessions with more than the window holds would go on for ever.
        for _ in 0..100 {
            match self.threads[number].parcels.pop_front() {
                Some(parcel) => self.send(number, parcel, links),
                None if self.threads[number].unsettled => self.settle(number),
                None => break,
            }
        }
    }
}

impl Thread {
    /// Takes in what has come, if it can be heard.
    fn hear(&mut self, heard: bool) {
        if heard {
            fill(&self.inbox, &mut self.events);
        }
    }

    fn input(&mut self, key: ConnectionKey, bytes: &[u8]) {
        let used = self.worker.input(key, bytes);
        if let Some(conn) = self.worker.conn(key)
            && used < bytes.len()
        {
            conn.partial = bytes[used..].to_vec();
        }
        self.unsettled = true;
    }

    /// Moves a connection's output to its socket, as far as there is room; closes it when it is to be closed.
    fn write(&mut self, slot: u32, links: &mut Links) {
        let Some(number) = self.slots.get(slot as usize).copied().flatten() else { return };
        let (Some(conn), Some(link)) = (self.worker.conn_at(slot), links.get_mut(&number)) else { return };
        let Some(key) = link.key else { return };
        conn.dirty = false;
        let mut broken = false;
        if !conn.blocked && conn.unwritten() > 0 {
            let bytes = conn.unwritten().min(link.room());
            broken = link.abandoned && link.ended;
            link.down.extend_from_slice(&conn.out[conn.written..conn.written + bytes]);
            conn.written += bytes;
            conn.blocked = conn.unwritten() > 0;
        }
        let (done, room, closing) = (conn.unwritten() == 0, conn.written > 0, conn.closing());
        if done {
            self.worker.written(slot);
        } else if room {
            self.worker.compact(slot);
        }
        if room {
            self.worker.drained(slot);
        }
        if broken || closing {
            self.remove(key, number, links);
        }
        self.unsettled |= self.worker.has_more();
    }

    fn remove(&mut self, key: ConnectionKey, number: u64, links: &mut Links) {
        self.worker.remove(key);
        self.slots[key.slot as usize] = None;
        if let Some(link) = links.get_mut(&number) {
            link.key = None;
        }
        self.unsettled = true;
    }
}

/// Moves everything that is in a mailbox to the end of `into`.
fn fill<T>(mailbox: &Mailbox<T>, into: &mut Vec<T>) {
    let mut fresh = Vec::new();
    mailbox.take(&mut fresh);
    into.append(&mut fresh);
}
