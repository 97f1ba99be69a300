//! The thread of a worker: sockets, clock and mailbox around a [`Worker`], which does all the thinking.
//!
//! One task for each connection reads; one task writes. It runs after every connection that became readable in the
//! same pass has been read, so that what they caused leaves in one write per receiver and one batch per thread.

mod connection;
mod hear;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::mail::{ConnectionKey, Event, Mailbox, Read, Request, Wake};
use crate::metrics::Latencies;
use crate::task::{self, Name};
use crate::worker::{Now, Outgoing, Worker};
use connection::Serve;

/// How often a worker looks at its clocks.
const TICK: Duration = Duration::from_millis(50);
/// Bytes read from a socket at a time.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Where a worker's batches go.
pub(crate) struct Ways {
    /// The worker's own mailbox.
    pub(crate) inbox: Arc<Mailbox<Event>>,
    /// Rings when something is put into it.
    pub(crate) bell: Arc<Notify>,
    /// The hub.
    pub(crate) hub: Arc<Mailbox<Request>>,
    /// The log reader.
    pub(crate) reads: Arc<Mailbox<Read>>,
    /// All workers, by number.
    pub(crate) peers: Vec<Arc<Mailbox<Event>>>,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// How far group time is ahead of the monotonic clock, milliseconds: what the time of day is taken to be.
    pub(crate) ahead: Arc<AtomicU64>,
}

/// Rings a worker's bell.
pub(crate) struct Ring(pub(crate) Arc<Notify>);

impl Wake for Ring {
    fn wake(&self) {
        self.0.notify_one();
    }
}

/// What the tasks of one worker share. All on one thread.
pub(crate) struct Driver {
    pub(crate) worker: RefCell<Worker>,
    pub(crate) buffer: RefCell<Vec<u8>>,
    sockets: RefCell<Slab<Socket>>,
    places: RefCell<Vec<Option<usize>>>,
    settle: Notify,
    settling: Cell<bool>,
    paused: RefCell<Vec<Waker>>,
    ways: Ways,
    deliver: metrics::Histogram,
    /// When the first event of this turn came.
    began: Cell<Option<Duration>>,
}

struct Socket {
    key: ConnectionKey,
    write: OwnedWriteHalf,
}

/// Runs a worker until it is told to stop and its connections are closed.
///
/// # Errors
/// When the runtime cannot be made.
pub(crate) fn run(worker: Worker, ways: Ways) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let driver = Rc::new(Driver {
            worker: RefCell::new(worker),
            buffer: RefCell::new(vec![0; READ_BYTES]),
            sockets: RefCell::new(Slab::new()),
            places: RefCell::new(Vec::new()),
            settle: Notify::new(),
            settling: Cell::new(false),
            paused: RefCell::new(Vec::new()),
            ways,
            deliver: Latencies::new().deliver,
            began: Cell::new(None),
        });
        task::spawn_local(Name::Settle, settle(Rc::clone(&driver)));
        task::spawn_local(Name::Tick, tick(Rc::clone(&driver)));
        events(driver).await;
    });
    Ok(())
}

async fn events(driver: Rc<Driver>) {
    let mut events = Vec::new();
    loop {
        driver.ways.bell.notified().await;
        driver.ways.inbox.take(&mut events);
        driver.set_now();
        driver.began.set(driver.began.get().or_else(|| Some(driver.ways.clock.monotonic())));
        for event in events.drain(..) {
            match event {
                Event::Accepted(stream, peer) => driver.accept(stream, peer),
                Event::Hear { connection, by } => driver.hear(connection, by),
                event => driver.worker.borrow_mut().event(event),
            }
        }
        driver.settle_soon();
        driver.resume_paused();
        if driver.worker.borrow().ended() {
            return;
        }
    }
}

async fn tick(driver: Rc<Driver>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        driver.set_now();
        driver.worker.borrow_mut().tick();
        driver.settle_soon();
        driver.resume_paused();
        if driver.worker.borrow().ended() {
            driver.ways.bell.notify_one();
        }
    }
}

