//! A session group: every session whose client id hashes to it, derived from its log alone.
//!
//! Pure: state and operation in, [`Changes`] and an [`Outcome`] out. Only the group's leader acts on outcomes
//! and on the outbox. Invariant: the owner of a session is its highest committed epoch; an operation of a lower
//! epoch changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::op::{Attach, Detach, Kind, Point, Subscribe, Unsubscribe};
use super::outbox::{Leave, Outbox, Task};
use super::past::{Ended, Past};
use super::record::{Core, Owner, Position, Record, Window};
use super::share::Share;
use crate::record::Fence;
use crate::state::changes::Changes;
use crate::state::session::key;

/// Packet Identifiers that a CONNECT of a durable session reserves.
const PACKET_IDS_RESERVED: u64 = 4_096;

/// State of one session group.
#[derive(Debug, Default)]
pub struct Sessions {
    /// Number of the group, in the high bits of every incarnation it gives out.
    pub(super) number: u64,
    pub(super) sessions: BTreeMap<String, Record>,
    /// (group time ms, client id) of every disconnected session's end and will.
    pub(super) deadlines: BTreeSet<(u64, String)>,
    /// Next offsets of the caught-up sessions of (node, worker).
    pub(super) tails: BTreeMap<(u64, u32), Vec<u64>>,
    pub(super) shares: BTreeMap<String, Share>,
    pub(super) outbox: Outbox,
    /// Earlier owners and what waits for them, by client id.
    pub(super) past: BTreeMap<String, Past>,
    /// Highest closed boot of each node.
    pub(super) closed: BTreeMap<u64, u64>,
    /// Counts up for epochs and incarnations.
    pub(super) counter: u64,
}

/// What an operation came to, for whoever proposed it.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// A CONNECT owns its session now.
    Attached(Box<Attached>),
    /// Applied.
    Done,
    /// The proposer's epoch is not the owner's: nothing changed.
    Stale,
    /// Nothing is owed any more of the wills of this client id.
    WillsOut(String),
    /// A session was removed; this connection owned it.
    Removed(Option<Owner>),
}

/// Result of a CONNECT.
#[derive(Debug, PartialEq)]
pub struct Attached {
    /// The session as it stands.
    pub record: Record,
    /// Session Present. MQTT 5.0, 3.2.2.1.1.
    pub session_present: bool,
    /// The connection that owned the client id until now.
    pub previous: Option<Owner>,
    /// Its epoch; 0 where there was none.
    pub previous_epoch: u64,
    /// Boots of earlier owners that have not confirmed that they let go. Whoever answers the CONNECT says which.
    pub fences: Vec<Fence>,
}

impl Sessions {
    /// An empty session group.
    pub fn new(number: u32) -> Self {
        Self { number: u64::from(number) << 48, ..Self::default() }
    }

