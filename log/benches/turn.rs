//! What a turn costs: one entry or many, one group or many, on a real disk.
//!
//! `cargo bench -p holdfast-log`; the directory is `TMPDIR`, which should be on the disk that counts.
#![allow(clippy::unwrap_used, reason = "a bench stops where it fails")]
#![allow(clippy::print_stdout, reason = "its answer is what it prints")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_log::*;

fn main() {
    for (groups, entries, records, size) in [
        (1, 1, 1, 256),
        (16, 1, 1, 256),
        (16, 16, 1, 256),
        (16, 64, 1, 256),
        (16, 16, 64, 16_384),
        (16, 64, 64, 16_384),
    ] {
        measure(groups, entries, (records, size));
    }
}

/// `entries` entries per turn spread over `groups`, each with `records` records in `size` bytes.
fn measure(groups: u32, entries: u64, (records, size): (u32, usize)) {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(RocksStore::open(dir.path(), &RocksConfig::default()).unwrap());
    let me = (ReplicaId::new(1), NodeId::new(1));
    let spec = |id| GroupSpec { id: GroupId::new(id), history: true, replica: me.0, voters: vec![me] };
    let opening = Opening::new(store, Config::default(), 1, (0..groups).map(spec).collect()).unwrap();
    let mut engine = opening.start(Duration::ZERO).unwrap();
    let mut effects = Effects::default();
    while engine.is_busy() {
        turn(&mut engine, &mut effects);
    }
    let payload = Bytes::from(vec![7; size]);
    let mut sequences: BTreeMap<GroupId, Sequence> = BTreeMap::new();
    let (mut turns, mut number) = (Vec::new(), 0_u64);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        let begin = Instant::now();
        for _ in 0..entries {
            let group = GroupId::new(u32::try_from(number % u64::from(groups)).unwrap());
            number += 1;
            let seq = sequences.entry(group).or_default();
            *seq = seq.next();
            let (node, boot, seq) = (me.1, BootEpoch::new(1), *seq);
            let body = Body::Records { count: records, bytes: payload.clone() };
            engine.propose(Proposal { group, node, boot, seq, body, stamp: Stamp::new(number) }).unwrap();
        }
        turn(&mut engine, &mut effects);
        turns.push(begin.elapsed());
    }
    turns.sort();
    let cpu = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let rate = number * u64::from(records) * 1_000_000 / u64::try_from(start.elapsed().as_micros()).unwrap();
    println!(
        "{groups} groups, {entries} x {records} records in {size} B per turn: p50 {:?} p99 {:?}, {rate} records/s (process cpu {:?}+{:?})",
        turns[turns.len() / 2],
        turns[turns.len() * 99 / 100],
        cpu.user_time(),
        cpu.system_time(),
    );
}

fn turn(engine: &mut Engine, effects: &mut Effects) {
    engine.collect(effects).unwrap();
    engine.commit(effects).unwrap();
    let mut last = BTreeMap::new();
    for entry in effects.committed.drain(..) {
        last.insert(entry.group, entry.index);
    }
    for (group, index) in last {
        engine.persist(group, index, StateBatch::default()).unwrap();
    }
    effects.clear();
}
