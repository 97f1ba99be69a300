//! The recent end of one group's log in memory, with the marks of all of it. No IO.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::entry::Entry;
use crate::id::{Index, Offset, Stamp, Term};
use crate::key::mark::Mark;
use crate::logged::Logged;

/// One group's log as far as memory knows it.
///
/// Invariant: the indices of `items` are dense and end at the end of the log. Invariant: everything
/// from `applied` on is in `items`. Invariant: marks rise in index, base, stamp and bytes, and the first
/// one stands at the first entry with an envelope that is still in the log.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Each item with the offset after it.
    items: VecDeque<(Offset, Logged)>,
    /// Bytes of `items`.
    held: u64,
    /// Bytes of applied items that are worth their memory: nobody reads the past of a group without history.
    pub(crate) held_max: u64,
    /// Bytes of all entries from the group's first day on; roughly, once a log was cut between two marks.
    total: u64,
    pub(crate) marks: VecDeque<Mark>,
    /// The last entry that is not in the log any more, and its term.
    pub(crate) origin: (Index, Term),
    /// Handed out; readers see nothing above it.
    pub(crate) applied: Index,
    /// The ledger's log start and next offset at `applied`.
    pub(crate) start: Offset,
    pub(crate) next: Offset,
    pub(crate) stamp: Stamp,
    /// Records below this offset are somewhere, and not here: the copy of the history is not whole.
    pub(crate) held_from: Option<Offset>,
    /// There is no such group any more.
    pub(crate) gone: bool,
}

impl Tail {
    /// A log that ends at its origin.
    pub(crate) fn new(origin: (Index, Term)) -> Self {
        Self {
            items: VecDeque::new(),
            held: 0,
            held_max: u64::MAX,
            total: 0,
            marks: VecDeque::new(),
            origin,
            applied: origin.0,
            start: Offset::default(),
            next: Offset::default(),
            stamp: Stamp::default(),
            held_from: None,
            gone: false,
        }
    }

    /// Stands for a group that cannot be read now.
    pub(crate) fn closed() -> Self {
        Self { held_from: Some(Offset::new(u64::MAX)), ..Self::new((Index::new(0), Term::new(0))) }
    }

    /// Stands where a group was.
    pub(crate) fn gone() -> Self {
        Self { gone: true, ..Self::closed() }
    }

    /// Takes up the marks of a log on disk, whose items are about to be pushed from `from` on.
    pub(crate) fn resume(&mut self, marks: VecDeque<Mark>, from: Index) {
        assert!(self.items.is_empty(), "resumed once, at the start");
        self.total = marks
            .iter()
            .take_while(|mark| mark.index <= from)
            .last()
            .or(marks.front())
            .map_or(0, |mark| mark.before);
        self.marks = marks;
    }

    /// Appends one item; returns the mark that has to be written with it, if it is time for one.
    pub(crate) fn push(&mut self, item: Logged, mark_bytes: u64) -> Option<Mark> {
        assert!(self.items.is_empty() || item.index() == self.last().next(), "items are dense");
        let end = match &item {
            Logged::Entry(entry) => entry.end(),
            Logged::Bare(_) => self.items.back().map_or(Offset::default(), |(end, _)| *end),
        };
        let due = match self.marks.back() {
            Some(mark) => item.index() > mark.index && self.total.saturating_sub(mark.before) >= mark_bytes,
            None => true,
        };
        let mark = match &item {
            Logged::Entry(entry) if due => {
                Some(Mark { index: entry.index, base: entry.base, stamp: entry.stamp, before: self.total })
            }
            _ => None,
        };
        self.marks.extend(mark);
        self.held += item.bytes();
        self.total += item.bytes();
        self.items.push_back((end, item));
        mark
    }

    /// Takes away everything from `from` on: another leader has other entries there.
    pub(crate) fn truncate(&mut self, from: Index) {
        assert!(from > self.applied, "what is applied is never replaced");
        while self.items.back().is_some_and(|(_, item)| item.index() >= from) {
            let (_, item) = self.items.pop_back().expect("it was just seen");
            self.held -= item.bytes();
            self.total -= item.bytes();
        }
        while self.marks.back().is_some_and(|mark| mark.index >= from) {
            self.marks.pop_back();
        }
    }

