//! The end of a connection: what the client is told, and what its session group is.

use std::sync::atomic::Ordering;

use holdfast_codec::{Disconnect, Version};

use super::{Close, Conn, Phase, Worker};
use crate::mail::{ConnectionKey, Request};
use crate::state::session::op::{Detach, Kind};
use crate::state::session::record::Window;

impl Worker {
    /// Ends a connection. Its output is written once more; nothing is read any more.
    pub fn close(&mut self, key: ConnectionKey, close: Close) {
        let Some(conn) = self.conn(key) else { return };
        if conn.closing() {
            return;
        }
        if !matches!(conn.phase, Phase::Greeting) {
            self.place.greeted.fetch_sub(1, Ordering::Relaxed);
        }
        let Some(conn) = self.conn(key) else { return };
        let conn_open = conn.session().is_some();
        if let (Close::Ours(reason), Phase::Open(session)) = (close, &conn.phase)
            && session.version == Version::V5
        {
            self.write(key, |out| Disconnect::new(reason).encode(Version::V5, out));
        }
        if conn_open {
            self.counters.closed(close);
        }
        self.detach(key, close);
        let conn = &mut self.conns[key.slot as usize];
        conn.phase = Phase::Closing;
        conn.partial = Vec::new();
        if let Some(waker) = conn.waker.take() {
            waker.wake();
        }
        self.mark_dirty(key.slot);
    }

    /// Removes a connection whose socket is closed.
    pub fn remove(&mut self, key: ConnectionKey) {
        if self.conn(key).is_some() {
            self.close(key, Close::Lost);
            self.conns.remove(key.slot as usize);
        }
    }

    fn detach(&mut self, key: ConnectionKey, close: Close) {
        let window = self.window_of(key);
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        let (discard_will, expiry) = match close {
            Close::Asked { discard_will, expiry } => (discard_will, expiry),
            Close::Lost | Close::Ours(_) => (false, None),
        };
        let ended = session.expiry == 0 || expiry == Some(0);
        let op = Kind::Detach(Detach {
            client_id: session.client_id.to_string(),
            epoch: session.epoch,
            discard_will,
            expiry,
            window,
        });
        let (group, durable) = (session.group, session.durable());
        let held: usize = session.inbound.held.iter().map(|held| held.record.len()).sum();
        self.out.requests.push(Request::Note { group, op: Box::new(op) });
        self.outstanding -= held;
        if durable {
            let at = self.group_index(key);
            self.durables[at] -= 1;
        }
        self.forget_subscriptions(key, ended);
    }

    fn forget_subscriptions(&mut self, key: ConnectionKey, ended: bool) {
        let session = self.conns[key.slot as usize].session().expect("the caller has looked");
        let subscriptions = std::mem::take(&mut session.subscriptions);
        for (place, subscription) in subscriptions.into_iter().enumerate() {
            let Some(subscription) = subscription else { continue };
            if subscription.shared() {
                self.leave_share(key, &subscription.filter, ended);
            } else {
                self.matching.remove(subscription.plain(), key.slot, place);
            }
        }
        self.show_interest();
    }

    /// A CONNECT was committed for a connection that is gone: let go of the session at once.
    pub(super) fn detach_unseen(&mut self, client_id: &str, epoch: u64) {
        let group = self.place.route.session_group(client_id);
        let client_id = client_id.to_owned();
        let op = Detach { client_id, epoch, discard_will: false, expiry: None, window: None };
        self.out.requests.push(Request::Note { group, op: Box::new(Kind::Detach(op)) });
    }

    /// Cursor and window of a durable session as they are now, with positions of its own.
    pub(super) fn window_of(&mut self, key: ConnectionKey) -> Option<Window> {
        let session = self.conn(key).and_then(Conn::session).filter(|session| session.durable())?;
        if session.outbound.commit.unread {
            // Its filters are not in place yet: what is committed still holds.
            return None;
        }
        Some(self.window(key, true))
    }
}
