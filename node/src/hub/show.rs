//! Levels that only the hub knows, set once a second for whoever scrapes.

use holdfast_log::{GroupId, GroupStatus};

use super::Hub;
use super::turn::HubError;
use crate::metrics::{
    GroupKind, Levels, PartitionLevels, Standing, set_levels, set_partition, set_peer, set_standing,
};
use crate::route::{META, Partition};
use crate::state::meta::Office;
use crate::state::partition::Messages;
use crate::state::session::{Figures, Sessions};

impl Hub {
    /// Sets the gauges.
    pub(super) fn show_levels(&mut self) -> Result<(), HubError> {
        for partition in self.route.all_partitions() {
            if let Some(status) = self.engine.status(partition.group()) {
                set_partition(u32::from(partition.get()), &levels(&status));
            }
        }
        let sessions = self.machines.sessions.iter().map(Sessions::figures);
        let figures = sessions.fold(Figures::default(), Figures::and);
        let retained: usize = self.machines.partitions.iter().map(Messages::retained_len).sum();
        let [log, state] = self.reader.figures()?;
        let backlog = self.keeping.backlog();
        set_levels(&Levels {
            sessions_connected: figures.connected,
            sessions_disconnected: figures.disconnected,
            subscriptions: figures.subscriptions,
            retained: retained as u64,
            backlog: backlog.sessions,
            backlog_shared: backlog.shares,
            storage_bytes: self.keeping.used.0,
            storage_free_bytes: self.keeping.used.1,
            rocksdb_memtable_bytes: log.memtable_bytes + state.memtable_bytes,
            rocksdb_table_bytes: log.table_bytes + state.table_bytes,
            rocksdb_compaction_bytes: log.pending_compaction_bytes + state.pending_compaction_bytes,
        });
        self.show_standing();
        Ok(())
    }

    /// How this node stands among the others.
    fn show_standing(&mut self) {
        let mut standing = Standing {
            serving: self.serving(),
            lease_seconds: self.boarding.lease_left(self.clock.monotonic()).map(|left| left.as_secs_f64()),
            proposals: self.proposals.all_open() as u64,
            ..Standing::default()
        };
        for (node, row) in self.machines.meta.nodes() {
            match row.office() {
                Office::Removed => {}
                Office::Draining => standing.draining += 1,
                Office::Full if self.boarding.is_alive(node) => standing.alive += 1,
                Office::Full => standing.dead += 1,
            }
        }
        for group in self.route.all_groups() {
            standing.count(kind(group), self.leading.leader(group).is_some(), self.leading.leads(group));
        }
        set_standing(&standing);
        self.traffic.resent(self.proposals.take_resent());
        self.net.figures().iter().for_each(set_peer);
    }
}

fn levels(status: &GroupStatus) -> PartitionLevels {
    let last = status.last.get();
    let matched = status.replicas.iter().filter_map(|replica| replica.matched).map(|index| index.get()).min();
    PartitionLevels {
        term: status.term().get(),
        leads: status.role.leads,
        committed: status.committed.get(),
        applied: status.applied.get(),
        replica_lag: matched.filter(|_| status.role.leads).map_or(0, |matched| last.saturating_sub(matched)),
        first_offset: status.first_offset.get(),
        next_offset: status.next_offset.get(),
    }
}

/// What the group is for.
pub(super) fn kind(group: GroupId) -> GroupKind {
    match Partition::of_group(group) {
        Some(_) => GroupKind::Partition,
        None if group == META => GroupKind::Meta,
        None => GroupKind::Session,
    }
}
