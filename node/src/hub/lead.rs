//! Who leads which group, and moving leaders: each has a node where it belongs, so that load is spread, and a node
//! that stops leads nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use holdfast_cluster::placement::{Part, voters};
use holdfast_log::{GroupId, GroupStatus, NodeId, ReplicaId, ReplicaStatus, Role, Standing, Term};

use super::Hub;
use super::machine::Machines;
use super::show::kind;
use super::turn::HubError;
use crate::board::{Board, Lead};
use crate::route::{META, Partition};
use crate::state::meta::Office;

/// How often leaders are looked at.
const BALANCE_EVERY: Duration = Duration::from_secs(1);
/// A leader stays at least this long before it is moved.
const SETTLED: Duration = Duration::from_secs(3);
/// Entries that a replica may lack to take over without a pause that clients notice.
const BEHIND_MAX: u64 = 1_000;
/// How long a node that stops waits for others to take over.
const HAND_OVER_MAX: Duration = Duration::from_secs(2);

/// What this node knows of the leaders.
#[derive(Debug)]
pub(super) struct Leading {
    roles: BTreeMap<GroupId, Known>,
    board: Arc<Board>,
    node: NodeId,
    balanced_at: Duration,
    /// Groups whose leader is a replica that this node has not heard of yet: it has joined meanwhile.
    unnamed: BTreeSet<GroupId>,
}

#[derive(Debug)]
struct Known {
    role: Role,
    leader: Option<NodeId>,
    since: Duration,
}

impl Leading {
    /// Nothing is known yet. What this `node` learns of partitions is shown on the `board`.
    pub(super) fn new(node: NodeId, board: Arc<Board>) -> Self {
        let (roles, unnamed) = (BTreeMap::new(), BTreeSet::new());
        Self { roles, board, node, balanced_at: Duration::ZERO, unnamed }
    }

    /// Who leads `group`, as far as this node knows.
    pub(super) fn leader(&self, group: GroupId) -> Option<NodeId> {
        self.roles.get(&group).and_then(|known| known.leader)
    }

    /// As the workers see it.
    pub(super) fn lead(&self, group: GroupId) -> Lead {
        self.roles.get(&group).map_or(Lead::default(), |known| {
            let term = known.role.term.get();
            match known.leader {
                Some(leader) if leader == self.node => Lead::here(term),
                Some(_) => Lead::elsewhere(term),
                None => Lead::nobody(term),
            }
        })
    }

    /// This node leads `group` and takes proposals.
    pub(super) fn leads(&self, group: GroupId) -> bool {
        self.roles.get(&group).is_some_and(|known| known.role.leads)
    }

    /// The term in which this node leads `group` and takes proposals.
    pub(super) fn leads_in(&self, group: GroupId) -> Option<Term> {
        self.roles.get(&group).filter(|known| known.role.leads).map(|known| known.role.term)
    }

    /// Groups whose leader is `node`.
    pub(super) fn led_by(&self, node: NodeId) -> Vec<GroupId> {
        let led = self.roles.iter().filter(|(_, known)| known.leader == Some(node));
        led.map(|(group, _)| *group).collect()
    }

    fn set(&mut self, group: GroupId, role: Role, leader: Option<NodeId>, now: Duration) {
        if leader.is_none() && role.leader.is_some() {
            self.unnamed.insert(group);
        } else {
            self.unnamed.remove(&group);
        }
        self.roles.insert(group, Known { role, leader, since: now });
        if let Some(partition) = Partition::of_group(group) {
            self.board.set_lead(partition, self.lead(group));
        } else if group != META {
            self.board.set_term(Machines::session_index(group), role.term.get());
        }
    }
}

impl Hub {
    /// A group's leadership changed. Everything that is open is said to the new leader, and a leader takes up its
    /// duties.
    pub(super) fn role(&mut self, group: GroupId, role: Role) {
        let now = self.clock.monotonic();
        let led = self.leading.leads_in(group);
        let leader = role.leader.and_then(|replica| self.node_of(group, replica));
        if leader != self.leading.leader(group) {
            self.traffic.leader_changed(kind(group));
        }
        self.leading.set(group, role, leader, now);
        let leads = role.leads.then_some(role.term);
        if led != leads {
            self.machines.forget_pending(group);
        }
        if !role.leads {
            self.end_tenure(group);
        }
        if leader.is_some() {
            self.proposals.resend(group);
        }
        if role.leads && led != leads {
            tracing::debug!(%group, term = %role.term, "leads");
            self.traffic.election_won(kind(group));
            if group == META {
                self.boarding.restart_leases(now);
            } else if Partition::of_group(group).is_none() {
                // The others hear of it at once, for they serve by what its leader says.
                self.peers.pulse_soon();
            }
            self.take_up(group);
        }
    }

