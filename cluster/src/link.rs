//! The link between nodes: QUIC with mutual TLS, lanes that do not wait for each other, frames in order.
//!
//! It carries frames between nodes that know each other, and single questions between nodes that do not
//! yet. It decides nothing about the cluster: who is a member is told with [`Link::set_peers`], and what is
//! lost with a connection is said again by whoever sent it.
//!
//! Each link has a thread of its own, so that no burst of clients and no slow disk delays a heartbeat.

mod driver;
mod keep;
mod serve;
mod greet;
mod stream;
mod shared;
mod peer;
mod queue;
mod inbox;
mod tls;
pub mod cert;
mod hello;
mod net;
mod lane;
mod frame;
mod code;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use holdfast_log::NodeId;
use tokio::runtime;
use tokio::sync::Notify;
use tracing::{error, warn};

pub use code::Code;
pub use frame::{FRAME_BYTES_MAX, Frame, FrameError, Place, Proposed};
pub use hello::{Me, PROTOCOLS};
pub use inbox::Wake;
pub use lane::{Lane, SLOT_NAMES, SLOTS};
pub use net::{Alone, Incoming, Net, Peer, PeerFigures, Reply, Unsent};
pub use tls::{CertFiles, Certificates, TlsError};

use self::inbox::Inbox;
use self::peer::PeerState;
use self::shared::{Member, Shared};

/// How often files of certificates are looked at, unless told otherwise.
pub const CERTIFICATES_CHECK: Duration = Duration::from_secs(10);
/// What the kernel is asked to keep of datagrams: a burst of one round trip at the speed of a LAN.
const SOCKET_BYTES: usize = 4 << 20;

/// What a link needs to know.
#[derive(Debug)]
pub struct LinkConfig {
    /// The bound socket.
    pub socket: UdpSocket,
    /// Who may speak.
    pub certificates: Certificates,
    /// How often files of certificates are looked at; see [`CERTIFICATES_CHECK`].
    pub certificates_check: Duration,
    /// Who this node is.
    pub me: Me,
    /// For the jitter of pauses.
    pub seed: u64,
}

