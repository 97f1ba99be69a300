//! A Raft message between two replicas of a group, in this crate's own frame.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0 | version, 2 |
//! | 1 | message type, Raft's number |
//! | 2 | 1 if it rejects, else 0 |
//! | 3 | 1 if the sender holds the whole history, else 0 |
//! | 4..8 | group, u32 |
//! | 8..16, 16..24 | to and from, replicas, u64 each |
//! | 24..88 | term, log term, index, commit, commit term, request snapshot, reject hint, priority, u64 each |
//! | 88..96 | shared: every voter has the log on disk up to here, u64 |
//! | 96..104 | node of the sender, u64; 0 where it does not know |
//! | 104..108 | length of the context, u32 |
//! | 108..112 | number of entries, u32 |
//! | then | context, then per entry: type u8, term u64, index u64, length u32, bytes |
//!
//! A snapshot message carries no snapshot: index and log term are those before the sender's log, and the
//! receiver asks for the rest beside Raft. Integers are little-endian. Raft's own protobuf parser never sees bytes from a network.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use raft::eraftpb;

use crate::envelope::verify;
use crate::id::{GroupId, Index, NodeId, ReplicaId, Term};

/// Travels from one replica to another, in either of two ways: now or after a sync.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    group: GroupId,
    node: Option<NodeId>,
    sender: Sender,
    raft: eraftpb::Message,
}

/// What every message tells of the replica that it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    /// Its node, so that an answer finds it where the members are not known so far.
    pub(crate) node: Option<NodeId>,
    /// Whether it holds everything from the log start on.
    pub(crate) whole: bool,
    /// Every voter has the log on disk up to here. Once true, it is true for ever.
    pub(crate) shared: Index,
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// They end too early.
    #[error("the message is cut short")]
    Short,
    /// More bytes than the message has.
    #[error("{0} bytes follow the message")]
    Long(usize),
    /// A version that this one does not know.
    #[error("unknown message version {0}")]
    Version(u8),
    /// A type that must not come from a peer, or that is not known.
    #[error("unknown message type {0}")]
    Type(u8),
    /// An entry is not what was sent.
    #[error("an entry of the message is damaged")]
    Entry(#[source] crate::envelope::EnvelopeError),
}

impl Message {
    /// Wraps what Raft wants sent.
    pub(crate) fn new(
        group: GroupId,
        node: Option<NodeId>,
        sender: Sender,
        mut raft: eraftpb::Message,
    ) -> Self {
        if raft.get_msg_type() == eraftpb::MessageType::MsgSnapshot {
            let metadata = raft.get_snapshot().get_metadata();
            (raft.index, raft.log_term) = (metadata.index, metadata.term);
            raft.clear_snapshot();
        }
        Self { group, node, sender, raft }
    }

    /// What it tells of the replica that it is from.
    pub(crate) fn sender(&self) -> Sender {
        self.sender
    }

    /// The group.
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// The node to send it to, where the sender knows it; `None` in a message that was received.
    pub fn node(&self) -> Option<NodeId> {
        self.node
    }

    /// The replica that it is for.
    pub fn to(&self) -> ReplicaId {
        ReplicaId::new(self.raft.to)
    }

    /// The replica that it is from.
    pub fn from(&self) -> ReplicaId {
        ReplicaId::new(self.raft.from)
    }

    /// The term that the sender is in; of a question whether to stand for election, the one that it would be.
    pub fn term(&self) -> Term {
        Term::new(self.raft.term)
    }

