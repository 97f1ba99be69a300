//! From a data directory to a running engine: check, load, replay, start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::committed::Committed;
use crate::config::Config;
use crate::engine::{Asleep, Engine, Setting, state_batch};
use crate::error::LogError;
use crate::group::{GroupSpec, StateBatch};
use crate::id::{GroupId, Index};
use crate::journal::{Journal, JournalError};
use crate::key;
use crate::load::{self, Loaded};
use crate::reader::Reader;
use crate::replica::Start;
use crate::store::{Range, Space, Store};

/// An engine that is being opened.
///
/// In this order: [`Opening::state`] for every group, then [`Opening::replay`] until it gives `None`
/// with [`Opening::persist`] after each batch, then [`Opening::start`].
pub struct Opening {
    config: Config,
    seed: u64,
    journal: Arc<Journal>,
    starts: BTreeMap<GroupId, Start>,
    asleep: BTreeMap<GroupId, Asleep>,
}

impl Opening {
    /// The groups of which a store has a replica, which a node has to open again, whatever it was told
    /// before: groups come and go at run time. The voters are those of the last flush.
    pub fn groups(store: &dyn Store) -> Result<Vec<GroupSpec>, LogError> {
        load::groups(store)
    }

    /// Looks at what is on disk, refuses what it does not know or what does not fit together, and
    /// writes down the groups that are new. `seed` decides the election timeouts.
    pub fn new(
        store: Arc<dyn Store>,
        config: Config,
        seed: u64,
        specs: Vec<GroupSpec>,
    ) -> Result<Self, LogError> {
        config.check().map_err(LogError::Config)?;
        load::check_format(&*store)?;
        load::found(&*store, &specs)?;
        load::forget_chunks(&*store)?;
        load::forget_strays(&*store, &specs)?;
        let journal = Journal::new(store, config.tail_cache_bytes, config.mark_bytes);
        for spec in &specs {
            if !journal.enlist(spec.id) {
                return Err(LogError::Spec { group: spec.id, reason: "its number is too high" });
            }
        }
        let (mut starts, mut asleep) = (BTreeMap::new(), BTreeMap::new());
        for spec in specs {
            match load::group(&journal, &spec)? {
                Loaded::Ready(start) => drop(starts.insert(spec.id, *start)),
                other => drop(asleep.insert(spec.id, Asleep::new(spec, other))),
            }
        }
        Ok(Self { config, seed, journal: Arc::new(journal), starts, asleep })
    }

    /// Shows the group's derived state as of the last flush, in the order of its keys. Nothing for a group
    /// that waits for a peer, which comes later, in `Effects::installed`.
    pub fn state(&self, group: GroupId, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), LogError> {
        if self.asleep.contains_key(&group) {
            return Ok(());
        }
        let (from, to) = key::derived::range(group);
        let range = Range { space: Space::State, from: &from, to: &to };
        self.journal.store().scan(range, &mut |key, value| {
            visit(key::derived::rest_of(key), value);
            true
        })?;
        Ok(())
    }

    /// The next committed entries that the flushed state does not cover, about `bytes_max` bytes.
    /// `None`: everything that was known to be committed when the node stopped has been replayed. What
    /// was committed and not known to be comes later, in `Effects`. Panics for an unknown group.
    pub fn replay(&mut self, group: GroupId, bytes_max: u64) -> Result<Option<Vec<Committed>>, LogError> {
        if self.asleep.contains_key(&group) {
            return Ok(None);
        }
        let start = self.starts.get_mut(&group).expect("a group that was opened");
        let range = (start.progress.applied.next(), start.vote.commit.next());
        if range.0 == range.1 {
            return Ok(None);
        }
        let items = match self.journal.entries(group, range, bytes_max) {
            Err(JournalError::Damaged(index, _)) if !start.progress.members.is_alone(start.spec.replica) => {
                self.put_to_sleep(group, index);
                return Ok(None);
            }
            other => other.map_err(|error| LogError::of(group, error))?,
        };
        let mut committed = Vec::with_capacity(items.len());
        let result = start.progress.hand_out(&items, &mut committed);
        self.journal.publish(group, start.progress.applied, &start.progress.ledger);
        let _shifts = result.map_err(|source| LogError::Replay { group, source })?;
        Ok(Some(committed))
    }

    /// A peer may have this entry; until then the group is as if it were not here.
    fn put_to_sleep(&mut self, group: GroupId, index: Index) {
        let start = self.starts.remove(&group).expect("it was replayed");
        self.journal.close(group);
        let contacts = start.contacts();
        self.asleep.insert(group, Asleep::new(start.spec, Loaded::Damaged([index].into(), contacts)));
    }

    /// See [`Engine::persist`].
    pub fn persist(&mut self, group: GroupId, index: Index, changes: StateBatch) -> Result<(), LogError> {
        let start = self.starts.get_mut(&group).expect("a group that was opened");
        let batch = state_batch(group, changes, start.progress.keep(index));
        self.journal.store().write_state(&batch)?;
        Ok(())
    }

    /// A reader, which sees what was replayed.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.journal))
    }

    /// Starts all groups; those of one voter stand for election at once. `now` is the monotonic time
    /// that ticks are counted from. Panics if a group was not replayed to its end.
    pub fn start(self, now: Duration) -> Result<Engine, LogError> {
        self.journal.evict();
        let Self { config, seed, journal, starts, asleep } = self;
        Engine::start(Setting { config, journal, seed, now }, starts, asleep)
    }
}
