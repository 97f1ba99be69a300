//! What waits for one stream to one peer: bounded in bytes, never waited for by the sender.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::net::Unsent;

/// Bytes after which a write is large enough: one more frame would not make it cheaper.
const WRITE_BYTES: usize = 64 << 10;

/// One queue. Many push, one takes.
pub(super) struct Queue {
    bytes_max: usize,
    waiting: Mutex<Waiting>,
    filled: Notify,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, waiting: Mutex::default(), filled: Notify::new(), dropped: AtomicU64::new(0) }
    }

    /// Queues a frame, where there is room or nothing else waits.
    pub(super) fn push(&self, frame: Bytes) -> Result<(), Unsent> {
        {
            let mut waiting = self.lock();
            if !waiting.frames.is_empty() && waiting.bytes + frame.len() > self.bytes_max {
                self.count_dropped(1);
                return Err(Unsent::Full);
            }
            waiting.bytes += frame.len();
            waiting.frames.push_back(frame);
        }
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for frames and moves as many as make a good write to the end of `batch`. A wait that is given
    /// up has taken nothing.
    pub(super) async fn next(&self, batch: &mut Vec<Bytes>) {
        loop {
            {
                let mut waiting = self.lock();
                let mut taken = 0;
                while taken < WRITE_BYTES
                    && let Some(frame) = waiting.frames.pop_front()
                {
                    taken += frame.len();
                    batch.push(frame);
                }
                waiting.bytes -= taken;
                if taken > 0 {
                    return;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Forgets what waits: its connection is gone.
    pub(super) fn clear(&self) {
        let dropped = {
            let mut waiting = self.lock();
            waiting.bytes = 0;
            waiting.frames.drain(..).count()
        };
        self.count_dropped(dropped);
    }

    pub(super) fn count_dropped(&self, frames: usize) {
        self.dropped.fetch_add(frames as u64, Ordering::Relaxed);
    }

    /// Frames that were refused or lost here.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> u64 {
        self.lock().bytes as u64
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_counts_but_an_empty_one_takes_anything() {
        let queue = Queue::new(10);
        queue.push(Bytes::from(vec![0; 50])).expect("empty");
        assert_eq!(queue.push(Bytes::from_static(b"x")), Err(Unsent::Full));
        assert_eq!(queue.dropped(), 1);
        queue.clear();
        assert_eq!(queue.dropped(), 2);
        queue.push(Bytes::from(vec![0; 5])).expect("room");
        queue.push(Bytes::from(vec![0; 5])).expect("room");
        assert_eq!(queue.push(Bytes::from_static(b"x")), Err(Unsent::Full));
    }
}
