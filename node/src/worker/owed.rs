//! Retained messages for new subscriptions, a page at a time and only as there is room. MQTT 5.0, 3.3.1.3.

use holdfast_codec::{Qos, SubscribeOptions};

use super::deliver::alias_for;
use super::send::Form;
use super::{Conn, Worker, mark_dirty};
use crate::mail::{ConnectionKey, From, Request, RetainedHit, RetainedPage, RetainedScan};
use crate::metrics::Dropped;
use crate::record::Record;
use crate::session::{Flight, Source, Step, Subscription};

impl Worker {
    /// Sends retained messages that are here; asks for more when there is room.
    pub(super) fn pull_owed(&mut self, slot: u32) {
        loop {
            let Some(session) = self.conns.get_mut(slot as usize).and_then(Conn::session) else { return };
            let Some(job) = session.outbound.owed.front_mut() else { return };
            if let Some(hit) = job.hits.front().cloned() {
                let filter = std::sync::Arc::clone(&job.filter);
                if !self.send_retained(slot, &filter, &hit) {
                    return;
                }
                let session = self.conns[slot as usize].session().expect("just seen");
                if let Some(job) = session.outbound.owed.front_mut() {
                    job.hits.pop_front();
                }
                self.touch(slot);
                continue;
            }
            if job.done() {
                session.outbound.owed.pop_front();
                self.touch(slot);
                continue;
            }
            return self.ask_retained(slot);
        }
    }

    fn ask_retained(&mut self, slot: u32) {
        let worker = self.place.worker;
        let conn = &mut self.conns[slot as usize];
        let key = conn.key(slot);
        let Some(job) = conn.session().and_then(|session| session.outbound.owed.front_mut()) else { return };
        let (false, Some(after)) = (job.asking, job.next.clone()) else { return };
        job.asking = true;
        self.out.requests.push(Request::Retained(Box::new(RetainedScan {
            from: From { worker, connection: key, tag: 0 },
            filter: job.filter.to_string(),
            below: job.below.clone(),
            after,
        })));
    }

    pub(super) fn retained_page(&mut self, page: RetainedPage) {
        if page.tag != 0 {
            return self.resend_retained(&page);
        }
        let key: ConnectionKey = page.connection;
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        let Some(job) = session.outbound.owed.front_mut().filter(|job| job.asking) else { return };
        job.asking = false;
        job.hits.extend(page.hits);
        job.next = page.next;
        self.pull_later(key.slot);
    }

    /// Sends one retained message. `false`: there is no room.
    fn send_retained(&mut self, slot: u32, filter: &str, hit: &RetainedHit) -> bool {
        let conn = &mut self.conns[slot as usize];
        let unwritten = conn.unwritten();
        let Some(session) = conn.session() else { return false };
        let Some(place) = session.place_of(filter) else { return true };
        let Some(subscription): Option<Subscription> = session.subscriptions[place].clone() else {
            return true;
        };
        let (record, _) = Record::decode(&hit.record).expect("encoded by apply");
        let qos = subscription.qos().min(record.qos);
        if unwritten >= self.settings.out_bytes_max || (qos > Qos::AtMostOnce && !session.outbound.open()) {
            return false;
        }
        let Some(expiry) = self.expiry_left(&record, hit.stamp) else { return true };
        let session = self.conns[slot as usize].session().expect("just seen");
        let packet_id = (qos > Qos::AtMostOnce).then(|| session.outbound.take_id());
        let committing = qos == Qos::ExactlyOnce && session.durable();
        if let Some(packet_id) = packet_id {
            session.outbound.push(Flight {
                packet_id: packet_id.get(),
                partition: hit.partition.get(),
                exactly_once: qos == Qos::ExactlyOnce,
                offset: hit.offset,
                step: if committing {
                    Step::Committing(session.outbound.commit.sent + 1)
                } else {
                    Step::Published
                },
                source: committing.then(|| Source::Retained(hit.clone())),
                retained: Some(record.topic.into()),
                share: None,
                options: SubscribeOptions::new(qos).to_u8(),
            });
            session.outbound.commit.urgent |= committing;
            if committing {
                self.touch(slot);
                return true;
            }
        }
        self.frames.clear();
        let (conns, frames) = (&mut self.conns, &mut self.frames);
        let conn = &mut conns[slot as usize];
        let super::Phase::Open(session) = &mut conn.phase else { return false };
        let ids: smallvec::SmallVec<[u32; 2]> = subscription.id.into_iter().collect();
        let alias = alias_for(session, record.topic);
        let form = Form {
            version: session.version,
            qos,
            retain: true,
            dup: false,
            expiry,
            ids: &ids,
            alias,
            packet_id,
            packet_max: session.packet_max,
        };
        let before = conn.out.len();
        if frames.send(&mut conn.out, &record, form) {
            self.counters.message_out(qos, conn.out.len() - before);
            mark_dirty(conns, &mut self.dirty, slot);
        } else {
            self.counters.dropped(Dropped::PacketTooLarge);
            if let Some(packet_id) = packet_id {
                session.outbound.finish(packet_id.get());
            }
        }
        true
    }
}
