//! The table of all keys: the one place that knows their names, defaults and ranges.

use std::time::Duration;

use super::value::Kind;

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The dotted name in the file; in capitals and with `_` for dots after `HOLDFAST_` in the environment.
    pub name: &'static str,
    /// The flag of `holdfast start`, where there is one.
    pub flag: Option<&'static str>,
    /// What values it takes.
    pub kind: Kind,
    /// The default as it would stand in a file; empty for unset.
    pub default: &'static str,
}

impl Key {
    /// The name in the environment.
    pub fn environment(&self) -> String {
        format!("HOLDFAST_{}", self.name.to_uppercase().replace('.', "_"))
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const PIB: u64 = 1 << 50;
const DAY: u64 = 24 * 60 * 60;

const fn key(name: &'static str, kind: Kind, default: &'static str) -> Key {
    Key { name, flag: None, kind, default }
}

const fn flag(name: &'static str, flag: &'static str, kind: Kind, default: &'static str) -> Key {
    Key { name, flag: Some(flag), kind, default }
}

const fn count(min: u64, max: u64) -> Kind {
    Kind::Count { min, max }
}

const fn size(min: u64, max: u64) -> Kind {
    Kind::Size { min, max }
}

const fn seconds(min: u64, max: u64) -> Kind {
    Kind::Time { min: Duration::from_secs(min), max: Duration::from_secs(max) }
}

const fn millis(min: u64, max: u64) -> Kind {
    Kind::Time { min: Duration::from_millis(min), max: Duration::from_millis(max) }
}

/// Every key, in the order of docs/configuration.md.
pub const KEYS: &[Key] = &[
    flag("node_id", "--node-id", count(1, u32::MAX as u64), ""),
    flag("data_dir", "--data-dir", Kind::Text, "holdfast-data"),
    flag("listeners.mqtt", "--mqtt", Kind::Address, "127.0.0.1:1883"),
    flag("listeners.mqtts", "--mqtts", Kind::Unavailable, ""),
    flag("listeners.ws", "--ws", Kind::Unavailable, ""),
    flag("listeners.wss", "--wss", Kind::Unavailable, ""),
    flag("listeners.http", "--http", Kind::Address, "127.0.0.1:8083"),
    flag("listeners.cluster", "--cluster", Kind::Address, "127.0.0.1:7883"),
    flag("cluster.seeds", "--seeds", Kind::List, ""),
    key("cluster.advertise", Kind::Text, ""),
    key("cluster.tls.ca", Kind::Text, ""),
    key("cluster.tls.cert", Kind::Text, ""),
    key("cluster.tls.key", Kind::Text, ""),
    key("cluster.tick", millis(5, 1_000), "50ms"),
    key("cluster.heartbeat", millis(5, 10_000), "100ms"),
    key("cluster.election_timeout_min", millis(20, 60_000), "500ms"),
    key("cluster.election_timeout_max", millis(20, 60_000), "1s"),
    key("cluster.lease", seconds(2, 600), "6s"),
    flag("partitions", "--partitions", count(1, 1024), "16"),
    key("session_groups", count(1, 512), "8"),
    flag("replicas", "--replicas", count(1, 7), "3"),
    flag("allow_anonymous", "--allow-anonymous", Kind::Switch, ""),
    key("workers", count(0, 1024), "0"),
    key("log.format", Kind::Choice(&["human", "json"]), "human"),
    key("shutdown.grace", seconds(0, 600), "10s"),
    // The format of MQTT ends at 256 MiB.
    key("mqtt.packet_bytes_max", size(KIB, 256 * MIB), "1MiB"),
    key("mqtt.connect_bytes_max", size(KIB, 256 * MIB), "64KiB"),
    key("mqtt.connect_timeout", seconds(1, 600), "10s"),
    key("mqtt.receive_maximum", count(1, 65_535), "1000"),
    key("mqtt.topic_alias_max", count(0, 65_535), "32"),
    key("mqtt.keep_alive_max", seconds(1, 65_535), "65535s"),
    // One second less than the value that means "never".
    key("mqtt.session_expiry_max", seconds(0, u32::MAX as u64 - 1), "7d"),
    key("mqtt.inflight_max", count(1, 65_535), "100"),
    // Ids of 23 bytes must be taken [MQTT-3.1.3-5].
    key("mqtt.client_id_bytes_max", count(23, 65_535), "1024"),
    key("mqtt.topic_levels_max", count(1, 65_535), "128"),
    key("mqtt.outgoing_bytes_max", size(64 * KIB, GIB), "1MiB"),
    key("mqtt.subscriptions_max", count(1, 10_000_000), "10000"),
    key("mqtt.connections_max", count(0, 100_000_000), "0"),
    key("mqtt.retained_available", Kind::Switch, "true"),
    key("retention.age", seconds(60, 3650 * DAY), "1h"),
    key("retention.bytes", size(MIB, PIB), "1GiB"),
    key("retention.hard_bytes", size(MIB, PIB), "16GiB"),
    key("storage.bytes_max", size(0, PIB), "0"),
    key("storage.reserve_bytes", size(0, PIB), "512MiB"),
    key("storage.tail_cache_bytes", size(MIB, 1024 * GIB), "256MiB"),
    key("storage.memtable_bytes", size(MIB, GIB), "64MiB"),
    key("storage.fsync", Kind::Choice(&["always", "unsafe-none"]), "always"),
    key("metrics.enabled", Kind::Switch, "true"),
];
