//! Proposals of this node's boot: numbered per group, kept until committed.
//!
//! Invariant: a group's proposals leave in the order of their sequence, and a later one never overtakes an
//! earlier one that is still open.

use std::collections::{BTreeMap, VecDeque};

use holdfast_log::{Body, BootEpoch, Committed, Engine, GroupId, NodeId, Proposal, Refusal, Sequence, Stamp};

/// The proposals of one boot that are not committed yet. `T` is what the proposer wants back when one is.
#[derive(Debug)]
pub struct Proposals<T> {
    node: NodeId,
    boot: BootEpoch,
    lanes: BTreeMap<GroupId, Lane<T>>,
}

#[derive(Debug)]
struct Lane<T> {
    next: Sequence,
    /// Sent to no leader yet, or to one that may have lost it, from this position on.
    unsent: usize,
    open: VecDeque<Open<T>>,
}

#[derive(Debug)]
struct Open<T> {
    sequence: Sequence,
    body: Body,
    tag: T,
}

impl<T> Proposals<T> {
    /// Nothing proposed yet. `boot` was granted by the meta group and is used by nobody else.
    pub fn new(node: NodeId, boot: BootEpoch) -> Self {
        Self { node, boot, lanes: BTreeMap::new() }
    }

    /// Queues a proposal for `group`. It leaves with the next [`Proposals::send`].
    pub fn push(&mut self, group: GroupId, body: Body, tag: T) {
        let lane = self.lanes.entry(group).or_insert_with(|| Lane {
            next: Sequence::new(1),
            unsent: 0,
            open: VecDeque::new(),
        });
        let sequence = lane.next;
        lane.next = sequence.next();
        lane.open.push_back(Open { sequence, body, tag });
    }

    /// Offers what is queued to the local leaders. What a leader cannot take now stays queued, in order.
    ///
    /// # Errors
    /// A refusal that time does not cure: the boot is closed, or the group is unknown or has stopped.
    pub fn send(&mut self, engine: &mut Engine, stamp: Stamp) -> Result<(), Refusal> {
        for (group, lane) in &mut self.lanes {
            while let Some(open) = lane.open.get(lane.unsent) {
                let proposal = Proposal {
                    group: *group,
                    node: self.node,
                    boot: self.boot,
                    seq: open.sequence,
                    body: open.body.clone(),
                    stamp,
                };
                match engine.propose(proposal) {
                    Ok(()) | Err(Refusal::Repeat { .. }) => lane.unsent += 1,
                    Err(Refusal::NotLeader { .. } | Refusal::NotReady | Refusal::Full) => break,
                    Err(refusal) => return Err(refusal),
                }
            }
        }
        Ok(())
    }

    /// The leader of `group` changed: everything open is said again, in order.
    pub fn resend(&mut self, group: GroupId) {
        if let Some(lane) = self.lanes.get_mut(&group) {
            lane.unsent = 0;
        }
    }

    /// Takes in a committed entry; the tag comes back when it is one of ours.
    pub fn committed(&mut self, entry: &Committed) -> Option<T> {
        let proposer = entry.entry().proposer;
        if proposer.node != self.node || proposer.boot != self.boot {
            return None;
        }
        let lane = self.lanes.get_mut(&entry.entry().group)?;
        let first = lane.open.pop_front()?;
        assert_eq!(first.sequence, proposer.sequence, "entries of one proposer are committed in order");
        lane.unsent = lane.unsent.saturating_sub(1);
        Some(first.tag)
    }

    /// Proposals of `group` that are not committed yet.
    pub fn open(&self, group: GroupId) -> usize {
        self.lanes.get(&group).map_or(0, |lane| lane.open.len())
    }
}
