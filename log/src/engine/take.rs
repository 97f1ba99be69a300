//! Takes a snapshot from a peer: asks for its chunks until all of them lie in the store.

use std::collections::BTreeMap;

use super::Engine;
use super::ask::Asking;
use super::asleep::Stage;
use super::lane::{Lane, TRANSFERS_MAX, WINDOW};
use crate::bulk::Body;
use crate::error::LogError;
use crate::group::Contacts;
use crate::id::{GroupId, Index, ReplicaId, Term};
use crate::key::chunk::{self, Way};
use crate::store::{Batch, Space, StoreError};

/// A snapshot that is wanted.
#[derive(Default)]
pub(super) struct Fetch {
    at_least: Index,
    asking: Asking,
    pub(super) head: Option<Head>,
    /// The chunks that are there, each with checksum and length.
    have: BTreeMap<u32, (u32, u64)>,
    /// Chunks below this one were asked for.
    asked_to: u32,
    /// The peer has changed since the last chunk: another snapshot will do.
    loose: bool,
    /// All chunks are there and fit.
    pub(super) whole: bool,
}

/// Which snapshot it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) index: Index,
    pub(super) term: Term,
    pub(super) of: u32,
    sum: u32,
}

impl Fetch {
    /// Who gave it.
    pub(super) fn source(&self, contacts: &Contacts) -> Option<ReplicaId> {
        self.asking.peer(contacts)
    }

    fn missing(&self) -> u32 {
        (0..).find(|number| !self.have.contains_key(number)).expect("there are fewer chunks than numbers")
    }

    /// Whether the chunks together are what was sent.
    fn adds_up(&self, head: &Head) -> bool {
        let mut sum = crc32fast::Hasher::new();
        for (part, length) in self.have.values() {
            sum.combine(&crc32fast::Hasher::new_with_initial_len(*part, *length));
        }
        sum.finalize() == head.sum
    }

    /// Begins again, with any snapshot.
    fn forget(&mut self) {
        (self.head, self.asked_to) = (None, 0);
        self.have.clear();
    }
}

impl Engine {
    /// This group needs a snapshot that is not below an index; `peer` has one, if it is known who.
    pub(super) fn want_snapshot(&mut self, group: GroupId, peer: Option<ReplicaId>, at_least: Index) {
        let blank = |stage: &Stage| matches!(stage, Stage::Blank(_));
        if self.asleep.get(&group).is_some_and(|asleep| !blank(&asleep.stage)) {
            return;
        }
        let asking = peer.map(|peer| Asking::first(&self.contacts(group), peer)).unwrap_or_default();
        let fetch = self.lane.fetches.entry(group).or_insert(Fetch { asking, ..Fetch::default() });
        if fetch.at_least < at_least {
            fetch.at_least = at_least;
            if fetch.head.is_some_and(|head| head.index < at_least) && !fetch.whole {
                fetch.forget();
            }
        }
    }

    pub(super) fn tick_fetches(&mut self) {
        let replicas = &self.replicas;
        // Appends may have brought what the snapshot was wanted for.
        let cancelled = &mut self.lane.cancelled;
        self.lane.fetches.retain(|group, fetch| {
            let wanted = replicas.get(group).is_none_or(|replica| replica.progress.applied < fetch.at_least);
            cancelled.extend((!wanted).then_some(*group));
            wanted
        });
        // Those that get on first, then the others in turn: one that nobody answers must not stop the rest.
        let last = self.lane.last_fetch;
        let place = |(group, fetch): (&GroupId, &Fetch)| {
            (fetch.head.is_none() || fetch.loose, *group <= last, *group)
        };
        let waiting = self.lane.fetches.iter().filter(|(_, fetch)| !fetch.whole);
        let mut order: Vec<_> = waiting.map(place).collect();
        order.sort_unstable();
        for (idle, _, group) in order.into_iter().take(TRANSFERS_MAX) {
            let contacts = self.contacts(group);
            let Lane { fetches, silent, last_fetch, .. } = &mut self.lane;
            let fetch = fetches.get_mut(&group).expect("it was just seen");
            if fetch.asking.passes_by(&contacts, silent) {
                fetch.loose = true;
                // While another peer may still answer, what that one prepares must not be in vain.
                if idle && fetch.asking.went_round(&contacts) {
                    *last_fetch = group;
                }
            }
            if fetch.asking.tick() {
                self.ask_chunks(group);
            }
        }
    }

    /// Asks for the first chunks that are missing.
    fn ask_chunks(&mut self, group: GroupId) {
        let contacts = self.contacts(group);
        let Lane { fetches, silent, .. } = &mut self.lane;
        let fetch = fetches.get_mut(&group).expect("it is wanted");
        fetch.loose |= fetch.asking.pass_over(&contacts, silent);
        let Some(to) = fetch.asking.peer(&contacts) else { return };
        let (number, count) = (fetch.missing(), WINDOW);
        fetch.asked_to = number + count;
        let index = fetch.head.map_or(Index::default(), |head| head.index);
        let at_least = fetch.at_least;
        self.send_bulk(group, to, Body::Wanted { at_least, index, number, count });
    }

    /// A chunk has come.
    pub(super) fn on_chunk(&mut self, group: GroupId, body: Body) -> Result<(), LogError> {
        let Body::Chunk { index, term, number, of, sum, bytes } = body else { return Ok(()) };
        let Some(fetch) = self.lane.fetches.get_mut(&group) else { return Ok(()) };
        let head = Head { index, term, of, sum };
        let other = fetch.head.is_some_and(|had| had != head);
        // An old snapshot may still be on the wire after a newer one has begun.
        let stale = other && !fetch.loose && fetch.head.is_some_and(|had| had.index >= index);
        if fetch.whole || stale || index < fetch.at_least || number >= of {
            return Ok(());
        }
        if other {
            fetch.forget();
        }
        (fetch.head, fetch.loose) = (Some(head), false);
        if fetch.have.contains_key(&number) {
            return Ok(());
        }
        fetch.have.insert(number, (crc32fast::hash(&bytes), bytes.len() as u64));
        fetch.asking.heard();
        let mut batch = Batch::default();
        batch.put(Space::State, &chunk::key(Way::In, group, number), bytes);
        self.state_bytes += batch.bytes();
        self.journal.store().write_state(&batch)?;
        if fetch.have.len() == of as usize {
            fetch.whole = fetch.adds_up(&head);
            if !fetch.whole {
                self.distrust(group)?;
            }
        } else if fetch.missing() >= fetch.asked_to {
            self.ask_chunks(group);
        }
        Ok(())
    }

    /// What has come is of before this replica was a member: a later one is asked for.
    pub(super) fn want_later(&mut self, group: GroupId, index: Index) -> Result<(), StoreError> {
        if let Some(fetch) = self.lane.fetches.get_mut(&group) {
            fetch.at_least = fetch.at_least.max(index.next());
        }
        self.distrust(group)
    }

    /// What has come is not what this group can use: another peer is asked.
    pub(super) fn distrust(&mut self, group: GroupId) -> Result<(), StoreError> {
        if let Some(fetch) = self.lane.fetches.get_mut(&group) {
            fetch.forget();
            fetch.whole = false;
            fetch.asking.another();
        }
        self.drop_chunks(group)
    }

    /// Deletes the chunks that have come.
    pub(super) fn drop_chunks(&mut self, group: GroupId) -> Result<(), StoreError> {
        let (from, to) = chunk::range(Way::In, group);
        let mut batch = Batch::default();
        batch.delete_range(Space::State, &from, &to);
        self.journal.store().write_state(&batch)
    }
}
