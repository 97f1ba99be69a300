//! The machines of all groups, and taking in what is committed.

use bytes::Bytes;
use holdfast_log::{
    Body, BootEpoch, Committed, Engine, GroupId, Kind, LogError, NodeId, Proposal, Refusal, StateBatch,
};
use prost::Message;

use crate::config::Fault;
use crate::record::records;
use crate::route::{META, Partition, Route};
use crate::state::changes::Changes;
use crate::state::meta::{Meta, MetaOp, Verdict};
use crate::state::partition::{Admission, Admitted, Command, CommandKind, Messages, Settle};
use crate::state::session::op::Ops;
use crate::state::session::{Outcome, Sessions};

/// The machines, by group.
#[derive(Debug)]
pub(super) struct Machines {
    route: Route,
    pub(super) meta: Meta,
    pub(super) sessions: Vec<Sessions>,
    pub(super) partitions: Vec<Messages>,
    /// What this node's leaders have admitted and not applied.
    admissions: Vec<Admission>,
    /// Applied next offset of each partition.
    pub(super) next: Vec<u64>,
    /// A fault put in on purpose.
    fault: Option<Fault>,
}

/// What applying one entry came to.
#[derive(Debug)]
pub(super) enum Applied {
    /// Records of a partition.
    Records(Partition),
    /// Records of a proposal of which none was to be in the log: who stands behind a fence.
    Settled(Partition, Vec<u32>),
    /// Session operations, with an outcome each.
    Ops(Vec<(crate::state::session::op::Kind, Outcome)>),
    /// An operation of the meta group.
    Meta(Verdict),
    /// Boots of a node are over in this group.
    Closed(NodeId, BootEpoch),
    /// Nothing that anyone waits for.
    Quiet,
}

/// An entry or a row that this program cannot have written.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// An entry of a future version or a damaged one.
    #[error("{group} holds an entry that this version does not know; upgrade this node")]
    Unknown {
        /// The group.
        group: GroupId,
    },
    /// A row of derived state.
    #[error("the derived state of {group} is damaged at key {key:?}")]
    Row {
        /// The group.
        group: GroupId,
        /// The key.
        key: Vec<u8>,
    },
}

impl Machines {
    pub(super) fn new(route: Route, node: NodeId, fault: Option<Fault>) -> Self {
        Self {
            route,
            meta: Meta::default(),
            sessions: route.all_session_groups().map(|group| Sessions::new(group.get())).collect(),
            partitions: route.all_partitions().map(|_| Messages::default()).collect(),
            admissions: route.all_partitions().map(|_| Admission::default()).collect(),
            next: vec![0; usize::from(route.partitions())],
            fault: fault.filter(|fault| *fault != Fault::SkipApply || node.get() == 2),
        }
    }

    /// Index of a session group in `sessions`.
    pub(super) fn session_index(group: GroupId) -> usize {
        group.get() as usize - 1
    }

    pub(super) fn sessions_of(&self, group: GroupId) -> &Sessions {
        &self.sessions[Self::session_index(group)]
    }

    /// Takes up the rows of a group, which `read` shows in the order of their keys. The outer error is `read`'s own,
    /// the inner one says which row cannot be understood.
    pub(super) fn take_rows(
        &mut self,
        group: GroupId,
        read: impl FnOnce(&mut dyn FnMut(&[u8], &[u8])) -> Result<(), LogError>,
    ) -> Result<Result<(), MachineError>, LogError> {
        let mut fine = Ok(());
        read(&mut |key, value| {
            if fine.is_ok() {
                fine = self.load(group, key, value);
            }
        })?;
        if fine.is_ok() && group != META && Partition::of_group(group).is_none() {
            self.sessions[Self::session_index(group)].loaded_all();
        }
        Ok(fine)
    }

    fn load(&mut self, group: GroupId, key: &[u8], value: &[u8]) -> Result<(), MachineError> {
        let fine = match Partition::of_group(group) {
            Some(partition) => self.partitions[partition.index()].load(key, value),
            None if group == META => self.meta.load(key, value),
            None => self.sessions[Self::session_index(group)].load(key, value).is_ok(),
        };
        if fine { Ok(()) } else { Err(MachineError::Row { group, key: key.to_vec() }) }
    }

    /// Forgets what was derived of a group: a snapshot has taken its place.
    pub(super) fn reset(&mut self, group: GroupId) {
        match Partition::of_group(group) {
            Some(partition) => {
                self.partitions[partition.index()] = Messages::default();
                self.admissions[partition.index()].clear();
            }
            None if group == META => self.meta = Meta::default(),
            None => self.sessions[Self::session_index(group)] = Sessions::new(group.get()),
        }
    }

    /// Appends at this node's leader, without what must not be in the log.
    pub(super) fn admit(&mut self, proposal: Proposal, engine: &mut Engine) -> Result<(), Refusal> {
        let Some(partition) = Partition::of_group(proposal.group) else { return engine.propose(proposal) };
        // What is not appended now must not be taken for pending; and another node may name a group that is not.
        engine.check(&proposal)?;
        let machine = &self.partitions[partition.index()];
        let admission = &mut self.admissions[partition.index()];
        let (count, bytes) = match &proposal.body {
            Body::Records { count, bytes } => (*count, bytes.clone()),
            Body::Command(bytes) => {
                if let Ok(Command { kind: Some(CommandKind::Forget(forget)) }) = Command::decode(&**bytes) {
                    admission.admit_forget(&forget);
                }
                return engine.propose(proposal);
            }
            Body::CloseBoot { .. } | Body::LogStart(_) => return engine.propose(proposal),
        };
        if Fault::ForgetTokens.is_in(self.fault) {
            return engine.propose(proposal);
        }
        let body = match admission.admit(machine, count, bytes) {
            Admitted::Records { count, payload } => Body::Records { count, bytes: payload },
            Admitted::Nothing { fenced } => {
                let kind = Some(CommandKind::Settle(Settle { fenced }));
                Body::Command(Bytes::from(Command { kind }.encode_to_vec()))
            }
        };
        engine.propose(Proposal { body, ..proposal })
    }

