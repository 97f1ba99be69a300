//! The table of all series that `/metrics` serves.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// How a series behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// One series.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The name; its end says the unit.
    pub name: &'static str,
    /// How it behaves.
    pub sort: Sort,
    /// What is counted.
    pub unit: Unit,
    /// One sentence, with its labels.
    pub help: &'static str,
}

const fn metric(name: &'static str, sort: Sort, unit: Unit, help: &'static str) -> Metric {
    Metric { name, sort, unit, help }
}

const fn total(name: &'static str, help: &'static str) -> Metric {
    metric(name, Sort::Counter, Unit::Count, help)
}

const fn level(name: &'static str, help: &'static str) -> Metric {
    metric(name, Sort::Gauge, Unit::Count, help)
}

const fn seconds(name: &'static str, help: &'static str) -> Metric {
    metric(name, Sort::Histogram, Unit::Seconds, help)
}

const fn bytes(name: &'static str, sort: Sort, help: &'static str) -> Metric {
    metric(name, sort, Unit::Bytes, help)
}

/// Every series.
pub const METRICS: &[Metric] = &[
    level("holdfast_build_info", "Always 1; the version is a label."),
    level("holdfast_connections", "Open MQTT connections."),
    total("holdfast_connects_total", "Finished attempts to connect, by result."),
    total("holdfast_disconnects_total", "Connections that ended, by reason."),
    level("holdfast_sessions", "Sessions, by state (connected, disconnected)."),
    total("holdfast_packets_total", "MQTT packets, by type and direction (in, out)."),
    bytes(
        "holdfast_packet_bytes_total",
        Sort::Counter,
        "Bytes of MQTT packets, by type and direction (in, out).",
    ),
    total("holdfast_messages_total", "Application messages, by QoS and direction (in, out)."),
    total("holdfast_messages_dropped_total", "Messages that a subscriber did not get, by reason."),
    level("holdfast_subscriptions", "Subscriptions of all sessions."),
    level("holdfast_retained_messages", "Retained messages."),
    level(
        "holdfast_backlog_messages",
        "Messages behind the committed cursors of durable sessions, or of shared subscriptions, whether they match or not.",
    ),
    seconds("holdfast_append_seconds", "Time to gather one batch for the log from all groups."),
    seconds(
        "holdfast_fsync_seconds",
        "Time to write one batch to the log and sync it; one sync serves all groups.",
    ),
    seconds(
        "holdfast_commit_seconds",
        "Time from taking in a batch of requests to having it committed and applied.",
    ),
    seconds("holdfast_apply_seconds", "Time to apply one batch of committed entries."),
    seconds(
        "holdfast_deliver_seconds",
        "Time from a batch of events at a worker to the last write to a socket.",
    ),
    level("holdfast_partition_term", "Raft term, by partition."),
    level("holdfast_partition_leader", "1 where this node leads, by partition."),
    level("holdfast_partition_committed_index", "Committed index, by partition."),
    level("holdfast_partition_applied_index", "Applied index, by partition."),
    level("holdfast_partition_lag_entries", "Entries committed and not yet applied, by partition."),
    level(
        "holdfast_partition_replica_lag_entries",
        "Entries that the replica furthest behind has still to get, by partition; 0 where this node does not lead.",
    ),
    level("holdfast_partition_first_offset", "First message offset that is kept, by partition."),
    level("holdfast_partition_next_offset", "Offset that the next message gets, by partition."),
    level("holdfast_serving", "1 while this node serves clients."),
    metric(
        "holdfast_lease_left_seconds",
        Sort::Gauge,
        Unit::Seconds,
        "Time until this node stops serving unless it renews its lease; only among several nodes.",
    ),
    level("holdfast_nodes", "Nodes of the cluster, by state (alive, dead, draining) as this node knows it."),
    level("holdfast_groups_led", "Groups that this node leads, by group (meta, session, partition)."),
    level("holdfast_groups_without_leader", "Groups without a leader that this node knows, by group."),
    total("holdfast_leader_changes_total", "Changes of the leader that this node has seen, by group."),
    total("holdfast_elections_won_total", "Times that this node became leader, by group."),
    level("holdfast_proposals_open", "Proposals of this node that are not committed yet."),
    total(
        "holdfast_proposals_resent_total",
        "Proposals that were said again, because a leader changed or may have lost them.",
    ),
    total(
        "holdfast_raft_messages_total",
        "Raft messages and pieces of snapshots and history, by kind and direction (in, out).",
    ),
    bytes("holdfast_raft_bytes_total", Sort::Counter, "Their bytes, by kind and direction (in, out)."),
    total("holdfast_forwarded_messages_total", "QoS 0 messages between nodes, by direction (in, out)."),
    level("holdfast_peer_up", "1 while the other node is connected, by peer."),
    metric("holdfast_peer_rtt_seconds", Sort::Gauge, Unit::Seconds, "Round trip to the other node, by peer."),
    bytes("holdfast_peer_window_bytes", Sort::Gauge, "Congestion window to the other node, by peer."),
    total("holdfast_peer_packets_sent_total", "UDP packets to the other node, by peer."),
    total("holdfast_peer_packets_lost_total", "UDP packets to the other node that were lost, by peer."),
    total("holdfast_peer_congestion_events_total", "Times that the way to the other node was full, by peer."),
    bytes("holdfast_peer_bytes_total", Sort::Counter, "Bytes of frames, by peer and direction (in, out)."),
    bytes("holdfast_peer_queue_bytes", Sort::Gauge, "Bytes that wait for the other node, by peer and lane."),
    total(
        "holdfast_peer_frames_dropped_total",
        "Frames that found no room or were lost with the connection, by peer and lane.",
    ),
    bytes("holdfast_storage_bytes", Sort::Gauge, "Bytes of the data directory."),
    bytes("holdfast_storage_free_bytes", Sort::Gauge, "Free bytes of the data directory's file system."),
    bytes(
        "holdfast_rocksdb_bytes",
        Sort::Gauge,
        "RocksDB: bytes by part (memtable, table, compaction_pending).",
    ),
    metric(
        "holdfast_process_cpu_seconds_total",
        Sort::Counter,
        Unit::Seconds,
        "CPU time of the process, user and system.",
    ),
    bytes("holdfast_process_resident_bytes", Sort::Gauge, "Resident memory of the process."),
    level("holdfast_process_open_fds", "Open file descriptors."),
    level("holdfast_process_max_fds", "Limit of open file descriptors."),
];

/// Gives every series its help and unit.
pub(super) fn describe() {
    for metric in METRICS {
        match metric.sort {
            Sort::Counter => describe_counter!(metric.name, metric.unit, metric.help),
            Sort::Gauge => describe_gauge!(metric.name, metric.unit, metric.help),
            Sort::Histogram => describe_histogram!(metric.name, metric.unit, metric.help),
        }
    }
}

/// The row of a series.
pub(super) fn find(name: &str) -> &'static Metric {
    METRICS.iter().find(|metric| metric.name == name).expect("only series of the table are recorded")
}
