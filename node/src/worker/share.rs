//! Shared subscriptions that this worker dispatches, and the member's side of them. MQTT 5.0, 4.8.2.
//!
//! The dispatcher reads the log as a session does and gives each message to one member that has room. A message of
//! QoS 1 is free again when its member's connection ends. One of QoS 2 stays bound to a durable member: that is
//! committed before it is sent, and its end is committed before the member forgets it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use holdfast_codec::{Qos, SubscribeOptions};
use holdfast_log::Entry;

use super::deliver::{Offer, Origin, Spot};
use super::matching::Target;
use super::{Conn, Worker};
use crate::mail::{Assign, ConnectionKey, Event, From, Read, ReadAnswer, Request, ShareFlush, ShareMember};
use crate::metrics::Dropped;
use crate::record::{Record, Records, records};
use crate::route::{Partition, hash};
use crate::session::{Lag, Step, Subscription};
use crate::state::session::op::{Assignment, ShareJoin, ShareWindow};
use crate::state::session::position;
use crate::state::session::record::Position;
use crate::topic::matches_filter;

/// Milliseconds between commits of a shared subscription's window that nobody waits for.
const FLUSH_EVERY: u64 = 100;

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

    fn release(&mut self, client_id: &str) {
        if let Some(member) = self.members.iter_mut().find(|member| &*member.client_id == client_id) {
            member.holds = member.holds.saturating_sub(1);
        }
    }
}

