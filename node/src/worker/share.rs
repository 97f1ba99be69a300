//! Shared subscriptions that this worker dispatches. MQTT 5.0, 4.8.2.
//!
//! The dispatcher reads the log as a session does and gives each message to one member that has room. A message of
//! QoS 1 is free again when its member's connection ends. One of QoS 2 stays bound to a durable member: that is
//! committed before it is sent, and its end is committed before the member forgets it.

mod member;
mod read;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use holdfast_codec::{Qos, SubscribeOptions};
use holdfast_log::Entry;

use super::Worker;
use super::deliver::{Origin, Spot};
use super::tail::Tails;
use crate::mail::{Assign, ConnectionKey, Event, Request, ShareFlush, ShareMember};
use crate::metrics::Dropped;
use crate::record::Record;
use crate::route::Partition;
use crate::session::Lag;
use crate::state::session::op::{Assignment, ShareWindow};
use crate::state::session::position;
use crate::state::session::record::Position;

/// Milliseconds between commits of a shared subscription's window that nobody waits for.
const FLUSH_EVERY: u64 = 100;

/// Milliseconds between commits of the window of a share to which nothing is published.
const MOVED_EVERY: u64 = 5_000;

/// Partition and offset.
type Place = (u16, u64);

/// Shared subscriptions dispatched here.
#[derive(Debug, Default)]
pub(super) struct Shares {
    shares: Vec<Option<Share>>,
    names: HashMap<Arc<str>, usize>,
    /// Places with something to read or to give.
    pulls: Vec<usize>,
    /// Number of the last commit asked for.
    flush: u64,
    /// What waits for a commit.
    waiting: HashMap<u64, Vec<(u32, Event)>>,
    flushed_at: u64,
    moved_at: u64,
}

#[derive(Debug)]
struct Share {
    name: Arc<str>,
    filter_at: usize,
    members: Vec<Member>,
    turn: usize,
    lags: Vec<Lag>,
    /// Given to a member and not finished.
    held: BTreeMap<Place, Holder>,
    /// To be given (again): to anyone, or to the member it is bound to.
    free: BTreeMap<Place, Option<Arc<str>>>,
    dirty: bool,
    /// Positions of the window that was committed last.
    committed: Vec<Position>,
    /// What leaves when the window is committed.
    after: Vec<(u32, Event)>,
}

#[derive(Clone, Debug)]
struct Holder {
    client_id: Arc<str>,
    /// QoS 2 of a durable session.
    bound: bool,
}

#[derive(Debug)]
struct Member {
    client_id: Arc<str>,
    worker: u32,
    connection: ConnectionKey,
    durable: bool,
    options: SubscribeOptions,
    id: u32,
    capacity: u32,
    holds: u32,
}

impl Share {
    fn filter(&self) -> &str {
        &self.name[self.filter_at..]
    }

    /// The next member in turn that has room.
    fn choose(&mut self, bound: Option<&Arc<str>>) -> Option<usize> {
        if let Some(client_id) = bound {
            return self.members.iter().position(|member| member.client_id == *client_id);
        }
        let count = self.members.len();
        let found = (0..count)
            .map(|step| (self.turn + step) % count)
            .find(|at| self.members[*at].holds < self.members[*at].capacity)?;
        self.turn = (found + 1) % count;
        Some(found)
    }

    /// Have the tails moved since its window was committed?
    fn behind(&self, tails: &Tails) -> bool {
        self.committed.iter().any(|position| {
            let number = u16::try_from(position.partition).unwrap_or(u16::MAX);
            position.next < tails.next(number)
        })
    }

    fn release(&mut self, client_id: &str) {
        if let Some(member) = self.members.iter_mut().find(|member| &*member.client_id == client_id) {
            member.holds = member.holds.saturating_sub(1);
        }
    }
}

