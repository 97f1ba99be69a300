//! What goes between two replicas beside Raft: chunks of snapshots, and ranges of entries.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0 | version, 1 |
//! | 1 | 1 snapshot wanted, 2 chunk, 3 done, 4 history wanted, 5 history |
//! | 2..4 | reserved, 0 |
//! | 4..8 | group, u32 |
//! | 8..16, 16..24 | to and from, replicas, u64 each |
//! | 24..64 | five numbers, u64 each: see `Body` |
//! | 64..68 | number of parts, u32 |
//! | then | per part: length u32, bytes |
//! | n-4..n | CRC-32 of all before, u32 |
//!
//! Integers are little-endian. Each frame asks or answers on its own, so a lost, repeated or late one
//! costs time and nothing else. None is much larger than `Config::chunk_bytes`.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::id::{GroupId, Index, NodeId, ReplicaId, Term};

/// Travels from one replica to another on a lane where it does not hold up Raft's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bulk {
    pub(crate) group: GroupId,
    pub(crate) to: ReplicaId,
    pub(crate) from: ReplicaId,
    pub(crate) node: Option<NodeId>,
    pub(crate) body: Body,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Chunks from `number` on of the snapshot at `index` (0: of any) that is not below `at_least`.
    Wanted { at_least: Index, index: Index, number: u32, count: u32 },
    /// One chunk of the snapshot at `index`, which has `of` chunks with the checksum `sum`.
    Chunk { index: Index, term: Term, number: u32, of: u32, sum: u32, bytes: Bytes },
    /// A snapshot is in place, or will not be.
    Done { index: Index, success: bool },
    /// Entries of `from..to`, about `bytes` bytes.
    HistoryWanted { from: Index, to: Index, bytes: u64 },
    /// Entries from `first` on as they are on disk, `before` being the term of the one before; none where
    /// all that was wanted is cut. `asked` is where they were wanted from: `first` is above it only where
    /// the sender has cut what lies between.
    History { asked: Index, first: Index, before: Term, values: Vec<Bytes> },
}

/// Why bytes are not such a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BulkError {
    /// They end too early.
    #[error("the frame is cut short")]
    Short,
    /// More bytes than the frame has.
    #[error("{0} bytes follow the frame")]
    Long(usize),
    /// A version that this one does not know.
    #[error("unknown frame version {0}")]
    Version(u8),
    /// A kind that this version does not know, or numbers that it cannot have.
    #[error("unknown frame kind {0}")]
    Kind(u8),
    /// Not what was sent.
    #[error("the checksum of the frame is wrong")]
    Checksum,
}

impl Bulk {
    /// The group.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// The node to send it to, where the sender knows it; `None` in a frame that was received.
    pub fn node(&self) -> Option<NodeId> {
        self.node
    }

    /// The replica that it is for.
    pub fn to(&self) -> ReplicaId {
        self.to
    }

    /// The replica that it is from.
    pub fn from(&self) -> ReplicaId {
        self.from
    }

    /// A short name of its type, for counting.
    pub fn kind(&self) -> &'static str {
        match self.body {
            Body::Wanted { .. } => "snapshot_wanted",
            Body::Chunk { .. } => "snapshot_chunk",
            Body::Done { .. } => "snapshot_done",
            Body::HistoryWanted { .. } => "history_wanted",
            Body::History { .. } => "history",
        }
    }

    /// Bytes of the encoded frame.
    pub fn encoded_len(&self) -> usize {
        let parts: usize = self.body.parts().iter().map(|part| 4 + part.len()).sum();
        FIXED_BYTES + parts + 4
    }

    /// Appends the frame.
    pub fn encode(&self, out: &mut BytesMut) {
        out.reserve(self.encoded_len());
        let start = out.len();
        let (kind, numbers) = self.body.numbers();
        out.put_slice(&[VERSION, kind, 0, 0]);
        out.put_u32_le(self.group.get());
        out.put_u64_le(self.to.get());
        out.put_u64_le(self.from.get());
        numbers.into_iter().for_each(|number| out.put_u64_le(number));
        let parts = self.body.parts();
        out.put_u32_le(length(parts.len()));
        for part in parts {
            out.put_u32_le(length(part.len()));
            out.put_slice(part);
        }
        let sum = crc32fast::hash(&out[start..]);
        out.put_u32_le(sum);
    }

    /// Takes a whole frame apart; the checksum comes first. Parts share `bytes`.
    pub fn decode(mut bytes: Bytes) -> Result<Self, BulkError> {
        if bytes.len() < FIXED_BYTES + 4 {
            return Err(BulkError::Short);
        }
        if bytes[0] != VERSION {
            return Err(BulkError::Version(bytes[0]));
        }
        let mut sum = bytes.split_off(bytes.len() - 4);
        if crc32fast::hash(&bytes) != sum.get_u32_le() {
            return Err(BulkError::Checksum);
        }
        let kind = bytes[1];
        bytes.advance(4);
        let group = GroupId::new(bytes.get_u32_le());
        let (to, from) = (ReplicaId::new(bytes.get_u64_le()), ReplicaId::new(bytes.get_u64_le()));
        let numbers = std::array::from_fn(|_| bytes.get_u64_le());
        let count = bytes.get_u32_le() as usize;
        let mut parts = Vec::with_capacity(count.min(bytes.len() / 4));
        for _ in 0..count {
            if bytes.len() < 4 {
                return Err(BulkError::Short);
            }
            let size = bytes.get_u32_le() as usize;
            if bytes.len() < size {
                return Err(BulkError::Short);
            }
            parts.push(bytes.split_to(size));
        }
        if !bytes.is_empty() {
            return Err(BulkError::Long(bytes.len()));
        }
        let body = Body::of(kind, numbers, parts).ok_or(BulkError::Kind(kind))?;
        Ok(Self { group, to, from, node: None, body })
    }
}

