//! A snapshot is being put in place of a group's state.
//!
//! | key | value |
//! | --- | --- |
//! | `9 group` | version u8 = 2, step u8, index u64, term u64, replica u64 |
//!
//! Step 1: the state is neither the old one nor the new one, and worth nothing. Step 2: the state is the
//! new one, of `index` and `term`, and the log may have to be begun after it. Step 3: as 2, and the log is
//! begun after it in any case, because what lies before is damaged and nobody has it any more. Version 1 has
//! no replica.

use super::cursor::Cursor;
use super::{RESTORE, RecordError, group_key};
use crate::id::{GroupId, Index, ReplicaId, Term};

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restore {
    /// Whether all of the state is there.
    pub(crate) whole: bool,
    /// Whether the log up to `index` is worth nothing.
    pub(crate) fresh: bool,
    pub(crate) index: Index,
    pub(crate) term: Term,
    /// Which replica takes it: one that was here before may have left a marker behind.
    pub(crate) replica: ReplicaId,
}

/// The range of these records of all groups.
pub(crate) const ALL: ([u8; 1], [u8; 1]) = ([RESTORE], [RESTORE + 1]);

/// The key of a group's marker.
pub(crate) fn key(group: GroupId) -> [u8; 5] {
    group_key(RESTORE, group)
}

impl Restore {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let step = match (self.whole, self.fresh) {
            (false, _) => 1,
            (true, false) => 2,
            (true, true) => 3,
        };
        let mut out = vec![VERSION, step];
        out.extend_from_slice(&self.index.get().to_le_bytes());
        out.extend_from_slice(&self.term.get().to_le_bytes());
        out.extend_from_slice(&self.replica.get().to_le_bytes());
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let (mut cursor, version) = Cursor::up_to(RECORD, VERSION, value)?;
        let step = cursor.byte()?;
        let marker = Self {
            whole: step >= 2,
            fresh: step == 3,
            index: Index::new(cursor.u64()?),
            term: Term::new(cursor.u64()?),
            replica: ReplicaId::new(if version > 1 { cursor.u64()? } else { 0 }),
        };
        cursor.end()?;
        Ok(marker)
    }
}

const RECORD: &str = "restore";
const VERSION: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_comes_back_and_every_cut_is_refused() {
        for (whole, fresh) in [(false, false), (true, false), (true, true)] {
            let replica = ReplicaId::new(7);
            let marker = Restore { whole, fresh, index: Index::new(9), term: Term::new(3), replica };
            let value = marker.encode();
            assert_eq!(Restore::decode(&value), Ok(marker));
            (0..value.len()).for_each(|cut| assert!(Restore::decode(&value[..cut]).is_err(), "{cut}"));
            let first = [&[1][..], &value[1..value.len() - 8]].concat();
            assert_eq!(Restore::decode(&first), Ok(Restore { replica: ReplicaId::new(0), ..marker }));
        }
    }
}