    /// Forgets the oldest item, if a later one is applied; returns its bytes. The item at `applied` stays:
    /// whatever is truncated above it, the end of the log is still known.
    pub(crate) fn evict(&mut self) -> Option<u64> {
        let (_, first) = self.items.front()?;
        if first.index() >= self.applied {
            return None;
        }
        let bytes = first.bytes();
        self.items.pop_front();
        self.held -= bytes;
        Some(bytes)
    }

    /// Cuts the log behind `origin`.
    pub(crate) fn cut(&mut self, origin: (Index, Term)) -> u64 {
        assert!(origin.0 < self.applied, "only what is applied is cut, and never all of it");
        self.origin = origin;
        while self.marks.front().is_some_and(|mark| mark.index <= origin.0) {
            self.marks.pop_front();
        }
        let held = self.held;
        while self.first_held() <= origin.0 && self.evict().is_some() {}
        held - self.held
    }

    /// The last index of the log.
    pub(crate) fn last(&self) -> Index {
        self.items.back().map_or(self.origin.0, |(_, item)| item.index())
    }

    /// The first index that is in memory, or the one after the end.
    pub(crate) fn first_held(&self) -> Index {
        self.items.front().map_or(self.origin.0.next(), |(_, item)| item.index())
    }

    /// The item at an index, if it is in memory.
    pub(crate) fn get(&self, index: Index) -> Option<&Logged> {
        let at = index.get().checked_sub(self.first_held().get())?;
        Some(&self.items.get(usize::try_from(at).ok()?)?.1)
    }

    /// The term at an index: `None` where only the disk knows it.
    pub(crate) fn term(&self, index: Index) -> Option<Term> {
        if index == self.origin.0 { Some(self.origin.1) } else { self.get(index).map(Logged::term) }
    }

    /// The first offset that can be read.
    pub(crate) fn first_offset(&self) -> Offset {
        // Without a mark there is no record: the log begins after a snapshot.
        let start = self.marks.front().map_or(self.next, |mark| self.start.max(mark.base));
        start.max(self.held_from.unwrap_or_default()).min(self.next)
    }

    /// The copy of the history is whole: the log begins after `origin`, with `marks` and `bytes` before
    /// what was here; `end` is its last entry. Returns the marks whose place in the log has changed.
    pub(crate) fn join(
        &mut self,
        origin: (Index, Term),
        (marks, bytes): (Vec<Mark>, u64),
        end: Logged,
    ) -> Vec<Mark> {
        assert!(origin.0 < self.origin.0, "a history has at least one entry");
        assert_eq!(end.index(), self.origin.0, "a history ends where the log began");
        if self.items.front().is_none_or(|(_, item)| item.index() > self.applied) {
            // The last applied entry is always in memory, whatever is truncated above it.
            self.held += end.bytes();
            self.items.push_front((self.next, end));
        }
        // What has no offset of its own and came first did not know where the records before it end.
        let base = self.held_from.unwrap_or_default();
        self.items.iter_mut().for_each(|(end, _)| *end = base.max(*end));
        let mut moved = std::mem::take(&mut self.marks);
        moved.iter_mut().for_each(|mark| mark.before += bytes);
        self.total += bytes;
        self.marks = marks.into();
        self.marks.extend(&moved);
        self.origin = origin;
        self.held_from = None;
        moved.into()
    }

    /// Applied entries with records that end above `from`, about `bytes_max` bytes; `None` if the first
    /// of them may be on disk only.
    pub(crate) fn read(&self, from: Offset, bytes_max: u64) -> Option<Vec<Arc<Entry>>> {
        let at = self.items.partition_point(|(end, _)| *end <= from);
        let whole = self.first_held() == self.origin.0.next();
        let covered =
            at > 0 || whole || matches!(self.items.front(), Some((_, Logged::Entry(e))) if e.base <= from);
        if !covered {
            return None;
        }
        let mut left = bytes_max;
        let mut found = Vec::new();
        for (_, item) in self.items.range(at..) {
            if item.index() > self.applied {
                break;
            }
            let Logged::Entry(entry) = item else { continue };
            if entry.count == 0 {
                continue;
            }
            if !found.is_empty() && entry.bytes() > left {
                break;
            }
            left = left.saturating_sub(entry.bytes());
            found.push(Arc::clone(entry));
        }
        Some(found)
    }

