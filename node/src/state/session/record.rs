//! What a session group keeps of a session: the record that outlives its connection.
//!
//! These are prost messages because they are both disk format and parts of log entries; fields are only ever
//! added. A connected clean session has a record too: that is what makes "one owner per client id" true.

/// Session Expiry Interval that means "never". MQTT 5.0, 3.1.2.11.2.
pub const NEVER: u32 = u32::MAX;

/// The connection that owns a session.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Owner {
    /// Node that holds the connection.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// Boot epoch of that node.
    #[prost(uint64, tag = "2")]
    pub boot: u64,
    /// Worker thread of that node, which owns the tail vector that the session follows.
    #[prost(uint32, tag = "3")]
    pub worker: u32,
    /// The connection's key within the worker.
    #[prost(uint64, tag = "4")]
    pub connection: u64,
}

/// A Will Message. MQTT 5.0, 3.1.3.2.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Will {
    /// Will Topic.
    #[prost(string, tag = "1")]
    pub topic: String,
    /// Will Payload.
    #[prost(bytes = "bytes", tag = "2")]
    pub payload: bytes::Bytes,
    /// Properties to forward, as on the wire.
    #[prost(bytes = "bytes", tag = "3")]
    pub properties: bytes::Bytes,
    /// Will QoS, 0..=2.
    #[prost(uint32, tag = "4")]
    pub qos: u32,
    /// Will Retain.
    #[prost(bool, tag = "5")]
    pub retain: bool,
    /// Will Delay Interval, seconds.
    #[prost(uint32, tag = "6")]
    pub delay: u32,
    /// Message Expiry Interval, seconds.
    #[prost(uint32, optional, tag = "7")]
    pub expiry: Option<u32>,
}

/// A partition and the first offset in it that has not been sent yet.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Position {
    /// Partition number.
    #[prost(uint32, tag = "1")]
    pub partition: u32,
    /// Offset of the next message to look at.
    #[prost(uint64, tag = "2")]
    pub next: u64,
}

/// A subscription of a session.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Subscription {
    /// Topic Filter, with `$share/name/` when shared.
    #[prost(string, tag = "1")]
    pub filter: String,
    /// Subscription options byte as on the wire. MQTT 5.0, 3.8.3.1.
    #[prost(uint32, tag = "2")]
    pub options: u32,
    /// Subscription Identifier, 0 when it has none.
    #[prost(uint32, tag = "3")]
    pub id: u32,
    /// Where it starts in each partition that it covers: nothing below is delivered.
    #[prost(message, repeated, tag = "4")]
    pub starts: Vec<Position>,
}

/// How far an unacknowledged outgoing message has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum Stage {
    /// QoS 1, or QoS 2 before PUBREC: PUBLISH is to be sent (again).
    Published = 0,
    /// QoS 2 after PUBREC: PUBREL is to be sent (again).
    Released = 1,
}

/// One outgoing message of QoS 1 or 2 that is not finished.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Flight {
    /// Packet Identifier.
    #[prost(uint32, tag = "1")]
    pub packet_id: u32,
    /// Partition of the message.
    #[prost(uint32, tag = "2")]
    pub partition: u32,
    /// Offset of the message.
    #[prost(uint64, tag = "3")]
    pub offset: u64,
    /// QoS it is delivered with, 1 or 2.
    #[prost(uint32, tag = "4")]
    pub qos: u32,
    /// How far it has come.
    #[prost(enumeration = "Stage", tag = "5")]
    pub stage: i32,
    /// For a retained message: its topic, since its entry may be truncated.
    #[prost(string, optional, tag = "6")]
    pub retained: Option<String>,
    /// For an assignment of a shared subscription: its `$share/name/filter`.
    #[prost(string, optional, tag = "7")]
    pub share: Option<String>,
}

/// Retained messages that a new subscription is still owed.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Owed {
    /// The subscription's filter.
    #[prost(string, tag = "1")]
    pub filter: String,
    /// Only retained messages below these offsets: the rest comes as live messages.
    #[prost(message, repeated, tag = "2")]
    pub below: Vec<Position>,
    /// Last topic handed over, in byte order; empty at the start.
    #[prost(string, tag = "3")]
    pub after: String,
}

/// Cursor and window of a durable session.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Window {
    /// The session is caught up and follows its worker's tail vector; `next` and `flights` are empty then.
    #[prost(bool, tag = "1")]
    pub live: bool,
    /// Next offset to look at, per partition that it reads.
    #[prost(message, repeated, tag = "2")]
    pub next: Vec<Position>,
    /// Messages below `next` that are not finished, in the order they were sent.
    #[prost(message, repeated, tag = "3")]
    pub flights: Vec<Flight>,
    /// Retained messages still owed.
    #[prost(message, repeated, tag = "4")]
    pub owed: Vec<Owed>,
    /// Packet Identifiers up to here may have been used without a record of what for.
    #[prost(uint64, tag = "5")]
    pub reserved: u64,
}

