//! What came in and was not taken yet: bounded in bytes, by not reading on.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::net::Incoming;

/// Called when something arrives in an empty inbox, on any thread and with locks held: it may only signal,
/// and must not call the link.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The inbox of a link.
pub(super) struct Inbox {
    unread: Mutex<Unread>,
    room: Notify,
    wake: Wake,
}

#[derive(Default)]
struct Unread {
    items: Vec<Incoming>,
    bytes: usize,
}

impl Inbox {
    pub(super) fn new(wake: Wake) -> Self {
        Self { unread: Mutex::default(), room: Notify::new(), wake }
    }

    /// Puts an item at the end. `bytes` is what it counts for.
    pub(super) fn push(&self, item: Incoming, bytes: usize) {
        let first = {
            let mut unread = self.lock();
            unread.items.push(item);
            unread.bytes += bytes;
            unread.items.len() == 1
        };
        if first {
            (self.wake)();
        }
    }

    /// Waits until less than `bytes_max` bytes are unread.
    pub(super) async fn room(&self, bytes_max: usize) {
        loop {
            let room = self.room.notified();
            if self.lock().bytes < bytes_max {
                return;
            }
            room.await;
        }
    }

    /// Moves everything to the end of `out`.
    pub(super) fn take(&self, out: &mut Vec<Incoming>) {
        let had = {
            let mut unread = self.lock();
            out.append(&mut unread.items);
            mem::take(&mut unread.bytes) > 0
        };
        if had {
            self.room.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Unread> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
