//! How a replica is, for whoever asks.

use super::*;
use crate::group::{GroupStatus, ReplicaStatus};
use crate::id::Offset;
use crate::members::Standing;
use crate::tail::Tail;

impl Replica {
    /// A picture of this moment.
    pub(crate) fn status(&self) -> GroupStatus {
        let tail = self.journal.tail(self.spec.id);
        GroupStatus {
            group: self.spec.id,
            replica: self.spec.replica,
            role: self.role_now(),
            stopped: self.stopped,
            waiting: false,
            history_whole: tail.held_from.is_none(),
            first: tail.origin.0.next(),
            flushed: self.progress.flushed,
            applied: self.progress.applied,
            committed: Index::new(self.raft.raft.raft_log.committed),
            last: tail.last(),
            first_offset: tail.first_offset(),
            next_offset: tail.next,
            stamp: tail.stamp,
            log_bytes: tail.log_bytes(),
            joint: self.progress.members.is_joint(),
            replicas: self.progress.members.all().map(|member| self.peer(member, &tail)).collect(),
        }
    }

    fn peer(&self, (replica, node, standing): (ReplicaId, NodeId, Standing), tail: &Tail) -> ReplicaStatus {
        let raft = &self.raft.raft;
        if replica == self.spec.replica {
            let (matched, active, whole) = (Some(tail.last()), !self.stopped, Some(tail.held_from.is_none()));
            return ReplicaStatus { replica, node, standing, matched, active, whole };
        }
        let progress = raft.prs().get(replica.get()).filter(|_| raft.state == StateRole::Leader);
        ReplicaStatus {
            replica,
            node,
            standing,
            matched: progress.map(|progress| Index::new(progress.matched)),
            active: self.peers.is_active(replica),
            whole: self.peers.is_whole(replica),
        }
    }

    /// The last entry that every voter has on disk. A leader knows it of its peers; a follower knows
    /// what a leader has told. It never becomes untrue, because voters do not forget.
    pub(super) fn shared_now(&self) -> Index {
        let raft = &self.raft.raft;
        if raft.state != StateRole::Leader {
            return self.shared;
        }
        let matched = raft.prs().iter().map(|(_, progress)| progress.matched).min();
        self.shared.max(Index::new(matched.unwrap_or(0)))
    }

    /// Behind which entry this replica may cut its log, if it is worth it.
    ///
    /// Never above what flushed state covers. A group with history is cut by its log start alone. Others
    /// keep `keep` entries and what a voter may lack, but of that no more than `bytes`: a voter that lags
    /// by more, of either kind, gets a snapshot.
    pub(crate) fn cut_point(&self, keep: u64, bytes: u64) -> Option<Index> {
        let tail = self.journal.tail(self.spec.id);
        let limit = self.progress.flushed;
        if tail.held_from.is_some() {
            return None;
        }
        if self.spec.history {
            return tail.cut_before(tail.start, limit);
        }
        let kept = |limit: Index| Index::new(limit.get().saturating_sub(keep));
        let shared = tail.cut_before(Offset::new(u64::MAX), kept(limit.min(self.shared_now())));
        shared.max(tail.cut_to_size(bytes, kept(limit)))
    }
}
