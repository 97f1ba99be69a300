//! Who belongs to a group, and how that changes.
//!
//! ```text
//!        Enter: AddLearner, or a change of one       Enter: Promote
//! absent --------------------------------> learner ----------------> incoming --Leave--> voter
//!    ^                                      |   ^                                         |
//!    |<----- Enter, or a change of one -----'   |                      Enter: Demote, Remove
//!    |                                          |                                         v
//!    |                                          '---------------Leave: Demote-------- outgoing
//!    '------ a change of one: Remove ------ leaving <-----------Leave: Remove------------'
//! ```
//!
//! Members depend on the log alone, so all replicas agree on them. A voter that is removed first loses its
//! vote, and only the next entry takes it out: whoever has that entry knows that the vote is gone, so a
//! majority of the others can elect a leader without the replica that left.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState};

use crate::id::{NodeId, ReplicaId};

/// One wish that concerns one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a replica that gets the log and has no vote. Its id must be higher than that of every replica
    /// that ever belonged to the group.
    AddLearner(ReplicaId, NodeId),
    /// Gives a learner a vote.
    Promote(ReplicaId),
    /// Takes the vote from a voter, which stays as a learner.
    Demote(ReplicaId),
    /// Takes a replica out. A voter loses its vote first; the leader does the rest.
    Remove(ReplicaId),
}

impl Change {
    /// Whom it concerns.
    pub fn replica(self) -> ReplicaId {
        match self {
            Self::AddLearner(replica, _)
            | Self::Promote(replica)
            | Self::Demote(replica)
            | Self::Remove(replica) => replica,
        }
    }
}

/// What a replica is among the members of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It votes.
    Voter,
    /// It gets the log and does not vote.
    Learner,
    /// It votes from this change on, and the change is not over.
    Incoming,
    /// It votes until this change is over.
    Outgoing,
    /// Its vote is gone, and the leader is about to take it out.
    Leaving,
}

/// The members of a group, with their nodes.
///
/// Invariant: there is a voter, and no id is above `highest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    /// No replica ever had a higher id.
    highest: ReplicaId,
    by_id: BTreeMap<ReplicaId, Member>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    node: NodeId,
    /// Votes, in the newer configuration if there are two.
    votes: bool,
    /// Votes in the older configuration. Set only while there are two.
    voted: bool,
    /// Will be taken out.
    leaves: bool,
}

/// What one entry of the log does to the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Begins a change: two majorities are needed from here on.
    Enter(Vec<Change>),
    /// Ends it.
    Leave,
    /// Changes one replica that does not vote, before or after.
    One(Change),
    /// Makes this replica the only one: written into a closed log after a majority was lost.
    Recover(ReplicaId, NodeId),
}

impl Members {
    /// The first members of a group, all of them voters.
    pub(crate) fn founding(voters: &[(ReplicaId, NodeId)]) -> Self {
        let member = |node| Member { node, votes: true, voted: false, leaves: false };
        let by_id: BTreeMap<_, _> = voters.iter().map(|(replica, node)| (*replica, member(*node))).collect();
        Self { highest: by_id.keys().last().copied().unwrap_or_default(), by_id }
    }

    /// All replicas with their nodes, by id.
    pub fn all(&self) -> impl Iterator<Item = (ReplicaId, NodeId, Standing)> {
        let joint = self.is_joint();
        self.by_id.iter().map(move |(replica, member)| (*replica, member.node, member.standing(joint)))
    }

    /// What a replica is, if it belongs to the group.
    pub fn standing(&self, replica: ReplicaId) -> Option<Standing> {
        Some(self.by_id.get(&replica)?.standing(self.is_joint()))
    }

    /// The node of a replica, if it belongs to the group.
    pub fn node(&self, replica: ReplicaId) -> Option<NodeId> {
        Some(self.by_id.get(&replica)?.node)
    }

    /// Whether a change of voters is under way, and two majorities are needed.
    pub fn is_joint(&self) -> bool {
        self.by_id.values().any(|member| member.voted)
    }

    /// Whether no change is under way: nobody gains or loses a vote, and nobody leaves.
    pub fn is_settled(&self) -> bool {
        !self.by_id.values().any(|member| member.voted || member.leaves)
    }

    /// The highest id that a replica of the group ever had.
    pub fn highest(&self) -> ReplicaId {
        self.highest
    }

    /// Whoever votes once the change that is under way is over.
    pub fn voters(&self) -> impl Iterator<Item = ReplicaId> {
        self.by_id.iter().filter(|(_, member)| member.votes).map(|(replica, _)| *replica)
    }

    fn has_voter(&self) -> bool {
        self.voters().next().is_some()
    }

    /// Whether this replica is the only one.
    pub(crate) fn is_alone(&self, replica: ReplicaId) -> bool {
        self.by_id.keys().all(|other| *other == replica)
    }

