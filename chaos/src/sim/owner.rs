//! Who owns which client id, seen from inside of the nodes: one connection at a time on each node; and one that lost
//! its session to another node, which it may not have heard of, ends with the lease of its node at the latest.

use std::collections::BTreeMap;

use super::recorder::Recorder;
use crate::history::What;

/// How much longer than a lease a connection may live that lost its session, microseconds: threads have their turns.
const GRACE_MICROS: u64 = 3_000_000;

/// A connection and its node.
#[derive(Clone, Copy)]
struct Owner {
    connection: u64,
    host: usize,
}

#[derive(Default)]
pub(super) struct Owners {
    owners: BTreeMap<String, Owner>,
    /// Connections that lost their session to another node, and when that was.
    stale: BTreeMap<u64, (usize, u64)>,
}

impl Owners {
    /// A node began to serve a connection.
    pub(super) fn opened(&mut self, client: &str, (host, connection): (usize, u64), to: &mut Recorder) {
        let older = self.owners.insert(client.to_owned(), Owner { connection, host });
        if let Some(older) = older.filter(|older| older.host != host) {
            self.stale.insert(older.connection, (older.host, to.now()));
            to.record(What::Closed { client: client.to_owned(), connection: older.connection });
        }
        to.record(What::Opened { client: client.to_owned(), connection });
    }

    /// A node serves a connection no more.
    pub(super) fn closed(&mut self, client: &str, connection: u64, to: &mut Recorder) {
        if self.stale.remove(&connection).is_none() {
            self.owners.retain(|name, owner| name != client || owner.connection != connection);
            to.record(What::Closed { client: client.to_owned(), connection });
        }
    }

    /// A node stood still: its connections may live so much longer.
    pub(super) fn excuse(&mut self, host: usize, now: u64) {
        self.stale.values_mut().filter(|(at, _)| *at == host).for_each(|(_, since)| *since = now);
    }

    /// A connection that should have ended by now.
    pub(super) fn overdue(&self, lease_micros: u64, now: u64) -> Option<String> {
        let late = self.stale.iter().find(|(_, (_, since))| now > since + lease_micros + GRACE_MICROS)?;
        let (connection, (host, since)) = late;
        let since = since / 1_000;
        Some(format!(
            "one owner: connection {connection} of node {} lost its session at {}.{:03} s and is served on",
            host + 1,
            since / 1_000,
            since % 1_000
        ))
    }
}
