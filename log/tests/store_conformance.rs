//! Both stores do what a store must do.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::sync::Arc;

use holdfast_log::store::{RocksConfig, suite};
use holdfast_log::{MemoryStore, RocksStore, Store, StoreError};

#[test]
fn the_memory_store_conforms() {
    suite::run(&|| {
        let store = Arc::new(MemoryStore::new());
        Box::new(move || {
            store.crash(0);
            Arc::clone(&store) as Arc<dyn Store>
        })
    });
}

#[test]
fn the_rocks_store_conforms() {
    suite::run(&|| {
        let dir = tempfile::tempdir().unwrap();
        Box::new(move || {
            Arc::new(RocksStore::open(dir.path(), &RocksConfig::default()).unwrap()) as Arc<dyn Store>
        })
    });
}

#[test]
fn a_data_directory_has_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let first = RocksStore::open(dir.path(), &RocksConfig::default()).unwrap();
    let second = RocksStore::open(dir.path(), &RocksConfig::default());
    assert!(matches!(second, Err(StoreError::InUse { path }) if path.ends_with("log")));
    drop(first);
    RocksStore::open(dir.path(), &RocksConfig::default()).unwrap();
}

#[test]
fn a_failed_sync_is_never_retried() {
    let store = MemoryStore::new();
    let mut batch = holdfast_log::store::Batch::default();
    batch.put(holdfast_log::store::Space::Entry, b"k", vec![1]);
    store.fail_sync();
    assert!(matches!(store.write_log(&batch, true), Err(StoreError::Io { .. })));
    assert_eq!(store.write_log(&batch, true), Err(StoreError::Stopped));
    store.crash(0);
    assert_eq!(store.get(holdfast_log::store::Space::Entry, b"k"), Ok(None));
}
