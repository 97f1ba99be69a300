//! An entry of a group's log.
//!
//! | key | value |
//! | --- | --- |
//! | `1 group index` | an envelope (version 1), or a bare entry (version 128) |
//!
//! A bare entry is one of Raft's own, or one that this version stores without knowing it:
//!
//! | bytes | field |
//! | --- | --- |
//! | 0 | 128 |
//! | 1 | Raft's entry type |
//! | 2..4 | reserved, 0 |
//! | 4..8 | group, u32 |
//! | 8..16 | term, u64 |
//! | 16..24 | index, u64 |
//! | 24..n-4 | Raft's bytes, mostly none |
//! | n-4..n | CRC-32 of all before, u32 |

use bytes::{BufMut, Bytes, BytesMut};

use super::{ENTRY, number_of, numbered_key};
use crate::id::{GroupId, Index, Term};

/// An entry without an envelope that this version understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bare {
    pub(crate) kind: u8,
    pub(crate) group: GroupId,
    pub(crate) term: Term,
    pub(crate) index: Index,
    pub(crate) bytes: Bytes,
}

/// The key of an entry.
pub(crate) fn key(group: GroupId, index: Index) -> [u8; 13] {
    numbered_key(ENTRY, group, index.get())
}

/// The index in a key.
pub(crate) fn index_of(key: &[u8]) -> Option<Index> {
    number_of(key).map(Index::new)
}

impl Bare {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEAD + self.bytes.len() + 4);
        out.put_u8(BARE);
        out.put_u8(self.kind);
        out.put_u16_le(0);
        out.put_u32_le(self.group.get());
        out.put_u64_le(self.term.get());
        out.put_u64_le(self.index.get());
        out.put_slice(&self.bytes);
        let sum = crc32fast::hash(&out);
        out.put_u32_le(sum);
        out.freeze()
    }

    /// The bare entry in a value; `None` if it is damaged.
    pub(crate) fn decode(value: &Bytes) -> Option<Self> {
        if value.len() < HEAD + 4 || value[0] != BARE {
            return None;
        }
        let (body, sum) = value.split_at(value.len() - 4);
        let u64_at =
            |at: usize| u64::from_le_bytes(body[at..at + 8].try_into().expect("eight bytes were taken"));
        if sum != crc32fast::hash(body).to_le_bytes() {
            return None;
        }
        Some(Self {
            kind: body[1],
            group: GroupId::new(u32::from_le_bytes(body[4..8].try_into().expect("four bytes were taken"))),
            term: Term::new(u64_at(8)),
            index: Index::new(u64_at(16)),
            bytes: value.slice(HEAD..value.len() - 4),
        })
    }
}

/// Whether a value holds a bare entry.
pub(crate) fn is_bare(value: &[u8]) -> bool {
    value.first() == Some(&BARE)
}

const BARE: u8 = 128;
const HEAD: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_entry_comes_back_and_a_flipped_bit_is_seen() {
        let bare = Bare {
            kind: 2,
            group: GroupId::new(7),
            term: Term::new(3),
            index: Index::new(9),
            bytes: Bytes::from_static(b"x"),
        };
        let value = bare.encode();
        assert_eq!(Bare::decode(&value), Some(bare));
        for at in 0..value.len() {
            let mut bad = value.to_vec();
            bad[at] ^= 4;
            assert_eq!(Bare::decode(&bad.into()), None, "byte {at}");
        }
    }

    #[test]
    fn keys_sort_by_group_and_index() {
        let low = key(GroupId::new(1), Index::new(u64::MAX));
        assert!(low < key(GroupId::new(2), Index::new(0)));
        assert_eq!(index_of(&low), Some(Index::new(u64::MAX)));
    }
}