    /// A short name of its type, for counting.
    pub fn kind(&self) -> &'static str {
        use eraftpb::MessageType as T;
        match self.raft.get_msg_type() {
            T::MsgAppend => "append",
            T::MsgAppendResponse => "append_response",
            T::MsgHeartbeat => "heartbeat",
            T::MsgHeartbeatResponse => "heartbeat_response",
            T::MsgRequestVote | T::MsgRequestPreVote => "vote",
            T::MsgRequestVoteResponse | T::MsgRequestPreVoteResponse => "vote_response",
            T::MsgSnapshot => "snapshot",
            _ => "other",
        }
    }

    /// The index and term from which on the sender still has the log, if it says that the receiver
    /// needs a snapshot.
    pub(crate) fn offer(&self) -> Option<(Index, Term)> {
        let offers = self.raft.get_msg_type() == eraftpb::MessageType::MsgSnapshot;
        offers.then(|| (Index::new(self.raft.index), Term::new(self.raft.log_term)))
    }

    /// What Raft gets.
    pub(crate) fn into_raft(self) -> eraftpb::Message {
        self.raft
    }

    /// Bytes of the encoded message.
    pub fn encoded_len(&self) -> usize {
        let entries: usize = self.raft.entries.iter().map(|entry| ENTRY_BYTES + entry.data.len()).sum();
        FIXED_BYTES + self.raft.context.len() + entries
    }

    /// Appends the message to a frame.
    pub fn encode(&self, out: &mut BytesMut) {
        let raft = &self.raft;
        out.reserve(self.encoded_len());
        out.put_u8(VERSION);
        out.put_u8(type_number(raft.get_msg_type()));
        out.put_u8(u8::from(raft.reject));
        out.put_u8(u8::from(self.sender.whole));
        out.put_u32_le(self.group.get());
        for field in [raft.to, raft.from, raft.term, raft.log_term, raft.index, raft.commit] {
            out.put_u64_le(field);
        }
        for field in [raft.commit_term, raft.request_snapshot, raft.reject_hint] {
            out.put_u64_le(field);
        }
        out.put_i64_le(raft.priority);
        out.put_u64_le(self.sender.shared.get());
        out.put_u64_le(self.sender.node.map_or(0, NodeId::get));
        out.put_u32_le(length(raft.context.len()));
        out.put_u32_le(length(raft.entries.len()));
        out.put_slice(&raft.context);
        for entry in &raft.entries {
            out.put_u8(entry_number(entry.get_entry_type()));
            out.put_u64_le(entry.term);
            out.put_u64_le(entry.index);
            out.put_u32_le(length(entry.data.len()));
            out.put_slice(&entry.data);
        }
    }

    /// Takes a whole message apart. Entries share `bytes` and have been checked.
    pub fn decode(mut bytes: Bytes) -> Result<Self, MessageError> {
        if bytes.len() < FIXED_BYTES {
            return Err(MessageError::Short);
        }
        let version = bytes.get_u8();
        if version != VERSION {
            return Err(MessageError::Version(version));
        }
        let mut raft = eraftpb::Message::default();
        raft.set_msg_type(type_of(bytes.get_u8())?);
        raft.reject = bytes.get_u8() != 0;
        let whole = bytes.get_u8() != 0;
        let group = GroupId::new(bytes.get_u32_le());
        raft.to = bytes.get_u64_le();
        raft.from = bytes.get_u64_le();
        raft.term = bytes.get_u64_le();
        raft.log_term = bytes.get_u64_le();
        raft.index = bytes.get_u64_le();
        raft.commit = bytes.get_u64_le();
        raft.commit_term = bytes.get_u64_le();
        raft.request_snapshot = bytes.get_u64_le();
        raft.reject_hint = bytes.get_u64_le();
        raft.priority = bytes.get_i64_le();
        let shared = Index::new(bytes.get_u64_le());
        let home = Some(bytes.get_u64_le()).filter(|node| *node != 0).map(NodeId::new);
        let sender = Sender { node: home, whole, shared };
        let context = bytes.get_u32_le() as usize;
        let entries = bytes.get_u32_le() as usize;
        raft.context = take(&mut bytes, context)?;
        // A count that the bytes cannot hold must not reserve memory for it.
        let mut list = Vec::with_capacity(entries.min(bytes.len() / ENTRY_BYTES));
        for _ in 0..entries {
            let entry = decode_entry(&mut bytes)?;
            // Only an append carries what is in the log; a read carries its token in the same place.
            let logged = raft.get_msg_type() == eraftpb::MessageType::MsgAppend
                && entry.get_entry_type() == eraftpb::EntryType::EntryNormal;
            if logged && !entry.data.is_empty() {
                verify(&entry.data).map_err(MessageError::Entry)?;
            }
            list.push(entry);
        }
        raft.entries = list.into();
        if bytes.is_empty() {
            Ok(Self { group, node: None, sender, raft })
        } else {
            Err(MessageError::Long(bytes.len()))
        }
    }
}

fn decode_entry(bytes: &mut Bytes) -> Result<eraftpb::Entry, MessageError> {
    if bytes.len() < ENTRY_BYTES {
        return Err(MessageError::Short);
    }
    let mut entry = eraftpb::Entry::default();
    entry.set_entry_type(match bytes.get_u8() {
        0 => eraftpb::EntryType::EntryNormal,
        1 => eraftpb::EntryType::EntryConfChange,
        2 => eraftpb::EntryType::EntryConfChangeV2,
        other => return Err(MessageError::Type(other)),
    });
    entry.term = bytes.get_u64_le();
    entry.index = bytes.get_u64_le();
    let size = bytes.get_u32_le() as usize;
    entry.data = take(bytes, size)?;
    Ok(entry)
}

