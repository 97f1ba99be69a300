//! How fast old entries are read for followers that catch up.
//!
//! Such a read goes to the disk, in the turn that also serves everybody else. Per tick there is a budget for all groups
//! with a history together; a group that finds it spent is asked again at the next tick, each in its turn. The budget is
//! never less than half as much again as this node has just written, of which it leads only a part: so whoever catches
//! up gets there, however much is published. While next to nothing is published nobody is disturbed, and it is large.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use raft::GetEntriesContext;

use crate::config::Config;
use crate::id::GroupId;

/// A node that writes less in a tick has nobody to disturb.
const QUIET_BYTES: u64 = 4 * 1024;

/// The budget, and the groups that wait for the next one.
#[derive(Default)]
pub(crate) struct Pace {
    left: AtomicI64,
    waiting: Mutex<VecDeque<(GroupId, GetEntriesContext)>>,
}

impl Pace {
    /// Whether anything may be read; the last read may go over the budget, and the next tick pays.
    pub(crate) fn is_open(&self) -> bool {
        self.left.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn spend(&self, bytes: u64) {
        self.left.fetch_sub(signed(bytes), Ordering::Relaxed);
    }

    /// A group wanted to read and may not.
    pub(crate) fn wait(&self, group: GroupId, context: GetEntriesContext) {
        let mut waiting = self.waiting.lock().expect("no panic inside");
        // One at a time: Raft asks for another follower by itself whenever it has something to say to it.
        if waiting.iter().all(|(other, _)| *other != group) {
            waiting.push_back((group, context));
        }
    }

    /// A tick has passed, in which this node has written `written` bytes: whoever has waited may ask again.
    pub(crate) fn tick(&self, config: &Config, written: u64) -> VecDeque<(GroupId, GetEntriesContext)> {
        let budget = signed(match written {
            ..QUIET_BYTES => config.bulk_bytes_per_tick,
            _ => config.catch_up_bytes_per_tick.max(written.saturating_add(written / 2)),
        });
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_add(budget).min(budget), Ordering::Relaxed);
        std::mem::take(&mut *self.waiting.lock().expect("no panic inside"))
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
