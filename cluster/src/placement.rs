//! Which nodes keep a replica of which group.

use holdfast_log::{GroupId, GroupSpec, NodeId, ReplicaId};

/// Placement of a cluster's groups among its founders: every founder has a replica of every group, so that each
/// node can serve each session and each topic from its own disk.
#[derive(Clone, Debug)]
pub struct Placement {
    node: NodeId,
    founders: Vec<NodeId>,
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

    /// The nodes with a replica of any group.
    pub fn nodes(&self) -> &[NodeId] {
        &self.founders
    }
}

/// A founder's replicas have its number, so that a cluster of one and of many name them alike.
fn replica_of(node: NodeId) -> ReplicaId {
    ReplicaId::new(node.get())
}
