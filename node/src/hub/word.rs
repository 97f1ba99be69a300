//! What hubs say to each other beside Raft and proposals.
//!
//! The bytes of a link's opaque frame: one byte that says which, then a protobuf message or a frame of the log.

use bytes::{BufMut, Bytes, BytesMut};
use holdfast_log::{Bulk, BulkError};
use prost::Message;

use crate::board::Lead;
use crate::mail::ShareSaid;
use crate::route::Partition;
use crate::state::session::record::{Owner, Window};

const WORD: u8 = 1;
const BULK: u8 = 2;

/// One word.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Word {
    /// Which. `None` is a word of a later version, which is passed over.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 8, 10, 11, 12")]
    pub(super) kind: Option<Kind>,
}

/// The kinds of word.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Kind {
    /// How the sender is, once a second.
    #[prost(message, tag = "1")]
    Pulse(Pulse),
    /// An old owner has let go of a session.
    #[prost(message, tag = "2")]
    Released(Released),
    /// An operator wants a connection closed.
    #[prost(message, tag = "3")]
    Disconnect(Disconnect),
    /// Another connection of a client's is here: what came on this one before is to be read.
    #[prost(message, tag = "4")]
    Hear(Hear),
    /// It is read, and what it led to is committed.
    #[prost(message, tag = "5")]
    Heard(Heard),
    /// Records of QoS 0.
    #[prost(message, tag = "10")]
    Lives(Lives),
    /// What the sender's sessions listen to.
    #[prost(message, tag = "11")]
    Interest(Interest),
    /// How much of the receiver's interest the sender has taken up.
    #[prost(message, tag = "12")]
    InterestSeen(InterestSeen),
    /// What members and dispatchers of shared subscriptions say.
    #[prost(message, tag = "8")]
    Shared(Shared),
}

/// How a node is.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Pulse {
    /// Its wall clock, milliseconds since 1970.
    #[prost(uint64, tag = "1")]
    pub(super) wall: u64,
    /// Its disk is full.
    #[prost(bool, tag = "2")]
    pub(super) full: bool,
    /// It serves clients.
    #[prost(bool, tag = "3")]
    pub(super) serving: bool,
    /// It is about to stop, and should lead nothing.
    #[prost(bool, tag = "4")]
    pub(super) stopping: bool,
    /// How far the session groups are that it leads. `None`: its version does not say.
    #[prost(message, optional, tag = "5")]
    pub(super) marks: Option<Marks>,
}

/// How far the session groups are that a node leads.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Marks {
    /// One for each.
    #[prost(message, repeated, tag = "1")]
    pub(super) marks: Vec<Mark>,
}

/// How far a session group is.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Mark {
    /// Its number.
    #[prost(uint32, tag = "1")]
    pub(super) group: u32,
    /// Its committed index.
    #[prost(uint64, tag = "2")]
    pub(super) committed: u64,
}

/// A session is let go.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Released {
    /// Client Identifier.
    #[prost(string, tag = "1")]
    pub(super) client_id: String,
    /// Epoch of the owner that it is let go to.
    #[prost(uint64, tag = "2")]
    pub(super) epoch: u64,
    /// The last cursor and window.
    #[prost(message, optional, tag = "3")]
    pub(super) window: Option<Window>,
}

/// Close a connection.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Disconnect {
    /// Client Identifier.
    #[prost(string, tag = "1")]
    pub(super) client_id: String,
    /// The connection.
    #[prost(message, required, tag = "2")]
    pub(super) owner: Owner,
}

/// Read what has come on a connection.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Hear {
    /// Client Identifier.
    #[prost(string, tag = "1")]
    pub(super) client_id: String,
    /// The connection.
    #[prost(message, required, tag = "2")]
    pub(super) owner: Owner,
    /// Of the question.
    #[prost(uint64, tag = "3")]
    pub(super) number: u64,
}

/// What had come on a connection is read.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct Heard {
    /// Of the question.
    #[prost(uint64, tag = "1")]
    pub(super) number: u64,
}

/// Records of QoS 0, of several partitions.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Lives {
    /// In the order in which they were published, within each partition.
    #[prost(message, repeated, tag = "1")]
    pub(super) batches: Vec<Live>,
}