/// An incoming QoS 2 message between PUBLISH and PUBREL.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Intent {
    /// Packet Identifier the client gave it.
    #[prost(uint32, tag = "1")]
    pub packet_id: u32,
    /// Hash over topic and payload: the same packet identifier with another hash is another message.
    #[prost(uint64, tag = "2")]
    pub hash: u64,
    /// Its token.
    #[prost(uint64, tag = "3")]
    pub token: u64,
    /// Partition of its topic.
    #[prost(uint32, optional, tag = "4")]
    pub partition: Option<u32>,
}

/// Refusals that are remembered: what a client can have under way without having heard of any.
const REFUSED_MAX: usize = 1_024;

/// An incoming QoS 2 message that was refused. Its client may not have heard that.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Refusal {
    /// Packet Identifier the client gave it.
    #[prost(uint32, tag = "1")]
    pub packet_id: u32,
    /// Hash over topic and payload.
    #[prost(uint64, tag = "2")]
    pub hash: u64,
}

/// What a session is apart from its subscriptions and its window.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Core {
    /// Client Identifier.
    #[prost(string, tag = "1")]
    pub client_id: String,
    /// Rises with each committed CONNECT of the client id.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Never used again by another session: distinguishes a new session from a resumed one.
    #[prost(uint64, tag = "3")]
    pub incarnation: u64,
    /// The connection that owns it; none while disconnected.
    #[prost(message, optional, tag = "4")]
    pub owner: Option<Owner>,
    /// Session Expiry Interval, seconds.
    #[prost(uint32, tag = "5")]
    pub expiry: u32,
    /// Group time, milliseconds, of the last connect or disconnect.
    #[prost(uint64, tag = "6")]
    pub since: u64,
    /// Will of the connection, until it is published or discarded.
    #[prost(message, optional, boxed, tag = "7")]
    pub will: Option<Box<Will>>,
    /// Protocol level of the last connection: 3, 4 or 5.
    #[prost(uint32, tag = "8")]
    pub level: u32,
    /// Keep Alive of the last connection, seconds.
    #[prost(uint32, tag = "9")]
    pub keep_alive: u32,
    /// Address the last connection came from.
    #[prost(string, tag = "10")]
    pub peer: String,
    /// User Name of the last connection, empty if none.
    #[prost(string, tag = "11")]
    pub username: String,
    /// Next token for an incoming QoS 2 message.
    #[prost(uint64, tag = "12")]
    pub next_token: u64,
    /// Incoming QoS 2 messages that have not been released.
    #[prost(message, repeated, tag = "13")]
    pub intents: Vec<Intent>,
    /// Partitions that may hold tokens of it, rising.
    #[prost(uint32, repeated, tag = "14")]
    pub token_partitions: Vec<u32>,
    /// Incoming QoS 2 messages that were refused last, oldest first.
    #[prost(message, repeated, tag = "15")]
    pub refused: Vec<Refusal>,
}

/// A session.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Record {
    /// Identity, owner, will and incoming QoS 2.
    pub core: Core,
    /// Subscriptions in byte order of their filters: every replica ends them in the same order, loaded or not.
    pub subscriptions: Vec<Subscription>,
    /// Cursor and window.
    pub window: Window,
}

impl Core {
    /// Forgets incoming QoS 2 messages.
    pub fn release(&mut self, packet_ids: &[u32]) {
        self.intents.retain(|intent| !packet_ids.contains(&intent.packet_id));
        self.refused.retain(|old| !packet_ids.contains(&old.packet_id));
    }

    /// Forgets incoming QoS 2 messages, and remembers that they were refused.
    pub fn refuse(&mut self, packet_ids: &[u32]) {
        for packet_id in packet_ids {
            let intent = self.intents.iter().find(|intent| intent.packet_id == *packet_id);
            let refusal = intent.map(|intent| Refusal { packet_id: *packet_id, hash: intent.hash });
            self.release(&[*packet_id]);
            self.refused.extend(refusal);
        }
        let over = self.refused.len().saturating_sub(REFUSED_MAX);
        self.refused.drain(..over);
    }

    /// Does the session outlive its connection?
    pub fn durable(&self) -> bool {
        self.expiry > 0
    }

    /// Lowest token that may still be proposed: all below are settled.
    pub fn lowest_open(&self) -> u64 {
        self.intents.iter().map(|intent| intent.token).min().unwrap_or(self.next_token)
    }

    /// When a disconnected session ends, in group time; `None` while connected or for ever.
    pub fn ends_at(&self) -> Option<u64> {
        if self.owner.is_some() || self.expiry == NEVER {
            return None;
        }
        Some(self.since.saturating_add(u64::from(self.expiry) * 1_000))
    }

    /// When the will of a disconnected session is due, in group time: its delay, or the session's end if sooner
    /// [MQTT-3.1.3-9].
    pub fn will_due_at(&self) -> Option<u64> {
        if self.owner.is_some() {
            return None;
        }
        let delay = self.will.as_ref()?.delay.min(self.expiry);
        Some(self.since.saturating_add(u64::from(delay) * 1_000))
    }
}
