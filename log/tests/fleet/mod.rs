//! Nodes whose groups change their members: a network that loses and reorders, power cuts, wiped disks; all
//! of it from one seed, with the promises checked at every step.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use holdfast_log::*;

use crate::machine::Machine;

mod check;

pub(crate) const TICK: Duration = Duration::from_millis(50);
/// Small enough that a snapshot has several.
const CHUNK_BYTES: u64 = 300;

pub(crate) struct Node {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) engine: Option<Engine>,
    started: u64,
    boot: u64,
    pub(crate) machines: BTreeMap<GroupId, Machine>,
}

/// What is under way.
#[derive(Clone)]
enum Frame {
    Raft(Bytes),
    Bulk(Bytes),
}

pub(crate) struct Fleet {
    pub(crate) seed: u64,
    dice: u64,
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    /// Each group, with whether its log is its data.
    pub(crate) groups: Vec<(GroupId, bool)>,
    /// Nodes that found every group, with replica ids 1, 2, ...
    founders: usize,
    /// Messages under way, as bytes, with their addressee.
    wire: Vec<(usize, Frame)>,
    /// Who cannot be reached.
    pub(crate) cut: BTreeSet<usize>,
    pub(crate) loss: u64,
    /// No proposals and no power cuts any more.
    pub(crate) quiet: bool,
    /// The one disk that rots, if one does.
    pub(crate) rots: Option<usize>,
    /// The first content that anyone applied at an offset.
    content: BTreeMap<(GroupId, Offset), Arc<Entry>>,
    /// The offsets that were acknowledged to a proposer.
    pub(crate) acknowledged: BTreeMap<(GroupId, Offset), Bytes>,
    acknowledged_index: BTreeMap<GroupId, Index>,
    leaders: BTreeMap<(GroupId, Term), ReplicaId>,
    sequences: BTreeMap<(GroupId, usize, u64), u64>,
    /// Replicas that some member list has left out although it knows their ids.
    pub(crate) gone: BTreeSet<(GroupId, ReplicaId)>,
    /// Where each replica is, from the wish that added it.
    pub(crate) homes: BTreeMap<(GroupId, ReplicaId), usize>,
    /// Voters whose disk was emptied, until they are taken out.
    pub(crate) lost: BTreeSet<(GroupId, ReplicaId)>,
    /// Frames of bulk by kind, snapshots that were put in place, damaged entries, changes of members.
    pub(crate) kinds: BTreeMap<&'static str, usize>,
    pub(crate) installed: usize,
    pub(crate) rotten: usize,
    pub(crate) shifts: usize,
    pub(crate) trace: u64,
    /// Whether nodes are told that a replica of theirs is gone.
    pub(crate) tells: bool,
    /// Replicas that have stopped, where the test expects that.
    pub(crate) may_stop: bool,
    pub(crate) stopped: Vec<(usize, GroupId, Fault)>,
}

impl Fleet {
    /// `nodes` nodes, of which the first `founders` found `groups`.
    pub(crate) fn new(seed: u64, nodes: usize, founders: usize, groups: &[(u32, bool)]) -> Self {
        let node = || Node {
            store: Arc::new(MemoryStore::new()),
            engine: None,
            started: 0,
            boot: 0,
            machines: BTreeMap::new(),
        };
        let groups: Vec<_> =
            groups.iter().map(|(number, history)| (GroupId::new(*number), *history)).collect();
        let homes = groups
            .iter()
            .flat_map(|(group, _)| (0..founders).map(|at| ((*group, ReplicaId::new(at as u64 + 1)), at)));
        let mut fleet = Self {
            seed,
            dice: seed,
            now: 0,
            homes: homes.collect(),
            nodes: (0..nodes).map(|_| node()).collect(),
            groups,
            founders,
            wire: Vec::new(),
            cut: BTreeSet::new(),
            loss: 0,
            quiet: false,
            rots: None,
            content: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            acknowledged_index: BTreeMap::new(),
            leaders: BTreeMap::new(),
            sequences: BTreeMap::new(),
            gone: BTreeSet::new(),
            lost: BTreeSet::new(),
            kinds: BTreeMap::new(),
            installed: 0,
            rotten: 0,
            shifts: 0,
            trace: 0,
            tells: true,
            may_stop: false,
            stopped: Vec::new(),
        };
        (0..nodes).for_each(|at| fleet.start(at));
        fleet
    }

    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    pub(crate) fn pick(&mut self, among: usize) -> usize {
        usize::try_from(self.roll(among as u64)).unwrap()
    }

    pub(crate) fn any_group(&mut self) -> GroupId {
        let at = self.pick(self.groups.len());
        self.groups[at].0
    }

