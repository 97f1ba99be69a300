//! A replica that was away for longer than the others keep their logs gets a snapshot, and the history
//! beside it: with loss, with power cuts at every step on both sides, on both stores, in bounded memory.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use holdfast_log::*;
use machine::Machine;

mod machine;

const TICK: Duration = Duration::from_millis(50);
const GROUP: GroupId = GroupId::new(7);
const CHUNK_BYTES: u64 = 200;

/// A store, and the same again where it can fail on demand.
type Disk = (Arc<dyn Store>, Option<Arc<MemoryStore>>);

struct Member {
    store: Arc<dyn Store>,
    memory: Option<Arc<MemoryStore>>,
    engine: Option<Engine>,
    machine: Machine,
    ticks: u32,
    /// What it may send of chunks and entries now, by the rate; at most a frame below 0.
    allowed: i64,
}

/// Three replicas of one group, which take turns.
struct Trio {
    history: bool,
    members: Vec<Member>,
    /// Who hears nothing and is not heard.
    away: Option<usize>,
    dice: u64,
    loss: u64,
    next: u64,
    boot: u64,
    installed: Vec<(usize, Index)>,
    /// The most bytes of bulk that one turn wanted sent, and how many frames there were of each kind.
    bulk_max: usize,
    /// `Config::bulk_bytes_per_tick`.
    rate: u64,
    /// `Config::message_bytes_max`, and the most bytes of messages that one turn sent to member 2.
    message: u64,
    sent_max: usize,
    kinds: BTreeMap<&'static str, usize>,
}

impl Trio {
    fn new(history: bool) -> Self {
        let members = (0..3).map(|_| {
            let memory = Arc::new(MemoryStore::new());
            (memory.clone() as Arc<dyn Store>, Some(memory))
        });
        Self::on(history, members.collect())
    }

    fn on(history: bool, stores: Vec<Disk>) -> Self {
        let member = |(store, memory)| Member {
            store,
            memory,
            engine: None,
            machine: Machine::default(),
            ticks: 0,
            allowed: 0,
        };
        let mut trio = Self {
            history,
            members: stores.into_iter().map(member).collect(),
            away: None,
            dice: 1,
            loss: 0,
            next: 0,
            boot: 1,
            installed: Vec::new(),
            bulk_max: 0,
            rate: Config::default().bulk_bytes_per_tick,
            message: Config::default().message_bytes_max,
            sent_max: 0,
            kinds: BTreeMap::new(),
        };
        (0..3).for_each(|at| trio.start(at).unwrap());
        trio
    }

    fn start(&mut self, at: usize) -> Result<(), LogError> {
        let voters: Vec<_> = (1..4).map(|id| (ReplicaId::new(id), NodeId::new(id))).collect();
        let spec = GroupSpec { id: GROUP, history: self.history, replica: voters[at].0, voters };
        let config = Config {
            mark_bytes: 400,
            tail_cache_bytes: 2_000,
            keep_entries: 5,
            keep_bytes: 1_000,
            chunk_bytes: CHUNK_BYTES,
            bulk_bytes_per_tick: self.rate,
            message_bytes_max: self.message,
            catch_up_bytes_per_tick: 500,
            ..Config::default()
        };
        let mut opening = Opening::new(Arc::clone(&self.members[at].store), config, 3, vec![spec])?;
        let mut machine = Machine::default();
        opening.state(GROUP, &mut |key, value| machine.load(key, value))?;
        while let Some(batch) = opening.replay(GROUP, 300)? {
            for entry in batch {
                opening.persist(GROUP, entry.index, machine.apply(&entry))?;
            }
        }
        let member = &mut self.members[at];
        (member.engine, member.machine, member.ticks) = (Some(opening.start(Duration::ZERO)?), machine, 0);
        Ok(())
    }

