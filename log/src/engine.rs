//! The loop over all groups: one batch, one sync, many groups.

mod turn;
mod upkeep;

pub(crate) use upkeep::state_batch;
pub use upkeep::{Flush, Flushed};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::error::LogError;
use crate::group::GroupStatus;
use crate::id::{GroupId, Offset, ReplicaId, Stamp};
use crate::journal::Journal;
use crate::message::Message;
use crate::proposal::{Proposal, Refusal};
use crate::reader::Reader;
use crate::replica::{Replica, Start};
use crate::store::Batch;

/// All groups of a node. Driven by one thread, in turns:
///
/// 1. any number of [`Engine::propose`], [`Engine::step`], [`Engine::tick`];
/// 2. [`Engine::collect`], then the driver sends `effects.send_now`;
/// 3. [`Engine::commit`], then it sends `effects.send_after` and applies `effects.committed`;
/// 4. [`Engine::persist`] for each group that had something to apply;
/// 5. again from 1, at once while [`Engine::is_busy`].
///
/// Between `collect` and `commit` nothing else may be called.
pub struct Engine {
    config: Config,
    journal: Arc<Journal>,
    replicas: BTreeMap<GroupId, Replica>,
    batch: Batch,
    sync: bool,
    collected: bool,
    ticked: Duration,
    /// Bytes of state written since the last flush began.
    state_bytes: u64,
    figures: Figures,
}

/// What the engine has done since its start, for whoever counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Synced writes to the log.
    pub syncs: u64,
    /// Bytes of keys and values in them.
    pub log_bytes: u64,
    /// Bytes of keys and values written to the state.
    pub state_bytes: u64,
    /// Proposals that were admitted.
    pub admitted: u64,
    /// Proposals that were refused, repeats included.
    pub refused: u64,
}

impl Engine {
    /// Starts all groups; those of one voter stand for election at once.
    pub(crate) fn start(
        config: Config,
        journal: Arc<Journal>,
        (seed, now): (u64, Duration),
        starts: Vec<Start>,
    ) -> Result<Self, LogError> {
        let mut replicas = BTreeMap::new();
        for start in starts {
            let mut replica = Replica::new(start, Arc::clone(&journal), &config, seed)?;
            if replica.spec().voters.len() == 1 {
                replica.campaign()?;
            }
            replicas.insert(replica.spec().id, replica);
        }
        let (batch, figures) = (Batch::default(), Figures::default());
        let (sync, collected, state_bytes) = (false, false, 0);
        Ok(Self { config, journal, replicas, batch, sync, collected, ticked: now, state_bytes, figures })
    }

    /// Appends at the leader. `Ok` means on its way; the entry comes back in `effects.committed`, or
    /// never if this replica loses its office first.
    pub fn propose(&mut self, proposal: Proposal) -> Result<(), Refusal> {
        let group = proposal.group;
        let result = match self.idle(group) {
            Some(replica) => replica.propose(proposal),
            None => Err(Refusal::Unknown(group)),
        };
        let counter = if result.is_ok() { &mut self.figures.admitted } else { &mut self.figures.refused };
        *counter += 1;
        result
    }

    /// Stands for election now rather than after a timeout. Nothing happens in an unknown group.
    pub fn campaign(&mut self, group: GroupId) -> Result<(), LogError> {
        self.idle(group).map_or(Ok(()), Replica::campaign)
    }

    /// Hands leadership to another replica, if this one has it and the other is up to date.
    pub fn transfer(&mut self, group: GroupId, to: ReplicaId) {
        if let Some(replica) = self.idle(group) {
            replica.transfer(to);
        }
    }

    /// Asks for the index behind which a read sees everything that was acknowledged before this call.
    /// The answer comes in `effects.reads` after a majority has confirmed the leader, or never: while
    /// there is no leader, or where a message is lost. Ask again with a new token after a while. Where a
    /// message came twice, so may the answer.
    pub fn read_index(&mut self, group: GroupId, token: u64) {
        if let Some(replica) = self.idle(group) {
            replica.read_index(token);
        }
    }

    /// Takes a message from a peer. One that fits nothing here is dropped, as a network would.
    pub fn step(&mut self, message: Message) {
        if let Some(replica) = self.idle(message.group()) {
            replica.step(message);
        }
    }

    /// A message to this replica could not be delivered. The transport must tell, or a follower that
    /// was away is streamed to in vain until its next answer.
    pub fn unreachable(&mut self, group: GroupId, peer: ReplicaId) {
        if let Some(replica) = self.idle(group) {
            replica.unreachable(peer);
        }
    }

    /// Lets time pass up to `now`, the monotonic time since some start. After a long stall the groups
    /// see one tick and not a burst of them, which would start elections on stale ground.
    pub fn tick(&mut self, now: Duration) {
        assert!(!self.collected, "a collect is followed by a commit");
        let late = now.saturating_sub(self.ticked);
        if late < self.config.tick {
            return;
        }
        let stalled = late > self.config.tick * (self.config.heartbeat_ticks + 1);
        self.ticked = if stalled { now } else { self.ticked + self.config.tick };
        self.replicas.values_mut().for_each(Replica::tick);
        if !stalled {
            self.tick(now);
        }
    }

    /// Whether a turn would do something.
    pub fn is_busy(&self) -> bool {
        self.replicas.values().any(Replica::is_busy)
    }

    /// How a group is.
    pub fn status(&self, group: GroupId) -> Option<GroupStatus> {
        Some(self.replicas.get(&group)?.status())
    }

    /// All groups, in order.
    pub fn groups(&self) -> Vec<GroupId> {
        self.replicas.keys().copied().collect()
    }

    /// Where a retention would cut: everything stamped before `older_than`, and what exceeds `bytes_max`.
    /// `None` where nothing would go. Exact to a mark, and never more than asked for.
    pub fn log_start_for(&self, group: GroupId, older_than: Stamp, bytes_max: u64) -> Option<Offset> {
        self.journal.find(group)?.retention(older_than, bytes_max)
    }

    /// What the engine has done since its start.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// A handle to read with, for other threads.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.journal))
    }

    /// A replica that is not in the middle of a turn.
    fn idle(&mut self, group: GroupId) -> Option<&mut Replica> {
        assert!(!self.collected, "a collect is followed by a commit");
        self.replicas.get_mut(&group)
    }
}
