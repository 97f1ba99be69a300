//! The net as the hub sees it: what comes in is handed on, what the engine wants sent is packed by node and lane.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use holdfast_cluster::founding::JoinRequest;
use holdfast_cluster::link::{Frame, Incoming, Lane, Net, Proposed, Unsent};
use holdfast_log::{Bulk, Engine, GroupId, Message, NodeId, Proposal, Refusal};

use super::Hub;
use super::lead::Leading;
use super::machine::Machines;
use super::turn::HubError;
use super::word::{self, Kind, Opaque, Pulse};
use crate::metrics::Direction;

/// Bytes of messages in one frame, unless one message is larger.
const FRAME_BYTES: usize = 512 * 1024;
/// How often nodes tell each other how they are.
const PULSE_EVERY: Duration = Duration::from_secs(1);
/// A node that was not heard for this long is not asked to lead.
const QUIET: Duration = Duration::from_secs(4);

/// Answers the questions of nodes that are no members, as bytes. `None`: there is nothing to say.
pub type Answer = Box<dyn FnMut(Bytes) -> Option<Bytes> + Send>;

/// The other nodes.
pub(super) struct Peers {
    /// There is no link, and never will be others.
    alone: bool,
    others: BTreeSet<NodeId>,
    up: BTreeSet<NodeId>,
    pulses: BTreeMap<NodeId, (Pulse, Duration)>,
    pulsed_at: Duration,
    now: Duration,
    incoming: Vec<Incoming>,
    answer: Answer,
}

impl Peers {
    pub(super) fn new(alone: bool, answer: Answer) -> Self {
        Self {
            alone,
            others: BTreeSet::new(),
            up: BTreeSet::new(),
            pulses: BTreeMap::new(),
            pulsed_at: Duration::ZERO,
            now: Duration::ZERO,
            incoming: Vec::new(),
            answer,
        }
    }

    /// There are no other nodes, and never will be.
    pub(super) fn alone(&self) -> bool {
        self.alone
    }

    /// From now on these are the other nodes.
    pub(super) fn set_others(&mut self, others: BTreeSet<NodeId>) {
        self.pulses.retain(|node, _| others.contains(node));
        self.others = others;
    }

    /// The next pulse goes out with the next turn.
    pub(super) fn pulse_soon(&mut self) {
        self.pulsed_at = Duration::ZERO;
    }

    /// Is the node connected?
    pub(super) fn is_up(&self, node: NodeId) -> bool {
        self.up.contains(&node)
    }

    /// The other nodes that are connected.
    pub(super) fn connected(&self) -> impl Iterator<Item = NodeId> {
        self.up.iter().copied()
    }

    /// Does some other node refuse new messages for lack of space?
    pub(super) fn any_full(&self) -> bool {
        self.pulses.values().any(|(pulse, heard)| pulse.full && self.now < *heard + QUIET)
    }

    /// Is the node well enough to lead?
    pub(super) fn may_lead(&self, node: NodeId) -> bool {
        let pulse = self.pulses.get(&node).filter(|(_, heard)| self.now < *heard + QUIET);
        self.is_up(node) && pulse.is_some_and(|(pulse, _)| pulse.serving && !pulse.stopping && !pulse.full)
    }

    /// Is any other node?
    pub(super) fn any_may_lead(&self) -> bool {
        self.others.iter().any(|node| self.may_lead(*node))
    }
}

/// The way of a proposal to its leader.
pub(super) struct Way<'a> {
    pub(super) node: NodeId,
    pub(super) engine: &'a mut Engine,
    pub(super) net: &'a mut dyn Net,
    pub(super) leading: &'a Leading,
    pub(super) peers: &'a Peers,
    pub(super) machines: &'a mut Machines,
}

impl Way<'_> {
    /// Takes a proposal to the leader of its group, here or elsewhere.
    pub(super) fn offer(&mut self, proposal: Proposal) -> Result<(), Refusal> {
        let leader = self.leading.leader(proposal.group);
        match leader {
            Some(node) if node == self.node => self.admit(proposal),
            Some(node) if self.peers.is_up(node) => {
                match self.net.send(node, Lane::Rpc, &Frame::Propose(proposal)) {
                    Ok(()) => Ok(()),
                    Err(Unsent::Full) => Err(Refusal::Full),
                    Err(Unsent::Away) => Err(Refusal::NotLeader { leader: None }),
                    // An entry is bounded by the largest packet, which is bounded below this.
                    Err(Unsent::Large) => Err(Refusal::Range),
                }
            }
            _ => Err(Refusal::NotLeader { leader: None }),
        }
    }

    /// Appends at this node's leader, without what must not be in the log.
    pub(super) fn admit(&mut self, proposal: Proposal) -> Result<(), Refusal> {
        self.machines.admit(proposal, self.engine)
    }
}

