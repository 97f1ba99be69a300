//! The net between simulated nodes: connections of lanes, as a link over QUIC has them.
//!
//! ```text
//!              both are there, nothing is cut
//!   apart ----------------------------------------> connected
//!     ^                                                 |
//!     '---- killed, closed, broken, or long silent -----'
//! ```
//! Frames of one lane arrive in order or are lost with their connection; lanes overtake each other. A cut stops
//! frames and loses none before the connection is given up, which each end does by itself: then everything that is
//! under way between the two is gone. Frames travel as bytes.

mod wire;

use std::sync::{Arc, Mutex, MutexGuard};

use holdfast_node::cluster::link::{Frame, Incoming, Lane, Net, Peer, Unsent};
use holdfast_node::log::NodeId;

use super::clock::Time;
use super::disk::SimDisk;
use super::raft::Leads;
use crate::seed::Seed;
pub(super) use wire::Fate;
use wire::{Parcel, Slow, Wire};

/// Bytes of a frame in front of what is decoded.
const LENGTH_BYTES: usize = 4;
/// How long a node waits before it dials again, microseconds.
const DIAL_MICROS: (u64, u64) = (20_000, 500_000);
/// How long it takes until both ends of a new connection know of it, microseconds.
const GREET_MICROS: u64 = 5_000;

/// All connections between all nodes.
pub(super) struct Ether(Mutex<State>);

/// Numbers that hold for a whole simulation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    /// A connection that nothing came on for so long is given up, microseconds.
    pub(super) idle_micros: u64,
    /// Bytes that wait in one lane.
    pub(super) lane_bytes_max: usize,
    /// Usual delay of a frame, and how much it varies, microseconds.
    pub(super) delay: (u64, u64),
}

impl Manners {
    pub(super) fn draw(seed: &mut Seed) -> Manners {
        let mut of = |choices: [u64; 3]| choices[seed.below(3) as usize];
        Manners {
            idle_micros: of([1_500_000, 3_000_000, 10_000_000]),
            lane_bytes_max: of([8_192, 65_536, 1 << 24]) as usize,
            delay: (of([50, 200, 1_000]), of([50, 500, 5_000])),
        }
    }
}

struct State {
    manners: Manners,
    seed: Seed,
    hosts: Vec<Presence>,
    /// From one node to another: `from * nodes + to`.
    wires: Vec<Wire>,
    /// What has come in for each node and was not taken yet.
    inboxes: Vec<Vec<(u64, Item)>>,
    /// Connections so far.
    lives: u64,
    leads: Leads,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, Default)]
struct Presence {
    alive: bool,
    frozen: bool,
}

/// What a node takes out of its inbox.
enum Item {
    Up(usize, u64),
    Down(usize),
    Frame(usize, bytes::Bytes),
}

impl Ether {
    pub(super) fn new(nodes: usize, manners: Manners, seed: Seed) -> Ether {
        let wires = (0..nodes * nodes).map(|_| Wire::new(manners.delay)).collect();
        Ether(Mutex::new(State {
            manners,
            seed,
            hosts: vec![Presence::default(); nodes],
            wires,
            inboxes: (0..nodes).map(|_| Vec::new()).collect(),
            lives: 0,
            leads: Leads::default(),
            fate: Fate::default(),
        }))
    }

    /// The process of a node runs.
    pub(super) fn started(&self, node: usize, now: u64) {
        let mut state = self.lock();
        state.hosts[node] = Presence { alive: true, frozen: false };
        for other in 0..state.hosts.len() {
            let pause = state.seed.below(DIAL_MICROS.0);
            for at in [state.at(node, other), state.at(other, node)] {
                state.wires[at].dial_at = now + pause;
            }
        }
    }

    /// The process of a node is gone. `goodbye`: what it has sent arrives, and then the end of its connections.
    pub(super) fn ended(&self, node: usize, now: u64, goodbye: bool) {
        let mut state = self.lock();
        state.hosts[node] = Presence::default();
        state.inboxes[node].clear();
        for other in (0..state.hosts.len()).filter(|other| *other != node) {
            let (inward, outward) = (state.at(other, node), state.at(node, other));
            state.wires[inward].forget();
            state.wires[inward].live = 0;
            if goodbye {
                state.wires[outward].close_at = Some(state.wires[outward].last_arrival().max(now));
            } else {
                let State { wires, seed, .. } = &mut *state;
                wires[outward].cut_short(seed);
            }
        }
    }

    /// A node stands still, or goes on.
    pub(super) fn freeze(&self, node: usize, frozen: bool) {
        self.lock().hosts[node].frozen = frozen;
    }

