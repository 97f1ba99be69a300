//! Frames as protobuf. Numbers once used are never used again.

use bytes::Bytes;
use holdfast_log::{Body, BootEpoch, GroupId, Index, NodeId, Offset, Proposal, Refusal, ReplicaId};
use holdfast_log::{Sequence, Stamp};

use super::{Frame, FrameError, Place, Proposed};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Envelope {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Raft(WireRaft),
    #[prost(message, tag = "2")]
    Propose(WirePropose),
    #[prost(message, tag = "3")]
    Proposed(WireProposed),
    #[prost(message, tag = "4")]
    ReadIndex(WireRead),
    #[prost(message, tag = "5")]
    ReadIndexed(WireRead),
    #[prost(bytes = "bytes", tag = "6")]
    App(Bytes),
    #[prost(bool, tag = "7")]
    Leaving(bool),
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireRaft {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    messages: Vec<Bytes>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct WireKey {
    #[prost(uint32, tag = "1")]
    group: u32,
    #[prost(uint64, tag = "2")]
    node: u64,
    #[prost(uint64, tag = "3")]
    boot: u64,
    #[prost(uint64, tag = "4")]
    seq: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WirePropose {
    #[prost(message, required, tag = "1")]
    key: WireKey,
    #[prost(fixed64, tag = "2")]
    stamp: u64,
    #[prost(oneof = "WireBody", tags = "3, 4, 5, 6")]
    body: Option<WireBody>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum WireBody {
    #[prost(message, tag = "3")]
    Records(WireRecords),
    #[prost(bytes = "bytes", tag = "4")]
    Command(Bytes),
    #[prost(message, tag = "5")]
    CloseBoot(WireBoot),
    #[prost(uint64, tag = "6")]
    LogStart(u64),
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireRecords {
    #[prost(uint32, tag = "1")]
    count: u32,
    #[prost(bytes = "bytes", tag = "2")]
    bytes: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct WireBoot {
    #[prost(uint64, tag = "1")]
    node: u64,
    #[prost(uint64, tag = "2")]
    boot: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct WireProposed {
    #[prost(message, required, tag = "1")]
    key: WireKey,
    #[prost(oneof = "WireResult", tags = "2, 3")]
    result: Option<WireResult>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Oneof)]
enum WireResult {
    #[prost(message, tag = "2")]
    Place(WirePlace),
    #[prost(message, tag = "3")]
    Refusal(WireRefusal),
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct WirePlace {
    #[prost(uint64, tag = "1")]
    index: u64,
    #[prost(uint64, tag = "2")]
    base: u64,
}

/// `number` says which refusal; `value` is its group, leader or sequence; `committed` is that of a repeat.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct WireRefusal {
    #[prost(uint32, tag = "1")]
    number: u32,
    #[prost(uint64, optional, tag = "2")]
    value: Option<u64>,
    #[prost(bool, tag = "3")]
    committed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct WireRead {
    #[prost(uint32, tag = "1")]
    group: u32,
    #[prost(uint64, tag = "2")]
    token: u64,
    #[prost(uint64, optional, tag = "3")]
    index: Option<u64>,
}

impl From<&Frame> for Envelope {
    fn from(frame: &Frame) -> Self {
        let kind = match frame {
            Frame::Raft(messages) => Kind::Raft(WireRaft { messages: messages.clone() }),
            Frame::Propose(proposal) => Kind::Propose(WirePropose::from(proposal)),
            Frame::Proposed(proposed) => Kind::Proposed(WireProposed::from(proposed)),
            Frame::ReadIndex { group, token } => {
                Kind::ReadIndex(WireRead { group: group.get(), token: *token, index: None })
            }
            Frame::ReadIndexed { group, token, index } => {
                let index = index.map(Index::get);
                Kind::ReadIndexed(WireRead { group: group.get(), token: *token, index })
            }
            Frame::App(bytes) => Kind::App(bytes.clone()),
            Frame::Leaving => Kind::Leaving(true),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<Envelope> for Frame {
    type Error = FrameError;

    fn try_from(envelope: Envelope) -> Result<Self, FrameError> {
        Ok(match envelope.kind.ok_or(FrameError::Kind)? {
            Kind::Raft(raft) => Self::Raft(raft.messages),
            Kind::Propose(propose) => Self::Propose(propose.try_into()?),
            Kind::Proposed(proposed) => Self::Proposed(proposed.try_into()?),
            Kind::ReadIndex(read) => Self::ReadIndex { group: GroupId::new(read.group), token: read.token },
            Kind::ReadIndexed(read) => Self::ReadIndexed {
                group: GroupId::new(read.group),
                token: read.token,
                index: read.index.map(Index::new),
            },
            Kind::App(bytes) => Self::App(bytes),
            Kind::Leaving(_) => Self::Leaving,
        })
    }
}

impl From<&Proposal> for WirePropose {
    fn from(proposal: &Proposal) -> Self {
        let body = match &proposal.body {
            Body::Records { count, bytes } => {
                WireBody::Records(WireRecords { count: *count, bytes: bytes.clone() })
            }
            Body::Command(bytes) => WireBody::Command(bytes.clone()),
            Body::CloseBoot { node, boot } => {
                WireBody::CloseBoot(WireBoot { node: node.get(), boot: boot.get() })
            }
            Body::LogStart(offset) => WireBody::LogStart(offset.get()),
        };
        let key = WireKey {
            group: proposal.group.get(),
            node: proposal.node.get(),
            boot: proposal.boot.get(),
            seq: proposal.seq.get(),
        };
        Self { key, stamp: proposal.stamp.get(), body: Some(body) }
    }
}

impl TryFrom<WirePropose> for Proposal {
    type Error = FrameError;

    fn try_from(propose: WirePropose) -> Result<Self, FrameError> {
        let body = match propose.body.ok_or(FrameError::Kind)? {
            WireBody::Records(records) => Body::Records { count: records.count, bytes: records.bytes },
            WireBody::Command(bytes) => Body::Command(bytes),
            WireBody::CloseBoot(close) => {
                Body::CloseBoot { node: NodeId::new(close.node), boot: BootEpoch::new(close.boot) }
            }
            WireBody::LogStart(offset) => Body::LogStart(Offset::new(offset)),
        };
        Ok(Self {
            group: GroupId::new(propose.key.group),
            node: NodeId::new(propose.key.node),
            boot: BootEpoch::new(propose.key.boot),
            seq: Sequence::new(propose.key.seq),
            body,
            stamp: Stamp::new(propose.stamp),
        })
    }
}

impl From<&Proposed> for WireProposed {
    fn from(proposed: &Proposed) -> Self {
        let key = WireKey {
            group: proposed.group.get(),
            node: proposed.node.get(),
            boot: proposed.boot.get(),
            seq: proposed.seq.get(),
        };
        let result = match &proposed.result {
            Ok(place) => WireResult::Place(WirePlace { index: place.index.get(), base: place.base.get() }),
            Err(refusal) => WireResult::Refusal(refusal_to_wire(*refusal)),
        };
        Self { key, result: Some(result) }
    }
}

impl TryFrom<WireProposed> for Proposed {
    type Error = FrameError;

    fn try_from(proposed: WireProposed) -> Result<Self, FrameError> {
        let result = match proposed.result.ok_or(FrameError::Kind)? {
            WireResult::Place(place) => {
                Ok(Place { index: Index::new(place.index), base: Offset::new(place.base) })
            }
            WireResult::Refusal(refusal) => Err(refusal_from_wire(refusal)?),
        };
        Ok(Self {
            group: GroupId::new(proposed.key.group),
            node: NodeId::new(proposed.key.node),
            boot: BootEpoch::new(proposed.key.boot),
            seq: Sequence::new(proposed.key.seq),
            result,
        })
    }
}

fn refusal_to_wire(refusal: Refusal) -> WireRefusal {
    let plain = |number| WireRefusal { number, value: None, committed: false };
    match refusal {
        Refusal::Unknown(group) => WireRefusal { value: Some(group.get().into()), ..plain(1) },
        Refusal::Stopped => plain(2),
        Refusal::NotLeader { leader } => WireRefusal { value: leader.map(ReplicaId::get), ..plain(3) },
        Refusal::NotReady => plain(4),
        Refusal::Repeat { committed } => WireRefusal { committed, ..plain(5) },
        Refusal::Gap { expected } => WireRefusal { value: Some(expected.get()), ..plain(6) },
        Refusal::Closed => plain(7),
        Refusal::Full => plain(8),
        Refusal::Range => plain(9),
    }
}

fn refusal_from_wire(wire: WireRefusal) -> Result<Refusal, FrameError> {
    let value = wire.value.ok_or(FrameError::Kind);
    Ok(match wire.number {
        1 => Refusal::Unknown(GroupId::new(u32::try_from(value?).map_err(|_| FrameError::Kind)?)),
        2 => Refusal::Stopped,
        3 => Refusal::NotLeader { leader: wire.value.map(ReplicaId::new) },
        4 => Refusal::NotReady,
        5 => Refusal::Repeat { committed: wire.committed },
        6 => Refusal::Gap { expected: Sequence::new(value?) },
        7 => Refusal::Closed,
        8 => Refusal::Full,
        9 => Refusal::Range,
        _ => return Err(FrameError::Kind),
    })
}
