//! A worker: the connections of one thread, their sessions and their delivery. No IO: bytes and events come in,
//! bytes and requests go out, and whoever owns the sockets moves them.
//!
//! Order of calls: any number of [`Worker::input`], [`Worker::event`] and [`Worker::tick`], then
//! [`Worker::settle`], then the driver writes out every connection of [`Worker::take_dirty`] and sends what
//! [`Worker::settle`] filled. Nothing is locked and nothing waits.

mod event;
mod input;
mod connect;
mod publish;
mod once;
mod live;
mod want;
mod subscribe;
mod ack;
mod deliver;
mod pull;
mod owed;
mod commit;
mod share;
mod close;
mod send;
mod matching;
mod tail;
mod wheel;
mod conn;
mod tally;
mod settings;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use slab::Slab;

use crate::board::Board;
use crate::mail::{ConnectionKey, Event, Read, Request};
use crate::record::EntryFlags;
use crate::route::{Partition, Route};
pub use conn::{Conn, Phase};
pub use input::Close;
use live::Lane;
use matching::Matching;
use send::Frames;
pub use settings::Settings;
use share::Shares;
use tail::Tails;
pub use tally::Tally;
use want::Wants;
use wheel::Wheel;

/// Time as a worker sees it; the driver sets it before each call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Milliseconds that never go back.
    pub monotonic: u64,
    /// Group time, milliseconds since 1970.
    pub wall: u64,
}

/// Who a worker is.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its number.
    pub worker: u32,
    /// Number of workers of the node.
    pub workers: u32,
    /// The node.
    pub node: u64,
    /// The node's boot epoch; 0 while it does not serve.
    pub boot: u64,
    /// The table of slots.
    pub route: Route,
    /// What the threads of the node show each other.
    pub board: Arc<Board>,
    /// Clients of all workers that have said CONNECT.
    pub greeted: Arc<AtomicUsize>,
}

/// What leaves a worker at the end of a turn.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// To the hub.
    pub requests: Vec<Request>,
    /// To the log reader.
    pub reads: Vec<Read>,
    /// To other workers, by number.
    pub peers: Vec<Vec<Event>>,
}

/// A worker.
pub struct Worker {
    place: Place,
    settings: Arc<Settings>,
    /// Time of the current call.
    pub now: Now,
    conns: Slab<Conn>,
    generation: u32,
    matching: Matching,
    wants: Wants,
    tails: Tails,
    shares: Shares,
    frames: Frames,
    batches: Vec<PartitionBatch>,
    touched: Vec<Partition>,
    /// QoS 0 for others, by partition; a cluster of one has a single lane.
    lanes: Vec<Lane>,
    touched_lanes: Vec<Partition>,
    /// How often the term of a session group had changed when they were looked at.
    terms_seen: u64,
    wheel: Wheel,
    /// Connections with something to write.
    dirty: Vec<u32>,
    /// Connections that keep an output buffer until the clock takes it.
    buffered: Vec<u32>,
    /// Connections whose session may go on reading the log.
    pulls: VecDeque<u32>,
    /// Durable sessions with something to commit.
    uncommitted: Vec<ConnectionKey>,
    /// Those of them whose commit leaves with this turn.
    urgent: Vec<ConnectionKey>,
    swept_at: u32,
    committed_at: u64,
    tails_at: u64,
    /// SUBSCRIBEs and UNSUBSCRIBEs under way, by connection and number.
    requests: HashMap<(ConnectionKey, u64), subscribe::Asking, foldhash::fast::RandomState>,
    request: u64,
    /// Connections with publishes held behind an intent.
    holding: Vec<ConnectionKey>,
    /// Connections that have ended, until their publishes are settled.
    leaving: HashMap<ConnectionKey, close::Leaving, foldhash::fast::RandomState>,
    /// Bytes of publishes that are not settled.
    outstanding: usize,
    /// Refusals heard of.
    refusals: u64,
    /// Durable sessions here, by session group index.
    durables: Vec<u32>,
    out: Outgoing,
    counters: Tally,
    stopping: bool,
}

/// Publishes of this turn for one partition, and those that wait to be settled.
#[derive(Debug, Default)]
struct PartitionBatch {
    flags: EntryFlags,
    count: u32,
    bytes: Vec<u8>,
    /// One for each record that is not settled, in order.
    waiting: VecDeque<Waiting>,
}

/// A record that is not settled.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    connection: ConnectionKey,
    /// Its number in the session's order of acknowledgements.
    number: u64,
    /// Once it is settled, its partition has the session's fences.
    fences: bool,
    bytes: u32,
}

