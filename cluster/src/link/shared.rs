//! What the tasks of a link and its handle share.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_log::NodeId;
use quinn::crypto::rustls::QuicClientConfig;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tracing::{debug, warn};

use super::code::Code;
use super::hello::Me;
use super::inbox::Inbox;
use super::peer::PeerState;
use super::tls::Certificates;

/// Connections that may be without a hello, or ask, at one time: more are refused before any cryptography.
pub(super) const GUESTS_MAX: usize = 64;
/// Complaints that are remembered, so that each is made once.
const SAID_MAX: usize = 1024;

/// The state of a link.
pub(super) struct Shared {
    pub endpoint: quinn::Endpoint,
    pub certificates: Certificates,
    pub inbox: Inbox,
    pub guests: Arc<Semaphore>,
    me: Mutex<Me>,
    client: Mutex<Arc<QuicClientConfig>>,
    peers: Mutex<HashMap<NodeId, Member>>,
    said: Mutex<HashSet<(String, String)>>,
    /// Addresses where whoever was dialed last will not have this node, and why.
    refusals: Mutex<HashMap<String, Code>>,
    /// The thread ends without a word, as if the process was killed.
    #[cfg(test)]
    pub killed: std::sync::atomic::AtomicBool,
}

/// A peer and the task that keeps its connection.
pub(super) struct Member {
    pub state: Arc<PeerState>,
    pub dial: AbortHandle,
}

impl Shared {
    pub(super) fn new(
        endpoint: quinn::Endpoint,
        (certificates, client): (Certificates, Arc<QuicClientConfig>),
        inbox: Inbox,
        me: Me,
    ) -> Self {
        Self {
            endpoint,
            certificates,
            inbox,
            guests: Arc::new(Semaphore::new(GUESTS_MAX)),
            me: Mutex::new(me),
            client: Mutex::new(client),
            peers: Mutex::default(),
            said: Mutex::default(),
            refusals: Mutex::default(),
            #[cfg(test)]
            killed: std::sync::atomic::AtomicBool::new(false),
        }
    }

    pub(super) fn me(&self) -> Me {
        lock(&self.me).clone()
    }

    pub(super) fn identify(&self, cluster: String, node: NodeId) {
        lock(&self.me).identity = Some((cluster, node));
        for member in self.peers().values() {
            member.state.hurry.notify_one();
        }
    }

    pub(super) fn client(&self) -> Arc<QuicClientConfig> {
        lock(&self.client).clone()
    }

    pub(super) fn set_client(&self, client: Arc<QuicClientConfig>) {
        *lock(&self.client) = client;
    }

    pub(super) fn peers(&self) -> MutexGuard<'_, HashMap<NodeId, Member>> {
        lock(&self.peers)
    }

    pub(super) fn peer(&self, node: NodeId) -> Option<Arc<PeerState>> {
        self.peers().get(&node).map(|member| member.state.clone())
    }

    /// Warns of what went wrong with `address`, once until it is well again.
    pub(super) fn say(&self, address: &str, what: &str) {
        let mut said = lock(&self.said);
        if said.len() >= SAID_MAX {
            said.clear();
        }
        if said.insert((address.to_owned(), what.to_owned())) {
            warn!(address, "cluster link: {what}");
        } else {
            debug!(address, "cluster link: {what}");
        }
    }

    #[cfg(test)]
    pub(super) fn said(&self, what: &str) -> bool {
        lock(&self.said).iter().any(|(_, said)| what.is_empty() || said == what)
    }

    /// Whoever was dialed at `address` and this node do not speak with each other.
    pub(super) fn refused(&self, address: &str, code: Code) {
        lock(&self.refusals).insert(address.to_owned(), code);
    }

    pub(super) fn refusals(&self) -> Vec<(String, Code)> {
        lock(&self.refusals).iter().map(|(address, code)| (address.clone(), *code)).collect()
    }

    /// All is well with `address`.
    pub(super) fn well(&self, address: &str) {
        lock(&self.said).retain(|(other, _)| other != address);
        lock(&self.refusals).remove(address);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
