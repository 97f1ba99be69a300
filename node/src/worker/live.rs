//! QoS 0 without RETAIN: nothing is kept and nobody waits.
//!
//! The leader of the topic's partition is its router, wherever publisher and subscribers are. If that is this node,
//! records go to the sessions here and, once a turn, to the workers and nodes that listen; if it is another, they go
//! to it by way of the hub, and come back like anybody's. In a cluster of one everything is routed here.
//!
//! Invariant: what a session gets of one publisher and topic is in the order in which it was published, also while
//! leaders change: a term has one leader, one way leads to and from it, and whoever has routed or seen records of a
//! higher term drops those of a lower one.
//!
//! Invariant: of the dispatchers of a shared subscription only the one gives a record whose term its router names.
//!
//! Invariant: a session that was on another node before gets nothing twice: what was routed before it came here was
//! for it there, however late it arrives here.

use std::sync::Arc;

use bytes::Bytes;

use super::deliver::Origin;
use super::{Now, Worker};
use crate::board::Lead;
use crate::config::Fault;
use crate::mail::{Event, Live, Request};
use crate::metrics::Dropped;
use crate::record::Record;
use crate::route::Partition;

/// Bytes of records that leave together, unless one record is larger.
const LIVE_BYTES: usize = 256 * 1024;

/// Longest time, in milliseconds, for which a record may be under way from its router. Only within it what came before
/// a session is told from what came after: if the clocks of two nodes disagree, that costs little.
const UNDER_WAY_MAX: u64 = 10_000;

/// From when on QoS 0 is somebody's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Since {
    /// Group time, ms.
    stamp: u64,
    /// When nothing from before is under way any more; monotonic, ms.
    over: u64,
}

impl Since {
    pub(super) fn now(now: Now) -> Self {
        Self { stamp: now.wall, over: now.monotonic.saturating_add(UNDER_WAY_MAX) }
    }

    /// Was what has arrived now routed before?
    pub(super) fn is_after(&self, stamp: u64, now: Now) -> bool {
        stamp < self.stamp && now.monotonic < self.over
    }
}

/// QoS 0 of one partition.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Highest term of which something was routed here.
    seen: u64,
    /// Who routes what is collected.
    lead: Lead,
    count: u32,
    bytes: Vec<u8>,
}

impl Worker {
    /// A record goes to whoever listens, or to who knows them.
    pub(super) fn route_live(&mut self, record: &Record<'_>) {
        if self.place.board.alone() {
            return self.spread(record, Partition::new(0), Lead::ALONE);
        }
        let partition = self.place.route.partition(record.topic);
        let lead = self.place.board.lead(partition);
        if lead.is_here() {
            self.spread(record, partition, lead);
        } else if lead.is_elsewhere() {
            self.collect(record, partition, lead);
        } else {
            self.counters.dropped(Dropped::NoLeader);
        }
    }

    fn spread(&mut self, record: &Record<'_>, partition: Partition, lead: Lead) {
        if lead != Lead::ALONE && self.terms_seen != self.place.board.terms_changed() {
            // What is collected was dispatched by the terms of before.
            self.settle_live();
            self.terms_seen = self.place.board.terms_changed();
            self.shares.routed = self.place.board.terms();
        }
        if self.others_listen() {
            self.collect(record, partition, lead);
        }
        if !self.matching.is_empty() {
            let lane = &mut self.lanes[partition.index()];
            lane.seen = lane.seen.max(lead.term());
            let times = if Fault::LiveTwice.is_in(self.settings.fault) { 2 } else { 1 };
            for _ in 0..times {
                self.deliver(record, record.expiry, Origin::Live { stamp: self.now.wall });
            }
        }
    }

    fn others_listen(&self) -> bool {
        let place = &self.place;
        let mut others = (0..place.workers).filter(|worker| *worker != place.worker);
        others.any(|worker| place.board.listens(worker)) || place.board.abroad()
    }

    fn collect(&mut self, record: &Record<'_>, partition: Partition, lead: Lead) {
        let lane = &mut self.lanes[partition.index()];
        if lane.count > 0 && (lane.lead != lead || lane.bytes.len() >= LIVE_BYTES) {
            self.send_live(partition);
        }
        let lane = &mut self.lanes[partition.index()];
        if lane.count == 0 {
            lane.lead = lead;
            self.touched_lanes.push(partition);
        }
        lane.count += 1;
        record.encode(&mut lane.bytes);
    }

    /// End of turn: what was collected leaves.
    pub(super) fn settle_live(&mut self) {
        while let Some(partition) = self.touched_lanes.pop() {
            self.send_live(partition);
        }
    }

    fn send_live(&mut self, partition: Partition) {
        let lane = &mut self.lanes[partition.index()];
        let count = std::mem::take(&mut lane.count);
        if count == 0 {
            return;
        }
        let bytes = Bytes::from(std::mem::take(&mut lane.bytes));
        let here = lane.lead.is_here();
        let terms = if here { Arc::clone(&self.shares.routed) } else { Arc::default() };
        let live = Live { partition, lead: lane.lead, count, bytes, stamp: self.now.wall, terms };
        let board = &self.place.board;
        for worker in 0..if here { self.place.workers } else { 0 } {
            if worker != self.place.worker && board.listens(worker) {
                board.sent(worker, live.bytes.len());
                self.out.peers[worker as usize].push(Event::Live(live.clone()));
            }
        }
        if !here || board.abroad() {
            if board.sent_to_hub(live.bytes.len()) {
                self.out.requests.push(Request::Live(live));
            } else {
                self.counters.dropped_some(Dropped::QueueFull, count);
            }
        }
    }

    /// QoS 0 from another worker or another node.
    pub(super) fn live(&mut self, live: &Live) {
        self.place.board.arrived(self.place.worker, live.bytes.len());
        let lane = &mut self.lanes[live.partition.index()];
        if live.lead.term() < lane.seen {
            return self.counters.dropped_some(Dropped::LeaderMoved, live.count);
        }
        lane.seen = live.lead.term();
        let own = std::mem::replace(&mut self.shares.routed, Arc::clone(&live.terms));
        let mut rest = &live.bytes[..];
        // Another node's bytes may be anything.
        while let Some((record, more)) = Record::decode(rest) {
            rest = more;
            if let Some(expiry) = self.expiry_left(&record, live.stamp) {
                self.deliver(&record, expiry, Origin::Live { stamp: live.stamp });
            }
        }
        self.shares.routed = own;
    }
}
