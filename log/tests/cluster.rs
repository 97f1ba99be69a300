//! Three replicas, a network that loses and reorders, power cuts: all of it from one seed.
//!
//! Replicas stay away for longer than the others keep their logs, logs are cut, and one replica's disk rots.
//!
//! What must hold: nothing acknowledged is lost, one offset has one content everywhere and for ever,
//! each term has one leader, all states are the same in the end, and the same seed gives the same run.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use holdfast_log::*;
use machine::Machine;

mod machine;

const GROUPS: [GroupId; 3] = [GroupId::new(1), GroupId::new(2), GroupId::new(3)];
/// Small enough that a snapshot has several.
const CHUNK_BYTES: u64 = 300;
const TICK: Duration = Duration::from_millis(50);

struct Member {
    store: Arc<MemoryStore>,
    engine: Option<Engine>,
    started: u64,
    boot: u64,
    machines: BTreeMap<GroupId, Machine>,
}

/// What is under way.
#[derive(Clone)]
enum Frame {
    Raft(Bytes),
    Bulk(Bytes),
}

struct Cluster {
    seed: u64,
    dice: u64,
    now: u64,
    members: Vec<Member>,
    /// Messages under way, as bytes, with their addressee.
    wire: Vec<(usize, Frame)>,
    /// Who cannot be reached.
    cut: Option<usize>,
    /// How many snapshots were put in place, and entries damaged.
    installed: usize,
    rotten: usize,
    loss: u64,
    /// No proposals and no power cuts any more.
    quiet: bool,
    /// The first content that anyone applied at an offset.
    content: BTreeMap<(GroupId, Offset), Arc<Entry>>,
    /// The offsets that were acknowledged to a proposer.
    acknowledged: BTreeMap<(GroupId, Offset), Bytes>,
    leaders: BTreeMap<(GroupId, Term), ReplicaId>,
    /// The highest acknowledged index of each group.
    acknowledged_index: BTreeMap<GroupId, Index>,
    /// Reads that were asked for, with the highest index acknowledged before; and how many were answered.
    asked: BTreeMap<u64, Option<Index>>,
    answered: usize,
    sequences: BTreeMap<(GroupId, usize, u64), u64>,
    trace: u64,
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let member = || Member {
            store: Arc::new(MemoryStore::new()),
            engine: None,
            started: 0,
            boot: 0,
            machines: BTreeMap::new(),
        };
        let mut cluster = Self {
            seed,
            dice: seed,
            now: 0,
            members: (0..3).map(|_| member()).collect(),
            wire: Vec::new(),
            cut: None,
            installed: 0,
            rotten: 0,
            loss: 0,
            quiet: false,
            content: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            leaders: BTreeMap::new(),
            acknowledged_index: BTreeMap::new(),
            asked: BTreeMap::new(),
            answered: 0,
            sequences: BTreeMap::new(),
            trace: 0,
        };
        (0..3).for_each(|member| cluster.start(member));
        cluster
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    fn note(&mut self, value: u64) {
        self.trace = (self.trace.rotate_left(7) ^ value).wrapping_mul(0x0100_0000_01b3);
    }

    fn start(&mut self, at: usize) {
        let voters: Vec<_> = (1..4).map(|id| (ReplicaId::new(id), NodeId::new(id * 10))).collect();
        let spec = |(number, id): (usize, GroupId)| GroupSpec {
            id,
            history: number != 2,
            replica: voters[at].0,
            voters: voters.clone(),
        };
        let specs: Vec<_> = GROUPS.into_iter().enumerate().map(spec).collect();
        let config = Config {
            mark_bytes: 500,
            tail_cache_bytes: 4_000,
            keep_entries: 5,
            keep_bytes: 1_500,
            chunk_bytes: CHUNK_BYTES,
            ..Config::default()
        };
        let store = Arc::clone(&self.members[at].store);
        let mut opening = Opening::new(store, config, self.seed, specs).unwrap();
        for group in GROUPS {
            let mut machine = Machine::default();
            opening.state(group, &mut |key, value| machine.load(key, value)).unwrap();
            while let Some(batch) = opening.replay(group, 300).unwrap() {
                self.check(&batch);
                for entry in batch {
                    opening.persist(group, entry.index, machine.apply(&entry)).unwrap();
                }
            }
            self.members[at].machines.insert(group, machine);
        }
        self.members[at].engine = Some(opening.start(Duration::ZERO).unwrap());
        self.members[at].started = self.now;
        self.members[at].boot += 1;
    }