    /// Applies one operation with its entry's stamp (group time, ms).
    pub fn apply(&mut self, stamp: u64, op: &Kind, changes: &mut Changes) -> Outcome {
        match op {
            Kind::Attach(op) => self.attach(stamp, op, changes),
            Kind::Detach(op) => self.detach(stamp, op, changes),
            Kind::Subscribe(op) => self.subscribe(op, changes),
            Kind::Unsubscribe(op) => self.owned(&op.client_id, op.epoch, changes, |this, changes| {
                this.unsubscribe(op, changes);
            }),
            Kind::Window(op) => self.owned(&op.client_id, op.epoch, changes, |this, changes| {
                this.set_window(&op.client_id, op.window.clone(), changes);
            }),
            Kind::Intents(op) => self.owned(&op.client_id, op.epoch, changes, |this, changes| {
                let core = &mut this.session(&op.client_id).core;
                core.refuse(&op.refused);
                for intent in &op.intents {
                    core.release(&[intent.packet_id]);
                    core.intents.push(*intent);
                    core.next_token = core.next_token.max(intent.token + 1);
                    if let Some(partition) = intent.partition
                        && let Err(at) = core.token_partitions.binary_search(&partition)
                    {
                        core.token_partitions.insert(at, partition);
                    }
                }
                changes.put(key::core(&op.client_id), core);
            }),
            Kind::Release(op) => self.owned(&op.client_id, op.epoch, changes, |this, changes| {
                let core = &mut this.session(&op.client_id).core;
                core.release(&op.packet_ids);
                changes.put(key::core(&op.client_id), core);
            }),
            Kind::Expire(_) => {
                self.expire(stamp, changes);
                Outcome::Done
            }
            Kind::OutboxDone(op) => {
                self.outbox.done(op.number, changes).map_or(Outcome::Done, Outcome::WillsOut)
            }
            Kind::Forget(op) => {
                let core = self.sessions.get(&op.client_id).map(|record| &record.core);
                let (owner, epoch) = core.map_or((None, 0), |core| (core.owner, core.epoch));
                if let Some(owner) = owner {
                    self.left_behind(&op.client_id, owner, epoch, changes);
                }
                self.end(&op.client_id, changes);
                Outcome::Removed(owner)
            }
            Kind::Tail(op) => {
                changes.put(key::tail(op.node, op.worker), op);
                self.tails.insert((op.node, op.worker), op.next.clone());
                Outcome::Done
            }
            Kind::ShareJoin(op) => self.share_join(op, changes),
            Kind::ShareLeave(op) => self.share_leave(op, changes),
            Kind::ShareWindow(op) => self.share_window(op, changes),
            Kind::Confirmed(op) => {
                self.confirmed(&op.client_id, op.epoch, changes);
                Outcome::Done
            }
        }
    }

    /// Everything from the boots of `node` up to `boot` is over: its sessions are disconnected as of `stamp`.
    pub fn close_boot(&mut self, stamp: u64, node: u64, boot: u64, changes: &mut Changes) {
        self.close_past(node, boot, changes);
        let closed: Vec<String> = self
            .sessions
            .values()
            .filter(|record| record.core.owner.is_some_and(|owner| owner.node == node && owner.boot <= boot))
            .map(|record| record.core.client_id.clone())
            .collect();
        for client_id in closed {
            self.freeze_tail(&client_id, changes);
            self.disconnect(stamp, &client_id, changes);
        }
        self.drop_tails(node, changes);
        self.expire(stamp, changes);
    }

    /// Drops the tail vectors of a node, unless a later boot of it has sessions, which may follow them.
    fn drop_tails(&mut self, node: u64, changes: &mut Changes) {
        let followed = |record: &Record| record.core.owner.is_some_and(|owner| owner.node == node);
        if self.sessions.values().any(followed) {
            return;
        }
        let gone: Vec<_> = self.tails.keys().filter(|key| key.0 == node).copied().collect();
        for (node, worker) in gone {
            self.tails.remove(&(node, worker));
            changes.delete(key::tail(node, worker));
        }
    }

    fn attach(&mut self, stamp: u64, op: &Attach, changes: &mut Changes) -> Outcome {
        // A will whose delay has passed is published: this connection came too late to cancel it.
        self.expire(stamp, changes);
        self.counter += 1;
        let epoch = self.counter;
        let id = &op.client_id;
        let before = self.sessions.get(id).map(|record| (record.core.owner, record.core.epoch));
        let previous = before.and_then(|(owner, _)| owner);
        if let Some((Some(owner), epoch)) = before {
            self.left_behind(id, owner, epoch, changes);
            self.freeze_tail(id, changes);
            self.take_over(stamp, id, op.clean_start, changes);
        }
        let ends = self.sessions.get(id).is_some_and(|record| {
            op.clean_start || !record.core.durable() || record.core.ends_at().is_some_and(|at| at <= stamp)
        });
        if ends {
            self.end(id, changes);
        }
        self.undue(id);
        let session_present = self.sessions.contains_key(id);
        let incarnation = self.number | epoch;
        let record = self.sessions.entry(id.clone()).or_insert_with(|| Record {
            core: Core { client_id: id.clone(), incarnation, next_token: 1, ..Core::default() },
            ..Record::default()
        });
        let core = &mut record.core;
        core.epoch = epoch;
        core.owner = Some(op.owner);
        core.expiry = op.expiry;
        core.since = stamp;
        core.will = op.will.clone().map(Box::new);
        core.level = op.level;
        core.keep_alive = op.keep_alive;
        core.peer.clone_from(&op.peer);
        core.username.clone_from(&op.username);
        if core.durable() || session_present {
            // A block of packet identifiers for this connection: what the last one used stays behind it.
            record.window.reserved += PACKET_IDS_RESERVED;
            changes.put(key::window(id), &record.window);
        }
        changes.put(key::core(id), &record.core);
        changes.put_counter(self.counter);
        Outcome::Attached(Box::new(Attached {
            record: record.clone(),
            session_present,
            previous,
            previous_epoch: before.map_or(0, |(_, epoch)| epoch),
            fences: Vec::new(),
        }))
    }

