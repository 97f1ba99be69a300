//! Reading what a client has sent before somebody else has its session.

use std::mem::MaybeUninit;
use std::rc::Rc;

use socket2::SockRef;

use super::Driver;
use crate::mail::{Asker, ConnectionKey, Event};
use crate::task::{self, Name};

/// Turns of a connection's own reader that are waited for. Whoever sends without end is not heard to the end.
const TURNS_MAX: usize = 16;

impl Driver {
    /// The worker hears of the question once the connection's reader has taken what lies in its socket.
    pub(super) fn hear(self: &Rc<Self>, connection: ConnectionKey, by: Asker) {
        let driver = Rc::clone(self);
        task::spawn_local(Name::Hear, async move {
            for _ in 0..TURNS_MAX {
                if !driver.has_unread(connection) {
                    break;
                }
                // The runtime looks at its sockets before it comes back here, and wakes their readers first.
                tokio::task::yield_now().await;
            }
            driver.worker.borrow_mut().event(Event::Hear { connection, by });
            driver.settle_soon();
        });
    }

    /// Something lies in the socket, or it has ended, and its reader may take it.
    fn has_unread(&self, key: ConnectionKey) -> bool {
        let mut worker = self.worker.borrow_mut();
        let saturated = worker.saturated();
        if worker.conn(key).is_none_or(|conn| saturated || conn.deaf()) {
            return false;
        }
        let sockets = self.sockets.borrow();
        let at = self.places.borrow().get(key.slot as usize).copied().flatten();
        let Some(socket) = at.and_then(|at| sockets.get(at)).filter(|socket| socket.key == key) else {
            return false;
        };
        let stream: &tokio::net::TcpStream = socket.write.as_ref();
        let waits = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        !SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]).is_err_and(waits)
    }
}
