//! A queue between threads that is emptied whole: one lock and at most one wake-up for each batch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Places that an empty queue keeps.
const KEPT: usize = 1_024;

/// How a sleeping reader is woken.
pub trait Wake: Send + Sync {
    /// Called after something was put into an empty mailbox.
    fn wake(&self);
}

/// The mailbox of one thread. What bounds it is the senders' own limit on what they have outstanding.
pub struct Mailbox<T> {
    queue: Mutex<Vec<T>>,
    filled: Condvar,
    wake: Option<Box<dyn Wake>>,
    nudged: AtomicBool,
}

impl<T> std::fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl<T> Mailbox<T> {
    /// A mailbox whose reader waits in [`Mailbox::wait`].
    pub fn blocking() -> Self {
        Self {
            queue: Mutex::new(Vec::new()),
            filled: Condvar::new(),
            wake: None,
            nudged: AtomicBool::new(false),
        }
    }

    /// A mailbox whose reader is woken by `wake`.
    pub fn waking(wake: Box<dyn Wake>) -> Self {
        Self { wake: Some(wake), ..Self::blocking() }
    }

    /// Moves everything in `batch` into the mailbox, in order.
    pub fn send(&self, batch: &mut Vec<T>) {
        if batch.is_empty() {
            return;
        }
        let mut queue = self.lock();
        let was_empty = queue.is_empty();
        if was_empty {
            std::mem::swap(&mut *queue, batch);
        } else {
            queue.append(batch);
        }
        drop(queue);
        if batch.capacity() > KEPT {
            // A burst's memory is not kept for the next one.
            *batch = Vec::new();
        }
        if was_empty {
            self.notify();
        }
    }

    /// Puts one in.
    pub fn send_one(&self, one: T) {
        let mut queue = self.lock();
        let was_empty = queue.is_empty();
        queue.push(one);
        drop(queue);
        if was_empty {
            self.notify();
        }
    }

    /// Swaps the content into `into`, which must be empty.
    pub fn take(&self, into: &mut Vec<T>) {
        debug_assert!(into.is_empty(), "the last batch was handled whole");
        if into.capacity() > KEPT {
            *into = Vec::new();
        }
        std::mem::swap(&mut *self.lock(), into);
    }

    /// As [`Mailbox::take`], after waiting for at most `timeout` until there is something.
    pub fn wait(&self, timeout: Duration, into: &mut Vec<T>) {
        if into.capacity() > KEPT {
            *into = Vec::new();
        }
        let queue = self.lock();
        let (mut queue, _) = self
            .filled
            .wait_timeout_while(queue, timeout, |queue| {
                queue.is_empty() && !self.nudged.load(Ordering::Acquire)
            })
            .unwrap_or_else(PoisonError::into_inner);
        self.nudged.store(false, Ordering::Release);
        std::mem::swap(&mut *queue, into);
    }

    /// Wakes the reader, or lets its next wait end at once, with nothing in the mailbox.
    pub fn nudge(&self) {
        self.nudged.store(true, Ordering::Release);
        drop(self.lock());
        self.notify();
    }

    fn notify(&self) {
        match &self.wake {
            Some(wake) => wake.wake(),
            None => self.filled.notify_one(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