    fn crash(&mut self, at: usize) {
        self.members[at].engine = None;
        let kept = self.roll(3);
        self.members[at].store.crash(usize::try_from(kept).unwrap());
        if at as u64 == self.seed % 3 && self.roll(3) == 0 {
            self.rot(at);
        }
    }

    /// Damages an entry on one disk. Always the same disk: an entry that is damaged everywhere is lost.
    fn rot(&mut self, at: usize) {
        let group = GROUPS[usize::try_from(self.roll(3)).unwrap()];
        let highest = self.acknowledged_index.get(&group).map_or(6, |index| index.get());
        let index = highest.saturating_sub(self.roll(30));
        let key = [&[1][..], &group.get().to_be_bytes(), &index.to_be_bytes()].concat();
        self.rotten += usize::from(self.members[at].store.rot(store::Space::Entry, &key));
    }

    /// State machine safety: nobody ever applies anything else at an offset.
    fn check(&mut self, batch: &[Committed]) {
        for entry in batch.iter().filter(|entry| entry.count > 0) {
            let first =
                self.content.entry((entry.group, entry.base)).or_insert_with(|| entry.entry().clone());
            assert_eq!(first, entry.entry(), "seed {}: {} {}", self.seed, entry.group, entry.base);
        }
    }

    fn turn(&mut self, at: usize) {
        let Some(mut engine) = self.members[at].engine.take() else { return };
        let mut effects = Effects::default();
        let now = TICK * u32::try_from(self.now - self.members[at].started).unwrap();
        engine.tick(now);
        engine.collect(&mut effects).unwrap();
        let bulk: usize = effects.bulk.iter().map(Bulk::encoded_len).sum();
        assert!(bulk < 30 * CHUNK_BYTES as usize, "seed {}: {bulk} bytes of bulk in a turn", self.seed);
        self.post(&mut effects.send_now);
        self.post_bulk(&mut effects.bulk);
        // A power cut between sending and syncing: a leader's messages are out, its disk has nothing.
        if !self.quiet && self.roll(400) == 0 {
            drop(engine);
            self.crash(at);
            return;
        }
        engine.commit(&mut effects).unwrap();
        self.post(&mut effects.send_after);
        for (group, index) in effects.installed.drain(..) {
            self.installed += 1;
            self.note(index.get());
            let mut machine = Machine::default();
            engine.state(group, &mut |key, value| machine.load(key, value)).unwrap();
            self.members[at].machines.insert(group, machine);
        }
        self.check(&effects.committed);
        for entry in effects.committed.drain(..) {
            self.note(entry.index.get() ^ (u64::from(entry.group.get()) << 32) ^ (at as u64) << 40);
            if entry.proposer.node.get() == at as u64 * 10 + 10 && entry.count > 0 {
                self.acknowledged.insert((entry.group, entry.base), entry.payload.clone());
                let highest = self.acknowledged_index.entry(entry.group).or_default();
                *highest = entry.index.max(*highest);
            }
            let changes = self.members[at].machines.get_mut(&entry.group).unwrap().apply(&entry);
            engine.persist(entry.group, entry.index, changes).unwrap();
        }
        for read in effects.reads.drain(..) {
            // A message that came twice may be answered twice.
            let before = self.asked[&read.token];
            assert!(Some(read.index) >= before, "seed {}: {read:?} misses {before:?}", self.seed);
            self.answered += 1;
        }
        for (group, role) in effects.roles.drain(..).filter(|(_, role)| role.leads) {
            let me = ReplicaId::new(at as u64 + 1);
            let leader = *self.leaders.entry((group, role.term)).or_insert(me);
            assert_eq!(leader, me, "seed {}: two leaders of {group} {}", self.seed, role.term);
        }
        assert!(effects.stopped.is_empty(), "seed {}: {:?}", self.seed, effects.stopped);
        self.upkeep(&mut engine);
        self.members[at].engine = Some(engine);
    }

    fn upkeep(&mut self, engine: &mut Engine) {
        if engine.wants_flush() || self.roll(20) == 0 {
            engine.flush_state().unwrap();
        }
        if self.roll(20) == 0 {
            engine.compact().unwrap();
        }
    }

    fn post(&mut self, messages: &mut Vec<Message>) {
        for message in messages.drain(..) {
            let to = usize::try_from(message.to().get() - 1).unwrap();
            let from = usize::try_from(message.from().get() - 1).unwrap();
            assert_eq!(message.node(), Some(NodeId::new(message.to().get() * 10)));
            let lost = self.loss > 0 && self.roll(100) < self.loss;
            if lost || self.cut == Some(to) || self.cut == Some(from) {
                continue;
            }
            let mut bytes = BytesMut::new();
            message.encode(&mut bytes);
            self.wire.push((to, Frame::Raft(bytes.freeze())));
        }
    }

