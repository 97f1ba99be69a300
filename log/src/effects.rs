//! What the engine wants done, as values. The driver keeps one and reuses it every turn.

use std::sync::Arc;

use crate::bulk::Bulk;
use crate::committed::Committed;
use crate::fault::Fault;
use crate::id::{GroupId, Index, ReplicaId, Term};
use crate::members::Members;
use crate::message::Message;

/// What came out of one turn. The driver drains all of it before the next turn.
#[derive(Debug, Default)]
pub struct Effects {
    /// Filled by `collect`: a leader's messages, which may leave before this node's disk has synced.
    pub send_now: Vec<Message>,
    /// Filled by `commit`: votes and acknowledgements, which may leave only after the sync.
    pub send_after: Vec<Message>,
    /// Filled by `commit`: entries to apply, in order within each group.
    pub committed: Vec<Committed>,
    /// Filled by `collect` and `commit`: changes of leadership, in order within each group. A new leader
    /// is told after the entries that it had to apply first: apply `committed` before looking here.
    pub roles: Vec<(GroupId, Role)>,
    /// Filled by `collect`: answers to `Engine::read_index`.
    pub reads: Vec<ReadReady>,
    /// Filled by `collect`: snapshots, histories and requests for them, to be sent on a lane where they do
    /// not hold up the other messages. Any of them may be lost.
    pub bulk: Vec<Bulk>,
    /// Filled by `collect`: the group's state is another one now, as of this index. The driver forgets
    /// what it had derived and loads [`Engine::state`](crate::Engine::state) before it applies
    /// `committed`, which goes on after this index.
    pub installed: Vec<(GroupId, Index)>,
    /// Filled by `collect` and `commit`: the members of a group are others now, each time in order. Where
    /// this replica is not among them any more, its group can be given up with
    /// [`Engine::retire`](crate::Engine::retire).
    pub members: Vec<(GroupId, Arc<Members>)>,
    /// Replicas that met an entry they must not skip. They take part in nothing any more.
    pub stopped: Vec<(GroupId, Fault)>,
}

impl Effects {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.send_now.is_empty()
            && self.send_after.is_empty()
            && self.committed.is_empty()
            && self.roles.is_empty()
            && self.reads.is_empty()
            && self.bulk.is_empty()
            && self.installed.is_empty()
            && self.members.is_empty()
            && self.stopped.is_empty()
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.send_now.clear();
        self.send_after.clear();
        self.committed.clear();
        self.roles.clear();
        self.reads.clear();
        self.bulk.clear();
        self.installed.clear();
        self.members.clear();
        self.stopped.clear();
    }
}

/// What a replica is in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// Whether it leads **and has applied the first entry of its term**, so that it admits proposals.
    pub leads: bool,
    /// Its term.
    pub term: Term,
    /// Who leads, if known.
    pub leader: Option<ReplicaId>,
}

/// From now on a read of the group's state is current, once everything up to `index` is applied here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReady {
    /// The group.
    pub group: GroupId,
    /// What the read was asked for with.
    pub token: u64,
    /// What has to be applied before the read.
    pub index: Index,
}
