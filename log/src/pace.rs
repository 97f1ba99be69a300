//! What may be spent in a tick, and how fast old entries are read for followers that catch up.
//!
//! Such a read goes to the disk, in the turn that also serves everybody else. Per tick there is a budget for all groups
//! with a history together; a group that finds it spent is asked again at the next tick, each in its turn. The budget is
//! never less than half as much again as this node has just written, of which it leads only a part: so whoever catches
//! up gets there, however much is published. While next to nothing is published nobody is disturbed, and it is large.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use raft::GetEntriesContext;

use crate::config::Config;
use crate::id::GroupId;

/// A node that writes less in a tick has nobody to disturb.
const QUIET_BYTES: u64 = 4 * 1024;

/// Bytes that may be spent until the next tick. The last of them may go over it, and the next tick pays.
#[derive(Default)]
pub(crate) struct Budget {
    left: i64,
}

impl Budget {
    pub(crate) fn tick(&mut self, bytes_per_tick: u64) {
        let bytes = i64::try_from(bytes_per_tick).unwrap_or(i64::MAX);
        self.left = self.left.saturating_add(bytes).min(bytes);
    }

    /// Whether there is something left.
    pub(crate) fn is_open(&self) -> bool {
        self.left > 0
    }

    pub(crate) fn spend(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// The budget, and the groups that wait for the next one. Raft reads through a shared reference, always on the thread
/// of the engine.
#[derive(Default)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Default)]
struct State {
    budget: Budget,
    waiting: VecDeque<(GroupId, GetEntriesContext)>,
}

impl Pace {
    /// Whether anything may be read.
    pub(crate) fn is_open(&self) -> bool {
        self.state().budget.is_open()
    }

    pub(crate) fn spend(&self, bytes: u64) {
        self.state().budget.spend(bytes);
    }

    /// A group wanted to read and may not.
    pub(crate) fn wait(&self, group: GroupId, context: GetEntriesContext) {
        let waiting = &mut self.state().waiting;
        // One at a time: Raft asks for another follower by itself whenever it has something to say to it.
        if waiting.iter().all(|(other, _)| *other != group) {
            waiting.push_back((group, context));
        }
    }

    /// A tick has passed, in which this node has written `written` bytes: whoever has waited may ask again.
    pub(crate) fn tick(&self, config: &Config, written: u64) -> VecDeque<(GroupId, GetEntriesContext)> {
        let mut state = self.state();
        state.budget.tick(match written {
            ..QUIET_BYTES => config.bulk_bytes_per_tick,
            _ => config.catch_up_bytes_per_tick.max(written.saturating_add(written / 2)),
        });
        std::mem::take(&mut state.waiting)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic inside")
    }
}
