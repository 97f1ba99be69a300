//! What a session group still owes to other groups: wills to publish, shared subscriptions to leave.
//!
//! An entry stays until the other group has it, so it is done once whoever leads. Numbers double as tokens.

use std::collections::BTreeMap;

use super::op::Point;
use super::record::Will;
use crate::state::changes::Changes;
use crate::state::session::key;

/// Everything outstanding, by number.
#[derive(Debug, Default)]
pub struct Outbox {
    entries: BTreeMap<u64, Entry>,
    /// Wills outstanding, by client id.
    wills: BTreeMap<String, usize>,
}

/// One thing to do.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Entry {
    /// Session it comes from.
    #[prost(string, tag = "1")]
    pub client_id: String,
    /// What to do.
    #[prost(oneof = "Task", tags = "2, 3, 4")]
    pub task: Option<Task>,
}

/// The kinds of task.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Task {
    /// Publish a will in its topic's partition.
    #[prost(message, tag = "2")]
    Will(Box<Will>),
    /// Leave a shared subscription.
    #[prost(message, tag = "3")]
    LeaveShare(Leave),
    /// Remove the tokens of an ended session from a partition.
    #[prost(message, tag = "4")]
    ForgetTokens(ForgetTokens),
}

/// Leave a shared subscription.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Leave {
    /// `$share/name/filter`.
    #[prost(string, tag = "1")]
    pub share: String,
    /// As of which request.
    #[prost(message, required, tag = "2")]
    pub at: Point,
}

/// Remove the tokens of an ended session from a partition.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ForgetTokens {
    /// Incarnation of the session.
    #[prost(uint64, tag = "1")]
    pub incarnation: u64,
    /// Epoch of its last owner.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// The partition.
    #[prost(uint32, tag = "3")]
    pub partition: u32,
}

impl Outbox {
    /// Adds a task under a number that was never used before.
    pub(super) fn add(&mut self, number: u64, client_id: &str, task: Task, changes: &mut Changes) {
        let entry = Entry { client_id: client_id.to_owned(), task: Some(task) };
        changes.put(key::outbox(number), &entry);
        self.insert(number, entry);
    }

    /// Takes in an entry, new or from disk.
    pub(super) fn insert(&mut self, number: u64, entry: Entry) {
        if matches!(entry.task, Some(Task::Will(_))) {
            *self.wills.entry(entry.client_id.clone()).or_default() += 1;
        }
        self.entries.insert(number, entry);
    }

    /// The other group has it. The client id whose last outstanding will it was, if it was one.
    pub(super) fn done(&mut self, number: u64, changes: &mut Changes) -> Option<String> {
        let entry = self.entries.remove(&number)?;
        changes.delete(key::outbox(number));
        if !matches!(entry.task, Some(Task::Will(_))) {
            return None;
        }
        let left = self.wills.get_mut(&entry.client_id)?;
        *left -= 1;
        (*left == 0).then(|| {
            self.wills.remove(&entry.client_id);
            entry.client_id
        })
    }

    /// Entries numbered above `after`, in order.
    pub fn after(&self, after: u64) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.range(after + 1..).map(|(number, entry)| (*number, entry))
    }

    /// Lowest number that is outstanding.
    pub fn lowest_open(&self) -> Option<u64> {
        self.entries.keys().next().copied()
    }

    /// Has this session a will that is not yet in its partition?
    pub fn holds_will_of(&self, client_id: &str) -> bool {
        self.wills.contains_key(client_id)
    }
}
