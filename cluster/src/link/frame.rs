//! What nodes say to each other.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0..4 | length of the rest, u32 little-endian |
//! | 4 | version, 1 |
//! | then | one protobuf message, `wire::Envelope` |

mod wire;

use bytes::{BufMut, Bytes, BytesMut};
use holdfast_log::{BootEpoch, GroupId, Index, NodeId, Offset, Proposal, Refusal, Sequence};

use super::code::Code;

/// Largest frame, in bytes: an MQTT packet of the largest size that is worth carrying, and some room.
pub const FRAME_BYTES_MAX: usize = 16 << 20;
/// Bytes in front of the version.
pub(super) const LENGTH_BYTES: usize = 4;
const VERSION: u8 = 1;

/// One frame.
#[derive(Clone, Debug)]
pub enum Frame {
    /// Messages between replicas, each as `Message::encode` wrote it.
    Raft(Vec<Bytes>),
    /// To a leader: append this.
    Propose(Proposal),
    /// From a leader: what became of a proposal.
    Proposed(Proposed),
    /// To a leader: behind which index is a read of the group current?
    ReadIndex {
        /// The group.
        group: GroupId,
        /// Comes back with the answer.
        token: u64,
    },
    /// The answer.
    ReadIndexed {
        /// The group.
        group: GroupId,
        /// As it was asked.
        token: u64,
        /// The index; `None` where this node cannot tell: ask another, or later.
        index: Option<Index>,
    },
    /// Opaque to the cluster.
    App(Bytes),
    /// The node stops: expect nothing more from it.
    Leaving,
}

/// What became of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// The group.
    pub group: GroupId,
    /// The proposing node.
    pub node: NodeId,
    /// Its boot.
    pub boot: BootEpoch,
    /// The number of the proposal.
    pub seq: Sequence,
    /// Where it was committed, or why it was not appended.
    pub result: Result<Place, Refusal>,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its position in the log.
    pub index: Index,
    /// The offset of its first record.
    pub base: Offset,
}

/// Why bytes are not a frame, or a frame cannot become bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Larger than [`FRAME_BYTES_MAX`].
    #[error("{0} bytes are too many for a frame")]
    Large(usize),
    /// There is not even a version.
    #[error("the frame is empty")]
    Empty,
    /// A version that this program does not know.
    #[error("unknown frame version {0}")]
    Version(u8),
    /// A kind that this program does not know.
    #[error("unknown kind of frame, or of a part of one")]
    Kind,
    /// Not protobuf.
    #[error("malformed frame")]
    Malformed(#[from] prost::DecodeError),
}

impl FrameError {
    /// What the connection is closed with.
    pub fn code(&self) -> Code {
        match self {
            Self::Large(_) => Code::TooLarge,
            Self::Empty | Self::Malformed(_) => Code::Malformed,
            Self::Version(_) => Code::Version,
            Self::Kind => Code::Kind,
        }
    }
}

impl Frame {
    /// The frame with its length in front.
    ///
    /// # Errors
    /// When it is larger than [`FRAME_BYTES_MAX`].
    pub fn encode(&self) -> Result<Bytes, FrameError> {
        seal(&wire::Envelope::from(self))
    }

    /// Takes a frame apart that had its length in front; `body` is without it and is shared, not copied.
    ///
    /// # Errors
    /// When the version or the kind is unknown, or the bytes are none of ours.
    pub fn decode(body: Bytes) -> Result<Self, FrameError> {
        open::<wire::Envelope>(body)?.try_into()
    }
}

/// Length, version, message.
pub(super) fn seal(message: &impl prost::Message) -> Result<Bytes, FrameError> {
    let length = 1 + message.encoded_len();
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::Large(length));
    }
    let mut out = BytesMut::with_capacity(LENGTH_BYTES + length);
    out.put_u32_le(u32::try_from(length).expect("checked against 16 MiB"));
    out.put_u8(VERSION);
    message.encode(&mut out).expect("the room is reserved");
    Ok(out.freeze())
}

/// The message behind a version.
pub(super) fn open<M: prost::Message + Default>(mut body: Bytes) -> Result<M, FrameError> {
    match body.first() {
        None => Err(FrameError::Empty),
        Some(&VERSION) => Ok(M::decode(body.split_off(1))?),
        Some(&other) => Err(FrameError::Version(other)),
    }
}

#[cfg(test)]
mod tests;