    /// Looks again on which node a leader is that this node could not place when it first heard of it.
    pub(super) fn name_leaders(&mut self) {
        for group in self.leading.unnamed.clone() {
            let Some(role) = self.leading.roles.get(&group).map(|known| known.role) else { continue };
            if role.leader.and_then(|replica| self.node_of(group, replica)).is_some() {
                self.role(group, role);
            }
        }
    }

    /// What only a leader does, from the start: nobody knows how far the last one came.
    pub(super) fn take_up(&mut self, group: GroupId) {
        if self.boot == 0 || !self.leading.leads(group) || group == META {
            return;
        }
        self.close_lapsed(group);
        if Partition::of_group(group).is_none() {
            self.outbox_sent[Machines::session_index(group)] = 0;
            self.send_outbox(group);
            self.begin_tenure(group);
        }
    }

    fn node_of(&self, group: GroupId, replica: ReplicaId) -> Option<NodeId> {
        let status = self.engine.status(group)?;
        status.replicas.iter().find(|peer| peer.replica == replica).map(|peer| peer.node)
    }

    /// Moves leaders to where they belong.
    pub(super) fn balance(&mut self) {
        let now = self.clock.monotonic();
        if now < self.leading.balanced_at + BALANCE_EVERY || self.peers.alone() {
            return;
        }
        self.leading.balanced_at = now;
        // While any node lacks room all refuse, so the others are as good a place as before.
        let leave = self.stopping || self.keeping.short || self.office(self.node) != Office::Full;
        let parts = self.parts();
        for (seat, group) in self.route.all_groups().enumerate() {
            let known = self.leading.roles.get(&group);
            if !known.is_some_and(|known| known.role.leads && (leave || now > known.since + SETTLED)) {
                continue;
            }
            let Some(status) = self.engine.status(group) else { continue };
            if let Some(to) = self.successor(&status, &parts, (seat, leave)) {
                self.engine.transfer(group, to);
            }
        }
    }

    /// Where a group that is led here should be led. `leave`: not here. The seats go round the nodes.
    fn successor(
        &self,
        status: &GroupStatus,
        parts: &BTreeMap<NodeId, Part>,
        (seat, leave): (usize, bool),
    ) -> Option<ReplicaId> {
        let fit = |peer: &&ReplicaStatus| {
            peer.standing == Standing::Voter
                && (peer.node == self.node && !leave
                    || peer.active
                        && self.peers.may_lead(peer.node)
                        && peer.matched.is_some_and(|at| at.get() + BEHIND_MAX >= status.last.get()))
        };
        let votes = status.replicas.iter().filter(|peer| peer.standing == Standing::Voter);
        let voting: Vec<NodeId> = votes.map(|peer| peer.node).collect();
        let wish = voters(parts, &voting, (seat, self.wanted(status.group, parts)));
        let of = |node: &NodeId| status.replicas.iter().find(|peer| peer.node == *node).filter(fit);
        let first = wish.first().and_then(of);
        // Only who must not lead is content with any other: who stops, and whose vote is about to go.
        let goes = leave || !wish.contains(&self.node);
        let any =
            || wish.iter().chain(&voting).filter(|node| **node != self.node).find_map(of).filter(|_| goes);
        first.or_else(any).filter(|peer| peer.node != self.node).map(|peer| peer.replica)
    }

    /// Hands over everything that this node leads, as far as others are there to take it.
    pub(super) fn hand_over(&mut self) -> Result<(), HubError> {
        let until = self.clock.monotonic() + HAND_OVER_MAX;
        let mut requests = Vec::new();
        self.tell_pulse();
        while !self.leading.led_by(self.node).is_empty()
            && self.peers.any_may_lead()
            && self.clock.monotonic() < until
        {
            self.leading.balanced_at = Duration::ZERO;
            self.balance();
            let inbox = Arc::clone(&self.inbox);
            inbox.wait(Duration::from_millis(20), &mut requests);
            self.turn(&mut requests)?;
        }
        self.say_goodbye();
        Ok(())
    }
}
