//! A disk that loses power between two writes, fails a sync, is slow, or has no room.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use holdfast_node::log::store::{Batch, Range, Space, Visit};
use holdfast_node::log::{MemoryStore, Store, StoreError, Usage};

use super::clock::Time;

/// Free bytes of a disk that has room.
const ROOMY: u64 = 1 << 40;

/// What goes wrong, and when.
#[derive(Default)]
struct Weather {
    /// Writes that still succeed before everything fails; `None`: all.
    cut_after: Option<u64>,
    /// The write that fails has reached the disk all the same.
    half: bool,
    /// Something failed: nothing is written before the next power-up.
    failed: bool,
    /// Microseconds of a sync.
    sync_micros: u64,
    full: bool,
    /// Writes to the log since the last sync.
    unsynced: usize,
    /// Something on it is damaged, and may be found at any time.
    rotten: bool,
}

/// A [`MemoryStore`] under weather.
pub(super) struct SimDisk {
    store: MemoryStore,
    /// The time that a sync takes, where there is one node: the world waits for it.
    time: Option<Arc<Time>>,
    /// Microseconds that the node has to wait for syncs, where others go on meanwhile.
    owed: AtomicU64,
    weather: Mutex<Weather>,
    /// It says that it has synced, and has not.
    lies: bool,
}

impl SimDisk {
    /// `time`: the whole world waits for this disk. `lies`: nothing is ever synced.
    pub(super) fn new(time: Option<Arc<Time>>, lies: bool) -> SimDisk {
        let (store, weather) = (MemoryStore::new(), Mutex::new(Weather::default()));
        SimDisk { store, time, owed: AtomicU64::new(0), weather, lies }
    }

    /// Microseconds of syncs since the last call of [`SimDisk::pay`].
    pub(super) fn owed(&self) -> u64 {
        self.owed.load(Ordering::Relaxed)
    }

    /// The node has begun to wait for its syncs.
    pub(super) fn pay(&self) -> u64 {
        self.owed.swap(0, Ordering::Relaxed)
    }

    /// After this many writes each write fails, as after a power cut.
    pub(super) fn cut_after(&self, writes: u64, half: bool) {
        self.with(|weather| (weather.cut_after, weather.half) = (Some(writes), half));
    }

    /// The next sync fails.
    pub(super) fn fail_sync(&self) {
        self.store.fail_sync();
        self.with(|weather| weather.failed = true);
    }

    pub(super) fn set_full(&self, full: bool) {
        self.with(|weather| weather.full = full);
    }

    pub(super) fn set_sync_micros(&self, micros: u64) {
        self.with(|weather| weather.sync_micros = micros);
    }

    /// A failure was asked for since the last power-up, or something has rotted, so that the node may end.
    pub(super) fn may_fail(&self) -> bool {
        self.with(|weather| weather.failed || weather.rotten || weather.cut_after.is_some())
    }

    /// Something has rotted since the beginning.
    pub(super) fn is_rotten(&self) -> bool {
        self.with(|weather| weather.rotten)
    }

    /// A bit of a value turns over; `false` where there is none.
    pub(super) fn rot(&self, space: Space, key: &[u8]) -> bool {
        let done = self.store.rot(space, key);
        self.with(|weather| weather.rotten |= done);
        done
    }

    /// Power goes and comes back; `kept` unsynced writes have reached the disk. Whether something was lost.
    pub(super) fn power_cut(&self, kept: usize) -> bool {
        let unsynced = self.with(|weather| std::mem::take(&mut weather.unsynced));
        self.store.crash(kept);
        self.with(|weather| (weather.cut_after, weather.half, weather.failed) = (None, false, false));
        unsynced > kept
    }

    fn with<T>(&self, change: impl FnOnce(&mut Weather) -> T) -> T {
        change(&mut self.weather.lock().expect("no holder of this lock panics"))
    }

    /// `Some(half)`: this write fails; `half`: after it was done.
    fn fails(&self) -> Option<bool> {
        self.with(|weather| {
            match &mut weather.cut_after {
                Some(0) => {}
                Some(left) => {
                    *left -= 1;
                    return None;
                }
                None => return None,
            }
            let first = !std::mem::replace(&mut weather.failed, true);
            Some(first && weather.half)
        })
    }

    fn write(&self, write: impl FnOnce(&MemoryStore) -> Result<(), StoreError>) -> Result<(), StoreError> {
        match self.fails() {
            None => write(&self.store),
            Some(half) => {
                if half {
                    write(&self.store)?;
                }
                Err(StoreError::Io { path: "memory".into(), detail: "the power went".into() })
            }
        }
    }
}

impl Store for SimDisk {
    fn write_log(&self, batch: &Batch, sync: bool) -> Result<(), StoreError> {
        if sync {
            let micros = self.with(|weather| weather.sync_micros);
            match &self.time {
                Some(time) => time.advance(micros),
                None => drop(self.owed.fetch_add(micros, Ordering::Relaxed)),
            }
        }
        let sync = sync && !self.lies;
        self.with(|weather| weather.unsynced += 1);
        self.write(|store| store.write_log(batch, sync))?;
        if sync {
            self.with(|weather| weather.unsynced = 0);
        }
        Ok(())
    }

    fn write_state(&self, batch: &Batch) -> Result<(), StoreError> {
        self.write(|store| store.write_state(batch))
    }

    fn flush_state(&self) -> Result<(), StoreError> {
        if self.lies {
            return Ok(());
        }
        self.write(Store::flush_state)
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.store.get(space, key)
    }

    fn scan(&self, range: Range<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        self.store.scan(range, visit)
    }

    fn last(&self, range: Range<'_>) -> Result<Option<(Bytes, Bytes)>, StoreError> {
        self.store.last(range)
    }

    fn reclaim(&self, range: Range<'_>) -> Result<(), StoreError> {
        self.write(|store| store.reclaim(range))
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let free_bytes = if self.with(|weather| weather.full) { 0 } else { ROOMY };
        Ok(Usage { log_bytes: 0, state_bytes: 0, free_bytes, total_bytes: ROOMY })
    }
}
