//! Copies the history of a group that got a snapshot, and replaces damaged entries: both by asking a
//! peer for entries that are applied here and there, so that there is one right answer.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::Engine;
use super::ask::Asking;
use super::asleep::Stage;
use super::lane::{Lane, TRANSFERS_MAX};
use crate::bulk::Body;
use crate::error::LogError;
use crate::id::{GroupId, Index, Term};
use crate::journal::{self, Journal};
use crate::key;
use crate::key::history::{History, Part};
use crate::key::mark::Mark;
use crate::load;
use crate::logged::Logged;
use crate::store::{Batch, Space};

/// Damaged entries of groups that are awake, each with whom to ask for it.
pub(super) type Repairs = BTreeMap<(GroupId, Index), Asking>;

/// A history that is being copied.
pub(super) struct Copy {
    history: History,
    /// The marks of what was copied.
    marks: Vec<Mark>,
    asking: Asking,
}

impl Copy {
    /// Goes on where the disk says.
    pub(super) fn new(journal: &Journal, group: GroupId, history: History) -> Result<Self, LogError> {
        let range = (Index::new(0), history.end.0.next());
        let marks = journal::marks(&**journal.store(), group, range);
        let marks = marks.map_err(|error| LogError::of(group, error))?.into();
        Ok(Self { history, marks, asking: Asking::default() })
    }

    /// Checks entries that continue what is there, and adds them to the batch. `None` where they do not.
    fn take(
        &self,
        group: GroupId,
        values: &[Bytes],
        mark_bytes: u64,
        batch: &mut Batch,
    ) -> Option<(Part, Vec<Mark>)> {
        let mut part = self.history.part?;
        let mut marks = Vec::new();
        for value in values {
            let index = part.next.0;
            let item = Logged::from_disk(group, index, value.clone()).ok()?;
            let (end, term) = self.history.end;
            if index > end || item.term() < part.next.1 || (index == end && item.term() != term) {
                return None;
            }
            if let Logged::Entry(entry) = &item {
                if part.offset.is_some_and(|offset| offset != entry.base) {
                    return None;
                }
                let last = marks.last().or(self.marks.last());
                if last.is_none_or(|mark: &Mark| part.bytes - mark.before >= mark_bytes) {
                    let mark = Mark { index, base: entry.base, stamp: entry.stamp, before: part.bytes };
                    batch.put(Space::Meta, &key::mark::key(group, index), mark.encode());
                    marks.push(mark);
                }
                part.offset = Some(entry.end());
            }
            batch.put(Space::Entry, &key::entry::key(group, index), value.clone());
            part.bytes += item.bytes();
            part.next = (index.next(), item.term());
        }
        Some((part, marks))
    }

    /// Whether the copy has come to its end, with the offsets that the snapshot began with.
    fn is_whole(&self) -> bool {
        self.history.part.is_some_and(|part| {
            part.next.0 > self.history.end.0 && part.offset.is_none_or(|offset| offset == self.history.from)
        })
    }
}

impl Engine {
    pub(super) fn tick_histories(&mut self) {
        self.find_rot();
        let mut asks = Vec::new();
        let last = self.lane.last_copy;
        let mut order: Vec<_> = self.lane.copies.keys().map(|group| (*group <= last, *group)).collect();
        order.sort_unstable();
        for (_, group) in order.into_iter().take(TRANSFERS_MAX) {
            let contacts = self.contacts(group);
            let Lane { copies, silent, last_copy, .. } = &mut self.lane;
            let copy = copies.get_mut(&group).expect("it was just seen");
            if copy.asking.passes_by(&contacts, silent) {
                *last_copy = group;
            }
            if copy.asking.tick() {
                asks.push((group, None));
            }
        }
        for ((group, index), asking) in &mut self.lane.repairs {
            asking.gives_up();
            if asking.tick() {
                asks.push((*group, Some((*index, *asking))));
            }
        }
        for (group, asleep) in &mut self.asleep {
            if let Stage::Damaged(indices) = &asleep.stage {
                asleep.asking.gives_up();
                if asleep.asking.tick() {
                    let index = *indices.first().expect("it waits for entries");
                    asks.push((*group, Some((index, asleep.asking))));
                }
            }
        }
        for (group, ask) in asks {
            match ask {
                None => self.ask_history(group),
                Some((index, asking)) => {
                    let body = Body::HistoryWanted { from: index, to: index.next(), bytes: 0 };
                    if let Some(to) = asking.peer(&self.contacts(group)) {
                        self.send_bulk(group, to, body);
                    }
                }
            }
        }
    }

    /// Readers and followers have met damage: it is worth asking for what a peer can have.
    fn find_rot(&mut self) {
        for (group, index) in self.journal.take_rot() {
            let Some(replica) = self.replicas.get(&group) else { continue };
            let peers = !replica.contacts().is_empty();
            if peers && index <= replica.progress.applied && self.lane.repairs.len() < REPAIRS_MAX {
                self.lane.repairs.entry((group, index)).or_default();
            }
        }
        let journal = &self.journal;
        let is_held = |(group, index): &(GroupId, Index)| *index > journal.tail(*group).origin.0;
        self.lane.repairs.retain(|place, _| is_held(place));
    }

    fn ask_history(&mut self, group: GroupId) {
        let contacts = self.contacts(group);
        let Lane { copies, silent, .. } = &mut self.lane;
        let copy = copies.get_mut(&group).expect("it is copied");
        copy.asking.pass_over(&contacts, silent);
        let from = copy.history.part.map_or(Index::default(), |part| part.next.0);
        let (to, bytes) = (copy.history.end.0.next(), self.config.chunk_bytes);
        if let Some(peer) = copy.asking.peer(&contacts) {
            self.send_bulk(group, peer, Body::HistoryWanted { from, to, bytes });
        }
    }

