//! What members of shared subscriptions and the workers that dispatch them say to each other: values within a node,
//! protobuf messages between nodes.
//!
//! ```text
//! dispatcher                                     member
//!     | -- Call (to every node) ------------------> |
//!     | <- Member, for each that is there --------- |
//!     | <- Answered (of the node) ----------------- |
//!     | -- Joined --------------------------------> |
//!     | -- Assign --------------------------------> |
//!     | <- Done ----------------------------------- |
//!     | -- Settled (QoS 2, when it is committed) -> |
//!     | <- Gone ----------------------------------- |
//! ```
//! Every word of a dispatcher and to it carries the term in which its node leads the session group: words of another
//! term are passed over. Between two nodes words arrive in order or are lost with the connection; then the members
//! are gone for the dispatcher, and it calls again.

use std::sync::Arc;

use holdfast_log::{Entry, GroupId};

use super::ConnectionKey;
use crate::route::Partition;
use crate::state::session::record::Owner;

/// A word.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShareSaid {
    /// Which. `None` is a word of a later version, which is passed over.
    #[prost(oneof = "ShareWord", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub word: Option<ShareWord>,
}

/// The words.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ShareWord {
    /// To every node: who is a member of a shared subscription of this group?
    #[prost(message, tag = "1")]
    Call(ShareCall),
    /// To the dispatcher's node: all members of this node have been told.
    #[prost(message, tag = "2")]
    Answered(ShareCall),
    /// To the dispatcher: a member.
    #[prost(message, tag = "3")]
    Member(ShareMember),
    /// To the dispatcher: a member's connection takes no more.
    #[prost(message, tag = "4")]
    Gone(ShareGone),
    /// To the dispatcher: a message is finished.
    #[prost(message, tag = "5")]
    Done(ShareDone),
    /// To a member: the dispatcher knows it.
    #[prost(message, tag = "6")]
    Joined(ShareJoined),
    /// To a member: a message.
    #[prost(message, tag = "7")]
    Assign(ShareAssign),
    /// To a member: the end of a QoS 2 message is recorded.
    #[prost(message, tag = "8")]
    Settled(ShareSettled),
}

/// A node has begun to dispatch the shared subscriptions of a session group.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ShareCall {
    /// Number of the session group.
    #[prost(uint32, tag = "1")]
    pub group: u32,
    /// Term in which the node leads it.
    #[prost(uint64, tag = "2")]
    pub term: u64,
}

/// A member of a shared subscription.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShareMember {
    /// `$share/name/filter`.
    #[prost(string, tag = "1")]
    pub share: String,
    /// Client Identifier.
    #[prost(string, tag = "2")]
    pub client_id: String,
    /// Incarnation of its session.
    #[prost(uint64, tag = "3")]
    pub incarnation: u64,
    /// Its connection.
    #[prost(message, required, tag = "4")]
    pub owner: Owner,
    /// Subscription options byte.
    #[prost(uint32, tag = "5")]
    pub options: u32,
    /// Subscription Identifier, 0: none.
    #[prost(uint32, tag = "6")]
    pub id: u32,
    /// Messages it may have at a time.
    #[prost(uint32, tag = "7")]
    pub capacity: u32,
    /// What it has of this subscription and has not finished.
    #[prost(message, repeated, tag = "8")]
    pub held: Vec<ShareHeld>,
    /// Term of the dispatcher.
    #[prost(uint64, tag = "9")]
    pub term: u64,
    /// Epoch of the session's owner.
    #[prost(uint64, tag = "10")]
    pub epoch: u64,
}

/// A message that a member has.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ShareHeld {
    /// Partition.
    #[prost(uint32, tag = "1")]
    pub partition: u32,
    /// Offset.
    #[prost(uint64, tag = "2")]
    pub offset: u64,
    /// It is delivered at QoS 2.
    #[prost(bool, tag = "3")]
    pub exactly_once: bool,
    /// It is finished but for the dispatcher's record.
    #[prost(bool, tag = "4")]
    pub settling: bool,
}

