//! The dispatcher's window: taken up from what is committed, and committed as it moves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Bound, Holder, Place, Share, row};
use crate::mail::{Request, ShareFlush};
use crate::session::Lag;
use crate::state::session::op::{Assignment, ShareWindow};
use crate::state::session::position;
use crate::state::session::record::Position;
use crate::worker::Worker;
use crate::worker::live::Since;

/// Milliseconds between commits of a shared subscription's window that nobody waits for.
const FLUSH_EVERY: u64 = 100;

/// Milliseconds between commits of the window of a share to which nothing is published.
const MOVED_EVERY: u64 = 5_000;

impl Worker {
    /// Goes on from a committed window.
    pub(in crate::worker) fn share_begun(&mut self, window: &ShareWindow) {
        let name = &*window.share;
        if self.shares.named(name).is_some() {
            return;
        }
        let group = self.place.route.session_group(name);
        let tenure = self.shares.tenures[row(group)];
        self.shares.opened += 1;
        let mut share = Share {
            name: name.into(),
            filter_at: name.match_indices('/').nth(1).map_or(0, |(at, _)| at + 1),
            group,
            term: tenure.term,
            number: self.shares.opened,
            open: tenure.open,
            since: Since::now(self.now),
            members: Vec::new(),
            turn: 0,
            lags: Vec::new(),
            ahead: Vec::new(),
            held: BTreeMap::new(),
            early: BTreeSet::new(),
            free: BTreeMap::new(),
            asking: Vec::new(),
            dirty: false,
            committed: window.next.clone(),
            after: Vec::new(),
        };
        let covers = self.place.route.covers(share.filter());
        for partition in self.place.route.all_partitions().filter(|partition| covers.contains(*partition)) {
            let number = partition.get();
            let tail = self.tails.next(number);
            let next = position(&window.next, u32::from(number)).unwrap_or(tail);
            if next < tail {
                share.lags.push(Lag { partition: number, next, reading: false });
            } else if next > tail {
                share.ahead.push((number, next));
            }
        }
        for assignment in &window.assignments {
            let place = (u16::try_from(assignment.partition).unwrap_or(u16::MAX), assignment.offset);
            if place.1 >= share.cursor(place.0, &self.tails) {
                share.early.insert(place);
            }
            if assignment.client_id.is_empty() {
                share.free.insert(place, None);
            } else {
                let client_id: Arc<str> = assignment.client_id.as_str().into();
                let to = Bound { client_id, incarnation: assignment.incarnation };
                share.held.insert(place, Holder { to, bound: true });
            }
        }
        let at = match self.shares.shares.iter().position(Option::is_none) {
            Some(at) => at,
            None => {
                self.shares.shares.push(None);
                self.shares.shares.len() - 1
            }
        };
        self.matching.insert_share(share.filter(), at);
        self.want(share.filter());
        self.shares.names.insert(Arc::clone(&share.name), at);
        self.shares.shares[at] = Some(share);
        self.show_interest();
    }

    /// End of turn: read on for members with room, and commit what somebody waits for.
    pub(in crate::worker) fn settle_shares(&mut self) {
        let by_clock = self.now.monotonic >= self.shares.flushed_at + FLUSH_EVERY;
        if by_clock {
            self.shares.flushed_at = self.now.monotonic;
            self.pull_free();
        }
        for at in std::mem::take(&mut self.shares.pulls) {
            if self.shares.shares.get(at).is_some_and(Option::is_some) {
                self.share_pull(at);
            }
        }
        // A share to which nothing is published moves on with its partitions, or it would hold up retention.
        let moved = self.now.monotonic >= self.shares.moved_at + MOVED_EVERY;
        if moved {
            self.shares.moved_at = self.now.monotonic;
        }
        for at in 0..self.shares.shares.len() {
            let Some(share) = &self.shares.shares[at] else { continue };
            if !share.after.is_empty() || (by_clock && share.dirty) || (moved && share.behind(&self.tails)) {
                self.share_flush(at);
            }
        }
    }

    /// What is free may not have been here when it was looked for.
    fn pull_free(&mut self) {
        for at in 0..self.shares.shares.len() {
            if self.shares.shares[at].as_ref().is_some_and(|share| !share.free.is_empty()) {
                self.shares.pull_later(at);
            }
        }
    }

    fn share_flush(&mut self, at: usize) {
        let (route, tails) = (self.place.route, &self.tails);
        let share = self.shares.at(at);
        let covers = route.covers(share.filter());
        let next = route.all_partitions().filter(|partition| covers.contains(*partition)).map(|partition| {
            let number = partition.get();
            Position { partition: u32::from(number), next: share.cursor(number, tails) }
        });
        let next: Vec<Position> = next.collect();
        let held = share.held.iter().map(|(place, holder)| (place, holder.bound.then_some(&holder.to)));
        let free = share.free.iter().map(|(place, to)| (place, to.as_ref()));
        let assignments = held.chain(free).map(|(place, to)| assignment(*place, to)).collect();
        let window = ShareWindow { share: share.name.to_string(), next, assignments, term: share.term };
        share.dirty = false;
        share.committed.clone_from(&window.next);
        let after = std::mem::take(&mut share.after);
        let group = share.group;
        let mut tag = 0;
        if !after.is_empty() {
            self.shares.flush += 1;
            tag = self.shares.flush;
            self.shares.waiting.insert(tag, (group, after));
        }
        let flush = ShareFlush { worker: self.place.worker, boot: self.place.boot, tag, window };
        self.out.requests.push(Request::ShareFlush(Box::new(flush)));
    }

    /// What waited for the commit is said.
    pub(in crate::worker) fn share_flushed(&mut self, tag: u64) {
        let Some((_, after)) = self.shares.waiting.remove(&tag) else { return };
        for (to, told) in after {
            self.tell(&to, told);
        }
    }
}

fn assignment(place: Place, to: Option<&Bound>) -> Assignment {
    Assignment {
        partition: u32::from(place.0),
        offset: place.1,
        client_id: to.map_or_else(String::new, |to| to.client_id.to_string()),
        incarnation: to.map_or(0, |to| to.incarnation),
    }
}
