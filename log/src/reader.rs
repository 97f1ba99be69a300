//! Reading a group's committed records, from any thread, at any offset.

use std::sync::Arc;

use bytes::Bytes;

use crate::entry::Entry;
use crate::id::{GroupId, Index, Offset};
use crate::journal::{Journal, JournalError};
use crate::store::{Batch, HalfFigures, Range, Space, StoreError, Usage};

/// A handle to read with. Cheap to clone; reads beside the engine and never waits for its disk.
#[derive(Clone)]
pub struct Reader {
    journal: Arc<Journal>,
}

/// Why nothing could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// This node has no such group.
    #[error("unknown group {0}")]
    Unknown(GroupId),
    /// The offset lies below the start of the log.
    #[error("the log starts at {first}")]
    Truncated {
        /// The first offset that can be read.
        first: Offset,
    },
    /// The offset lies above the next one that will be committed.
    #[error("the log ends at {next}")]
    Beyond {
        /// The next offset.
        next: Offset,
    },
    /// The record exists, and this node does not have it: the copy of the group's history is not whole
    /// yet, or the group waits for what only its peers can give.
    #[error("nothing below {first} is held here")]
    NotHeld {
        /// The first offset that is.
        first: Offset,
    },
    /// An entry is not what was written. It is never served.
    #[error("{group} {index} is damaged: {detail}")]
    Damaged {
        /// The group.
        group: GroupId,
        /// Where.
        index: Index,
        /// What is wrong.
        detail: String,
    },
    /// The disk failed, or found damage itself.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Reader {
    pub(crate) fn new(journal: Arc<Journal>) -> Self {
        Self { journal }
    }

    /// Entries that hold the record at `from` and those after it, as far as they are committed and
    /// handed out: at least one where there is one, and about `bytes_max` bytes. Empty at the end.
    /// Only entries with records come back; the first may begin below `from`.
    pub fn read(&self, group: GroupId, from: Offset, bytes_max: u64) -> Result<Vec<Arc<Entry>>, ReadError> {
        let tail = self.journal.find(group).ok_or(ReadError::Unknown(group))?;
        let (first, next) = (tail.first_offset(), tail.next);
        match tail.held_from {
            Some(held) if from < held && from >= tail.start => {
                return Err(ReadError::NotHeld { first: held });
            }
            _ if from < first => return Err(ReadError::Truncated { first }),
            _ => {}
        }
        if from > next {
            return Err(ReadError::Beyond { next });
        }
        if from == next {
            return Ok(Vec::new());
        }
        if let Some(found) = tail.read(from, bytes_max) {
            return Ok(found);
        }
        drop(tail);
        self.journal.read_cold(group, from, bytes_max).map_err(|error| self.explain(group, from, error))
    }

    /// The first offset that can be read and the next one that will be committed.
    pub fn bounds(&self, group: GroupId) -> Option<(Offset, Offset)> {
        let tail = self.journal.find(group)?;
        Some((tail.first_offset(), tail.next))
    }

    /// Bytes of recent entries in memory, all groups together.
    pub fn held_bytes(&self) -> u64 {
        self.journal.held()
    }

    /// The value of a key of the side table.
    pub fn side_get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.journal.store().get(Space::Side, key)
    }

    /// Up to `limit` keys of the side table that begin with `prefix`, from `prefix` + `from` on, in order.
    pub fn side_scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<SideRows, StoreError> {
        let (first, end) = ([prefix, from].concat(), after_prefix(prefix));
        let mut rows = SideRows::new();
        if limit == 0 {
            return Ok(rows);
        }
        let range = Range { space: Space::Side, from: &first, to: &end };
        self.journal.store().scan(range, &mut |key, value| {
            rows.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            rows.len() < limit
        })?;
        Ok(rows)
    }

    /// Sets and removes keys of the side table. Lost in a crash unless a flush came between.
    pub fn side_write(&self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.put(Space::Side, &key, value),
                None => batch.delete(Space::Side, &key),
            }
        }
        self.journal.store().write_state(&batch)
    }

    /// Removes the keys `from..to` of the side table.
    pub fn side_delete_range(&self, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.delete_range(Space::Side, from, to);
        self.journal.store().write_state(&batch)
    }

    /// What the disk holds.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        self.journal.store().usage()
    }

    /// How the halves of the store are, the log first.
    pub fn figures(&self) -> Result<[HalfFigures; 2], StoreError> {
        self.journal.store().figures()
    }

    /// A read that failed while the log was cut beside it has met the cut and no damage.
    fn explain(&self, group: GroupId, from: Offset, error: JournalError) -> ReadError {
        let Some(first) = self.journal.find(group).map(|tail| tail.first_offset()) else {
            return ReadError::Unknown(group);
        };
        match error {
            _ if from < first => ReadError::Truncated { first },
            JournalError::Compacted => ReadError::Truncated { first },
            JournalError::Damaged(index, detail) => ReadError::Damaged { group, index, detail },
            JournalError::Rotten(indices, detail) => {
                let index = indices.first().copied().unwrap_or_default();
                ReadError::Damaged { group, index, detail }
            }
            JournalError::Store(error) => ReadError::Store(error),
        }
    }
}

/// The first key after all that begin with `prefix`.
fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; SIDE_KEY_MAX]
}

/// Keys of the side table, with their values, in order.
pub type SideRows = Vec<(Bytes, Bytes)>;

/// Bytes of the longest key of the side table: a scan of everything ends there.
const SIDE_KEY_MAX: usize = 4096;
