//! The settings of one node: flags over environment over file over defaults, checked as a whole.
//!
//! Every key is a row of [`KEYS`]; nothing else in the crate reads the environment or a file of settings. The
//! result is finished values. What is wrong is reported all at once, each mistake with the place it came from.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod check;
mod fault;
mod layers;

mod file;
mod key;
mod mistake;
mod value;

pub use fault::{Fault, Pretence};
pub use key::{KEYS, Key};
pub use mistake::{Mistake, Mistakes, Origin};
pub use value::Kind;

#[cfg(test)]
mod tests;

/// Where settings come from, weakest last. All of it is data, so that a test needs no process of its own.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    /// Flag name (`--mqtt`) and its text.
    pub flags: Vec<(&'static str, String)>,
    /// The environment: name and value of what starts with `HOLDFAST_`; see [`Sources::with_environment`].
    pub environment: Vec<(String, String)>,
    /// A TOML file.
    pub file: Option<PathBuf>,
}

impl Sources {
    /// Adds what the environment of this process says.
    #[must_use]
    pub fn with_environment(mut self) -> Self {
        let ours = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("HOLDFAST_"))?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        self.environment.extend(ours);
        self
    }
}

/// Every setting of a node, checked. Units, ranges and prices stand in [`KEYS`] and in docs/configuration.md.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `node_id`: `None` lets the founding choose.
    pub node_id: Option<NonZeroU64>,
    /// `data_dir`: where everything is kept.
    pub data_dir: PathBuf,
    /// `listeners`: addresses to bind; port 0 takes a free port.
    pub listeners: Listeners,
    /// `cluster`: the other nodes.
    pub cluster: Cluster,
    /// `partitions`: counts when the cluster is founded.
    pub partitions: u32,
    /// `session_groups`: counts when the cluster is founded.
    pub session_groups: u32,
    /// `replicas`: capped by the number of nodes.
    pub replicas: u32,
    /// Whether clients without credentials are let in: `allow_anonymous`, or loopback only.
    pub allow_anonymous: bool,
    /// `workers`: threads that serve clients, at least one.
    pub workers: usize,
    /// `log.format`.
    pub log_format: LogFormat,
    /// `shutdown.grace`: time for a graceful stop.
    pub shutdown_grace: Duration,
    /// `mqtt`: what a client may do.
    pub mqtt: Mqtt,
    /// `retention`: how long messages are kept.
    pub retention: Retention,
    /// `storage`: the disk.
    pub storage: Storage,
    /// `metrics.enabled`: whether `/metrics` is served.
    pub metrics: bool,
    /// A fault put in on purpose; only builds with debug assertions read it.
    pub fault: Option<Fault>,
    /// What this node pretends; only builds with debug assertions read it.
    pub pretence: Pretence,
    /// What is odd but no mistake, for the log at start.
    pub warnings: Vec<String>,
}

/// `listeners`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listeners {
    /// MQTT over TCP.
    pub mqtt: SocketAddr,
    /// Admin API, metrics and health.
    pub http: SocketAddr,
    /// The link between nodes.
    pub cluster: SocketAddr,
}

/// `cluster`: how this node and the others find, trust and time each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// `HOST:PORT` of the founding nodes; none for a cluster of one.
    pub seeds: Vec<String>,
    /// `HOST:PORT` under which the others reach this node; `None`: as the seeds call it, or where it is bound.
    pub advertise: Option<String>,
    /// Certificates of the link; `None` only where every address is loopback.
    pub tls: Option<ClusterTls>,
    /// Length of one tick of the groups.
    pub tick: Duration,
    /// Time between two heartbeats of a leader.
    pub heartbeat: Duration,
    /// Shortest time without a leader before an election.
    pub election_timeout_min: Duration,
    /// Longest time without a leader before an election.
    pub election_timeout_max: Duration,
    /// How long a node that is not heard of is waited for.
    pub lease: Duration,
}

