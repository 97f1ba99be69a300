//! What the parts of a node are set to, from its configuration.

use holdfast_log::RocksConfig;

use crate::config::{Config, Fsync};
use crate::hub::Limits;
use crate::worker::Settings;

/// Bytes of one worker's publishes that may be unsettled before its connections are no longer read.
const OUTSTANDING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Messages of a shared subscription that one member may have at a time.
const SHARE_WINDOW: u32 = 64;

pub(super) fn settings(config: &Config) -> Settings {
    let mqtt = &config.mqtt;
    let limits = holdfast_codec::Limits {
        packet_bytes_max: mqtt.packet_bytes_max,
        client_id_bytes_max: u16::try_from(mqtt.client_id_bytes_max).unwrap_or(u16::MAX),
        topic_levels_max: u16::try_from(mqtt.topic_levels_max).unwrap_or(u16::MAX),
        ..holdfast_codec::Limits::default()
    };
    Settings {
        limits,
        connect_bytes_max: mqtt.connect_bytes_max,
        connect_timeout_ms: u64::try_from(mqtt.connect_timeout.as_millis()).unwrap_or(u64::MAX),
        receive_maximum: mqtt.receive_maximum,
        topic_alias_maximum: mqtt.topic_alias_max,
        topic_alias_out_max: mqtt.topic_alias_max,
        keep_alive_max: mqtt.keep_alive_max,
        session_expiry_max: u32::try_from(mqtt.session_expiry_max.as_secs()).unwrap_or(u32::MAX),
        inflight_max: mqtt.inflight_max,
        out_bytes_max: mqtt.outgoing_bytes_max,
        connections_max: mqtt.connections_max.unwrap_or(usize::MAX),
        retained_available: mqtt.retained_available,
        subscriptions_max: mqtt.subscriptions_max,
        outstanding_bytes_max: OUTSTANDING_BYTES_MAX,
        share_window: SHARE_WINDOW,
        fault: config.fault,
    }
}

/// What the store may need at once when it is told to stop growing: one memtable written out, and the next
/// write-ahead log, which is preallocated a tenth larger than a memtable. The first one after a start is
/// preallocated for a memtable of 64 MiB in any case.
fn reserve_bytes_min(memtable_bytes: usize) -> u64 {
    (memtable_bytes as u64 / 2 * 5).max(160 * 1024 * 1024)
}

pub(super) fn limits(config: &Config) -> Limits {
    let least = reserve_bytes_min(config.storage.memtable_bytes);
    if config.storage.reserve_bytes < least {
        tracing::warn!(least, "storage.reserve_bytes is small: a disk that runs full may stop the node");
    }
    Limits {
        age: config.retention.age,
        bytes: config.retention.bytes,
        hard_bytes: config.retention.hard_bytes,
        store_bytes_max: config.storage.bytes_max.unwrap_or(0),
        reserve_bytes: config.storage.reserve_bytes,
    }
}

pub(super) fn log_config(config: &Config) -> holdfast_log::Config {
    let (heartbeat_ticks, election_ticks) = config.cluster.ticks();
    holdfast_log::Config {
        tick: config.cluster.tick,
        heartbeat_ticks,
        election_ticks,
        tail_cache_bytes: config.storage.tail_cache_bytes as u64,
        ..Default::default()
    }
}

pub(super) fn store_config(config: &Config) -> RocksConfig {
    RocksConfig {
        sync: config.storage.fsync == Fsync::Always,
        log_memtable_bytes: config.storage.memtable_bytes,
        ..RocksConfig::default()
    }
}

pub(super) fn fsync_name(fsync: Fsync) -> &'static str {
    match fsync {
        Fsync::Always => "always",
        Fsync::UnsafeNone => "unsafe-none",
    }
}
