//! A mark: where an offset stands in a group's log, every so many bytes.
//!
//! | key | value |
//! | --- | --- |
//! | `2 group index` | version u8 = 1, base offset u64, stamp u64, bytes of the log before it u64 |
//!
//! Written with the entry it stands for and deleted with it.

use super::cursor::Cursor;
use super::{MARK, RecordError, number_of, numbered_key};
use crate::id::{GroupId, Index, Offset, Stamp};

/// A mark in a group's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The entry.
    pub(crate) index: Index,
    /// Its base.
    pub(crate) base: Offset,
    /// Its stamp.
    pub(crate) stamp: Stamp,
    /// Bytes of all entries before it, from the group's first day on.
    pub(crate) before: u64,
}

/// The key of a mark.
pub(crate) fn key(group: GroupId, index: Index) -> [u8; 13] {
    numbered_key(MARK, group, index.get())
}

impl Mark {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for field in [self.base.get(), self.stamp.get(), self.before] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out
    }

    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Self, RecordError> {
        let index = number_of(key).ok_or(RecordError::Short(RECORD))?;
        let mut cursor = Cursor::new(RECORD, VERSION, value)?;
        let mark = Self {
            index: Index::new(index),
            base: Offset::new(cursor.u64()?),
            stamp: Stamp::new(cursor.u64()?),
            before: cursor.u64()?,
        };
        cursor.end()?;
        Ok(mark)
    }
}

const RECORD: &str = "mark";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back() {
        let mark = Mark { index: Index::new(5), base: Offset::new(6), stamp: Stamp::new(7), before: 8 };
        assert_eq!(Mark::decode(&key(GroupId::new(1), mark.index), &mark.encode()), Ok(mark));
    }

    #[test]
    fn a_mark_of_another_version_or_length_is_refused() {
        let key = key(GroupId::new(1), Index::new(5));
        let mark = Mark { index: Index::new(5), base: Offset::new(6), stamp: Stamp::new(7), before: 8 };
        let value = mark.encode();
        assert!(matches!(Mark::decode(&key, &value[..24]), Err(RecordError::Short(_))));
        assert!(matches!(Mark::decode(&key, &[&value[..], &[0]].concat()), Err(RecordError::Long(_))));
        assert!(matches!(Mark::decode(&key, &[2; 25]), Err(RecordError::Version { version: 2, .. })));
    }
}