/// `cluster.tls`: files in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterTls {
    /// Certificates of the authorities that are trusted.
    pub ca: PathBuf,
    /// This node's certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Cluster {
    /// Ticks between two heartbeats, and ticks without a leader before an election; rounded up.
    pub fn ticks(&self) -> (u32, RangeInclusive<u32>) {
        let ticks = |time: Duration| {
            u32::try_from(time.as_millis().div_ceil(self.tick.as_millis())).expect("KEYS keeps it small")
        };
        (ticks(self.heartbeat), ticks(self.election_timeout_min)..=ticks(self.election_timeout_max))
    }
}

/// `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// `mqtt`: the limits of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mqtt {
    /// Largest packet taken, in bytes.
    pub packet_bytes_max: u32,
    /// Largest CONNECT taken, in bytes.
    pub connect_bytes_max: u32,
    /// Time from the open socket to a whole CONNECT.
    pub connect_timeout: Duration,
    /// Receive Maximum that clients are told: their QoS 1 and 2 messages without acknowledgement.
    pub receive_maximum: u16,
    /// Topic Alias Maximum that clients are told.
    pub topic_alias_max: u16,
    /// Longest Keep Alive in seconds; a longer one, or none, becomes this one.
    pub keep_alive_max: u16,
    /// Longest Session Expiry Interval.
    pub session_expiry_max: Duration,
    /// QoS 1 and 2 messages on their way to one client, whatever it can take.
    pub inflight_max: u16,
    /// Longest client id, in bytes.
    pub client_id_bytes_max: usize,
    /// Most levels of a topic or filter.
    pub topic_levels_max: usize,
    /// Bytes that wait for one client's socket; beyond it QoS 0 is dropped and the rest waits in the log.
    pub outgoing_bytes_max: usize,
    /// Subscriptions of one session.
    pub subscriptions_max: usize,
    /// Connections of one node; `None` leaves it to the limit of file descriptors.
    pub connections_max: Option<usize>,
    /// Whether retained messages are kept.
    pub retained_available: bool,
}

/// `retention`: when messages that nobody waits for go, and when even others do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Age from which a message goes, unless a durable session waits for it.
    pub age: Duration,
    /// Bytes of one partition from which its oldest messages go, unless a durable session waits for them.
    pub bytes: u64,
    /// Bytes of one partition from which its oldest messages go in any case, with a counted gap.
    pub hard_bytes: u64,
}

/// `storage`: the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Most bytes of the data directory; `None` sets no limit of its own.
    pub bytes_max: Option<u64>,
    /// Free bytes of the file system below which new messages are refused with 0x97.
    pub reserve_bytes: u64,
    /// Memory for the newest messages of all partitions.
    pub tail_cache_bytes: usize,
    /// One memtable of the log, of which four may be in memory.
    pub memtable_bytes: usize,
    /// When a write counts as done.
    pub fsync: Fsync,
}

/// `storage.fsync`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// A message is acknowledged when it is on the disk.
    Always,
    /// A power cut loses messages that were acknowledged.
    UnsafeNone,
}

impl Config {
    /// Puts the sources over one another and checks the whole.
    pub fn load(sources: &Sources) -> Result<Self, Mistakes> {
        let mut mistakes = Mistakes::default();
        let layers = layers::read(sources, &mut mistakes);
        let config = check::finish(&layers, sources, &mut mistakes);
        mistakes.or(config)
    }

    /// Checks one file as `start --config` would read it, without flags and environment.
    pub fn check_file(path: &Path) -> Result<Self, Mistakes> {
        Self::load(&Sources { file: Some(path.into()), ..Sources::default() })
    }
}

/// Every key with its default and range, as lines for `--help`.
pub fn describe_keys() -> String {
    let mut text =
        String::from("Settings (TOML key, default, range; environment HOLDFAST_ and the key in capitals):\n");
    for key in KEYS {
        let default = if key.default.is_empty() { "unset" } else { key.default };
        text.push_str(&format!("  {:<30} {:<16} {}\n", key.name, default, key.kind));
    }
    text
}
