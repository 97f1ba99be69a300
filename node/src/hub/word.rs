//! What hubs say to each other beside Raft and proposals.
//!
//! The bytes of a link's opaque frame: one byte that says which, then a protobuf message or a frame of the log.

use bytes::{BufMut, Bytes, BytesMut};
use holdfast_log::{Bulk, BulkError};
use prost::Message;

use crate::state::session::record::{Owner, Window};

const WORD: u8 = 1;
const BULK: u8 = 2;

/// One word.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Word {
    /// Which. `None` is a word of a later version, which is passed over.
    #[prost(oneof = "Kind", tags = "1, 2, 3")]
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
}

/// How a node is.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
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