async fn settle(driver: Rc<Driver>) {
    let mut outgoing = Outgoing::default();
    outgoing.peers.resize_with(driver.ways.peers.len(), Vec::new);
    let mut dirty = Vec::new();
    loop {
        driver.settle.notified().await;
        driver.settling.set(false);
        driver.worker.borrow_mut().settle(&mut outgoing);
        driver.ways.hub.send(&mut outgoing.requests);
        driver.ways.reads.send(&mut outgoing.reads);
        for (peer, events) in driver.ways.peers.iter().zip(&mut outgoing.peers) {
            peer.send(events);
        }
        driver.worker.borrow_mut().take_dirty(&mut dirty);
        for slot in dirty.drain(..) {
            driver.write(slot);
        }
        if let Some(began) = driver.began.take() {
            driver.deliver.record(driver.ways.clock.monotonic() - began);
        }
        if driver.worker.borrow().has_more() {
            driver.settle_soon();
            tokio::task::yield_now().await;
        }
    }
}

impl Driver {
    pub(crate) fn set_now(&self) {
        let monotonic = u64::try_from(self.ways.clock.monotonic().as_millis()).unwrap_or(u64::MAX);
        let wall = monotonic + self.ways.ahead.load(Ordering::Relaxed);
        self.worker.borrow_mut().now = Now { monotonic, wall };
    }

    /// The settling task runs once what is ready now has been handled.
    pub(crate) fn settle_soon(&self) {
        if !self.settling.replace(true) {
            self.settle.notify_one();
        }
    }

    /// `waker` is woken when publishers may go on.
    pub(crate) fn pause(&self, waker: Waker) {
        self.paused.borrow_mut().push(waker);
    }

    fn resume_paused(&self) {
        if !self.worker.borrow().saturated() {
            for waker in self.paused.borrow_mut().drain(..) {
                waker.wake();
            }
        }
    }

    fn accept(self: &Rc<Self>, stream: std::net::TcpStream, peer: SocketAddr) {
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%peer, %error, "a connection broke before it was served");
                return;
            }
        };
        let (read, write) = stream.into_split();
        let key = self.worker.borrow_mut().accept(peer);
        let at = self.sockets.borrow_mut().insert(Socket { key, write });
        let mut places = self.places.borrow_mut();
        let slot = key.slot as usize;
        if places.len() <= slot {
            places.resize(slot + 1, None);
        }
        places[slot] = Some(at);
        drop(places);
        task::spawn_local(Name::Connection, Serve::new(Rc::clone(self), key, read));
    }

    /// Writes out a connection, as far as its socket takes it; closes it when it is to be closed.
    fn write(&self, slot: u32) {
        let mut worker = self.worker.borrow_mut();
        let Some(conn) = worker.conn_at(slot) else { return };
        conn.dirty = false;
        let sockets = self.sockets.borrow();
        let at = self.places.borrow().get(slot as usize).copied().flatten();
        let Some(socket) = at.and_then(|at| sockets.get(at)) else { return };
        let key = socket.key;
        let mut broken = false;
        let deaf = conn.deaf();
        while !conn.blocked && conn.unwritten() > 0 {
            match socket.write.try_write(&conn.out[conn.written..]) {
                Ok(bytes) => conn.written += bytes,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    conn.blocked = true;
                    if let Some(waker) = &conn.waker {
                        waker.wake_by_ref();
                    }
                }
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        if deaf
            && !conn.deaf()
            && let Some(waker) = &conn.waker
        {
            waker.wake_by_ref();
        }
        let done = conn.unwritten() == 0;
        let room = conn.written > 0;
        let closing = conn.closing();
        if done {
            worker.written(slot);
        } else if room {
            worker.compact(slot);
        }
        if room {
            worker.drained(slot);
        }
        drop(sockets);
        if broken || closing {
            drop(worker);
            self.remove(key);
        }
    }

    /// Closes a connection's socket and forgets it.
    pub(crate) fn remove(&self, key: ConnectionKey) {
        let mut worker = self.worker.borrow_mut();
        let Some(conn) = worker.conn(key) else { return };
        let waker = conn.waker.take();
        worker.remove(key);
        drop(worker);
        if let Some(at) = self.places.borrow_mut().get_mut(key.slot as usize).and_then(Option::take) {
            self.sockets.borrow_mut().remove(at);
        }
        if let Some(waker) = waker {
            waker.wake();
        }
        self.settle_soon();
        if self.worker.borrow().ended() {
            self.ways.bell.notify_one();
        }
    }
}