    fn note(&mut self, value: u64) {
        self.trace = (self.trace.rotate_left(7) ^ value).wrapping_mul(0x0100_0000_01b3);
    }

    fn founding(&self, at: usize) -> Vec<GroupSpec> {
        let voters: Vec<_> = (0..self.founders).map(|at| (ReplicaId::new(at as u64 + 1), home(at))).collect();
        let spec = |(id, history): &(GroupId, bool)| GroupSpec {
            id: *id,
            history: *history,
            replica: voters[at].0,
            voters: voters.clone(),
        };
        self.groups.iter().map(spec).collect()
    }

    /// Opens whatever the disk holds; at the very first start of a founder, what it founds.
    pub(crate) fn start(&mut self, at: usize) {
        let store = Arc::clone(&self.nodes[at].store);
        let first = self.nodes[at].boot == 0 && at < self.founders;
        let specs = if first { self.founding(at) } else { Opening::groups(&*store).unwrap() };
        let config = Config {
            mark_bytes: 500,
            tail_cache_bytes: 4_000,
            keep_entries: 5,
            keep_bytes: 1_500,
            chunk_bytes: CHUNK_BYTES,
            // Some are in no hurry.
            bulk_bytes_per_tick: if self.seed % 5 == 4 { 200 } else { 1 << 20 },
            ..Config::default()
        };
        let groups: Vec<_> = specs.iter().map(|spec| spec.id).collect();
        let mut opening = Opening::new(store, config, self.seed, specs)
            .unwrap_or_else(|error| panic!("seed {}: node {at}: {error:?}", self.seed));
        self.nodes[at].machines.clear();
        for group in groups {
            let mut machine = Machine::default();
            opening.state(group, &mut |key, value| machine.load(key, value)).unwrap();
            while let Some(batch) = opening.replay(group, 300).unwrap() {
                self.check(&batch);
                for entry in batch {
                    opening.persist(group, entry.index, machine.apply(&entry)).unwrap();
                }
            }
            self.nodes[at].machines.insert(group, machine);
        }
        self.nodes[at].engine = Some(opening.start(Duration::ZERO).unwrap());
        self.nodes[at].started = self.now;
        self.nodes[at].boot += 1;
    }

    pub(crate) fn start_all(&mut self) {
        for at in 0..self.nodes.len() {
            if self.nodes[at].engine.is_none() {
                self.start(at);
            }
        }
    }

    pub(crate) fn crash(&mut self, at: usize) {
        self.nodes[at].engine = None;
        let kept = self.pick(3);
        self.nodes[at].store.crash(kept);
        if self.rots == Some(at) && self.roll(3) == 0 {
            self.rot(at);
        }
    }

    fn rot(&mut self, at: usize) {
        let group = self.any_group();
        let highest = self.acknowledged_index.get(&group).map_or(6, |index| index.get());
        let index = highest.saturating_sub(self.roll(30));
        let key = [&[1][..], &group.get().to_be_bytes(), &index.to_be_bytes()].concat();
        self.rotten += usize::from(self.nodes[at].store.rot(store::Space::Entry, &key));
    }

    /// The disk is lost with everything on it.
    pub(crate) fn wipe(&mut self, at: usize) {
        let engine = self.nodes[at].engine.take();
        let held = Opening::groups(&*self.nodes[at].store).unwrap();
        self.lost.extend(held.iter().map(|spec| (spec.id, spec.replica)));
        drop(engine);
        self.nodes[at].store = Arc::new(MemoryStore::new());
        self.start(at);
    }

    pub(crate) fn engine(&self, at: usize) -> &Engine {
        self.nodes[at].engine.as_ref().unwrap()
    }

    pub(crate) fn engine_mut(&mut self, at: usize) -> &mut Engine {
        self.nodes[at].engine.as_mut().unwrap()
    }

    /// The node that leads a group and admits, the one of the highest term if two think so.
    pub(crate) fn leader(&self, group: GroupId) -> Option<usize> {
        let leads = (0..self.nodes.len()).filter_map(|at| {
            let status = self.nodes[at].engine.as_ref()?.status(group)?;
            status.role.leads.then_some((status.role.term, at))
        });
        leads.max().map(|(_, at)| at)
    }