    /// Whether this replica alone is a majority.
    pub(crate) fn decides_alone(&self, replica: ReplicaId) -> bool {
        self.by_id.iter().all(|(other, member)| *other == replica || !(member.votes || member.voted))
    }

    /// What the leader has to append for the change that is under way.
    pub(crate) fn next_step(&self) -> Option<Step> {
        if self.is_joint() {
            return Some(Step::Leave);
        }
        let leaving = self.by_id.iter().find(|(_, member)| member.leaves);
        leaving.map(|(replica, _)| Step::One(Change::Remove(*replica)))
    }

    /// The members after a step; `None` where it does not fit, which the leader has ruled out.
    pub(crate) fn after(&self, step: &Step) -> Option<Self> {
        let mut next = self.clone();
        match step {
            Step::Enter(changes) => {
                let named: BTreeSet<_> = changes.iter().map(|change| change.replica()).collect();
                if self.is_joint() || changes.is_empty() || named.len() != changes.len() {
                    return None;
                }
                next.by_id.values_mut().for_each(|member| member.voted = member.votes);
                changes.iter().try_for_each(|change| next.apply(*change))?;
            }
            Step::Leave if self.is_joint() => {
                next.by_id.values_mut().for_each(|member| member.voted = false);
            }
            Step::One(change) if !self.is_joint() && self.is_light(*change) => next.apply(*change)?,
            Step::Recover(replica, node) => {
                let member = Member { node: *node, votes: true, voted: false, leaves: false };
                next.by_id = [(*replica, member)].into();
                next.highest = next.highest.max(*replica);
            }
            Step::Leave | Step::One(_) => return None,
        }
        Some(next).filter(Self::has_voter)
    }

    /// Whether a change leaves the voters as they are.
    pub(crate) fn is_light(&self, change: Change) -> bool {
        match change {
            Change::AddLearner(..) => true,
            Change::Promote(_) | Change::Demote(_) => false,
            Change::Remove(replica) => self.by_id.get(&replica).is_some_and(|member| !member.votes),
        }
    }

    fn apply(&mut self, change: Change) -> Option<()> {
        match change {
            Change::AddLearner(replica, node) if replica > self.highest => {
                self.highest = replica;
                self.by_id.insert(replica, Member { node, votes: false, voted: false, leaves: false });
            }
            Change::AddLearner(..) => return None,
            Change::Promote(replica) => {
                let member = self.by_id.get_mut(&replica).filter(|member| !member.votes && !member.leaves)?;
                member.votes = true;
            }
            Change::Demote(replica) => {
                let member = self.by_id.get_mut(&replica).filter(|member| member.votes && member.voted)?;
                member.votes = false;
            }
            Change::Remove(replica) => {
                let member = self.by_id.get_mut(&replica)?;
                match (member.votes, member.voted) {
                    (true, true) => (member.votes, member.leaves) = (false, true),
                    (false, false) => drop(self.by_id.remove(&replica)),
                    // Whose vote comes or goes by another step is in the middle of it.
                    _ => return None,
                }
            }
        }
        Some(())
    }

    /// What Raft calls these members.
    pub(crate) fn conf_state(&self) -> ConfState {
        let ids = |which: fn(&Member) -> bool| {
            self.by_id.iter().filter(|(_, member)| which(member)).map(|(replica, _)| replica.get()).collect()
        };
        ConfState {
            voters: ids(|member| member.votes),
            voters_outgoing: ids(|member| member.voted),
            learners: ids(|member| !member.votes && !member.voted),
            learners_next: ids(|member| !member.votes && member.voted),
            ..ConfState::default()
        }
    }

    /// What Raft calls a step; `None` for one that it never sees.
    pub(crate) fn conf_change(&self, step: &Step) -> Option<ConfChangeV2> {
        let mut change = ConfChangeV2::default();
        match step {
            Step::Enter(changes) => {
                change.set_transition(ConfChangeTransition::Explicit);
                let singles: Vec<_> = changes.iter().map(|change| self.single(*change)).collect();
                change.set_changes(singles.into());
            }
            Step::One(one) => change.set_changes(vec![self.single(*one)].into()),
            Step::Leave => {}
            Step::Recover(..) => return None,
        }
        Some(change)
    }

    fn single(&self, change: Change) -> ConfChangeSingle {
        let mut single = ConfChangeSingle { node_id: change.replica().get(), ..ConfChangeSingle::default() };
        single.set_change_type(match change {
            Change::AddLearner(..) => ConfChangeType::AddLearnerNode,
            Change::Promote(_) => ConfChangeType::AddNode,
            Change::Remove(_) if self.is_light(change) => ConfChangeType::RemoveNode,
            Change::Remove(_) | Change::Demote(_) => ConfChangeType::AddLearnerNode,
        });
        single
    }
}

