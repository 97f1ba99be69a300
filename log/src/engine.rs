//! The loop over all groups: one batch, one sync, many groups.

mod turn;
mod join;
mod upkeep;
mod asleep;
mod history;
mod take;
mod give;
mod lane;
mod ask;

pub(crate) use asleep::Asleep;
pub(crate) use upkeep::state_batch;
pub use upkeep::{Flush, Flushed};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::error::LogError;
use crate::group::{Contacts, GroupSpec, GroupStatus};
use crate::id::{BootEpoch, GroupId, NodeId, Offset, ReplicaId, Stamp};
use crate::journal::Journal;
use crate::key;
use crate::key::history::History;
use crate::members::{Change, Members};
use crate::message::Message;
use crate::proposal::{ChangeRefusal, Proposal, Refusal};
use crate::reader::Reader;
use crate::replica::{Replica, Start};
use crate::store::{Batch, Range, Space};
use lane::Lane;

/// All groups of a node. Driven by one thread, in turns:
///
/// 1. any number of [`Engine::propose`], [`Engine::step`], [`Engine::tick`];
///    and [`Engine::step_bulk`];
/// 2. [`Engine::collect`], then the driver sends `effects.send_now` and `effects.bulk`;
/// 3. [`Engine::commit`], then it sends `effects.send_after`, loads the state of
///    the groups in `effects.installed` with [`Engine::state`], and applies `effects.committed`;
/// 4. [`Engine::persist`] for each group that had something to apply;
/// 5. again from 1, at once while [`Engine::is_busy`].
///
/// Between `collect` and `commit` nothing else may be called.
pub struct Engine {
    config: Config,
    journal: Arc<Journal>,
    seed: u64,
    specs: BTreeMap<GroupId, GroupSpec>,
    /// The groups that take part.
    replicas: BTreeMap<GroupId, Replica>,
    /// The groups that wait for what only a peer can give. Every group is in one of the two.
    asleep: BTreeMap<GroupId, Asleep>,
    /// What is under way beside Raft.
    lane: Lane,
    batch: Batch,
    sync: bool,
    collected: bool,
    ticked: Duration,
    /// Bytes of state written since the last flush began.
    state_bytes: u64,
    /// `figures.log_bytes` at the last tick.
    paced_bytes: u64,
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

/// What an engine is started with, besides its groups.
pub(crate) struct Setting {
    pub(crate) config: Config,
    pub(crate) journal: Arc<Journal>,
    pub(crate) seed: u64,
    pub(crate) now: Duration,
}

impl Engine {
    /// Starts all groups; those of one voter stand for election at once.
    pub(crate) fn start(
        setting: Setting,
        starts: BTreeMap<GroupId, Start>,
        asleep: BTreeMap<GroupId, Asleep>,
    ) -> Result<Self, LogError> {
        let Setting { config, journal, seed, now } = setting;
        let specs = starts.values().map(|start| &start.spec).chain(asleep.values().map(Asleep::spec));
        let mut engine = Self {
            specs: specs.map(|spec| (spec.id, spec.clone())).collect(),
            config,
            journal,
            seed,
            replicas: BTreeMap::new(),
            asleep,
            lane: Lane::default(),
            batch: Batch::default(),
            sync: false,
            collected: false,
            ticked: now,
            state_bytes: 0,
            paced_bytes: 0,
            figures: Figures::default(),
        };
        for (group, start) in starts {
            engine.start_group(group, start)?;
        }
        engine.want_snapshots();
        Ok(engine)
    }

    fn start_group(&mut self, group: GroupId, start: Start) -> Result<(), LogError> {
        if let Some(history) = start.history {
            self.copy_history(group, history)?;
        }
        let mut replica = Replica::new(start, Arc::clone(&self.journal), &self.config, self.seed)?;
        if replica.members().decides_alone(replica.spec().replica) {
            replica.campaign()?;
        }
        self.replicas.insert(group, replica);
        Ok(())
    }

    fn copy_history(&mut self, group: GroupId, history: History) -> Result<(), LogError> {
        self.lane.copies.insert(group, history::Copy::new(&self.journal, group, history)?);
        Ok(())
    }

    /// Shows a group's derived state as it was persisted last, in the order of its keys. To be loaded
    /// again when `Effects::installed` names the group.
    pub fn state(&self, group: GroupId, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), LogError> {
        let (from, to) = key::derived::range(group);
        let range = Range { space: Space::State, from: &from, to: &to };
        self.journal.store().scan(range, &mut |key, value| {
            visit(key::derived::rest_of(key), value);
            true
        })?;
        Ok(())
    }

    /// Appends at the leader. `Ok` means on its way; the entry comes back in `effects.committed`, or
    /// never if this replica loses its office first.
    pub fn propose(&mut self, proposal: Proposal) -> Result<(), Refusal> {
        let group = proposal.group;
        let asleep = self.asleep.contains_key(&group);
        let result = match self.idle(group) {
            Some(replica) => replica.propose(proposal),
            None if asleep => Err(Refusal::NotLeader { leader: None }),
            None => Err(Refusal::Unknown(group)),
        };
        let counter = if result.is_ok() { &mut self.figures.admitted } else { &mut self.figures.refused };
        *counter += 1;
        result
    }