    fn crash(&mut self, at: usize) {
        self.members[at].engine = None;
        self.members[at].memory.as_ref().unwrap().crash(0);
        self.start(at).unwrap();
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    fn round(&mut self) {
        let mut wire: Vec<(usize, usize, bool, Bytes)> = Vec::new();
        for at in 0..3 {
            let member = &mut self.members[at];
            let Some(engine) = &mut member.engine else { continue };
            member.ticks += 1;
            engine.tick(TICK * member.ticks);
            let mut effects = Effects::default();
            engine.collect(&mut effects).unwrap();
            engine.commit(&mut effects).unwrap();
            for (group, index) in effects.installed {
                self.installed.push((at, index));
                member.machine = Machine::default();
                engine.state(group, &mut |key, value| member.machine.load(key, value)).unwrap();
            }
            for entry in &effects.committed {
                engine.persist(GROUP, entry.index, member.machine.apply(entry)).unwrap();
            }
            if engine.wants_flush() {
                engine.flush_state().unwrap();
            }
            self.bulk_max = self.bulk_max.max(effects.bulk.iter().map(Bulk::encoded_len).sum());
            let rate = i64::try_from(self.rate).unwrap();
            member.allowed = (member.allowed + rate).min(rate);
            let long =
                effects.bulk.iter().filter(|bulk| ["snapshot_chunk", "history"].contains(&bulk.kind()));
            member.allowed -= long.map(|bulk| bulk.encoded_len() as i64).sum::<i64>();
            assert!(member.allowed > -700, "{}", member.allowed);
            let mut out = BytesMut::new();
            for bulk in effects.bulk {
                *self.kinds.entry(bulk.kind()).or_default() += 1;
                bulk.encode(&mut out);
                wire.push((at, usize::try_from(bulk.to().get() - 1).unwrap(), true, out.split().freeze()));
            }
            let mut sent = 0;
            for message in effects.send_now.into_iter().chain(effects.send_after) {
                message.encode(&mut out);
                sent += if message.to().get() == 3 { out.len() } else { 0 };
                wire.push((
                    at,
                    usize::try_from(message.to().get() - 1).unwrap(),
                    false,
                    out.split().freeze(),
                ));
            }
            self.sent_max = self.sent_max.max(sent);
            wire.retain(|(from, ..)| self.away != Some(*from));
        }
        while !wire.is_empty() {
            let pick = if self.loss > 0 { usize::try_from(self.roll(wire.len() as u64)).unwrap() } else { 0 };
            let (from, to, bulk, bytes) = wire.remove(pick);
            if self.away == Some(to) || (self.loss > 0 && self.roll(100) < self.loss) {
                continue;
            }
            if bulk && self.loss > 0 && self.roll(4) == 0 {
                wire.push((from, to, bulk, bytes.clone()));
            }
            let Some(engine) = &mut self.members[to].engine else { continue };
            if bulk {
                engine.step_bulk(Bulk::decode(bytes).unwrap()).unwrap();
            } else {
                engine.step(Message::decode(bytes).unwrap());
            }
        }
    }

    fn rounds(&mut self, count: usize) {
        (0..count).for_each(|_| self.round());
    }

    fn status(&self, at: usize) -> GroupStatus {
        self.members[at].engine.as_ref().unwrap().status(GROUP).unwrap()
    }

    fn propose(&mut self, body: Body) {
        let node = NodeId::new(1);
        for _ in 0..400 {
            let leader = (0..3).find(|at| self.away != Some(*at) && self.status(*at).role.leads);
            if let Some(leader) = leader {
                let (boot, seq) = (BootEpoch::new(self.boot), Sequence::new(self.next + 1));
                let proposal =
                    Proposal { group: GROUP, node, boot, seq, body: body.clone(), stamp: Stamp::new(1) };
                match self.members[leader].engine.as_mut().unwrap().propose(proposal) {
                    Ok(()) | Err(Refusal::Repeat { .. }) => {
                        self.next += 1;
                        return;
                    }
                    Err(Refusal::Gap { expected }) => self.next = expected.get() - 1,
                    Err(_) => {}
                }
            }
            self.round();
        }
        panic!("no leader");
    }

    fn append(&mut self, count: usize) {
        for number in 0..count {
            let bytes = Bytes::from(format!("{} {number} {}", self.next, "x".repeat(60)));
            self.propose(Body::Records { count: 2, bytes });
            self.round();
        }
        self.rounds(20);
    }

    /// Member 2 is away while the others cut what it lacks.
    fn leave_behind(&mut self) {
        self.append(20);
        self.away = Some(2);
        self.append(120);
        self.propose(Body::LogStart(Offset::new(120)));
        self.rounds(10);
        for at in 0..2 {
            let engine = self.members[at].engine.as_mut().unwrap();
            engine.flush_state().unwrap();
            engine.compact().unwrap();
        }
        let lacks = self.status(2).last;
        assert!((0..2).all(|at| self.status(at).first > lacks.next()), "{:?} {lacks}", self.status(0));
        self.away = None;
    }

    fn is_back(&self) -> bool {
        let (mine, theirs) = (self.status(2), self.status(0));
        !mine.waiting && mine.applied == theirs.applied && mine.history_whole && theirs.history_whole
    }

    fn come_back(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.round();
            if self.is_back() {
                break;
            }
        }
        assert!(self.is_back(), "{:#?}\n{:#?}", self.status(2), self.status(0));
        assert_eq!(self.members[2].machine, self.members[0].machine);
        assert!(self.members[0].machine.rows.len() > 10);
    }

