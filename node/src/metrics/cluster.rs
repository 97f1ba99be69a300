//! Figures of a node among others: what Raft says, who leads, how the ways to the other nodes are.

use holdfast_log::NodeId;
use std::collections::BTreeMap;

use holdfast_cluster::link::{PeerFigures, SLOT_NAMES};
use metrics::{Counter, counter, gauge};

/// Which way something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From another node.
    In,
    /// To another node.
    Out,
}

impl Direction {
    fn label(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What groups are for, as users see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// Who is a member, and who serves.
    Meta,
    /// Sessions.
    Session,
    /// Messages.
    Partition,
}

impl GroupKind {
    const LABELS: [&str; 3] = ["meta", "session", "partition"];
}

/// What a hub counts as it goes.
#[derive(Debug)]
pub struct Traffic {
    raft: BTreeMap<(&'static str, Direction), (Counter, Counter)>,
    forwarded: [Counter; 2],
    changes: [Counter; 3],
    won: [Counter; 3],
    resent: Counter,
}

impl Traffic {
    /// Handles to the recorder of this process: make them after it is installed.
    pub fn new() -> Self {
        let by_group = |name: &'static str| GroupKind::LABELS.map(|group| counter!(name, "group" => group));
        Self {
            raft: BTreeMap::new(),
            forwarded: [Direction::In, Direction::Out].map(
                |direction| counter!("holdfast_forwarded_messages_total", "direction" => direction.label()),
            ),
            changes: by_group("holdfast_leader_changes_total"),
            won: by_group("holdfast_elections_won_total"),
            resent: counter!("holdfast_proposals_resent_total"),
        }
    }

    /// A message of Raft, or a piece of a snapshot or of history.
    pub fn raft(&mut self, kind: &'static str, direction: Direction, bytes: usize) {
        let (messages, total) = self.raft.entry((kind, direction)).or_insert_with(|| {
            let label = direction.label();
            (
                counter!("holdfast_raft_messages_total", "kind" => kind, "direction" => label),
                counter!("holdfast_raft_bytes_total", "kind" => kind, "direction" => label),
            )
        });
        messages.increment(1);
        total.increment(bytes as u64);
    }

    /// Messages of QoS 0.
    pub fn forwarded(&self, direction: Direction, messages: u32) {
        self.forwarded[direction as usize].increment(u64::from(messages));
    }

    /// A group has another leader, or none.
    pub fn leader_changed(&self, group: GroupKind) {
        self.changes[group as usize].increment(1);
    }

    /// This node leads a group.
    pub fn election_won(&self, group: GroupKind) {
        self.won[group as usize].increment(1);
    }

    /// Proposals have been said again.
    pub fn resent(&self, proposals: u64) {
        self.resent.increment(proposals);
    }
}

impl Default for Traffic {
    fn default() -> Self {
        Self::new()
    }
}

/// How a node stands among the others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standing {
    /// It serves clients.
    pub serving: bool,
    /// Seconds that are left of its lease; `None` where there are no leases.
    pub lease_seconds: Option<f64>,
    /// Nodes with a lease.
    pub alive: u64,
    /// Nodes without one, that were not drained.
    pub dead: u64,
    /// Nodes that were drained.
    pub draining: u64,
    /// Groups without a leader that this node knows.
    pub leaderless: [u64; 3],
    /// Groups that this node leads.
    pub led: [u64; 3],
    /// Proposals of this node that are not committed yet.
    pub proposals: u64,
}

impl Standing {
    /// Counts one group.
    pub fn count(&mut self, group: GroupKind, has_leader: bool, led: bool) {
        self.leaderless[group as usize] += u64::from(!has_leader);
        self.led[group as usize] += u64::from(led);
    }
}

/// Sets the levels of a node among others.
pub fn set_standing(standing: &Standing) {
    gauge!("holdfast_serving").set(f64::from(u8::from(standing.serving)));
    if let Some(seconds) = standing.lease_seconds {
        gauge!("holdfast_lease_left_seconds").set(seconds);
    }
    gauge!("holdfast_nodes", "state" => "alive").set(standing.alive as f64);
    gauge!("holdfast_nodes", "state" => "dead").set(standing.dead as f64);
    gauge!("holdfast_nodes", "state" => "draining").set(standing.draining as f64);
    gauge!("holdfast_proposals_open").set(standing.proposals as f64);
    for (at, group) in GroupKind::LABELS.into_iter().enumerate() {
        gauge!("holdfast_groups_without_leader", "group" => group).set(standing.leaderless[at] as f64);
        gauge!("holdfast_groups_led", "group" => group).set(standing.led[at] as f64);
    }
}

/// Shows no way to a node any more: it belongs to the cluster no longer, and nobody should be told that it is away.
pub fn forget_peer(node: NodeId) {
    gauge!("holdfast_peer_up", "peer" => node.get().to_string()).set(f64::NAN);
}

/// Sets the series of the way to one other node.
pub fn set_peer(figures: &PeerFigures) {
    let peer = figures.node.get().to_string();
    let level = |name: &'static str, value: f64| gauge!(name, "peer" => peer.clone()).set(value);
    let total = |name: &'static str, value: u64| counter!(name, "peer" => peer.clone()).absolute(value);
    level("holdfast_peer_up", f64::from(u8::from(figures.up)));
    level("holdfast_peer_rtt_seconds", figures.rtt.unwrap_or_default().as_secs_f64());
    level("holdfast_peer_window_bytes", figures.window_bytes as f64);
    total("holdfast_peer_packets_sent_total", figures.sent_packets);
    total("holdfast_peer_packets_lost_total", figures.lost_packets);
    total("holdfast_peer_congestion_events_total", figures.congestion_events);
    for (direction, bytes) in [(Direction::In, figures.received_bytes), (Direction::Out, figures.sent_bytes)]
    {
        let label = direction.label();
        counter!("holdfast_peer_bytes_total", "peer" => peer.clone(), "direction" => label).absolute(bytes);
    }
    let mut lanes = BTreeMap::<&'static str, (u64, u64)>::new();
    for (slot, lane) in SLOT_NAMES.into_iter().enumerate() {
        let (queued, dropped) = lanes.entry(lane).or_default();
        *queued += figures.queued_bytes[slot];
        *dropped += figures.dropped[slot];
    }
    for (lane, (queued, dropped)) in lanes {
        gauge!("holdfast_peer_queue_bytes", "peer" => peer.clone(), "lane" => lane).set(queued as f64);
        counter!("holdfast_peer_frames_dropped_total", "peer" => peer.clone(), "lane" => lane)
            .absolute(dropped);
    }
}
