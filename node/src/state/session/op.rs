//! What may be written to a session group's log: one [`Ops`] per entry, applied in order.

use super::record::{Intent, Owed, Owner, Position, Subscription, Will, Window};

/// All operations of one entry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ops {
    /// In the order they are applied.
    #[prost(message, repeated, tag = "1")]
    pub ops: Vec<Op>,
}

/// One operation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Op {
    /// Which. `None` is an operation of a future version: the replica stops.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15")]
    pub kind: Option<Kind>,
}

impl From<Kind> for Op {
    fn from(kind: Kind) -> Self {
        Self { kind: Some(kind) }
    }
}

/// The kinds of operation.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Kind {
    /// A CONNECT.
    #[prost(message, tag = "1")]
    Attach(Attach),
    /// The end of a connection.
    #[prost(message, tag = "2")]
    Detach(Detach),
    /// A SUBSCRIBE of a durable session.
    #[prost(message, tag = "3")]
    Subscribe(Subscribe),
    /// An UNSUBSCRIBE of a durable session.
    #[prost(message, tag = "4")]
    Unsubscribe(Unsubscribe),
    /// Cursor and window of a durable session.
    #[prost(message, tag = "5")]
    Window(WindowOp),
    /// Incoming QoS 2 messages, before they go to their partitions.
    #[prost(message, tag = "6")]
    Intents(Intents),
    /// PUBRELs of incoming QoS 2 messages.
    #[prost(message, tag = "7")]
    Release(Release),
    /// Act on every deadline that the entry's stamp has passed.
    #[prost(message, tag = "8")]
    Expire(Expire),
    /// A will has been committed in its partition.
    #[prost(message, tag = "9")]
    OutboxDone(OutboxDone),
    /// Remove a session, whoever owns it.
    #[prost(message, tag = "10")]
    Forget(Forget),
    /// How far the caught-up sessions of a worker have come.
    #[prost(message, tag = "11")]
    Tail(Tail),
    /// A member joins a shared subscription.
    #[prost(message, tag = "12")]
    ShareJoin(ShareJoin),
    /// A member leaves a shared subscription.
    #[prost(message, tag = "13")]
    ShareLeave(ShareLeave),
    /// Cursor and assignments of a shared subscription.
    #[prost(message, tag = "14")]
    ShareWindow(ShareWindow),
    /// An owner that lost its session has let go.
    #[prost(message, tag = "15")]
    Confirmed(Confirmed),
}

/// A CONNECT. MQTT 5.0, 3.1.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Attach {
    /// Client Identifier, given or assigned.
    #[prost(string, tag = "1")]
    pub client_id: String,
    /// The connection.
    #[prost(message, required, tag = "2")]
    pub owner: Owner,
    /// Clean Start (Clean Session of 3.x).
    #[prost(bool, tag = "3")]
    pub clean_start: bool,
    /// Session Expiry Interval in seconds; of 3.x: 0 or the broker's limit.
    #[prost(uint32, tag = "4")]
    pub expiry: u32,
    /// Will.
    #[prost(message, optional, tag = "5")]
    pub will: Option<Will>,
    /// Protocol level: 3, 4, 5.
    #[prost(uint32, tag = "6")]
    pub level: u32,
    /// Keep Alive, seconds.
    #[prost(uint32, tag = "7")]
    pub keep_alive: u32,
    /// Address of the client.
    #[prost(string, tag = "8")]
    pub peer: String,
    /// User Name, empty if none.
    #[prost(string, tag = "9")]
    pub username: String,
}

/// The end of a connection: nothing that it published is under way. Of an owner that lost its session, this is all
/// that it says.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Detach {
    /// Client Identifier.
    #[prost(string, tag = "1")]
    pub client_id: String,
    /// Epoch of the owner that detaches; ignored when it is no longer the owner.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// The client said DISCONNECT without asking for its will.
    #[prost(bool, tag = "3")]
    pub discard_will: bool,
    /// Session Expiry Interval from DISCONNECT. MQTT 5.0, 3.14.2.2.2.
    #[prost(uint32, optional, tag = "4")]
    pub expiry: Option<u32>,
    /// Last cursor and window.
    #[prost(message, optional, tag = "5")]
    pub window: Option<Window>,
}

/// An owner that lost its session, or never had it, has nothing under way.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Confirmed {
    /// Client Identifier.
    #[prost(string, tag = "1")]
    pub client_id: String,
    /// Its epoch.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
}

/// A SUBSCRIBE.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Subscribe {
    /// Client Identifier.
    #[prost(string, tag = "1")]
    pub client_id: String,
    /// Owner epoch.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// New or replaced subscriptions, with their starts.
    #[prost(message, repeated, tag = "3")]
    pub subscriptions: Vec<Subscription>,
    /// Retained messages that they are owed.
    #[prost(message, repeated, tag = "4")]
    pub owed: Vec<Owed>,
}

