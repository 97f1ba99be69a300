//! Changes of members: what a leader begins, what it goes on with by itself, and what every replica makes
//! of a committed one.
//!
//! A commit index that covers a change of members is on disk before anyone hears of it, and so is the one
//! that came with an entry which follows such a change. So whoever has the second of two changes in its
//! log, also after a crash, knows that the first is committed, and no election is held under members that
//! are two changes old: any two majorities that are asked overlap.

use super::*;
use crate::fault::Fault;
use crate::members::{Change, Members, Standing, Step};
use crate::progress::Shift;
use crate::proposal::ChangeRefusal;

impl Replica {
    /// Begins a change at the leader. It ends by itself; see `Effects::members`.
    pub(crate) fn change(&mut self, changes: &[Change]) -> Result<(), ChangeRefusal> {
        let step = self.step_for(changes)?;
        self.append_step(&step)
    }

    /// The first step of a change, if it may be begun now.
    fn step_for(&self, changes: &[Change]) -> Result<Step, ChangeRefusal> {
        let raft = &self.raft.raft;
        if self.stopped {
            return Err(ChangeRefusal::Stopped);
        }
        if raft.state != StateRole::Leader {
            let leader = Some(raft.leader_id).filter(|id| *id != 0).map(ReplicaId::new);
            return Err(ChangeRefusal::NotLeader { leader });
        }
        if self.ahead.is_none() || raft.lead_transferee.is_some() {
            return Err(ChangeRefusal::NotReady);
        }
        let members = &self.progress.members;
        if !members.is_settled() || raft.has_pending_conf() {
            return Err(ChangeRefusal::UnderWay);
        }
        changes.iter().try_for_each(|change| self.check_change(*change))?;
        let step = match changes {
            [change] if members.is_light(*change) => Step::One(*change),
            _ => Step::Enter(changes.to_vec()),
        };
        let next = members.after(&step).ok_or(ChangeRefusal::Contradiction)?;
        self.check_voters(&next)?;
        Ok(step)
    }

    fn check_change(&self, change: Change) -> Result<(), ChangeRefusal> {
        let members = &self.progress.members;
        let replica = change.replica();
        let standing = members.standing(replica);
        match change {
            Change::AddLearner(..) if replica <= members.highest() => {
                Err(ChangeRefusal::Used { replica, highest: members.highest() })
            }
            Change::AddLearner(..) => Ok(()),
            Change::Promote(_) if standing != Some(Standing::Learner) => Err(ChangeRefusal::Member(replica)),
            Change::Promote(_) if !self.is_near(replica) => Err(ChangeRefusal::Behind(replica)),
            Change::Promote(_) if !self.holds_all(replica) => Err(ChangeRefusal::NotWhole(replica)),
            Change::Promote(_) => Ok(()),
            Change::Demote(_) if standing != Some(Standing::Voter) => Err(ChangeRefusal::Member(replica)),
            Change::Remove(_) if standing.is_none() => Err(ChangeRefusal::Member(replica)),
            Change::Demote(_) | Change::Remove(_) if replica == self.spec.replica => {
                Err(ChangeRefusal::Leads(replica))
            }
            Change::Demote(_) | Change::Remove(_) => Ok(()),
        }
    }

    /// Where voters change, the new ones must be a majority of replicas that are up and hold everything; and
    /// where one goes, nobody who stays and is up may still be copying.
    fn check_voters(&self, next: &Members) -> Result<(), ChangeRefusal> {
        let members = &self.progress.members;
        let goes = members.voters().any(|voter| next.standing(voter) != Some(Standing::Voter));
        if !goes && next.voters().eq(members.voters()) {
            return Ok(());
        }
        let up = |replica: ReplicaId| replica == self.spec.replica || self.peers.is_active(replica);
        if let Some(voter) = next.voters().find(|voter| goes && up(*voter) && !self.holds_all(*voter)) {
            return Err(ChangeRefusal::NotWhole(voter));
        }
        let good = next.voters().filter(|voter| up(*voter) && self.holds_all(*voter)).count();
        if good * 2 > next.voters().count() { Ok(()) } else { Err(ChangeRefusal::NoMajority) }
    }

    /// Whether a follower answers and lacks little of the log.
    fn is_near(&self, replica: ReplicaId) -> bool {
        let raft = &self.raft.raft;
        let near = |progress: &raft::Progress| {
            progress.state == ProgressState::Replicate
                && progress.matched.saturating_add(NEAR_ENTRIES) >= raft.raft_log.last_index()
        };
        self.peers.is_active(replica) && raft.prs().get(replica.get()).is_some_and(near)
    }

    fn holds_all(&self, replica: ReplicaId) -> bool {
        if replica == self.spec.replica {
            self.is_whole()
        } else {
            self.peers.is_whole(replica) == Some(true)
        }
    }

    /// Whether everything from the log start on is held here.
    pub(super) fn is_whole(&self) -> bool {
        self.journal.tail(self.spec.id).held_from.is_none()
    }

