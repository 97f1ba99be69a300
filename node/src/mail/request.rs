//! From workers and the admin thread to the hub.

use std::sync::Arc;

use holdfast_log::{Flushed, GroupId, StoreError};

use super::{ConnectionKey, Live, ShareCall, ShareWord};
use crate::admin::Query;
use crate::record::EntryFlags;
use crate::route::{Cover, Partition};
use crate::state::session::op::{Kind, ShareWindow};
use crate::state::session::record::{Owner, Window};

/// Who asks, and under which number it wants the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct From {
    /// Worker.
    pub worker: u32,
    /// Its connection.
    pub connection: ConnectionKey,
    /// Number that the answer carries back.
    pub tag: u64,
}

/// Who wants to know that what a client sent is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The node.
    pub node: u64,
    /// Number of its question.
    pub number: u64,
}

/// A request to the hub.
#[derive(Debug)]
pub enum Request {
    /// Publishes of one worker and turn for one partition.
    Publish(Batch),
    /// Filters that a worker wants and did not want before, or the other way round.
    Interest(Vec<Want>),
    /// QoS 0 for other nodes: to those that listen, or to the one that leads.
    Live(Live),
    /// An operation for a session group; answered when it is committed.
    Session {
        /// Who asks.
        from: From,
        /// The group.
        group: GroupId,
        /// The operation.
        op: Box<Kind>,
    },
    /// As `Session`, and nobody waits for it.
    Note {
        /// The group.
        group: GroupId,
        /// The operation.
        op: Box<Kind>,
    },
    /// Where do the partitions that these filters cover stand? Answered by `Started` when all that was acknowledged
    /// before, anywhere, is applied; by `NotStarted` where nobody knows.
    Barrier(From, Cover),
    /// Retained messages for a subscription.
    Retained(Box<RetainedScan>),
    /// The old owner of a session has let go of it.
    Released(Box<Released>),
    /// What had come for a connection is read, and its end is noted if that was it.
    Heard {
        /// Who asked.
        by: Asker,
        /// It is open still.
        open: bool,
    },
    /// A word about a shared subscription for a node, which may be this one.
    Share {
        /// The node.
        to: u64,
        /// The word.
        word: Box<ShareWord>,
    },
    /// The worker has told the dispatcher of this group and term of all its members.
    ShareAnswered(ShareCall),
    /// Cursor and assignments of a shared subscription; `tag` comes back to the worker when committed.
    ShareFlush(Box<ShareFlush>),
    /// A question of the admin API.
    Query(Query),
    /// The derived state has been written out.
    Flushed(Flushing),
    /// Stop: sync what is there and end.
    Stop,
}

impl Request {
    /// It comes from a connection, so it means nothing once this node has stopped serving.
    pub fn needs_boot(&self) -> bool {
        match self {
            Self::Live(_) | Self::Interest(_) | Self::Query(_) | Self::Flushed(_) | Self::Stop => false,
            // What a word is worth without a boot is seen word by word.
            Self::Share { .. } | Self::ShareAnswered(_) => false,
            Self::Publish(_)
            | Self::Session { .. }
            | Self::Note { .. }
            | Self::Barrier(..)
            | Self::Retained(_)
            | Self::Released(_)
            | Self::Heard { .. }
            | Self::ShareFlush(_) => true,
        }
    }
}

/// A filter that a worker wants, or no longer wants.
#[derive(Clone, Debug)]
pub struct Want {
    /// Without Share Name.
    pub filter: Arc<str>,
    /// It is wanted.
    pub wanted: bool,
}

/// How a flush on another thread ended.
pub struct Flushing(pub Result<Flushed, StoreError>);

impl std::fmt::Debug for Flushing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Flushing").field(&self.0.is_ok()).finish()
    }
}

/// Publishes of one worker and turn for one partition, as records end to end.
#[derive(Debug)]
pub struct Batch {
    /// Worker that waits for the acknowledgement.
    pub worker: u32,
    /// The boot that it was sent under.
    pub boot: u64,
    /// The partition.
    pub partition: Partition,
    /// Union of the records' flags.
    pub flags: EntryFlags,
    /// How many refusals the worker had heard of. What it sent before it heard of the last one is refused too: its
    /// clients will say the refused messages again, and what came behind them must not come first.
    pub refusals: u64,
    /// Number of records; acknowledged cumulatively, in order.
    pub count: u32,
    /// The records.
    pub bytes: Vec<u8>,
}

/// A scan of the retained messages that a filter matches.
#[derive(Debug)]
pub struct RetainedScan {
    /// Who asks.
    pub from: From,
    /// Topic Filter.
    pub filter: String,
    /// Only what was published below these offsets, one for each partition.
    pub below: Vec<u64>,
    /// Where to go on.
    pub after: After,
}

/// A place in the walk over retained messages: partitions in order, topics in byte order within each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct After {
    /// Partition number.
    pub partition: u16,
    /// Where to go on in it, which need not be a topic; empty at its start.
    pub topic: String,
}

impl After {
    /// The form that a session record keeps.
    pub fn to_text(&self) -> String {
        format!("{}\0{}", self.partition, self.topic)
    }

    /// From [`After::to_text`]; the start where it says nothing.
    pub fn from_text(text: &str) -> Self {
        text.split_once('\0').map_or_else(Self::default, |(partition, topic)| Self {
            partition: partition.parse().unwrap_or_default(),
            topic: topic.to_owned(),
        })
    }
}

/// The answer of a fenced owner.
#[derive(Debug)]
pub struct Released {
    /// Client Identifier.
    pub client_id: String,
    /// Which connection it was.
    pub owner: Owner,
    /// The last cursor and window of a durable session.
    pub window: Option<Window>,
}

/// A shared subscription's window, to be committed.
#[derive(Debug)]
pub struct ShareFlush {
    /// Worker that dispatches it.
    pub worker: u32,
    /// The boot that it was sent under.
    pub boot: u64,
    /// Comes back in [`super::Event::ShareFlushed`]; 0: nobody waits.
    pub tag: u64,
    /// The window.
    pub window: ShareWindow,
}

/// Why a batch was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No space on the disk, or the quota is used up.
    Full,
    /// The session has another owner, who has put up a fence.
    Fenced,
}
