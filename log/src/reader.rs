//! Reading a group's committed records, from any thread, at any offset.

use std::sync::Arc;

use crate::entry::Entry;
use crate::id::{GroupId, Index, Offset};
use crate::store::{StoreError, Usage};

/// A handle to read with. Cheap to clone; reads beside the engine and never waits for it.
#[derive(Clone)]
pub struct Reader {}

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
    /// Entries that hold the record at `from` and those after it, as far as they are committed and
    /// handed out: at least one where there is one, and about `bytes_max` bytes. Empty at the end.
    /// Only entries with records come back; the first may begin below `from`.
    pub fn read(&self, group: GroupId, from: Offset, bytes_max: u64) -> Result<Vec<Arc<Entry>>, ReadError> {
        let _ = (group, from, bytes_max);
        unimplemented!("comes next")
    }

    /// The first offset that can be read and the next one that will be committed.
    pub fn bounds(&self, group: GroupId) -> Option<(Offset, Offset)> {
        let _ = group;
        unimplemented!("comes next")
    }

    /// The value of a key of the side table.
    pub fn side_get(&self, key: &[u8]) -> Result<Option<bytes::Bytes>, StoreError> {
        let _ = key;
        unimplemented!("comes next")
    }

    /// Up to `limit` keys of the side table that begin with `prefix`, from `prefix` + `from` on, in order.
    pub fn side_scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<SideRows, StoreError> {
        let _ = (prefix, from, limit);
        unimplemented!("comes next")
    }

    /// Sets and removes keys of the side table. Lost in a crash unless a flush came between.
    pub fn side_write(&self, changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        let _ = changes;
        unimplemented!("comes next")
    }

    /// Removes the keys `from..to` of the side table.
    pub fn side_delete_range(&self, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        let _ = (from, to);
        unimplemented!("comes next")
    }

    /// What the disk holds.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        unimplemented!("comes next")
    }
}

/// Keys of the side table with their values, in order.
pub type SideRows = Vec<(bytes::Bytes, bytes::Bytes)>;
