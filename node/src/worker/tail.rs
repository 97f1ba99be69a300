//! The newest committed entries of each partition, as this worker got them: sessions that lag a little read from
//! here instead of the disk.

use std::collections::VecDeque;
use std::sync::Arc;

use holdfast_log::Entry;

use crate::route::Partition;

/// Bytes of entries that a worker keeps; the entries are shared with the log's own cache.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Tails of all partitions.
#[derive(Debug)]
pub(super) struct Tails {
    partitions: Vec<Tail>,
    bytes: u64,
    /// The hub sends entries to this worker.
    pub(super) feeding: bool,
    /// Something came since tail vectors were committed.
    pub(super) moved: bool,
    /// Partition to take from next when there is too much.
    evict: usize,
}

/// Tail of one partition.
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<Arc<Entry>>,
    /// Next offset: everything below has been delivered or is some session's lag.
    pub(super) next: u64,
}

impl Tails {
    pub(super) fn new(partitions: usize) -> Self {
        let mut tails = Self { partitions: Vec::new(), bytes: 0, feeding: false, moved: false, evict: 0 };
        tails.partitions.resize_with(partitions, Tail::default);
        tails
    }

    /// Entries come from `next` on; what came before may not reach up to there.
    pub(super) fn start(&mut self, next: &[u64]) {
        self.feeding = true;
        self.bytes = 0;
        for (tail, next) in self.partitions.iter_mut().zip(next) {
            tail.entries.clear();
            tail.next = *next;
        }
    }

    pub(super) fn next(&self, partition: u16) -> u64 {
        self.partitions[usize::from(partition)].next
    }

    pub(super) fn all_next(&self) -> Vec<u64> {
        self.partitions.iter().map(|tail| tail.next).collect()
    }

    pub(super) fn push(&mut self, partition: Partition, entry: Arc<Entry>) {
        self.moved = true;
        self.bytes += entry.bytes();
        let tail = &mut self.partitions[partition.index()];
        debug_assert_eq!(tail.next, entry.base.get(), "entries come without gaps");
        tail.next = entry.end().get();
        tail.entries.push_back(entry);
        while self.bytes > BYTES_MAX {
            self.evict = (self.evict + 1) % self.partitions.len();
            if let Some(old) = self.partitions[self.evict].entries.pop_front() {
                self.bytes -= old.bytes();
            }
        }
    }

    /// The entry that holds `offset`, if it is still here.
    pub(super) fn entry(&self, partition: u16, offset: u64) -> Option<&Arc<Entry>> {
        let entries = &self.partitions[usize::from(partition)].entries;
        if entries.front()?.base.get() > offset {
            return None;
        }
        let at = entries.partition_point(|entry| entry.end().get() <= offset);
        entries.get(at)
    }
}