impl Member {
    fn standing(self, joint: bool) -> Standing {
        match (self.votes, self.voted) {
            (true, false) if joint => Standing::Incoming,
            (true, _) => Standing::Voter,
            (false, true) => Standing::Outgoing,
            (false, false) if self.leaves => Standing::Leaving,
            (false, false) => Standing::Learner,
        }
    }
}

/// How members lie in their record, see `key/members.rs`.
impl Members {
    /// Replica, node and flags of each member.
    pub(crate) fn rows(&self) -> impl ExactSizeIterator<Item = (ReplicaId, NodeId, u8)> {
        self.by_id.iter().map(|(replica, member)| {
            let Member { node, votes, voted, leaves } = *member;
            (*replica, node, u8::from(votes) | u8::from(voted) << 1 | u8::from(leaves) << 2)
        })
    }

    /// The members that these rows are of; `None` where a flag is unknown or nobody votes.
    pub(crate) fn of_rows(
        highest: ReplicaId,
        rows: impl Iterator<Item = (ReplicaId, NodeId, u8)>,
    ) -> Option<Self> {
        let mut members = Self { highest, by_id: BTreeMap::new() };
        for (replica, node, flags) in rows {
            let flag = |bit: u8| flags & bit != 0;
            let member = Member { node, votes: flag(1), voted: flag(2), leaves: flag(4) };
            members.by_id.insert(replica, member);
            if flags > 7 || replica > highest {
                return None;
            }
        }
        Some(members).filter(Self::has_voter)
    }
}

/// | bytes | field |
/// | --- | --- |
/// | 0 | version, 1 |
/// | 1 | 1 enter, 2 leave, 3 one change, 4 recover |
/// | 2..6 | number of changes, u32 |
/// | then | per change: 1 add learner, 2 promote, 3 remove, 4 demote u8; replica u64; node u64, 0 where none is needed |
/// | n-4..n | CRC-32 of all before, u32 |
impl Step {
    /// What the entry holds.
    pub(crate) fn encode(&self) -> Bytes {
        let (kind, changes) = match self {
            Self::Enter(changes) => (ENTER, changes.clone()),
            Self::Leave => (LEAVE, Vec::new()),
            Self::One(change) => (ONE, vec![*change]),
            Self::Recover(replica, node) => (RECOVER, vec![Change::AddLearner(*replica, *node)]),
        };
        let mut out = BytesMut::new();
        out.put_slice(&[VERSION, kind]);
        out.put_u32_le(u32::try_from(changes.len()).expect("a change concerns a handful of replicas"));
        for change in changes {
            let (kind, node) = match change {
                Change::AddLearner(_, node) => (ADD_LEARNER, node),
                Change::Promote(_) => (PROMOTE, NodeId::default()),
                Change::Remove(_) => (REMOVE, NodeId::default()),
                Change::Demote(_) => (DEMOTE, NodeId::default()),
            };
            out.put_u8(kind);
            out.put_u64_le(change.replica().get());
            out.put_u64_le(node.get());
        }
        let sum = crc32fast::hash(&out);
        out.put_u32_le(sum);
        out.freeze()
    }

    /// The step that these bytes are; `None` where they are damaged or a later version wrote them.
    pub(crate) fn decode(mut bytes: Bytes) -> Option<Self> {
        let mut sum = bytes.split_off(bytes.len().checked_sub(4)?);
        if bytes.len() < 6 || crc32fast::hash(&bytes) != sum.get_u32_le() || bytes.get_u8() != VERSION {
            return None;
        }
        let (kind, count) = (bytes.get_u8(), bytes.get_u32_le() as usize);
        if bytes.len() != count.checked_mul(CHANGE_BYTES)? {
            return None;
        }
        let mut changes = Vec::with_capacity(count);
        for _ in 0..count {
            let kind = bytes.get_u8();
            let (replica, node) = (ReplicaId::new(bytes.get_u64_le()), NodeId::new(bytes.get_u64_le()));
            changes.push(match kind {
                ADD_LEARNER => Change::AddLearner(replica, node),
                PROMOTE => Change::Promote(replica),
                REMOVE => Change::Remove(replica),
                DEMOTE => Change::Demote(replica),
                _ => return None,
            });
        }
        match (kind, &changes[..]) {
            (ENTER, _) => Some(Self::Enter(changes)),
            (LEAVE, []) => Some(Self::Leave),
            (ONE, [change]) => Some(Self::One(*change)),
            (RECOVER, [Change::AddLearner(replica, node)]) => Some(Self::Recover(*replica, *node)),
            _ => None,
        }
    }
}

const VERSION: u8 = 1;
const ENTER: u8 = 1;
const LEAVE: u8 = 2;
const ONE: u8 = 3;
const RECOVER: u8 = 4;
const ADD_LEARNER: u8 = 1;
const PROMOTE: u8 = 2;
const REMOVE: u8 = 3;
const DEMOTE: u8 = 4;
const CHANGE_BYTES: usize = 17;

#[cfg(test)]
mod tests;
