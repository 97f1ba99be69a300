//! Rows of a node's disk, read past its engine, as ARCHITECTURE.md has them: entries are `1 group index`, term, vote and
//! commit are `3 group`, the applied index is `5 group`, and what was derived from the log is `6 group ...`.

use holdfast_node::log::StoreError;
use holdfast_node::log::store::{Range, Space, Store};

const ENTRY: u8 = 1;
const VOTE: u8 = 3;
const APPLIED: u8 = 5;
const DERIVED: u8 = 6;

/// An entry of a Raft log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) group: u32,
    pub(crate) index: u64,
    pub(crate) term: u64,
    /// Checksum of its bytes.
    pub(crate) sum: u32,
    /// The checksum at its end is right: else nothing that stands in it counts.
    pub(crate) whole: bool,
}

/// The entries of all groups, or the row that is none.
pub(crate) fn entries(store: &dyn Store) -> Result<Result<Vec<Entry>, Vec<u8>>, StoreError> {
    let mut found = Vec::new();
    let mut odd = None;
    let range = Range { space: Space::Entry, from: &[ENTRY], to: &[ENTRY + 1] };
    store.scan(range, &mut |key, value| {
        match entry(key, value) {
            Some(entry) => found.push(entry),
            None => odd = Some(key.to_vec()),
        }
        odd.is_none()
    })?;
    Ok(odd.map_or(Ok(found), Err))
}

/// One entry.
pub(crate) fn entry_at(store: &dyn Store, group: u32, index: u64) -> Result<Option<Entry>, StoreError> {
    let key = [&[ENTRY], &group.to_be_bytes()[..], &index.to_be_bytes()].concat();
    Ok(store.get(Space::Entry, &key)?.and_then(|value| entry(&key, &value)))
}

/// The first index that a group holds.
pub(crate) fn first(store: &dyn Store, group: u32) -> Result<Option<u64>, StoreError> {
    let from = [&[ENTRY], &group.to_be_bytes()[..]].concat();
    let to = [&[ENTRY], &(group + 1).to_be_bytes()[..]].concat();
    let mut first = None;
    store.scan(Range { space: Space::Entry, from: &from, to: &to }, &mut |key, value| {
        first = entry(key, value).map(|entry| entry.index);
        false
    })?;
    Ok(first)
}

/// The term that a replica is in, and up to where it knows its group to be committed.
pub(crate) fn vote(store: &dyn Store, group: u32) -> Result<Option<(u64, u64)>, StoreError> {
    let key = [&[VOTE], &group.to_be_bytes()[..]].concat();
    let row = store.get(Space::Meta, &key)?;
    Ok(row.and_then(|row| Some((word(&row, 1)?, word(&row, 17)?))))
}

/// What was derived of each group: up to which index, and a checksum.
pub(crate) fn derived(store: &dyn Store) -> Result<Vec<(u32, u64, u32)>, StoreError> {
    let mut sums: Vec<(u32, u64, crc32fast::Hasher)> = Vec::new();
    let range = Range { space: Space::State, from: &[APPLIED], to: &[DERIVED + 1] };
    store.scan(range, &mut |key, value| {
        let Some(group) = key.get(1..5).and_then(|group| group.try_into().ok()).map(u32::from_be_bytes)
        else {
            return true;
        };
        if key[0] == APPLIED {
            sums.extend(word(value, 1).map(|index| (group, index, crc32fast::Hasher::new())));
        } else if let Some((_, _, sum)) = sums.iter_mut().find(|(own, ..)| *own == group) {
            sum.update(key);
            sum.update(value);
        }
        true
    })?;
    Ok(sums.into_iter().map(|(group, index, sum)| (group, index, sum.finalize())).collect())
}

fn entry(key: &[u8], value: &[u8]) -> Option<Entry> {
    let group = u32::from_be_bytes(key.get(1..5)?.try_into().ok()?);
    let index = u64::from_be_bytes(key.get(5..13)?.try_into().ok()?);
    // An envelope of messages, or a bare entry of Raft.
    let term = word(value, if *value.first()? < 128 { 16 } else { 8 })?;
    let (body, end) = value.split_last_chunk::<4>()?;
    let whole = crc32fast::hash(body).to_le_bytes() == *end;
    Some(Entry { group, index, term, sum: crc32fast::hash(value), whole })
}

fn word(row: &[u8], at: usize) -> Option<u64> {
    row.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}
