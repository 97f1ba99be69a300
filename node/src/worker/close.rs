//! The end of a connection: what the client is told, and what its session group is.
//!
//! The session group is told once nothing that the connection published is under way any more. So a will is
//! published behind what its client published, and whoever owns the session next cannot be overtaken by it.

use std::sync::atomic::Ordering;

use holdfast_codec::{Disconnect, ReasonCode, Version};

use super::{Close, Conn, Phase, Worker};
use crate::mail::{Asker, ConnectionKey, Released, Request};
use crate::state::session::op::{Detach, Kind, WindowOp};
use crate::state::session::record::Window;

/// A connection that has ended, and whose publishes are not settled.
#[derive(Debug)]
pub(super) struct Leaving {
    /// Publishes that are not settled.
    left: usize,
    detach: Detach,
    /// Another owner waits to hear that this one has let go.
    awaited: bool,
    /// Who waits for this end to be noted.
    asked: Vec<Asker>,
}

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
        let client_id = session.client_id.to_string();
        let detach = Detach { client_id, epoch: session.epoch, discard_will, expiry, window };
        let (durable, asking) = (session.durable(), session.asking > 0);
        let held: usize = session.inbound.held.iter().map(|held| held.record.len()).sum();
        let left = session.inbound.unsettled();
        self.outstanding -= held;
        self.leave(key, Leaving { left, detach, awaited: false, asked: Vec::new() });
        if durable {
            let at = self.group_index(key);
            self.durables[at] -= 1;
        }
        // Nobody is answered any more.
        if asking {
            self.requests.retain(|(of, _), _| *of != key);
        }
        self.forget_subscriptions(key);
    }

    fn leave(&mut self, key: ConnectionKey, leaving: Leaving) {
        if leaving.left == 0 {
            return self.left(key, leaving);
        }
        if let Some(window) = leaving.detach.window.clone() {
            // Nothing is delivered to it any more, so it must not follow the tail until then.
            let (client_id, epoch) = (leaving.detach.client_id.clone(), leaving.detach.epoch);
            self.note(Kind::Window(WindowOp { client_id, epoch, window }), &leaving.detach.client_id);
        }
        self.leaving.insert(key, leaving);
    }

    /// A publish of a connection that has ended is settled.
    pub(super) fn settled_behind(&mut self, key: ConnectionKey) {
        let Some(leaving) = self.leaving.get_mut(&key) else { return };
        leaving.left -= 1;
        if leaving.left == 0
            && let Some(leaving) = self.leaving.remove(&key)
        {
            self.left(key, leaving);
        }
    }

    fn left(&mut self, key: ConnectionKey, leaving: Leaving) {
        let Leaving { detach, awaited, asked, .. } = leaving;
        let (client_id, window) = (detach.client_id.clone(), detach.window.clone());
        self.note(Kind::Detach(detach), &client_id);
        self.out.requests.extend(asked.into_iter().map(|by| Request::Heard { by, open: false }));
        if awaited {
            self.release(key, client_id, window);
        }
    }

    fn note(&mut self, op: Kind, client_id: &str) {
        let group = self.place.route.session_group(client_id);
        self.out.requests.push(Request::Note { group, op: Box::new(op) });
    }

    /// Somebody will own the session next, and what its client sent before has been read.
    pub(super) fn hear(&mut self, key: ConnectionKey, by: Asker) {
        if let Some(leaving) = self.leaving.get_mut(&key) {
            leaving.asked.push(by);
            return;
        }
        let open = self.conn(key).is_some_and(|conn| !conn.closing());
        self.out.requests.push(Request::Heard { by, open });
    }

    /// Another owner of the session waits: it hears when this one has let go.
    pub(super) fn let_go(&mut self, key: ConnectionKey, client_id: String) {
        let window = self.window_of(key);
        self.close(key, Close::Ours(ReasonCode::SessionTakenOver));
        match self.leaving.get_mut(&key) {
            Some(leaving) => leaving.awaited = true,
            None => self.release(key, client_id, window),
        }
    }

    fn release(&mut self, key: ConnectionKey, client_id: String, window: Option<Window>) {
        let owner = self.owner(key);
        self.out.requests.push(Request::Released(Box::new(Released { client_id, owner, window })));
    }

    fn forget_subscriptions(&mut self, key: ConnectionKey) {
        let session = self.conns[key.slot as usize].session().expect("the caller has looked");
        let subscriptions = std::mem::take(&mut session.subscriptions);
        for subscription in session.resuming.take().into_iter().flat_map(|resuming| resuming.0) {
            self.unwant_plain(&subscription);
        }
        for (place, subscription) in subscriptions.into_iter().enumerate() {
            let Some(subscription) = subscription else { continue };
            if subscription.shared() {
                self.leave_share(key, &subscription.filter);
            } else {
                self.matching.remove(subscription.plain(), key.slot, place);
                self.unwant(subscription.plain());
            }
        }
        self.show_interest();
    }

    /// A CONNECT was committed for a connection that is gone: let go of the session at once.
    pub(super) fn detach_unseen(&mut self, client_id: &str, epoch: u64) {
        let op = Detach {
            client_id: client_id.to_owned(),
            epoch,
            discard_will: false,
            expiry: None,
            window: None,
        };
        self.note(Kind::Detach(op), client_id);
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
