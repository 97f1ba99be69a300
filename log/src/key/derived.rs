//! What the node derived from a group's log. Key and value are opaque to the log.
//!
//! | key | value |
//! | --- | --- |
//! | `6 group key` | value |

use super::{DERIVED, group_key};
use crate::id::GroupId;
use crate::store::Key;

/// The key of a derived record.
pub(crate) fn key(group: GroupId, rest: &[u8]) -> Key {
    let mut key = Key::from_slice(&group_key(DERIVED, group));
    key.extend_from_slice(rest);
    key
}

/// The node's part of a key.
pub(crate) fn rest_of(key: &[u8]) -> &[u8] {
    &key[5..]
}

/// The range of all derived records of a group.
pub(crate) fn range(group: GroupId) -> (Vec<u8>, Vec<u8>) {
    let from = group_key(DERIVED, group).to_vec();
    let to = match group.get().checked_add(1) {
        Some(next) => group_key(DERIVED, GroupId::new(next)).to_vec(),
        None => vec![DERIVED + 1],
    };
    (from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_group_and_no_other() {
        for group in [0, 7, u32::MAX] {
            let (from, to) = range(GroupId::new(group));
            let mine = key(GroupId::new(group), &[255; 40]);
            assert!(from.as_slice() <= mine.as_slice() && mine.as_slice() < to.as_slice());
            assert_eq!(rest_of(&mine), [255; 40]);
        }
        let other = key(GroupId::new(8), b"");
        assert!(other.as_slice() >= range(GroupId::new(7)).1.as_slice());
    }
}
