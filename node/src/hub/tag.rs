//! What is remembered with a proposal until it is committed.

use std::time::Duration;

use holdfast_log::GroupId;

use crate::admin::NodeReply;
use crate::mail::{From, Refused};

/// For one entry.
#[derive(Debug)]
pub(super) enum Tag {
    /// Publishes, in the order of their records.
    Publishes(Vec<Part>),
    /// Session operations, one for each.
    Ops(Vec<OpTag>),
    /// Entries of a session group's outbox are done by this.
    Outbox(GroupId, Vec<u64>),
    /// Fences against earlier owners stand by this, for these new ones.
    Fences(Vec<Fenced>),
    /// A tag, and records that are in no entry but are settled behind this one.
    Behind(Box<Tag>, Vec<Part>),
    /// The renewal of this node's lease, and when it was sent.
    Renew(Duration),
    /// An operator waits for it.
    Deed(NodeReply),
    /// Nobody waits.
    Quiet,
}

/// A new owner whose fences are in an entry.
#[derive(Clone, Debug)]
pub(super) struct Fenced {
    pub(super) client_id: String,
    /// Its epoch.
    pub(super) epoch: u64,
}

/// A run of records in an entry.
#[derive(Debug)]
pub(super) enum Part {
    /// From a worker.
    Worker {
        /// Which.
        worker: u32,
        /// How many records it gets settled.
        count: u32,
    },
    /// Not in the entry, and settled behind what is: a worker's records are settled in the order in which it sent them.
    Apart {
        /// Which worker.
        worker: u32,
        /// How many records.
        count: u32,
        /// Why they were refused, unless the log holds them already.
        refused: Option<Refused>,
    },
    /// A will from a session group's outbox.
    Will {
        /// The session group.
        group: GroupId,
        /// Number in its outbox.
        number: u64,
    },
}

/// For one session operation.
#[derive(Debug)]
pub(super) enum OpTag {
    /// Nobody waits.
    Quiet,
    /// Answered with its outcome.
    Reply(From),
    /// A CONNECT.
    Attach {
        /// Who asks.
        from: From,
        /// How long the old owner has said nothing.
        waited: Duration,
    },
    /// What the old owner of a session handed over to the new one.
    HandedOver,
    /// The end of a connection, with its last window in case that another owner took over.
    Detach,
    /// The window of a shared subscription.
    ShareFlush {
        /// Worker that dispatches it.
        worker: u32,
        /// Its number.
        tag: u64,
    },
    /// An outbox entry of another session group is done by this.
    Outbox {
        /// The session group.
        group: GroupId,
        /// Number in its outbox.
        number: u64,
    },
    /// An operator removes a session.
    Forget(tokio::sync::oneshot::Sender<bool>),
}

/// How often the same comes in a row: how many, and what.
pub(super) fn runs(all: impl Iterator<Item = bool>) -> Vec<(u32, bool)> {
    let mut runs: Vec<(u32, bool)> = Vec::new();
    for one in all {
        match runs.last_mut().filter(|(_, last)| *last == one) {
            Some((count, _)) => *count += 1,
            None => runs.push((1, one)),
        }
    }
    runs
}