/// Why a link cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The certificates cannot be used.
    #[error("the cluster link has no usable identity")]
    Tls(#[from] TlsError),
    /// The socket cannot be used, or there is no thread.
    #[error("the cluster link cannot start")]
    Io(#[from] io::Error),
}

/// The link of one node. Dropped, it says goodbye and closes.
pub struct Link {
    shared: Arc<Shared>,
    runtime: runtime::Handle,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
    asked: AtomicU64,
    seed: u64,
}

impl Link {
    /// Opens a link and starts its thread. `wake` is called when something arrives in an empty inbox.
    ///
    /// # Errors
    /// When certificates or socket cannot be used.
    pub fn open(config: LinkConfig, wake: Wake) -> Result<Self, LinkError> {
        let address = config.socket.local_addr()?;
        config.certificates.check_address(address)?;
        let marks = config.certificates.marks();
        let credentials = config.certificates.load()?;
        if matches!(config.certificates, Certificates::Development) {
            warn!("cluster link: development identity, any node on this machine may join; set [cluster.tls]");
        }
        widen(&config.socket)?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let endpoint = {
            let _in = runtime.enter();
            let mut settings = quinn::EndpointConfig::default();
            settings.max_udp_payload_size(greet::MTU_BYTES_MAX).expect("above the least that QUIC wants");
            let server = Some(driver::server(&credentials));
            quinn::Endpoint::new(settings, server, config.socket, Arc::new(quinn::TokioRuntime))?
        };
        let tls = (config.certificates, credentials.client);
        let shared = Arc::new(Shared::new(endpoint, tls, Inbox::new(wake), config.me));
        let stop = Arc::new(Notify::new());
        let handle = runtime.handle().clone();
        let task = driver::run(shared.clone(), stop.clone(), config.certificates_check, marks);
        let thread = thread::Builder::new().name("link".to_owned()).spawn(move || {
            runtime.block_on(task);
            runtime.shutdown_background();
        })?;
        let (thread, asked) = (Some(thread), AtomicU64::new(0));
        Ok(Self { shared, runtime: handle, stop, thread, address, asked, seed: config.seed })
    }

    /// The address that the link is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A blank node has become this one.
    pub fn identify(&self, cluster: String, node: NodeId) {
        self.shared.identify(cluster, node);
    }

    /// From now on these are the other nodes, this one left out. Connections to any other are closed; one
    /// with a new address is connected anew.
    pub fn set_peers(&self, peers: Vec<Peer>) {
        let me = self.shared.me().identity.map(|(_, node)| node);
        let mut members = self.shared.peers();
        members.retain(|_, member| {
            let stays =
                peers.contains(&Peer { node: member.state.node, address: member.state.address.clone() });
            if !stays {
                member.dial.abort();
                member.state.remove(&self.shared.inbox);
            }
            stays
        });
        for peer in peers {
            if Some(peer.node) == me || members.contains_key(&peer.node) {
                continue;
            }
            // A name shows where it leads when it is dialed.
            let literal = peer.address.parse();
            if let Ok(Err(error)) = literal.map(|address| self.shared.certificates.check_address(address)) {
                error!(node = %peer.node, "cluster link: {error}");
                continue;
            }
            let (node, state) = (peer.node, Arc::new(PeerState::new(peer)));
            let seed = self.seed ^ node.get().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let task = keep::keep(self.shared.clone(), state.clone(), seed);
            let dial = self.runtime.spawn(task).abort_handle();
            members.insert(node, Member { state, dial });
        }
    }

    /// Queues a frame; see [`Net::send`].
    ///
    /// # Errors
    /// When it was not queued.
    pub fn send(&self, to: NodeId, lane: Lane, frame: &Frame) -> Result<(), Unsent> {
        let peer = self.shared.peer(to).ok_or(Unsent::Away)?;
        if peer.generation().is_none() {
            return Err(Unsent::Away);
        }
        let bytes = frame.encode().map_err(|_| Unsent::Large)?;
        peer.queues[lane.slot()].push(bytes)
    }

    /// Asks whoever is at `address`, `HOST:PORT`, this node included. [`Incoming::Answer`] with the number that
    /// is returned comes within some seconds, in any case.
    pub fn ask(&self, address: String, frame: Frame) -> u64 {
        let token = self.asked.fetch_add(1, Ordering::Relaxed);
        self.runtime.spawn(keep::ask(self.shared.clone(), address, frame, token));
        token
    }

    /// Addresses where whoever was dialed last will not speak with this node, and why.
    pub fn refusals(&self) -> Vec<(String, Code)> {
        self.shared.refusals()
    }

    /// Moves everything that came in to the end of `out`.
    pub fn take(&self, out: &mut Vec<Incoming>) {
        self.shared.inbox.take(out);
    }

    #[cfg(test)]
    fn kill(self) {
        self.shared.killed.store(true, Ordering::Relaxed);
    }

    /// Figures of every peer, by node.
    pub fn figures(&self) -> Vec<PeerFigures> {
        let mut figures: Vec<_> = self.shared.peers().values().map(|member| member.state.figures()).collect();
        figures.sort_by_key(|figures| figures.node);
        figures
    }
}

impl Net for Link {
    fn send(&mut self, to: NodeId, lane: Lane, frame: &Frame) -> Result<(), Unsent> {
        Link::send(self, to, lane, frame)
    }

    fn take(&mut self, out: &mut Vec<Incoming>) {
        Link::take(self, out);
    }

    fn set_peers(&mut self, peers: Vec<Peer>) {
        Link::set_peers(self, peers);
    }

    fn figures(&self) -> Vec<PeerFigures> {
        Link::figures(self)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("cluster link: its thread panicked");
        }
    }
}

/// Asks for large buffers; what the kernel grants of it is its own affair.
fn widen(socket: &UdpSocket) -> io::Result<()> {
    let socket = socket2::SockRef::from(socket);
    socket.set_recv_buffer_size(SOCKET_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BYTES)?;
    let granted = socket.recv_buffer_size()?;
    if granted < SOCKET_BYTES {
        warn!(granted, wanted = SOCKET_BYTES, "cluster link: small socket buffers; raise net.core.rmem_max");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
