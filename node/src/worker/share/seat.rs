//! The member's side: who dispatches, and what it is told of the sessions here.

use std::sync::Arc;

use holdfast_log::GroupId;

use super::{Dispatcher, Place, row};
use crate::mail::{
    Assigned, ConnectionKey, Event, From, Request, ShareCall, ShareDone, ShareGone, ShareHeld, ShareMember,
    ShareWord,
};
use crate::route::dispatcher;
use crate::session::{Outbound, Step, Subscription};
use crate::state::session::op::{Kind, Point, ShareJoin};
use crate::state::session::record::{Owner, Position};
use crate::worker::{Conn, Phase, Worker};

/// Tag of the commit of a membership of a resumed session; the place of its subscription is in the low bits.
pub(in crate::worker) const TAG_JOIN: u64 = 6 << 60;

impl Worker {
    /// Commits a membership; `number` is that of the request. Its session has the subscription already: a member
    /// without one is taken for a leftover.
    pub(in crate::worker) fn join_share(
        &mut self,
        key: ConnectionKey,
        share: &Subscription,
        number: u64,
        tag: u64,
    ) {
        let route = self.place.route;
        let covers = route.covers(share.plain());
        let starts = route
            .all_partitions()
            .zip(&*share.starts)
            .filter(|(partition, _)| covers.contains(*partition))
            .map(|(partition, next)| Position { partition: u32::from(partition.get()), next: *next })
            .collect();
        let session = self.open(key);
        let op = Kind::ShareJoin(ShareJoin {
            share: share.filter.to_string(),
            client_id: session.client_id.to_string(),
            incarnation: session.incarnation,
            starts,
            at: Point { epoch: session.epoch, number },
        });
        let from = From { worker: self.place.worker, connection: key, tag };
        let group = route.session_group(&share.filter);
        self.out.requests.push(Request::Session { from, group, op: Box::new(op) });
    }

    /// Commits a membership of a resumed session again: it may not have been before.
    pub(in crate::worker) fn join_again(&mut self, key: ConnectionKey, share: &str, starts: &Arc<[u64]>) {
        let session = self.open(key);
        let Some(place) = session.place_of(share) else { return };
        let Some(mut subscription) = session.subscriptions[place].clone() else { return };
        subscription.starts = Arc::clone(starts);
        self.join_share(key, &subscription, 0, TAG_JOIN | place as u64);
    }

    /// The membership of a resumed session is committed.
    pub(in crate::worker) fn joined_again(&mut self, key: ConnectionKey, place: u64) {
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let Some(Some(subscription)) = session.subscriptions.get(place) else { return };
        if subscription.shared() {
            let share = Arc::clone(&subscription.filter);
            self.register(key, &share);
        }
    }

    /// Tells the dispatcher of a member, and of what it holds.
    pub(in crate::worker) fn register(&mut self, key: ConnectionKey, share: &Arc<str>) {
        let (owner, share_window) = (self.owner(key), self.settings.share_window);
        let Dispatcher { node, term } = self.shares.dispatchers[row(self.place.route.session_group(share))];
        let Some(session) = self.conn(key).and_then(Conn::session).filter(|_| term > 0) else { return };
        let Some(subscription) = session.place_of(share).and_then(|at| session.subscriptions[at].as_ref())
        else {
            return;
        };
        let member = ShareMember {
            share: share.to_string(),
            client_id: session.client_id.to_string(),
            incarnation: session.incarnation,
            owner,
            options: u32::from(subscription.options.to_u8()),
            id: subscription.id.unwrap_or(0),
            capacity: share_window.min(u32::from(session.outbound.window)),
            held: held(&session.outbound, share),
            term,
            epoch: session.epoch,
        };
        self.shares.registering.insert((key, Arc::clone(share)));
        let word = Box::new(ShareWord::Member(member));
        self.out.requests.push(Request::Share { to: node, word });
    }

    /// A node dispatches the shared subscriptions of a session group: it is told of all members here. What they
    /// finished and had no record of is said again.
    pub(in crate::worker) fn share_called(&mut self, group: GroupId, node: u64, term: u64) {
        let route = self.place.route;
        let known = &mut self.shares.dispatchers[row(group)];
        if term < known.term {
            return;
        }
        *known = Dispatcher { node, term };
        self.shares.registering.retain(|(_, share)| route.session_group(share) != group);
        let mut members: Vec<(ConnectionKey, Arc<str>)> = Vec::new();
        let mut settling: Vec<(ConnectionKey, Arc<str>, Place)> = Vec::new();
        for (slot, conn) in &self.conns {
            let Phase::Open(session) = &conn.phase else { continue };
            let key = conn.key(u32::try_from(slot).expect("fewer connections than 2^32"));
            let shared = session.subscriptions.iter().flatten().filter(|subscription| subscription.shared());
            let shares = shared.map(|subscription| &subscription.filter);
            members.extend(
                shares
                    .filter(|share| route.session_group(share) == group)
                    .map(|share| (key, Arc::clone(share))),
            );
            for flight in session.outbound.flights().filter(|flight| flight.step == Step::Settling) {
                if let Some(share) = flight.share.as_ref().filter(|share| route.session_group(share) == group)
                    && session.place_of(share).is_none()
                {
                    settling.push((key, Arc::clone(share), (flight.partition, flight.offset)));
                }
            }
        }
        for (key, share) in members {
            self.register(key, &share);
        }
        for (key, share, done) in settling {
            self.share_done(key, share, done, true);
        }
        self.out.requests.push(Request::ShareAnswered(ShareCall { group: group.get(), term }));
    }

