//! Where bytes are kept: the only IO of this crate.
//!
//! A store has two halves. The **log** half is written in batches that can be synced; the **state**
//! half is written without a log of its own and becomes durable when it is flushed, all of it at one
//! point. A store knows keys and values and nothing about Raft.
//!
//! What stays true: a batch is visible whole or not at all, also after a crash; what a synced write
//! returned from survives every crash; a store that has failed a write is not written again.

mod batch;
mod error;
mod memory;
mod rocks;
pub mod suite;

pub use batch::{Batch, Key, Op, Space};
pub use error::StoreError;
pub use memory::MemoryStore;
pub use rocks::{RocksConfig, RocksStore};

use bytes::Bytes;

/// A disk, or what stands for one in a simulation.
pub trait Store: Send + Sync {
    /// Writes to the log half. With `sync` it returns after everything up to here is on the disk.
    fn write_log(&self, batch: &Batch, sync: bool) -> Result<(), StoreError>;

    /// Writes to the state half; durable after the next [`Store::flush_state`].
    fn write_state(&self, batch: &Batch) -> Result<(), StoreError>;

    /// Makes everything written to the state half so far durable, as one point.
    fn flush_state(&self) -> Result<(), StoreError>;

    /// The value of a key.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Shows the keys of `from..to` in order, until the visitor returns false.
    fn scan(&self, range: Range<'_>, visit: Visit<'_>) -> Result<(), StoreError>;

    /// The last key of `from..to` and its value.
    fn last(&self, range: Range<'_>) -> Result<Option<(Bytes, Bytes)>, StoreError>;

    /// Gives back the disk space of a range that was deleted before.
    fn reclaim(&self, range: Range<'_>) -> Result<(), StoreError>;

    /// What the store takes and what is left.
    fn usage(&self) -> Result<Usage, StoreError>;

    /// How the two halves are, the log first; zeros where a store has nothing to tell.
    fn figures(&self) -> Result<[HalfFigures; 2], StoreError> {
        Ok([HalfFigures::default(); 2])
    }
}

/// Sees one key and its value; returns whether it wants more.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> bool;

/// The keys of one space from `from` on and below `to`.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// Where the keys live.
    pub space: Space,
    /// The first key.
    pub from: &'a [u8],
    /// The first key that is not in it.
    pub to: &'a [u8],
}

/// Disk figures of one node. Unit: bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files of the log half.
    pub log_bytes: u64,
    /// Files of the state half, side tables included.
    pub state_bytes: u64,
    /// Free for this process on the file system.
    pub free_bytes: u64,
    /// Size of the file system.
    pub total_bytes: u64,
}

/// How one half of a store is. Unit: bytes, unless the name says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HalfFigures {
    /// Written and not in a table yet.
    pub memtable_bytes: u64,
    /// In tables.
    pub table_bytes: u64,
    /// Tables that await their first compaction.
    pub level0_files: u64,
    /// What compactions have still to rewrite.
    pub pending_compaction_bytes: u64,
    /// Cached blocks of tables; one cache serves both halves, so both show the same.
    pub block_cache_bytes: u64,
    /// Flushes and compactions that failed. Anything but 0 means that the disk is failing.
    pub background_errors: u64,
    /// 1 while writes are held back because compactions cannot follow, else 0.
    pub stalled: u64,
}
