//! What is on disk comes back: after a stop, and after a power cut at every step.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod common;

use std::sync::Arc;

use common::{GROUP, Node, read_all, records, spec};
use holdfast_log::*;

#[test]
fn a_restart_goes_on_where_it_stopped() {
    let store = Arc::new(MemoryStore::new());
    for boot in 1..6 {
        let mut node = Node::open(store.clone(), &[spec(GROUP, true)], boot).unwrap();
        assert_eq!(node.status().next_offset, Offset::new((boot - 1) * 60));
        for _ in 0..20 {
            node.append(GROUP, 3, 100);
        }
        assert_eq!(node.counts[&GROUP], boot * 60);
        assert_eq!(read_all(&node.engine.reader(), GROUP).len() as u64, boot * 20);
        if boot % 2 == 0 {
            node.engine.flush_state().unwrap();
        }
    }
}

#[test]
fn flushed_state_is_not_replayed() {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::open(store.clone(), &[spec(GROUP, true)], 1).unwrap();
    node.append(GROUP, 3, 100);
    node.engine.flush_state().unwrap();
    node.append(GROUP, 2, 100);
    node.append(GROUP, 1, 100);
    drop(node);
    store.crash(0);
    let node = Node::open(store, &[spec(GROUP, true)], 2).unwrap();
    assert_eq!(node.counts[&GROUP], 6);
    assert_eq!(node.applied.len(), 2);
}

#[test]
fn nothing_acknowledged_is_lost_in_a_power_cut_at_any_step() {
    for step in 0..60 {
        let store = Arc::new(MemoryStore::new());
        let groups = [spec(GROUP, true), spec(GroupId::new(8), false)];
        let mut acknowledged = 0;
        let mut node = Node::open(store.clone(), &groups, 1).unwrap();
        for number in 0..step {
            match number % 7 {
                5 => node.engine.flush_state().unwrap(),
                6 => node.engine.compact().unwrap(),
                _ => {
                    node.append(GROUP, 2, 150);
                    node.append(GroupId::new(8), 1, 150);
                    acknowledged = node.status().next_offset.get();
                }
            }
        }
        // One more is proposed and not committed: it may be there or not.
        node.propose(GROUP, records(2, 10));
        node.engine.collect(&mut node.effects).unwrap();
        drop(node);
        store.crash(step % 3);
        let node = Node::open(store, &groups, 2).unwrap();
        let next = node.status().next_offset.get();
        assert_eq!(next, acknowledged, "step {step}");
        assert_eq!(node.counts[&GROUP], next, "step {step}");
        assert_eq!(
            read_all(&node.engine.reader(), GROUP).iter().map(|e| u64::from(e.count)).sum::<u64>(),
            next
        );
    }
}

#[test]
fn a_repeat_after_a_restart_counts_once() {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::open(store.clone(), &[spec(GROUP, true)], 1).unwrap();
    let proposal = node.proposal(GROUP, records(2, 10));
    node.engine.propose(proposal.clone()).unwrap();
    node.settle().unwrap();
    drop(node);
    store.crash(0);
    let mut node = Node::open(store, &[spec(GROUP, true)], 2).unwrap();
    assert_eq!(node.engine.propose(proposal), Err(Refusal::Repeat { committed: true }));
}

#[test]
fn a_failed_sync_ends_the_engine_and_acknowledges_nothing() {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::open(store.clone(), &[spec(GROUP, true)], 1).unwrap();
    node.propose(GROUP, records(2, 10));
    store.fail_sync();
    assert!(matches!(node.turn(), Err(LogError::Store(StoreError::Io { .. }))));
    assert!(node.applied.is_empty());
    drop(node);
    store.crash(0);
    let mut node = Node::open(store.clone(), &[spec(GROUP, true)], 2).unwrap();
    node.append(GROUP, 2, 10);
    node.propose(GROUP, records(2, 10));
    store.fill();
    assert!(matches!(node.turn(), Err(LogError::Store(StoreError::Full { .. }))));
}

#[test]
fn a_turn_that_changes_nothing_writes_nothing() {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::open(store.clone(), &[spec(GROUP, true), spec(GroupId::new(8), true)], 1).unwrap();
    let (writes, syncs) = store.counts();
    node.turn().unwrap();
    assert_eq!(store.counts(), (writes, syncs));
    node.propose(GROUP, records(1, 10));
    node.propose(GROUP, records(1, 10));
    node.propose(GroupId::new(8), records(1, 10));
    node.settle().unwrap();
    assert_eq!(store.counts(), (writes + 1, syncs + 1), "two groups, three entries, one sync");
}

#[test]
fn another_replica_or_format_is_refused() {
    let store = Arc::new(MemoryStore::new());
    drop(Node::open(store.clone(), &[spec(GROUP, true)], 1).unwrap());
    let refused =
        |spec: GroupSpec| matches!(Node::open(store.clone(), &[spec], 2), Err(LogError::Spec { .. }));
    assert!(refused(spec(GROUP, false)));
    let replica = ReplicaId::new(2);
    assert!(refused(GroupSpec { replica, voters: vec![(replica, NodeId::new(1))], ..spec(GROUP, true) }));
    assert!(refused(GroupSpec { replica, ..spec(GROUP, true) }));
    let mut batch = store::Batch::default();
    batch.put(store::Space::Meta, &[0], vec![9]);
    store.write_log(&batch, true).unwrap();
    let newer = Node::open(store, &[spec(GROUP, true)], 2);
    assert!(matches!(newer, Err(LogError::Store(StoreError::Format { found: 9, known: 1, .. }))));
}

#[test]
fn a_log_that_lost_what_was_synced_is_refused() {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::open(store.clone(), &[spec(GROUP, true)], 1).unwrap();
    for _ in 0..30 {
        node.append(GROUP, 1, 300);
    }
    node.engine.flush_state().unwrap();
    let last = node.status().last;
    drop(node);
    let key = [&[1][..], &GROUP.get().to_be_bytes(), &last.get().to_be_bytes()].concat();
    let mut batch = store::Batch::default();
    batch.delete(store::Space::Entry, &key);
    store.write_log(&batch, true).unwrap();
    assert!(
        matches!(Node::open(store, &[spec(GROUP, true)], 2), Err(LogError::Damaged { index, .. }) if index == last)
    );
}

#[test]
fn damage_that_no_peer_can_repair_is_refused_and_named() {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::open(store.clone(), &[spec(GROUP, true)], 1).unwrap();
    for _ in 0..30 {
        node.append(GROUP, 1, 300);
    }
    let index = node.status().last;
    drop(node);
    let key = [&[1][..], &GROUP.get().to_be_bytes(), &index.get().to_be_bytes()].concat();
    assert!(store.rot(store::Space::Entry, &key));
    let error = Node::open(store, &[spec(GROUP, true)], 2).err().expect("it is refused");
    assert!(matches!(error, LogError::Damaged { index: found, .. } if found == index), "{error:?}");
}
