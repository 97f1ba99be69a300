//! When this worker dispatches: from the node's call to the end of its lead.

use holdfast_log::GroupId;

use super::{Tenure, row};
use crate::worker::Worker;

impl Worker {
    /// A tenure over the shared subscriptions of a session group begins, or has ended (0).
    pub(in crate::worker) fn share_tenure(&mut self, group: GroupId, term: u64) {
        for at in self.shares.of_group(group) {
            self.share_drop(at);
        }
        // What was to be told when a window is committed: the next dispatcher begins from what is committed.
        self.shares.waiting.retain(|_, (of, _)| *of != group);
        self.shares.tenures[row(group)] = Tenure { term, open: false };
    }

    /// Everybody has said what they hold: what nobody holds may be given.
    pub(in crate::worker) fn share_opened(&mut self, group: GroupId, term: u64) {
        let tenure = &mut self.shares.tenures[row(group)];
        if tenure.term != term {
            return;
        }
        tenure.open = true;
        for at in self.shares.of_group(group) {
            self.shares.at(at).open = true;
            self.shares.pull_later(at);
        }
    }

    /// Nobody subscribes to it any more, not even an absent session.
    pub(in crate::worker) fn share_closed(&mut self, name: &str) {
        if let Some(at) = self.shares.named(name) {
            self.share_drop(at);
        }
    }

    fn share_drop(&mut self, at: usize) {
        let Some(share) = self.shares.shares[at].take() else { return };
        self.matching.remove_share(share.filter(), at);
        self.unwant(share.filter());
        self.shares.names.remove(&share.name);
        self.shares.pulls.retain(|pull| *pull != at);
        self.show_interest();
    }
}
