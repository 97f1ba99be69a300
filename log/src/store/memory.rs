//! A simulated disk for tests: everything written without a sync is lost in a crash.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use super::{Batch, Op, Range, Space, Store, StoreError, Usage, Visit};

/// Keeps what a disk would keep. Never used by a node outside of tests and simulations.
///
/// [`MemoryStore::crash`] is a power cut. A failure that was asked for happens once, at the next
/// write it applies to; from then on every write is refused, as a real disk must not be trusted again.
#[derive(Debug, Default)]
pub struct MemoryStore {
    disk: Mutex<Disk>,
}

type Place = (Space, Bytes);
type Table = BTreeMap<Place, Bytes>;

#[derive(Debug, Default)]
struct Disk {
    /// What readers see.
    live: Table,
    /// What a power cut leaves.
    durable: Table,
    /// Log batches that are not durable yet, oldest first.
    unsynced: VecDeque<Batch>,
    /// State batches that are not durable yet, oldest first.
    unflushed: VecDeque<Batch>,
    faults: Faults,
    stopped: bool,
    writes: u64,
    syncs: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    sync: bool,
    full: bool,
}

impl MemoryStore {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// A power cut that keeps the first `kept` of the unsynced log batches: a disk may have written
    /// more than it had to. The state half falls back to its last flush.
    pub fn crash(&self, kept: usize) {
        let mut disk = self.lock();
        for _ in 0..kept {
            let Some(batch) = disk.unsynced.pop_front() else { break };
            apply(&mut disk.durable, &batch);
        }
        disk.unsynced.clear();
        disk.unflushed.clear();
        disk.live = disk.durable.clone();
        disk.faults = Faults::default();
        disk.stopped = false;
    }

    /// The next sync fails.
    pub fn fail_sync(&self) {
        self.lock().faults.sync = true;
    }

    /// The next write finds the disk full.
    pub fn fill(&self) {
        self.lock().faults.full = true;
    }

    /// How often the log half was written and synced.
    pub fn counts(&self) -> (u64, u64) {
        let disk = self.lock();
        (disk.writes, disk.syncs)
    }

    /// Flips one bit in the middle of a stored value, as rot would; false where the key is absent.
    pub fn rot(&self, space: Space, key: &[u8]) -> bool {
        let mut disk = self.lock();
        let place = (space, Bytes::copy_from_slice(key));
        let Some(value) = disk.live.get(&place) else { return false };
        let mut value = value.to_vec();
        let middle = value.len() / 2;
        value[middle] ^= 1;
        let value = Bytes::from(value);
        disk.durable.insert(place.clone(), value.clone());
        disk.live.insert(place, value);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("no holder of this lock panics")
    }
}

impl Store for MemoryStore {
    fn write_log(&self, batch: &Batch, sync: bool) -> Result<(), StoreError> {
        let mut disk = self.lock();
        disk.check_write()?;
        assert!(batch.ops().iter().all(|op| op.space().in_log()), "only log spaces go to the log half");
        apply(&mut disk.live, batch);
        disk.unsynced.push_back(batch.clone());
        disk.writes += 1;
        if !sync {
            return Ok(());
        }
        disk.check_sync()?;
        disk.syncs += 1;
        while let Some(batch) = disk.unsynced.pop_front() {
            apply(&mut disk.durable, &batch);
        }
        Ok(())
    }

    fn write_state(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut disk = self.lock();
        disk.check_write()?;
        assert!(!batch.ops().iter().any(|op| op.space().in_log()), "only state spaces go to the state half");
        apply(&mut disk.live, batch);
        disk.unflushed.push_back(batch.clone());
        Ok(())
    }

    fn flush_state(&self) -> Result<(), StoreError> {
        let mut disk = self.lock();
        disk.check_write()?;
        disk.check_sync()?;
        while let Some(batch) = disk.unflushed.pop_front() {
            apply(&mut disk.durable, &batch);
        }
        Ok(())
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.lock().live.get(&(space, Bytes::copy_from_slice(key))).cloned())
    }

    fn scan(&self, range: Range<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        // The visitor may come back to this store, so it is called outside of the lock, and long ranges
        // are taken in pieces, because most visitors stop early.
        let mut from = range.from.to_vec();
        loop {
            let Some(bounds) = bounds(Range { from: &from, ..range }) else { return Ok(()) };
            let piece: Vec<_> =
                self.lock().live.range(bounds).take(PIECE).map(|(k, v)| (k.1.clone(), v.clone())).collect();
            for (key, value) in &piece {
                if !visit(key, value) {
                    return Ok(());
                }
            }
            let Some((last, _)) = piece.last().filter(|_| piece.len() == PIECE) else { return Ok(()) };
            from = [last, &[0][..]].concat();
        }
    }

    fn last(&self, range: Range<'_>) -> Result<Option<(Bytes, Bytes)>, StoreError> {
        let Some(bounds) = bounds(range) else { return Ok(None) };
        Ok(self.lock().live.range(bounds).next_back().map(|(k, v)| (k.1.clone(), v.clone())))
    }

    fn reclaim(&self, range: Range<'_>) -> Result<(), StoreError> {
        // A deleted file is gone at once, whether or not the deletion of its keys was synced.
        let mut disk = self.lock();
        let mut batch = Batch::default();
        batch.delete_range(range.space, range.from, range.to);
        apply(&mut disk.live, &batch);
        apply(&mut disk.durable, &batch);
        Ok(())
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let disk = self.lock();
        let size = |log: bool| {
            let mine = disk.live.iter().filter(|(k, _)| k.0.in_log() == log);
            mine.map(|(k, v)| (k.1.len() + v.len()) as u64).sum()
        };
        Ok(Usage {
            log_bytes: size(true),
            state_bytes: size(false),
            free_bytes: u64::MAX,
            total_bytes: u64::MAX,
        })
    }
}

impl Disk {
    fn check_write(&mut self) -> Result<(), StoreError> {
        if self.stopped {
            return Err(StoreError::Stopped);
        }
        if self.faults.full {
            self.stopped = true;
            return Err(StoreError::Full { path: name(), detail: "as the test asked".into() });
        }
        Ok(())
    }

    fn check_sync(&mut self) -> Result<(), StoreError> {
        if self.faults.sync {
            self.stopped = true;
            return Err(StoreError::Io { path: name(), detail: "sync failed as the test asked".into() });
        }
        Ok(())
    }
}

fn apply(table: &mut Table, batch: &Batch) {
    for op in batch.ops() {
        match op {
            Op::Put(space, key, value) => {
                table.insert((*space, Bytes::copy_from_slice(key)), value.clone());
            }
            Op::Delete(space, key) => {
                table.remove(&(*space, Bytes::copy_from_slice(key)));
            }
            Op::DeleteRange(space, from, to) => {
                let Some(bounds) = bounds(Range { space: *space, from, to }) else { continue };
                let doomed: Vec<_> = table.range(bounds).map(|(k, _)| k.clone()).collect();
                for key in doomed {
                    table.remove(&key);
                }
            }
        }
    }
}

/// The bounds of a range in the table, or `None` for an empty range, which the table would not take.
fn bounds(range: Range<'_>) -> Option<(Bound<Place>, Bound<Place>)> {
    if range.from >= range.to {
        return None;
    }
    let key = |bytes: &[u8]| (range.space, Bytes::copy_from_slice(bytes));
    Some((Bound::Included(key(range.from)), Bound::Excluded(key(range.to))))
}

fn name() -> PathBuf {
    PathBuf::from("memory")
}

/// Keys that a scan takes at a time.
const PIECE: usize = 64;
