//! How records are named and laid out on disk: one file per kind of record.
//!
//! A key is its kind in one byte, then the group, then what follows, integers big-endian so that keys
//! sort as numbers do. A value begins with its version. Kinds and versions are never used again.
//!
//! | kind | space | record | file |
//! | --- | --- | --- | --- |
//! | 0 | meta, state | format of the half | `format.rs` |
//! | 1 | entry | an entry of a group's log | `entry.rs` |
//! | 2 | meta | a mark in a group's log | `mark.rs` |
//! | 3 | meta | term, vote and commit of a replica | `vote.rs` |
//! | 4 | meta | what a group is and where its log begins | `origin.rs` |
//! | 5 | state | applied index and ledger of a group | `applied.rs` |
//! | 6 | state | what the node derived from a group | `derived.rs` |
//! | 7, 8 | state | a chunk of a snapshot on its way out, in | `chunk.rs` |
//! | 9 | state | a snapshot is being put in place | `restore.rs` |
//! | 10 | meta | a history is being copied | `history.rs` |
//! | 11 | state | who belongs to a group | `members.rs` |

pub(crate) mod applied;
pub(crate) mod chunk;
pub(crate) mod derived;
pub(crate) mod entry;
pub(crate) mod format;
pub(crate) mod history;
pub(crate) mod mark;
pub(crate) mod members;
pub(crate) mod origin;
pub(crate) mod restore;
pub(crate) mod vote;
mod cursor;

use crate::id::GroupId;

/// Why the bytes of a record are not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    /// They end too early.
    #[error("a {0} record is cut short")]
    Short(&'static str),
    /// Bytes follow its end.
    #[error("a {0} record is too long")]
    Long(&'static str),
    /// Numbers that it cannot have.
    #[error("a {0} record contradicts itself")]
    Content(&'static str),
    /// A version that this one does not know.
    #[error("a {record} record has the unknown version {version}")]
    Version {
        /// The kind of record.
        record: &'static str,
        /// What it says.
        version: u8,
    },
}

/// `kind group`: five bytes.
fn group_key(kind: u8, group: GroupId) -> [u8; 5] {
    let mut key = [kind; 5];
    key[1..].copy_from_slice(&group.get().to_be_bytes());
    key
}

/// The group in a key.
pub(crate) fn group_of(key: &[u8]) -> Option<GroupId> {
    let group = key.get(1..5)?;
    Some(GroupId::new(u32::from_be_bytes(group.try_into().expect("four bytes were taken"))))
}

/// `kind group number`: thirteen bytes.
fn numbered_key(kind: u8, group: GroupId, number: u64) -> [u8; 13] {
    let mut key = [0; 13];
    key[..5].copy_from_slice(&group_key(kind, group));
    key[5..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The number at the end of a thirteen-byte key.
fn number_of(key: &[u8]) -> Option<u64> {
    let tail = key.get(5..13)?;
    Some(u64::from_be_bytes(tail.try_into().expect("eight bytes were taken")))
}

const FORMAT: u8 = 0;
const ENTRY: u8 = 1;
const MARK: u8 = 2;
const VOTE: u8 = 3;
const ORIGIN: u8 = 4;
const APPLIED: u8 = 5;
const DERIVED: u8 = 6;
const CHUNK_OUT: u8 = 7;
const CHUNK_IN: u8 = 8;
const RESTORE: u8 = 9;
const HISTORY: u8 = 10;
const MEMBERS: u8 = 11;
