//! One other node, as this one sees it: its queues, its live connection, its figures.
//!
//! Invariant: `Up` and `Down` of a node alternate in the inbox, and its frames lie between them.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_log::NodeId;
use tokio::sync::Notify;

use super::code::Code;
use super::hello::Hello;
use super::inbox::Inbox;
use super::lane::{QUEUE_BYTES_MAX, SLOTS};
use super::net::{Incoming, Peer, PeerFigures};
use super::queue::Queue;

/// Bytes that a change of state counts for in the inbox.
const CHANGE_BYTES: usize = 64;

/// The state of a peer.
pub(super) struct PeerState {
    pub node: NodeId,
    pub address: String,
    pub queues: [Queue; SLOTS],
    /// Wakes the task that dials.
    pub hurry: Notify,
    life: Mutex<Life>,
    /// Number of the live connection; 0 while there is none.
    generation: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

#[derive(Default)]
struct Life {
    up: Option<Up>,
    /// Of the connections that have ended.
    past: Path,
    generations: u64,
    removed: bool,
}

struct Up {
    connection: quinn::Connection,
    incarnation: u64,
    uuid: String,
}

/// What connections count of their way.
#[derive(Clone, Copy, Default)]
struct Path {
    sent: u64,
    lost: u64,
    congestion: u64,
}

impl Path {
    /// The live connection counts too.
    fn with(self, up: Option<&Up>) -> Self {
        let Some(path) = up.map(|up| up.connection.stats().path) else { return self };
        Self {
            sent: self.sent + path.sent_packets,
            lost: self.lost + path.lost_packets,
            congestion: self.congestion + path.congestion_events,
        }
    }
}

impl PeerState {
    pub(super) fn new(peer: Peer) -> Self {
        Self {
            node: peer.node,
            address: peer.address,
            queues: array::from_fn(|slot| Queue::new(QUEUE_BYTES_MAX[slot])),
            hurry: Notify::new(),
            life: Mutex::default(),
            generation: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }
    }

    /// The number of the live connection, if there is one.
    pub(super) fn generation(&self) -> Option<u64> {
        Some(self.generation.load(Ordering::Acquire)).filter(|number| *number != 0)
    }

    /// Takes `connection` for the live one, instead of any older. Returns its number.
    pub(super) fn enter(
        &self,
        connection: &quinn::Connection,
        hello: &Hello,
        inbox: &Inbox,
    ) -> Result<u64, Code> {
        let mut life = self.lock();
        if life.removed {
            return Err(Code::UnknownNode);
        }
        match &life.up {
            Some(up) if up.uuid != hello.node_uuid => return Err(Code::SameId),
            Some(up) if up.incarnation > hello.incarnation => return Err(Code::Stale),
            _ => self.end(&mut life, Code::Replaced, inbox),
        }
        life.generations += 1;
        life.up = Some(Up {
            connection: connection.clone(),
            incarnation: hello.incarnation,
            uuid: hello.node_uuid.clone(),
        });
        self.generation.store(life.generations, Ordering::Release);
        inbox.push(Incoming::Up { node: self.node, incarnation: hello.incarnation }, CHANGE_BYTES);
        self.hurry.notify_one();
        Ok(life.generations)
    }

    /// The live connection with this number is gone.
    pub(super) fn leave(&self, generation: u64, inbox: &Inbox) {
        let mut life = self.lock();
        if self.generation() == Some(generation) {
            self.end(&mut life, Code::Done, inbox);
        }
    }

    /// The node is no peer any more.
    pub(super) fn remove(&self, inbox: &Inbox) {
        let mut life = self.lock();
        life.removed = true;
        self.end(&mut life, Code::UnknownNode, inbox);
    }

    /// The peer says that this is its life: a connection to an earlier one is dead. Another directory that claims its
    /// id ends nothing.
    pub(super) fn outlive(&self, hello: &Hello, inbox: &Inbox) -> Result<(), Code> {
        let mut life = self.lock();
        match &life.up {
            Some(up) if up.uuid != hello.node_uuid => return Err(Code::SameId),
            Some(up) if up.incarnation < hello.incarnation => self.end(&mut life, Code::Replaced, inbox),
            _ => {}
        }
        self.hurry.notify_one();
        Ok(())
    }

    /// The number of the live connection, if it is with this life of the peer.
    pub(super) fn generation_of(&self, incarnation: u64) -> Option<u64> {
        let life = self.lock();
        let up = life.up.as_ref()?;
        (up.incarnation == incarnation).then_some(life.generations)
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn figures(&self) -> PeerFigures {
        let life = self.lock();
        let Path { sent, lost, congestion } = life.past.with(life.up.as_ref());
        PeerFigures {
            node: self.node,
            up: life.up.is_some(),
            rtt: life.up.as_ref().map(|up| up.connection.rtt()),
            window_bytes: life.up.as_ref().map_or(0, |up| up.connection.stats().path.cwnd),
            sent_packets: sent,
            lost_packets: lost,
            congestion_events: congestion,
            sent_bytes: self.sent.load(Ordering::Relaxed),
            received_bytes: self.received.load(Ordering::Relaxed),
            queued_bytes: array::from_fn(|slot| self.queues[slot].bytes()),
            dropped: array::from_fn(|slot| self.queues[slot].dropped()),
        }
    }

    fn end(&self, life: &mut Life, code: Code, inbox: &Inbox) {
        let Some(up) = life.up.take() else { return };
        life.past = life.past.with(Some(&up));
        self.generation.store(0, Ordering::Release);
        code.close(&up.connection);
        for queue in &self.queues {
            queue.clear();
        }
        inbox.push(Incoming::Down { node: self.node }, CHANGE_BYTES);
        self.hurry.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