fn take(bytes: &mut Bytes, size: usize) -> Result<Bytes, MessageError> {
    if bytes.len() < size {
        return Err(MessageError::Short);
    }
    Ok(bytes.split_to(size))
}

fn length(size: usize) -> u32 {
    u32::try_from(size).expect("one message is far below 4 GiB")
}

fn type_number(kind: eraftpb::MessageType) -> u8 {
    u8::try_from(kind as i32).expect("Raft has less than 256 types of message")
}

fn entry_number(kind: eraftpb::EntryType) -> u8 {
    u8::try_from(kind as i32).expect("Raft has three types of entry")
}

/// Only what a peer may send: no local messages, no forwarded proposals.
fn type_of(number: u8) -> Result<eraftpb::MessageType, MessageError> {
    use eraftpb::MessageType as T;
    let allowed = [
        T::MsgAppend,
        T::MsgAppendResponse,
        T::MsgSnapshot,
        T::MsgRequestVote,
        T::MsgRequestVoteResponse,
        T::MsgHeartbeat,
        T::MsgHeartbeatResponse,
        T::MsgTransferLeader,
        T::MsgTimeoutNow,
        T::MsgReadIndex,
        T::MsgReadIndexResp,
        T::MsgRequestPreVote,
        T::MsgRequestPreVoteResponse,
    ];
    allowed.into_iter().find(|kind| type_number(*kind) == number).ok_or(MessageError::Type(number))
}

const VERSION: u8 = 2;
const FIXED_BYTES: usize = 112;
const ENTRY_BYTES: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Header, Kind};
    use crate::id::{BootEpoch, Offset, Proposer, Sequence, Stamp};

    fn message() -> Message {
        let header = Header {
            kind: Kind::Records,
            group: GroupId::new(7),
            term: Term::new(3),
            index: Index::new(12),
            proposer: Proposer { node: NodeId::new(1), boot: BootEpoch::new(2), sequence: Sequence::new(3) },
            base: Offset::new(40),
            count: 2,
            stamp: Stamp::new(99),
        };
        let mut entry = eraftpb::Entry { term: 3, index: 12, ..Default::default() };
        entry.data = header.encode(b"payload");
        let empty = eraftpb::Entry { term: 3, index: 11, ..Default::default() };
        let mut raft =
            eraftpb::Message { to: 2, from: 1, term: 3, log_term: 2, index: 10, ..Default::default() };
        raft.set_msg_type(eraftpb::MessageType::MsgAppend);
        (raft.commit, raft.commit_term, raft.request_snapshot, raft.reject_hint) = (9, 8, 7, 6);
        (raft.priority, raft.reject, raft.context) = (-5, true, Bytes::from_static(b"context"));
        raft.set_entries(vec![empty, entry].into());
        let sender = Sender { node: Some(NodeId::new(10)), whole: true, shared: Index::new(4) };
        Message::new(GroupId::new(7), None, sender, raft)
    }

    fn encoded() -> Bytes {
        let mut out = BytesMut::new();
        message().encode(&mut out);
        out.freeze()
    }

    #[test]
    fn a_message_comes_back_whole() {
        assert_eq!(encoded().len(), message().encoded_len());
        assert_eq!(Message::decode(encoded()), Ok(message()));
    }

    #[test]
    fn every_cut_and_every_tail_is_refused() {
        let bytes = encoded();
        for cut in 0..bytes.len() {
            assert!(Message::decode(bytes.slice(..cut)).is_err(), "cut at {cut}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Message::decode(longer.into()), Err(MessageError::Long(1)));
    }

    #[test]
    fn a_damaged_entry_is_refused() {
        let mut bytes = encoded().to_vec();
        let at = bytes.len() - 6;
        bytes[at] ^= 1;
        assert!(matches!(Message::decode(bytes.into()), Err(MessageError::Entry(_))));
    }

    #[test]
    fn a_peer_sends_no_local_messages_and_no_proposals() {
        for kind in [0, 1, 2, 10, 11, 12, 200] {
            let mut bytes = encoded().to_vec();
            bytes[1] = kind;
            assert_eq!(Message::decode(bytes.into()), Err(MessageError::Type(kind)));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), at in 0..112_usize) {
            let mut damaged = encoded().to_vec();
            for (place, byte) in damaged[at..].iter_mut().zip(&bytes) {
                *place = *byte;
            }
            let _either = Message::decode(damaged.into());
            let _either = Message::decode(bytes.into());
        }
    }
}