    /// Leadership of a group came or went: nothing is pending.
    pub(super) fn forget_pending(&mut self, group: GroupId) {
        if let Some(partition) = Partition::of_group(group) {
            self.admissions[partition.index()].clear();
        }
    }

    /// Applies one committed entry. Depends on the log alone.
    pub(super) fn apply(&mut self, committed: &Committed) -> Result<(Applied, StateBatch), MachineError> {
        let mut changes = Changes::default();
        let group = committed.entry().group;
        let applied = match Partition::of_group(group) {
            Some(partition) => self.apply_partition(partition, committed, &mut changes)?,
            None if group == META => self.apply_meta(committed, &mut changes)?,
            None => self.apply_session(committed, &mut changes)?,
        };
        Ok((applied, batch(changes)))
    }

    fn apply_partition(
        &mut self,
        partition: Partition,
        committed: &Committed,
        changes: &mut Changes,
    ) -> Result<Applied, MachineError> {
        let entry = committed.entry();
        let machine = &mut self.partitions[partition.index()];
        self.next[partition.index()] = entry.end().get();
        match entry.kind {
            Kind::Records => {
                let skip = Fault::KeepRetained.is_in(self.fault) && entry.base.get() % 4 == 1
                    || Fault::SkipApply.is_in(self.fault) && entry.base.get() % 8 == 1;
                if !skip || records(&entry.payload).any(|record| record.token.is_some()) {
                    machine.apply(entry.base.get(), entry.stamp.get(), &entry.payload, changes);
                }
                self.admissions[partition.index()].applied(&entry.payload);
                Ok(Applied::Records(partition))
            }
            Kind::Command => {
                let command = Command::decode(&*entry.payload).ok().and_then(|command| command.kind);
                let command = command.ok_or_else(|| unknown(entry.group))?;
                let settled = if let CommandKind::Settle(settle) = &command {
                    Some(settle.fenced.clone())
                } else {
                    None
                };
                if let CommandKind::Forget(forget) = &command {
                    self.admissions[partition.index()].applied_forget(forget);
                }
                machine.command(entry.stamp.get(), command, changes);
                Ok(settled.map_or(Applied::Quiet, |fenced| Applied::Settled(partition, fenced)))
            }
            Kind::CloseBoot { node, boot } => {
                machine.close_boot(node.get(), boot.get(), changes);
                Ok(Applied::Closed(node, boot))
            }
            Kind::LogStart { .. } => Ok(Applied::Quiet),
        }
    }

    fn apply_meta(&mut self, committed: &Committed, changes: &mut Changes) -> Result<Applied, MachineError> {
        let entry = committed.entry();
        if entry.kind != Kind::Command {
            return Ok(Applied::Quiet);
        }
        let op = MetaOp::decode(&*entry.payload).ok().and_then(|op| op.kind);
        let verdict = self.meta.apply(&op.ok_or_else(|| unknown(entry.group))?, changes);
        Ok(Applied::Meta(verdict))
    }

    fn apply_session(
        &mut self,
        committed: &Committed,
        changes: &mut Changes,
    ) -> Result<Applied, MachineError> {
        let entry = committed.entry();
        let machine = &mut self.sessions[Self::session_index(entry.group)];
        match entry.kind {
            Kind::Command => {
                let ops = Ops::decode(&*entry.payload).map_err(|_| unknown(entry.group))?;
                let mut outcomes = Vec::with_capacity(ops.ops.len());
                for op in ops.ops {
                    let kind = op.kind.ok_or_else(|| unknown(entry.group))?;
                    let outcome = if kind.counts_in(entry.term.get()) {
                        machine.apply(entry.stamp.get(), &kind, changes)
                    } else {
                        Outcome::Stale
                    };
                    outcomes.push((kind, outcome));
                }
                Ok(Applied::Ops(outcomes))
            }
            Kind::CloseBoot { node, boot } => {
                machine.close_boot(entry.stamp.get(), node.get(), boot.get(), changes);
                Ok(Applied::Closed(node, boot))
            }
            Kind::Records | Kind::LogStart { .. } => Err(unknown(entry.group)),
        }
    }

    /// Route of the cluster.
    pub(super) fn route(&self) -> Route {
        self.route
    }
}

fn unknown(group: GroupId) -> MachineError {
    MachineError::Unknown { group }
}

/// A key that is put and deleted in one entry ends as its last change says.
fn batch(changes: Changes) -> StateBatch {
    let mut last = std::collections::HashMap::with_capacity(changes.rows.len());
    for (key, value) in changes.rows {
        last.insert(key, value);
    }
    let mut batch = StateBatch::default();
    for (key, value) in last {
        match value {
            Some(value) => batch.puts.push((key, value)),
            None => batch.deletes.push(key),
        }
    }
    batch.puts.sort_unstable();
    batch.deletes.sort_unstable();
    batch
}