    /// Whether [`Engine::propose`] would append this now: for a driver that makes the entry only then.
    pub fn check(&self, proposal: &Proposal) -> Result<(), Refusal> {
        let group = proposal.group;
        match self.replicas.get(&group) {
            Some(replica) => replica.check(proposal),
            None if self.asleep.contains_key(&group) => Err(Refusal::NotLeader { leader: None }),
            None => Err(Refusal::Unknown(group)),
        }
    }

    /// Begins a change of the members, at the leader. `Ok` means on its way: it goes on by itself, also over
    /// a change of leader, until the members are settled again; see [`Effects::members`]. If this replica
    /// loses its office first, it may never begin. A new replica has to be opened on its node with
    /// [`Engine::open`] before or after.
    ///
    /// [`Effects::members`]: crate::Effects::members
    pub fn change(&mut self, group: GroupId, changes: &[Change]) -> Result<(), ChangeRefusal> {
        let asleep = self.asleep.contains_key(&group);
        match self.idle(group) {
            Some(replica) => replica.change(changes),
            None if asleep => Err(ChangeRefusal::NotLeader { leader: None }),
            None => Err(ChangeRefusal::Unknown(group)),
        }
    }

    /// The members of a group, as far as they are applied here; `None` while the group waits for a peer.
    pub fn members(&self, group: GroupId) -> Option<&Members> {
        Some(self.replicas.get(&group)?.members())
    }

    /// The node of a replica: a member, or one that was heard of and is newer than the members known here.
    pub fn node_of(&self, group: GroupId, replica: ReplicaId) -> Option<NodeId> {
        match self.replicas.get(&group) {
            Some(awake) => awake.node_of(replica),
            None => self.asleep.get(&group)?.contacts().get(&replica).copied(),
        }
    }

    /// The groups that this node leads and admits proposals to, in order.
    pub fn leads(&self) -> Vec<GroupId> {
        let leads = |(group, replica): (&GroupId, &Replica)| replica.leads().then_some(*group);
        self.replicas.iter().filter_map(leads).collect()
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

    /// Hands leadership to the voter that has most of the log, if this replica has it and another one is up;
    /// returns to whom. Until it is over or has failed, nothing is admitted.
    pub fn transfer_away(&mut self, group: GroupId) -> Option<ReplicaId> {
        self.idle(group)?.transfer_away()
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
        let group = message.group();
        if let Some(asleep) = self.asleep.get_mut(&group) {
            asleep.hear(&message);
        }
        let offer = self.idle(group).and_then(|replica| replica.step(message));
        if let Some((peer, at_least)) = offer {
            self.want_snapshot(group, Some(peer), at_least);
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
        self.tick_lane();
        self.tick_pace();
        if !stalled {
            self.tick(now);
        }
    }

    fn tick_pace(&mut self) {
        let written =
            self.figures.log_bytes - std::mem::replace(&mut self.paced_bytes, self.figures.log_bytes);
        for (group, context) in self.journal.pace.tick(&self.config, written) {
            if let Some(replica) = self.idle(group) {
                replica.read_again(context);
            }
        }
    }

    /// Whether a turn would do something.
    pub fn is_busy(&self) -> bool {
        self.replicas.values().any(Replica::is_busy)
            || self.lane.is_busy()
            || self.asleep.values().any(|asleep| asleep.is_busy(self.lane.working.is_open()))
    }

    /// How a group is.
    pub fn status(&self, group: GroupId) -> Option<GroupStatus> {
        let asleep = || self.asleep.get(&group).map(Asleep::status);
        self.replicas.get(&group).map(Replica::status).or_else(asleep)
    }

    /// All groups, in order.
    pub fn groups(&self) -> Vec<GroupId> {
        self.specs.keys().copied().collect()
    }

    /// The last boot of a node that is closed in a group, as of what is applied here. `None` where none is,
    /// and for a group that is unknown or waits for a peer.
    pub fn closed(&self, group: GroupId, node: NodeId) -> Option<BootEpoch> {
        self.replicas.get(&group)?.progress.ledger.closed(node)
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

    /// Everyone who may be asked for something of a group.
    fn contacts(&self, group: GroupId) -> Contacts {
        let asleep = || self.asleep.get(&group).map(|asleep| asleep.contacts().clone());
        self.replicas.get(&group).map(Replica::contacts).or_else(asleep).unwrap_or_default()
    }

    /// A replica that is not in the middle of a turn.
    fn idle(&mut self, group: GroupId) -> Option<&mut Replica> {
        assert!(!self.collected, "a collect is followed by a commit");
        self.replicas.get_mut(&group)
    }
}