/// Records of QoS 0 of one partition.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Live {
    /// The partition.
    #[prost(uint32, tag = "1")]
    pub(super) partition: u32,
    /// Term under which they are routed.
    #[prost(uint64, tag = "2")]
    pub(super) term: u64,
    /// How many.
    #[prost(uint32, tag = "3")]
    pub(super) count: u32,
    /// The records, end to end.
    #[prost(bytes = "bytes", tag = "4")]
    pub(super) records: Bytes,
    /// On their way to the leader, which routes them; otherwise they come from it.
    #[prost(bool, tag = "5")]
    pub(super) to_leader: bool,
    /// Group time at which they were routed, ms; 0 on their way to the leader.
    #[prost(uint64, tag = "6")]
    pub(super) stamp: u64,
    /// Terms of the session groups as the router knows them; none on their way to it.
    #[prost(uint64, repeated, tag = "7")]
    pub(super) terms: Vec<u64>,
}

/// Changes of what the sender's sessions listen to: first the additions, then the removals.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Interest {
    /// They are changes of the empty set.
    #[prost(bool, tag = "1")]
    pub(super) reset: bool,
    /// Filters that are wanted.
    #[prost(string, repeated, tag = "2")]
    pub(super) add: Vec<String>,
    /// Filters that are wanted no longer.
    #[prost(string, repeated, tag = "3")]
    pub(super) remove: Vec<String>,
    /// Number of the set that they lead to; 0: there is more to come before it is one.
    #[prost(uint64, tag = "4")]
    pub(super) version: u64,
}

/// The receiver's interest is taken up.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct InterestSeen {
    /// Up to this number; 0: the sender wants to be told anew.
    #[prost(uint64, tag = "1")]
    pub(super) version: u64,
}

/// Words about shared subscriptions, in order.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Shared {
    /// The words.
    #[prost(message, repeated, tag = "1")]
    pub(super) said: Vec<ShareSaid>,
}

/// What an opaque frame holds.
#[derive(Debug)]
pub(super) enum Opaque {
    /// A word.
    Word(Kind),
    /// A frame of the log's own.
    Bulk(Bulk),
    /// A word of a later version.
    Unknown,
}

/// Why the bytes of an opaque frame are not understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpaqueError {
    /// Not protobuf, or no such word.
    #[error("not a word")]
    Word,
    /// Not a frame of the log.
    #[error(transparent)]
    Bulk(#[from] BulkError),
}

impl Live {
    /// From the leader.
    pub(super) fn new(partition: Partition, lead: Lead, count: u32, records: Bytes) -> Self {
        let (partition, term) = (u32::from(partition.get()), lead.term());
        Self { partition, term, count, records, to_leader: false, stamp: 0, terms: Vec::new() }
    }
}

impl Kind {
    /// The bytes of the frame.
    pub(super) fn into_bytes(self) -> Bytes {
        let word = Word { kind: Some(self) };
        let mut out = BytesMut::with_capacity(1 + word.encoded_len());
        out.put_u8(WORD);
        word.encode(&mut out).expect("a buffer that grows");
        out.freeze()
    }
}

/// A frame of the log as the bytes of an opaque frame.
pub(super) fn encode_bulk(bulk: &Bulk) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + bulk.encoded_len());
    out.put_u8(BULK);
    bulk.encode(&mut out);
    out.freeze()
}

/// Takes the bytes of an opaque frame apart.
pub(super) fn decode(mut bytes: Bytes) -> Result<Opaque, OpaqueError> {
    if bytes.is_empty() {
        return Err(OpaqueError::Word);
    }
    match bytes.split_to(1)[0] {
        WORD => {
            let word = Word::decode(bytes).map_err(|_| OpaqueError::Word)?;
            Ok(word.kind.map_or(Opaque::Unknown, Opaque::Word))
        }
        BULK => Ok(Opaque::Bulk(Bulk::decode(bytes)?)),
        _ => Ok(Opaque::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_bytes_of_another_node_panic(
            kind in 0..4_u8,
            bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        ) {
            let frame = [vec![kind], bytes].concat();
            let _understood = decode(Bytes::from(frame));
        }
    }

    #[test]
    fn a_word_of_a_later_version_is_passed_over_and_half_a_word_is_refused() {
        let pulse = Pulse { wall: 300, full: true, serving: true, stopping: false, marks: None };
        let pulse = Kind::Pulse(pulse).into_bytes();
        assert!(matches!(decode(pulse.clone()), Ok(Opaque::Word(Kind::Pulse(pulse))) if pulse.wall == 300));
        assert!(matches!(decode(pulse.slice(..pulse.len() - 1)), Err(OpaqueError::Word)));
        // Field 31 of a word, and a kind of frame that is not known.
        assert!(matches!(decode(Bytes::from_static(&[WORD, 0xfa, 0x01, 0x00])), Ok(Opaque::Unknown)));
        assert!(matches!(decode(Bytes::from_static(&[0x7f, 1, 2])), Ok(Opaque::Unknown)));
        assert!(matches!(decode(Bytes::new()), Err(OpaqueError::Word)));
    }
}