    fn entries(&self, at: usize, from: Offset) -> Vec<Arc<Entry>> {
        let reader = self.members[at].engine.as_ref().unwrap().reader();
        let (mut at, next) = (from, reader.bounds(GROUP).unwrap().1);
        let mut found: Vec<Arc<Entry>> = Vec::new();
        while at < next {
            found.extend(reader.read(GROUP, at, 900).unwrap());
            at = found.last().unwrap().end();
        }
        found
    }

    /// The history is the same bytes here and there, also after a restart.
    fn compare_histories(&mut self) {
        let from = self.status(0).first_offset.max(self.status(2).first_offset);
        assert_eq!(
            from,
            Offset::new(120),
            "{:#?} {:#?} {:?}",
            self.status(0),
            self.status(2),
            self.installed
        );
        let all = self.entries(0, from);
        assert!(all.len() > 50);
        assert_eq!(self.entries(2, from), all);
        let bytes = self.status(2).log_bytes;
        self.crash(2);
        assert!(self.status(2).history_whole);
        assert_eq!(self.entries(2, from), all);
        assert_eq!(self.status(2).log_bytes, bytes);
    }
}

#[test]
fn a_replica_that_was_away_too_long_gets_a_snapshot_and_goes_on() {
    let mut trio = Trio::new(false);
    trio.leave_behind();
    trio.come_back(200);
    assert_eq!(trio.installed.len(), 1, "{:?}", trio.installed);
    assert!(trio.kinds["snapshot_chunk"] >= 5, "{:?}", trio.kinds);
    trio.append(5);
    trio.come_back(50);
}

#[test]
fn a_history_is_copied_after_the_snapshot_and_is_the_same_bytes() {
    let mut trio = Trio::new(true);
    trio.leave_behind();
    let mut refused = 0;
    for _ in 0..200 {
        trio.round();
        let reader = trio.members[2].engine.as_ref().unwrap().reader();
        let status = trio.status(2);
        if !status.waiting && !status.history_whole {
            refused += 1;
            let outcome = reader.read(GROUP, Offset::new(200), 1);
            assert!(matches!(outcome, Err(ReadError::NotHeld { .. })), "{outcome:?}");
            assert!(matches!(reader.read(GROUP, Offset::new(1), 1), Err(ReadError::Truncated { .. })));
        }
    }
    assert!(refused > 0, "it is not whole at once");
    trio.come_back(1);
    assert!(trio.kinds["history"] >= 10, "it comes in ranges: {:?}", trio.kinds);
    trio.compare_histories();
    trio.rounds(50);
    trio.append(5);
    trio.come_back(50);
}

#[test]
fn what_is_under_way_is_bounded() {
    let mut trio = Trio::new(true);
    trio.leave_behind();
    trio.come_back(300);
    // A window of chunks, and one row or entry more than fits in each.
    assert!(trio.bulk_max > CHUNK_BYTES as usize && trio.bulk_max < 8 * 700, "{}", trio.bulk_max);
}

#[test]
fn what_leaves_keeps_to_the_rate_and_comes_all_the_same() {
    let mut rounds = Vec::new();
    for rate in [40, 1_000_000] {
        let mut trio = Trio::new(true);
        trio.rate = rate;
        (0..3).for_each(|at| trio.crash(at));
        trio.leave_behind();
        let before = trio.members[2].ticks;
        trio.come_back(3_000);
        rounds.push(trio.members[2].ticks - before);
        trio.compare_histories();
    }
    assert!(rounds[0] > rounds[1] + 50, "{rounds:?}");
}

#[test]
fn loss_repeats_and_reordering_cost_time_alone() {
    for seed in 0..30 {
        let mut trio = Trio::new(seed % 2 == 0);
        trio.leave_behind();
        (trio.dice, trio.loss) = (seed, 20);
        trio.rounds(60);
        trio.loss = 5;
        trio.come_back(2_000);
        trio.loss = 0;
        if trio.history {
            trio.compare_histories();
        }
    }
}

#[test]
fn a_power_cut_of_the_receiver_at_any_step_is_survived() {
    for step in 0..60 {
        let mut trio = Trio::new(step % 2 == 0);
        trio.leave_behind();
        trio.rounds(step);
        trio.crash(2);
        trio.rounds(3);
        trio.crash(2);
        trio.come_back(600);
        if trio.history {
            trio.compare_histories();
        }
    }
}

#[test]
fn a_power_cut_of_the_senders_at_any_step_is_survived() {
    for step in 0..40 {
        let mut trio = Trio::new(step % 2 == 0);
        trio.leave_behind();
        trio.rounds(step);
        trio.crash(0);
        trio.rounds(step % 7);
        trio.crash(1);
        trio.come_back(800);
        trio.boot += 1;
        trio.next = 0;
        trio.append(3);
        trio.come_back(100);
    }
}

