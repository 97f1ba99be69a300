//! The real disk: two RocksDB databases in one data directory.
//!
//! `log/` has a write-ahead log, which is what a sync makes durable. `state/` has none: it becomes
//! durable by flushes of all its spaces at one point.

mod options;

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use rocksdb::{ColumnFamily, DB, ErrorKind, FlushOptions, ReadOptions, WriteBatch, WriteOptions};

use super::{Batch, HalfFigures, Op, Range, Space, Store, StoreError, Usage, Visit};
pub use options::RocksConfig;

/// Two databases under one directory. Only one process at a time can hold them.
pub struct RocksStore {
    path: PathBuf,
    log: DB,
    state: DB,
    sync: bool,
    stopped: AtomicBool,
}

impl RocksStore {
    /// Opens the data directory, and makes it where it is missing.
    ///
    /// Refuses a directory that another process holds, and a log whose middle is damaged. Only an
    /// unfinished record at the very end is dropped: nobody was told that it is safe.
    pub fn open(path: &Path, config: &RocksConfig) -> Result<Self, StoreError> {
        let make = |name: &str| {
            let dir = path.join(name);
            std::fs::create_dir_all(&dir).map_err(|error| io_error(&dir, &error))?;
            Ok::<_, StoreError>(dir)
        };
        let (log_path, state_path) = (make("log")?, make("state")?);
        let cache = options::cache(config);
        let log =
            DB::open_cf_descriptors(&options::log(config), &log_path, options::log_spaces(config, &cache))
                .map_err(|error| store_error(&log_path, &error))?;
        let state = DB::open_cf_descriptors(
            &options::state(config),
            &state_path,
            options::state_spaces(config, &cache),
        )
        .map_err(|error| store_error(&state_path, &error))?;
        let path = path.to_owned();
        Ok(Self { path, log, state, sync: config.sync, stopped: AtomicBool::new(false) })
    }

    fn db(&self, space: Space) -> (&DB, &ColumnFamily) {
        let db = if space.in_log() { &self.log } else { &self.state };
        (db, db.cf_handle(options::name(space)).expect("every space was opened"))
    }

    fn translate(&self, batch: &Batch) -> WriteBatch {
        let mut out = WriteBatch::with_capacity_bytes(usize::try_from(batch.bytes()).unwrap_or(0));
        for op in batch.ops() {
            let (_, cf) = self.db(op.space());
            match op {
                Op::Put(_, key, value) => out.put_cf(cf, key, value),
                Op::Delete(_, key) => out.delete_cf(cf, key),
                Op::DeleteRange(_, from, to) => out.delete_range_cf(cf, from.as_slice(), to.as_slice()),
            }
        }
        out
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.stopped.load(Ordering::Acquire) { Err(StoreError::Stopped) } else { Ok(()) }
    }

    /// Turns a failed write into our error, after which nothing is written any more.
    fn fatal(&self, error: &rocksdb::Error) -> StoreError {
        self.stopped.store(true, Ordering::Release);
        store_error(&self.path, error)
    }

    fn read_error(&self, error: &rocksdb::Error) -> StoreError {
        store_error(&self.path, error)
    }
}

impl Store for RocksStore {
    fn write_log(&self, batch: &Batch, sync: bool) -> Result<(), StoreError> {
        self.check()?;
        assert!(batch.ops().iter().all(|op| op.space().in_log()), "only log spaces go to the log half");
        let mut options = WriteOptions::default();
        options.set_sync(sync && self.sync);
        options.set_memtable_insert_hint_per_batch(true);
        self.log.write_opt(self.translate(batch), &options).map_err(|error| self.fatal(&error))
    }

    fn write_state(&self, batch: &Batch) -> Result<(), StoreError> {
        self.check()?;
        assert!(!batch.ops().iter().any(|op| op.space().in_log()), "only state spaces go to the state half");
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.state.write_opt(self.translate(batch), &options).map_err(|error| self.fatal(&error))
    }

    fn flush_state(&self) -> Result<(), StoreError> {
        self.check()?;
        let spaces = [self.db(Space::State).1, self.db(Space::Side).1];
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.state.flush_cfs_opt(&spaces, &options).map_err(|error| self.fatal(&error))
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let (db, cf) = self.db(space);
        let found = db.get_pinned_cf(cf, key).map_err(|error| self.read_error(&error))?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, range: Range<'_>, visit: Visit<'_>) -> Result<(), StoreError> {
        if range.from >= range.to {
            return Ok(());
        }
        let (db, cf) = self.db(range.space);
        let mut iterator = db.raw_iterator_cf_opt(cf, bounded(range));
        iterator.seek_to_first();
        while let Some((key, value)) = iterator.item() {
            if !visit(key, value) {
                return Ok(());
            }
            iterator.next();
        }
        iterator.status().map_err(|error| self.read_error(&error))
    }

