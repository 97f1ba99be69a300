//! Reading a session group's derived state back from disk, and the views that others read.

use prost::Message;

use super::apply::Sessions;
use super::op::Tail;
use super::outbox::{Entry, Outbox};
use super::past::Past;
use super::record::{Core, Position, Record, Subscription, Window};
use super::share::{Share, ShareRow};
use crate::route::{Partition, Route};
use crate::state::session::key::tail as tail_key;

/// A row of derived state that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("derived state of a session group is damaged at key {key:?}")]
pub struct Damaged {
    key: Vec<u8>,
    #[source]
    source: Option<prost::DecodeError>,
}

/// Counts of a session group.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Sessions with a connection.
    pub connected: u64,
    /// Sessions without one.
    pub disconnected: u64,
    /// Committed subscriptions.
    pub subscriptions: u64,
}

impl Figures {
    /// The sum of both.
    pub fn and(self, other: Self) -> Self {
        Self {
            connected: self.connected + other.connected,
            disconnected: self.disconnected + other.disconnected,
            subscriptions: self.subscriptions + other.subscriptions,
        }
    }
}

impl Sessions {
    /// Takes in one stored row. Rows come in key order: a subscription precedes its session's core, so the
    /// record is made by whichever comes first.
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Damaged> {
        let damaged = |source| Damaged { key: key.to_vec(), source: Some(source) };
        let shapeless = || Damaged { key: key.to_vec(), source: None };
        let (tag, rest) = key.split_first().ok_or_else(shapeless)?;
        let text = || std::str::from_utf8(rest).map_err(|_| shapeless());
        match tag {
            b's' => {
                let core = Core::decode(value).map_err(damaged)?;
                if core.client_id != text()? {
                    return Err(shapeless());
                }
                self.loaded(text()?).core = core;
            }
            b'w' => self.loaded(text()?).window = Window::decode(value).map_err(damaged)?,
            b'f' => {
                let (client_id, filter) = text()?.split_once('\0').ok_or_else(shapeless)?;
                let subscription = Subscription::decode(value).map_err(damaged)?;
                if subscription.filter != filter {
                    return Err(shapeless());
                }
                self.loaded(client_id).subscriptions.push(subscription);
            }
            b'o' => {
                let number = u64::from_be_bytes(rest.try_into().map_err(|_| shapeless())?);
                let entry = Entry::decode(value).map_err(damaged)?;
                if entry.task.is_none() {
                    return Err(shapeless());
                }
                self.outbox.insert(number, entry);
            }
            b't' => {
                let tail = Tail::decode(value).map_err(damaged)?;
                if tail_key(tail.node, tail.worker) != key {
                    return Err(shapeless());
                }
                self.tails.insert((tail.node, tail.worker), tail.next);
            }
            b'h' => {
                let row = ShareRow::decode(value).map_err(damaged)?;
                if row.window.share != text()? {
                    return Err(shapeless());
                }
                self.shares.insert(text()?.to_owned(), Share { members: row.members, window: row.window });
            }
            b'u' => {
                let past = Past::decode(value).map_err(damaged)?;
                self.past.insert(text()?.to_owned(), past);
            }
            b'c' => {
                let node = u64::from_be_bytes(rest.try_into().map_err(|_| shapeless())?);
                let boot = u64::from_le_bytes(value.try_into().map_err(|_| shapeless())?);
                self.closed.insert(node, boot);
            }
            b'n' if rest.is_empty() => {
                self.counter = u64::from_be_bytes(value.try_into().map_err(|_| shapeless())?)
            }
            _ => return Err(shapeless()),
        }
        Ok(())
    }

    /// After the last row: rebuilds what is not stored.
    pub fn loaded_all(&mut self) {
        for (id, record) in &self.sessions {
            for at in [record.core.ends_at(), record.core.will_due_at()].into_iter().flatten() {
                self.deadlines.insert((at, id.clone()));
            }
        }
    }

    fn loaded(&mut self, client_id: &str) -> &mut Record {
        self.sessions.entry(client_id.to_owned()).or_default()
    }

    /// A session by client id.
    pub fn get(&self, client_id: &str) -> Option<&Record> {
        self.sessions.get(client_id)
    }

    /// Sessions with client ids after `after`, in order.
    pub fn after<'a>(&'a self, after: Option<&str>) -> impl Iterator<Item = &'a Record> + use<'a> {
        let from = after.map_or(std::ops::Bound::Unbounded, |id| std::ops::Bound::Excluded(id.to_owned()));
        self.sessions.range((from, std::ops::Bound::Unbounded)).map(|(_, record)| record)
    }

    /// Number of sessions.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Counts for the metrics. Walks all sessions.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        for record in self.sessions.values() {
            figures.subscriptions += record.subscriptions.len() as u64;
            if record.core.owner.is_some() {
                figures.connected += 1;
            } else {
                figures.disconnected += 1;
            }
        }
        figures
    }

    /// What is still owed to other groups.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// A shared subscription.
    pub fn share(&self, name: &str) -> Option<&Share> {
        self.shares.get(name)
    }

    /// All shared subscriptions.
    pub fn shares(&self) -> impl Iterator<Item = (&str, &Share)> {
        self.shares.iter().map(|(name, share)| (name.as_str(), share))
    }

    /// Is some deadline due at `now` (group time, ms)?
    pub fn due(&self, now: u64) -> bool {
        self.deadlines.first().is_some_and(|(at, _)| *at <= now)
    }

    /// Lowers `floors` (one per partition) to the oldest message that a durable session or a shared
    /// subscription of this group may still need.
    pub fn lower_floors(&self, route: Route, floors: &mut [u64]) {
        for record in self.sessions.values().filter(|record| record.core.durable()) {
            self.lower_by(record, route, floors);
        }
        for share in self.shares.values() {
            lower(floors, &share.window.next);
            for assignment in &share.window.assignments {
                lower_one(floors, assignment.partition, assignment.offset);
            }
        }
    }

    fn lower_by(&self, record: &Record, route: Route, floors: &mut [u64]) {
        let owner_tail = record.core.owner.and_then(|owner| self.tails.get(&(owner.node, owner.worker)));
        for flight in record.window.flights.iter().filter(|flight| flight.retained.is_none()) {
            lower_one(floors, flight.partition, flight.offset);
        }
        // What a shared subscription needs is in its own window.
        for subscription in record.subscriptions.iter().filter(|one| !one.filter.starts_with("$share/")) {
            let covers = route.covers(&subscription.filter);
            for start in &subscription.starts {
                let Ok(number) = u16::try_from(start.partition) else { continue };
                if !covers.contains(Partition::new(number)) {
                    continue;
                }
                let at = start.partition as usize;
                let next = if record.window.live {
                    owner_tail.and_then(|tail| tail.get(at).copied())
                } else {
                    position(&record.window.next, start.partition)
                };
                lower_one(floors, start.partition, next.unwrap_or(0).max(start.next));
            }
        }
    }
}

/// The position for `partition`, when there is one.
pub fn position(positions: &[Position], partition: u32) -> Option<u64> {
    positions.iter().find(|position| position.partition == partition).map(|position| position.next)
}

fn lower(floors: &mut [u64], positions: &[Position]) {
    for position in positions {
        lower_one(floors, position.partition, position.next);
    }
}

fn lower_one(floors: &mut [u64], partition: u32, offset: u64) {
    if let Some(floor) = floors.get_mut(partition as usize) {
        *floor = (*floor).min(offset);
    }
}
