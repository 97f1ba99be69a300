//! One turn: take in, propose, write and sync, apply, hand out.

use std::sync::Arc;

use holdfast_log::{LogError, Refusal};

use super::machine::MachineError;
use super::tag::OpTag;
use super::{Barrier, Hub, TICK};
use crate::mail::{Event, From, Request};
use crate::state::session::op::Kind;

/// What ends the process: the disk, or a log that this program must not go on with.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The engine failed; after a failed write or sync nothing may be assumed of the disk.
    #[error("the log engine failed")]
    Log(#[from] LogError),
    /// A proposal was refused for good.
    #[error("a proposal was refused: {0}")]
    Refused(Refusal),
    /// A committed entry cannot be applied.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The state store failed.
    #[error("the state store failed")]
    Store(#[from] holdfast_log::StoreError),
    /// A thread to flush on cannot be started.
    #[error("cannot start a thread to flush on")]
    Thread(#[source] std::io::Error),
    /// A replica met something that it must not skip.
    #[error("replica of {group} stopped: {fault}")]
    Stopped {
        /// The group.
        group: holdfast_log::GroupId,
        /// Why.
        fault: String,
    },
}

impl Hub {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// When it cannot go on; the process ends with it.
    pub fn run(mut self) -> Result<(), HubError> {
        let mut requests = Vec::new();
        while !self.stopping {
            let inbox = Arc::clone(&self.inbox);
            inbox.wait(TICK, &mut requests);
            self.turn(&mut requests)?;
        }
        self.keep_last()
    }

    /// Handles a batch of requests to its end. Without requests it only looks at its clocks.
    ///
    /// # Errors
    /// When it cannot go on.
    pub fn turn(&mut self, requests: &mut Vec<Request>) -> Result<(), HubError> {
        let start = self.clock.monotonic();
        let any = !requests.is_empty();
        for request in requests.drain(..) {
            self.accept(request)?;
        }
        self.engine.tick(self.clock.monotonic());
        self.keep()?;
        loop {
            let new = self.propose().map_err(HubError::Refused)?;
            let moved = self.advance()?;
            if !new && !moved {
                break;
            }
        }
        if any {
            self.latencies.commit.record(self.clock.monotonic() - start);
        }
        self.pass_barriers();
        self.hand_out();
        Ok(())
    }

    fn accept(&mut self, request: Request) -> Result<(), HubError> {
        match request {
            Request::Publish(batch) => self.accept_publishes(batch),
            Request::Session { from, group, op } => {
                let op = *op;
                if self.keeping.full && matches!(op, Kind::Subscribe(_)) {
                    self.refuse_op(from);
                } else if matches!(op, Kind::Attach(_)) {
                    self.accept_op(group, op, OpTag::Attach(from));
                } else {
                    self.accept_op(group, op, OpTag::Reply(from));
                }
            }
            Request::Note { group, op } => {
                let op = *op;
                let tag = if matches!(op, Kind::Detach(_)) { OpTag::Detach } else { OpTag::Quiet };
                self.accept_op(group, op, tag);
            }
            Request::ShareJoin { from, op, member } => {
                if self.keeping.full && from.tag != 0 {
                    self.refuse_op(from);
                    return Ok(());
                }
                let group = self.route.session_group(&op.share);
                self.accept_op(group, Kind::ShareJoin(*op), OpTag::ShareJoin(from, member));
            }
            Request::ShareFlush(flush) => {
                let group = self.route.session_group(&flush.window.share);
                let tag = OpTag::ShareFlush { worker: flush.worker, tag: flush.tag };
                self.accept_op(group, Kind::ShareWindow(flush.window), tag);
            }
            Request::Barrier(from) => self.accept_barrier(from),
            Request::Retained(scan) => self.scan_retained(&scan),
            Request::Released(released) => self.released(*released),
            Request::Query(query) => self.query(query),
            Request::Flushed(flushed) => {
                self.engine.flush_end(flushed.0?);
                self.flushed();
            }
            Request::Stop => self.stopping = true,
        }
        Ok(())
    }

    /// Nothing new that lasts is taken in while the disk is full. A session that comes back (tag 0) is not new.
    fn refuse_op(&mut self, from: From) {
        let From { worker, connection, tag } = from;
        let outcome = Err(crate::mail::Refused::Full);
        self.post(worker).events.push(Event::SessionDone { connection, tag, outcome });
    }

    fn accept_barrier(&mut self, from: From) {
        // What was accepted before is pending or proposed; its offsets follow the applied ones.
        let wait = Vec::new();
        self.barriers.push(Barrier { from, wait });
    }

    /// Collects, commits and applies. `true`: something was applied, which may have left more to propose.
    fn advance(&mut self) -> Result<bool, HubError> {
        let mut effects = std::mem::take(&mut self.effects);
        let start = self.clock.monotonic();
        self.engine.collect(&mut effects)?;
        let gathered = self.clock.monotonic();
        let syncs = self.engine.figures().syncs;
        self.engine.commit(&mut effects)?;
        let synced = self.clock.monotonic();
        if self.engine.figures().syncs > syncs {
            self.latencies.append.record(gathered - start);
            self.latencies.fsync.record(synced - gathered);
        }
        if let Some((group, fault)) = effects.stopped.first() {
            return Err(HubError::Stopped { group: *group, fault: fault.to_string() });
        }
        for (group, role) in effects.roles.drain(..) {
            if role.leads {
                self.proposals.resend(group);
            }
        }
        let moved = !effects.committed.is_empty();
        for committed in effects.committed.drain(..) {
            self.apply(&committed)?;
        }
        if moved {
            self.latencies.apply.record(self.clock.monotonic() - synced);
        }
        effects.clear();
        self.effects = effects;
        Ok(moved)
    }

    /// Everything proposed before a barrier is applied when no proposal of a partition is open.
    fn pass_barriers(&mut self) {
        if self.barriers.is_empty() {
            return;
        }
        let next = &self.machines.next;
        let open: Vec<u64> = self
            .route
            .all_partitions()
            .map(|partition| self.proposals.open(partition.group()) as u64)
            .collect();
        let starts: Arc<[u64]> = next.as_slice().into();
        let mut waiting = Vec::new();
        for mut barrier in std::mem::take(&mut self.barriers) {
            if barrier.wait.is_empty() {
                barrier.wait = open.clone();
            }
            // At the first look these are the entries to wait for; later fewer are open.
            let passed = barrier.wait.iter().zip(&open).all(|(wait, open)| *wait == 0 || *open == 0);
            if !passed {
                waiting.push(barrier);
                continue;
            }
            let From { worker, connection, tag } = barrier.from;
            self.feed(worker);
            let started = Event::Started { connection, tag, starts: Arc::clone(&starts) };
            self.post(worker).events.push(started);
        }
        self.barriers = waiting;
    }

    /// From here on the worker gets every entry.
    pub(super) fn feed(&mut self, worker: u32) {
        let next = self.machines.next.as_slice().into();
        let post = self.post(worker);
        if !post.feeding {
            post.feeding = true;
            post.events.push(Event::FeedStarted(next));
        }
    }

    fn hand_out(&mut self) {
        for post in &mut self.workers {
            post.mailbox.send(&mut post.events);
        }
        for post in &mut self.workers {
            post.mailbox.send(&mut post.settled);
        }
    }
}
