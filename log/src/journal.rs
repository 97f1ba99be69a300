//! The logs of all groups: memory in front of the store.
//!
//! The engine writes it, readers on other threads read beside it. Each group's tail has a lock of its
//! own that is held for a look at memory and never across a disk read.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use crate::entry::Entry;
use crate::envelope::Header;
use crate::id::{GroupId, Index, Offset, Term};
use crate::journal::open::load;
use crate::key::{self, mark::Mark};
use crate::ledger::Ledger;
use crate::logged::Logged;
use crate::pace::Pace;
use crate::shelf::Shelf;
use crate::store::{Batch, Range, Space, Store, StoreError};
use crate::tail::Tail;

mod open;

pub(crate) use open::marks;

/// Bytes of applied entries that a group without history keeps in memory.
const SHORT_BYTES: u64 = 256 * 1024;

/// Damaged entries that are remembered at a time; the others are found again when they are read again.
const ROT_MAX: usize = 64;

/// Every group's tail, and the store behind them.
pub(crate) struct Journal {
    store: Arc<dyn Store>,
    tails: Shelf<RwLock<Tail>>,
    held: AtomicU64,
    held_max: u64,
    pub(crate) mark_bytes: u64,
    /// Entries that were found to be damaged since somebody last asked.
    rot: Mutex<BTreeSet<(GroupId, Index)>>,
    pub(crate) pace: Pace,
}

