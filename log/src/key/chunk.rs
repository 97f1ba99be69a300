//! A chunk of a snapshot that waits: to be sent, or to be put in place once all are there.
//!
//! | key | value |
//! | --- | --- |
//! | `7 group number` | a chunk of a snapshot that this replica gives away |
//! | `8 group number` | a chunk of a snapshot that this replica takes |
//!
//! What a chunk holds is in `rows.rs`. None of them outlives a restart.

use super::{CHUNK_IN, CHUNK_OUT, numbered_key};
use crate::id::GroupId;

/// Which way a chunk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Out,
    In,
}

/// The key of a chunk.
pub(crate) fn key(way: Way, group: GroupId, number: u32) -> [u8; 13] {
    numbered_key(kind(way), group, number.into())
}

/// The range of all chunks of a group.
pub(crate) fn range(way: Way, group: GroupId) -> ([u8; 13], [u8; 13]) {
    (numbered_key(kind(way), group, 0), numbered_key(kind(way), group, u64::MAX))
}

/// The range of all chunks of all groups.
pub(crate) const ALL: ([u8; 1], [u8; 1]) = ([CHUNK_OUT], [CHUNK_IN + 1]);

fn kind(way: Way) -> u8 {
    match way {
        Way::Out => CHUNK_OUT,
        Way::In => CHUNK_IN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_group_its_way_and_nothing_else() {
        let (from, to) = range(Way::In, GroupId::new(7));
        let inside = |key: [u8; 13]| from <= key && key < to;
        assert!(inside(key(Way::In, GroupId::new(7), 0)) && inside(key(Way::In, GroupId::new(7), u32::MAX)));
        assert!(!inside(key(Way::In, GroupId::new(8), 0)) && !inside(key(Way::Out, GroupId::new(7), 0)));
        assert!(ALL.0.as_slice() < from.as_slice() && to.as_slice() < ALL.1.as_slice());
    }
}
