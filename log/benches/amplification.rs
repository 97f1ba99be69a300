//! How many bytes the disk writes for one byte of log, with retention cutting behind.
//!
//! `cargo bench -p holdfast-log --bench amplification`; takes half a minute and 2 GiB of `TMPDIR`.
#![allow(clippy::unwrap_used, reason = "a bench stops where it fails")]
#![allow(clippy::print_stdout, reason = "its answer is what it prints")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_log::*;

const GROUPS: u32 = 16;
const TOTAL: u64 = 3 << 30;

fn main() {
    for (size, keep) in [(4_096, 16 << 20), (4_096, u64::MAX)] {
        measure(size, keep);
    }
}

/// Appends `TOTAL` bytes in entries of `size`, keeps about `keep` bytes of each group.
fn measure(size: usize, keep: u64) {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(RocksStore::open(dir.path(), &RocksConfig::default()).unwrap());
    let me = (ReplicaId::new(1), NodeId::new(1));
    let spec = |id| GroupSpec { id: GroupId::new(id), history: true, replica: me.0, voters: vec![me] };
    let opening = Opening::new(store, Config::default(), 1, (0..GROUPS).map(spec).collect()).unwrap();
    let mut engine = opening.start(Duration::ZERO).unwrap();
    let mut effects = Effects::default();
    while engine.is_busy() {
        turn(&mut engine, &mut effects);
    }
    let payload = noise(size);
    let mut sequences: BTreeMap<GroupId, u64> = BTreeMap::new();
    let (before, start) = (written(), Instant::now());
    let mut bytes = 0;
    let mut slowest = Duration::ZERO;
    while bytes < TOTAL {
        let begin = Instant::now();
        for number in 0..GROUPS * 8 {
            let body = Body::Records { count: 1, bytes: payload.clone() };
            propose(&mut engine, GroupId::new(number % GROUPS), &mut sequences, body);
            bytes += size as u64;
        }
        turn(&mut engine, &mut effects);
        slowest = slowest.max(begin.elapsed());
        if bytes % (64 << 20) < u64::from(GROUPS) * 8 * size as u64 {
            cut(&mut engine, &mut effects, &mut sequences, keep);
        }
    }
    let usage = engine.reader().usage().unwrap();
    println!(
        "entries of {size} B, {} MiB kept per group: {:.2} bytes written per byte, {} MiB on disk, {} MB/s, slowest turn {slowest:?}",
        if keep == u64::MAX { "all".into() } else { (keep >> 20).to_string() },
        (written() - before) as f64 / bytes as f64,
        usage.log_bytes >> 20,
        u128::from(bytes) / start.elapsed().as_micros(),
    );
}

fn cut(engine: &mut Engine, effects: &mut Effects, sequences: &mut BTreeMap<GroupId, u64>, keep: u64) {
    for group in engine.groups() {
        if let Some(start) = engine.log_start_for(group, Stamp::new(0), keep) {
            propose(engine, group, sequences, Body::LogStart(start));
        }
    }
    turn(engine, effects);
    engine.flush_state().unwrap();
    engine.compact().unwrap();
}

fn propose(engine: &mut Engine, group: GroupId, sequences: &mut BTreeMap<GroupId, u64>, body: Body) {
    let last = sequences.entry(group).or_default();
    *last += 1;
    let (node, boot, seq) = (NodeId::new(1), BootEpoch::new(1), Sequence::new(*last));
    engine.propose(Proposal { group, node, boot, seq, body, stamp: Stamp::new(1) }).unwrap();
}

fn turn(engine: &mut Engine, effects: &mut Effects) {
    engine.collect(effects).unwrap();
    engine.commit(effects).unwrap();
    let last: BTreeMap<_, _> = effects.committed.drain(..).map(|entry| (entry.group, entry.index)).collect();
    for (group, index) in last {
        engine.persist(group, index, StateBatch::default()).unwrap();
    }
    effects.clear();
}

/// Bytes that do not compress.
fn noise(size: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..size).map(|_| next()).collect::<Vec<_>>().into()
}

/// Bytes that this process has caused to be written to disk.
fn written() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    text.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
}
