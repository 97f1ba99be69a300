//! The lanes of a link: what must not wait for what.
//!
//! | slot | lane | queue | unread at the other end | beyond that |
//! | --- | --- | --- | --- | --- |
//! | 0 | control | 1 MiB | 64 MiB | dropped, Raft says it again |
//! | 1, 2 | append, by group | 16 MiB each | 48 MiB | dropped, Raft says it again |
//! | 3 | rpc | 8 MiB | 40 MiB | refused, the caller keeps it |
//! | 4 | feed | 8 MiB | 32 MiB | refused, the reader falls back to its cursor |
//! | 5 | live | 4 MiB | 24 MiB | dropped and counted: QoS 0 |
//! | 6 | bulk | 32 MiB | 16 MiB | refused, the sender waits |
//!
//! A queue takes one frame of any size while it is empty. "Unread" is what lies in the other node's inbox,
//! of all lanes together, when the lane is no longer read and QUIC holds back the sender.

use holdfast_log::GroupId;

/// What a frame is, as far as its way is concerned. Frames of one lane (and group) arrive in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Votes, heartbeats, liveness. Before everything else.
    Control,
    /// Appends of this group and their answers.
    Append(GroupId),
    /// Proposals to a leader and requests between nodes.
    Rpc,
    /// Committed records for nodes without a replica.
    Feed,
    /// QoS 0 messages.
    Live,
    /// Snapshots and history, on a connection of its own.
    Bulk,
}

/// Number of slots: queues of a peer, and streams to it.
pub const SLOTS: usize = 7;
/// Streams that carry appends: one lost packet holds up the groups of one of them only.
const APPENDS: u32 = 2;
pub(super) const BULK: usize = 6;

impl Lane {
    /// The queue and stream of this lane.
    pub fn slot(self) -> usize {
        match self {
            Self::Control => 0,
            Self::Append(group) => 1 + (group.get() % APPENDS) as usize,
            Self::Rpc => 3,
            Self::Feed => 4,
            Self::Live => 5,
            Self::Bulk => BULK,
        }
    }
}

/// A name for each slot, for metrics.
pub const SLOT_NAMES: [&str; SLOTS] = ["control", "append", "append", "rpc", "feed", "live", "bulk"];

const MIB: usize = 1 << 20;

/// Bytes that wait for each stream: what a LAN carries in well under a second, so that what is sent is still
/// of use when it arrives.
pub(super) const QUEUE_BYTES_MAX: [usize; SLOTS] =
    [MIB, 16 * MIB, 16 * MIB, 8 * MIB, 8 * MIB, 4 * MIB, 32 * MIB];

/// Bytes in the inbox from which on a slot is not read. The less a lane can wait, the more it is allowed.
pub(super) const UNREAD_BYTES_MAX: [usize; SLOTS] =
    [64 * MIB, 48 * MIB, 48 * MIB, 40 * MIB, 32 * MIB, 24 * MIB, 16 * MIB];

/// Priority of each stream. QUIC sends a higher one first, always.
pub(super) const PRIORITIES: [i32; SLOTS] = [7, 5, 5, 4, 3, 1, 0];
