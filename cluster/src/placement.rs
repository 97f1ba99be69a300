//! Which nodes keep a replica of which group.

use holdfast_log::{GroupId, GroupSpec, NodeId, ReplicaId};

/// Placement of a cluster's groups. In a cluster of one, everything is here.
#[derive(Clone, Debug)]
pub struct Placement {
    node: NodeId,
}

impl Placement {
    /// Everything on `node`.
    pub fn of_one(node: NodeId) -> Self {
        Self { node }
    }

    /// The replica of `group` on this node. `history`: the group's log is kept until it is cut on purpose.
    pub fn spec(&self, group: GroupId, history: bool) -> GroupSpec {
        let replica = ReplicaId::new(1);
        GroupSpec { id: group, history, replica, voters: vec![(replica, self.node)] }
    }

    /// The nodes with a replica of any group.
    pub fn nodes(&self) -> Vec<NodeId> {
        vec![self.node]
    }
}
