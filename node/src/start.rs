//! A whole node: from a configuration to serving, and from a signal to rest.

mod company;
mod form;
mod threads;
mod settings;

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_cluster::IdentityError;
use holdfast_cluster::founding::{FormError, JoinError};
use holdfast_cluster::link::LinkError;
use holdfast_log::{ReadError, StoreError};
use socket2::{Domain, Socket, Type};

use crate::admin::{self, Gate, Setup};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::hub::{HubError, OpenError};
use crate::listener;
use crate::mail::{Event, Mailbox, Request};
use crate::metrics::Metrics;
use company::Company;
use form::Surroundings;
pub use threads::Failed;
use threads::{Shared, Threads};

/// How long the admin API waits for the hub.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Connections that the kernel keeps until they are accepted; it has a limit of its own.
const BACKLOG: i32 = 4_096;

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
    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The hub ended.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The log cannot be read.
    #[error("the log cannot be read")]
    Read(#[from] ReadError),
    /// The link to the other nodes cannot be opened.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The cluster cannot be founded.
    #[error(transparent)]
    Form(#[from] FormError),
    /// The directory is that of a cluster of one.
    #[error(
        "{path} belongs to a cluster of one and cannot become part of another; start it without --seeds, or give this \
         node a directory of its own"
    )]
    Alone {
        /// The directory.
        path: PathBuf,
    },
    /// The cluster of the seeds does not take this node in.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// Nobody is there but nodes of another cluster.
    #[error(
        "this directory belongs to cluster {cluster_id}, and {through} to another one; put back the directory of that \
         cluster, or give this node an empty one"
    )]
    OtherCluster {
        /// Where somebody of another cluster answers.
        through: String,
        /// The directory's.
        cluster_id: String,
    },
    /// The certificate is another node's.
    #[error(
        "{path} is a certificate of the nodes [{names} ], and this node's number is {node}; give it its own"
    )]
    Certificate {
        /// The certificate.
        path: PathBuf,
        /// The nodes it names.
        names: String,
        /// The node's number.
        node: String,
    },
    /// It was told to stop before it served.
    #[error("stopped before it served")]
    Stopped,
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
    /// Held so that a second node on this address is noticed.
    _socket: Option<UdpSocket>,
    hub: Arc<Mailbox<Request>>,
    workers: Vec<Arc<Mailbox<Event>>>,
    door: listener::Door,
    admin: admin::Door,
    threads: Threads,
    stop: Arc<AtomicBool>,
    grace: Duration,
}

impl Node {
    /// Starts a node. When this returns it serves: alone at once, with others when they have founded their cluster
    /// and granted it a boot. `failed` is called from another thread when it cannot go on; `stopping` ends the wait.
    ///
    /// # Errors
    /// When the disk or an address is not to be had, or the others disagree; nothing is left running then but what
    /// the process ends with.
    pub fn start(config: &Config, failed: Failed, stopping: &AtomicBool) -> Result<Self, NodeError> {
        // Addresses first: a port in use should cost nothing.
        let mqtt = reserve("mqtt", config.listeners.mqtt)?;
        let http = TcpListener::bind(config.listeners.http).map_err(|source| NodeError::Listen {
            door: "http",
            address: config.listeners.http,
            source,
        })?;
        let socket = UdpSocket::bind(config.listeners.cluster).map_err(|source| NodeError::Listen {
            door: "cluster",
            address: config.listeners.cluster,
            source,
        })?;
        let cluster = socket.local_addr().unwrap_or(config.listeners.cluster);
        let metrics = if config.metrics {
            Some(Metrics::install().map_err(|error| NodeError::Metrics(error.to_string()))?)
        } else {
            None
        };
        let inbox = Arc::new(Mailbox::blocking());
        let gate_inbox = Arc::clone(&inbox);
        let gate = Gate { send: Box::new(move |query| gate_inbox.send_one(Request::Query(query))) };
        let setup = Setup { gate, metrics, answer_max: ANSWER_MAX };
        // Before there is a cluster somebody may ask why not.
        let admin = admin::open(http, setup).map_err(NodeError::Thread)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::off_by(config.pretence.clock_ms));
        let seed = seed();
        let held = socket.try_clone().ok();
        let around = Surroundings { config, clock: &clock, inbox: &inbox, stopping };
        let membership = around.form(socket, seed)?;
        let _socket = held.filter(|_| membership.link.is_none());
        let mut company = Company::new(&membership, config, &clock);
        let shared = Shared::new(config, clock, inbox);
        let opened = shared.open(config, membership, seed)?;
        let serving = Arc::clone(&opened.serving);
        let threads = shared.spawn(config, opened, &failed)?;
        let threads = shared.wait_until_serving(threads, &serving, stopping, &mut company)?;
        let door = listener::open(listen(mqtt, config.listeners.mqtt)?, shared.workers.clone())
            .map_err(NodeError::Thread)?;
        Ok(Self {
            mqtt: door.address(),
            http: admin.address(),
            cluster,
            _socket,
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

/// Takes an address on which nobody is let in yet: a client that comes early is refused at once, and can go to
/// another node.
fn reserve(door: &'static str, address: SocketAddr) -> Result<Socket, NodeError> {
    let reserved = Socket::new(Domain::for_address(address), Type::STREAM, None).and_then(|socket| {
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    });
    reserved.map_err(|source| NodeError::Listen { door, address, source })
}

fn listen(socket: Socket, address: SocketAddr) -> Result<TcpListener, NodeError> {
    socket.listen(BACKLOG).map_err(|source| NodeError::Listen { door: "mqtt", address, source })?;
    Ok(socket.into())
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