    fn post_bulk(&mut self, frames: &mut Vec<Bulk>) {
        for bulk in frames.drain(..) {
            let to = usize::try_from(bulk.to().get() - 1).unwrap();
            let from = usize::try_from(bulk.from().get() - 1).unwrap();
            assert_eq!(bulk.node(), Some(NodeId::new(bulk.to().get() * 10)));
            let lost = self.loss > 0 && self.roll(100) < self.loss;
            if lost || self.cut == Some(to) || self.cut == Some(from) {
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
            let pick = usize::try_from(self.roll(wire.len() as u64)).unwrap();
            // Mostly in order: Raft over a stream is, and a storm of reorderings never gets anywhere.
            let pick = if self.roll(8) == 0 { pick } else { 0 };
            let (to, bytes) = wire.remove(pick);
            if self.loss > 0 && self.roll(30) == 0 {
                self.wire.push((to, bytes.clone()));
            }
            let flush = self.roll(50) == 0;
            let Some(engine) = &mut self.members[to].engine else { continue };
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

    fn propose(&mut self) {
        for at in 0..3 {
            let group = GROUPS[usize::try_from(self.roll(3)).unwrap()];
            let boot = self.members[at].boot;
            let count = u32::try_from(self.roll(3)).unwrap();
            let truncate = self.roll(25) == 0;
            let node = NodeId::new(at as u64 * 10 + 10);
            let token = self.now * 3 + at as u64;
            let Some(engine) = &mut self.members[at].engine else { continue };
            if count == 1 {
                self.asked.insert(token, self.acknowledged_index.get(&group).copied());
                engine.read_index(group, token);
            }
            let seq = self.sequences.entry((group, at, boot)).or_insert(1);
            let bytes = Bytes::from(format!("{group} {at} {boot} {seq} {}", "x".repeat(40)));
            let next = engine.status(group).unwrap().next_offset.get();
            let body = match count {
                _ if truncate => Body::LogStart(Offset::new(next.saturating_sub(40))),
                0 => Body::Command(bytes),
                _ => Body::Records { count, bytes },
            };
            let (boot, number, stamp) = (BootEpoch::new(boot), Sequence::new(*seq), Stamp::new(self.now));
            match engine.propose(Proposal { group, node, boot, seq: number, body, stamp }) {
                Ok(()) => *seq += 1,
                // It was proposed in an earlier term of this boot: what is in the log decides.
                Err(Refusal::Repeat { .. }) => *seq += 1,
                Err(Refusal::Gap { expected }) => *seq = expected.get(),
                Err(_) => {}
            }
        }
    }

    fn round(&mut self) {
        self.now += 1;
        if !self.quiet {
            self.propose();
        }
        for at in 0..3 {
            self.turn(at);
        }
        self.deliver();
    }

    fn storm(&mut self, rounds: u64) {
        for _ in 0..rounds {
            match self.roll(60) {
                0 => self.cut = Some(usize::try_from(self.roll(3)).unwrap()),
                1 => self.cut = None,
                3 => self.loss = self.roll(30),
                4 => {
                    let at = usize::try_from(self.roll(3)).unwrap();
                    if self.members[at].engine.is_some() {
                        self.crash(at);
                    }
                }
                _ => {}
            }
            for at in 0..3 {
                if self.members[at].engine.is_none() && self.roll(10) == 0 {
                    self.start(at);
                }
            }
            self.round();
        }
    }

    /// After the storm everybody comes back, agrees, and has everything that was acknowledged.
    fn heal(&mut self) {
        (self.cut, self.loss) = (None, 0);
        for at in 0..3 {
            if self.members[at].engine.is_none() {
                self.start(at);
            }
        }
        let before = self.acknowledged.len();
        for _ in 0..200 {
            for at in 0..3 {
                if self.members[at].engine.is_none() {
                    self.start(at);
                }
            }
            self.round();
        }
        assert!(self.acknowledged.len() > before, "seed {}: alive again", self.seed);
        self.quiet = true;
        for at in 0..3 {
            if self.members[at].engine.is_none() {
                self.start(at);
            }
        }
        (0..100).for_each(|_| self.round());
        for _ in 0..5 {
            self.read_all();
            (0..40).for_each(|_| self.round());
        }
        self.verify();
    }

    /// Readers find what is damaged; from then on it is asked for.
    fn read_all(&self) {
        for group in GROUPS {
            for reader in self.members.iter().map(|member| member.engine.as_ref().unwrap().reader()) {
                let (mut at, next) = reader.bounds(group).unwrap();
                while at < next {
                    match reader.read(group, at, 1) {
                        Ok(found) if found.is_empty() => panic!("seed {}: {group} {at} of {next}", self.seed),
                        Ok(entries) => at = entries.last().unwrap().end(),
                        Err(ReadError::Damaged { .. }) => at = at.after(1),
                        Err(error) => panic!("seed {}: {group} {at}: {error:?}", self.seed),
                    }
                }
            }
        }
    }

    fn verify(&self) {
        for group in GROUPS {
            let whole = self.members.iter().map(|m| m.engine.as_ref().unwrap().status(group).unwrap());
            let whole: Vec<_> = whole.collect();
            assert!(whole.iter().all(|status| status.history_whole), "seed {}: {whole:#?}", self.seed);
            let machines: Vec<_> = self.members.iter().map(|member| &member.machines[&group]).collect();
            assert_eq!(machines[0], machines[1], "seed {}: {group}", self.seed);
            assert_eq!(machines[0], machines[2], "seed {}: {group}", self.seed);
            let statuses = self.members.iter().map(|m| m.engine.as_ref().unwrap().status(group).unwrap());
            let ends: Vec<_> = statuses.map(|status| (status.applied, status.next_offset)).collect();
            assert!(ends.iter().all(|end| *end == ends[0]), "seed {}: {group} {ends:?}", self.seed);
            let readers: Vec<_> = self.members.iter().map(|m| m.engine.as_ref().unwrap().reader()).collect();
            for reader in &readers {
                let (mut at, next) = reader.bounds(group).unwrap();
                while at < next {
                    let found = reader.read(group, at, 500);
                    let found = found
                        .unwrap_or_else(|error| panic!("seed {}: {at}: {error:?}\n{whole:#?}", self.seed));
                    for entry in found {
                        assert_eq!(self.content[&(group, entry.base)], entry, "seed {}", self.seed);
                        at = entry.end();
                    }
                }
            }
        }
        for ((group, base), payload) in self.acknowledged.iter().filter(|((group, _), _)| *group != GROUPS[2])
        {
            let firsts = self.members.iter().map(|m| m.engine.as_ref().unwrap().status(*group).unwrap());
            if firsts.map(|status| status.first_offset).max() > Some(*base) {
                continue;
            }
            let holders = self.members.iter().filter(|member| {
                let reader = member.engine.as_ref().unwrap().reader();
                reader.read(*group, *base, 1).is_ok_and(|e| e.first().is_some_and(|e| e.payload == *payload))
            });
            assert!(holders.count() >= 2, "seed {}: {group} {base} is on a majority", self.seed);
        }
    }
}

fn run(seed: u64, rounds: u64) -> (u64, [usize; 3]) {
    let mut cluster = Cluster::new(seed);
    cluster.storm(rounds);
    cluster.heal();
    assert!(cluster.answered > 50, "seed {seed}: {} reads were answered", cluster.answered);
    (cluster.trace, [cluster.acknowledged.len(), cluster.installed, cluster.rotten])
}

#[test]
fn nothing_acknowledged_is_lost_in_a_storm() {
    let mut sums = [0; 3];
    let (first, count) = seeds();
    for seed in first..first + count {
        let counts = run(seed, 400).1;
        sums = std::array::from_fn(|at| sums[at] + counts[at]);
    }
    let [acknowledged, installed, rotten] = sums.map(|sum| sum as u64);
    assert!(acknowledged > 100 * count, "{acknowledged} were acknowledged");
    assert!(installed > count * 100 / 160, "{installed} snapshots or repairs at the open");
    assert!(rotten > count / 5, "{rotten} entries were damaged");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let first = run(77, 400);
    assert_eq!(first, run(77, 400));
    assert_ne!(first.0, run(78, 400).0);
}

#[test]
fn a_cluster_that_is_left_alone_has_one_leader_per_group() {
    let mut cluster = Cluster::new(5);
    cluster.storm(200);
    cluster.heal();
    for group in GROUPS {
        let leading = cluster.members.iter().filter(|member| {
            member.engine.as_ref().is_some_and(|engine| engine.status(group).unwrap().role.leads)
        });
        assert_eq!(leading.count(), 1, "{group}");
    }
}

/// The first seed and their number: settable, for those who have the time.
fn seeds() -> (u64, u64) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    (number("HOLDFAST_STORM_FIRST").unwrap_or(0), number("HOLDFAST_STORM_COUNT").unwrap_or(160))
}
