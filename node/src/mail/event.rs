//! From the hub, the reader and other workers to a worker.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_log::{Entry, GroupId};

use super::{After, Asker, Assign, ConnectionKey, Gather, Refused, ShareGone, ShareMember};
use crate::board::Lead;
use crate::route::Partition;
use crate::state::session::op::ShareWindow;
use crate::state::session::record::Owner;
use crate::state::session::{Attached, Outcome};

/// An event for a worker.
#[derive(Debug)]
pub enum Event {
    /// A committed entry of a partition; every later one follows.
    Entry(Partition, Arc<Entry>),
    /// From here on the worker gets the entries of all partitions; the next offset of each.
    FeedStarted(Arc<[u64]>),
    /// The oldest `count` records that the worker has outstanding for the partition are settled.
    Settled {
        /// The partition.
        partition: Partition,
        /// How many.
        count: u32,
        /// They were not appended, for this reason.
        refused: Option<Refused>,
    },
    /// A CONNECT is committed and nobody else holds the session any more.
    Attached(ConnectionKey, Box<Attached>),
    /// The connection lost its session to another before it had it.
    Superseded(ConnectionKey),
    /// A session operation is committed.
    SessionDone {
        /// The connection.
        connection: ConnectionKey,
        /// Its number.
        tag: u64,
        /// What it came to, or why it was not tried.
        outcome: Result<Outcome, Refused>,
    },
    /// Answer to a barrier: everything below has been sent as `Entry` before, everything from here on comes after.
    Started {
        /// The connection.
        connection: ConnectionKey,
        /// Number of the request.
        tag: u64,
        /// Next offset of each partition.
        starts: Arc<[u64]>,
    },
    /// Answer to a barrier: some partition has no leader.
    NotStarted {
        /// The connection.
        connection: ConnectionKey,
        /// Number of the request.
        tag: u64,
    },
    /// The boot under which the node serves from here on; 0: it does not. Everything of another one is over: its
    /// connections are closed and nothing of it is answered any more.
    Boot(u64),
    /// What this node knows of a session group is too old to serve by: the connections of its clients are closed.
    GroupLost(GroupId),
    /// Retained messages.
    Retained(Box<RetainedPage>),
    /// Close the connection: another owns the session, or an operator wants it. Answered by `Released`.
    Fence {
        /// The connection.
        connection: ConnectionKey,
        /// Client Identifier.
        client_id: String,
        /// The session was taken over, rather than ended by an operator.
        taken_over: bool,
    },
    /// Another connection wants the session: what has come on this one is to be read first. Answered by `Heard`.
    Hear {
        /// The connection.
        connection: ConnectionKey,
        /// Who asks.
        by: Asker,
    },
    /// Entries read from the log.
    Read(Box<ReadAnswer>),
    /// QoS 0 from another worker or another node.
    Live(Live),
    /// The worker dispatches the shared subscriptions of a session group that hash to it, in this term; 0: no more.
    ShareTenure(GroupId, u64),
    /// Every node has told the dispatcher of this group and term what its members hold: messages may be given.
    ShareOpen(GroupId, u64),
    /// The shared subscriptions of a session group are dispatched by this node from now on: it wants to know of all
    /// members here.
    ShareCall {
        /// The session group.
        group: GroupId,
        /// The node.
        node: u64,
        /// Term in which it leads the group.
        term: u64,
    },
    /// A shared subscription that this worker dispatches goes on from this window, which is committed.
    ShareBegun(Box<ShareWindow>),
    /// A member of a shared subscription that this worker dispatches.
    ShareMember(Box<ShareMember>),
    /// A member's connection has left a shared subscription: what it held at QoS 1 is free again.
    ShareGone(Box<ShareGone>),
    /// A member has left a shared subscription for good: what is bound to its session is dropped.
    ShareLeft {
        /// `$share/name/filter`.
        share: String,
        /// The member's client id.
        client_id: String,
    },
    /// The boots of a node up to this one are over, or it cannot be reached: its members are gone.
    ShareLost {
        /// The node.
        node: u64,
        /// The boot.
        boot: u64,
    },
    /// The shared subscription has no members left anywhere.
    ShareClosed(String),
    /// A window of a shared subscription is committed.
    ShareFlushed(u64),
    /// A message of a shared subscription for a connection of this worker.
    Assign(Box<Assign>),
    /// A member has finished a message of a shared subscription.
    ShareDone {
        /// `$share/name/filter`.
        share: Arc<str>,
        /// The member's client id.
        client_id: Arc<str>,
        /// (partition, offset).
        done: (u16, u64),
        /// Who waits for the record of it, at QoS 2.
        settle: Option<Box<Owner>>,
    },
    /// The dispatcher of a shared subscription knows a member of this worker.
    ShareJoined {
        /// The member's connection.
        connection: ConnectionKey,
        /// `$share/name/filter`.
        share: Arc<str>,
    },
    /// The dispatcher has recorded that a QoS 2 message is finished, so the member may forget it.
    ShareSettled {
        /// The member's connection.
        connection: ConnectionKey,
        /// (partition, offset).
        done: (u16, u64),
    },
    /// A new connection for this worker.
    Accepted(std::net::TcpStream, std::net::SocketAddr),
    /// The admin API asks for the subscriptions that live here.
    Subscriptions(Arc<Gather>),
    /// Close everything with 0x8B, then stop.
    Stop,
}

