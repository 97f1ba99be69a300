//! One turn: collect, write once, sync once, hand out.

use super::{Engine, state_batch};
use crate::effects::Effects;
use crate::error::LogError;
use crate::group::StateBatch;
use crate::id::GroupId;
use crate::replica::Replica;

impl Engine {
    /// First half of a turn: takes what all groups want written and sent.
    pub fn collect(&mut self, effects: &mut Effects) -> Result<(), LogError> {
        assert!(!self.collected, "a collect is followed by a commit");
        self.collected = true;
        self.batch.clear();
        self.sync = false;
        for group in std::mem::take(&mut self.lane.cancelled) {
            self.drop_chunks(group)?;
        }
        self.drop_idle()?;
        self.read_outgoing()?;
        self.advance_asleep(effects)?;
        self.lane.drain(&mut effects.bulk);
        for replica in self.replicas.values_mut() {
            self.sync |= replica.collect(&mut self.batch, effects)?;
        }
        Ok(())
    }

    /// Second half of a turn: one write and at most one sync for all groups. An error ends the process:
    /// what a failed sync has left on disk is unknown, and a second one would hide that.
    pub fn commit(&mut self, effects: &mut Effects) -> Result<(), LogError> {
        assert!(self.collected, "a commit follows a collect");
        if self.sync {
            // Commit indices alone are not worth a sync, so they ride along with those that are.
            for replica in self.replicas.values_mut() {
                replica.write_vote(&mut self.batch);
            }
            self.journal.store().write_log(&self.batch, true)?;
            self.figures.syncs += 1;
            self.figures.log_bytes += self.batch.bytes();
        } else {
            assert!(self.batch.is_empty(), "every entry asks for a sync");
        }
        let mut hold = false;
        for replica in self.replicas.values_mut() {
            hold |= replica.persisted(effects);
        }
        if hold {
            self.write_votes()?;
        }
        self.settle()?;
        self.wake(effects)?;
        self.journal.evict();
        self.collected = false;
        Ok(())
    }

    /// A change of members is committed by this very disk: that is synced before anyone hears of it.
    fn write_votes(&mut self) -> Result<(), LogError> {
        self.batch.clear();
        for replica in self.replicas.values_mut() {
            replica.write_vote(&mut self.batch);
        }
        self.journal.store().write_log(&self.batch, true)?;
        self.figures.syncs += 1;
        self.figures.log_bytes += self.batch.bytes();
        Ok(())
    }

    /// Writes down changes of members that came without anything for the node to keep.
    fn settle(&mut self) -> Result<(), LogError> {
        let kept = |(group, replica): (&GroupId, &mut Replica)| Some((*group, replica.settle()?));
        let kept: Vec<_> = self.replicas.iter_mut().filter_map(kept).collect();
        for (group, kept) in kept {
            self.write_state(&state_batch(group, StateBatch::default(), kept))?;
        }
        Ok(())
    }
}
