//! What Raft promises, seen from outside of the nodes: in what they send and in what lies on their disks.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_node::cluster::link::Frame;
use holdfast_node::log::{Message, Store, StoreError};

use super::host::Host;
use super::recorder::Recorder;
use crate::history::What;
use crate::rows;

/// Who was seen to lead: node, group and term. Only a leader sends appends, heartbeats and snapshots.
#[derive(Default)]
pub(super) struct Leads {
    seen: BTreeSet<(usize, u32, u64)>,
    fresh: Vec<(usize, u32, u64)>,
}

impl Leads {
    /// A node sends a frame.
    pub(super) fn saw(&mut self, from: usize, frame: &Frame) {
        let Frame::Raft(messages) = frame else { return };
        for message in messages {
            let Ok(message) = Message::decode(message.clone()) else { continue };
            if matches!(message.kind(), "append" | "heartbeat" | "snapshot") {
                let led = (from, message.group().get(), message.term().get());
                if self.seen.insert(led) {
                    self.fresh.push(led);
                }
            }
        }
    }

    /// Who was seen for the first time since the last call.
    pub(super) fn take(&mut self) -> Vec<(usize, u32, u64)> {
        std::mem::take(&mut self.fresh)
    }
}

/// What is known to be committed: by group and index, the lowest term in which somebody knew it, and the entry's.
#[derive(Default)]
pub(super) struct Known(BTreeMap<(u32, u64), (u64, u64)>);

impl Known {
    /// Writes down what leaders have, and before that what everybody knows of their groups.
    pub(super) fn look(
        &mut self,
        leads: Vec<(usize, u32, u64)>,
        hosts: &[Host],
        to: &mut Recorder,
    ) -> Result<(), StoreError> {
        for (leader, group, term) in leads {
            for (node, host) in (0u16..).zip(hosts) {
                self.ask(node, &*host.ground.disk, group, to)?;
            }
            let disk = &*hosts[leader].ground.disk;
            let first = rows::first(disk, group)?.unwrap_or(u64::MAX);
            let mut holds = Vec::new();
            for ((_, index), (known_in, _)) in self.0.range((group, first)..(group + 1, 0)) {
                if *known_in <= term {
                    let entry = rows::entry_at(disk, group, *index)?;
                    // What has rotted it has had, and gets back from a peer.
                    if entry.is_none_or(|entry| entry.whole) {
                        holds.push((*index, entry.map(|entry| entry.term)));
                    }
                }
            }
            to.record(What::Led { node: leader as u16, group, term, holds });
        }
        Ok(())
    }

    fn ask(&mut self, node: u16, disk: &dyn Store, group: u32, to: &mut Recorder) -> Result<(), StoreError> {
        let Some((term, index)) = rows::vote(disk, group)? else { return Ok(()) };
        let entry = rows::entry_at(disk, group, index)?;
        let Some(entry) = entry.filter(|entry| entry.whole) else { return Ok(()) };
        let known = self.0.entry((group, index)).or_insert((u64::MAX, entry.term));
        if term < known.0 {
            *known = (term, entry.term);
            to.record(What::Known { node, group, term, index, of: entry.term });
        }
        Ok(())
    }
}

/// Every entry on a node's disk.
pub(super) fn logged(node: u16, disk: &dyn Store, to: &mut Recorder) -> Result<(), String> {
    let entries = rows::entries(disk).map_err(|error| error.to_string())?;
    let entries = entries.map_err(|key| format!("node {}: a row that is no entry: {key:?}", node + 1))?;
    let mut commits = BTreeMap::new();
    for rows::Entry { group, index, term, sum, .. } in entries.into_iter().filter(|entry| entry.whole) {
        let commit = match commits.get(&group) {
            Some(commit) => *commit,
            None => {
                let vote = rows::vote(disk, group).map_err(|error| error.to_string())?;
                let commit = vote.map_or(0, |(_, commit)| commit);
                commits.insert(group, commit);
                commit
            }
        };
        to.record(What::Logged { node, group, index, term, sum, committed: index <= commit });
    }
    Ok(())
}

/// What a node has derived from its logs.
pub(super) fn derived(node: u16, disk: &dyn Store, to: &mut Recorder) -> Result<(), String> {
    for (group, index, sum) in rows::derived(disk).map_err(|error| error.to_string())? {
        to.record(What::Derived { node, group, index, sum });
    }
    Ok(())
}