    fn turn(&mut self, at: usize) {
        let Some(mut engine) = self.nodes[at].engine.take() else { return };
        let mut effects = Effects::default();
        let now = TICK * u32::try_from(self.now - self.nodes[at].started).unwrap();
        engine.tick(now);
        engine.collect(&mut effects).unwrap();
        let bulk: usize = effects.bulk.iter().map(Bulk::encoded_len).sum();
        assert!(bulk < 40 * CHUNK_BYTES as usize, "seed {}: {bulk} bytes of bulk in a turn", self.seed);
        self.post(at, &mut effects.send_now);
        self.post_bulk(at, &mut effects.bulk);
        // A power cut between sending and syncing: a leader's messages are out, its disk has nothing.
        if !self.quiet && self.roll(400) == 0 {
            drop(engine);
            self.crash(at);
            return;
        }
        engine.commit(&mut effects).unwrap();
        self.post(at, &mut effects.send_after);
        for (group, index) in effects.installed.drain(..) {
            self.installed += 1;
            self.note(index.get());
            let mut machine = Machine::default();
            engine.state(group, &mut |key, value| machine.load(key, value)).unwrap();
            self.nodes[at].machines.insert(group, machine);
        }
        self.check(&effects.committed);
        for entry in effects.committed.drain(..) {
            self.note(entry.index.get() ^ (u64::from(entry.group.get()) << 32) ^ (at as u64) << 40);
            if entry.proposer.node == home(at) && entry.count > 0 {
                self.acknowledged.insert((entry.group, entry.base), entry.payload.clone());
                let highest = self.acknowledged_index.entry(entry.group).or_default();
                *highest = entry.index.max(*highest);
            }
            let machine = self.nodes[at].machines.entry(entry.group).or_default();
            engine.persist(entry.group, entry.index, machine.apply(&entry)).unwrap();
        }
        for (group, role) in effects.roles.drain(..).filter(|(_, role)| role.leads) {
            let me = engine.status(group).unwrap().replica;
            let leader = *self.leaders.entry((group, role.term)).or_insert(me);
            assert_eq!(leader, me, "seed {}: two leaders of {group} {}", self.seed, role.term);
        }
        let fine = effects.stopped.is_empty() || self.may_stop;
        assert!(fine, "seed {}: node {at}: {:?}", self.seed, effects.stopped);
        let stopped = effects.stopped.drain(..).map(|(group, fault)| (at, group, fault));
        self.stopped.extend(stopped);
        for (group, members) in effects.members.drain(..) {
            self.hear_of(group, &members);
        }
        self.upkeep(at, &mut engine);
        self.nodes[at].engine = Some(engine);
    }

    /// Some replica has applied a change.
    fn hear_of(&mut self, group: GroupId, members: &Members) {
        self.shifts += 1;
        self.note(members.highest().get() << 8 ^ members.voters().count() as u64);
        for id in (1..=members.highest().get()).map(ReplicaId::new) {
            if members.standing(id).is_none() {
                self.gone.insert((group, id));
                self.lost.remove(&(group, id));
            }
        }
    }

    fn upkeep(&mut self, at: usize, engine: &mut Engine) {
        if engine.wants_flush() || self.roll(20) == 0 {
            engine.flush_state().unwrap();
        }
        if self.roll(20) == 0 {
            engine.compact().unwrap();
        }
        for group in engine.groups() {
            let replica = engine.status(group).unwrap().replica;
            let told = self.tells && self.gone.contains(&(group, replica));
            if told && (self.quiet || self.roll(20) == 0) {
                engine.retire(group).unwrap();
                assert!(engine.status(group).is_none());
                self.nodes[at].machines.remove(&group);
            }
        }
        // What a wish has placed here is opened sooner or later.
        let mine: Vec<_> = self.homes.iter().filter(|(_, home)| **home == at).map(|(k, _)| *k).collect();
        for (group, replica) in mine {
            let over = self.gone.contains(&(group, replica)) || self.lost.contains(&(group, replica));
            if over || engine.status(group).is_some() || (!self.quiet && self.roll(10) != 0) {
                continue;
            }
            let history = self.groups.iter().find(|(id, _)| *id == group).unwrap().1;
            let voters = self.voters_to_ask(group, replica);
            if !voters.is_empty() {
                engine.open(GroupSpec { id: group, history, replica, voters }).unwrap();
            }
        }
    }

    /// What the node that opens a replica is told: any member list that some node has.
    fn voters_to_ask(&mut self, group: GroupId, replica: ReplicaId) -> Vec<(ReplicaId, NodeId)> {
        let lists: Vec<Vec<_>> = self
            .nodes
            .iter()
            .filter_map(|node| {
                let members = node.engine.as_ref()?.members(group)?;
                Some(members.voters().map(|voter| (voter, members.node(voter).unwrap())).collect())
            })
            .collect();
        if lists.is_empty() {
            return Vec::new();
        }
        let pick = self.pick(lists.len());
        lists[pick].iter().copied().filter(|(voter, _)| *voter != replica).collect()
    }

