//! A real directory: damage is refused and named, space comes back, one process at a time.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{GROUP, Node, read_all, spec};
use holdfast_log::*;

/// Small memtables, so that small tests have files.
fn small() -> RocksConfig {
    RocksConfig { log_memtable_bytes: 64 * 1024, log_level0_files: 2, ..RocksConfig::default() }
}

fn open(dir: &Path) -> Result<Node, LogError> {
    let store = Arc::new(RocksStore::open(dir, &small())?);
    Node::open(store, &[spec(GROUP, true)], 1)
}

/// Payloads that do not compress and differ everywhere.
fn payload(number: u64, size: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..size).map(|_| next()).collect()
}

fn fill(dir: &Path, entries: u64, size: usize) -> Vec<Arc<Entry>> {
    let mut node = open(dir).unwrap();
    for number in 0..entries {
        node.propose(GROUP, Body::Records { count: 1, bytes: payload(number, size).into() });
        node.settle().unwrap();
    }
    read_all(&node.engine.reader(), GROUP)
}

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir.join("log")).unwrap().map(|file| file.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|end| end == ending));
    found.sort();
    found
}

/// As after a power cut: closing has flushed the state, which would know what the log should hold.
fn forget_state(dir: &Path) {
    fs::remove_dir_all(dir.join("state")).unwrap();
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// The whole text of an error with everything that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

#[test]
fn a_real_directory_reopens_with_everything() {
    let dir = tempfile::tempdir().unwrap();
    let before = fill(dir.path(), 300, 500);
    let mut node = open(dir.path()).unwrap();
    assert_eq!(read_all(&node.engine.reader(), GROUP), before);
    node.engine.flush_state().unwrap();
    drop(node);
    let node = open(dir.path()).unwrap();
    assert_eq!(read_all(&node.engine.reader(), GROUP), before);
    assert_eq!(node.counts[&GROUP], 300);
    let usage = node.engine.reader().usage().unwrap();
    assert!(usage.log_bytes > 150_000 && usage.state_bytes > 0 && usage.free_bytes > 0);
    let [log, state] = node.engine.reader().figures().unwrap();
    assert!(log.table_bytes > 100_000 && state.table_bytes > 0, "{log:?} {state:?}");
    assert_eq!((log.background_errors, log.stalled), (0, 0));
    assert!(log.memtable_bytes > 0, "{log:?}");
}

#[test]
fn a_flipped_bit_in_the_write_ahead_log_is_refused_and_the_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 50, 500);
    let wal = files(dir.path(), "log").pop().unwrap();
    let whole = fs::read(&wal).unwrap();
    assert!(whole.len() > 25_000, "the entries are in the write-ahead log");
    for part in 1..20 {
        flip(&wal, whole.len() * part / 20);
        forget_state(dir.path());
        let error = open(dir.path()).err().expect("it is refused");
        assert!(matches!(error, LogError::Store(StoreError::Damaged { .. })), "{part}: {error:?}");
        assert!(chain(&error).contains("/log"), "{part}: {}", chain(&error));
        fs::write(&wal, &whole).unwrap();
    }
    // The very last byte belongs to a record that was synced: it is damage and not a torn end.
    flip(&wal, whole.len() - 1);
    forget_state(dir.path());
    assert!(open(dir.path()).is_err());
}

#[test]
fn a_torn_end_of_the_write_ahead_log_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let before = fill(dir.path(), 50, 500);
    let wal = files(dir.path(), "log").pop().unwrap();
    let whole = fs::read(&wal).unwrap();
    fs::write(&wal, &whole[..whole.len() - 100]).unwrap();
    let error = open(dir.path()).err().expect("the flushed state knows of more");
    assert!(matches!(error, LogError::Damaged { .. }), "{error:?}");
    forget_state(dir.path());
    let node = open(dir.path()).unwrap();
    let after = read_all(&node.engine.reader(), GROUP);
    assert_eq!(after, before[..49]);
}

#[test]
fn a_flipped_bit_in_a_table_is_refused_and_the_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let before = fill(dir.path(), 800, 500);
    let tables = files(dir.path(), "sst");
    assert!(!tables.is_empty());
    let mut named = 0;
    for table in &tables {
        let whole = fs::read(table).unwrap();
        flip(table, whole.len() / 2);
        let error = match open(dir.path()) {
            Err(error) => chain(&error),
            Ok(node) => served_or_named(&node.engine.reader(), &before),
        };
        let name = table.file_name().unwrap().to_string_lossy().into_owned();
        named += usize::from(error.contains(&name));
        fs::write(table, &whole).unwrap();
    }
    assert!(named > 0, "at least the entries' tables are named");
}

/// Reads every entry; each is either what it was or an error. Returns the errors' text.
fn served_or_named(reader: &Reader, before: &[Arc<Entry>]) -> String {
    let mut errors = String::new();
    for entry in before {
        match reader.read(GROUP, entry.base, 1) {
            Ok(found) => assert_eq!(found[0], *entry),
            Err(error) => errors += &chain(&error),
        }
    }
    errors
}

#[test]
fn a_log_start_gives_the_disk_back() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), 3_000, 2_000);
    let mut node = open(dir.path()).unwrap();
    let reader = node.engine.reader();
    let before = reader.usage().unwrap().log_bytes;
    assert!(before > 6_000_000, "{before}");
    node.next.insert(GROUP, 3_000);
    node.propose(GROUP, Body::LogStart(Offset::new(2_900)));
    node.settle().unwrap();
    node.engine.flush_state().unwrap();
    node.engine.compact().unwrap();
    // Compactions run in the background: write enough to start one, then watch it for as long as it takes.
    let (mut after, patience) = (before, Instant::now() + Duration::from_secs(60));
    let mut number = 0;
    while after >= before / 3 && Instant::now() < patience {
        if number < 400 {
            node.propose(GROUP, Body::Records { count: 1, bytes: payload(number, 2_000).into() });
            node.settle().unwrap();
            number += 1;
        }
        after = reader.usage().unwrap().log_bytes;
    }
    assert!(after < before / 3, "{before} before, {after} after");
    assert_eq!(reader.bounds(GROUP).unwrap().0, Offset::new(2_900));
    assert_eq!(read_all(&reader, GROUP)[0].base, Offset::new(2_900));
}

#[test]
fn files_that_await_compaction_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let patient = RocksConfig { log_level0_files: 40, ..small() };
    let store = Arc::new(RocksStore::open(dir.path(), &patient).unwrap());
    let mut node = Node::open(store, &[spec(GROUP, true)], 1).unwrap();
    let reader = node.engine.reader();
    // Flushes run in the background: write until one is done.
    for _ in 0..2_000 {
        node.append(GROUP, 1, 2_000);
        if reader.figures().unwrap()[0].level0_files > 0 {
            return;
        }
    }
    panic!("{:?}", reader.figures());
}
