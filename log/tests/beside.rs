//! Readers read beside the engine while it appends, evicts and cuts.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{GROUP, Node, records, spec};
use holdfast_log::*;

#[test]
fn a_reader_never_sees_damage_or_a_gap_while_the_log_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        RocksConfig { log_memtable_bytes: 128 * 1024, log_level0_files: 2, ..RocksConfig::default() };
    let store = Arc::new(RocksStore::open(dir.path(), &config).unwrap());
    let mut node = Node::open(store, &[spec(GROUP, true)], 1).unwrap();
    let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for seed in 1..3_u64 {
            let reader = node.engine.reader();
            let (done, reads) = (&done, &reads);
            scope.spawn(move || {
                let mut dice = seed;
                while !done.load(Ordering::Relaxed) {
                    dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let (first, next) = reader.bounds(GROUP).unwrap();
                    let from = Offset::new(first.get() + (dice >> 33) % (next.get() - first.get() + 1));
                    match reader.read(GROUP, from, 2_000) {
                        Ok(found) => check(from, next, &found),
                        Err(ReadError::Truncated { first: later }) => assert!(later > from),
                        Err(error) => panic!("{from} of {first} to {next}: {error:?}"),
                    }
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 0..1_500_u64 {
            node.append(GROUP, 2, 300);
            if number % 50 == 49 {
                let start = node.engine.log_start_for(GROUP, Stamp::new(0), 60_000);
                start.into_iter().for_each(|start| node.propose(GROUP, Body::LogStart(start)));
                node.settle().unwrap();
                node.engine.flush_state().unwrap();
                node.engine.compact().unwrap();
            }
        }
        node.propose(GROUP, records(1, 1));
        done.store(true, Ordering::Relaxed);
    });
    assert!(node.status().first_offset > Offset::new(1_000), "it was cut");
    assert!(reads.into_inner() > 100);
}

fn check(from: Offset, next: Offset, found: &[Arc<Entry>]) {
    assert!(from == next || !found.is_empty(), "{from} of {next} is there");
    if let Some(first) = found.first() {
        assert!(first.base <= from && from < first.end());
    }
    assert!(found.windows(2).all(|pair| pair[0].end() == pair[1].base), "dense");
}
