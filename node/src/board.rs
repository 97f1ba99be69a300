//! What the threads of a node show each other without being asked: who leads each partition, in which term each session
//! group is, who listens to QoS 0, and how many bytes of QoS 0 wait for whom.
//!
//! Everything here is a plain number that one thread writes and others read. What is a moment old does no harm: a
//! record of QoS 0 carries the term under which it was routed, and whoever has seen a higher one drops it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::route::{Partition, Route};

/// Bytes of QoS 0 that may wait for the hub, or for a worker when they come from another node.
const LIVE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Who leads a partition: this node, another one or nobody that is known, and in which term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lead(u64);

impl Lead {
    /// This node is the whole cluster.
    pub const ALONE: Self = Self::here(0);

    /// Nobody that is known.
    pub const fn nobody(term: u64) -> Self {
        Self(term << 2)
    }

    /// This node.
    pub const fn here(term: u64) -> Self {
        Self(term << 2 | 1)
    }

    /// Another node.
    pub const fn elsewhere(term: u64) -> Self {
        Self(term << 2 | 2)
    }

    /// Is it this node?
    pub const fn is_here(self) -> bool {
        self.0 & 1 != 0
    }

    /// Is it another node?
    pub const fn is_elsewhere(self) -> bool {
        self.0 & 2 != 0
    }

    /// The term.
    pub const fn term(self) -> u64 {
        self.0 >> 2
    }
}

/// The board of one node.
#[derive(Debug)]
pub struct Board {
    alone: bool,
    /// Some other node may want QoS 0.
    abroad: AtomicBool,
    leads: Box<[AtomicU64]>,
    /// Terms of the session groups in their order, and how often one has changed.
    terms: Box<[AtomicU64]>,
    terms_changed: AtomicU64,
    workers: Box<[OfWorker]>,
    /// Bytes of QoS 0 on their way to the hub.
    hub: AtomicUsize,
}

#[derive(Debug, Default)]
struct OfWorker {
    /// It has a subscription.
    listens: AtomicBool,
    /// Bytes of QoS 0 on their way to it.
    waiting: AtomicUsize,
}

impl Board {
    /// The board of a node with so many workers; `alone` where there are no other nodes.
    pub fn new(route: Route, workers: usize, alone: bool) -> Self {
        Self {
            alone,
            abroad: AtomicBool::new(false),
            leads: route.all_partitions().map(|_| AtomicU64::new(0)).collect(),
            terms: route.all_session_groups().map(|_| AtomicU64::new(0)).collect(),
            terms_changed: AtomicU64::new(0),
            workers: (0..workers).map(|_| OfWorker::default()).collect(),
            hub: AtomicUsize::new(0),
        }
    }

    /// There are no other nodes.
    #[inline]
    pub fn alone(&self) -> bool {
        self.alone
    }

    /// Who leads a partition.
    #[inline]
    pub fn lead(&self, partition: Partition) -> Lead {
        Lead(self.leads[partition.index()].load(Ordering::Acquire))
    }

    /// The hub has learned who leads a partition.
    pub fn set_lead(&self, partition: Partition, lead: Lead) {
        self.leads[partition.index()].store(lead.0, Ordering::Release);
    }

    /// How often the term of a session group has changed.
    #[inline]
    pub fn terms_changed(&self) -> u64 {
        self.terms_changed.load(Ordering::Acquire)
    }

    /// The terms of the session groups, by their index.
    pub fn terms(&self) -> Arc<[u64]> {
        self.terms.iter().map(|term| term.load(Ordering::Acquire)).collect()
    }

    /// The hub has learned in which term a session group is.
    pub fn set_term(&self, index: usize, term: u64) {
        if self.terms[index].swap(term, Ordering::AcqRel) != term {
            self.terms_changed.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// May another node want QoS 0?
    #[inline]
    pub fn abroad(&self) -> bool {
        self.abroad.load(Ordering::Acquire)
    }

    /// The hub has learned whether another node may want QoS 0.
    pub fn set_abroad(&self, abroad: bool) {
        self.abroad.store(abroad, Ordering::Release);
    }

    /// Has the worker a subscription?
    #[inline]
    pub fn listens(&self, worker: u32) -> bool {
        self.workers[worker as usize].listens.load(Ordering::Acquire)
    }

    /// A worker says whether it has a subscription.
    pub fn set_listens(&self, worker: u32, listens: bool) {
        self.workers[worker as usize].listens.store(listens, Ordering::Release);
    }

    /// Bytes of QoS 0 leave for a worker.
    pub fn sent(&self, worker: u32, bytes: usize) {
        self.workers[worker as usize].waiting.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of QoS 0 have arrived at a worker.
    pub fn arrived(&self, worker: u32, bytes: usize) {
        self.workers[worker as usize].waiting.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// May more of other nodes be sent to the worker?
    pub fn room_at(&self, worker: u32) -> bool {
        self.workers[worker as usize].waiting.load(Ordering::Relaxed) <= LIVE_BYTES_MAX
    }

    /// Is there a worker for which more than `bytes` wait?
    pub fn any_beyond(&self, bytes: usize) -> bool {
        self.workers.iter().any(|worker| worker.waiting.load(Ordering::Relaxed) > bytes)
    }

    /// Bytes of QoS 0 leave for the hub, where there is room.
    pub fn sent_to_hub(&self, bytes: usize) -> bool {
        let room = self.hub.load(Ordering::Relaxed) <= LIVE_BYTES_MAX;
        if room {
            self.hub.fetch_add(bytes, Ordering::Relaxed);
        }
        room
    }

    /// Bytes of QoS 0 have arrived at the hub.
    pub fn arrived_at_hub(&self, bytes: usize) {
        self.hub.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_is_one_of_three_and_has_its_term() {
        for (lead, here, elsewhere) in
            [(Lead::nobody(7), false, false), (Lead::here(7), true, false), (Lead::elsewhere(7), false, true)]
        {
            assert_eq!((lead.is_here(), lead.is_elsewhere(), lead.term()), (here, elsewhere, 7));
        }
        assert!(Lead::ALONE.is_here() && Lead::default() == Lead::nobody(0));
    }

    #[test]
    fn what_waits_for_the_hub_is_bounded() {
        let board = Board::new(Route::new(1, 1), 1, false);
        assert!(board.sent_to_hub(LIVE_BYTES_MAX + 1));
        assert!(!board.sent_to_hub(1));
        board.arrived_at_hub(LIVE_BYTES_MAX + 1);
        assert!(board.sent_to_hub(1));
    }
}
