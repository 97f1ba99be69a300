//! The proof that an entry is on a majority of disks.

use std::ops::Deref;
use std::sync::Arc;

use crate::entry::Entry;

/// An entry that is committed and has passed the ledger of its group. Only the engine makes one.
///
/// Dereferences to the [`Entry`], so `committed.base` and `committed.payload` read as expected.
#[derive(Clone, Debug)]
pub struct Committed {
    entry: Arc<Entry>,
}

impl Committed {
    /// Only a group that has seen the commit may call this.
    pub(crate) fn new(entry: Arc<Entry>) -> Self {
        Self { entry }
    }

    /// The entry, to be shared further.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }
}

impl Deref for Committed {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entry
    }
}