    fn append_step(&mut self, step: &Step) -> Result<(), ChangeRefusal> {
        let mut entry = eraftpb::Entry { data: step.encode(), ..Default::default() };
        entry.set_entry_type(eraftpb::EntryType::EntryConfChangeV2);
        // As Raft does it with a proposal, which would have to be in Raft's own bytes.
        if !self.raft.raft.append_entry(&mut [entry]) {
            return Err(ChangeRefusal::Full);
        }
        self.raft.raft.pending_conf_index = self.raft.raft.raft_log.last_index();
        self.raft.raft.bcast_append();
        Ok(())
    }

    /// What this leader has to append for a change that is under way, now. One that loses its own vote by
    /// it leaves that to its successor.
    pub(super) fn next_step(&self) -> Option<Step> {
        let raft = &self.raft.raft;
        let may = self.ahead.is_some()
            && raft.lead_transferee.is_none()
            && !raft.has_pending_conf()
            && !self.has_lost_its_vote();
        if may { self.progress.members.next_step() } else { None }
    }

    /// Appends the next step of a change that is under way.
    pub(super) fn go_on(&mut self) {
        if let Some(step) = self.next_step() {
            // Where too much is under way, the next turn tries again.
            let _full = self.append_step(&step);
        }
    }

    fn has_lost_its_vote(&self) -> bool {
        !matches!(
            self.progress.members.standing(self.spec.replica),
            Some(Standing::Voter | Standing::Incoming)
        )
    }

    /// A leader that loses its vote hands over.
    pub(super) fn step_aside(&mut self) {
        let leads = self.raft.raft.state == StateRole::Leader;
        if leads && self.has_lost_its_vote() && self.raft.raft.lead_transferee.is_none() {
            self.transfer_away();
        }
    }

    /// Hands leadership to the voter that has most of the log, if this replica has it and another is up.
    pub(crate) fn transfer_away(&mut self) -> Option<ReplicaId> {
        let raft = &self.raft.raft;
        let leads = !self.stopped && raft.state == StateRole::Leader;
        let others = self.progress.members.voters().filter(|voter| *voter != self.spec.replica);
        let able = others.filter_map(|voter| {
            let progress = raft.prs().get(voter.get())?;
            let able = progress.state == ProgressState::Replicate && self.peers.is_active(voter);
            able.then_some((progress.matched, std::cmp::Reverse(voter)))
        });
        let (_, std::cmp::Reverse(to)) = able.max().filter(|_| leads)?;
        self.transfer(to);
        Some(to)
    }

    /// Whether a leader knows that a change is committed and has not applied it: what it sends would tell
    /// that to others.
    pub(super) fn must_hold(&self) -> bool {
        let raft = &self.raft.raft;
        raft.state == StateRole::Leader
            && raft.has_pending_conf()
            && raft.raft_log.committed >= raft.pending_conf_index
    }

    /// Takes up changes that have been applied.
    pub(super) fn follow(&mut self, shifts: Vec<Shift>, effects: &mut Effects) -> Result<(), Fault> {
        for Shift { index, step, before, after } in shifts {
            let fault = Fault::Members { index };
            let change = before.conf_change(&step).ok_or(fault.clone())?;
            self.raft.apply_conf_change(&change).map_err(|_| fault)?;
            self.home = after.node(self.spec.replica).or(self.home);
            self.shifted = true;
            effects.members.push((self.spec.id, after));
        }
        Ok(())
    }

    /// What has to be written of a change that the node has no state for.
    pub(crate) fn settle(&mut self) -> Option<Kept> {
        if !std::mem::take(&mut self.shifted) {
            return None;
        }
        self.progress.settle()
    }

    /// Whether a replica does not belong to the group any more: its id is known to have been given, and it
    /// is not a member. One with a higher id may be newer than what is known here.
    pub(super) fn is_gone(&self, replica: ReplicaId) -> bool {
        let members = &self.progress.members;
        members.standing(replica).is_none() && replica <= members.highest()
    }

    /// Where a replica is.
    pub(crate) fn node_of(&self, replica: ReplicaId) -> Option<NodeId> {
        self.progress.members.node(replica).or_else(|| self.peers.node(replica))
    }

    /// Takes over who could be asked before it woke up.
    pub(crate) fn meet(&mut self, contacts: &Contacts) {
        self.peers.meet(contacts);
    }

    /// Everyone who may be asked, this replica not among them.
    pub(crate) fn contacts(&self) -> Contacts {
        let members = self.progress.members.all().map(|(replica, node, _)| (replica, node));
        let heard = self.peers.nodes().filter(|(replica, _)| !self.is_gone(*replica));
        heard.chain(members).filter(|(replica, _)| *replica != self.spec.replica).collect()
    }

    /// The members, as far as they are applied here.
    pub(crate) fn members(&self) -> &Arc<Members> {
        &self.progress.members
    }
}

/// Entries that a learner may lack when it is promoted: a fraction of a second at full load.
const NEAR_ENTRIES: u64 = 256;