    /// A connection that another takes over closes without DISCONNECT: its will is published, unless the session
    /// goes on and the delay gives the new connection the time to cancel it [MQTT-3.1.3-9].
    fn take_over(&mut self, stamp: u64, id: &str, clean_start: bool, changes: &mut Changes) {
        let core = &mut self.session(id).core;
        let goes_on = core.durable() && !clean_start;
        let will = core.will.take();
        core.owner = None;
        core.since = stamp;
        if let Some(will) = will
            && (!goes_on || will.delay == 0)
        {
            self.owe(id, Task::Will(will), changes);
        }
    }

    fn detach(&mut self, stamp: u64, op: &Detach, changes: &mut Changes) -> Outcome {
        self.confirmed(&op.client_id, op.epoch, changes);
        self.owned(&op.client_id, op.epoch, changes, |this, changes| {
            match op.window.clone() {
                Some(window) if !window.live => this.set_window(&op.client_id, window, changes),
                _ => this.freeze_tail(&op.client_id, changes),
            }
            let core = &mut this.session(&op.client_id).core;
            if op.discard_will {
                core.will = None;
            }
            // A session of expiry 0 cannot be made durable at its end [MQTT-3.1.2-23, 3.14.2.2.2].
            if let Some(expiry) = op.expiry
                && core.expiry > 0
            {
                core.expiry = expiry;
            }
            this.disconnect(stamp, &op.client_id, changes);
            this.expire(stamp, changes);
        })
    }

    fn disconnect(&mut self, stamp: u64, id: &str, changes: &mut Changes) {
        let core = &mut self.session(id).core;
        core.owner = None;
        core.since = stamp;
        let due = [core.ends_at(), core.will_due_at()];
        changes.put(key::core(id), core);
        for at in due.into_iter().flatten() {
            self.deadlines.insert((at, id.to_owned()));
        }
    }

    fn subscribe(&mut self, op: &Subscribe, changes: &mut Changes) -> Outcome {
        self.owned(&op.client_id, op.epoch, changes, |this, changes| {
            let record = this.session(&op.client_id);
            for subscription in &op.subscriptions {
                let mut new = subscription.clone();
                let filter = &subscription.filter;
                match record.subscriptions.binary_search_by(|old| old.filter.cmp(filter)) {
                    Ok(at) => {
                        // Replaced: what the old one was still to receive is not lost, so its start stays.
                        new.starts = std::mem::take(&mut record.subscriptions[at].starts);
                        changes.put(key::subscription(&op.client_id, filter), &new);
                        record.subscriptions[at] = new;
                    }
                    Err(at) => {
                        changes.put(key::subscription(&op.client_id, filter), &new);
                        record.subscriptions.insert(at, new);
                    }
                }
            }
            if !op.owed.is_empty() {
                record.window.owed.extend(op.owed.iter().cloned());
                changes.put(key::window(&op.client_id), &record.window);
            }
        })
    }

