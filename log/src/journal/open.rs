//! Takes one group's log up from disk.

use std::collections::BTreeSet;

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
    let marks = marks(store, group, (origin.0.next(), Index::new(u64::MAX)))?;
    let from = marks.iter().rfind(|mark| mark.index <= commit).map_or(origin.0.next(), |mark| mark.index);
    let mut tail = Tail::new(origin);
    tail.resume(marks, from);
    let (low, high) = (key::entry::key(group, from), key::entry::key(group, Index::new(u64::MAX)));
    let (mut expected, mut fault, mut rotten) = (from, None, BTreeSet::new());
    let mut detail = String::new();
    store.scan(Range { space: Space::Entry, from: &low, to: &high }, &mut |key, value| {
        let Some(index) = key::entry::index_of(key) else { return true };
        while expected < index {
            detail = "it is missing".into();
            rotten.insert(expected);
            expected = expected.next();
        }
        match Logged::from_disk(group, expected, Bytes::copy_from_slice(value)) {
            Ok(item) if rotten.is_empty() => {
                // The first entry of a log has a mark, and further ones are not due at this distance.
                if tail.push(item, u64::MAX).is_some() {
                    fault = Some(JournalError::Damaged(expected, "its mark is missing".into()));
                }
            }
            Ok(_) => {}
            Err(error) => {
                if rotten.is_empty() {
                    detail = error.to_string();
                }
                rotten.insert(expected);
            }
        }
        expected = expected.next();
        fault.is_none()
    })?;
    match fault {
        Some(fault) => Err(fault),
        None if tail.marks.back().is_some_and(|mark| mark.index >= expected) => {
            Err(JournalError::Damaged(expected, "it is missing".into()))
        }
        None if !rotten.is_empty() => Err(JournalError::Rotten(rotten, detail)),
        None => Ok(tail),
    }
}

/// The marks at the indices from the first on and below the second.
pub(crate) fn marks(
    store: &dyn Store,
    group: GroupId,
    (low, high): (Index, Index),
) -> Result<Marks, JournalError> {
    let (from, to) = (key::mark::key(group, low), key::mark::key(group, high));
    let (mut found, mut fault) = (Marks::new(), None);
    store.scan(Range { space: Space::Meta, from: &from, to: &to }, &mut |key, value| {
        match key::mark::Mark::decode(key, value) {
            Ok(mark) => found.push_back(mark),
            Err(error) => fault = Some(JournalError::Damaged(low, error.to_string())),
        }
        fault.is_none()
    })?;
    fault.map_or(Ok(found), Err)
}
