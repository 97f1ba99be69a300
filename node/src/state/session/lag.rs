//! How far committed cursors are behind the ends of the partitions.

use super::apply::Sessions;
use super::load::position;
use super::record::{Position, Record};
use super::share::Share;
use crate::route::{Cover, Route};

/// Messages behind the cursors of a session group, whether they match or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Of durable sessions.
    pub sessions: u64,
    /// Of shared subscriptions.
    pub shares: u64,
}

impl Backlog {
    /// The sum of both.
    pub fn and(self, other: Self) -> Self {
        Self { sessions: self.sessions + other.sessions, shares: self.shares + other.shares }
    }
}

impl Record {
    /// For each partition that the session reads, in order, the messages behind its cursor; `ends` are the next
    /// offsets. Nothing for a session that follows the tail, or that ends with its connection.
    pub fn lag(&self, route: Route, ends: &[u64]) -> Vec<(u32, u64)> {
        if !self.core.durable() || self.window.live {
            return Vec::new();
        }
        let mut firsts: Vec<Option<u64>> = vec![None; ends.len()];
        // What a shared subscription needs is in its own window.
        for subscription in self.subscriptions.iter().filter(|one| !one.filter.starts_with("$share/")) {
            let starts = |first: &mut Option<u64>, partition: usize| {
                let partition = u32::try_from(partition).expect("few partitions");
                let start = position(&subscription.starts, partition).unwrap_or(0);
                *first = Some(first.map_or(start, |first| first.min(start)));
            };
            match route.covers(&subscription.filter) {
                Cover::One(one) => starts(&mut firsts[one.index()], one.index()),
                Cover::All => firsts.iter_mut().enumerate().for_each(|(at, first)| starts(first, at)),
            }
        }
        let read = (0..).zip(firsts).zip(ends).filter_map(|((number, first), end)| {
            let first = first?;
            let next = position(&self.window.next, number).unwrap_or(first).max(first);
            Some((number, end.saturating_sub(next)))
        });
        read.collect()
    }
}

impl Share {
    /// Messages behind its cursor.
    fn lag(&self, ends: &[u64]) -> u64 {
        let behind = |at: &Position| Some(ends.get(at.partition as usize)?.saturating_sub(at.next));
        self.window.next.iter().filter_map(behind).sum()
    }
}

impl Sessions {
    /// What the group's sessions and shared subscriptions have still to look at. Walks all of them.
    pub fn backlog(&self, route: Route, ends: &[u64]) -> Backlog {
        let of = |record: &Record| record.lag(route, ends).iter().map(|(_, messages)| messages).sum::<u64>();
        Backlog {
            sessions: self.sessions.values().map(of).sum(),
            shares: self.shares.values().map(|share| share.lag(ends)).sum(),
        }
    }
}