    /// The dispatcher knows a member here: whoever waits for that may be told.
    pub(in crate::worker) fn share_joined(&mut self, key: ConnectionKey, share: Arc<str>) {
        let named = (key, share);
        self.shares.registering.remove(&named);
        self.confirmed(key, &named.1);
    }

    /// Tells the dispatcher that this connection takes no more.
    pub(in crate::worker) fn leave_share(&mut self, key: ConnectionKey, share: &Arc<str>) {
        self.shares.registering.remove(&(key, Arc::clone(share)));
        let owner = self.owner(key);
        let Dispatcher { node, term } = self.shares.dispatchers[row(self.place.route.session_group(share))];
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        let assigned = session.outbound.assigned.iter().filter(|assign| assign.share == *share);
        let unsent = assigned.filter_map(|assign| unfinished(&assign.body)).collect();
        session.outbound.assigned.retain(|assign| assign.share != *share);
        if term == 0 {
            return;
        }
        let (share, client_id) = (share.to_string(), session.client_id.to_string());
        let word = Box::new(ShareWord::Gone(ShareGone { share, client_id, owner, unsent, term }));
        self.out.requests.push(Request::Share { to: node, word });
    }

    /// A message of a shared subscription is finished; at QoS 2 the session keeps it until that is recorded.
    pub(in crate::worker) fn share_done(
        &mut self,
        key: ConnectionKey,
        share: Arc<str>,
        done: Place,
        exactly_once: bool,
    ) {
        let owner = exactly_once.then(|| self.owner(key));
        let Dispatcher { node, term } = self.shares.dispatchers[row(self.place.route.session_group(&share))];
        let client_id = Arc::clone(&self.open(key).client_id);
        if node == self.place.node && !exactly_once && self.shares.registering.is_empty() {
            let worker = dispatcher(&share, self.place.workers as usize);
            let event = Event::ShareDone { share, client_id, done, settle: None };
            return self.out.peers[worker as usize].push(event);
        }
        // What registers goes through the hub, and nothing must overtake it.
        if term > 0 {
            let word = Box::new(ShareWord::Done(ShareDone {
                share: share.to_string(),
                client_id: client_id.to_string(),
                partition: u32::from(done.0),
                offset: done.1,
                settle: owner,
                term,
            }));
            self.out.requests.push(Request::Share { to: node, word });
        }
    }

    /// The dispatcher has recorded the end of a QoS 2 message.
    pub(in crate::worker) fn share_settled(&mut self, key: ConnectionKey, done: Place) {
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        let settled = session
            .outbound
            .flights()
            .find(|flight| {
                flight.step == Step::Settling
                    && flight.share.is_some()
                    && (flight.partition, flight.offset) == done
            })
            .map(|flight| flight.packet_id);
        if let Some(packet_id) = settled {
            session.outbound.finish(packet_id);
            self.touch(key.slot);
            self.pull_later(key.slot);
        }
    }

    pub(in crate::worker) fn owner(&self, key: ConnectionKey) -> Owner {
        let place = &self.place;
        Owner { node: place.node, boot: place.boot, worker: place.worker, connection: key.get() }
    }
}

/// What a session has of a shared subscription and has not finished.
fn held(outbound: &Outbound, share: &str) -> Vec<ShareHeld> {
    let flights = outbound.flights().filter(|flight| flight.share.as_deref() == Some(share));
    let flights = flights.map(|flight| ShareHeld {
        partition: u32::from(flight.partition),
        offset: flight.offset,
        exactly_once: flight.exactly_once,
        settling: flight.step == Step::Settling,
    });
    let assigned = outbound.assigned.iter().filter(|assign| *assign.share == *share);
    flights.chain(assigned.filter_map(|assign| unfinished(&assign.body))).collect()
}

/// An assigned message that has not been sent.
fn unfinished(body: &Assigned) -> Option<ShareHeld> {
    match body {
        Assigned::Log { partition, offset, .. } => Some(ShareHeld {
            partition: u32::from(partition.get()),
            offset: *offset,
            exactly_once: false,
            settling: false,
        }),
        Assigned::Live { .. } => None,
    }
}