impl Hub {
    pub(super) fn way(&mut self) -> Way<'_> {
        Way {
            node: self.node,
            engine: &mut self.engine,
            net: &mut *self.net,
            leading: &self.leading,
            peers: &self.peers,
            machines: &mut self.machines,
        }
    }

    /// Handles everything that came from other nodes.
    pub(super) fn take_in(&mut self) -> Result<(), HubError> {
        let mut incoming = std::mem::take(&mut self.peers.incoming);
        self.peers.now = self.clock.monotonic();
        self.net.take(&mut incoming);
        for one in incoming.drain(..) {
            match one {
                Incoming::Frame { from, frame } => self.frame(from, frame)?,
                Incoming::Up { node, .. } => self.up(node),
                Incoming::Down { node } => self.down(node),
                Incoming::Ask { frame: Frame::App(question), reply, .. } => {
                    if let Some(request) = JoinRequest::decode(&question) {
                        self.join_asked(&request, reply);
                    } else if let Some(answer) = (self.peers.answer)(question) {
                        reply.send(Frame::App(answer));
                    }
                }
                Incoming::Ask { .. } | Incoming::Answer { .. } => {}
            }
        }
        self.peers.incoming = incoming;
        Ok(())
    }

    fn up(&mut self, node: NodeId) {
        tracing::debug!(%node, "connected");
        self.peers.up.insert(node);
        self.meet(node);
        for group in self.leading.led_by(node) {
            self.proposals.resend(group);
        }
        self.peers.pulse_soon();
        self.share_up(node);
    }

    fn down(&mut self, node: NodeId) {
        tracing::debug!(%node, "not connected");
        self.peers.up.remove(&node);
        self.part(node);
        self.peers.pulses.remove(&node);
        self.share_down(node);
        for group in self.route.all_groups() {
            let status = self.engine.status(group);
            let replica =
                status.and_then(|status| status.replicas.into_iter().find(|peer| peer.node == node));
            if let Some(replica) = replica {
                self.engine.unreachable(group, replica.replica);
            }
        }
    }

    fn frame(&mut self, from: NodeId, frame: Frame) -> Result<(), HubError> {
        match frame {
            Frame::Raft(messages) => {
                for bytes in messages {
                    let size = bytes.len();
                    match Message::decode(bytes) {
                        Ok(message) => {
                            self.traffic.raft(message.kind(), Direction::In, size);
                            self.engine.step(message);
                        }
                        Err(error) => tracing::warn!(%from, %error, "a message of Raft is not understood"),
                    }
                }
            }
            Frame::Propose(proposal) => self.propose_for(from, proposal),
            Frame::Proposed(Proposed { group, node, boot, result, seq }) => {
                let Err(refusal) = result else { return Ok(()) };
                if node == self.node && boot.get() == 0 {
                    self.boarding_refused(seq, refusal);
                } else if self.proposals.are_of(node, boot)
                    && self.proposals.refused(group, refusal, self.clock.monotonic())
                {
                    self.lose("its boot is closed");
                }
            }
            Frame::App(bytes) => match word::decode(bytes) {
                Ok(Opaque::Word(kind)) => self.word(from, kind),
                Ok(Opaque::Bulk(bulk)) => {
                    self.traffic.raft(bulk.kind(), Direction::In, bulk.encoded_len());
                    self.engine.step_bulk(bulk)?;
                }
                Ok(Opaque::Unknown) => {}
                Err(error) => tracing::warn!(%from, %error, "a frame is not understood"),
            },
            Frame::Leaving => {
                self.peers.pulses.remove(&from);
            }
            Frame::ReadIndex { .. } | Frame::ReadIndexed { .. } => {}
        }
        Ok(())
    }

    /// A proposal of another node. Its stamp is this node's, whatever the clock says there.
    fn propose_for(&mut self, from: NodeId, mut proposal: Proposal) {
        proposal.stamp = holdfast_log::Stamp::new(self.now());
        let Proposal { group, node, boot, seq, .. } = proposal;
        if let Err(refusal) = self.way().admit(proposal) {
            let answer = Frame::Proposed(Proposed { group, node, boot, seq, result: Err(refusal) });
            // Where it does not arrive the proposer asks again.
            let _ = self.net.send(from, Lane::Rpc, &answer);
        }
    }

    fn word(&mut self, from: NodeId, kind: Kind) {
        match kind {
            Kind::Pulse(mut pulse) => {
                let now = self.clock.monotonic();
                self.time.heard(from, pulse.wall, now);
                self.marks_heard(from, pulse.marks.take());
                self.peers.pulses.insert(from, (pulse, now));
            }
            Kind::Lives(lives) => self.live_from(from, lives),
            Kind::Interest(interest) => self.interest_of(from, interest),
            Kind::InterestSeen(seen) => self.exchange.interest.seen(from, seen.version),
            Kind::Released(released) => self.released_elsewhere(released),
            Kind::Disconnect(disconnect) => {
                self.fence(disconnect.owner, &disconnect.client_id, false);
            }
            Kind::Hear(hear) => self.asked_to_hear(from, hear),
            Kind::Heard(heard) => self.heard(heard.number),
            Kind::Shared(shared) => {
                for word in shared.said.into_iter().filter_map(|said| said.word) {
                    self.share_heard(from, word);
                }
            }
        }
    }

    /// Tells the other nodes how this one is.
    pub(super) fn pulse(&mut self) {
        if self.clock.monotonic() >= self.peers.pulsed_at + PULSE_EVERY {
            self.tell_pulse();
        }
    }

    pub(super) fn tell_pulse(&mut self) {
        self.peers.pulsed_at = self.clock.monotonic();
        let pulse = Pulse {
            wall: self.clock.wall(),
            full: self.keeping.short,
            serving: self.boot > 0,
            stopping: self.stopping,
            marks: Some(self.marks()),
        };
        let frame = Frame::App(Kind::Pulse(pulse).into_bytes());
        for node in &self.peers.others {
            // Lost, it comes again in a second.
            let _ = self.net.send(*node, Lane::Control, &frame);
        }
    }

    /// Says a word to a node, if it is there.
    pub(super) fn say(&mut self, to: NodeId, kind: Kind) -> Result<(), Unsent> {
        self.net.send(to, Lane::Rpc, &Frame::App(kind.into_bytes()))
    }

    /// Sends what Raft wants sent, emptying `messages`. What finds no room is dropped: Raft says it again.
    pub(super) fn send_messages(&mut self, messages: &mut Vec<Message>) {
        let mut frames: BTreeMap<(NodeId, usize), (Lane, Vec<Bytes>, usize)> = BTreeMap::new();
        for message in messages.drain(..) {
            let Some(node) = message.node().filter(|node| self.peers.is_up(*node)) else { continue };
            let lane = lane_of(&message);
            let (_, packed, size) = frames.entry((node, lane.slot())).or_insert((lane, Vec::new(), 0));
            let mut bytes = BytesMut::new();
            message.encode(&mut bytes);
            self.traffic.raft(message.kind(), Direction::Out, bytes.len());
            *size += bytes.len();
            packed.push(bytes.freeze());
            if *size >= FRAME_BYTES {
                *size = 0;
                let frame = Frame::Raft(std::mem::take(packed));
                let _ = self.net.send(node, lane, &frame);
            }
        }
        for ((node, _), (lane, packed, _)) in frames {
            if !packed.is_empty() {
                let _ = self.net.send(node, lane, &Frame::Raft(packed));
            }
        }
    }

    /// Sends snapshots and history. What finds no room is dropped: whoever wants it asks again.
    pub(super) fn send_bulk(&mut self, bulk: &mut Vec<Bulk>) {
        for one in bulk.drain(..) {
            if let Some(node) = one.node() {
                self.traffic.raft(one.kind(), Direction::Out, one.encoded_len());
                let _ = self.net.send(node, Lane::Bulk, &Frame::App(word::encode_bulk(&one)));
            }
        }
    }

    /// The last word to the other nodes.
    pub(super) fn say_goodbye(&mut self) {
        for node in &self.peers.others {
            // Whoever does not hear it notices.
            let _ = self.net.send(*node, Lane::Control, &Frame::Leaving);
        }
    }
}

fn lane_of(message: &Message) -> Lane {
    let group: GroupId = message.group();
    match message.kind() {
        "append" | "append_response" | "snapshot" => Lane::Append(group),
        _ => Lane::Control,
    }
}
