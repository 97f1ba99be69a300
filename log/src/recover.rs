//! For the day on which a majority is lost for good: one directory goes on alone.
//!
//! Raft never does this by itself, and neither does a node: somebody has to say that the others are lost.

use std::sync::Arc;

use crate::error::LogError;
use crate::group::GroupSpec;
use crate::id::{GroupId, Index, NodeId, Offset, ReplicaId, Stamp, Term};
use crate::journal::Journal;
use crate::key;
use crate::key::entry::Bare;
use crate::key::vote::Vote;
use crate::load::{self, Loaded};
use crate::logged::Logged;
use crate::members::{Members, Standing, Step};
use crate::replica::Start;
use crate::store::{Batch, Space, Store};

/// What can be saved of a closed directory whose groups have lost their majorities.
///
/// Of all directories that are left, the one with the highest term and last index in a group has the most
/// of it. Only one may go on: the others, and whatever comes back later, have to be emptied and to join
/// again under new ids.
pub struct Recovery {
    store: Arc<dyn Store>,
    batch: Batch,
    accounts: Vec<Account>,
}

/// What becomes of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The group.
    pub group: GroupId,
    /// The replica in this directory.
    pub replica: ReplicaId,
    /// Whether there is something to go on with.
    pub outcome: Outcome,
}

/// Whether a group can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on with this replica alone.
    Kept(Saved),
    /// It cannot: this directory has no state of it, or a damaged one. It stays as it is.
    Lost(String),
}

/// What is kept of a group. Acknowledged and lost may be whatever the others had after `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// What this replica is among the members that it knows; `None` if it had been taken out of the group,
    /// which then goes on elsewhere: such a directory is the wrong one.
    pub standing: Option<Standing>,
    /// It is the only replica already: nothing is lost, and nothing has to be decided.
    pub alone: bool,
    /// The term of the last entry.
    pub term: Term,
    /// The last entry. All up to here are kept and count from now on.
    pub last: Index,
    /// The last one that is known to have been on a majority. Those after it may have been acknowledged.
    pub committed: Index,
    /// The stamp of the last entry that has one: what was acknowledged later than that is lost.
    pub stamp: Stamp,
    /// The offset after the last record.
    pub next_offset: Offset,
    /// The offset after the last record that is known to have been on a majority. Those from here on may be
    /// others than the lost replicas had acknowledged in their places.
    pub safe_offset: Offset,
    /// Records below this offset were being copied from others, and are lost. `None` where all are here.
    pub lost_below: Option<Offset>,
}

impl Recovery {
    /// Looks at every group of a store that nobody has open, `node` being whose it is. Nothing of the groups
    /// changes, except that a snapshot which was put in place is taken up as at any start.
    pub fn plan(store: Arc<dyn Store>, node: NodeId) -> Result<Self, LogError> {
        load::check_format(&*store)?;
        let journal = Journal::new(Arc::clone(&store), u64::MAX, u64::MAX);
        let mut recovery = Self { store, batch: Batch::default(), accounts: Vec::new() };
        for spec in load::groups(&*recovery.store)? {
            journal.enlist(spec.id);
            let outcome = match load::group(&journal, &spec) {
                Ok(Loaded::Ready(start)) => Outcome::Kept(recovery.keep(&journal, *start, node)),
                Ok(Loaded::Damaged(indices, _)) => {
                    let index = indices.first().copied().unwrap_or_default();
                    Outcome::Lost(format!("{} entries are damaged, the first is {index}", indices.len()))
                }
                Ok(Loaded::Blank(..)) => Outcome::Lost("it waits for a snapshot and has no state".into()),
                Err(LogError::Store(error)) => return Err(LogError::Store(error)),
                Err(error) => Outcome::Lost(error.to_string()),
            };
            journal.close(spec.id);
            recovery.accounts.push(Account { group: spec.id, replica: spec.replica, outcome });
        }
        Ok(recovery)
    }

    /// What becomes of each group, for whoever has to decide.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// Makes this directory's replicas the only members of their groups: one synced write. There is no way
    /// back, and the other replicas must never be started again. The next start goes on alone.
    pub fn accept_data_loss(self) -> Result<Vec<Account>, LogError> {
        if !self.batch.is_empty() {
            self.store.write_log(&self.batch, true)?;
        }
        Ok(self.accounts)
    }

    /// Adds an entry that leaves this replica alone, in a term of its own, and everything up to it counts.
    fn keep(&mut self, journal: &Journal, start: Start, node: NodeId) -> Saved {
        let GroupSpec { id: group, replica, .. } = start.spec;
        let tail = journal.tail(group);
        let (last, committed) = (tail.last(), start.vote.commit);
        let term = tail.term(last).expect("the end of a log is in memory");
        let (mut stamp, mut next_offset, mut safe_offset) = (tail.stamp, tail.next, tail.next);
        for index in (tail.first_held().get()..=last.get()).map(Index::new) {
            if let Some(Logged::Entry(entry)) = tail.get(index) {
                (stamp, next_offset) = (stamp.max(entry.stamp), entry.end());
                if index <= committed {
                    safe_offset = entry.end();
                }
            }
        }
        let members: &Members = &start.progress.members;
        let saved = Saved {
            standing: members.standing(replica),
            alone: members.is_alone(replica),
            term,
            last,
            committed,
            stamp,
            next_offset,
            safe_offset,
            lost_below: start.history.map(|history| history.from),
        };
        let index = last.next();
        let term = term.max(start.vote.term).next();
        let bytes = Step::Recover(replica, node).encode();
        let entry = Logged::Bare(Arc::new(Bare { kind: CONF_CHANGE_V2, group, term, index, bytes }));
        let batch = &mut self.batch;
        batch.put(Space::Entry, &key::entry::key(group, index), entry.to_disk());
        let vote = Vote { term, vote: None, commit: index };
        batch.put(Space::Meta, &key::vote::key(group), vote.encode());
        if start.history.is_some() {
            // What was copied so far has a gap behind it.
            let (low, high) = (Index::new(0), tail.origin.0.next());
            batch.delete_range(Space::Entry, &key::entry::key(group, low), &key::entry::key(group, high));
            batch.delete_range(Space::Meta, &key::mark::key(group, low), &key::mark::key(group, high));
            batch.delete(Space::Meta, &key::history::key(group));
        }
        saved
    }
}

/// Raft's number of this type of entry.
const CONF_CHANGE_V2: u8 = 2;
