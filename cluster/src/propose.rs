//! Proposals of this node's boot: numbered per group, kept until committed.
//!
//! Invariant: a group's proposals leave in the order of their sequence, and a later one never overtakes an
//! earlier one that is still open. A leader takes them in that order only, so whatever is lost on the way is
//! said again from where it was lost.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use holdfast_log::{Body, BootEpoch, Committed, GroupId, NodeId, Proposal, Refusal, Sequence, Stamp};

/// After a refusal that time cures the leader is not asked again for this long.
const PAUSE: Duration = Duration::from_millis(10);
/// What was sent and is not committed is said again after this long without a commit: a leader has lost it.
const SAY_AGAIN: Duration = Duration::from_secs(2);

/// The proposals of one boot that are not committed yet. `T` is what the proposer wants back when one is.
#[derive(Debug)]
pub struct Proposals<T> {
    node: NodeId,
    boot: BootEpoch,
    lanes: BTreeMap<GroupId, Lane<T>>,
    /// Proposals that were to be said again.
    resent: u64,
}

#[derive(Debug)]
struct Lane<T> {
    next: Sequence,
    /// Sent to no leader yet, or to one that may have lost it, from this position on.
    unsent: usize,
    open: VecDeque<Open<T>>,
    /// Nothing is sent before.
    pause: Duration,
    /// Last time that something was sent or committed.
    moved: Duration,
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
        Self { node, boot, lanes: BTreeMap::new(), resent: 0 }
    }

    /// Queues a proposal for `group`. It leaves with the next [`Proposals::send`].
    pub fn push(&mut self, group: GroupId, body: Body, tag: T) {
        let lane = self.lanes.entry(group).or_insert_with(|| Lane {
            next: Sequence::new(1),
            unsent: 0,
            open: VecDeque::new(),
            pause: Duration::ZERO,
            moved: Duration::ZERO,
        });
        let sequence = lane.next;
        lane.next = sequence.next();
        lane.open.push_back(Open { sequence, body, tag });
    }

    /// Offers what is queued to the leaders, wherever they are: `offer` takes a proposal on its way or says why
    /// not. What cannot be taken now stays queued, in order. `now` is monotonic.
    ///
    /// # Errors
    /// A refusal that time does not cure: the boot is closed, or the group is unknown or has stopped.
    pub fn send(
        &mut self,
        stamp: Stamp,
        now: Duration,
        mut offer: impl FnMut(Proposal) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        for (group, lane) in &mut self.lanes {
            if lane.unsent > 0 && now > lane.moved + SAY_AGAIN {
                self.resent += lane.again(0);
            }
            while now >= lane.pause
                && let Some(open) = lane.open.get(lane.unsent)
            {
                let proposal = Proposal {
                    group: *group,
                    node: self.node,
                    boot: self.boot,
                    seq: open.sequence,
                    body: open.body.clone(),
                    stamp,
                };
                match offer(proposal) {
                    Ok(()) | Err(Refusal::Repeat { .. }) => {
                        lane.unsent += 1;
                        lane.moved = now;
                    }
                    // Only a leader that is not the one of before can miss what was sent.
                    Err(Refusal::Gap { expected }) => {
                        self.resent += lane.step_back(expected);
                        break;
                    }
                    Err(Refusal::NotLeader { .. } | Refusal::NotReady | Refusal::Full) => break,
                    Err(refusal) => return Err(refusal),
                }
            }
        }
        Ok(())
    }

    /// The leader of `group` changed, or is connected again: everything open is said again, in order.
    pub fn resend(&mut self, group: GroupId) {
        if let Some(lane) = self.lanes.get_mut(&group) {
            self.resent += lane.again(0);
            lane.pause = Duration::ZERO;
        }
    }

    /// A leader elsewhere did not append a proposal. `true`: it never will, because the boot is closed.
    pub fn refused(&mut self, group: GroupId, refusal: Refusal, now: Duration) -> bool {
        let Some(lane) = self.lanes.get_mut(&group) else { return false };
        match refusal {
            Refusal::Repeat { .. } => {}
            Refusal::Closed => return true,
            Refusal::Gap { expected } => self.resent += lane.step_back(expected),
            _ => {
                self.resent += lane.again(0);
                lane.pause = now + PAUSE;
            }
        }
        false
    }

    /// Whether `proposer` is this boot.
    pub fn are_of(&self, node: NodeId, boot: BootEpoch) -> bool {
        (self.node, self.boot) == (node, boot)
    }

    /// Takes in a committed entry; the tag comes back when it is one of ours.
    pub fn committed(&mut self, entry: &Committed, now: Duration) -> Option<T> {
        let proposer = entry.entry().proposer;
        if !self.are_of(proposer.node, proposer.boot) {
            return None;
        }
        let lane = self.lanes.get_mut(&entry.entry().group)?;
        let first = lane.open.pop_front()?;
        assert_eq!(first.sequence, proposer.sequence, "entries of one proposer are committed in order");
        lane.unsent = lane.unsent.saturating_sub(1);
        lane.moved = now;
        Some(first.tag)
    }

    /// The tag of the last proposal of `group` that is not committed yet: for what must wait until it is.
    pub fn last_tag(&mut self, group: GroupId) -> Option<&mut T> {
        self.lanes.get_mut(&group)?.open.back_mut().map(|open| &mut open.tag)
    }

    /// Proposals of `group` that are not committed yet.
    pub fn open(&self, group: GroupId) -> usize {
        self.lanes.get(&group).map_or(0, |lane| lane.open.len())
    }

    /// Proposals of all groups that are not committed yet.
    pub fn all_open(&self) -> usize {
        self.lanes.values().map(|lane| lane.open.len()).sum()
    }

    /// How often a proposal was to be said again, since the last call.
    pub fn take_resent(&mut self) -> u64 {
        std::mem::take(&mut self.resent)
    }
}

impl<T> Lane<T> {
    /// Goes on from `expected`, which the leader lacks, if that was sent. How many are said again?
    fn step_back(&mut self, expected: Sequence) -> u64 {
        let at = self.open.iter().position(|open| open.sequence >= expected);
        self.again(at.unwrap_or(self.open.len()))
    }

    /// Goes on from position `at`, if that was sent. How many are said again?
    fn again(&mut self, at: usize) -> u64 {
        let sent = self.unsent;
        self.unsent = sent.min(at);
        (sent - self.unsent) as u64
    }
}
