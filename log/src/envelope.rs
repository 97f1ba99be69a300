//! The envelope around every entry, on disk and on the wire.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0 | version, 1 |
//! | 1 | kind: 1 records, 2 command, 3 close boot, 4 log start |
//! | 2..4 | reserved, 0 |
//! | 4..8 | count, u32 |
//! | 8..12 | group, u32 |
//! | 12..16 | reserved, 0 |
//! | 16..24 | term, u64 |
//! | 24..32 | index, u64 |
//! | 32..40 | proposer's node, u64 |
//! | 40..48 | proposer's boot, u64 |
//! | 48..56 | proposer's sequence, u64 |
//! | 56..64 | base offset, u64 |
//! | 64..72 | stamp, u64, ms |
//! | 72..n-4 | payload |
//! | n-4..n | CRC-32 of all before, u32 |
//!
//! Integers are little-endian. Group, term and index are inside the checksum, so that an entry that
//! turns up in the wrong place is as damaged as one with a flipped bit. A close boot has the payload
//! `node u64, boot u64`, a log start `offset u64`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::id::{BootEpoch, GroupId, Index, NodeId, Offset, Proposer, Sequence, Stamp, Term};

/// What an entry is for. The payload of `Records` and `Command` is opaque to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `count` records, which take `count` offsets from the entry's base on.
    Records,
    /// A change of the group's derived state that takes no offset.
    Command,
    /// From here on everything from this node's boots up to this one is refused.
    CloseBoot {
        /// The node whose boots are closed.
        node: NodeId,
        /// The last boot that is closed.
        boot: BootEpoch,
    },
    /// From here on the log starts at this offset; what lies below may be deleted.
    LogStart {
        /// The first offset that is kept.
        offset: Offset,
    },
}

/// Everything in an envelope except the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) group: GroupId,
    pub(crate) term: Term,
    pub(crate) index: Index,
    pub(crate) proposer: Proposer,
    pub(crate) base: Offset,
    pub(crate) count: u32,
    pub(crate) stamp: Stamp,
}

/// Why bytes are not an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Shorter than the shortest envelope.
    #[error("an envelope of {0} bytes is too short")]
    Short(usize),
    /// The checksum does not fit the bytes.
    #[error("checksum {found:#010x} where the bytes give {computed:#010x}")]
    Checksum {
        /// What the envelope says.
        found: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// Written by a version that this one does not know.
    #[error("unknown envelope version {0}")]
    Version(u8),
    /// A kind that this version does not know.
    #[error("unknown envelope kind {0}")]
    Kind(u8),
    /// A count where the kind allows none, or none where it needs one, or a payload of a wrong length.
    #[error("kind {kind} with count {count} and {payload} bytes of payload")]
    Shape {
        /// The kind's number.
        kind: u8,
        /// The count.
        count: u32,
        /// Length of the payload.
        payload: usize,
    },
    /// Right in itself, but it belongs to another place in the log.
    #[error("an entry of {group} {term} {index} is in the wrong place")]
    Place {
        /// The group that it names.
        group: GroupId,
        /// The term that it names.
        term: Term,
        /// The index that it names.
        index: Index,
    },
}

impl Header {
    /// Builds the envelope: one allocation, one copy of the payload, one pass for the checksum.
    pub(crate) fn encode(&self, payload: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(PAYLOAD + payload.len() + CHECKSUM);
        out.put_u8(VERSION);
        out.put_u8(kind_number(self.kind));
        out.put_u16_le(0);
        out.put_u32_le(self.count);
        out.put_u32_le(self.group.get());
        out.put_u32_le(0);
        out.put_u64_le(self.term.get());
        out.put_u64_le(self.index.get());
        out.put_u64_le(self.proposer.node.get());
        out.put_u64_le(self.proposer.boot.get());
        out.put_u64_le(self.proposer.sequence.get());
        out.put_u64_le(self.base.get());
        out.put_u64_le(self.stamp.get());
        match self.kind {
            Kind::Records | Kind::Command => out.put_slice(payload),
            Kind::CloseBoot { node, boot } => {
                out.put_u64_le(node.get());
                out.put_u64_le(boot.get());
            }
            Kind::LogStart { offset } => out.put_u64_le(offset.get()),
        }
        let sum = crc32fast::hash(&out);
        out.put_u32_le(sum);
        out.freeze()
    }

    /// Reads the header without a look at the checksum: for searches, which do not serve what they read.
    pub(crate) fn peek(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() < PAYLOAD + CHECKSUM {
            return Err(EnvelopeError::Short(bytes.len()));
        }
        if bytes[0] != VERSION {
            return Err(EnvelopeError::Version(bytes[0]));
        }
        let count = u32_at(bytes, 4);
        Ok(Self {
            kind: kind_of(bytes[1], count, &bytes[PAYLOAD..bytes.len() - CHECKSUM])?,
            group: GroupId::new(u32_at(bytes, 8)),
            term: Term::new(u64_at(bytes, 16)),
            index: Index::new(u64_at(bytes, 24)),
            proposer: Proposer {
                node: NodeId::new(u64_at(bytes, 32)),
                boot: BootEpoch::new(u64_at(bytes, 40)),
                sequence: Sequence::new(u64_at(bytes, 48)),
            },
            base: Offset::new(u64_at(bytes, 56)),
            count,
            stamp: Stamp::new(u64_at(bytes, 64)),
        })
    }

    /// Refuses an envelope that stands anywhere but in its own place.
    pub(crate) fn expect_place(
        self,
        group: GroupId,
        term: Term,
        index: Index,
    ) -> Result<Self, EnvelopeError> {
        if (self.group, self.term, self.index) == (group, term, index) {
            return Ok(self);
        }
        Err(EnvelopeError::Place { group: self.group, term: self.term, index: self.index })
    }
}

