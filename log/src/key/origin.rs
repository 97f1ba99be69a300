//! What a group is on this node, and where its log begins.
//!
//! | key | value |
//! | --- | --- |
//! | `4 group` | version u8 = 2, history u8, replica u64, origin index u64, origin term u64, count u32, then per voter: replica u64, node u64; joins u8 |
//!
//! The origin is the last entry that is not in the log any more. Its term is kept, because Raft
//! compares terms there. The voters are those that the group was founded with, or, for a replica that
//! joined later, those it was told to ask; who belongs to the group now is in `members.rs`. A replica
//! joins until its first snapshot is in place. Version 1 ends before `joins`, which is 0 then.

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
    /// Has never had a state, and waits for its first.
    pub(crate) joins: bool,
}

/// The range of these records of all groups.
pub(crate) const ALL: ([u8; 1], [u8; 1]) = ([ORIGIN], [ORIGIN + 1]);

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
        out.push(u8::from(self.joins));
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let (mut cursor, version) = Cursor::up_to(RECORD, VERSION, value)?;
        let mut origin = Self {
            history: cursor.byte()? != 0,
            replica: ReplicaId::new(cursor.u64()?),
            index: Index::new(cursor.u64()?),
            term: Term::new(cursor.u64()?),
            voters: Vec::new(),
            joins: false,
        };
        for _ in 0..cursor.u32()? {
            origin.voters.push((ReplicaId::new(cursor.u64()?), NodeId::new(cursor.u64()?)));
        }
        origin.joins = version > 1 && cursor.byte()? != 0;
        cursor.end()?;
        Ok(origin)
    }
}

const RECORD: &str = "group";
const VERSION: u8 = 2;

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
            joins: true,
        };
        let value = origin.encode();
        assert_eq!(Origin::decode(&value), Ok(origin));
        for cut in 0..value.len() {
            assert!(Origin::decode(&value[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_record_of_the_first_version_is_read() {
        let mut value = vec![1, 0];
        for field in [3_u64, 9, 2] {
            value.extend(field.to_le_bytes());
        }
        value.extend(1_u32.to_le_bytes());
        value.extend([3_u64.to_le_bytes(), 30_u64.to_le_bytes()].concat());
        let voters = vec![(ReplicaId::new(3), NodeId::new(30))];
        let (index, term, replica) = (Index::new(9), Term::new(2), ReplicaId::new(3));
        let origin = Origin { history: false, replica, index, term, voters, joins: false };
        assert_eq!(Origin::decode(&value), Ok(origin));
    }
}
