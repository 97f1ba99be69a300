//! Which nodes keep a replica of which group, which of them vote, and what a leader does next to come there.
//!
//! Every node has a replica of every group, so that it can serve each session and each topic from its own disk.
//! Who votes goes round the nodes, group by group, so that votes and leaders are spread evenly; and since
//! everybody has the data, a vote moves without any copying.

use std::collections::BTreeMap;

use holdfast_log::{Change, GroupId, GroupSpec, NodeId, ReplicaId, Standing};

/// Voters of the meta group where there are nodes enough, whatever was asked for: it decides who lives.
const META_VOTERS: (usize, usize) = (3, 5);

/// The nodes that a cluster began with, as one of them sees them.
#[derive(Clone, Debug)]
pub struct Placement {
    node: NodeId,
    founders: Vec<NodeId>,
}

/// What a node is to the placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It keeps replicas, votes and leads.
    Full,
    /// It keeps its replicas, votes only where the others are too few, and does not lead.
    Draining,
    /// It keeps nothing.
    Removed,
}

impl Placement {
    /// Everything on `node`.
    pub fn of_one(node: NodeId) -> Self {
        Self { node, founders: vec![node] }
    }

    /// Everything on each of `founders`, of which `node` is one. In the same order on every node.
    pub fn of_founders(node: NodeId, mut founders: Vec<NodeId>) -> Self {
        founders.sort_unstable();
        Self { node, founders }
    }

    /// The replica of `group` on this node. `history`: the group's log is kept until it is cut on purpose.
    pub fn spec(&self, group: GroupId, history: bool) -> GroupSpec {
        let voters = self.founders.iter().map(|node| (replica_of(*node), *node)).collect();
        GroupSpec { id: group, history, replica: replica_of(self.node), voters }
    }

    /// A blank replica of `group` on this node, which asks those of the other nodes for what there is.
    pub fn blank(&self, group: GroupId, history: bool) -> GroupSpec {
        let others = self.founders.iter().filter(|node| **node != self.node);
        let voters = others.map(|node| (replica_of(*node), *node)).collect();
        GroupSpec { id: group, history, replica: replica_of(self.node), voters }
    }

    /// The nodes with a replica of any group.
    pub fn nodes(&self) -> &[NodeId] {
        &self.founders
    }
}

/// A node has the same number as its replicas: neither is ever used again.
fn replica_of(node: NodeId) -> ReplicaId {
    ReplicaId::new(node.get())
}

/// How many voters a group wants. A node that drains counts only where its vote is needed for as many as were
/// asked for.
pub fn voters_wanted(replicas: usize, meta: bool, parts: &BTreeMap<NodeId, Part>) -> usize {
    let full = parts.values().filter(|part| **part == Part::Full).count();
    let nodes = parts.values().filter(|part| **part != Part::Removed).count();
    let wanted = match (meta, full >= META_VOTERS.1) {
        (false, _) => replicas,
        (true, false) => replicas.max(META_VOTERS.0),
        (true, true) => replicas.max(META_VOTERS.1),
    };
    wanted.clamp(1, nodes.max(1))
}

/// The nodes that are to vote in the group with number `seat`, the one that is to lead it first. Those that
/// drain come in where the others are too few, if they have a vote now.
pub fn voters(
    parts: &BTreeMap<NodeId, Part>,
    voting: &[NodeId],
    (seat, wanted): (usize, usize),
) -> Vec<NodeId> {
    let full: Vec<NodeId> =
        parts.iter().filter(|(_, part)| **part == Part::Full).map(|(node, _)| *node).collect();
    let round = full.iter().cycle().skip(seat % full.len().max(1)).take(full.len());
    let draining = voting.iter().filter(|node| parts.get(node) == Some(&Part::Draining));
    round.chain(draining).take(wanted).copied().collect()
}

/// Changes of one group that bring it nearer to where it belongs, the most wanted first. The leader begins the
/// first that is possible now, and looks again when it is done. Empty: all is as it should be.
///
/// A replica whose node is not known here is left alone: it may be newer than what is known.
pub fn changes(
    replicas: &[(ReplicaId, NodeId, Standing)],
    parts: &BTreeMap<NodeId, Part>,
    (seat, wanted): (usize, usize),
) -> Vec<Vec<Change>> {
    let has = |node: NodeId| replicas.iter().any(|(_, other, _)| *other == node);
    let missing = parts.iter().find(|(node, part)| **part != Part::Removed && !has(**node));
    let mut wishes: Vec<Vec<Change>> =
        missing.map(|(node, _)| vec![Change::AddLearner(replica_of(*node), *node)]).into_iter().collect();
    let voting: Vec<NodeId> =
        replicas.iter().filter(|one| one.2 == Standing::Voter).map(|one| one.1).collect();
    let wish = voters(parts, &voting, (seat, wanted));
    let known = |node: NodeId| parts.contains_key(&node);
    let mut going: Vec<NodeId> =
        voting.iter().copied().filter(|node| known(*node) && !wish.contains(node)).collect();
    going.sort_by_key(|node| parts.get(node) != Some(&Part::Removed));
    let gone = |node: NodeId| {
        let removed = parts.get(&node) == Some(&Part::Removed);
        if removed { Change::Remove(replica_of(node)) } else { Change::Demote(replica_of(node)) }
    };
    let coming = wish.iter().filter(|node| has(**node) && !voting.contains(node));
    for coming in coming {
        let promote = Change::Promote(replica_of(*coming));
        if voting.len() < wanted || going.is_empty() {
            wishes.push(vec![promote]);
        }
        wishes.extend(going.iter().map(|going| vec![promote, gone(*going)]));
    }
    // Who was removed goes, also where nobody can take the vote over.
    let forced = going.iter().filter(|node| voting.len() > wish.len().max(1) || parts[node] == Part::Removed);
    wishes.extend(forced.map(|node| vec![gone(*node)]));
    let idle = replicas.iter().filter(|one| one.2 == Standing::Learner);
    let idle = idle.filter(|(_, node, _)| parts.get(node) == Some(&Part::Removed));
    wishes.extend(idle.map(|(replica, ..)| vec![Change::Remove(*replica)]));
    wishes
}

#[cfg(test)]
mod tests;
