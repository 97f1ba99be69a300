//! Takes one group's log up from disk.

use bytes::Bytes;

use super::{JournalError, Marks};
use crate::id::{GroupId, Index, Term};
use crate::key;
use crate::logged::Logged;
use crate::store::{Range, Space, Store};
use crate::tail::Tail;

/// Reads the marks, then every entry from the last mark on that is not above `commit`: what may still be
/// replaced by another leader has to be in memory, and the entry before it. What is read is verified.
pub(super) fn load(
    store: &dyn Store,
    group: GroupId,
    (origin, commit): ((Index, Term), Index),
) -> Result<Tail, JournalError> {
    let marks = marks(store, group, origin.0)?;
    let from = marks.iter().rfind(|mark| mark.index <= commit).map_or(origin.0.next(), |mark| mark.index);
    let mut tail = Tail::new(origin);
    tail.resume(marks, from);
    let (low, high) = (key::entry::key(group, from), key::entry::key(group, Index::new(u64::MAX)));
    let (mut expected, mut fault) = (from, None);
    store.scan(Range { space: Space::Entry, from: &low, to: &high }, &mut |key, value| {
        if key::entry::index_of(key) != Some(expected) {
            fault = Some(JournalError::Damaged(expected, "it is missing".into()));
            return false;
        }
        match Logged::from_disk(group, expected, Bytes::copy_from_slice(value)) {
            Ok(item) => {
                // The first entry of a log has a mark, and further ones are not due at this distance.
                if tail.push(item, u64::MAX).is_some() {
                    fault = Some(JournalError::Damaged(expected, "its mark is missing".into()));
                }
            }
            Err(error) => fault = Some(JournalError::Damaged(expected, error.to_string())),
        }
        expected = expected.next();
        fault.is_none()
    })?;
    match fault {
        Some(fault) => Err(fault),
        None if tail.marks.back().is_some_and(|mark| mark.index > tail.last()) => {
            Err(JournalError::Damaged(tail.last().next(), "it is missing".into()))
        }
        None => Ok(tail),
    }
}

fn marks(store: &dyn Store, group: GroupId, origin: Index) -> Result<Marks, JournalError> {
    let from = key::mark::key(group, Index::new(0));
    let to = key::mark::key(group, Index::new(u64::MAX));
    let (mut found, mut fault) = (Marks::new(), None);
    store.scan(Range { space: Space::Meta, from: &from, to: &to }, &mut |key, value| {
        match key::mark::Mark::decode(key, value) {
            Ok(mark) => found.push_back(mark),
            Err(error) => fault = Some(JournalError::Damaged(origin, error.to_string())),
        }
        fault.is_none()
    })?;
    fault.map_or(Ok(found), Err)
}