/// Records of QoS 0 on their way: to the sessions of another worker, or to the hub for other nodes.
#[derive(Clone, Debug)]
pub struct Live {
    /// Their partition; 0 in a cluster of one, which does not tell them apart.
    pub partition: Partition,
    /// Who routes them, as their sender saw it.
    pub lead: Lead,
    /// How many.
    pub count: u32,
    /// The records, end to end.
    pub bytes: Bytes,
    /// Group time at which they were routed, ms.
    pub stamp: u64,
    /// Terms of the session groups as their router knows them: who leads in that very term dispatches them to shared
    /// subscriptions. None on the way to the router, and in a cluster of one.
    pub terms: Arc<[u64]>,
}

/// Retained messages of one partition walk.
#[derive(Debug)]
pub struct RetainedPage {
    /// The connection.
    pub connection: ConnectionKey,
    /// Number of the request.
    pub tag: u64,
    /// In byte order of their topics.
    pub hits: Vec<RetainedHit>,
    /// Where to go on; `None`: that was all.
    pub next: Option<After>,
}

/// One retained message.
#[derive(Clone, Debug)]
pub struct RetainedHit {
    /// Partition.
    pub partition: Partition,
    /// Offset it was published at.
    pub offset: u64,
    /// Group time, ms.
    pub stamp: u64,
    /// The record.
    pub record: Bytes,
}

/// What a worker wants read from the log.
#[derive(Debug)]
pub struct Read {
    /// Worker.
    pub worker: u32,
    /// The session's connection; none for a shared subscription.
    pub connection: Option<ConnectionKey>,
    /// Number that the answer carries back.
    pub tag: u64,
    /// The partition.
    pub partition: Partition,
    /// First offset.
    pub from: u64,
    /// Only entries that may hold a message matching one of these; empty: exactly `offsets`.
    pub filters: Arc<[String]>,
    /// Exact offsets wanted, rising; used when `filters` is empty.
    pub offsets: Vec<u64>,
}

/// What was read.
#[derive(Debug)]
pub struct ReadAnswer {
    /// The session's connection; none for a shared subscription.
    pub connection: Option<ConnectionKey>,
    /// Number of the request.
    pub tag: u64,
    /// The partition.
    pub partition: Partition,
    /// Entries, rising.
    pub entries: Vec<Arc<Entry>>,
    /// Everything below has been looked at.
    pub through: u64,
    /// Offsets below this were truncated.
    pub truncated: u64,
}
