//! A whole node without threads: hub, workers and log reader, moved one turn at a time.
//!
//! It does what the threads of a node do, in the same pieces: a worker's turn ends in batches that leave one after
//! another, and between two of them everybody else may act.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use holdfast_node::catchup::Catchup;
use holdfast_node::clock::Clock;
use holdfast_node::hub::{self, Hub, Plan};
use holdfast_node::log::{Reader, Store};
use holdfast_node::mail::{ConnectionKey, Event, Mailbox, Read, Request};
use holdfast_node::metrics::Counters;
use holdfast_node::route::Route;
use holdfast_node::worker::{Now, Outgoing, Place, Tally, Worker};

use super::clock::SimClock;
use super::disk::SimDisk;
use super::link::Link;
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
    parcels: VecDeque<Parcel>,
    unsettled: bool,
    ticked_at: u64,
    /// Links by the worker's slots.
    slots: Vec<Option<u64>>,
}

pub(super) struct Node {
    hub: Hub,
    hub_inbox: Arc<Mailbox<Request>>,
    hub_at: u64,
    catchup: Catchup,
    reads: Arc<Mailbox<Read>>,
    threads: Vec<Thread>,
    clock: Arc<SimClock>,
    pub(super) reader: Reader,
    pub(super) route: Route,
}

impl Node {
    /// From a disk to a serving node.
    pub(super) fn open(
        build: &Build,
        disk: &Arc<SimDisk>,
        clock: &Arc<SimClock>,
        seed: u64,
    ) -> Result<Node, String> {
        let store: Arc<dyn Store> = Arc::clone(disk) as Arc<dyn Store>;
        let hub_inbox = Arc::new(Mailbox::blocking());
        let inboxes: Vec<Arc<Mailbox<Event>>> =
            (0..build.workers).map(|_| Arc::new(Mailbox::blocking())).collect();
        let opened = hub::open(Plan {
            identity: build.identity.clone(),
            store,
            log: build.log.clone(),
            seed,
            limits: build.limits,
            replicas: 1,
            clock: Arc::clone(clock) as Arc<dyn Clock>,
            inbox: Arc::clone(&hub_inbox),
            workers: inboxes.clone(),
            flush_beside: false,
            fsync: "always".to_owned(),
            fault: build.fault,
            advertised: String::new(),
            members: Vec::new(),
            net: Box::new(holdfast_node::cluster::link::Alone),
            answer: Box::new(|_| None),
            lease: std::time::Duration::from_secs(6),
        })
        .map_err(|error| holdfast_node::start::chain(&error))?;
        let (route, reader) = (opened.route, opened.reader);
        let reads = Arc::new(Mailbox::blocking());
        let stop = Arc::new(AtomicBool::new(false));
        let catchup =
            Catchup::new(reader.clone(), Arc::clone(&reads), inboxes.clone(), route.partitions(), stop);
        let greeted = Arc::new(AtomicUsize::new(0));
        let threads = (0u32..).zip(inboxes).map(|(number, inbox)| {
            let place = Place {
                worker: number,
                workers: build.workers,
                node: opened.hub.node(),
                boot: opened.boot,
                route,
                board: Arc::clone(&opened.board),
                greeted: Arc::clone(&greeted),
            };
            let worker = Worker::new(place, Arc::clone(&build.settings), Tally::new(Counters::new()));
            let (parcels, slots) = (VecDeque::new(), Vec::new());
            Thread { worker, inbox, parcels, unsettled: false, ticked_at: 0, slots }
        });
        let threads = threads.collect();
        let clock = Arc::clone(clock);
        Ok(Node { hub: opened.hub, hub_inbox, hub_at: 0, catchup, reads, threads, clock, reader, route })
    }

    pub(super) fn workers(&self) -> usize {
        self.threads.len()
    }

    /// One turn of the hub; `false` where there was nothing to do. An error ends the node.
    pub(super) fn hub_turn(&mut self) -> Result<bool, String> {
        let mut requests = Vec::new();
        self.hub_inbox.take(&mut requests);
        let now = self.clock.micros();
        if requests.is_empty() && now < self.hub_at {
            return Ok(false);
        }
        self.hub_at = now + TICK_MICROS;
        let turned = self.hub.turn(&mut requests);
        turned.map(|()| true).map_err(|error| holdfast_node::start::chain(&error))
    }

    /// One turn of the log reader; `false` where nobody waited for it.
    pub(super) fn catchup_turn(&mut self) -> Result<bool, String> {
        let mut reads = Vec::new();
        self.reads.take(&mut reads);
        let any = !reads.is_empty();
        let turned = self.catchup.turn(&mut reads);
        turned.map(|()| any).map_err(|error| holdfast_node::start::chain(&error))
    }

    /// One piece of a worker's work: `choice` decides what, where there is more than one thing to do. `false`:
    /// there was none.
    pub(super) fn worker_turn(&mut self, number: usize, choice: u64, links: &mut Links) -> bool {
        self.set_now(number);
        let now = self.clock.micros();
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
            let mut events = Vec::new();
            thread.inbox.take(&mut events);
            if events.is_empty() && thread.unsettled {
                self.settle(number);
            } else {
                let any = !events.is_empty();
                thread.unsettled |= any;
                events.drain(..).for_each(|event| thread.worker.event(event));
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
        let (monotonic, wall) = (self.clock.micros() / 1_000, self.clock.wall());
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

    /// Notes which connections began or ceased to be served: (number, whether it is).
    pub(super) fn look(&mut self, links: &mut Links) -> Vec<(u64, bool)> {
        let mut changed = Vec::new();
        for (number, link) in links.iter_mut() {
            let worker = self.threads.get_mut(link.worker).map(|thread| &mut thread.worker);
            let conn = link.key.and_then(|key| worker.and_then(|worker| worker.conn(key)));
            let open = conn.is_some_and(|conn| conn.session().is_some());
            if open != std::mem::replace(&mut link.open, open) {
                changed.push((*number, open));
            }
        }
        // A worker lets go before the next one takes over.
        changed.sort_by_key(|(_, open)| *open);
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