impl Body {
    fn numbers(&self) -> (u8, [u64; 5]) {
        match *self {
            Self::Wanted { at_least, index, number, count } => {
                (1, [at_least.get(), index.get(), number.into(), count.into(), 0])
            }
            Self::Chunk { index, term, number, of, sum, .. } => {
                (2, [index.get(), term.get(), number.into(), of.into(), sum.into()])
            }
            Self::Done { index, success } => (3, [index.get(), success.into(), 0, 0, 0]),
            Self::HistoryWanted { from, to, bytes } => (4, [from.get(), to.get(), bytes, 0, 0]),
            Self::History { asked, first, before, .. } => (5, [asked.get(), first.get(), before.get(), 0, 0]),
        }
    }

    fn parts(&self) -> &[Bytes] {
        match self {
            Self::Chunk { bytes, .. } => std::slice::from_ref(bytes),
            Self::History { values, .. } => values,
            _ => &[],
        }
    }

    fn of(kind: u8, numbers: [u64; 5], mut parts: Vec<Bytes>) -> Option<Self> {
        let [first, second, third, fourth, fifth] = numbers;
        let small = |number: u64| u32::try_from(number).ok();
        let index = Index::new(first);
        match (kind, parts.len()) {
            (1, 0) => {
                let (number, count) = (small(third)?, small(fourth)?);
                Some(Self::Wanted { at_least: index, index: Index::new(second), number, count })
            }
            (2, 1) => Some(Self::Chunk {
                index,
                term: Term::new(second),
                number: small(third)?,
                of: small(fourth)?,
                sum: small(fifth)?,
                bytes: parts.pop()?,
            }),
            (3, 0) => Some(Self::Done { index, success: second == 1 }),
            (4, 0) => Some(Self::HistoryWanted { from: index, to: Index::new(second), bytes: third }),
            (5, _) => Some(Self::History {
                asked: index,
                first: Index::new(second),
                before: Term::new(third),
                values: parts,
            }),
            _ => None,
        }
    }
}

fn length(size: usize) -> u32 {
    u32::try_from(size).expect("one frame is far below 4 GiB")
}

const VERSION: u8 = 1;
const FIXED_BYTES: usize = 68;

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies() -> Vec<Body> {
        let (index, term, bytes) = (Index::new(9), Term::new(3), Bytes::from_static(b"chunk"));
        vec![
            Body::Wanted { at_least: index, index: Index::new(10), number: 1, count: 4 },
            Body::Chunk { index, term, number: 2, of: 3, sum: u32::MAX, bytes: bytes.clone() },
            Body::Done { index, success: true },
            Body::HistoryWanted { from: index, to: Index::new(20), bytes: 1_000 },
            Body::History {
                asked: index,
                first: index.next(),
                before: term,
                values: vec![bytes.clone(), Bytes::new(), bytes],
            },
        ]
    }

    fn encoded(body: Body) -> (Bulk, Bytes) {
        let (to, from) = (ReplicaId::new(2), ReplicaId::new(1));
        let bulk = Bulk { group: GroupId::new(7), to, from, node: None, body };
        let mut out = BytesMut::new();
        bulk.encode(&mut out);
        assert_eq!(out.len(), bulk.encoded_len());
        (bulk, out.freeze())
    }

    #[test]
    fn every_frame_comes_back_and_no_damage_passes() {
        for body in bodies() {
            let (bulk, bytes) = encoded(body);
            assert_eq!(Bulk::decode(bytes.clone()), Ok(bulk));
            for at in 0..bytes.len() {
                assert!(Bulk::decode(bytes.slice(..at)).is_err(), "cut at {at}");
                let mut bad = bytes.to_vec();
                bad[at] ^= 1;
                assert!(Bulk::decode(bad.into()).is_err(), "byte {at}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut signed = vec![VERSION];
            signed.extend(&bytes);
            let sum = crc32fast::hash(&signed);
            signed.extend(sum.to_le_bytes());
            let _either = (Bulk::decode(bytes.into()), Bulk::decode(signed.into()));
        }
    }
}
