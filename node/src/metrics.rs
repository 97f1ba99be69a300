//! Every metric of a node: names, units and help in one table, and the ways to record them.
//!
//! Hot counters are plain numbers that a worker owns and publishes in batches ([`Counters`]); latencies are
//! histogram handles ([`Latencies`]); levels are set now and then by whoever knows them ([`set_levels`],
//! [`set_partition`]). No client id and no topic is ever a label. Before [`Metrics::install`] recording costs
//! nothing and goes nowhere.

use std::time::Duration;

use metrics::{Histogram, gauge};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

mod cluster;
mod counter;
mod process;

mod table;

pub use cluster::{Direction, GroupKind, Standing, Traffic, forget_peer, set_peer, set_standing};
pub use counter::{Closed, Connect, Counters, Dropped};
pub use table::{METRICS, Metric, Sort};

/// Upper bounds of the latency histograms in seconds: from a write to the page cache to a stalled disk.
const BUCKETS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 10.0,
];

/// How often [`Metrics::upkeep`] wants to be called, so that histograms do not pile up what nobody scrapes.
pub const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder of this process, to be rendered for a scrape.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Makes the recorder that everything in this process records to; once for each process.
    pub fn install() -> Result<Self, BuildError> {
        let recorder = recorder()?;
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder)?;
        table::describe();
        gauge!("holdfast_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
        Ok(Self { handle })
    }

    /// All series in the text format of Prometheus; reads the figures of the process on the way.
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        process::render(&mut text);
        text
    }

    /// Takes what histograms have gathered; see [`UPKEEP`].
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    Ok(PrometheusBuilder::new().set_buckets(&BUCKETS)?.build_recorder())
}

/// The latency histograms, in seconds. Handles: cheap to clone, free to record from any thread.
#[derive(Clone)]
pub struct Latencies {
    /// To gather one batch for the log from all groups.
    pub append: Histogram,
    /// From taking in a batch of requests to having it committed and applied.
    pub commit: Histogram,
    /// To apply one batch of committed entries.
    pub apply: Histogram,
    /// To write one batch to the log and sync it.
    pub fsync: Histogram,
    /// From a batch of events at a worker to the last write to a socket.
    pub deliver: Histogram,
}

impl Latencies {
    /// Handles to the recorder of this process.
    pub fn new() -> Self {
        Self {
            append: metrics::histogram!("holdfast_append_seconds"),
            commit: metrics::histogram!("holdfast_commit_seconds"),
            apply: metrics::histogram!("holdfast_apply_seconds"),
            fsync: metrics::histogram!("holdfast_fsync_seconds"),
            deliver: metrics::histogram!("holdfast_deliver_seconds"),
        }
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

/// Where one partition stands on this node.
#[derive(Debug, Clone, Copy, Default)]
pub struct PartitionLevels {
    /// The term.
    pub term: u64,
    /// Whether this node leads.
    pub leads: bool,
    /// The committed index.
    pub committed: u64,
    /// The applied index.
    pub applied: u64,
    /// Entries that the replica furthest behind has still to get, where this node leads.
    pub replica_lag: u64,
    /// The first offset that is kept.
    pub first_offset: u64,
    /// The offset that the next message gets.
    pub next_offset: u64,
}

/// Sets the series of one partition.
pub fn set_partition(partition: u32, levels: &PartitionLevels) {
    let label = partition.to_string();
    let set = |name: &'static str, value: u64| gauge!(name, "partition" => label.clone()).set(value as f64);
    set("holdfast_partition_term", levels.term);
    set("holdfast_partition_leader", u64::from(levels.leads));
    set("holdfast_partition_committed_index", levels.committed);
    set("holdfast_partition_applied_index", levels.applied);
    set("holdfast_partition_lag_entries", levels.committed.saturating_sub(levels.applied));
    set("holdfast_partition_replica_lag_entries", levels.replica_lag);
    set("holdfast_partition_first_offset", levels.first_offset);
    set("holdfast_partition_next_offset", levels.next_offset);
}

/// Levels of the whole node.
#[derive(Debug, Clone, Copy, Default)]
pub struct Levels {
    /// Sessions with a connection.
    pub sessions_connected: u64,
    /// Sessions without one.
    pub sessions_disconnected: u64,
    /// Subscriptions of all sessions.
    pub subscriptions: u64,
    /// Retained messages.
    pub retained: u64,
    /// Messages behind the cursors of durable sessions.
    pub backlog: u64,
    /// Messages behind the cursors of shared subscriptions.
    pub backlog_shared: u64,
    /// Bytes of the data directory.
    pub storage_bytes: u64,
    /// Free bytes of its file system.
    pub storage_free_bytes: u64,
    /// RocksDB: bytes in memory that are not in a table file yet.
    pub rocksdb_memtable_bytes: u64,
    /// RocksDB: bytes of table files.
    pub rocksdb_table_bytes: u64,
    /// RocksDB: bytes that wait for compaction.
    pub rocksdb_compaction_bytes: u64,
}

/// Sets the levels of the whole node.
pub fn set_levels(levels: &Levels) {
    let part = |name: &'static str, label: &'static str, state: &'static str, value: u64| {
        gauge!(name, label => state).set(value as f64);
    };
    part("holdfast_sessions", "state", "connected", levels.sessions_connected);
    part("holdfast_sessions", "state", "disconnected", levels.sessions_disconnected);
    part("holdfast_backlog_messages", "of", "sessions", levels.backlog);
    part("holdfast_backlog_messages", "of", "shared_subscriptions", levels.backlog_shared);
    part("holdfast_rocksdb_bytes", "part", "memtable", levels.rocksdb_memtable_bytes);
    part("holdfast_rocksdb_bytes", "part", "table", levels.rocksdb_table_bytes);
    part("holdfast_rocksdb_bytes", "part", "compaction_pending", levels.rocksdb_compaction_bytes);
    let set = |name: &'static str, value: u64| gauge!(name).set(value as f64);
    set("holdfast_subscriptions", levels.subscriptions);
    set("holdfast_retained_messages", levels.retained);
    set("holdfast_storage_bytes", levels.storage_bytes);
    set("holdfast_storage_free_bytes", levels.storage_free_bytes);
}

#[cfg(test)]
mod tests;