/// An UNSUBSCRIBE.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Unsubscribe {
    /// Client Identifier.
    #[prost(string, tag = "1")]
    pub client_id: String,
    /// Owner epoch.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Topic Filters.
    #[prost(string, repeated, tag = "3")]
    pub filters: Vec<String>,
    /// Number of the request in its connection: shared subscriptions are left as of this request.
    #[prost(uint64, tag = "4")]
    pub number: u64,
}

/// Cursor and window, replaced as a whole.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WindowOp {
    /// Client Identifier.
    #[prost(string, tag = "1")]
    pub client_id: String,
    /// Owner epoch.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// The window.
    #[prost(message, required, tag = "3")]
    pub window: Window,
}

/// Incoming QoS 2 messages.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Intents {
    /// Client Identifier.
    #[prost(string, tag = "1")]
    pub client_id: String,
    /// Owner epoch.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Each replaces one of the same Packet Identifier.
    #[prost(message, repeated, tag = "3")]
    pub intents: Vec<Intent>,
    /// Packet Identifiers of earlier ones that were refused.
    #[prost(uint32, repeated, tag = "4")]
    pub refused: Vec<u32>,
}

/// PUBRELs.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Release {
    /// Client Identifier.
    #[prost(string, tag = "1")]
    pub client_id: String,
    /// Owner epoch.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Packet Identifiers.
    #[prost(uint32, repeated, tag = "3")]
    pub packet_ids: Vec<u32>,
}

/// Act on what is due.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Expire {}

/// A will has reached its partition.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct OutboxDone {
    /// Number of the outbox entry.
    #[prost(uint64, tag = "1")]
    pub number: u64,
}

/// Remove a session.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Forget {
    /// Client Identifier.
    #[prost(string, tag = "1")]
    pub client_id: String,
}

/// The tail vector of a worker.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Tail {
    /// Node.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// Worker of the node.
    #[prost(uint32, tag = "2")]
    pub worker: u32,
    /// Next offset, one for each partition.
    #[prost(uint64, repeated, tag = "3")]
    pub next: Vec<u64>,
}

/// A member joins.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShareJoin {
    /// `$share/name/filter`.
    #[prost(string, tag = "1")]
    pub share: String,
    /// Client Identifier of the member.
    #[prost(string, tag = "2")]
    pub client_id: String,
    /// Incarnation of the member's session: what was bound to an older one is not given to this one.
    #[prost(uint64, tag = "4")]
    pub incarnation: u64,
    /// Where the shared subscription starts if this makes it.
    #[prost(message, repeated, tag = "3")]
    pub starts: Vec<Position>,
    /// Which request asks.
    #[prost(message, required, tag = "5")]
    pub at: Point,
}

/// A member leaves.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShareLeave {
    /// `$share/name/filter`.
    #[prost(string, tag = "1")]
    pub share: String,
    /// Client Identifier of the member.
    #[prost(string, tag = "2")]
    pub client_id: String,
    /// As of which request: whoever has joined later stays.
    #[prost(message, required, tag = "3")]
    pub at: Point,
}

/// A point in the requests of one client id, over all its sessions: joins and leaves of one client may reach a
/// shared subscription from two nodes, in any order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, prost::Message)]
pub struct Point {
    /// Owner epoch.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Number of the request in its connection; 0: from the start.
    #[prost(uint64, tag = "2")]
    pub number: u64,
}

/// A message of a shared subscription that is not finished.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Assignment {
    /// Partition.
    #[prost(uint32, tag = "1")]
    pub partition: u32,
    /// Offset.
    #[prost(uint64, tag = "2")]
    pub offset: u64,
    /// The member it is bound to: QoS 2 stays with its session. Empty: free to be given to anyone.
    #[prost(string, tag = "3")]
    pub client_id: String,
    /// Incarnation of that session.
    #[prost(uint64, tag = "4")]
    pub incarnation: u64,
}

/// Cursor and assignments of a shared subscription, replaced as a whole.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShareWindow {
    /// `$share/name/filter`.
    #[prost(string, tag = "1")]
    pub share: String,
    /// Next offset to look at, per partition.
    #[prost(message, repeated, tag = "2")]
    pub next: Vec<Position>,
    /// Messages that are not finished; most of them below `next`.
    #[prost(message, repeated, tag = "3")]
    pub assignments: Vec<Assignment>,
    /// Term of the group in which its dispatcher leads. It counts in entries of that term only.
    #[prost(uint64, tag = "4")]
    pub term: u64,
}

impl Kind {
    /// May it count in an entry of this term? A dispatcher that leads no more, and whose window is proposed late to
    /// the next leader, must not undo what that one's dispatcher has begun from.
    pub fn counts_in(&self, term: u64) -> bool {
        match self {
            Self::ShareWindow(window) => window.term == term,
            _ => true,
        }
    }
}
