//! From a data directory to a running engine: check, load, replay, start.

use std::sync::Arc;
use std::time::Duration;

use crate::committed::Committed;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::LogError;
use crate::group::{GroupSpec, StateBatch};
use crate::id::{GroupId, Index};
use crate::reader::Reader;
use crate::store::Store;

/// An engine that is being opened.
///
/// In this order: [`Opening::state`] for every group, then [`Opening::replay`] until it gives `None`
/// with [`Opening::persist`] after each batch, then [`Opening::start`].
pub struct Opening {}

impl Opening {
    /// Looks at what is on disk, refuses what it does not know or what does not fit together, and
    /// writes down the groups that are new.
    pub fn new(
        store: Arc<dyn Store>,
        config: Config,
        seed: u64,
        specs: Vec<GroupSpec>,
    ) -> Result<Self, LogError> {
        let _ = (store, config, seed, specs);
        unimplemented!("comes next")
    }

    /// Shows the group's derived state as of the last flush, in the order of its keys.
    pub fn state(&self, group: GroupId, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), LogError> {
        let _ = (group, visit);
        unimplemented!("comes next")
    }

    /// The next committed entries that the flushed state does not cover, about `bytes_max` bytes.
    /// `None`: the state is as it was when the node stopped, as far as this node can know alone.
    pub fn replay(&mut self, group: GroupId, bytes_max: u64) -> Result<Option<Vec<Committed>>, LogError> {
        let _ = (group, bytes_max);
        unimplemented!("comes next")
    }

    /// See [`Engine::persist`].
    pub fn persist(&mut self, group: GroupId, index: Index, changes: StateBatch) -> Result<(), LogError> {
        let _ = (group, index, changes);
        unimplemented!("comes next")
    }

    /// A reader, which sees what was replayed.
    pub fn reader(&self) -> Reader {
        unimplemented!("comes next")
    }

    /// Starts all groups; those of one voter stand for election at once. What was not replayed yet is
    /// passed over unseen, so that is a mistake and panics.
    pub fn start(self, now: Duration) -> Result<Engine, LogError> {
        let _ = now;
        unimplemented!("comes next")
    }
}