/// The payload of an envelope that has been looked at, without a copy.
pub(crate) fn payload_of(envelope: &Bytes) -> Bytes {
    envelope.slice(PAYLOAD..envelope.len() - CHECKSUM)
}

/// Whether the checksum of an envelope fits its bytes.
pub(crate) fn verify(bytes: &[u8]) -> Result<(), EnvelopeError> {
    if bytes.len() < PAYLOAD + CHECKSUM {
        return Err(EnvelopeError::Short(bytes.len()));
    }
    let (body, sum) = bytes.split_at(bytes.len() - CHECKSUM);
    let (found, computed) = (u32_at(sum, 0), crc32fast::hash(body));
    if found == computed { Ok(()) } else { Err(EnvelopeError::Checksum { found, computed }) }
}

fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Records => RECORDS,
        Kind::Command => COMMAND,
        Kind::CloseBoot { .. } => CLOSE_BOOT,
        Kind::LogStart { .. } => LOG_START,
    }
}

fn kind_of(number: u8, count: u32, payload: &[u8]) -> Result<Kind, EnvelopeError> {
    match (number, count, payload.len()) {
        (RECORDS, 1.., _) => Ok(Kind::Records),
        (COMMAND, 0, _) => Ok(Kind::Command),
        (CLOSE_BOOT, 0, 16) => Ok(Kind::CloseBoot {
            node: NodeId::new(u64_at(payload, 0)),
            boot: BootEpoch::new(u64_at(payload, 8)),
        }),
        (LOG_START, 0, 8) => Ok(Kind::LogStart { offset: Offset::new(u64_at(payload, 0)) }),
        (RECORDS..=LOG_START, _, length) => {
            Err(EnvelopeError::Shape { kind: number, count, payload: length })
        }
        _ => Err(EnvelopeError::Kind(number)),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were taken"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were taken"))
}

/// Bytes of an envelope around an empty payload.
pub(crate) const ENVELOPE_BYTES: usize = PAYLOAD + CHECKSUM;

/// The first byte of every envelope of this version.
pub(crate) const VERSION: u8 = 1;
const PAYLOAD: usize = 72;
const CHECKSUM: usize = 4;
const RECORDS: u8 = 1;
const COMMAND: u8 = 2;
const CLOSE_BOOT: u8 = 3;
const LOG_START: u8 = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(kind: Kind, count: u32) -> Header {
        Header {
            kind,
            group: GroupId::new(7),
            term: Term::new(3),
            index: Index::new(120),
            proposer: Proposer { node: NodeId::new(1), boot: BootEpoch::new(2), sequence: Sequence::new(3) },
            base: Offset::new(40),
            count,
            stamp: Stamp::new(99),
        }
    }

    #[test]
    fn every_kind_comes_back() {
        let close = Kind::CloseBoot { node: NodeId::new(8), boot: BootEpoch::new(9) };
        let start = Kind::LogStart { offset: Offset::new(10) };
        for (kind, count) in [(Kind::Records, 5), (Kind::Command, 0), (close, 0), (start, 0)] {
            let bytes = header(kind, count).encode(b"payload");
            assert_eq!(verify(&bytes), Ok(()));
            assert_eq!(Header::peek(&bytes), Ok(header(kind, count)));
            if matches!(kind, Kind::Records | Kind::Command) {
                assert_eq!(payload_of(&bytes), "payload");
            }
        }
    }

    #[test]
    fn the_layout_is_what_the_table_says() {
        let bytes = header(Kind::Records, 5).encode(b"ab");
        assert_eq!(bytes.len(), ENVELOPE_BYTES + 2);
        assert_eq!(bytes[..16], [1, 1, 0, 0, 5, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
        for (at, field) in [(16, 3), (24, 120), (32, 1), (40, 2), (48, 3), (56, 40), (64, 99)] {
            assert_eq!(u64_at(&bytes, at), field, "at {at}");
        }
        assert_eq!(bytes[72..74], *b"ab");
    }

    #[test]
    fn unknown_versions_kinds_and_shapes_are_named() {
        let damaged = |at: usize, byte: u8| {
            let mut bytes = header(Kind::Records, 5).encode(b"ab").to_vec();
            bytes[at] = byte;
            Header::peek(&bytes)
        };
        assert_eq!(damaged(0, 2), Err(EnvelopeError::Version(2)));
        assert_eq!(damaged(1, 9), Err(EnvelopeError::Kind(9)));
        assert_eq!(damaged(1, COMMAND), Err(EnvelopeError::Shape { kind: COMMAND, count: 5, payload: 2 }));
        assert_eq!(damaged(4, 0), Err(EnvelopeError::Shape { kind: RECORDS, count: 0, payload: 2 }));
        assert_eq!(Header::peek(&[1; 75]), Err(EnvelopeError::Short(75)));
    }

    #[test]
    fn an_entry_elsewhere_is_damaged() {
        let header = header(Kind::Records, 1);
        let (group, term, index) = (header.group, header.term, header.index);
        assert_eq!(header.expect_place(group, term, index), Ok(header));
        assert!(header.expect_place(GroupId::new(8), term, index).is_err());
        assert!(header.expect_place(group, term.next(), index).is_err());
        assert!(header.expect_place(group, term, index.next()).is_err());
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_seen(payload in prop::collection::vec(any::<u8>(), 0..60), bit in 0..600_usize) {
            let mut bytes = header(Kind::Command, 0).encode(&payload).to_vec();
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify(&bytes).is_err());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _either = (verify(&bytes), Header::peek(&bytes));
        }
    }
}
