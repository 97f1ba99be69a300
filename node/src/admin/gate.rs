//! The seam between the HTTP door and the broker: closed questions, and plain values as answers.

use std::time::Duration;

use tokio::sync::oneshot;

use super::answer::{Client, Cluster, Reason, Retained, SessionState, Subscription};
use super::page::{Page, PageQuery};
use crate::metrics::Metrics;

/// What an operator wants of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeDeed {
    /// It hands over its clients, its leaders and, where others can take them, its votes; or takes its part again.
    Drain {
        /// Whether it drains from now on.
        on: bool,
    },
    /// It is taken out, for ever.
    Remove {
        /// Also where it is alive or still votes.
        force: bool,
    },
}

/// Why nothing is done about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeRefusal {
    /// There is no such node.
    Unknown,
    /// It would do harm: why.
    Refused(String),
    /// The node that was asked cannot propose anything.
    NotServing,
}

/// The way back of a deed, once it is committed.
pub type NodeReply = oneshot::Sender<Result<(), NodeRefusal>>;

/// One question to the broker, with the way back. A dropped way back is "the broker is stopping".
#[derive(Debug)]
pub enum Query {
    /// What keeps this node from serving; nothing if it is ready.
    Ready {
        /// The way back.
        reply: oneshot::Sender<Vec<Reason>>,
    },
    /// The cluster as this node sees it.
    Cluster {
        /// The way back.
        reply: oneshot::Sender<Cluster>,
    },
    /// Something is to be done about a node.
    Node {
        /// Its number.
        node: u64,
        /// What.
        deed: NodeDeed,
        /// The way back.
        reply: NodeReply,
    },
    /// Sessions in the order of their client ids.
    Clients {
        /// Only in this state.
        state: Option<SessionState>,
        /// Only client ids that start so; empty for all.
        prefix: String,
        /// Which part; the key is the client id.
        page: PageQuery,
        /// The way back.
        reply: oneshot::Sender<Page<Client>>,
    },
    /// One session.
    Client {
        /// Its client id.
        client_id: String,
        /// The way back; `None` if there is no such session.
        reply: oneshot::Sender<Option<Client>>,
    },
    /// Disconnect a client.
    Disconnect {
        /// Its client id.
        client_id: String,
        /// Also remove the session.
        forget: bool,
        /// The way back, once it is done; false if there is no such session.
        reply: oneshot::Sender<bool>,
    },
    /// Subscriptions of one session in the order of their filters, with lag.
    ClientSubscriptions {
        /// Its client id.
        client_id: String,
        /// Which part; the key is the filter, share included.
        page: PageQuery,
        /// The way back; `None` if there is no such session.
        reply: oneshot::Sender<Option<Page<Subscription>>>,
    },
    /// Subscriptions of all sessions.
    Subscriptions {
        /// Only this very filter (without share).
        filter: Option<String>,
        /// Only filters that match this topic.
        topic: Option<String>,
        /// Which part; the key is up to the broker.
        page: PageQuery,
        /// The way back.
        reply: oneshot::Sender<Page<Subscription>>,
    },
    /// Retained messages in the order of their topics.
    Retained {
        /// Only topics that this filter matches.
        filter: Option<String>,
        /// Which part; the key is the topic.
        page: PageQuery,
        /// The way back.
        reply: oneshot::Sender<Page<Retained>>,
    },
}

/// The way to the broker. `send` must not block and must not wait.
pub struct Gate {
    /// Hands a query over; a query that cannot be handed over is dropped.
    pub send: Box<dyn Fn(Query) + Send + Sync>,
}

/// What the door needs.
pub struct Setup {
    /// The way to the broker.
    pub gate: Gate,
    /// What `/metrics` shows; `None` for 404.
    pub metrics: Option<Metrics>,
    /// How long the broker may take to answer.
    pub answer_max: Duration,
}
