//! The reading side of one connection: a small future that lends the worker's buffer to the socket.
//!
//! It keeps nothing while nothing comes: no buffer, no timer.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

use crate::mail::ConnectionKey;
use crate::task::{self, Name};

use super::{Driver, READ_BYTES};

/// Reads of one connection before others get their turn.
const READS_MAX: usize = 4;
/// How long a closed connection's remaining bytes are taken, so that what we wrote last is not reset away.
const LINGER: Duration = Duration::from_secs(1);

/// Reads one connection until it closes.
pub(super) struct Serve {
    driver: Rc<Driver>,
    key: ConnectionKey,
    read: Option<OwnedReadHalf>,
}

impl Serve {
    pub(super) fn new(driver: Rc<Driver>, key: ConnectionKey, read: OwnedReadHalf) -> Self {
        Self { driver, key, read: Some(read) }
    }

    /// What stands before reading: is there a connection, has it to write, may it read?
    fn ready(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let driver = &self.driver;
        let mut worker = driver.worker.borrow_mut();
        let saturated = worker.saturated();
        let Some(conn) = worker.conn(self.key) else { return Poll::Ready(false) };
        if conn.waker.as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
            conn.waker = Some(context.waker().clone());
        }
        if conn.blocked {
            let socket: &tokio::net::TcpStream = self.read.as_ref().expect("until it is done").as_ref();
            if socket.poll_write_ready(context).is_ready() {
                conn.blocked = false;
                worker.writable(self.key);
                driver.settle_soon();
            }
        }
        let Some(conn) = worker.conn(self.key) else { return Poll::Ready(false) };
        if conn.deaf() {
            return Poll::Pending;
        }
        if saturated {
            driver.pause(context.waker().clone());
            return Poll::Pending;
        }
        if conn.stalled {
            let partial = std::mem::take(&mut conn.partial);
            drop(worker);
            self.input(&partial);
        }
        Poll::Ready(true)
    }

    fn input(&self, bytes: &[u8]) {
        self.driver.set_now();
        let mut worker = self.driver.worker.borrow_mut();
        let used = worker.input(self.key, bytes);
        if let Some(conn) = worker.conn(self.key)
            && used < bytes.len()
        {
            conn.partial = bytes[used..].to_vec();
        }
        drop(worker);
        self.driver.settle_soon();
    }

    /// One read from the socket. `false`: it has ended.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let mut buffer = std::mem::take(&mut *self.driver.buffer.borrow_mut());
        let partial = match self.driver.worker.borrow_mut().conn(self.key) {
            Some(conn) => std::mem::take(&mut conn.partial),
            None => Vec::new(),
        };
        let kept = partial.len();
        if buffer.len() < kept + READ_BYTES {
            buffer.resize(kept + READ_BYTES, 0);
        }
        buffer[..kept].copy_from_slice(&partial);
        let read = self.read.as_mut().expect("until it is done");
        let mut into = ReadBuf::new(&mut buffer[kept..]);
        let polled = Pin::new(read).poll_read(context, &mut into);
        let fresh = into.filled().len();
        let result = match polled {
            Poll::Pending => {
                if let Some(conn) = self.driver.worker.borrow_mut().conn(self.key) {
                    conn.partial = partial;
                }
                Poll::Pending
            }
            Poll::Ready(Ok(())) if fresh > 0 => {
                self.input(&buffer[..kept + fresh]);
                Poll::Ready(true)
            }
            Poll::Ready(_) => Poll::Ready(false),
        };
        if buffer.len() > 16 * READ_BYTES {
            buffer = vec![0; READ_BYTES];
        }
        *self.driver.buffer.borrow_mut() = buffer;
        result
    }
}

impl Future for Serve {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..READS_MAX {
            if !ready!(self.ready(context)) {
                break;
            }
            if !ready!(self.read(context)) {
                self.driver.remove(self.key);
                self.read = None;
                return Poll::Ready(());
            }
        }
        if self.driver.worker.borrow_mut().conn(self.key).is_some() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(read) = self.read.take() {
            task::spawn_local(Name::Linger, linger(read));
        }
        Poll::Ready(())
    }
}

async fn linger(mut read: OwnedReadHalf) {
    let mut rest = [0; 1024];
    let until_end = async { while matches!(read.read(&mut rest).await, Ok(bytes) if bytes > 0) {} };
    // Whether it ended or we grew tired of waiting, the socket closes now.
    let _ = tokio::time::timeout(LINGER, until_end).await;
}
