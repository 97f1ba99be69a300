//! Packing a turn's requests: one entry per partition and per session group.

use bytes::Bytes;
use holdfast_cluster::Proposals;
use holdfast_log::{Body, BootEpoch, GroupId, Refusal, Stamp};
use prost::Message;

use super::Hub;
use super::machine::Machines;
use super::tag::{OpTag, Part, Tag, runs};
use crate::config::Fault;
use crate::mail::{Batch, Event, Refused};
use crate::record::{EntryFlags, Record, Records};
use crate::route::Partition;
use crate::state::session::op::{Kind, Op, Ops};

/// Bytes of records or operations that one entry holds at most, unless a single one is larger: one append to a replica
/// stays well below a megabyte.
const ENTRY_BYTES_MAX: usize = 256 * 1024;

/// What waits to be proposed.
#[derive(Debug, Default)]
pub(super) struct Pending {
    partitions: Vec<Vec<Packed>>,
    touched: Vec<Partition>,
    ops: Vec<(Vec<Op>, Vec<OpTag>)>,
}

/// An entry in the making.
#[derive(Debug, Default)]
struct Packed {
    flags: EntryFlags,
    count: u32,
    bytes: Vec<u8>,
    parts: Vec<Part>,
}

impl Pending {
    pub(super) fn new(partitions: usize, session_groups: usize) -> Self {
        let mut pending = Self::default();
        pending.partitions.resize_with(partitions, Vec::new);
        pending.ops.resize_with(session_groups, Default::default);
        pending
    }

    fn packed(&mut self, partition: Partition, more: usize) -> &mut Packed {
        let entries = &mut self.partitions[partition.index()];
        if entries.is_empty() {
            self.touched.push(partition);
        }
        if entries.last().is_none_or(|last| last.count > 0 && last.bytes.len() + more > ENTRY_BYTES_MAX) {
            entries.push(Packed { bytes: vec![0], ..Packed::default() });
        }
        entries.last_mut().expect("pushed when empty")
    }

    fn nothing(&self) -> bool {
        self.touched.is_empty() && self.ops.iter().all(|(ops, _)| ops.is_empty())
    }
}

impl Hub {
    /// Takes in the publishes of one worker and turn.
    pub(super) fn accept_publishes(&mut self, batch: Batch) {
        if self.keeping.full || batch.refusals < self.post(batch.worker).refusals {
            self.refuse(&batch);
            return;
        }
        let early = Fault::AckBeforeSync.is_in(self.fault)
            || Fault::AckAlone.is_in(self.fault) && self.peers.connected().next().is_none();
        if early && batch.count > 0 {
            self.acknowledge_early(batch);
            return;
        }
        let batch = if Fault::ReverseBatch.is_in(self.fault) { reversed(batch) } else { batch };
        let Batch { worker, partition, flags, .. } = batch;
        for (count, bytes) in pieces(batch.count, &batch.bytes) {
            let packed = self.pending.packed(partition, bytes.len());
            packed.flags = packed.flags.or(flags);
            packed.count += count;
            packed.bytes.extend_from_slice(bytes);
            packed.parts.push(Part::Worker { worker, count });
        }
    }

    /// Refuses what is new. What the log holds already is settled: its client would say it again as new, and it
    /// would come twice.
    fn refuse(&mut self, batch: &Batch) {
        let partition = batch.partition;
        let machine = &self.machines.partitions[partition.index()];
        let stored = |record: Record<'_>| record.token.is_some_and(|token| machine.repeats(token));
        let runs = if batch.flags.stateful() {
            runs(Records::bare(&batch.bytes).map(stored))
        } else {
            vec![(batch.count, false)]
        };
        for (count, stored) in runs {
            let refused = (!stored).then_some(Refused::Full);
            self.post(batch.worker).refusals += u64::from(refused.is_some());
            self.settle_apart(partition, Part::Apart { worker: batch.worker, count, refused });
        }
    }

    /// Settles records that go into no entry: behind everything of their partition that is under way, for a worker
    /// takes what is settled for the oldest that it has sent.
    fn settle_apart(&mut self, partition: Partition, part: Part) {
        if let Some(packed) = self.pending.partitions[partition.index()].last_mut() {
            packed.parts.push(part);
            return;
        }
        match self.proposals.last_tag(partition.group()) {
            Some(Tag::Publishes(parts) | Tag::Behind(_, parts)) => parts.push(part),
            Some(tag) => {
                let inner = std::mem::replace(tag, Tag::Quiet);
                *tag = Tag::Behind(Box::new(inner), vec![part]);
            }
            None => self.settle_parts(partition, vec![part], &[]),
        }
    }

    /// The fault: settled at once, and appended when the clock comes round.
    fn acknowledge_early(&mut self, batch: Batch) {
        let (partition, count) = (batch.partition, batch.count);
        self.post(batch.worker).mailbox.send_one(Event::Settled { partition, count, refused: None });
        self.late.push(batch);
    }

    /// Appends what the fault held back.
    pub(super) fn append_late(&mut self) {
        for batch in std::mem::take(&mut self.late) {
            let packed = self.pending.packed(batch.partition, batch.bytes.len());
            packed.flags = packed.flags.or(batch.flags);
            packed.count += batch.count;
            packed.bytes.extend_from_slice(&batch.bytes);
        }
    }

