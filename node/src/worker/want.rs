//! What the sessions of a worker listen to, told to the hub for the other nodes: each filter once, however many
//! sessions have it. A cluster of one tells nobody.
//!
//! A filter is wanted from before its SUBSCRIBE asks the hub where the partitions stand, so that the answer also
//! says that the other nodes know of it.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::Worker;
use crate::mail::{Request, Want};
use crate::session::Subscription;

/// The filters that a worker wants.
#[derive(Debug, Default)]
pub(super) struct Wants {
    /// How often each is wanted.
    filters: HashMap<Arc<str>, u32, RandomState>,
    untold: Vec<Want>,
}

impl Wants {
    fn want(&mut self, filter: &str) {
        if let Some(count) = self.filters.get_mut(filter) {
            *count += 1;
            return;
        }
        let filter: Arc<str> = filter.into();
        self.filters.insert(Arc::clone(&filter), 1);
        self.untold.push(Want { filter, wanted: true });
    }

    fn unwant(&mut self, filter: &str) {
        let Some(count) = self.filters.get_mut(filter) else { return };
        *count -= 1;
        if *count == 0
            && let Some((filter, _)) = self.filters.remove_entry(filter)
        {
            self.untold.push(Want { filter, wanted: false });
        }
    }
}

impl Worker {
    /// Messages that match `filter` are wanted, once more.
    pub(super) fn want(&mut self, filter: &str) {
        if !self.place.board.alone() {
            self.wants.want(filter);
        }
    }

    /// Messages that match `filter` are wanted once less.
    pub(super) fn unwant(&mut self, filter: &str) {
        if !self.place.board.alone() {
            self.wants.unwant(filter);
        }
    }

    /// The same for a subscription, unless it is shared: then it is its dispatcher that wants it.
    pub(super) fn want_plain(&mut self, subscription: &Subscription) {
        if !subscription.shared() {
            self.want(subscription.plain());
        }
    }

    /// A subscription that was wanted so is not.
    pub(super) fn unwant_plain(&mut self, subscription: &Subscription) {
        if !subscription.shared() {
            self.unwant(subscription.plain());
        }
    }

    /// Tells the hub what changed.
    pub(super) fn tell_wants(&mut self) {
        if !self.wants.untold.is_empty() {
            self.out.requests.push(Request::Interest(std::mem::take(&mut self.wants.untold)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_told_when_the_first_wants_it_and_when_the_last_does_not() {
        let mut wants = Wants::default();
        for filter in ["a", "a", "b"] {
            wants.want(filter);
        }
        for filter in ["a", "b", "a", "c"] {
            wants.unwant(filter);
        }
        let told: Vec<_> = wants.untold.iter().map(|want| (&*want.filter, want.wanted)).collect();
        assert_eq!(told, [("a", true), ("b", true), ("b", false), ("a", false)]);
        assert!(wants.filters.is_empty());
    }
}
