//! Groups that come and go while the engine runs.

use super::{Asleep, Engine};
use crate::error::LogError;
use crate::group::GroupSpec;
use crate::id::{GroupId, Index};
use crate::load::{self, Loaded};
use crate::shelf::GROUPS_MAX;

impl Engine {
    /// Opens a blank replica of a group that exists elsewhere; `spec.voters` are whom to ask, this replica
    /// not among them. It takes part in nothing until it is a learner there and has got a snapshot, and
    /// gets its vote by [`Change::Promote`](crate::Change::Promote). Until then it may be opened before or
    /// after the change that adds it. Its id must never have been used, by whatever disk: a replica that
    /// finds that it has a vote stops. Nothing happens where it is open already.
    pub fn open(&mut self, spec: GroupSpec) -> Result<(), LogError> {
        assert!(!self.collected, "a collect is followed by a commit");
        if self.specs.get(&spec.id).is_some_and(|open| open.replica == spec.replica) {
            return Ok(());
        }
        if spec.id.get() >= GROUPS_MAX {
            return Err(LogError::Spec { group: spec.id, reason: "its number is too high" });
        }
        load::join(&**self.journal.store(), &spec)?;
        self.journal.enlist(spec.id);
        let (group, at_least) = (spec.id, Index::default());
        let contacts = spec.voters.iter().copied().collect();
        self.asleep.insert(group, Asleep::new(spec.clone(), Loaded::Blank(at_least, contacts)));
        self.specs.insert(group, spec);
        self.want_snapshot(group, None, at_least);
        Ok(())
    }

    /// Gives a group up: its log, votes and state are deleted, synced where it counts, and their files given
    /// back. To be called where this replica is not a member any more, as `Effects::members` says here or
    /// on another node; never because of what somebody intends. Nothing happens in an unknown group.
    pub fn retire(&mut self, group: GroupId) -> Result<(), LogError> {
        assert!(!self.collected, "a collect is followed by a commit");
        if self.specs.remove(&group).is_none() {
            return Ok(());
        }
        self.replicas.remove(&group);
        self.asleep.remove(&group);
        self.lane.forget(group);
        self.journal.delist(group);
        let store = &**self.journal.store();
        load::forget_log(store, group)?;
        Ok(load::forget_state(store, group)?)
    }
}