    fn post(&mut self, at: usize, messages: &mut Vec<Message>) {
        for message in messages.drain(..) {
            let Some(to) = message.node().map(place) else {
                panic!("seed {}: node {at}: no address for {message:?}", self.seed)
            };
            if self.gets_lost(at, to) {
                continue;
            }
            let mut bytes = BytesMut::new();
            message.encode(&mut bytes);
            self.wire.push((to, Frame::Raft(bytes.freeze())));
        }
    }

    fn gets_lost(&mut self, from: usize, to: usize) -> bool {
        let lost = self.loss > 0 && self.roll(100) < self.loss;
        lost || self.cut.contains(&to) || self.cut.contains(&from)
    }

    fn post_bulk(&mut self, at: usize, frames: &mut Vec<Bulk>) {
        for bulk in frames.drain(..) {
            *self.kinds.entry(bulk.kind()).or_default() += 1;
            let to = place(bulk.node().unwrap());
            if self.gets_lost(at, to) {
                continue;
            }
            let mut bytes = BytesMut::new();
            bulk.encode(&mut bytes);
            self.wire.push((to, Frame::Bulk(bytes.freeze())));
        }
    }

    /// Delivers what is under way, in a random order, some of it twice.
    fn deliver(&mut self) {
        let mut wire = std::mem::take(&mut self.wire);
        while !wire.is_empty() {
            let pick = self.pick(wire.len());
            // Mostly in order: Raft over a stream is, and a storm of reorderings never gets anywhere.
            let pick = if self.roll(8) == 0 { pick } else { 0 };
            let (to, bytes) = wire.remove(pick);
            if self.loss > 0 && self.roll(30) == 0 {
                self.wire.push((to, bytes.clone()));
            }
            let flush = self.roll(50) == 0;
            let Some(engine) = &mut self.nodes[to].engine else { continue };
            match bytes {
                Frame::Raft(bytes) => engine.step(Message::decode(bytes).unwrap()),
                Frame::Bulk(bytes) => engine.step_bulk(Bulk::decode(bytes).unwrap()).unwrap(),
            }
            // What was stepped is not on disk yet, and a flush must not pretend that it is.
            if flush {
                engine.flush_state().unwrap();
                if !self.quiet && self.roll(8) == 0 {
                    self.crash(to);
                }
            }
        }
    }

    /// Every node proposes something to some group, which is refused where it does not lead.
    fn propose(&mut self) {
        for at in 0..self.nodes.len() {
            let group = self.any_group();
            let count = u32::try_from(self.roll(3)).unwrap();
            let truncate = self.roll(25) == 0;
            let (boot, now) = (self.nodes[at].boot, self.now);
            let Some(engine) = &mut self.nodes[at].engine else { continue };
            let Some(status) = engine.status(group) else { continue };
            let seq = self.sequences.entry((group, at, boot)).or_insert(1);
            let bytes = Bytes::from(format!("{group} {at} {boot} {seq} {}", "x".repeat(40)));
            let body = match count {
                _ if truncate => Body::LogStart(Offset::new(status.next_offset.get().saturating_sub(40))),
                0 => Body::Command(bytes),
                _ => Body::Records { count, bytes },
            };
            let (boot, number, stamp) = (BootEpoch::new(boot), Sequence::new(*seq), Stamp::new(now));
            let node = home(at);
            match engine.propose(Proposal { group, node, boot, seq: number, body, stamp }) {
                // It was proposed in an earlier term of this boot: what is in the log decides.
                Ok(()) | Err(Refusal::Repeat { .. }) => *seq += 1,
                Err(Refusal::Gap { expected }) => *seq = expected.get(),
                Err(_) => {}
            }
        }
    }

    pub(crate) fn round(&mut self) {
        self.now += 1;
        if !self.quiet {
            self.propose();
        }
        (0..self.nodes.len()).for_each(|at| self.turn(at));
        self.deliver();
    }

    pub(crate) fn rounds(&mut self, count: usize) {
        (0..count).for_each(|_| self.round());
    }

    /// Wishes for a change at whoever leads.
    pub(crate) fn change(&mut self, group: GroupId, changes: &[Change]) -> Result<(), ChangeRefusal> {
        let Some(leader) = self.leader(group) else { return Err(ChangeRefusal::NotLeader { leader: None }) };
        let outcome = self.engine_mut(leader).change(group, changes);
        for change in changes {
            if let (Change::AddLearner(replica, node), Ok(())) = (change, outcome) {
                self.homes.insert((group, *replica), place(*node));
            }
        }
        outcome
    }
}

/// The node at a place.
pub(crate) fn home(at: usize) -> NodeId {
    NodeId::new(at as u64 * 10 + 10)
}

fn place(node: NodeId) -> usize {
    usize::try_from(node.get() / 10 - 1).unwrap()
}
