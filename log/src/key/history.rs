//! A group's history is being copied from a peer.
//!
//! | key | value |
//! | --- | --- |
//! | `10 group` | version u8 = 1, end index u64, end term u64, from offset u64, begun u64, then if begun: first index u64, term before it u64, next index u64, term before it u64, next offset + 1 or 0 u64, bytes u64 |
//!
//! Written with the entries that it speaks of, and deleted when the copy is whole. Until then the log
//! begins after `end`, and nothing below `from` can be read.

use super::cursor::Cursor;
use super::{HISTORY, RecordError, group_key};
use crate::id::{GroupId, Index, Offset, Term};

/// How far the copy has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct History {
    /// The last entry to copy, and its term.
    pub(crate) end: (Index, Term),
    /// The offset after the last record to copy.
    pub(crate) from: Offset,
    /// Absent before the first entry has come.
    pub(crate) part: Option<Part>,
}

/// What has been copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The first entry, and the term of the one before it.
    pub(crate) first: (Index, Term),
    /// The next entry to copy, and the term of the one before it.
    pub(crate) next: (Index, Term),
    /// The offset that the next entry must have; absent before the first one with an offset.
    pub(crate) offset: Option<Offset>,
    /// Bytes so far.
    pub(crate) bytes: u64,
}

/// The key of a group's copy.
pub(crate) fn key(group: GroupId) -> [u8; 5] {
    group_key(HISTORY, group)
}

impl History {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let mut number = |number: u64| out.extend_from_slice(&number.to_le_bytes());
        number(self.end.0.get());
        number(self.end.1.get());
        number(self.from.get());
        number(u64::from(self.part.is_some()));
        if let Some(part) = self.part {
            let fields = [part.first.0.get(), part.first.1.get(), part.next.0.get(), part.next.1.get()];
            fields.into_iter().for_each(&mut number);
            number(part.offset.map_or(0, |offset| offset.get().saturating_add(1)));
            number(part.bytes);
        }
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let mut cursor = Cursor::new(RECORD, VERSION, value)?;
        let mut history = Self {
            end: (Index::new(cursor.u64()?), Term::new(cursor.u64()?)),
            from: Offset::new(cursor.u64()?),
            part: None,
        };
        if cursor.u64()? != 0 {
            history.part = Some(Part {
                first: (Index::new(cursor.u64()?), Term::new(cursor.u64()?)),
                next: (Index::new(cursor.u64()?), Term::new(cursor.u64()?)),
                offset: cursor.u64()?.checked_sub(1).map(Offset::new),
                bytes: cursor.u64()?,
            });
        }
        cursor.end()?;
        Ok(history)
    }
}

const RECORD: &str = "history";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_comes_back_and_every_cut_is_refused() {
        let part = |offset| Part {
            first: (Index::new(6), Term::new(1)),
            next: (Index::new(9), Term::new(2)),
            offset,
            bytes: 77,
        };
        for part in [None, Some(part(None)), Some(part(Some(Offset::new(0))))] {
            let history = History { end: (Index::new(20), Term::new(3)), from: Offset::new(40), part };
            let value = history.encode();
            assert_eq!(History::decode(&value), Ok(history));
            (0..value.len()).for_each(|cut| assert!(History::decode(&value[..cut]).is_err(), "{cut}"));
        }
    }
}