impl Worker {
    /// A worker without connections.
    pub fn new(place: Place, settings: Arc<Settings>, counters: Tally) -> Self {
        let partitions = usize::from(place.route.partitions());
        let workers = place.workers as usize;
        let mut batches = Vec::new();
        batches.resize_with(partitions, PartitionBatch::default);
        let mut lanes = Vec::new();
        lanes.resize_with(if place.board.alone() { 1 } else { partitions }, Lane::default);
        let mut out = Outgoing::default();
        out.peers.resize_with(workers, Vec::new);
        Self {
            durables: vec![0; usize::from(place.route.session_groups())],
            tails: Tails::new(partitions),
            lanes,
            touched_lanes: Vec::new(),
            terms_seen: u64::MAX,
            shares: Shares::new(place.route.session_groups()),
            place,
            settings,
            now: Now::default(),
            conns: Slab::new(),
            generation: 0,
            matching: Matching::default(),
            wants: Wants::default(),
            frames: Frames::default(),
            batches,
            touched: Vec::new(),
            wheel: Wheel::default(),
            dirty: Vec::new(),
            buffered: Vec::new(),
            pulls: VecDeque::new(),
            uncommitted: Vec::new(),
            urgent: Vec::new(),
            swept_at: 0,
            committed_at: 0,
            tails_at: 0,
            requests: HashMap::default(),
            request: 0,
            holding: Vec::new(),
            leaving: HashMap::default(),
            outstanding: 0,
            refusals: 0,
            out,
            counters,
            stopping: false,
        }
    }

    /// The connection of this key, if it is still the same one.
    pub fn conn(&mut self, key: ConnectionKey) -> Option<&mut Conn> {
        self.conns.get_mut(key.slot as usize).filter(|conn| conn.generation == key.generation)
    }

    /// Connections with something to write, or to close, since the last call.
    pub fn take_dirty(&mut self, into: &mut Vec<u32>) {
        debug_assert!(into.is_empty(), "the last batch was written whole");
        std::mem::swap(&mut self.dirty, into);
    }

    /// The connection in a place of [`Worker::take_dirty`].
    pub fn conn_at(&mut self, slot: u32) -> Option<&mut Conn> {
        self.conns.get_mut(slot as usize)
    }

    /// A connection's output is written: its buffer is kept for the next second, in case that more comes.
    pub fn written(&mut self, slot: u32) {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        conn.out.clear();
        conn.written = 0;
        if !conn.buffered {
            conn.buffered = true;
            self.buffered.push(slot);
        }
    }

    /// A part of a connection's output is written: what is left moves to the front.
    pub fn compact(&mut self, slot: u32) {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        conn.out.drain(..conn.written);
        conn.written = 0;
    }

    /// A socket took something: its session may have room again.
    pub fn drained(&mut self, slot: u32) {
        self.pull_later(slot);
    }

    /// A socket that was full takes more.
    pub fn writable(&mut self, key: ConnectionKey) {
        self.mark_dirty(key.slot);
    }

    /// Gives buffers back that nothing waits in.
    fn free_buffers(&mut self) {
        let conns = &mut self.conns;
        self.buffered.retain(|slot| {
            let Some(conn) = conns.get_mut(*slot as usize) else { return false };
            if conn.out.is_empty() {
                conn.out = Vec::new();
                conn.buffered = false;
            }
            conn.buffered
        });
    }

    /// Publishers must wait: too much of what they sent is not settled, or has not reached another worker.
    pub fn saturated(&self) -> bool {
        let most = self.settings.outstanding_bytes_max;
        self.outstanding > most || self.place.board.any_beyond(most)
    }

    /// Stopping, and no connection is left, nor anything to say about one.
    pub fn ended(&self) -> bool {
        self.stopping && self.conns.is_empty() && self.leaving.is_empty() && self.out.requests.is_empty()
    }

    /// Number of connections.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Ends a turn: what was collected is put into `outgoing`, which must be empty.
    pub fn settle(&mut self, outgoing: &mut Outgoing) {
        self.settle_holding();
        self.pull_all();
        self.settle_commits();
        self.settle_publishes();
        self.settle_shares();
        self.settle_live();
        self.tell_wants();
        std::mem::swap(&mut self.out, outgoing);
    }

    fn settle_publishes(&mut self) {
        for partition in std::mem::take(&mut self.touched) {
            let batch = &mut self.batches[partition.index()];
            self.out.requests.push(Request::Publish(crate::mail::Batch {
                worker: self.place.worker,
                boot: self.place.boot,
                partition,
                refusals: self.refusals,
                flags: std::mem::take(&mut batch.flags),
                count: std::mem::take(&mut batch.count),
                bytes: std::mem::take(&mut batch.bytes),
            }));
        }
    }

    fn mark_dirty(&mut self, slot: u32) {
        mark_dirty(&mut self.conns, &mut self.dirty, slot);
    }

    /// Tells the other workers whether this one wants live messages.
    fn show_interest(&self) {
        self.place.board.set_listens(self.place.worker, !self.matching.is_empty());
    }
}

fn mark_dirty(conns: &mut Slab<Conn>, dirty: &mut Vec<u32>, slot: u32) {
    if let Some(conn) = conns.get_mut(slot as usize)
        && !conn.dirty
    {
        conn.dirty = true;
        dirty.push(slot);
    }
}