impl Worker {
    /// A member has joined, or joined again from another connection.
    pub(super) fn share_member(&mut self, joined: ShareMember) {
        let name: Arc<str> = joined.share.as_str().into();
        let at = match self.shares.names.get(&name) {
            Some(at) => *at,
            None => self.share_open(&name, &joined.window),
        };
        let client_id: Arc<str> = joined.client_id.as_str().into();
        let share = self.shares.shares[at].as_mut().expect("named shares are there");
        if let Some(old) = share.members.iter().position(|member| member.client_id == client_id) {
            let old = share.members.swap_remove(old);
            free_held(share, &old.client_id, false);
        }
        let options = u8::try_from(joined.options).ok().and_then(|bits| SubscribeOptions::from_u8(bits).ok());
        // What is bound to it and its session does not know of is given to it again.
        let unknown: Vec<Place> = share
            .held
            .iter()
            .filter(|(place, holder)| holder.client_id == client_id && !joined.held.contains(place))
            .map(|(place, _)| *place)
            .collect();
        for place in unknown {
            share.held.remove(&place);
            share.free.insert(place, Some(Arc::clone(&client_id)));
        }
        let holds = share.held.values().filter(|holder| holder.client_id == client_id).count();
        share.members.push(Member {
            client_id,
            worker: joined.worker,
            connection: joined.connection,
            durable: joined.durable,
            options: options.unwrap_or(SubscribeOptions::new(Qos::AtLeastOnce)),
            id: joined.id,
            capacity: joined.capacity,
            holds: u32::try_from(holds).unwrap_or(u32::MAX),
        });
        self.share_pull_later(at);
    }

    /// Goes on from a committed window.
    fn share_open(&mut self, name: &Arc<str>, window: &ShareWindow) -> usize {
        let filter_at = name.match_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
        let mut share = Share {
            name: Arc::clone(name),
            filter_at,
            members: Vec::new(),
            turn: 0,
            lags: Vec::new(),
            held: BTreeMap::new(),
            free: BTreeMap::new(),
            dirty: false,
            committed: window.next.clone(),
            after: Vec::new(),
        };
        for assignment in &window.assignments {
            let place = (u16::try_from(assignment.partition).unwrap_or(u16::MAX), assignment.offset);
            if assignment.client_id.is_empty() {
                share.free.insert(place, None);
            } else {
                let client_id: Arc<str> = assignment.client_id.as_str().into();
                share.held.insert(place, Holder { client_id, bound: true });
            }
        }
        let covers = self.place.route.covers(share.filter());
        for partition in self.place.route.all_partitions().filter(|partition| covers.contains(*partition)) {
            let number = partition.get();
            let tail = self.tails.next(number);
            let next = position(&window.next, u32::from(number)).unwrap_or(tail);
            if next < tail {
                share.lags.push(Lag { partition: number, next, reading: false });
            }
        }
        let at = match self.shares.shares.iter().position(Option::is_none) {
            Some(at) => at,
            None => {
                self.shares.shares.push(None);
                self.shares.shares.len() - 1
            }
        };
        self.matching.insert_share(share.filter(), at);
        self.want(share.filter());
        self.shares.names.insert(Arc::clone(name), at);
        self.shares.shares[at] = Some(share);
        self.show_interest();
        at
    }

    /// A message matches a shared subscription.
    pub(super) fn dispatch(&mut self, at: u32, record: &Record<'_>, origin: Origin<'_>) {
        let at = at as usize;
        let Some(Some(share)) = self.shares.shares.get_mut(at) else { return };
        match origin {
            Origin::Live { stamp } => {
                let count = share.members.len();
                if count == 0 {
                    return self.counters.dropped(Dropped::Disconnected);
                }
                share.turn = (share.turn + 1) % count;
                let turn = share.turn;
                let mut live = Vec::new();
                record.encode(&mut live);
                let member = &share.members[turn];
                let assign = assign(share, member, None, live, stamp);
                let worker = member.worker;
                self.out.peers[worker as usize].push(Event::Assign(assign));
            }
            Origin::Log(spot) => {
                if share.lags.iter().any(|lag| lag.partition == spot.partition) {
                    return;
                }
                if !self.give(at, record, spot, None) {
                    let share = self.shares.shares[at].as_mut().expect("just seen");
                    share.lags.push(Lag { partition: spot.partition, next: spot.offset, reading: false });
                    share.dirty = true;
                }
            }
        }
    }

