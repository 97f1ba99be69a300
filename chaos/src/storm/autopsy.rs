//! What lies on the disks when all nodes have stopped: every entry of every Raft log, to be compared.
//!
//! It reads rows, not through the engine: an entry is `1 group index`, what is known as committed is in `3 group`, as
//! ARCHITECTURE.md has them.

use std::io;
use std::path::Path;
use std::time::Duration;

use holdfast_node::log::store::{Range, RocksConfig, RocksStore, Space, Store};

use crate::history::{Event, What};

const ENTRY: u8 = 1;
const VOTE: u8 = 3;

/// The entries in a data directory that no process holds.
pub(super) fn read(data: &Path, node: u16, at: Duration) -> io::Result<Vec<Event>> {
    let store = RocksStore::open(data, &RocksConfig::default()).map_err(io::Error::other)?;
    let mut events = Vec::new();
    let mut group = None;
    let mut known = Ok(0);
    let mut fault = None;
    let range = Range { space: Space::Entry, from: &[ENTRY], to: &[ENTRY + 1] };
    let scanned = store.scan(range, &mut |key, value| {
        let Some((own, index, term)) = entry(key, value) else {
            fault = Some(format!("node {}: a row that is no entry: {key:?}", node + 1));
            return false;
        };
        if group != Some(own) {
            group = Some(own);
            known = commit(&store, own);
        }
        let committed = known.as_ref().is_ok_and(|commit| index <= *commit);
        let sum = crc32fast::hash(value);
        let what = What::Logged { node, group: own, index, term, sum, committed };
        events.push(Event { at, what });
        known.is_ok()
    });
    scanned.map_err(io::Error::other)?;
    known?;
    match fault {
        Some(fault) => Err(io::Error::other(fault)),
        None => Ok(events),
    }
}

/// Group, index and term of a row.
fn entry(key: &[u8], value: &[u8]) -> Option<(u32, u64, u64)> {
    let group = u32::from_be_bytes(key.get(1..5)?.try_into().ok()?);
    let index = u64::from_be_bytes(key.get(5..13)?.try_into().ok()?);
    // An envelope of messages, or a bare entry of Raft.
    let at = if *value.first()? < 128 { 16 } else { 8 };
    let term = u64::from_le_bytes(value.get(at..at + 8)?.try_into().ok()?);
    Some((group, index, term))
}

/// Up to where a group is known to be committed.
fn commit(store: &RocksStore, group: u32) -> io::Result<u64> {
    let mut key = vec![VOTE];
    key.extend_from_slice(&group.to_be_bytes());
    let row = store.get(Space::Meta, &key).map_err(io::Error::other)?;
    let commit = row.as_deref().and_then(|row| row.get(17..25)?.try_into().ok());
    commit.map(u64::from_le_bytes).ok_or_else(|| io::Error::other(format!("group {group} has no vote")))
}
