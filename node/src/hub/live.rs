//! QoS 0 between nodes: to the leader of the partition, and from it to every node that may want it.
//!
//! A record is routed within one term: its worker saw who leads in that term, the hub sends it on only while that is
//! still so, and the leader routes it only while it leads in that very term. What does not fit any more is dropped
//! and counted, like what finds no room: nobody waits for QoS 0.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_cluster::link::{Frame, Lane};
use holdfast_log::{GroupId, NodeId};

use super::Hub;
use super::abroad::Abroad;
use super::interest::Interest;
use super::word::{self, Kind};
use crate::board::Lead;
use crate::mail::{Event, Live};
use crate::metrics::{Direction, Dropped};
use crate::route::Partition;

/// Bytes of records in one frame, unless one batch is larger.
const FRAME_BYTES: usize = 512 * 1024;

/// A node that leads no partition does not hold up a SUBSCRIBE for longer than this.
const LATE: Duration = Duration::from_secs(2);
/// A turn that comes so late: others may have stopped waiting for this node. Less than [`LATE`].
const PAUSE: Duration = Duration::from_millis(1_500);

/// The exchange of QoS 0 with other nodes.
#[derive(Debug)]
pub(super) struct Exchange {
    departures: Departures,
    /// What they are told that this node wants.
    pub(super) interest: Interest,
    /// What they have said that they want.
    abroad: Abroad,
    /// When the last turn began.
    turned_at: Duration,
}

impl Exchange {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            departures: Departures::default(),
            interest: Interest::new(),
            abroad: Abroad::default(),
            turned_at: now,
        }
    }
}

/// What leaves for other nodes at the next opportunity.
#[derive(Debug, Default)]
struct Departures {
    nodes: BTreeMap<NodeId, (Vec<word::Live>, usize)>,
}

impl Hub {
    /// QoS 0 of a worker, which has served the workers of this node itself where this node leads.
    pub(super) fn live(&mut self, live: Live) {
        self.board.arrived_at_hub(live.bytes.len());
        let Live { partition, lead, count, bytes, stamp, terms } = live;
        if lead.is_here() {
            let live = word::Live::new(partition, lead, count, bytes);
            return self.spread_abroad(&word::Live { stamp, terms: terms.to_vec(), ..live });
        }
        let group = partition.group();
        if self.leading.lead(group) != lead {
            return Dropped::LeaderMoved.add(count);
        }
        let Some(leader) = self.leading.leader(group) else { return Dropped::NoLeader.add(count) };
        let live = word::Live { to_leader: true, ..word::Live::new(partition, lead, count, bytes) };
        self.depart(leader, live);
    }

    /// QoS 0 of another node.
    pub(super) fn live_from(&mut self, from: NodeId, lives: word::Lives) {
        for live in lives.batches {
            self.traffic.forwarded(Direction::In, live.count);
            let Some(partition) = self.route.numbered(live.partition) else {
                tracing::warn!(%from, partition = live.partition, "QoS 0 of a partition that is not");
                continue;
            };
            let lead = Lead::here(live.term);
            if !live.to_leader {
                self.spread_here(partition, Lead::elsewhere(live.term), &live);
            } else if self.leading.lead(partition.group()) == lead {
                let live = word::Live { stamp: self.now(), terms: self.board.terms().to_vec(), ..live };
                self.spread_here(partition, lead, &live);
                self.spread_abroad(&live);
            } else {
                Dropped::LeaderMoved.add(live.count);
            }
        }
    }

    /// To the workers of this node that listen.
    fn spread_here(&mut self, partition: Partition, lead: Lead, live: &word::Live) {
        let word::Live { count, stamp, .. } = *live;
        let terms: Arc<[u64]> = live.terms.as_slice().into();
        for (worker, post) in (0u32..).zip(&mut self.workers) {
            if !self.board.listens(worker) {
                continue;
            }
            if !self.board.room_at(worker) {
                Dropped::QueueFull.add(count);
                continue;
            }
            let bytes = live.records.clone();
            self.board.sent(worker, bytes.len());
            let terms = Arc::clone(&terms);
            post.events.push(Event::Live(Live { partition, lead, count, bytes, stamp, terms }));
        }
    }

    /// To the other nodes that may want it.
    fn spread_abroad(&mut self, live: &word::Live) {
        for (node, live) in self.exchange.abroad.shares(live) {
            self.depart(node, live);
        }
    }

    fn depart(&mut self, node: NodeId, live: word::Live) {
        let (batches, bytes) = self.exchange.departures.nodes.entry(node).or_default();
        *bytes += live.records.len();
        batches.push(live);
        if *bytes >= FRAME_BYTES {
            self.send_departures();
        }
    }

    /// Sends what is to leave.
    pub(super) fn send_departures(&mut self) {
        for (node, (batches, bytes)) in &mut self.exchange.departures.nodes {
            if batches.is_empty() {
                continue;
            }
            *bytes = 0;
            let count = batches.iter().map(|live| live.count).sum();
            let lives = word::Lives { batches: std::mem::take(batches) };
            let frame = Frame::App(Kind::Lives(lives).into_bytes());
            match self.net.send(*node, Lane::Live, &frame) {
                Ok(()) => self.traffic.forwarded(Direction::Out, count),
                Err(_) => Dropped::QueueFull.add(count),
            }
        }
    }

    /// A node is connected.
    pub(super) fn meet(&mut self, node: NodeId) {
        self.exchange.interest.tell_all(node);
        self.exchange.abroad.enter(node);
        self.show_abroad();
    }

    /// A node is not connected any more.
    pub(super) fn part(&mut self, node: NodeId) {
        self.exchange.departures.nodes.remove(&node);
        self.exchange.interest.forget(node);
        self.exchange.abroad.leave(node);
        self.show_abroad();
    }

    /// A node says what its sessions listen to.
    pub(super) fn interest_of(&mut self, from: NodeId, interest: word::Interest) {
        self.exchange.abroad.told(from, interest);
        self.show_abroad();
    }

    fn show_abroad(&self) {
        self.board.set_abroad(self.exchange.abroad.any());
    }

    /// Says what is to be said about interest, on either side.
    pub(super) fn tell_interest(&mut self) {
        self.exchange.abroad.answer(&mut *self.net);
        if self.exchange.interest.tell(&mut *self.net) {
            // The rest is for the next turn, which comes at once.
            self.inbox.nudge();
        }
    }

    /// Others do not wait for a node that does not answer, so one that was stopped for a while asks them anew.
    pub(super) fn look_for_a_pause(&mut self, now: Duration) {
        if now > self.exchange.turned_at + PAUSE {
            self.exchange.abroad.doubt();
            self.show_abroad();
        }
        self.exchange.turned_at = now;
    }

    /// Do all that route for this node's sessions know of its interest `version`, `waited` after they were told?
    pub(super) fn is_known(&self, version: u64, waited: Duration) -> bool {
        let mut unaware = self.exchange.interest.unaware(version);
        unaware
            .all(|node| waited > LATE && !self.leading.led_by(node).iter().any(|group| is_partition(*group)))
    }
}

fn is_partition(group: GroupId) -> bool {
    Partition::of_group(group).is_some()
}
