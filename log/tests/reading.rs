//! Reading by offset, from memory and from disk; retention; cuts.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod common;

use std::sync::Arc;

use common::{GROUP, Node, read_all, records, spec};
use holdfast_log::store::Space;
use holdfast_log::*;

fn filled(store: &Arc<MemoryStore>, entries: u32) -> Node {
    let mut node = Node::open(store.clone(), &[spec(GROUP, true)], 1).unwrap();
    for number in 0..entries {
        if number % 5 == 4 {
            node.propose(GROUP, Body::Command(vec![0; 40].into()));
        }
        node.append(GROUP, 1 + number % 3, 150);
    }
    node
}

#[test]
fn every_offset_is_found_in_memory_and_on_disk() {
    let store = Arc::new(MemoryStore::new());
    let node = filled(&store, 300);
    let reader = node.engine.reader();
    let all = read_all(&reader, GROUP);
    assert_eq!(all.len(), 300);
    for entry in &all {
        for offset in entry.base.get()..entry.end().get() {
            let found = reader.read(GROUP, Offset::new(offset), 1).unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0], *entry, "offset {offset}");
        }
    }
    let next = node.status().next_offset;
    assert_eq!(reader.read(GROUP, next, 1), Ok(Vec::new()));
    assert_eq!(reader.read(GROUP, next.next(), 1), Err(ReadError::Beyond { next }));
    assert_eq!(reader.read(GroupId::new(1), next, 1), Err(ReadError::Unknown(GroupId::new(1))));
}

#[test]
fn memory_and_disk_give_the_same_entries_after_a_restart() {
    let store = Arc::new(MemoryStore::new());
    let before = read_all(&filled(&store, 120).engine.reader(), GROUP);
    store.crash(0);
    let node = Node::open(store, &[spec(GROUP, true)], 2).unwrap();
    assert_eq!(read_all(&node.engine.reader(), GROUP), before);
}

#[test]
fn a_read_respects_its_byte_limit_and_never_returns_nothing() {
    let store = Arc::new(MemoryStore::new());
    let node = filled(&store, 200);
    let reader = node.engine.reader();
    for from in [0, 100, 380] {
        let one = reader.read(GROUP, Offset::new(from), 0).unwrap();
        assert_eq!(one.len(), 1);
        let some = reader.read(GROUP, Offset::new(from), 1_000).unwrap();
        assert!(some.iter().map(|entry| entry.bytes()).sum::<u64>() <= 1_000);
        assert!(some.len() > 1);
    }
}

#[test]
fn the_tail_is_shared_and_not_copied() {
    let store = Arc::new(MemoryStore::new());
    let mut node = filled(&store, 20);
    node.append(GROUP, 1, 10);
    let last = node.applied.last().unwrap();
    let read = node.engine.reader().read(GROUP, last.base, 1).unwrap();
    assert!(Arc::ptr_eq(&read[0], last.entry()));
}

#[test]
fn rot_is_named_and_never_served() {
    let store = Arc::new(MemoryStore::new());
    let node = filled(&store, 200);
    let reader = node.engine.reader();
    let victim = reader.read(GROUP, Offset::new(50), 1).unwrap()[0].clone();
    let key = [&[1][..], &GROUP.get().to_be_bytes(), &victim.index.get().to_be_bytes()].concat();
    assert!(store.rot(Space::Entry, &key));
    let read = reader.read(GROUP, victim.base, 1);
    assert!(matches!(read, Err(ReadError::Damaged { group: GROUP, index, .. }) if index == victim.index));
    assert!(reader.read(GROUP, victim.end(), 1).is_ok());
    drop(node);
    store.crash(0);
    let opened = Node::open(store, &[spec(GROUP, true)], 2);
    assert!(
        matches!(opened, Err(LogError::Damaged { index, .. }) if index == victim.index),
        "replay meets it"
    );
}