impl Worker {
    // ---- the dispatcher ----

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
        let Some(holder) = share.held.get(&done).filter(|holder| &*holder.client_id == client_id) else {
            return;
        };
        let bound = holder.bound;
        share.held.remove(&done);
        share.release(client_id);
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
        self.shares.shares[at] = None;
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
        for at in 0..self.shares.shares.len() {
            let Some(share) = &self.shares.shares[at] else { continue };
            if !share.after.is_empty() || (by_clock && share.dirty) {
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
        let next = next.collect();
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

    fn share_pull(&mut self, at: usize) {
        self.give_free(at);
        let mut index = 0;
        loop {
            let share = self.shares.shares[at].as_mut().expect("the caller has looked");
            let Some(lag) = share.lags.get(index).copied() else { return };
            let tail = self.tails.next(lag.partition);
            if lag.reading {
                index += 1;
            } else if lag.next >= tail {
                share.lags.swap_remove(index);
                share.dirty = true;
            } else if let Some(entry) = self.tails.entry(lag.partition, lag.next).map(Arc::clone) {
                let (next, full) = self.share_entry(at, lag.partition, &entry, lag.next);
                let share = self.shares.shares[at].as_mut().expect("it stays");
                share.lags[index].next = next;
                if full {
                    return;
                }
            } else {
                share.lags[index].reading = true;
                let filters: Arc<[String]> = Arc::from([share.filter().to_owned()]);
                self.share_ask(at, lag.partition, (lag.next, filters), Vec::new());
                index += 1;
            }
        }
    }

    fn share_entry(&mut self, at: usize, partition: u16, entry: &Arc<Entry>, from: u64) -> (u64, bool) {
        let base = entry.base.get();
        let mut walk = records(&entry.payload);
        walk.skip_records(from.saturating_sub(base));
        for (offset, record) in (from.max(base)..).zip(walk) {
            let share = self.shares.shares[at].as_ref().expect("it stays");
            if !matches_filter(share.filter(), record.topic)
                || self.expiry_left(&record, entry.stamp.get()).is_none()
            {
                continue;
            }
            if !self.give(at, &record, Spot { partition, offset, entry }, None) {
                return (offset, true);
            }
        }
        (entry.end().get(), false)
    }

    /// Gives what is free from memory, and asks for what is not there.
    fn give_free(&mut self, at: usize) {
        let share = self.shares.shares[at].as_ref().expect("the caller has looked");
        if share.members.is_empty() {
            return;
        }
        let free: Vec<(Place, Option<Arc<str>>)> =
            share.free.iter().map(|(place, bound)| (*place, bound.clone())).collect();
        let mut missing: BTreeMap<u16, Vec<u64>> = BTreeMap::new();
        for (place, bound) in free {
            match self.tails.entry(place.0, place.1).map(Arc::clone) {
                Some(entry) => self.give_one(at, place, bound.as_ref(), &entry),
                None => missing.entry(place.0).or_default().push(place.1),
            }
        }
        for (partition, offsets) in missing {
            self.share_ask(at, partition, (0, Arc::from([])), offsets);
        }
    }

    fn give_one(&mut self, at: usize, place: Place, bound: Option<&Arc<str>>, entry: &Arc<Entry>) {
        let mut walk = records(&entry.payload);
        walk.skip_records(place.1 - entry.base.get());
        let Some(record) = walk.next() else { return };
        let spot = Spot { partition: place.0, offset: place.1, entry };
        if self.give(at, &record, spot, bound) {
            let share = self.shares.shares[at].as_mut().expect("it stays");
            share.free.remove(&place);
        }
    }

    fn share_ask(&mut self, at: usize, partition: u16, from: (u64, Arc<[String]>), offsets: Vec<u64>) {
        self.out.reads.push(Read {
            worker: self.place.worker,
            connection: None,
            tag: at as u64 * 2 + u64::from(!offsets.is_empty()),
            partition: Partition::new(partition),
            from: from.0,
            filters: from.1,
            offsets,
        });
    }

    /// Entries came from the log for a shared subscription.
    pub(super) fn share_read(&mut self, answer: ReadAnswer) {
        let at = usize::try_from(answer.tag / 2).expect("a place");
        if !self.shares.shares.get(at).is_some_and(Option::is_some) {
            return;
        }
        let partition = answer.partition.get();
        if answer.tag % 2 == 1 {
            return self.share_read_free(at, &answer);
        }
        let share = self.shares.shares[at].as_mut().expect("just seen");
        let Some(lag) = share.lags.iter_mut().find(|lag| lag.partition == partition) else { return };
        lag.reading = false;
        let mut next = lag.next;
        if answer.truncated > next {
            self.counters.lost_to_retention(answer.truncated - next);
            next = answer.truncated;
        }
        // What has not reached this worker yet comes as live entries.
        let tail = self.tails.next(partition);
        let mut stopped = false;
        for entry in &answer.entries {
            if entry.end().get() <= next || entry.base.get() >= tail {
                continue;
            }
            (next, stopped) = self.share_entry(at, partition, entry, next);
            if stopped {
                break;
            }
        }
        if !stopped {
            next = next.max(answer.through.min(tail));
        }
        let share = self.shares.shares[at].as_mut().expect("it stays");
        if let Some(lag) = share.lags.iter_mut().find(|lag| lag.partition == partition) {
            lag.next = next;
        }
        share.dirty = true;
        if !stopped {
            self.share_pull_later(at);
        }
    }

    fn share_read_free(&mut self, at: usize, answer: &ReadAnswer) {
        let partition = answer.partition.get();
        let share = self.shares.shares[at].as_mut().expect("the caller has looked");
        let lost: Vec<Place> = share
            .free
            .range((partition, 0)..(partition, answer.truncated))
            .map(|(place, _)| *place)
            .collect();
        for place in lost {
            share.free.remove(&place);
            self.counters.lost_to_retention(1);
        }
        for entry in &answer.entries {
            let share = self.shares.shares[at].as_ref().expect("it stays");
            let within = (partition, entry.base.get())..(partition, entry.end().get());
            let places: Vec<_> = share.free.range(within).map(|(place, to)| (*place, to.clone())).collect();
            for (place, bound) in places {
                self.give_one(at, place, bound.as_ref(), entry);
            }
        }
    }

    // ---- the member ----

    /// Commits the membership and tells the dispatcher.
    pub(super) fn join_share(&mut self, key: ConnectionKey, share: &Subscription, starts: &[u64], tag: u64) {
        let route = self.place.route;
        let covers = route.covers(share.plain());
        let starts = route
            .all_partitions()
            .zip(starts)
            .filter(|(partition, _)| covers.contains(*partition))
            .map(|(partition, next)| Position { partition: u32::from(partition.get()), next: *next })
            .collect();
        let (worker, share_window) = (self.place.worker, self.settings.share_window);
        let session = self.open(key);
        let held = session
            .outbound
            .flights()
            .filter(|flight| flight.share.as_deref() == Some(&*share.filter))
            .map(|flight| (flight.partition, flight.offset))
            .collect();
        let op = ShareJoin {
            share: share.filter.to_string(),
            client_id: session.client_id.to_string(),
            incarnation: session.incarnation,
            starts,
        };
        let member = ShareMember {
            share: share.filter.to_string(),
            client_id: session.client_id.to_string(),
            worker,
            connection: key,
            durable: session.durable(),
            options: u32::from(share.options.to_u8()),
            id: share.id.unwrap_or(0),
            capacity: share_window.min(u32::from(session.outbound.window)),
            window: ShareWindow::default(),
            held,
        };
        let from = From { worker, connection: key, tag };
        self.out.requests.push(Request::ShareJoin { from, op: Box::new(op), member: Box::new(member) });
    }

    /// Tells the dispatcher that this connection takes no more.
    pub(super) fn leave_share(&mut self, key: ConnectionKey, share: &Arc<str>, ended: bool) {
        let dispatcher = self.dispatcher(share);
        let worker = self.place.worker;
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        let client_id = Arc::clone(&session.client_id);
        session.outbound.assigned.retain(|assign| assign.share != *share);
        let share = Arc::clone(share);
        let gone = Event::ShareGone { share, client_id, worker, connection: key, ended };
        self.out.peers[dispatcher as usize].push(gone);
    }

    pub(super) fn share_done(&mut self, key: ConnectionKey, share: Arc<str>, done: Place) {
        let dispatcher = self.dispatcher(&share);
        let client_id = Arc::clone(&self.open(key).client_id);
        self.out.peers[dispatcher as usize].push(Event::ShareDone { share, client_id, done });
    }

    /// The dispatcher has recorded the end of a QoS 2 message.
    pub(super) fn share_settled(&mut self, key: ConnectionKey, done: Place) {
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        let settled = session
            .outbound
            .flights()
            .find(|flight| flight.step == Step::Settling && (flight.partition, flight.offset) == done)
            .map(|flight| flight.packet_id);
        if let Some(packet_id) = settled {
            session.outbound.finish(packet_id);
            self.touch(key.slot);
            self.pull_later(key.slot);
        }
    }

    /// A message of a shared subscription for a session here.
    pub(super) fn assigned(&mut self, assign: Box<Assign>) {
        let key = assign.connection;
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        session.outbound.assigned.push_back(assign);
        if session.outbound.assigned.len() == 1 {
            self.send_assigned(key.slot);
        }
    }

    /// Sends what is assigned, as far as there is room. `false`: some is left.
    pub(super) fn send_assigned(&mut self, slot: u32) -> bool {
        loop {
            let Some(session) = self.conns.get_mut(slot as usize).and_then(Conn::session) else {
                return false;
            };
            let Some(assign) = session.outbound.assigned.pop_front() else { return true };
            if self.send_assign(slot, &assign) == Offer::Full {
                if let Some(session) = self.conns[slot as usize].session() {
                    session.outbound.assigned.push_front(assign);
                }
                return false;
            }
        }
    }

    fn send_assign(&mut self, slot: u32, assign: &Assign) -> Offer {
        let session = self.conns[slot as usize].session().expect("the caller has looked");
        let held = assign.place.as_ref().is_some_and(|(partition, offset, _)| {
            session.outbound.flights().any(|flight| {
                flight.share.is_some() && (flight.partition, flight.offset) == (partition.get(), *offset)
            })
        });
        if held {
            return Offer::Taken;
        }
        let Ok(options) = SubscribeOptions::from_u8(u8::try_from(assign.options).unwrap_or(0)) else {
            return Offer::Taken;
        };
        let target = Target {
            slot,
            shared: false,
            qos: options.qos,
            no_local: false,
            retain_as_published: options.retain_as_published,
            ids: (assign.id > 0).then_some(assign.id).into_iter().collect(),
            share: Some(Arc::clone(&assign.share)),
        };
        self.frames.clear();
        match &assign.place {
            Some((partition, offset, entry)) => {
                let mut walk = records(&entry.payload);
                walk.skip_records(offset - entry.base.get());
                let Some(record) = walk.next() else { return Offer::Taken };
                let Some(expiry) = self.expiry_left(&record, assign.stamp) else {
                    let key = self.conns[slot as usize].key(slot);
                    self.counters.dropped(Dropped::Expired);
                    self.share_done(key, Arc::clone(&assign.share), (partition.get(), *offset));
                    return Offer::Taken;
                };
                let spot = Spot { partition: partition.get(), offset: *offset, entry };
                self.offer(&target, &record, expiry, Origin::Log(spot))
            }
            None => {
                let Some(record) = Records::bare(&assign.live).next() else { return Offer::Taken };
                let expiry = self.expiry_left(&record, assign.stamp).flatten();
                self.offer(&target, &record, expiry, Origin::Live { stamp: assign.stamp })
            }
        }
    }

    fn dispatcher(&self, share: &str) -> u32 {
        let workers = u64::from(self.place.workers);
        u32::try_from(hash(share.as_bytes()) % workers).expect("below the number of workers")
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
