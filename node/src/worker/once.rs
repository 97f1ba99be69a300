//! QoS 2 from a client: intents of durable sessions, what waits behind them, and what was refused.
//!
//! ```text
//! PUBLISH -> held -> intent committed -> partition -> PUBREC
//!                                    \-> refused: PUBREC 0x97, and committed before anything after it is stored
//! ```

use holdfast_codec::{AckKind, PacketId, ReasonCode, Version, encode_ack};

use super::publish::record_bytes;
use super::{Conn, Waiting, Worker};
use crate::mail::{ConnectionKey, From, Request};
use crate::record::{Fences, Record};
use crate::route::{Route, hash};
use crate::session::{Ack, Arrival, Held};
use crate::state::session::op::{Intents, Kind, Release};
use crate::state::session::record::Intent;

/// Tag of the commit of intents; releases and commits of windows have tags of their own kinds.
pub(super) const TAG_INTENTS: u64 = 1 << 60;

impl Worker {
    /// QoS 2. A session that ends with its connection keeps the identifier in memory; a durable one commits it
    /// first, so that a repeat through another owner is the same message.
    pub(super) fn publish_once(
        &mut self,
        key: ConnectionKey,
        mut record: Record<'_>,
        packet_id: PacketId,
        dup: bool,
    ) {
        record.slot = Route::slot(record.topic);
        let session = self.conns[key.slot as usize].session().expect("it is open");
        let message = hash(record.topic.as_bytes()) ^ hash(record.payload).rotate_left(17);
        let id = packet_id.get();
        match session.inbound.arrives(id, message, dup) {
            Arrival::UnderWay => {}
            Arrival::Refused => {
                self.settle_at_once(key, packet_id, Ack::PubRec, ReasonCode::QuotaExceeded);
            }
            Arrival::Stored => {
                let version = session.version;
                self.write(key, |out| {
                    encode_ack(out, version, AckKind::PubRec, packet_id, ReasonCode::Success);
                });
            }
            Arrival::Propose(_) if !session.durable() => {
                self.publish_logged(key, record, Ack::PubRec, id);
            }
            Arrival::Propose(token) => {
                record.token = Some(session.inbound.token(session.incarnation, token));
                let partition = self.place.route.partition_of_slot(record.slot);
                let carried = session.carried(partition);
                let record = Record { fences: Fences::of(carried.as_deref().unwrap_or_default()), ..record };
                let mut bytes = Vec::new();
                record.encode(&mut bytes);
                let intent = Intent {
                    packet_id: u32::from(id),
                    hash: message,
                    token,
                    partition: Some(u32::from(partition.get())),
                };
                let held = Held {
                    partition: Some(partition),
                    record: bytes,
                    flags: record.entry_flags(),
                    // If it repeats one that is in the log, it is left out with what it carries.
                    fences: false,
                    ack: Ack::PubRec,
                    packet_id: id,
                    intent: Some(intent),
                };
                self.hold(key, held);
            }
        }
    }

    pub(super) fn hold(&mut self, key: ConnectionKey, held: Held) {
        let session = self.conns[key.slot as usize].session().expect("it is open");
        self.outstanding += held.record.len();
        session.inbound.held.push_back(held);
        if session.inbound.committing.is_none() {
            self.holding.push(key);
        }
    }

    /// End of turn: what is held moves on as far as it may, with one commit for all its intents.
    pub(super) fn settle_holding(&mut self) {
        while let Some(key) = self.holding.pop() {
            let Some(session) = self.conn(key).and_then(Conn::session) else { continue };
            let inbound = &mut session.inbound;
            if inbound.committing.is_some() {
                continue;
            }
            // A live message waits until no retained one before it is on its way through the log.
            let wait = inbound.logged_qos0 > 0;
            let ready = inbound.held.iter().take_while(|held| held.partition.is_some() || !wait).count();
            let intents: Vec<Intent> =
                inbound.held.iter().take(ready).filter_map(|held| held.intent).collect();
            if intents.is_empty() && inbound.refusals.is_empty() {
                self.release_held(key, ready);
            } else {
                self.commit_intents(key, ready, intents);
            }
        }
    }

    /// Commits intents, with what was refused before them; `ready` publishes that are held go on then.
    fn commit_intents(&mut self, key: ConnectionKey, ready: usize, intents: Vec<Intent>) {
        let session = self.conns[key.slot as usize].session().expect("the caller has looked");
        session.inbound.committing = Some(ready);
        let refused = std::mem::take(&mut session.inbound.refusals);
        let (client_id, epoch, group) = (session.client_id.to_string(), session.epoch, session.group);
        let op = Kind::Intents(Intents { client_id, epoch, intents, refused });
        let from = From { worker: self.place.worker, connection: key, tag: TAG_INTENTS };
        self.out.requests.push(Request::Session { from, group, op: Box::new(op) });
    }

    /// The intents are committed: the publishes they cover go to their partitions, in order.
    pub(super) fn intents_committed(&mut self, key: ConnectionKey) {
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        let count = session.inbound.committing.take().unwrap_or_default();
        if !session.inbound.refusals.is_empty() {
            // Refused meanwhile: what is held comes behind that.
            return self.commit_intents(key, count, Vec::new());
        }
        self.release_held(key, count);
        self.holding.push(key);
    }

    fn release_held(&mut self, key: ConnectionKey, count: usize) {
        for _ in 0..count {
            let session = self.conns[key.slot as usize].session().expect("the caller has looked");
            let Some(held) = session.inbound.held.pop_front() else { break };
            self.outstanding -= held.record.len();
            let Some(partition) = held.partition else {
                let (record, _) = Record::decode(&held.record).expect("encoded above");
                self.route_live(&record);
                continue;
            };
            let number = session.inbound.push(held.packet_id, held.ack);
            let batch = &mut self.batches[partition.index()];
            batch.bytes.extend_from_slice(&held.record);
            batch.flags = batch.flags.or(held.flags);
            let bytes = record_bytes(held.record.len());
            self.batched(partition, Waiting { connection: key, number, fences: held.fences, bytes });
        }
    }

    /// A QoS 2 message was refused. The client is told, and may not hear it before its connection ends: what it
    /// published after that must not be stored before it is committed that this one was refused.
    pub(super) fn remember_refused(&mut self, key: ConnectionKey, packet_id: u16) {
        let session = self.conns[key.slot as usize].session().expect("the caller has looked");
        let packet_id = u32::from(packet_id);
        if session.version == Version::V5 {
            session.inbound.refusals.push(packet_id);
            if session.inbound.committing.is_none() {
                self.holding.push(key);
            }
            return;
        }
        // Before 5.0 it is told by nothing but the end of its connection, and may repeat it.
        let (client_id, epoch) = (session.client_id.to_string(), session.epoch);
        let op = Release { client_id, epoch, packet_ids: vec![packet_id] };
        let (group, op) = (session.group, Box::new(Kind::Release(op)));
        self.out.requests.push(Request::Note { group, op });
    }
}