    /// The indices between which the entry with this offset stands, by the marks: from the first, below
    /// the second. `None` where no mark is at or below the offset.
    pub(crate) fn search(&self, offset: Offset) -> Option<(Index, Index)> {
        let at = self.marks.partition_point(|mark| mark.base <= offset);
        let low = self.marks.get(at.checked_sub(1)?)?;
        let high = self.marks.get(at).map_or(self.applied.next(), |mark| mark.index);
        Some((low.index, high.min(self.applied.next())))
    }

    /// The last entry that may be cut so that `bytes` of the end of the log stay, and `limit` does too.
    pub(crate) fn cut_to_size(&self, bytes: u64, limit: Index) -> Option<Index> {
        let fits = |mark: &Mark| self.total.saturating_sub(mark.before) > bytes && mark.index <= limit;
        let at = self.marks.partition_point(fits).checked_sub(1)?;
        Some(self.marks[at].index.before()).filter(|cut| *cut > self.origin.0)
    }

    /// Bytes of the log.
    pub(crate) fn log_bytes(&self) -> u64 {
        self.total.saturating_sub(self.marks.front().map_or(0, |mark| mark.before))
    }

    /// Bytes in memory.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// Where a retention would cut; see `Engine::log_start_for`.
    pub(crate) fn retention(&self, older_than: Stamp, bytes_max: u64) -> Option<Offset> {
        // Entries before a mark are no younger than the mark, so a mark stamped before the limit is
        // preceded by what may go, and nothing that must stay.
        let by_age = if self.stamp < older_than && self.next > self.start {
            Some(self.next)
        } else {
            let old = self.marks.partition_point(|mark| mark.stamp < older_than);
            old.checked_sub(1).map(|at| self.marks[at].base)
        };
        let over = self.marks.partition_point(|mark| self.total.saturating_sub(mark.before) > bytes_max);
        // The last mark is the last place to cut, also where what follows it is too much.
        let by_bytes = (over > 0).then(|| self.marks[over.min(self.marks.len() - 1)].base);
        by_age.max(by_bytes).map(|offset| offset.min(self.next)).filter(|offset| *offset > self.start)
    }

    /// The last entry that may be cut so that everything from `offset` on stays, and the entry at
    /// `limit` and all above it. Cuts stand in front of marks, so that the marks stay exact.
    pub(crate) fn cut_before(&self, offset: Offset, limit: Index) -> Option<Index> {
        let fits = |mark: &Mark| mark.base <= offset && mark.index <= limit;
        let at = self.marks.partition_point(fits).checked_sub(1)?;
        Some(self.marks[at].index.before()).filter(|cut| *cut > self.origin.0)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::id::GroupId;
    use crate::key::entry::Bare;

    fn bare(index: u64, term: u64) -> Logged {
        let (term, index, bytes) = (Term::new(term), Index::new(index), Bytes::new());
        Logged::Bare(Arc::new(Bare { kind: 0, group: GroupId::new(1), term, index, bytes }))
    }

    #[test]
    fn the_end_of_a_log_is_known_although_a_history_came_below_what_is_truncated() {
        // The log begins after entry 44, which is applied; 45 is not committed.
        let mut tail = Tail::new((Index::new(44), Term::new(3)));
        tail.held_from = Some(Offset::new(20));
        tail.push(bare(45, 3), 100);
        tail.join((Index::new(7), Term::new(1)), (Vec::new(), 900), bare(44, 3));
        // Another leader has another entry there.
        tail.truncate(Index::new(45));
        assert_eq!(tail.last(), Index::new(44));
        tail.push(bare(45, 4), 100);
        assert_eq!(tail.term(Index::new(45)), Some(Term::new(4)));
    }
}
