//! The member's side of shared subscriptions: joining, leaving, and what is assigned to its session.

use std::sync::Arc;

use holdfast_codec::SubscribeOptions;

use super::Place;
use crate::mail::{Assign, ConnectionKey, Event, From, Request, ShareMember};
use crate::metrics::Dropped;
use crate::record::{Records, records};
use crate::route::dispatcher;
use crate::session::{Step, Subscription};
use crate::state::session::op::{ShareJoin, ShareWindow};
use crate::state::session::record::Position;
use crate::worker::deliver::{Offer, Origin, Spot};
use crate::worker::matching::Target;
use crate::worker::{Conn, Worker};

impl Worker {
    /// Commits the membership and tells the dispatcher.
    pub(in crate::worker) fn join_share(
        &mut self,
        key: ConnectionKey,
        share: &Subscription,
        starts: &[u64],
        tag: u64,
    ) {
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
    pub(in crate::worker) fn leave_share(&mut self, key: ConnectionKey, share: &Arc<str>, ended: bool) {
        let dispatcher = self.dispatcher(share);
        let worker = self.place.worker;
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        let client_id = Arc::clone(&session.client_id);
        session.outbound.assigned.retain(|assign| assign.share != *share);
        let share = Arc::clone(share);
        let gone = Event::ShareGone { share, client_id, worker, connection: key, ended };
        self.out.peers[dispatcher as usize].push(gone);
    }

    pub(in crate::worker) fn share_done(&mut self, key: ConnectionKey, share: Arc<str>, done: Place) {
        let dispatcher = self.dispatcher(&share);
        let client_id = Arc::clone(&self.open(key).client_id);
        self.out.peers[dispatcher as usize].push(Event::ShareDone { share, client_id, done });
    }

    /// The dispatcher has recorded the end of a QoS 2 message.
    pub(in crate::worker) fn share_settled(&mut self, key: ConnectionKey, done: Place) {
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
    pub(in crate::worker) fn assigned(&mut self, assign: Box<Assign>) {
        let key = assign.connection;
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        session.outbound.assigned.push_back(assign);
        if session.outbound.assigned.len() == 1 {
            self.send_assigned(key.slot);
        }
    }

    /// Sends what is assigned, as far as there is room. `false`: some is left.
    pub(in crate::worker) fn send_assigned(&mut self, slot: u32) -> bool {
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
        dispatcher(share, self.place.workers as usize)
    }
}