#[test]
fn retention_cuts_by_age_and_by_bytes_and_the_log_shrinks() {
    let store = Arc::new(MemoryStore::new());
    let mut node = filled(&store, 300);
    let whole = node.status();
    assert_eq!(node.engine.log_start_for(GROUP, Stamp::new(0), u64::MAX), None);
    let by_bytes = node.engine.log_start_for(GROUP, Stamp::new(0), whole.log_bytes / 2).unwrap();
    let by_age = node.engine.log_start_for(GROUP, Stamp::new(1_100), u64::MAX).unwrap();
    assert!(by_age < by_bytes);
    let kept: Vec<_> =
        read_all(&node.engine.reader(), GROUP).into_iter().filter(|e| e.base >= by_age).collect();
    let gone = read_all(&node.engine.reader(), GROUP).len() - kept.len();
    assert!(gone > 0);
    node.propose(GROUP, Body::LogStart(by_age));
    node.settle().unwrap();
    node.engine.compact().unwrap();
    assert_eq!(node.status().log_bytes, whole.log_bytes + 84, "nothing goes before its state is flushed");
    node.engine.flush_state().unwrap();
    node.engine.compact().unwrap();
    let cut = node.status();
    assert!(cut.log_bytes < whole.log_bytes && cut.first > whole.first);
    assert_eq!(cut.first_offset, by_age);
    assert_eq!(read_all(&node.engine.reader(), GROUP), kept);
    let read = node.engine.reader().read(GROUP, by_age, 1).unwrap();
    assert_eq!(read[0].base, by_age);
    drop(node);
    store.crash(0);
    let node = Node::open(store, &[spec(GROUP, true)], 2).unwrap();
    assert_eq!(node.status().first, cut.first);
    assert_eq!(read_all(&node.engine.reader(), GROUP), kept);
}

#[test]
fn everything_is_old_when_the_last_stamp_is() {
    let store = Arc::new(MemoryStore::new());
    let mut node = filled(&store, 50);
    let next = node.status().next_offset;
    let start = node.engine.log_start_for(GROUP, Stamp::new(1_000_000), u64::MAX);
    assert_eq!(start, Some(next));
    node.propose(GROUP, Body::LogStart(next));
    node.settle().unwrap();
    node.engine.flush_state().unwrap();
    node.engine.compact().unwrap();
    assert_eq!(node.engine.reader().bounds(GROUP), Some((next, next)));
    assert_eq!(node.engine.log_start_for(GROUP, Stamp::new(1_000_000), 0), None);
    node.append(GROUP, 2, 100);
    assert_eq!(read_all(&node.engine.reader(), GROUP)[0].base, next);
}

#[test]
fn a_group_without_history_keeps_what_its_state_does_not_cover() {
    let store = Arc::new(MemoryStore::new());
    let mut node = Node::open(store.clone(), &[spec(GROUP, false)], 1).unwrap();
    for _ in 0..200 {
        node.append(GROUP, 1, 150);
    }
    node.engine.compact().unwrap();
    assert_eq!(node.status().first, Index::new(6));
    node.engine.flush_state().unwrap();
    node.engine.compact().unwrap();
    let status = node.status();
    assert!(status.first > Index::new(150) && status.first.get() + 10 <= status.applied.get());
    drop(node);
    store.crash(0);
    let mut node = Node::open(store, &[spec(GROUP, false)], 2).unwrap();
    assert_eq!(node.counts[&GROUP], 200);
    node.append(GROUP, 1, 150);
    assert_eq!(node.status().next_offset, Offset::new(201));
}

#[test]
fn the_side_table_scans_by_prefix() {
    let store = Arc::new(MemoryStore::new());
    let reader = filled(&store, 1).engine.reader();
    let row = |key: &str, value: &str| (key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()));
    reader.side_write(vec![row("a/1", "x"), row("a/2", "y"), row("a/3", "z"), row("b/1", "w")]).unwrap();
    assert_eq!(reader.side_get(b"a/2").unwrap().as_deref(), Some(&b"y"[..]));
    let keys = |from: &[u8], limit| {
        let rows = reader.side_scan(b"a/", from, limit).unwrap();
        rows.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(keys(b"", 10), ["a/1", "a/2", "a/3"]);
    assert_eq!(keys(b"2", 1), ["a/2"]);
    reader.side_write(vec![(b"a/2".to_vec(), None)]).unwrap();
    reader.side_delete_range(b"a/3", b"b").unwrap();
    assert_eq!(keys(b"", 10), ["a/1"]);
    assert_eq!(reader.side_scan(b"", b"", 10).unwrap().len(), 2);
}

#[test]
fn memory_stays_within_its_limit_and_every_group_keeps_its_last_entry() {
    let store = Arc::new(MemoryStore::new());
    let groups: Vec<_> = (1..5).map(|id| spec(GroupId::new(id), true)).collect();
    let mut node = Node::open(store, &groups, 1).unwrap();
    node.append(GroupId::new(1), 1, 500);
    for _ in 0..100 {
        node.append(GroupId::new(2), 1, 500);
        node.propose(GroupId::new(3), records(1, 500));
    }
    let reader = node.engine.reader();
    assert!(reader.held_bytes() <= 8_000);
    let last = node.applied.iter().find(|entry| entry.group == GroupId::new(1)).unwrap();
    assert!(Arc::ptr_eq(&reader.read(GroupId::new(1), Offset::new(0), 1).unwrap()[0], last.entry()));
    assert_eq!(read_all(&reader, GroupId::new(2)).len(), 100);
}
