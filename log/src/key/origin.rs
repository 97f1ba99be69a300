//! What a group is on this node, and where its log begins.
//!
//! | key | value |
//! | --- | --- |
//! | `4 group` | version u8 = 1, history u8, replica u64, origin index u64, origin term u64, count u32, then per voter: replica u64, node u64 |
//!
//! The origin is the last entry that is not in the log any more. Its term is kept, because Raft
//! compares terms there.

use super::cursor::Cursor;
use super::{ORIGIN, RecordError, group_key};
use crate::id::{GroupId, Index, NodeId, ReplicaId, Term};

/// A group's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) history: bool,
    pub(crate) replica: ReplicaId,
    pub(crate) index: Index,
    pub(crate) term: Term,
    pub(crate) voters: Vec<(ReplicaId, NodeId)>,
}

/// The key of a group's record.
pub(crate) fn key(group: GroupId) -> [u8; 5] {
    group_key(ORIGIN, group)
}

impl Origin {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::from(self.history)];
        for field in [self.replica.get(), self.index.get(), self.term.get()] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        let count = u32::try_from(self.voters.len()).expect("a group has a handful of voters");
        out.extend_from_slice(&count.to_le_bytes());
        for (replica, node) in &self.voters {
            out.extend_from_slice(&replica.get().to_le_bytes());
            out.extend_from_slice(&node.get().to_le_bytes());
        }
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let mut cursor = Cursor::new(RECORD, VERSION, value)?;
        let mut origin = Self {
            history: cursor.byte()? != 0,
            replica: ReplicaId::new(cursor.u64()?),
            index: Index::new(cursor.u64()?),
            term: Term::new(cursor.u64()?),
            voters: Vec::new(),
        };
        for _ in 0..cursor.u32()? {
            origin.voters.push((ReplicaId::new(cursor.u64()?), NodeId::new(cursor.u64()?)));
        }
        cursor.end()?;
        Ok(origin)
    }
}

const RECORD: &str = "group";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_comes_back_and_every_cut_is_refused() {
        let origin = Origin {
            history: true,
            replica: ReplicaId::new(1),
            index: Index::new(5),
            term: Term::new(1),
            voters: vec![(ReplicaId::new(1), NodeId::new(10)), (ReplicaId::new(2), NodeId::new(20))],
        };
        let value = origin.encode();
        assert_eq!(Origin::decode(&value), Ok(origin));
        for cut in 0..value.len() {
            assert!(Origin::decode(&value[..cut]).is_err(), "cut at {cut}");
        }
    }
}
