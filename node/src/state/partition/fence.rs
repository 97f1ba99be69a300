//! Fences: whose lower owner epochs are refused, and until when.
//!
//! A fence stands until its boot is closed in this partition. Which boots are closed is kept, one row per node, so
//! that a record that was long under way cannot put up a fence that nobody would take down.

use std::collections::BTreeMap;

use crate::record::{Fence, epoch_below};
use crate::state::changes::Changes;

/// Fences, and the boots that are closed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Boots {
    /// Lowest owner epoch that is let in, by publisher and boot.
    fences: BTreeMap<(u64, Fence), u32>,
    /// Highest closed boot of each node.
    closed: BTreeMap<u64, u64>,
}

impl Boots {
    pub(super) fn has_fences(&self) -> bool {
        !self.fences.is_empty()
    }

    pub(super) fn fenced(&self, publisher: u64, epoch: u32) -> bool {
        let least = Fence { node: 0, boot: 0 };
        let most = Fence { node: u64::MAX, boot: u64::MAX };
        let mut fences = self.fences.range((publisher, least)..=(publisher, most));
        fences.any(|(_, fence)| epoch_below(epoch, *fence))
    }

    /// Does nothing come in of this owner any more, by a fence or because its boot is closed?
    pub(super) fn shuts_out(&self, publisher: u64, boot: Fence, epoch: u32) -> bool {
        let fence = self.fences.get(&(publisher, boot));
        self.is_closed(boot) || fence.is_some_and(|fence| epoch_below(epoch, *fence))
    }

    pub(super) fn is_closed(&self, fence: Fence) -> bool {
        self.closed.get(&fence.node).is_some_and(|closed| fence.boot <= *closed)
    }

    /// From here on, lower owner epochs of this publisher are refused until these boots are closed.
    pub(super) fn put_up(
        &mut self,
        publisher: u64,
        epoch: u32,
        fences: impl Iterator<Item = Fence>,
        changes: &mut Changes,
    ) {
        for fence in fences {
            let at = (publisher, fence);
            if self.is_closed(fence) || self.fences.get(&at).is_some_and(|old| !epoch_below(*old, epoch)) {
                continue;
            }
            self.fences.insert(at, epoch);
            changes.put_bytes(fence_key(at), epoch.to_le_bytes().to_vec());
        }
    }

    pub(super) fn close(&mut self, node: u64, boot: u64, changes: &mut Changes) {
        if self.closed.get(&node).copied().unwrap_or_default() >= boot {
            return;
        }
        self.closed.insert(node, boot);
        changes.put_bytes(closed_key(node), boot.to_le_bytes().to_vec());
        self.fences.retain(|at, _| {
            let stands = at.1.node != node || at.1.boot > boot;
            if !stands {
                changes.delete(fence_key(*at));
            }
            stands
        });
    }

    pub(super) fn load_fence(&mut self, place: &[u8], value: &[u8]) -> Option<()> {
        let (words, rest) = place.as_chunks::<8>();
        let [publisher, node, boot] = words else { return None };
        if !rest.is_empty() {
            return None;
        }
        let [publisher, node, boot] = [publisher, node, boot].map(|word| u64::from_be_bytes(*word));
        let epoch = u32::from_le_bytes(value.try_into().ok()?);
        self.fences.insert((publisher, Fence { node, boot }), epoch);
        Some(())
    }

    pub(super) fn load_closed(&mut self, node: &[u8], value: &[u8]) -> Option<()> {
        let node = u64::from_be_bytes(node.try_into().ok()?);
        self.closed.insert(node, u64::from_le_bytes(value.try_into().ok()?));
        Some(())
    }
}

fn fence_key((publisher, fence): (u64, Fence)) -> Vec<u8> {
    let mut key = vec![super::FENCE];
    key.extend([publisher, fence.node, fence.boot].iter().flat_map(|word| word.to_be_bytes()));
    key
}

fn closed_key(node: u64) -> Vec<u8> {
    let mut key = vec![super::CLOSED];
    key.extend_from_slice(&node.to_be_bytes());
    key
}
