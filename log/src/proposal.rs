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
