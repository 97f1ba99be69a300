//! A whole node: from a configuration to serving, and from a signal to rest.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use holdfast_cluster::{FORMAT, Identity, IdentityError};
use holdfast_log::{ReadError, RocksConfig, RocksStore, Store, StoreError};
use tokio::sync::Notify;

use crate::admin::{self, Gate, Setup};
use crate::catchup::Catchup;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Fsync};
use crate::driver::{self, Ring, Ways};
use crate::hub::{self, HubError, Limits, OpenError, Opened, Plan};
use crate::listener;
use crate::mail::{Event, Mailbox, Read, Request};
use crate::metrics::{Counters, Metrics};
use crate::worker::{Place, Settings, Tally, Worker};

/// How long the admin API waits for the hub.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Bytes of one worker's publishes that may be unsettled before its connections are no longer read.
const OUTSTANDING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Messages of a shared subscription that one member may have at a time.
const SHARE_WINDOW: u32 = 64;

/// Why a node cannot start, or has ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data directory belongs to another node, is damaged or cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// The log or the state cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({door})")]
    Listen {
        /// Which door.
        door: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Several nodes are asked for, and this version does not form a cluster of them yet.
    #[error("clusters of several nodes are not available in this version; leave --seeds (cluster.seeds) out")]
    Seeds,
    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The hub ended.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Read(#[from] ReadError),
    /// The metrics recorder cannot be installed.
    #[error("cannot install the metrics: {0}")]
    Metrics(String),
    /// A thread that the node needs has ended.
    #[error("{0}")]
    Ended(String),
    /// A thread ended by a panic.
    #[error("the thread {0} panicked")]
    Panicked(&'static str),
}

/// A running node.
pub struct Node {
    mqtt: SocketAddr,
    http: SocketAddr,
    cluster: SocketAddr,
    /// Held so that a second node on this address is noticed; the link of several nodes comes later.
    _link: UdpSocket,
    hub: Arc<Mailbox<Request>>,
    workers: Vec<Arc<Mailbox<Event>>>,
    door: listener::Door,
    admin: admin::Door,
    threads: Threads,
    stop: Arc<AtomicBool>,
    grace: Duration,
}

struct Threads {
    hub: JoinHandle<Result<(), HubError>>,
    catchup: JoinHandle<Result<(), ReadError>>,
    workers: Vec<JoinHandle<std::io::Result<()>>>,
}

impl Node {
    /// Starts a node. When this returns it serves. `failed` is called from another thread when it cannot go on.
    ///
    /// # Errors
    /// When the disk or an address is not to be had; nothing is left running then but what the process ends with.
    pub fn start(config: &Config, failed: Arc<dyn Fn(NodeError) + Send + Sync>) -> Result<Self, NodeError> {
        if config.cluster.seeds.len() > 1 {
            return Err(NodeError::Seeds);
        }
        // Addresses first: a port in use should cost nothing.
        let mqtt = bind("mqtt", config.listeners.mqtt)?;
        let http = bind("http", config.listeners.http)?;
        let link = UdpSocket::bind(config.listeners.cluster).map_err(|source| NodeError::Listen {
            door: "cluster",
            address: config.listeners.cluster,
            source,
        })?;
        let identity = identity(config)?;
        let metrics = if config.metrics {
            Some(Metrics::install().map_err(|error| NodeError::Metrics(error.to_string()))?)
        } else {
            None
        };
        let store: Arc<dyn Store> = Arc::new(RocksStore::open(&config.data_dir, &store_config(config))?);
        Identity::mark_started(&config.data_dir)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let bells: Vec<Arc<Notify>> = (0..config.workers).map(|_| Arc::new(Notify::new())).collect();
        let workers: Vec<Arc<Mailbox<Event>>> =
            bells.iter().map(|bell| Arc::new(Mailbox::waking(Box::new(Ring(Arc::clone(bell)))))).collect();
        let inbox = Arc::new(Mailbox::blocking());
        let cluster = link.local_addr().unwrap_or(config.listeners.cluster);
        let opened = hub::open(Plan {
            identity,
            store,
            log: log_config(config),
            seed: seed(),
            limits: limits(config),
            replicas: config.replicas,
            clock: Arc::clone(&clock),
            inbox: Arc::clone(&inbox),
            workers: workers.clone(),
            flush_beside: true,
            fsync: fsync_name(config.storage.fsync).to_owned(),
            fault: config.fault,
            advertised: cluster.to_string(),
            members: Vec::new(),
            net: Box::new(holdfast_cluster::link::Alone),
            answer: Box::new(|_| None),
            lease: std::time::Duration::from_secs(6),
        })?;
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Shared { clock, bells, workers, inbox, stop };
        let threads = shared.spawn(config, opened, &failed)?;
        let door = listener::open(mqtt, shared.workers.clone()).map_err(NodeError::Thread)?;
        let gate_inbox = Arc::clone(&shared.inbox);
        let gate = Gate { send: Box::new(move |query| gate_inbox.send_one(Request::Query(query))) };
        let setup = Setup { gate, metrics, answer_max: ANSWER_MAX };
        let admin = admin::open(http, setup).map_err(NodeError::Thread)?;
        Ok(Self {
            mqtt: door.address(),
            http: admin.address(),
            cluster,
            _link: link,
            hub: shared.inbox,
            workers: shared.workers,
            door,
            admin,
            threads,
            stop: shared.stop,
            grace: config.shutdown_grace,
        })
    }

    /// Where MQTT is served.
    pub fn mqtt(&self) -> SocketAddr {
        self.mqtt
    }

    /// Where HTTP is served.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Address of the cluster link.
    pub fn cluster(&self) -> SocketAddr {
        self.cluster
    }

    /// Stops gracefully: no new connections, clients told, everything synced.
    ///
    /// # Errors
    /// When something had failed.
    pub fn stop(self) -> Result<(), NodeError> {
        self.door.close();
        for worker in &self.workers {
            worker.send_one(Event::Stop);
        }
        let waited = std::time::Duration::from_millis(10);
        let mut left = self.grace;
        while self.threads.workers.iter().any(|worker| !worker.is_finished()) && !left.is_zero() {
            std::thread::park_timeout(waited);
            left = left.saturating_sub(waited);
        }
        self.hub.send_one(Request::Stop);
        self.stop.store(true, Ordering::Release);
        self.threads.hub.join().map_err(|_| NodeError::Panicked("hub"))??;
        self.threads.catchup.join().map_err(|_| NodeError::Panicked("catchup"))??;
        self.admin.close().map_err(NodeError::Thread)
    }
}

/// What several threads hold.
struct Shared {
    clock: Arc<dyn Clock>,
    bells: Vec<Arc<Notify>>,
    workers: Vec<Arc<Mailbox<Event>>>,
    inbox: Arc<Mailbox<Request>>,
    stop: Arc<AtomicBool>,
}

type Failed = Arc<dyn Fn(NodeError) + Send + Sync>;

impl Shared {
    fn spawn(&self, config: &Config, opened: Opened, failed: &Failed) -> Result<Threads, NodeError> {
        let reads: Arc<Mailbox<Read>> = Arc::new(Mailbox::blocking());
        let Opened { hub, reader, boot, route, .. } = opened;
        let node = hub.node();
        let told = Arc::clone(failed);
        let hub = named("hub", move || hub.run().inspect_err(|error| told(NodeError::Ended(chain(error)))))?;
        let catchup = Catchup::new(
            reader,
            Arc::clone(&reads),
            self.workers.clone(),
            route.partitions(),
            Arc::clone(&self.stop),
        );
        let told = Arc::clone(failed);
        let catchup = named("catchup", move || {
            catchup.run().inspect_err(|error| told(NodeError::Ended(chain(error))))
        })?;
        let settings = Arc::new(settings(config));
        let interested: Arc<[AtomicBool]> = (0..config.workers).map(|_| AtomicBool::new(false)).collect();
        let greeted = Arc::new(AtomicUsize::new(0));
        let live: Arc<[AtomicUsize]> = (0..config.workers).map(|_| AtomicUsize::new(0)).collect();
        let mut workers = Vec::new();
        for (number, bell) in (0u32..).zip(&self.bells) {
            let place = Place {
                worker: number,
                workers: u32::try_from(config.workers).expect("a handful"),
                node,
                boot,
                route,
                interested: Arc::clone(&interested),
                live: Arc::clone(&live),
                greeted: Arc::clone(&greeted),
            };
            let ways = Ways {
                inbox: Arc::clone(&self.workers[number as usize]),
                bell: Arc::clone(bell),
                hub: Arc::clone(&self.inbox),
                reads: Arc::clone(&reads),
                peers: self.workers.clone(),
                clock: Arc::clone(&self.clock),
            };
            let settings = Arc::clone(&settings);
            let thread = named("worker", move || {
                let worker = Worker::new(place, settings, Tally::new(Counters::new()));
                driver::run(worker, ways)
            })?;
            workers.push(thread);
        }
        Ok(Threads { hub, catchup, workers })
    }
}

fn named<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, NodeError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(NodeError::Thread)
}

fn bind(door: &'static str, address: SocketAddr) -> Result<TcpListener, NodeError> {
    TcpListener::bind(address).map_err(|source| NodeError::Listen { door, address, source })
}

/// The directory's identity, or a new one for a new directory.
fn identity(config: &Config) -> Result<Identity, NodeError> {
    let node_id = config.node_id.map(std::num::NonZero::get);
    if let Some(identity) = Identity::read(&config.data_dir)? {
        identity.check_node(&config.data_dir, node_id)?;
        Identity::check_log(&config.data_dir)?;
        return Ok(identity);
    }
    let identity = Identity {
        format: FORMAT,
        cluster_id: Identity::new_uuid(),
        node_id: node_id.unwrap_or(1),
        node_uuid: Identity::new_uuid(),
        partitions: u16::try_from(config.partitions).expect("checked by config"),
        session_groups: u16::try_from(config.session_groups).expect("checked by config"),
    };
    identity.create(&config.data_dir)?;
    Ok(identity)
}

fn settings(config: &Config) -> Settings {
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
    }
}

/// What the store may need at once when it is told to stop growing: one memtable written out, and the next
/// write-ahead log, which is preallocated.
const RESERVE_BYTES_MIN: u64 = 160 * 1024 * 1024;

fn limits(config: &Config) -> Limits {
    if config.storage.reserve_bytes < RESERVE_BYTES_MIN {
        let least = RESERVE_BYTES_MIN;
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

fn log_config(config: &Config) -> holdfast_log::Config {
    let (heartbeat_ticks, election_ticks) = config.cluster.ticks();
    holdfast_log::Config {
        tick: config.cluster.tick,
        heartbeat_ticks,
        election_ticks,
        tail_cache_bytes: config.storage.tail_cache_bytes as u64,
        ..Default::default()
    }
}

fn store_config(config: &Config) -> RocksConfig {
    RocksConfig { sync: config.storage.fsync == Fsync::Always, ..RocksConfig::default() }
}

fn fsync_name(fsync: Fsync) -> &'static str {
    match fsync {
        Fsync::Always => "always",
        Fsync::UnsafeNone => "unsafe-none",
    }
}

/// Chance in the engine: different at each start.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