/// Why entries could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JournalError {
    /// Below the first index of the log.
    Compacted,
    /// Not what was written, or not there.
    Damaged(Index, String),
    /// Some entries are damaged, and everything around them is there: the first of them, and all.
    Rotten(BTreeSet<Index>, String),
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for JournalError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Journal {
    /// A journal without groups; bytes of memory for all tails together, and between two marks.
    pub(crate) fn new(store: Arc<dyn Store>, held_max: u64, mark_bytes: u64) -> Self {
        Self {
            store,
            tails: Shelf::default(),
            held: AtomicU64::new(0),
            held_max,
            mark_bytes,
            rot: Mutex::default(),
            pace: Pace::default(),
        }
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Bytes of entries in memory.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Makes a place for a group, which cannot be read yet; false where its number is too high.
    pub(crate) fn enlist(&self, group: GroupId) -> bool {
        let found = self.tails.get_or_make(group, || RwLock::new(Tail::closed())).is_some();
        if found {
            self.close(group);
        }
        found
    }

    /// From now on there is no such group.
    pub(crate) fn delist(&self, group: GroupId) {
        self.replace(group, Tail::gone());
    }

    /// Takes up the log of one group from disk: its marks, and what stands after the last one that is
    /// not above `commit`. A group without history keeps little of it in memory: its log is read again
    /// only by a follower that lags.
    pub(crate) fn open(
        &self,
        group: GroupId,
        origin: (Index, Term),
        (commit, history): (Index, bool),
    ) -> Result<(), JournalError> {
        let mut tail = load(&*self.store, group, (origin, commit))?;
        if !history {
            tail.held_max = SHORT_BYTES;
        }
        self.replace(group, tail);
        Ok(())
    }

    /// From now on nothing of this group can be read.
    pub(crate) fn close(&self, group: GroupId) {
        self.replace(group, Tail::closed());
    }

    fn replace(&self, group: GroupId, tail: Tail) {
        let mut place = self.tail_mut(group);
        self.held.fetch_add(tail.held(), Ordering::Relaxed);
        self.held.fetch_sub(place.held(), Ordering::Relaxed);
        *place = tail;
    }

    /// Nothing below this offset can be read before a [`Journal::join`].
    pub(crate) fn hold_from(&self, group: GroupId, offset: Offset) {
        self.tail_mut(group).held_from = Some(offset);
    }

    /// The copy of a group's history is whole: the log begins after `origin`, with `marks` and `bytes`, and
    /// `end` as the last entry of the copy.
    pub(crate) fn join(
        &self,
        (group, origin): (GroupId, (Index, Term)),
        copied: (Vec<Mark>, u64),
        end: Logged,
        batch: &mut Batch,
    ) {
        let mut tail = self.tail_mut(group);
        let before = tail.held();
        for mark in tail.join(origin, copied, end) {
            batch.put(Space::Meta, &key::mark::key(group, mark.index), mark.encode());
        }
        self.held.fetch_add(tail.held() - before, Ordering::Relaxed);
    }

    /// Takes up a mark that was not there, and is on disk by the next write.
    pub(crate) fn insert_mark(&self, group: GroupId, mark: Mark) {
        let mut tail = self.tail_mut(group);
        let at = tail.marks.partition_point(|other| other.index < mark.index);
        if tail.marks.get(at).is_none_or(|other| other.index != mark.index) {
            tail.marks.insert(at, mark);
        }
    }

    /// The peers had nothing below the log either: it is whole as it is.
    pub(crate) fn hold_all(&self, group: GroupId) {
        self.tail_mut(group).held_from = None;
    }

    /// Remembers that an entry is damaged, and gives back what to tell the reader.
    fn damaged(&self, group: GroupId, index: Index, detail: String) -> JournalError {
        let mut rot = self.rot.lock().expect("no holder of this lock panics");
        if rot.len() < ROT_MAX {
            rot.insert((group, index));
        }
        JournalError::Damaged(index, detail)
    }

    /// Entries that were found to be damaged since the last call.
    pub(crate) fn take_rot(&self) -> BTreeSet<(GroupId, Index)> {
        std::mem::take(&mut *self.rot.lock().expect("no holder of this lock panics"))
    }

    /// A look at one group's tail. Panics for a group that was not opened.
    pub(crate) fn tail(&self, group: GroupId) -> RwLockReadGuard<'_, Tail> {
        self.find(group).expect("the engine knows its groups")
    }

    /// A look at one group's tail, if there is such a group.
    pub(crate) fn find(&self, group: GroupId) -> Option<RwLockReadGuard<'_, Tail>> {
        let tail = self.tails.get(group)?.read().expect("no holder of this lock panics");
        (!tail.gone).then_some(tail)
    }

    fn tail_mut(&self, group: GroupId) -> RwLockWriteGuard<'_, Tail> {
        let tail = self.tails.get(group).expect("the engine knows its groups");
        tail.write().expect("no holder of this lock panics")
    }

    /// Appends to a group, in memory and in the batch; replaces what stood there.
    pub(crate) fn append(&self, group: GroupId, items: Vec<Logged>, batch: &mut Batch) {
        let Some(first) = items.first().map(Logged::index) else { return };
        let mut tail = self.tail_mut(group);
        let before = tail.held();
        if first <= tail.last() {
            let end = tail.last().next();
            batch.delete_range(Space::Entry, &key::entry::key(group, first), &key::entry::key(group, end));
            batch.delete_range(Space::Meta, &key::mark::key(group, first), &key::mark::key(group, end));
            tail.truncate(first);
        }
        assert_eq!(first, tail.last().next(), "a log has no gaps");
        for item in items {
            batch.put(Space::Entry, &key::entry::key(group, item.index()), item.to_disk());
            if let Some(mark) = tail.push(item, self.mark_bytes) {
                batch.put(Space::Meta, &key::mark::key(group, mark.index), mark.encode());
            }
        }
        let after = tail.held();
        drop(tail);
        self.held.fetch_add(after, Ordering::Relaxed);
        self.held.fetch_sub(before, Ordering::Relaxed);
    }

    /// Lets readers see everything up to `applied`.
    pub(crate) fn publish(&self, group: GroupId, applied: Index, ledger: &Ledger) {
        let mut tail = self.tail_mut(group);
        tail.applied = applied;
        tail.next = ledger.next;
        tail.start = ledger.start;
        tail.stamp = ledger.stamp;
        let mut freed = 0;
        while tail.held() > tail.held_max {
            let Some(bytes) = tail.evict() else { break };
            freed += bytes;
        }
        self.held.fetch_sub(freed, Ordering::Relaxed);
    }

    /// Makes room: the groups that hold most give first, and all keep their last entry.
    pub(crate) fn evict(&self) {
        while self.held.load(Ordering::Relaxed) > self.held_max {
            let sizes = self
                .tails
                .iter()
                .map(|(group, tail)| (tail.read().expect("no holder of this lock panics").held(), group));
            let Some((_, group)) = sizes.max() else { return };
            let goal = self.held_max - self.held_max / 16;
            let mut tail = self.tail_mut(group);
            let mut freed = 0;
            while self.held.load(Ordering::Relaxed) - freed > goal {
                let Some(bytes) = tail.evict() else { break };
                freed += bytes;
            }
            self.held.fetch_sub(freed, Ordering::Relaxed);
            if freed == 0 {
                return;
            }
        }
    }

    /// Cuts a group's log behind `origin`, in memory and in the batch. Marks stay from there on.
    pub(crate) fn cut(&self, group: GroupId, origin: (Index, Term), batch: &mut Batch) {
        let mut tail = self.tail_mut(group);
        let (from, to) = (tail.origin.0.next(), origin.0.next());
        batch.delete_range(Space::Entry, &key::entry::key(group, from), &key::entry::key(group, to));
        batch.delete_range(Space::Meta, &key::mark::key(group, from), &key::mark::key(group, to));
        let freed = tail.cut(origin);
        self.held.fetch_sub(freed, Ordering::Relaxed);
    }

    /// Whether an entry is on disk only.
    pub(crate) fn is_cold(&self, group: GroupId, index: Index) -> bool {
        index < self.tail(group).first_held()
    }

    /// The items of `low..high`, about `bytes_max` bytes and at least one; disk only where memory ends.
    pub(crate) fn entries(
        &self,
        group: GroupId,
        (low, high): (Index, Index),
        bytes_max: u64,
    ) -> Result<Vec<Logged>, JournalError> {
        let tail = self.tail(group);
        if low <= tail.origin.0 {
            return Err(JournalError::Compacted);
        }
        let mut found = Vec::new();
        let mut left = bytes_max;
        let mut at = low;
        let held = tail.first_held();
        if low < held {
            drop(tail);
            found = self.scan(group, (low, high.min(held)), bytes_max)?;
            left = left.saturating_sub(found.iter().map(Logged::bytes).sum());
            at = found.last().map_or(low, |item| item.index().next());
            if at < held || left == 0 {
                return Ok(found);
            }
        } else {
            drop(tail);
        }
        let tail = self.tail(group);
        while at < high {
            let Some(item) = tail.get(at) else { break };
            if !found.is_empty() && item.bytes() > left {
                break;
            }
            left = left.saturating_sub(item.bytes());
            found.push(item.clone());
            at = at.next();
        }
        Ok(found)
    }

    /// The term at an index.
    pub(crate) fn term(&self, group: GroupId, index: Index) -> Result<Term, JournalError> {
        let tail = self.tail(group);
        if let Some(term) = tail.term(index) {
            return Ok(term);
        }
        if index < tail.origin.0 {
            return Err(JournalError::Compacted);
        }
        drop(tail);
        match self.get(group, index)? {
            Some(item) => Ok(item.term()),
            None => Err(self.damaged(group, index, "it is missing".into())),
        }
    }

    /// Reads from disk, verified, dense from `low` on; stops below `high`.
    pub(crate) fn scan(
        &self,
        group: GroupId,
        (low, high): (Index, Index),
        bytes_max: u64,
    ) -> Result<Vec<Logged>, JournalError> {
        let (from, to) = (key::entry::key(group, low), key::entry::key(group, high));
        let (mut found, mut left, mut fault) = (Vec::new(), bytes_max, None);
        let mut expected = low;
        self.store.scan(Range { space: Space::Entry, from: &from, to: &to }, &mut |key, value| {
            let index = key::entry::index_of(key);
            if index != Some(expected) {
                fault = Some(JournalError::Damaged(expected, "it is missing".into()));
                return false;
            }
            if !found.is_empty() && value.len() as u64 > left {
                return false;
            }
            match Logged::from_disk(group, expected, Bytes::copy_from_slice(value)) {
                Ok(item) => found.push(item),
                Err(error) => fault = Some(JournalError::Damaged(expected, error.to_string())),
            }
            left = left.saturating_sub(value.len() as u64);
            expected = expected.next();
            fault.is_none()
        })?;
        match fault {
            // What came before the damage is good and worth having.
            Some(_) if !found.is_empty() => Ok(found),
            Some(JournalError::Damaged(index, detail)) => Err(self.damaged(group, index, detail)),
            Some(other) => Err(other),
            None if found.is_empty() && low < high => Err(self.damaged(group, low, "it is missing".into())),
            None => Ok(found),
        }
    }

    fn get(&self, group: GroupId, index: Index) -> Result<Option<Logged>, JournalError> {
        let Some(value) = self.store.get(Space::Entry, &key::entry::key(group, index))? else {
            return Ok(None);
        };
        let item = Logged::from_disk(group, index, value);
        item.map(Some).map_err(|error| self.damaged(group, index, error.to_string()))
    }

    /// Reads applied records from disk: a search between two marks, then a scan.
    pub(crate) fn read_cold(
        &self,
        group: GroupId,
        from: Offset,
        bytes_max: u64,
    ) -> Result<Vec<Arc<Entry>>, JournalError> {
        // The group may have been given up since the caller looked.
        let tail = self.find(group).ok_or(JournalError::Compacted)?;
        let end = tail.applied.next();
        let Some((mut low, mut high)) = tail.search(from) else { return Err(JournalError::Compacted) };
        drop(tail);
        let start = low;
        // Invariant: the base at `low` is at or below `from`, the one at `high` is above or unknown.
        while low.next() < high {
            let middle = Index::new(low.get() + (high.get() - low.get()) / 2);
            match self.base_from(group, middle, high)? {
                Some((index, base)) if base <= from => low = index,
                _ => high = middle,
            }
        }
        let found = self.scan_from((group, from), (low, end), bytes_max)?;
        if found.first().is_none_or(|entry| entry.base > from) {
            // A damaged header has led the search astray. The slow way finds it.
            return self.scan_from((group, from), (start, end), bytes_max);
        }
        Ok(found)
    }

    /// Applied records from an offset on, by going through everything from `low` on.
    fn scan_from(
        &self,
        (group, from): (GroupId, Offset),
        (mut low, end): (Index, Index),
        bytes_max: u64,
    ) -> Result<Vec<Arc<Entry>>, JournalError> {
        let mut found: Vec<Arc<Entry>> = Vec::new();
        while found.is_empty() && low < end {
            let items = self.scan(group, (low, end), bytes_max)?;
            low = items.last().map_or(end, |item| item.index().next());
            found.extend(items.into_iter().filter_map(|item| match item {
                Logged::Entry(entry) if entry.count > 0 && entry.end() > from => Some(entry),
                _ => None,
            }));
        }
        Ok(found)
    }

    /// The first entry with an envelope from `index` on and below `high`, with its base. Unverified: it
    /// only steers the search, and what the search finds is verified.
    fn base_from(
        &self,
        group: GroupId,
        index: Index,
        high: Index,
    ) -> Result<Option<(Index, Offset)>, JournalError> {
        let mut at = index;
        while at < high {
            let value = self.store.get(Space::Entry, &key::entry::key(group, at))?;
            let Some(value) = value else { return Err(self.damaged(group, at, "it is missing".into())) };
            if !key::entry::is_bare(&value) {
                let header =
                    Header::peek(&value).map_err(|error| self.damaged(group, at, error.to_string()))?;
                return Ok(Some((at, header.base)));
            }
            at = at.next();
        }
        Ok(None)
    }
}

/// Marks of one group, oldest first.
type Marks = VecDeque<Mark>;