#[test]
fn a_snapshot_is_right_while_the_group_goes_on() {
    for history in [false, true] {
        let mut trio = Trio::new(history);
        trio.leave_behind();
        for number in 0..60 {
            let bytes = Bytes::from(format!("more {number} {}", "y".repeat(50)));
            trio.propose(Body::Records { count: 1, bytes });
            trio.round();
        }
        trio.come_back(300);
        assert!(!trio.installed.is_empty());
    }
}

#[test]
fn real_disks_do_the_same() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let open = |dir: &tempfile::TempDir| -> Disk {
        (Arc::new(RocksStore::open(dir.path(), &RocksConfig::default()).unwrap()), None)
    };
    let mut trio = Trio::on(true, dirs.iter().map(open).collect());
    trio.leave_behind();
    trio.come_back(300);
    let all = trio.entries(0, Offset::new(120));
    assert_eq!(trio.entries(2, Offset::new(120)), all);
    trio.members[2].engine = None;
    trio.members[2].store = Arc::new(MemoryStore::new());
    trio.members[2].store = open(&dirs[2]).0;
    trio.start(2).unwrap();
    assert!(trio.status(2).history_whole);
    assert_eq!(trio.entries(2, Offset::new(120)), all);
}

fn entry_key(index: u64) -> Vec<u8> {
    [&[1][..], &GROUP.get().to_be_bytes(), &index.to_be_bytes()].concat()
}

#[test]
fn a_damaged_entry_is_never_served_and_comes_back_from_a_peer() {
    let mut trio = Trio::new(true);
    trio.append(60);
    let memory = trio.members[2].memory.clone().unwrap();
    let before = memory.get(store::Space::Entry, &entry_key(20)).unwrap();
    assert!(memory.rot(store::Space::Entry, &entry_key(20)));
    let reader = trio.members[2].engine.as_ref().unwrap().reader();
    let damaged = |offset: &Offset| matches!(reader.read(GROUP, *offset, 1), Err(ReadError::Damaged { .. }));
    let offset = (0..120).map(Offset::new).find(damaged).expect("it is found and not served");
    trio.rounds(20);
    assert!(reader.read(GROUP, offset, 1).is_ok());
    assert_eq!(memory.get(store::Space::Entry, &entry_key(20)).unwrap(), before, "the same bytes");
}

#[test]
fn damage_at_the_open_is_repaired_before_the_replica_takes_part() {
    let mut trio = Trio::new(true);
    trio.append(60);
    let memory = trio.members[2].memory.clone().unwrap();
    let last = trio.status(2).last.get();
    trio.members[2].engine = None;
    memory.crash(0);
    for index in [last, last - 1, last - 3] {
        assert!(memory.rot(store::Space::Entry, &entry_key(index)));
    }
    trio.start(2).unwrap();
    assert!(trio.status(2).waiting, "it neither votes nor acknowledges");
    let reader = trio.members[2].engine.as_ref().unwrap().reader();
    assert!(matches!(reader.read(GROUP, Offset::new(0), 1), Err(ReadError::NotHeld { .. })));
    trio.come_back(200);
    assert_eq!(trio.entries(2, Offset::new(0)), trio.entries(0, Offset::new(0)));
}

#[test]
fn a_follower_that_catches_up_under_load_gets_old_entries_at_a_rate_and_gets_there() {
    let mut trio = Trio::new(true);
    trio.message = 2_000;
    (0..3).for_each(|at| trio.crash(at));
    trio.append(20);
    trio.away = Some(2);
    let load = |trio: &mut Trio, bytes| {
        trio.propose(Body::Records { count: 1, bytes: Bytes::from("x".repeat(bytes)) });
        trio.round();
    };
    (0..100).for_each(|_| load(&mut trio, 5_000));
    (trio.away, trio.sent_max) = (None, 0);
    let lag = |trio: &Trio| trio.status(0).last.get() - trio.status(2).last.get();
    let first = lag(&trio);
    let rounds = (0..400).position(|_| {
        load(&mut trio, 5_000);
        lag(&trio) < 5
    });
    // What is new, half as much again of what is old, and what goes over that. Raft alone sends 64 entries at once.
    assert!((10_000..40_000).contains(&trio.sent_max), "{}", trio.sent_max);
    assert!(rounds.is_some_and(|rounds| rounds > 50), "{first} entries took {rounds:?} rounds");
    // Without load all of it comes at once.
    trio.away = Some(2);
    (0..100).for_each(|_| load(&mut trio, 5_000));
    trio.away = None;
    let rounds = (0..100).position(|_| {
        trio.round();
        lag(&trio) < 5
    });
    assert!(rounds.is_some_and(|rounds| rounds < 30), "{rounds:?}");
}