    /// Entries have come.
    pub(super) fn on_history(&mut self, group: GroupId, body: Body) -> Result<(), LogError> {
        let Body::History { asked, first, before, values } = body else { return Ok(()) };
        if values.is_empty() {
            self.repair_by_snapshot(group, first);
            self.cut_with_peer(group, (first.before(), before))?;
        }
        if let [value] = &values[..]
            && (self.repair_asleep(group, (first, before), value)? || self.repair(group, first, value)?)
        {
            return Ok(());
        }
        if !self.replicas.contains_key(&group) {
            return Ok(());
        }
        let Some(copy) = self.lane.copies.get_mut(&group) else { return Ok(()) };
        let mut batch = Batch::default();
        let next = copy.history.part.map_or(Index::default(), |part| part.next.0);
        if asked != next {
            // An answer to a question of before, perhaps of before a crash.
            return Ok(());
        }
        if first != next {
            // The peer has cut its log since: so may this one.
            restart(copy, group, (first, before), &mut batch);
        }
        let Some((part, marks)) = copy.take(group, &values, self.journal.mark_bytes, &mut batch) else {
            copy.asking.another();
            return Ok(());
        };
        copy.history.part = Some(part);
        copy.marks.extend(marks);
        copy.asking.heard();
        if part.next.0 <= copy.history.end.0 {
            batch.put(Space::Meta, &key::history::key(group), copy.history.encode());
            self.journal.store().write_log(&batch, false)?;
            if !values.is_empty() {
                self.ask_history(group);
            }
            return Ok(());
        }
        if !copy.is_whole() {
            (copy.history.part, copy.marks) = (None, Vec::new());
            copy.asking.another();
            return Ok(());
        }
        self.join(group, values.last(), batch)
    }

    /// The copy is whole: from here on the log begins with it.
    fn join(&mut self, group: GroupId, end: Option<&Bytes>, mut batch: Batch) -> Result<(), LogError> {
        let copy = self.lane.copies.remove(&group).expect("it has just become whole");
        let part = copy.history.part.expect("it is whole");
        batch.delete(Space::Meta, &key::history::key(group));
        match end {
            // Where a peer had nothing left, the log stays as it is.
            None => self.journal.hold_all(group),
            Some(value) => {
                let end =
                    Logged::from_disk(group, copy.history.end.0, value.clone()).expect("it was just checked");
                let origin = (part.first.0.before(), part.first.1);
                let record = self.replicas[&group].origin(origin);
                batch.put(Space::Meta, &key::origin::key(group), record.encode());
                self.journal.join((group, origin), (copy.marks, part.bytes), end, &mut batch);
            }
        }
        Ok(self.journal.store().write_log(&batch, true)?)
    }

    /// A peer has cut its log behind `origin`, and with it what is damaged here: nobody needs it any more, so
    /// the same is cut here.
    fn cut_with_peer(&mut self, group: GroupId, origin: (Index, Term)) -> Result<(), LogError> {
        let Some(replica) = self.replicas.get(&group) else { return Ok(()) };
        let mut damaged = self.lane.repairs.range((group, Index::new(0))..=(group, origin.0));
        let (held, whole) = {
            let tail = self.journal.tail(group);
            (tail.origin.0, tail.held_from.is_none())
        };
        let progress = &replica.progress;
        let covered = held < origin.0 && origin.0 <= progress.flushed && origin.0 < progress.applied;
        if damaged.next().is_none() || !whole || !covered {
            return Ok(());
        }
        let mut batch = Batch::default();
        let store = self.journal.store();
        let mark = load::put_first_mark(&**store, group, origin.0, &mut batch)?;
        let Some(mark) = mark else { return Ok(()) };
        self.journal.insert_mark(group, mark);
        self.journal.cut(group, origin, &mut batch);
        batch.put(Space::Meta, &key::origin::key(group), replica.origin(origin).encode());
        Ok(store.write_log(&batch, true)?)
    }

    /// Replaces a damaged entry with what a peer has in its place, if it fits between its neighbours.
    fn repair(&mut self, group: GroupId, index: Index, value: &Bytes) -> Result<bool, LogError> {
        if !self.lane.repairs.contains_key(&(group, index)) {
            return Ok(false);
        }
        let (Ok(item), Some(_)) = (Logged::from_disk(group, index, value.clone()), self.replicas.get(&group))
        else {
            return Ok(true);
        };
        let low = self.journal.term(group, index.before()).is_ok_and(|term| term > item.term());
        let high = self.journal.term(group, index.next()).is_ok_and(|term| term < item.term());
        if low || high {
            self.lane.repairs.entry((group, index)).or_default().another();
            return Ok(true);
        }
        let mut batch = Batch::default();
        batch.put(Space::Entry, &key::entry::key(group, index), value.clone());
        self.journal.store().write_log(&batch, true)?;
        self.lane.repairs.remove(&(group, index));
        Ok(true)
    }
}

/// Begins the copy (again) with this entry, and the term of the one before it.
fn restart(copy: &mut Copy, group: GroupId, (first, before): (Index, Term), batch: &mut Batch) {
    let (low, high) = (Index::new(0), copy.history.end.0.next());
    batch.delete_range(Space::Entry, &key::entry::key(group, low), &key::entry::key(group, high));
    batch.delete_range(Space::Meta, &key::mark::key(group, low), &key::mark::key(group, high));
    copy.marks.clear();
    copy.history.part = Some(Part { first: (first, before), next: (first, before), offset: None, bytes: 0 });
}

/// Damaged entries that are asked for at a time; the others are found again.
const REPAIRS_MAX: usize = 64;
