//! Group time: what a node takes the time of day to be, for stamps and deadlines.
//!
//! It is the median of what the clocks of the live nodes say, moved along by this node's monotonic clock, and never
//! goes back. So one clock that is hours off, or jumps, moves nothing; in a cluster of one the only clock there is
//! decides. A node that has just started and has heard few others goes on from the last stamp it knows, and each follows
//! the stamps that it applies: a leader behind the last stamp would let no deadline pass until it has caught up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_cluster::founding::SKEW_MS_MAX;
use holdfast_log::NodeId;

use super::millis;
use crate::clock::apart;

/// A clock that was not heard for this long no longer counts.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Group time of one node.
#[derive(Debug)]
pub(super) struct GroupTime {
    /// Farthest that group time has been ahead of the monotonic clock, milliseconds.
    ahead: Arc<AtomicU64>,
    /// How far the wall clocks of others are ahead of this node's monotonic clock, and when that was heard.
    others: BTreeMap<NodeId, (u64, Duration)>,
    /// No stamp is known, so there is nothing to go on from.
    blank: bool,
    /// Nodes whose clock was named as wrong.
    named: BTreeSet<NodeId>,
}

impl GroupTime {
    /// Goes on from the last stamp in the log. Unit: milliseconds.
    pub(super) fn new(last: u64, monotonic: Duration) -> Self {
        let ahead = last.saturating_sub(millis(monotonic));
        Self {
            ahead: Arc::new(AtomicU64::new(ahead)),
            others: BTreeMap::new(),
            named: BTreeSet::new(),
            blank: last == 0,
        }
    }

    /// Another node's wall clock, as it arrives.
    pub(super) fn heard(&mut self, node: NodeId, wall: u64, monotonic: Duration) {
        self.others.insert(node, (wall.saturating_sub(millis(monotonic)), monotonic));
    }

    /// An entry with this stamp is applied.
    pub(super) fn applied(&mut self, stamp: u64, monotonic: Duration) {
        self.blank &= stamp == 0;
        self.ahead.fetch_max(stamp.saturating_sub(millis(monotonic)), Ordering::Relaxed);
    }

    /// Looks at the clocks of a cluster of so many nodes: at `own`, and those that were heard of.
    pub(super) fn look(&mut self, own: (NodeId, u64), monotonic: Duration, nodes: usize) {
        self.others.retain(|_, (_, heard)| monotonic.saturating_sub(*heard) < FORGOTTEN);
        let ahead = own.1.saturating_sub(millis(monotonic));
        let mut clocks: Vec<(u64, NodeId)> =
            self.others.iter().map(|(node, (ahead, _))| (*ahead, *node)).collect();
        clocks.push((ahead, own.0));
        if clocks.len() <= nodes / 2 && !self.blank {
            return;
        }
        clocks.sort_unstable();
        // Of two the one that is behind: waiting is safer than deleting early.
        let (median, _) = clocks[(clocks.len() - 1) / 2];
        self.ahead.fetch_max(median, Ordering::Relaxed);
        self.name(&clocks, median);
    }

    /// Says once which clocks are wrong. Of two nobody can tell which one it is.
    fn name(&mut self, clocks: &[(u64, NodeId)], median: u64) {
        for (ahead, node) in clocks.iter().filter(|_| clocks.len() > 2) {
            if ahead.abs_diff(median) < SKEW_MS_MAX / 2 {
                self.named.remove(node);
            } else if ahead.abs_diff(median) > SKEW_MS_MAX && self.named.insert(*node) {
                tracing::warn!("{}", skew_text(*node, *ahead, median));
            }
        }
    }

    /// Group time, milliseconds since 1970.
    pub(super) fn now(&self, monotonic: Duration) -> u64 {
        millis(monotonic) + self.ahead.load(Ordering::Relaxed)
    }

    /// How far group time is ahead of the monotonic clock, for other threads. Unit: milliseconds.
    pub(super) fn ahead(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.ahead)
    }
}

fn skew_text(node: NodeId, ahead: u64, median: u64) -> String {
    let apart = apart(ahead.abs_diff(median));
    let side = if ahead > median { "ahead of" } else { "behind" };
    let node = node.get();
    format!("the clock of node {node} is {apart} {side} the others; nothing follows it, but set it by NTP")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOURS: u64 = 5 * 3_600_000;

    #[test]
    fn a_lone_clock_is_followed_ahead_and_never_back() {
        let mut time = GroupTime::new(0, Duration::ZERO);
        time.look((NodeId::new(1), 10_000), SECOND, 1);
        assert_eq!(time.now(SECOND), 10_000);
        time.look((NodeId::new(1), 5_000), 2 * SECOND, 1);
        assert_eq!(time.now(2 * SECOND), 11_000);
    }

    #[test]
    fn one_clock_of_three_moves_nothing() {
        let mut time = GroupTime::new(0, Duration::ZERO);
        time.heard(NodeId::new(2), 10_000, Duration::ZERO);
        time.heard(NodeId::new(3), 10_010, Duration::ZERO);
        time.look((NodeId::new(1), 10_000), Duration::ZERO, 3);
        time.look((NodeId::new(1), 10_000 + HOURS), SECOND, 3);
        assert!(time.now(SECOND) <= 11_010, "{}", time.now(SECOND));
        time.heard(NodeId::new(2), HOURS, SECOND);
        time.look((NodeId::new(1), 11_000), SECOND, 3);
        assert!(time.now(SECOND) <= 11_010, "{}", time.now(SECOND));
    }

    #[test]
    fn time_goes_on_from_the_last_stamp() {
        let mut time = GroupTime::new(50_000, SECOND);
        time.look((NodeId::new(1), 10_000), SECOND, 1);
        assert_eq!(time.now(2 * SECOND), 51_000);
    }

    #[test]
    fn a_node_that_has_just_started_does_not_follow_its_own_clock_alone() {
        let mut time = GroupTime::new(50_000, SECOND);
        time.look((NodeId::new(1), 50_000 + HOURS), SECOND, 3);
        assert_eq!(time.now(2 * SECOND), 51_000);
        time.heard(NodeId::new(2), 60_000, SECOND);
        time.look((NodeId::new(1), 50_000 + HOURS), SECOND, 3);
        assert_eq!(time.now(2 * SECOND), 61_000);
        let mut blank = GroupTime::new(0, Duration::ZERO);
        blank.look((NodeId::new(1), 10_000), SECOND, 3);
        assert_eq!(blank.now(SECOND), 10_000);
    }

    #[test]
    fn time_follows_the_stamps_that_are_applied() {
        let mut time = GroupTime::new(50_000, SECOND);
        time.applied(50_000 + HOURS, SECOND);
        assert_eq!(time.now(2 * SECOND), 51_000 + HOURS);
        time.applied(50_000, 2 * SECOND);
        assert_eq!(time.now(2 * SECOND), 51_000 + HOURS);
    }

    #[test]
    fn a_clock_that_is_hours_off_is_named_with_its_sign() {
        let text = skew_text(NodeId::new(2), HOURS + 62_000, 1_000);
        assert!(text.starts_with("the clock of node 2 is 5h 01m 01s ahead of the others"), "{text}");
        assert!(skew_text(NodeId::new(2), 1_000, 91_000).contains("is 0h 01m 30s behind the others"));
    }
}