    fn last(&self, range: Range<'_>) -> Result<Option<(Bytes, Bytes)>, StoreError> {
        if range.from >= range.to {
            return Ok(None);
        }
        let (db, cf) = self.db(range.space);
        let mut iterator = db.raw_iterator_cf_opt(cf, bounded(range));
        iterator.seek_to_last();
        let found = iterator.item().map(|(k, v)| (Bytes::copy_from_slice(k), Bytes::copy_from_slice(v)));
        iterator.status().map_err(|error| self.read_error(&error))?;
        Ok(found)
    }

    fn reclaim(&self, range: Range<'_>) -> Result<(), StoreError> {
        if range.from >= range.to {
            return Ok(());
        }
        let (db, cf) = self.db(range.space);
        // Whole files inside the range go at once; what shares a file with other groups goes when
        // RocksDB next compacts that file.
        db.delete_file_in_range_cf(cf, range.from, range.to).map_err(|error| self.fatal(&error))
    }

    fn usage(&self) -> Result<Usage, StoreError> {
        let disk = nix::sys::statvfs::statvfs(&self.path)
            .map_err(|error| io_error(&self.path, &std::io::Error::from(error)))?;
        Ok(Usage {
            log_bytes: folder_bytes(&self.path.join("log"))?,
            state_bytes: folder_bytes(&self.path.join("state"))?,
            free_bytes: disk.blocks_available() * disk.fragment_size(),
            total_bytes: disk.blocks() * disk.fragment_size(),
        })
    }

    fn figures(&self) -> Result<[HalfFigures; 2], StoreError> {
        Ok([half(self, [Space::Entry, Space::Meta])?, half(self, [Space::State, Space::Side])?])
    }
}

/// One number of each space of a half, added up.
fn sum(store: &RocksStore, spaces: [Space; 2], name: &CStr) -> Result<u64, StoreError> {
    let mut total = 0;
    for space in spaces {
        let (db, cf) = store.db(space);
        let text = db.property_value_cf(cf, name).map_err(|error| store.read_error(&error))?;
        total += text.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(total)
}

fn half(store: &RocksStore, spaces: [Space; 2]) -> Result<HalfFigures, StoreError> {
    let sum = |name| sum(store, spaces, name);
    Ok(HalfFigures {
        memtable_bytes: sum(c"rocksdb.cur-size-all-mem-tables")?,
        table_bytes: sum(c"rocksdb.total-sst-files-size")?,
        level0_files: sum(c"rocksdb.num-files-at-level0")?,
        pending_compaction_bytes: sum(c"rocksdb.estimate-pending-compaction-bytes")?,
        // These belong to the whole half: every space gives the same number.
        block_cache_bytes: sum(c"rocksdb.block-cache-usage")? / 2,
        background_errors: sum(c"rocksdb.background-errors")? / 2,
        stalled: sum(c"rocksdb.is-write-stopped")? / 2,
    })
}

fn bounded(range: Range<'_>) -> ReadOptions {
    let mut options = ReadOptions::default();
    // Without a lower bound a seek would step over every tombstone of what was truncated.
    options.set_iterate_lower_bound(range.from);
    options.set_iterate_upper_bound(range.to);
    options
}

fn folder_bytes(path: &Path) -> Result<u64, StoreError> {
    let files = std::fs::read_dir(path).map_err(|error| io_error(path, &error))?;
    // A file that vanishes while we look was deleted by a compaction and takes no space.
    Ok(files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum())
}

/// RocksDB gives its errors as text alone, so this is the one place that reads text.
fn store_error(path: &Path, error: &rocksdb::Error) -> StoreError {
    let (path, detail) = (path.to_owned(), error.as_ref().to_owned());
    let holds = |words: &str| detail.contains(words);
    if error.kind() == ErrorKind::Corruption {
        let detail = match damaged_place(&path) {
            Some(place) => format!("{detail} ({place})"),
            None => detail,
        };
        StoreError::Damaged { path, detail }
    } else if holds("No space left") || holds("Space limit") {
        StoreError::Full { path, detail }
    } else if holds("/LOCK") && (holds("lock hold") || holds("lock file")) {
        StoreError::InUse { path }
    } else {
        StoreError::Io { path, detail }
    }
}

/// Where a recovery met damage: RocksDB says that in its own log alone, as "FILE: dropping N bytes; REASON", where
/// N counts from the damage to the end of what it had read.
fn damaged_place(path: &Path) -> Option<String> {
    let text = std::fs::read(path.join("LOG")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| line.contains(": dropping "))?;
    let (file, rest) = line.split_once(": dropping ")?;
    let file = file.rsplit(' ').next()?;
    let dropped: u64 = rest.split(' ').next()?.parse().ok()?;
    let size = std::fs::metadata(file).ok()?.len();
    Some(format!("{file} from about byte {} of {size} on", size.saturating_sub(dropped)))
}

fn io_error(path: &Path, error: &std::io::Error) -> StoreError {
    let (path, detail) = (path.to_owned(), error.to_string());
    if error.kind() == std::io::ErrorKind::StorageFull {
        return StoreError::Full { path, detail };
    }
    StoreError::Io { path, detail }
}