    /// Nothing gets from one node to another for a while.
    pub(super) fn cut(&self, from: usize, to: usize, until: u64) {
        let mut state = self.lock();
        let at = state.at(from, to);
        let cut_until = &mut state.wires[at].cut_until;
        *cut_until = until.max(*cut_until);
    }

    /// From one node to another everything takes long for a while.
    pub(super) fn slow(&self, (from, to): (usize, usize), until: u64, delay: (u64, u64)) {
        let mut state = self.lock();
        let at = state.at(from, to);
        state.wires[at].slow = Slow { until, least: delay.0, more: delay.1, ..Slow::default() };
    }

    /// From one node to another frames are lost for a while, or Raft's come twice, or out of order: so many in a
    /// thousand.
    pub(super) fn spoil(&self, (from, to): (usize, usize), until: u64, odds: (u64, u64, u64)) {
        let mut state = self.lock();
        let at = state.at(from, to);
        let (loss, twice, astray) = odds;
        state.wires[at].slow = Slow { until, least: 1_000, more: 1_000, loss, twice, astray };
    }

    /// Everything is well between all nodes.
    pub(super) fn heal(&self) {
        self.lock().wires.iter_mut().for_each(|wire| (wire.cut_until, wire.slow) = (0, Slow::default()));
    }

    /// The connection of two nodes breaks.
    pub(super) fn snap(&self, one: usize, other: usize, now: u64) {
        let mut state = self.lock();
        state.close(one, other, now);
        state.close(other, one, now);
    }

