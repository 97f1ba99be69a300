//! Reading the log for sessions that are behind, on a thread of its own: a cold disk never holds up a worker.
//!
//! A session that matches little of much costs what it receives: a closed segment of the log has an index from
//! topics to offsets, and only entries that hold a match are read. The index is local, made here from the log when
//! a segment is full, and made again when it is missing.

mod index;

use std::sync::Arc;
use std::time::Duration;

use holdfast_log::{Entry, Offset, ReadError, Reader};

use crate::mail::{Event, Mailbox, Read, ReadAnswer};
use crate::route::Partition;
use index::Index;

/// Bytes of entries in one answer.
const ANSWER_BYTES: u64 = 256 * 1024;
/// Bytes of entries read at once where there is no index.
const SCAN_BYTES: u64 = 256 * 1024;
/// How long it waits for requests before it looks for segments to index.
const IDLE: Duration = Duration::from_millis(200);

/// The reading thread.
pub struct Catchup {
    reader: Reader,
    index: Index,
    inbox: Arc<Mailbox<Read>>,
    workers: Vec<Arc<Mailbox<Event>>>,
    partitions: u16,
    /// The partition to look at next for a segment to index.
    next: u16,
    stop: Arc<std::sync::atomic::AtomicBool>,
}

/// What reading for filters came to.
struct Found {
    entries: Vec<Arc<Entry>>,
    through: u64,
    truncated: u64,
}

impl Catchup {
    /// A reader that answers to `workers`.
    pub fn new(
        reader: Reader,
        inbox: Arc<Mailbox<Read>>,
        workers: Vec<Arc<Mailbox<Event>>>,
        partitions: u16,
        stop: Arc<std::sync::atomic::AtomicBool>,
    ) -> Self {
        Self {
            index: Index::new(reader.clone(), partitions),
            reader,
            inbox,
            workers,
            partitions,
            next: 0,
            stop,
        }
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// When the log is damaged: nothing that cannot be read is passed over.
    pub fn run(mut self) -> Result<(), ReadError> {
        let mut requests = Vec::new();
        while !self.stop.load(std::sync::atomic::Ordering::Acquire) {
            self.inbox.wait(IDLE, &mut requests);
            self.turn(&mut requests)?;
        }
        Ok(())
    }

    /// Answers a batch of requests, then indexes at most one segment of one partition, so that nobody waits long.
    ///
    /// # Errors
    /// When the log is damaged.
    pub fn turn(&mut self, requests: &mut Vec<Read>) -> Result<(), ReadError> {
        let busy = !requests.is_empty();
        for request in requests.drain(..) {
            self.answer(request)?;
        }
        let partition = Partition::new(self.next);
        self.next = (self.next + 1) % self.partitions;
        if !busy || self.next == 0 {
            self.index.build_next(partition)?;
        }
        Ok(())
    }

    fn answer(&mut self, request: Read) -> Result<(), ReadError> {
        let found = if request.filters.is_empty() { self.exact(&request) } else { self.matching(&request) }?;
        let answer = ReadAnswer {
            connection: request.connection,
            tag: request.tag,
            partition: request.partition,
            entries: found.entries,
            through: found.through,
            truncated: found.truncated,
        };
        self.workers[request.worker as usize].send_one(Event::Read(Box::new(answer)));
        Ok(())
    }

    /// The entries that hold these offsets.
    fn exact(&self, request: &Read) -> Result<Found, ReadError> {
        let mut found = Found { entries: Vec::new(), through: 0, truncated: 0 };
        for offset in &request.offsets {
            self.take(request.partition, *offset, &mut found)?;
        }
        Ok(found)
    }

    /// Reads the entry at `offset`, unless it is the last one found.
    fn take(&self, partition: Partition, offset: u64, found: &mut Found) -> Result<(), ReadError> {
        if found.entries.last().is_some_and(|entry| offset < entry.end().get()) {
            return Ok(());
        }
        match self.reader.read(partition.group(), Offset::new(offset), 1) {
            Ok(entries) => found.entries.extend(entries.into_iter().next()),
            Err(ReadError::Truncated { first }) => found.truncated = first.get(),
            Err(ReadError::Beyond { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// From `request.from` on, entries that may hold a match, until there are enough.
    fn matching(&mut self, request: &Read) -> Result<Found, ReadError> {
        let group = request.partition.group();
        let mut found = Found { entries: Vec::new(), through: request.from, truncated: 0 };
        let (first, end) = self.reader.bounds(group).unwrap_or((Offset::new(0), Offset::new(0)));
        if first.get() > found.through {
            found.truncated = first.get();
            found.through = first.get();
        }
        let mut bytes = 0;
        while found.through < end.get() && bytes < ANSWER_BYTES {
            let before = found.entries.len();
            match self.index.lookup(request.partition, found.through, &request.filters)? {
                Some((offsets, segment_end)) => {
                    for offset in offsets {
                        self.take(request.partition, offset, &mut found)?;
                        let taken: u64 = found.entries[before..].iter().map(|entry| entry.bytes()).sum();
                        if bytes + taken >= ANSWER_BYTES {
                            break;
                        }
                        found.through = offset + 1;
                    }
                    bytes += found.entries[before..].iter().map(|entry| entry.bytes()).sum::<u64>();
                    if bytes < ANSWER_BYTES {
                        found.through = segment_end;
                    } else if let Some(last) = found.entries.last() {
                        found.through = last.end().get();
                    }
                }
                None => {
                    let entries = match self.reader.read(group, Offset::new(found.through), SCAN_BYTES) {
                        Ok(entries) => entries,
                        Err(ReadError::Truncated { first }) => {
                            found.truncated = first.get();
                            found.through = first.get();
                            continue;
                        }
                        Err(error) => return Err(error),
                    };
                    let Some(last) = entries.last() else { break };
                    found.through = last.end().get();
                    bytes += entries.iter().map(|entry| entry.bytes()).sum::<u64>();
                    found.entries.extend(entries);
                }
            }
        }
        Ok(found)
    }
}