    fn unsubscribe(&mut self, op: &Unsubscribe, changes: &mut Changes) {
        let (id, filters) = (&op.client_id, &op.filters);
        let record = self.session(id);
        let mut left = Vec::new();
        record.subscriptions.retain(|subscription| {
            let gone = filters.contains(&subscription.filter);
            if gone {
                changes.delete(key::subscription(id, &subscription.filter));
                left.push(subscription.filter.clone());
            }
            !gone
        });
        let owed = record.window.owed.len();
        record.window.owed.retain(|owed| !filters.contains(&owed.filter));
        if record.window.owed.len() < owed {
            changes.put(key::window(id), &record.window);
        }
        let at = Point { epoch: op.epoch, number: op.number };
        for share in left.into_iter().filter(|filter| filter.starts_with("$share/")) {
            self.owe(id, Task::LeaveShare(Leave { share, at }), changes);
        }
    }

    fn set_window(&mut self, id: &str, window: Window, changes: &mut Changes) {
        changes.put(key::window(id), &window);
        self.session(id).window = window;
    }

    /// Gives a session that followed its worker's tail vector a cursor of its own.
    fn freeze_tail(&mut self, id: &str, changes: &mut Changes) {
        let record = self.sessions.get_mut(id).expect("the caller looked it up");
        let (true, Some(owner)) = (record.window.live, record.core.owner) else { return };
        record.window.live = false;
        if let Some(tail) = self.tails.get(&(owner.node, owner.worker)) {
            record.window.next =
                (0..).zip(tail).map(|(partition, &next)| Position { partition, next }).collect();
        }
        changes.put(key::window(id), &record.window);
    }

    /// Publishes due wills and ends due sessions.
    fn expire(&mut self, stamp: u64, changes: &mut Changes) {
        while let Some(first) = self.deadlines.first().filter(|(at, _)| *at <= stamp).cloned() {
            self.deadlines.remove(&first);
            let id = first.1;
            let Some(record) = self.sessions.get_mut(&id) else { continue };
            if record.core.will_due_at().is_some_and(|at| at <= stamp) {
                let will = record.core.will.take().expect("a will is due");
                changes.put(key::core(&id), &record.core);
                self.owe(&id, Task::Will(will), changes);
            }
            if self.sessions[&id].core.ends_at().is_some_and(|at| at <= stamp) {
                self.end(&id, changes);
            }
        }
    }

    /// Removes a session; its will is published and its shared subscriptions are left.
    fn end(&mut self, id: &str, changes: &mut Changes) {
        self.undue(id);
        let Some(record) = self.sessions.remove(id) else { return };
        if let Some(will) = record.core.will {
            self.owe(id, Task::Will(will), changes);
        }
        for subscription in &record.subscriptions {
            changes.delete(key::subscription(id, &subscription.filter));
            if subscription.filter.starts_with("$share/") {
                // Whatever the last owner asked for.
                let at = Point { epoch: record.core.epoch, number: u64::MAX };
                let share = subscription.filter.clone();
                self.owe(id, Task::LeaveShare(Leave { share, at }), changes);
            }
        }
        changes.delete(key::core(id));
        changes.delete(key::window(id));
        let Core { incarnation, epoch, token_partitions: partitions, .. } = record.core;
        if !partitions.is_empty() {
            self.ended(id, Ended { incarnation, epoch, partitions }, changes);
        }
    }

    pub(super) fn owe(&mut self, id: &str, task: Task, changes: &mut Changes) {
        self.counter += 1;
        changes.put_counter(self.counter);
        self.outbox.add(self.counter, id, task, changes);
    }

    fn undue(&mut self, id: &str) {
        let Some(record) = self.sessions.get(id) else { return };
        for at in [record.core.ends_at(), record.core.will_due_at()].into_iter().flatten() {
            self.deadlines.remove(&(at, id.to_owned()));
        }
    }

    fn owned(
        &mut self,
        id: &str,
        epoch: u64,
        changes: &mut Changes,
        act: impl FnOnce(&mut Self, &mut Changes),
    ) -> Outcome {
        if !self
            .sessions
            .get(id)
            .is_some_and(|record| record.core.epoch == epoch && record.core.owner.is_some())
        {
            return Outcome::Stale;
        }
        act(self, changes);
        Outcome::Done
    }

    fn session(&mut self, id: &str) -> &mut Record {
        self.sessions.get_mut(id).expect("the caller looked it up")
    }
}
