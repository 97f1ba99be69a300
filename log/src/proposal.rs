//! What goes into a group, and why it may be refused.

use bytes::Bytes;

use crate::id::{BootEpoch, GroupId, NodeId, Offset, Proposer, ReplicaId, Sequence, Stamp};

/// A wish to append one entry. It counts once, however often it is proposed.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The group.
    pub group: GroupId,
    /// The proposing node, which need not be the leader's.
    pub node: NodeId,
    /// Its boot.
    pub boot: BootEpoch,
    /// One more than the proposal before, from 1 on, per group and boot.
    pub seq: Sequence,
    /// What to append.
    pub body: Body,
    /// Group time now. The leader raises it to the last stamp of the group where it is lower.
    pub stamp: Stamp,
}

impl Proposal {
    /// The key under which it counts once.
    pub fn proposer(&self) -> Proposer {
        Proposer { node: self.node, boot: self.boot, sequence: self.seq }
    }
}

/// The four things an entry can be.
#[derive(Clone, Debug)]
pub enum Body {
    /// Takes `count` offsets; `count` is 1 or more.
    Records {
        /// How many records `bytes` holds.
        count: u32,
        /// The records, opaque to the log.
        bytes: Bytes,
    },
    /// Takes no offset; opaque to the log.
    Command(Bytes),
    /// Refuse everything from this node's boots up to this one.
    CloseBoot {
        /// The node.
        node: NodeId,
        /// Its last closed boot.
        boot: BootEpoch,
    },
    /// Let the log start here. Not below the present start and not above the next offset.
    LogStart(Offset),
}

/// Why a change of members was not begun. Nothing of it is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefusal {
    /// This node has no such group.
    #[error("unknown group {0}")]
    Unknown(GroupId),
    /// The replica met an entry that it must not skip and has stopped.
    #[error("the replica has stopped")]
    Stopped,
    /// Another replica leads, or none.
    #[error("not the leader")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<ReplicaId>,
    },
    /// The leader has not yet applied the first entry of its term, or is handing over.
    #[error("the leader is not ready")]
    NotReady,
    /// Another change is not over.
    #[error("another change is under way")]
    UnderWay,
    /// Not a member, or not of the kind that can be changed so.
    #[error("{0} is not a member that can be changed so")]
    Member(ReplicaId),
    /// The id is not higher than all that were ever used in the group.
    #[error("{replica} may have been a member before, ids go on above {highest}")]
    Used {
        /// The id.
        replica: ReplicaId,
        /// The highest id so far.
        highest: ReplicaId,
    },
    /// The leader cannot take itself out: hand over first.
    #[error("{0} leads, and has to hand over first")]
    Leads(ReplicaId),
    /// Its log is not near the leader's, or it is not heard of.
    #[error("{0} is behind, or not heard of")]
    Behind(ReplicaId),
    /// Its copy of the history is not whole yet.
    #[error("{0} does not hold the whole history yet")]
    NotWhole(ReplicaId),
    /// The voters after the change would not be a majority that is heard of and holds the whole history.
    #[error("there would be no majority that is up and holds the whole history")]
    NoMajority,
    /// Nothing to change, one replica twice, or nobody left to vote.
    #[error("the change contradicts itself")]
    Contradiction,
    /// Too much is proposed and not committed; try again after a commit.
    #[error("too many bytes are under way")]
    Full,
}

/// Why a proposal was not appended. Nothing of it is in the log unless it says `Repeat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// This node has no such group.
    #[error("unknown group {0}")]
    Unknown(GroupId),
    /// The replica met an entry that it must not skip and has stopped.
    #[error("the replica has stopped")]
    Stopped,
    /// Another replica leads, or none.
    #[error("not the leader")]
    NotLeader {
        /// Who leads, if known.
        leader: Option<ReplicaId>,
    },
    /// The leader has not yet applied the first entry of its term.
    #[error("the leader is not ready")]
    NotReady,
    /// It was appended before. Answer its proposer when that entry is committed.
    #[error("a repeat")]
    Repeat {
        /// Whether that entry is committed already.
        committed: bool,
    },
    /// A proposal before this one is missing.
    #[error("{expected} is missing")]
    Gap {
        /// The sequence that is missing.
        expected: Sequence,
    },
    /// The proposer's boot is closed.
    #[error("the boot is closed")]
    Closed,
    /// Too much is proposed and not committed; try again after a commit.
    #[error("too many bytes are under way")]
    Full,
    /// No records, or a log start outside of the log.
    #[error("out of range")]
    Range,
}
