//! What lies on the disks when all nodes have stopped: every entry of every Raft log, to be compared.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use holdfast_node::log::store::{RocksConfig, RocksStore};

use crate::history::{Event, What};
use crate::rows::{self, Entry};

/// The entries in a data directory that no process holds.
pub(super) fn read(data: &Path, node: u16, at: Duration) -> io::Result<Vec<Event>> {
    let store = RocksStore::open(data, &RocksConfig::default()).map_err(io::Error::other)?;
    let entries = rows::entries(&store).map_err(io::Error::other)?;
    let odd = |key| io::Error::other(format!("node {}: a row that is no entry: {key:?}", node + 1));
    let entries = entries.map_err(odd)?;
    let mut known: BTreeMap<u32, u64> = BTreeMap::new();
    if let Some(Entry { group, index, .. }) = entries.iter().find(|entry| !entry.whole) {
        let what = format!("node {}: entry {index} of group {group} is damaged", node + 1);
        return Err(io::Error::other(what));
    }
    for Entry { group, .. } in &entries {
        if !known.contains_key(group) {
            let vote = rows::vote(&store, *group).map_err(io::Error::other)?;
            let none = || io::Error::other(format!("group {group} has no vote"));
            known.insert(*group, vote.ok_or_else(none)?.1);
        }
    }
    let event = |Entry { group, index, term, sum, .. }| {
        let committed = known.get(&group).is_some_and(|commit| index <= *commit);
        Event { at, what: What::Logged { node, group, index, term, sum, committed } }
    };
    Ok(entries.into_iter().map(event).collect())
}