    /// Looks who has been silent for too long, and who can be connected.
    pub(super) fn look(&self, now: u64) {
        let mut state = self.lock();
        let nodes = state.hosts.len();
        for (from, to) in (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to))) {
            if from != to {
                state.listen(from, to, now);
            }
        }
        for (one, other) in (0..nodes).flat_map(|one| (0..one).map(move |other| (one, other))) {
            state.connect(one, other, now);
        }
    }

    /// Whether there is something to take for a node.
    pub(super) fn due(&self, node: usize, now: u64) -> bool {
        let state = self.lock();
        let arrived = |other| {
            let wire = &state.wires[state.at(other, node)];
            wire.live > 0 && wire.next_arrival().is_some_and(|at| at <= now)
        };
        state.inboxes[node].first().is_some_and(|(at, _)| *at <= now) || (0..state.hosts.len()).any(arrived)
    }

    /// When the next thing arrives somewhere, or a node dials.
    pub(super) fn next(&self) -> Option<u64> {
        let state = self.lock();
        let inboxes = state.inboxes.iter().filter_map(|inbox| inbox.first().map(|(at, _)| *at));
        let wires = state.wires.iter().filter(|wire| wire.live > 0).filter_map(Wire::next_arrival);
        inboxes.chain(wires).min()
    }

    /// Who was seen to lead a group in a term, for the first time: node, group and term.
    pub(super) fn leads(&self) -> Vec<(usize, u32, u64)> {
        self.lock().leads.take()
    }

    /// What became of all frames so far.
    pub(super) fn fate(&self) -> Fate {
        self.lock().fate
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

impl State {
    fn at(&self, from: usize, to: usize) -> usize {
        from * self.hosts.len() + to
    }

    /// `to` hears `from`, or gives up.
    fn listen(&mut self, from: usize, to: usize, now: u64) {
        let (speaks, hears) = (self.hosts[from], self.hosts[to]);
        let at = self.at(from, to);
        let idle = self.manners.idle_micros;
        let wire = &mut self.wires[at];
        if wire.live == 0 || !hears.alive || hears.frozen {
            return;
        }
        let closed = wire.close_at.is_some_and(|at| at <= now) && !wire.is_cut(now);
        if !closed && now <= wire.heard + idle {
            let same = self.wires[self.at(to, from)].live == self.wires[at].live;
            if speaks.alive && !speaks.frozen && !self.wires[at].is_cut(now) && same {
                self.wires[at].heard = now;
            }
            return;
        }
        self.close(from, to, now);
        // The other end is told, if anything gets there.
        let back = self.at(to, from);
        let told = self.seed.below(GREET_MICROS);
        if self.wires[back].live > 0 {
            self.wires[back].close_at.get_or_insert(now + told);
        }
    }

    /// `to` has its end of the connection with `from` no more.
    fn close(&mut self, from: usize, to: usize, now: u64) {
        let (at, back) = (self.at(from, to), self.at(to, from));
        if self.wires[at].live == 0 {
            return;
        }
        self.collect(from, to, now);
        let State { wires, seed, .. } = self;
        wires[at].forget();
        wires[at].live = 0;
        wires[back].cut_short(seed);
        let pause = DIAL_MICROS.0 + self.seed.below(DIAL_MICROS.1 - DIAL_MICROS.0);
        (self.wires[at].dial_at, self.wires[back].dial_at) = (now + pause, now + pause);
        // After the word of the connection that ends, where that was not heard yet.
        let known = self.wires[at].known_at.max(now);
        self.put(to, known, Item::Down(from));
    }

    fn connect(&mut self, one: usize, other: usize, now: u64) {
        let well = |at: usize| self.hosts[at].alive && !self.hosts[at].frozen;
        let (there, back) = (self.at(one, other), self.at(other, one));
        let (outward, inward) = (&self.wires[there], &self.wires[back]);
        let apart = outward.live == 0 || inward.live == 0;
        let dials = now >= outward.dial_at && !outward.is_cut(now) && !inward.is_cut(now);
        if !apart || !dials || !well(one) || !well(other) {
            return;
        }
        // Whoever still has its end of an old connection hears that it is over.
        self.close(one, other, now);
        self.close(other, one, now);
        self.lives += 1;
        for (from, to) in [(one, other), (other, one)] {
            let at = self.at(from, to);
            let known = (now + self.seed.below(GREET_MICROS)).max(self.wires[at].known_at) + 1;
            self.wires[at].open(self.lives, now, known);
            self.put(to, known, Item::Up(from, self.lives));
        }
    }

    /// What has arrived from a node goes to the inbox.
    fn collect(&mut self, from: usize, to: usize, now: u64) {
        let at = self.at(from, to);
        while let Some((arrived, bytes)) = self.wires[at].arrived(now) {
            self.put(to, arrived, Item::Frame(from, bytes));
        }
    }

    /// In order of time, and of calls where that is the same.
    fn put(&mut self, to: usize, at: u64, item: Item) {
        let inbox = &mut self.inboxes[to];
        let place = inbox.partition_point(|(other, _)| *other <= at);
        inbox.insert(place, (at, item));
    }

    fn send(
        &mut self,
        (from, to): (usize, usize),
        lane: Lane,
        frame: &Frame,
        now: u64,
    ) -> Result<(), Unsent> {
        // Each end sends as soon as it knows of a connection, and for as long as it believes in it.
        if self.wires[self.at(to, from)].live == 0 {
            return Err(Unsent::Away);
        }
        self.leads.saw(from, frame);
        let of_raft = matches!(frame, Frame::Raft(_));
        let bytes = frame.encode().map_err(|_| Unsent::Large)?.slice(LENGTH_BYTES..);
        let at = self.at(from, to);
        let max = self.manners.lane_bytes_max;
        let State { wires, seed, fate, .. } = self;
        // An end that the other one has given up sends into nothing.
        let lost = wires[at].live == 0;
        wires[at].send(Parcel { slot: lane.slot(), bytes, of_raft }, (now, max, lost), seed, fate)
    }
}

/// A node's end of the net.
pub(super) struct SimNet {
    pub(super) ether: Arc<Ether>,
    pub(super) time: Arc<Time>,
    pub(super) disk: Arc<SimDisk>,
    /// Index of the node.
    pub(super) node: usize,
}

/// A node's index as others number it.
pub(super) fn number(node: usize) -> NodeId {
    NodeId::new(node as u64 + 1)
}

impl Net for SimNet {
    fn send(&mut self, to: NodeId, lane: Lane, frame: &Frame) -> Result<(), Unsent> {
        let to = usize::try_from(to.get() - 1).map_err(|_| Unsent::Away)?;
        let now = self.time.micros() + self.disk.owed();
        self.ether.lock().send((self.node, to), lane, frame, now)
    }

    fn take(&mut self, out: &mut Vec<Incoming>) {
        let now = self.time.micros();
        let mut state = self.ether.lock();
        for other in 0..state.hosts.len() {
            if state.wires[state.at(other, self.node)].live > 0 {
                state.collect(other, self.node, now);
            }
        }
        let mut items = std::mem::take(&mut state.inboxes[self.node]);
        let later = items.split_off(items.partition_point(|(at, _)| *at <= now));
        state.inboxes[self.node] = later;
        out.extend(items.into_iter().map(|(_, item)| match item {
            Item::Up(node, incarnation) => Incoming::Up { node: number(node), incarnation },
            Item::Down(node) => Incoming::Down { node: number(node) },
            Item::Frame(from, bytes) => {
                let frame = Frame::decode(bytes).expect("a frame comes back as it was encoded");
                Incoming::Frame { from: number(from), frame }
            }
        }));
    }

    fn set_peers(&mut self, _: Vec<Peer>) {}
}