    /// Gives a logged message to a member. `false`: none has room.
    fn give(&mut self, at: usize, record: &Record<'_>, spot: Spot<'_>, bound: Option<&Arc<str>>) -> bool {
        let share = self.shares.shares[at].as_mut().expect("the caller has looked");
        let Some(chosen) = share.choose(bound) else { return false };
        let member = &share.members[chosen];
        let qos = member.options.qos.min(record.qos);
        let place = (spot.partition, spot.offset);
        let entry = Some((Partition::new(spot.partition), spot.offset, Arc::clone(spot.entry)));
        let event =
            (member.worker, Event::Assign(assign(share, member, entry, Vec::new(), spot.entry.stamp.get())));
        share.dirty = true;
        if qos == Qos::AtMostOnce {
            self.out.peers[event.0 as usize].push(event.1);
            return true;
        }
        let holder = Holder {
            client_id: Arc::clone(&member.client_id),
            bound: member.durable && qos == Qos::ExactlyOnce,
        };
        share.members[chosen].holds += 1;
        if holder.bound {
            share.after.push(event);
        } else {
            self.out.peers[event.0 as usize].push(event.1);
        }
        share.held.insert(place, holder);
        true
    }

    /// A member has finished a message.
    pub(super) fn share_finished(&mut self, name: &str, client_id: &str, done: Place) {
        let Some(at) = self.shares.names.get(name).copied() else { return };
        let share = self.shares.shares[at].as_mut().expect("named shares are there");
        let bound = match share.held.get(&done).filter(|holder| &*holder.client_id == client_id) {
            Some(holder) => {
                let bound = holder.bound;
                share.held.remove(&done);
                share.release(client_id);
                bound
            }
            // Finished before, on a connection that ended before it heard of that.
            None => true,
        };
        share.dirty = true;
        if bound && let Some(member) = share.members.iter().find(|member| &*member.client_id == client_id) {
            let settled = Event::ShareSettled { connection: member.connection, done };
            share.after.push((member.worker, settled));
        }
        self.share_pull_later(at);
    }

    /// A member's connection has ended.
    pub(super) fn share_gone(&mut self, name: &str, client_id: &str, of: (u32, ConnectionKey), ended: bool) {
        let Some(at) = self.shares.names.get(name).copied() else { return };
        let share = self.shares.shares[at].as_mut().expect("named shares are there");
        let same =
            |member: &Member| (member.worker, member.connection) == of && &*member.client_id == client_id;
        let Some(gone) = share.members.iter().position(same) else { return };
        share.members.swap_remove(gone);
        free_held(share, client_id, ended);
        share.dirty = true;
        self.share_pull_later(at);
    }

    /// Nobody subscribes to it any more, not even an absent session.
    pub(super) fn share_closed(&mut self, name: &str) {
        let Some(at) = self.shares.names.get(name).copied() else { return };
        let share = self.shares.shares[at].as_ref().expect("named shares are there");
        if !share.members.is_empty() {
            // Somebody joined meanwhile; the share lives on.
            return;
        }
        self.matching.remove_share(share.filter(), at);
        self.shares.names.remove(name);
        if let Some(share) = self.shares.shares[at].take() {
            self.unwant(share.filter());
        }
        self.show_interest();
    }

    fn share_pull_later(&mut self, at: usize) {
        if !self.shares.pulls.contains(&at) {
            self.shares.pulls.push(at);
        }
    }

