//! The topic index of closed log segments. Local and rebuildable: it is never the only place of anything.
//!
//! | key | value |
//! |---|---|
//! | `m` partition u16, segment u64 | empty: the segment's index is whole |
//! | `x` partition u16, segment u64, topic | offsets within the segment, as varint differences |
//!
//! Big endian. The version of both is [`VERSION`], the first byte of every key.

use std::collections::HashMap;

use holdfast_log::{Offset, ReadError, Reader};

use crate::record::records;
use crate::route::Partition;
use crate::topic::{is_wildcard, matches_filter};

/// Version of keys and values.
const VERSION: u8 = 1;
/// Offsets of one segment.
const SEGMENT: u64 = 65_536;
/// Above this share of a segment reading all of it is cheaper than reading matches one by one.
const DENSE: usize = 4;
/// Rows of a segment looked at in one scan.
const SCAN: usize = 4_096;
/// Bytes read at once to build an index.
const BUILD_BYTES: u64 = 1024 * 1024;

/// The index of all partitions.
pub(super) struct Index {
    reader: Reader,
    /// First segment of each partition that is not known to be indexed.
    open: Vec<u64>,
    /// First segment of each partition whose rows may still be there.
    kept: Vec<u64>,
}

impl Index {
    pub(super) fn new(reader: Reader, partitions: u16) -> Self {
        Self { reader, open: vec![0; usize::from(partitions)], kept: vec![0; usize::from(partitions)] }
    }

    /// Offsets from `from` on that may match, and the end of the segment that they are of. `None`: no index covers
    /// `from`, or it would not help.
    pub(super) fn lookup(
        &mut self,
        partition: Partition,
        from: u64,
        filters: &[String],
    ) -> Result<Option<(Vec<u64>, u64)>, ReadError> {
        let segment = from / SEGMENT;
        if !self.whole(partition, segment)? {
            return Ok(None);
        }
        let start = segment * SEGMENT;
        let mut offsets = Vec::new();
        for filter in filters {
            if is_wildcard(filter) {
                self.wildcard(partition, segment, filter, &mut offsets)?;
            } else if let Some(row) = self.reader.side_get(&key(partition, segment, filter))? {
                decode(&row, &mut offsets);
            }
        }
        if offsets.len() * DENSE > usize::try_from(SEGMENT).unwrap_or(usize::MAX) {
            return Ok(None);
        }
        offsets.sort_unstable();
        offsets.dedup();
        let offsets = offsets.into_iter().map(|offset| start + offset).filter(|offset| *offset >= from);
        Ok(Some((offsets.collect(), start + SEGMENT)))
    }

    fn whole(&mut self, partition: Partition, segment: u64) -> Result<bool, ReadError> {
        if segment < self.open[partition.index()] {
            return Ok(true);
        }
        Ok(self.reader.side_get(&marker(partition, segment))?.is_some())
    }

    fn wildcard(
        &self,
        partition: Partition,
        segment: u64,
        filter: &str,
        offsets: &mut Vec<u64>,
    ) -> Result<(), ReadError> {
        let prefix = key(partition, segment, "");
        let mut from = prefix.clone();
        loop {
            let rows = self.reader.side_scan(&prefix, &from, SCAN)?;
            for (row, value) in &rows {
                let topic = std::str::from_utf8(&row[prefix.len()..]).unwrap_or_default();
                if matches_filter(filter, topic) {
                    decode(value, offsets);
                }
            }
            match rows.last() {
                Some((last, _)) if rows.len() == SCAN => {
                    from = last.to_vec();
                    from.push(0);
                }
                _ => return Ok(()),
            }
        }
    }

