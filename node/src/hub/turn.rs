//! One turn: take in, propose, write and sync, apply, hand out.

use std::sync::Arc;

use holdfast_log::{Effects, LogError, NodeId, Refusal};

use super::machine::MachineError;
use super::tag::OpTag;
use super::{Hub, TICK};
use crate::mail::{Event, From, Request};
use crate::route::{META, Partition};
use crate::state::meta::Office;
use crate::state::session::op::Kind;

/// Rounds of a turn: what one group's progress brings about in others is done at once, but not for ever.
const ROUNDS_MAX: usize = 64;

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
    /// The node's number belongs to another directory.
    #[error(
        "this cluster knows node {node} by another directory ({uuid}); a directory that was lost or copied must not \
         serve under its old number"
    )]
    Stranger {
        /// The number.
        node: u64,
        /// UUID of the directory that has it.
        uuid: String,
    },
    /// The node was taken out of the cluster.
    #[error("node {node} was removed from its cluster; to come back it has to join with an empty directory")]
    Removed {
        /// The number.
        node: u64,
    },
    /// The cluster does what this version does not know.
    #[error(
        "the cluster is at feature level {found}, and this version knows levels up to {known}; start this node with a \
         version that knows it"
    )]
    Level {
        /// The cluster's.
        found: u32,
        /// The highest that is known.
        known: u32,
    },
    /// The cluster that was founded is another one.
    #[error("the data belongs to cluster {found}, the identity file says {wanted}")]
    OtherCluster {
        /// In the log.
        found: String,
        /// In the file.
        wanted: String,
    },
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
        self.hand_over()?;
        self.keep_last()
    }

    /// Handles a batch of requests to its end. Without requests it only looks at its clocks.
    ///
    /// # Errors
    /// When it cannot go on.
    pub fn turn(&mut self, requests: &mut Vec<Request>) -> Result<(), HubError> {
        let start = self.clock.monotonic();
        let any = !requests.is_empty();
        self.time.look((self.node, self.clock.wall()), start, self.machines.meta.count());
        self.look_for_a_pause(start);
        self.take_in()?;
        for request in requests.drain(..) {
            self.accept(request)?;
        }
        self.send_departures();
        self.tell_interest();
        self.ask_barriers();
        self.engine.tick(self.clock.monotonic());
        self.board();
        self.keep()?;
        self.pulse();
        self.place();
        self.raise_level();
        self.name_leaders();
        self.balance();
        self.give_up_hearing();
        self.give_up_owners();
        self.settle()?;
        self.keep_contact();
        if any {
            self.latencies.commit.record(self.clock.monotonic() - start);
        }
        self.pass_reads();
        self.send_heard();
        self.send_departed();
        self.pass_calls();
        self.send_shared();
        self.hand_out();
        match self.boarding.stranger.take() {
            Some(uuid) => Err(HubError::Stranger { node: self.node.get(), uuid }),
            None if self.office(self.node) == Office::Removed => {
                Err(HubError::Removed { node: self.node.get() })
            }
            None => self.check_cluster().and_then(|()| self.check_level()),
        }
    }

    /// Proposes, writes and applies until nothing is left to do without others.
    fn settle(&mut self) -> Result<(), HubError> {
        for _ in 0..ROUNDS_MAX {
            let new = match self.propose() {
                Err(Refusal::Closed) => {
                    self.lose("its boot is closed");
                    false
                }
                other => other.map_err(HubError::Refused)?,
            };
            let moved = self.advance()?;
            if !new && !moved && !self.engine.is_busy() {
                return Ok(());
            }
        }
        // The rest is for the next turn, which comes at once.
        self.inbox.nudge();
        Ok(())
    }

    fn check_cluster(&self) -> Result<(), HubError> {
        match self.machines.meta.founding() {
            // A node that joined later may read of an earlier id first; once it has a boot it knows better.
            Some(founding) if self.boot > 0 && founding.cluster_id != self.identity.cluster_id => {
                Err(HubError::OtherCluster {
                    found: founding.cluster_id.clone(),
                    wanted: self.identity.cluster_id.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    fn accept(&mut self, request: Request) -> Result<(), HubError> {
        if self.boot == 0 && request.needs_boot() {
            // Its connection is closed, or will be before it hears of anything.
            return Ok(());
        }
        match request {
            Request::Live(live) => self.live(live),
            Request::Interest(wants) => self.exchange.interest.change(wants),
            Request::Publish(batch) if batch.boot != self.boot => {}
            Request::Publish(batch) => self.accept_publishes(batch),
            Request::Session { from, group, op } => {
                let op = *op;
                if self.keeping.full && matches!(op, Kind::Subscribe(_)) {
                    self.refuse_op(from);
                } else if matches!(op, Kind::Attach(_)) {
                    self.accept_connect(from, group, op);
                } else {
                    self.accept_op(group, op, OpTag::Reply(from));
                }
            }
            Request::Note { group, op } => {
                let op = *op;
                let tag = if matches!(op, Kind::Detach(_)) { OpTag::Detach } else { OpTag::Quiet };
                self.accept_op(group, op, tag);
            }
            Request::Share { to, word } => self.share_say(NodeId::new(to), *word),
            Request::ShareAnswered(call) => self.worker_answered(call),
            Request::ShareFlush(flush) => self.accept_share_flush(*flush),
            Request::Barrier(from, cover) => self.accept_barrier(from, cover),
            Request::Retained(scan) => self.scan_retained(&scan),
            Request::Released(released) => self.released(*released),
            Request::Heard { by, open } => self.heard_here(by, open),
            Request::Query(query) => self.query(query),
            Request::Flushed(flushed) => {
                self.engine.flush_end(flushed.0?);
                self.flushed();
            }
            Request::Stop => self.stopping = true,
        }
        Ok(())
    }

    /// Nothing new that lasts is taken in while the disk is full.
    fn refuse_op(&mut self, from: From) {
        let From { worker, connection, tag } = from;
        let outcome = Err(crate::mail::Refused::Full);
        self.post(worker).events.push(Event::SessionDone { connection, tag, outcome });
    }

    /// Collects, commits and applies. `true`: something was applied, which may have left more to propose.
    fn advance(&mut self) -> Result<bool, HubError> {
        let mut effects = std::mem::take(&mut self.effects);
        let start = self.clock.monotonic();
        self.engine.collect(&mut effects)?;
        self.send_messages(&mut effects.send_now);
        self.send_bulk(&mut effects.bulk);
        let gathered = self.clock.monotonic();
        let syncs = self.engine.figures().syncs;
        self.engine.commit(&mut effects)?;
        let synced = self.clock.monotonic();
        if self.engine.figures().syncs > syncs {
            self.latencies.append.record(gathered - start);
            self.latencies.fsync.record(synced - gathered);
        }
        self.send_messages(&mut effects.send_after);
        if let Some((group, fault)) = effects.stopped.first() {
            return Err(HubError::Stopped { group: *group, fault: fault.to_string() });
        }
        self.install(&mut effects)?;
        let moved = !effects.committed.is_empty();
        for committed in effects.committed.drain(..) {
            self.apply(&committed)?;
        }
        for (group, role) in effects.roles.drain(..) {
            self.role(group, role);
        }
        effects.reads.drain(..).for_each(|ready| self.read_ready(ready));
        if moved {
            self.latencies.apply.record(self.clock.monotonic() - synced);
        }
        effects.clear();
        self.effects = effects;
        Ok(moved)
    }

    /// Takes up the state of groups for which a snapshot came. What this node had proposed there may be in it or not,
    /// and what its sessions saw is not what is now: it starts over.
    fn install(&mut self, effects: &mut Effects) -> Result<(), HubError> {
        for (group, _) in effects.installed.drain(..) {
            self.machines.reset(group);
            let engine = &self.engine;
            self.machines.take_rows(group, |visit| engine.state(group, visit))??;
            if let Some(partition) = Partition::of_group(group) {
                let next = self.engine.status(group).map_or(0, |status| status.next_offset.get());
                self.machines.next[partition.index()] = next;
            }
            if group == META {
                self.boarding.load(&self.machines, self.clock.monotonic());
                self.follow_nodes();
            }
            tracing::info!(%group, "took a snapshot");
            self.lose("a snapshot took the place of what it knew");
        }
        Ok(())
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
        self.boarding.told();
    }
}