    /// Takes in a will of a session group's outbox.
    pub(super) fn accept_will(&mut self, record: &Record<'_>, group: GroupId, number: u64) {
        let partition = self.route.partition_of_slot(record.slot);
        let packed = self.pending.packed(partition, record.payload.len());
        packed.flags = packed.flags.or(EntryFlags::STATEFUL);
        packed.count += 1;
        record.encode(&mut packed.bytes);
        packed.parts.push(Part::Will { group, number });
    }

    /// Takes in a session operation.
    pub(super) fn accept_op(&mut self, group: GroupId, op: Kind, tag: OpTag) {
        let (ops, tags) = &mut self.pending.ops[Machines::session_index(group)];
        ops.push(op.into());
        tags.push(tag);
    }

    /// Offers what is pending to the leaders. `false`: there was nothing new.
    pub(super) fn propose(&mut self) -> Result<bool, Refusal> {
        let fences = self.propose_fences();
        let new = fences || !self.pending.nothing();
        for partition in std::mem::take(&mut self.pending.touched) {
            for mut packed in std::mem::take(&mut self.pending.partitions[partition.index()]) {
                packed.bytes[0] = packed.flags.get();
                let body = Body::Records { count: packed.count, bytes: Bytes::from(packed.bytes) };
                self.proposals.push(partition.group(), body, Tag::Publishes(packed.parts));
            }
        }
        let stamp = Stamp::new(self.now());
        for (group, (ops, tags)) in self.route.all_session_groups().zip(&mut self.pending.ops) {
            let mut tags = std::mem::take(tags).into_iter();
            for ops in chunks(std::mem::take(ops)) {
                let tags = tags.by_ref().take(ops.ops.len()).collect();
                let body = Body::Command(Bytes::from(ops.encode_to_vec()));
                self.proposals.push(group, body, Tag::Ops(tags));
            }
        }
        let now = self.clock.monotonic();
        let mut proposals =
            std::mem::replace(&mut self.proposals, Proposals::new(self.node, BootEpoch::new(0)));
        let sent = proposals.send(stamp, now, |proposal| self.way().offer(proposal));
        self.proposals = proposals;
        sent?;
        Ok(new)
    }
}

/// The fault: the last record first, where none has a token.
fn reversed(batch: Batch) -> Batch {
    if batch.flags.stateful() {
        return batch;
    }
    let mut records: Vec<Record<'_>> = Records::bare(&batch.bytes).collect();
    records.reverse();
    let mut bytes = Vec::new();
    records.iter().for_each(|record| record.encode(&mut bytes));
    Batch { bytes, ..batch }
}

/// A batch in pieces that fit an entry: how many records, and their bytes.
fn pieces(count: u32, bytes: &[u8]) -> Vec<(u32, &[u8])> {
    if bytes.len() <= ENTRY_BYTES_MAX {
        return vec![(count, bytes)];
    }
    let (mut pieces, mut first, mut at, mut records) = (Vec::new(), 0, 0, 0);
    for length in Records::lengths(bytes) {
        if records > 0 && at + length - first > ENTRY_BYTES_MAX {
            pieces.push((records, &bytes[first..at]));
            (first, records) = (at, 0);
        }
        at += length;
        records += 1;
    }
    pieces.push((records, &bytes[first..at]));
    pieces
}

/// Operations in groups that fit an entry.
fn chunks(ops: Vec<Op>) -> Vec<Ops> {
    let (mut chunks, mut bytes) = (Vec::new(), 0);
    for op in ops {
        let length = op.encoded_len();
        match chunks.last_mut() {
            Some(Ops { ops }) if bytes + length <= ENTRY_BYTES_MAX => ops.push(op),
            _ => {
                chunks.push(Ops { ops: vec![op] });
                bytes = 0;
            }
        }
        bytes += length;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::session::op::{Forget, OutboxDone};

    fn batch(records: u32, payload: usize) -> Vec<u8> {
        let payload = vec![7; payload];
        let mut bytes = Vec::new();
        for number in 0..records {
            let topic = format!("t/{number}");
            Record::sample(&topic, &payload).encode(&mut bytes);
        }
        bytes
    }

    #[test]
    fn a_batch_of_any_size_goes_in_entries_that_fit_a_frame() {
        for (records, payload) in [(1, 10), (3_000, 1_000), (5, 200_000), (3, 1_000_000)] {
            let bytes = batch(records, payload);
            let pieces = pieces(records, &bytes);
            assert_eq!(pieces.iter().map(|(count, _)| count).sum::<u32>(), records);
            assert_eq!(pieces.iter().map(|(_, bytes)| *bytes).collect::<Vec<_>>().concat(), bytes);
            for (count, bytes) in pieces {
                assert_eq!(Records::bare(bytes).count(), count as usize);
                assert!(bytes.len() <= ENTRY_BYTES_MAX || count == 1);
            }
        }
    }

    #[test]
    fn operations_go_in_entries_that_fit_a_frame_and_in_order() {
        let forget = |number: usize| Kind::Forget(Forget { client_id: "x".repeat(number % 5_000) });
        let ops: Vec<Op> = (0..2_000).map(|number| forget(number).into()).collect();
        let chunks = chunks(ops.clone());
        assert!(chunks.len() > 1 && chunks.iter().all(|ops| ops.encoded_len() < 2 * ENTRY_BYTES_MAX));
        assert_eq!(chunks.into_iter().flat_map(|ops| ops.ops).collect::<Vec<_>>(), ops);
        let one: Op = Kind::OutboxDone(OutboxDone { number: 1 }).into();
        assert_eq!(super::chunks(vec![one.clone()]), vec![Ops { ops: vec![one] }]);
    }
}