/// A member's connection takes no more.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShareGone {
    /// `$share/name/filter`.
    #[prost(string, tag = "1")]
    pub share: String,
    /// Client Identifier.
    #[prost(string, tag = "2")]
    pub client_id: String,
    /// The connection.
    #[prost(message, required, tag = "3")]
    pub owner: Owner,
    /// What it was given and has not begun to send.
    #[prost(message, repeated, tag = "4")]
    pub unsent: Vec<ShareHeld>,
    /// Term of the dispatcher.
    #[prost(uint64, tag = "5")]
    pub term: u64,
}

/// A member has finished a message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShareDone {
    /// `$share/name/filter`.
    #[prost(string, tag = "1")]
    pub share: String,
    /// Client Identifier.
    #[prost(string, tag = "2")]
    pub client_id: String,
    /// Partition.
    #[prost(uint32, tag = "3")]
    pub partition: u32,
    /// Offset.
    #[prost(uint64, tag = "4")]
    pub offset: u64,
    /// Who waits for the record of it, at QoS 2.
    #[prost(message, optional, tag = "5")]
    pub settle: Option<Owner>,
    /// Term of the dispatcher.
    #[prost(uint64, tag = "6")]
    pub term: u64,
}

/// The dispatcher knows a member.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShareJoined {
    /// The member's connection.
    #[prost(message, required, tag = "1")]
    pub owner: Owner,
    /// `$share/name/filter`.
    #[prost(string, tag = "2")]
    pub share: String,
}

/// A message for a member.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShareAssign {
    /// The member's connection.
    #[prost(message, required, tag = "1")]
    pub owner: Owner,
    /// `$share/name/filter`.
    #[prost(string, tag = "2")]
    pub share: String,
    /// Subscription options byte of the member.
    #[prost(uint32, tag = "3")]
    pub options: u32,
    /// Subscription Identifier, 0: none.
    #[prost(uint32, tag = "4")]
    pub id: u32,
    /// Partition, of a message in the log.
    #[prost(uint32, tag = "5")]
    pub partition: u32,
    /// Offset, of a message in the log.
    #[prost(uint64, tag = "6")]
    pub offset: u64,
    /// The record, of a message that is not.
    #[prost(bytes = "vec", optional, tag = "7")]
    pub live: Option<Vec<u8>>,
    /// Group time of its arrival, ms, of a message that is not in the log.
    #[prost(uint64, tag = "8")]
    pub stamp: u64,
    /// Term of the dispatcher.
    #[prost(uint64, tag = "9")]
    pub term: u64,
}

/// The end of a QoS 2 message is recorded.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ShareSettled {
    /// The member's connection.
    #[prost(message, required, tag = "1")]
    pub owner: Owner,
    /// Partition.
    #[prost(uint32, tag = "2")]
    pub partition: u32,
    /// Offset.
    #[prost(uint64, tag = "3")]
    pub offset: u64,
}

/// A message of a shared subscription for one member, in its worker.
#[derive(Debug)]
pub struct Assign {
    /// The member's connection.
    pub connection: ConnectionKey,
    /// `$share/name/filter`.
    pub share: Arc<str>,
    /// Its session group.
    pub group: GroupId,
    /// Term of the dispatcher.
    pub term: u64,
    /// Subscription options byte of the member.
    pub options: u32,
    /// Subscription Identifier, 0: none.
    pub id: u32,
    /// The message.
    pub body: Assigned,
}

/// Where an assigned message is.
#[derive(Debug)]
pub enum Assigned {
    /// In the log.
    Log {
        /// Partition.
        partition: Partition,
        /// Offset.
        offset: u64,
        /// The entry that holds it, once it is here.
        entry: Option<Arc<Entry>>,
        /// The log reader has been asked.
        reading: bool,
    },
    /// QoS 0: nowhere else.
    Live {
        /// The record.
        record: Vec<u8>,
        /// Group time of its arrival, ms.
        stamp: u64,
    },
}