    pub(super) fn share_more(&self) -> bool {
        !self.shares.pulls.is_empty()
    }

    /// End of turn: read on for members with room, and commit what somebody waits for.
    pub(super) fn settle_shares(&mut self) {
        for at in std::mem::take(&mut self.shares.pulls) {
            if self.shares.shares.get(at).is_some_and(Option::is_some) {
                self.share_pull(at);
            }
        }
        let by_clock = self.now.monotonic >= self.shares.flushed_at + FLUSH_EVERY;
        if by_clock {
            self.shares.flushed_at = self.now.monotonic;
        }
        // A share to which nothing is published moves on with its partitions, or it would hold up retention.
        let moved = self.now.monotonic >= self.shares.moved_at + MOVED_EVERY;
        if moved {
            self.shares.moved_at = self.now.monotonic;
        }
        for at in 0..self.shares.shares.len() {
            let Some(share) = &self.shares.shares[at] else { continue };
            if !share.after.is_empty() || (by_clock && share.dirty) || (moved && share.behind(&self.tails)) {
                self.share_flush(at);
            }
        }
    }

    fn share_flush(&mut self, at: usize) {
        let route = self.place.route;
        let share = self.shares.shares[at].as_mut().expect("the caller has looked");
        let covers = route.covers(share.filter());
        let next = route.all_partitions().filter(|partition| covers.contains(*partition)).map(|partition| {
            let number = partition.get();
            let lag = share.lags.iter().find(|lag| lag.partition == number);
            let next = lag.map_or_else(|| self.tails.next(number), |lag| lag.next);
            Position { partition: u32::from(number), next }
        });
        let next: Vec<Position> = next.collect();
        let assignment = |place: &Place, client_id: &str| Assignment {
            partition: u32::from(place.0),
            offset: place.1,
            client_id: client_id.to_owned(),
        };
        let held = share
            .held
            .iter()
            .map(|(place, holder)| assignment(place, if holder.bound { &holder.client_id } else { "" }));
        let free = share.free.iter().map(|(place, bound)| assignment(place, bound.as_deref().unwrap_or("")));
        let assignments = held.chain(free).collect();
        let window = ShareWindow { share: share.name.to_string(), next, assignments };
        share.dirty = false;
        share.committed.clone_from(&window.next);
        let after = std::mem::take(&mut share.after);
        let mut tag = 0;
        if !after.is_empty() {
            self.shares.flush += 1;
            tag = self.shares.flush;
            self.shares.waiting.insert(tag, after);
        }
        let flush = ShareFlush { worker: self.place.worker, tag, window };
        self.out.requests.push(Request::ShareFlush(Box::new(flush)));
    }

    pub(super) fn share_flushed(&mut self, tag: u64) {
        for (worker, event) in self.shares.waiting.remove(&tag).unwrap_or_default() {
            self.out.peers[worker as usize].push(event);
        }
    }
}

/// What a member held at QoS 1 is free again; what is bound to its session stays, unless that has ended.
fn free_held(share: &mut Share, client_id: &str, ended: bool) {
    let theirs: Vec<(Place, bool)> = share
        .held
        .iter()
        .filter(|(_, holder)| &*holder.client_id == client_id)
        .map(|(place, holder)| (*place, holder.bound))
        .collect();
    for (place, bound) in theirs {
        if !bound {
            share.held.remove(&place);
            share.free.insert(place, None);
        } else if ended {
            share.held.remove(&place);
        }
    }
}

fn assign(
    share: &Share,
    member: &Member,
    place: Option<(Partition, u64, Arc<Entry>)>,
    live: Vec<u8>,
    stamp: u64,
) -> Box<Assign> {
    Box::new(Assign {
        connection: member.connection,
        share: Arc::clone(&share.name),
        options: u32::from(member.options.to_u8()),
        id: member.id,
        place,
        live,
        stamp,
    })
}
