//! How the two databases are set, and why.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode,
    DEFAULT_COLUMN_FAMILY_NAME, Options,
};

use super::super::Space;

/// Sizes that a node may want to change. Unit: bytes, unless it says otherwise.
#[derive(Clone, Debug)]
pub struct RocksConfig {
    /// One memtable of the log; four of them may be in memory. Default 64 MiB. Larger ones let more of
    /// a short log die before it is written a second time.
    pub log_memtable_bytes: usize,
    /// Files on level 0 of the log at which a compaction starts. Default 16. A compaction rewrites all
    /// of level 1, so fewer of them write less (3.2 bytes per byte of log instead of 3.7 at 8), and
    /// this many memtables of disk come back later.
    pub log_level0_files: i32,
    /// Write-ahead log at which old memtables are written out. Default 512 MiB. Bounds the disk that a
    /// short log takes, and the time to open after a crash.
    pub wal_bytes_max: u64,
    /// One memtable of the state. Default 256 MiB, well above what the engine lets gather between two
    /// flushes, so that flushes happen where the engine wants them.
    pub state_memtable_bytes: usize,
    /// Cache of blocks for both databases. Default 64 MiB. The tail of the log has its own cache.
    pub block_cache_bytes: usize,
    /// Whether a write that asks for a sync gets one. Default true. False survives the death of the process but not
    /// that of the machine: what was acknowledged last is lost then.
    pub sync: bool,
    /// Threads that flush and compact. Default 2.
    pub background_jobs: i32,
}

impl Default for RocksConfig {
    fn default() -> Self {
        Self {
            log_memtable_bytes: 64 * MIB,
            log_level0_files: 16,
            wal_bytes_max: 512 * MIB as u64,
            state_memtable_bytes: 256 * MIB,
            block_cache_bytes: 64 * MIB,
            sync: true,
            background_jobs: 2,
        }
    }
}

/// The name of a space on disk; part of the format.
pub(super) const fn name(space: Space) -> &'static str {
    match space {
        Space::Entry => "entry",
        Space::Meta => "meta",
        Space::State => "state",
        Space::Side => "side",
    }
}

pub(super) fn cache(config: &RocksConfig) -> Cache {
    Cache::new_lru_cache(config.block_cache_bytes)
}

pub(super) fn log(config: &RocksConfig) -> Options {
    let mut options = common(config);
    // The default mode would silently drop what follows a damaged record, which was acknowledged.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // A write-ahead log that is missing or shorter than it was when closed is damage too.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_total_wal_size(config.wal_bytes_max);
    options
}

pub(super) fn state(config: &RocksConfig) -> Options {
    let mut options = common(config);
    // Without a write-ahead log only this keeps all spaces at one point.
    options.set_atomic_flush(true);
    options
}

pub(super) fn log_spaces(config: &RocksConfig, cache: &Cache) -> Vec<ColumnFamilyDescriptor> {
    let mut entry = space(cache);
    entry.set_write_buffer_size(config.log_memtable_bytes);
    entry.set_max_write_buffer_number(4);
    entry.set_level_zero_file_num_compaction_trigger(config.log_level0_files);
    // Appends must not wait for a compaction: keys rise within a group, so level 0 reads stay cheap.
    entry.set_level_zero_slowdown_writes_trigger(48);
    entry.set_level_zero_stop_writes_trigger(96);
    entry.set_max_bytes_for_level_base(1024 * MIB as u64);
    entry.set_target_file_size_base(config.log_memtable_bytes as u64);
    // Payloads are opaque and often compressed already; whoever packs entries may compress them once.
    entry.set_compression_type(DBCompressionType::None);
    let mut meta = space(cache);
    meta.set_write_buffer_size(8 * MIB);
    vec![default_space(), described(Space::Entry, entry), described(Space::Meta, meta)]
}

pub(super) fn state_spaces(config: &RocksConfig, cache: &Cache) -> Vec<ColumnFamilyDescriptor> {
    let mut state = space(cache);
    state.set_write_buffer_size(config.state_memtable_bytes);
    state.set_compression_type(DBCompressionType::Lz4);
    let mut side = space(cache);
    side.set_write_buffer_size(config.state_memtable_bytes);
    side.set_compression_type(DBCompressionType::Lz4);
    vec![default_space(), described(Space::State, state), described(Space::Side, side)]
}

fn common(config: &RocksConfig) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_max_background_jobs(config.background_jobs);
    options.set_max_open_files(-1);
    options.set_bytes_per_sync(MIB as u64);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 * MIB);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

fn space(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(16 * 1024);
    table.set_format_version(6);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options
}

/// RocksDB insists on it; nothing is kept there.
fn default_space() -> ColumnFamilyDescriptor {
    ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, Options::default())
}

fn described(space: Space, options: Options) -> ColumnFamilyDescriptor {
    ColumnFamilyDescriptor::new(name(space), options)
}

const MIB: usize = 1024 * 1024;