    /// Indexes the next full segment of a partition, if there is one.
    pub(super) fn build_next(&mut self, partition: Partition) -> Result<(), ReadError> {
        let Some((first, next)) = self.reader.bounds(partition.group()) else { return Ok(()) };
        let open = &mut self.open[partition.index()];
        *open = (*open).max(first.get() / SEGMENT);
        let segment = *open;
        self.forget(partition, first.get() / SEGMENT)?;
        if (segment + 1) * SEGMENT > next.get() {
            return Ok(());
        }
        if self.reader.side_get(&marker(partition, segment))?.is_none() {
            self.build(partition, segment)?;
        }
        self.open[partition.index()] = segment + 1;
        Ok(())
    }

    /// Deletes the rows of segments below `segment`: the log does not hold them any more.
    fn forget(&mut self, partition: Partition, segment: u64) -> Result<(), ReadError> {
        let kept = &mut self.kept[partition.index()];
        if *kept < segment {
            *kept = segment;
            for tag in [b'm', b'x'] {
                self.reader
                    .side_delete_range(&tagged(tag, partition, 0), &tagged(tag, partition, segment))?;
            }
        }
        Ok(())
    }

    fn build(&self, partition: Partition, segment: u64) -> Result<(), ReadError> {
        let (start, end) = (segment * SEGMENT, (segment + 1) * SEGMENT);
        let mut topics = Topics::default();
        let mut next = start;
        while next < end {
            let entries = match self.reader.read(partition.group(), Offset::new(next), BUILD_BYTES) {
                Ok(entries) => entries,
                // Cut meanwhile: what is gone needs no index.
                Err(ReadError::Truncated { first }) => {
                    next = first.get();
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(last) = entries.last() else { break };
            let reached = last.end().get();
            for entry in &entries {
                for (offset, record) in (entry.base.get()..).zip(records(&entry.payload)) {
                    if (start..end).contains(&offset) && offset >= next {
                        add(&mut topics, record.topic, offset - start);
                    }
                }
            }
            next = reached;
        }
        let mut rows: Vec<(Vec<u8>, Option<Vec<u8>>)> = topics
            .into_iter()
            .map(|(topic, (_, offsets))| (key(partition, segment, &topic), Some(offsets)))
            .collect();
        rows.sort_unstable();
        rows.push((marker(partition, segment), Some(Vec::new())));
        Ok(self.reader.side_write(rows)?)
    }
}

type Topics = HashMap<Box<str>, (u64, Vec<u8>), foldhash::fast::RandomState>;

fn add(topics: &mut Topics, topic: &str, offset: u64) {
    match topics.get_mut(topic) {
        Some((last, bytes)) => {
            varint(bytes, offset - *last);
            *last = offset;
        }
        None => {
            let mut bytes = Vec::new();
            varint(&mut bytes, offset);
            topics.insert(topic.into(), (offset, bytes));
        }
    }
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}

fn decode(bytes: &[u8], offsets: &mut Vec<u64>) {
    let (mut offset, mut value, mut shift) = (0, 0u64, 0);
    for byte in bytes {
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            offset += value;
            offsets.push(offset);
            (value, shift) = (0, 0);
        } else {
            shift += 7;
        }
    }
}

fn marker(partition: Partition, segment: u64) -> Vec<u8> {
    tagged(b'm', partition, segment)
}

fn key(partition: Partition, segment: u64, topic: &str) -> Vec<u8> {
    let mut key = tagged(b'x', partition, segment);
    key.extend_from_slice(topic.as_bytes());
    key
}

fn tagged(tag: u8, partition: Partition, segment: u64) -> Vec<u8> {
    let mut key = vec![VERSION, tag];
    key.extend_from_slice(&partition.get().to_be_bytes());
    key.extend_from_slice(&segment.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_come_back_as_they_went_in() {
        let wanted = [0u64, 1, 127, 128, 129, 20_000, 65_535];
        let mut topics = Topics::default();
        for offset in wanted {
            add(&mut topics, "a/b", offset);
        }
        let mut found = Vec::new();
        decode(&topics["a/b"].1, &mut found);
        assert_eq!(found, wanted);
    }
}
