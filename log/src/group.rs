//! A group as its node knows it: what it is told at the start, and what it tells.

use std::collections::BTreeMap;

use crate::effects::Role;
use crate::id::{GroupId, Index, NodeId, Offset, ReplicaId, Stamp, Term};
use crate::members::Standing;

/// One group that this node has a replica of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// The group.
    pub id: GroupId,
    /// Whether its log is its data: kept until a log start is committed. Other groups keep only what
    /// their flushed state does not cover.
    pub history: bool,
    /// This node's replica.
    pub replica: ReplicaId,
    /// All voters with their nodes that the group is founded with, this replica among them, the same on
    /// every node. Where the disk knows the group, it knows its members, and these are not looked at.
    pub voters: Vec<(ReplicaId, NodeId)>,
}

/// Replicas that may be asked for something, with their nodes.
pub(crate) type Contacts = BTreeMap<ReplicaId, NodeId>;

/// Changes of the node's derived state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateBatch {
    /// Keys to set.
    pub puts: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys to remove, after the puts.
    pub deletes: Vec<Vec<u8>>,
}

/// How a group is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// The group.
    pub group: GroupId,
    /// This node's replica.
    pub replica: ReplicaId,
    /// What it is.
    pub role: Role,
    /// Whether it has stopped at an entry that it must not skip.
    pub stopped: bool,
    /// Whether it waits for a snapshot or for damaged entries and takes part in nothing until a peer
    /// has given them.
    pub waiting: bool,
    /// Whether everything from the log start on is held here. A replica without that must not be counted
    /// as a copy of old records: no learner is promoted and no old replica removed before it is true.
    pub history_whole: bool,
    /// The first index that is still in the log.
    pub first: Index,
    /// Covered by flushed state: a restart replays from here.
    pub flushed: Index,
    /// Handed out to be applied.
    pub applied: Index,
    /// Known to be on a majority of disks.
    pub committed: Index,
    /// The end of the log.
    pub last: Index,
    /// The first offset that can be read.
    pub first_offset: Offset,
    /// The offset of the next record to be committed.
    pub next_offset: Offset,
    /// Stamp of the last applied entry.
    pub stamp: Stamp,
    /// Bytes of the log, as they were written.
    pub log_bytes: u64,
    /// Whether a change of voters is under way: two majorities are needed until it is over.
    pub joint: bool,
    /// All members, by id. What they have, a leader knows of all; a follower knows it of itself alone.
    pub replicas: Vec<ReplicaStatus>,
}

/// How one replica of a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// The replica.
    pub replica: ReplicaId,
    /// Its node.
    pub node: NodeId,
    /// What it is in the group.
    pub standing: Standing,
    /// The last index that it is known to have on disk, or `None` where that is not known.
    pub matched: Option<Index>,
    /// Whether it was heard of within the last election timeout.
    pub active: bool,
    /// Whether it holds everything from the log start on; `None` where that is not known.
    pub whole: Option<bool>,
}

impl GroupStatus {
    /// The term.
    pub fn term(&self) -> Term {
        self.role.term
    }
}
