//! Who belongs to a group, as of the state that lies beside it.
//!
//! | key | value |
//! | --- | --- |
//! | `11 group` | version u8 = 1, highest id u64, count u32, then per member: replica u64, node u64, flags u8 (1 votes, 2 votes in the older configuration, 4 leaves) |
//!
//! Written in one batch with the applied index of the entry that changed it. Absent until then: the members
//! are the voters that the group was founded with.

use super::cursor::Cursor;
use super::{MEMBERS, RecordError, group_key};
use crate::id::{GroupId, NodeId, ReplicaId};
use crate::members::Members;

/// The range of these records of all groups.
pub(crate) const ALL: ([u8; 1], [u8; 1]) = ([MEMBERS], [MEMBERS + 1]);

/// The key of a group's members.
pub(crate) fn key(group: GroupId) -> [u8; 5] {
    group_key(MEMBERS, group)
}

pub(crate) fn encode(members: &Members) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend_from_slice(&members.highest().get().to_le_bytes());
    let rows = members.rows();
    let count = u32::try_from(rows.len()).expect("a group has a handful of members");
    out.extend_from_slice(&count.to_le_bytes());
    for (replica, node, flags) in rows {
        out.extend_from_slice(&replica.get().to_le_bytes());
        out.extend_from_slice(&node.get().to_le_bytes());
        out.push(flags);
    }
    out
}

pub(crate) fn decode(value: &[u8]) -> Result<Members, RecordError> {
    let mut cursor = Cursor::new(RECORD, VERSION, value)?;
    let highest = ReplicaId::new(cursor.u64()?);
    let mut rows = Vec::new();
    for _ in 0..cursor.u32()? {
        rows.push((ReplicaId::new(cursor.u64()?), NodeId::new(cursor.u64()?), cursor.byte()?));
    }
    cursor.end()?;
    Members::of_rows(highest, rows.into_iter()).ok_or(RecordError::Content(RECORD))
}

const RECORD: &str = "members";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::{Change, Step};

    #[test]
    fn members_come_back_and_every_cut_is_refused() {
        let (one, two) = (ReplicaId::new(1), ReplicaId::new(2));
        let founding = Members::founding(&[(one, NodeId::new(10)), (two, NodeId::new(20))]);
        let learner = Step::One(Change::AddLearner(ReplicaId::new(3), NodeId::new(30)));
        let enter = Step::Enter(vec![Change::Promote(ReplicaId::new(3)), Change::Remove(one)]);
        let mut members = founding;
        for step in [learner, enter, Step::Leave, Step::One(Change::Remove(one))] {
            members = members.after(&step).expect("it fits");
            let value = encode(&members);
            assert_eq!(decode(&value), Ok(members.clone()));
            (0..value.len()).for_each(|cut| assert!(decode(&value[..cut]).is_err(), "{cut}"));
        }
        let mut nobody = encode(&members);
        let flags = nobody.len() - 1;
        nobody[flags] = 8;
        assert!(decode(&nobody).is_err());
    }
}
