//! Who owns which client id, seen from inside of the nodes: one connection at a time on each node; and one that lost
//! its session to another node, which it may not have heard of, ends with the lease of its node at the latest.

use std::collections::BTreeMap;
use std::time::Duration;

use super::recorder::Recorder;
use crate::history::What;

/// How much longer than a lease a connection may live that lost its session, microseconds: threads have their turns.
const GRACE_MICROS: u64 = 3_000_000;

/// A connection that is served.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    pub(super) host: usize,
    pub(super) connection: u64,
    /// A later owner has a higher one.
    pub(super) epoch: u64,
}

#[derive(Default)]
pub(super) struct Owners {
    owners: BTreeMap<String, Owner>,
    /// Connections that lost their session to another node, and when that was.
    stale: BTreeMap<u64, (usize, u64)>,
}

impl Owners {
    /// A node began to serve a connection.
    pub(super) fn opened(&mut self, client: &str, new: Owner, to: &mut Recorder) {
        let client = client.to_owned();
        match self.owners.get(&client).filter(|owner| owner.host != new.host) {
            // It has lost its session to a node that is ahead of its own.
            Some(owner) if owner.epoch > new.epoch => {
                self.stale.insert(new.connection, (new.host, to.now()));
                return;
            }
            Some(older) => {
                self.stale.insert(older.connection, (older.host, to.now()));
                to.record(What::Closed { client: client.clone(), connection: older.connection });
            }
            None => {}
        }
        self.owners.insert(client.clone(), new);
        to.record(What::Opened { client, connection: new.connection });
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

    /// Notes connections that should have ended by now, on nodes that run, once each.
    pub(super) fn look(&mut self, runs: impl Fn(usize) -> bool, lease_micros: u64, to: &mut Recorder) {
        let now = to.now();
        let late = |host: usize, since: u64| now > since + lease_micros + GRACE_MICROS && runs(host);
        let overdue = self.stale.extract_if(.., |_, (host, since)| late(*host, *since));
        for (connection, (host, since)) in overdue {
            let since = Duration::from_micros(since);
            to.record(What::Overdue { connection, node: host as u16, since });
        }
    }
}
