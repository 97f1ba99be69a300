//! PUBLISH from a client: into the log, or straight to whoever listens.

use std::rc::Rc;

use holdfast_codec::{AckKind, PacketId, Publish, Qos, ReasonCode, Version, encode_ack, topic_name_valid};

use super::{Close, Conn, Waiting, Worker};
use crate::mail::{ConnectionKey, Refused};
use crate::record::{EntryFlags, Fences, Record, low_epoch};
use crate::route::{Partition, Route};
use crate::session::{Ack, Held};

impl Worker {
    pub(super) fn publish(&mut self, key: ConnectionKey, publish: &Publish<'_>) -> Result<(), Close> {
        self.counters.message_in(publish.qos);
        if publish.retain && !self.settings.retained_available {
            // [MQTT-3.2.2-14]
            return Err(Close::Ours(ReasonCode::RetainNotSupported));
        }
        let aliased = self.topic_by_alias(key, publish)?;
        let topic = aliased.as_deref().unwrap_or(publish.topic);
        let conn = &mut self.conns[key.slot as usize];
        let session = conn.session().expect("it is open");
        let receive_maximum = usize::from(self.settings.receive_maximum);
        if publish.qos > Qos::AtMostOnce
            && !session.inbound.below(receive_maximum)
            && session.version == Version::V5
            && session.inbound.outstanding() >= receive_maximum
            && !publish.packet_id.is_some_and(|id| session.inbound.counted(id.get()))
        {
            return Err(Close::Ours(ReasonCode::ReceiveMaximumExceeded));
        }
        if topic.starts_with('$') {
            return self.forbidden(key, publish);
        }
        let record = Record {
            qos: publish.qos,
            retain: publish.retain,
            slot: 0,
            publisher: session.publisher,
            epoch: low_epoch(session.epoch),
            expiry: publish.properties.message_expiry,
            token: None,
            fences: Fences::default(),
            topic,
            properties: &publish.properties.forward,
            payload: publish.payload,
        };
        match (publish.qos, publish.packet_id) {
            (Qos::AtMostOnce, _) if !publish.retain => self.publish_live(key, &record),
            (Qos::AtMostOnce, _) => self.publish_logged(key, record, Ack::None, 0),
            (Qos::AtLeastOnce, Some(id)) => self.publish_logged(key, record, Ack::PubAck, id.get()),
            (Qos::ExactlyOnce, Some(id)) => self.publish_once(key, record, id, publish.dup),
            _ => unreachable!("the codec gives QoS 1 and 2 an identifier"),
        }
        Ok(())
    }

    fn topic_by_alias(
        &mut self,
        key: ConnectionKey,
        publish: &Publish<'_>,
    ) -> Result<Option<Rc<str>>, Close> {
        let maximum = self.settings.topic_alias_maximum;
        let Some(alias) = publish.properties.topic_alias else { return Ok(None) };
        let session = self.conns[key.slot as usize].session().expect("it is open");
        if publish.topic.is_empty() {
            // An alias that was never set is a protocol error. MQTT 5.0, 3.3.2.3.4.
            let topic = session.aliases_in.get(alias);
            return topic.map(Some).ok_or(Close::Ours(ReasonCode::ProtocolError));
        }
        if !session.aliases_in.set(alias, publish.topic, maximum) {
            return Err(Close::Ours(ReasonCode::TopicAliasInvalid));
        }
        debug_assert!(topic_name_valid(publish.topic, &self.settings.limits), "the codec has checked it");
        Ok(None)
    }

    /// Topics that begin with `$` are the broker's own.
    fn forbidden(&mut self, key: ConnectionKey, publish: &Publish<'_>) -> Result<(), Close> {
        let Some(packet_id) = publish.packet_id else { return Ok(()) };
        let session = self.conns[key.slot as usize].session().expect("it is open");
        let ack = if publish.qos == Qos::ExactlyOnce { Ack::PubRec } else { Ack::PubAck };
        // Before 5.0 there is no way to say no but to close; a positive answer says only "received" [MQTT-3.3.5-2].
        let reason =
            if session.version == Version::V5 { ReasonCode::NotAuthorized } else { ReasonCode::Success };
        if ack == Ack::PubRec && !reason.is_error() {
            session.inbound.arrives(packet_id.get(), 0, false);
        }
        self.settle_at_once(key, packet_id, ack, reason);
        Ok(())
    }

    /// What goes to no partition is acknowledged in its turn all the same.
    pub(super) fn settle_at_once(
        &mut self,
        key: ConnectionKey,
        packet_id: PacketId,
        ack: Ack,
        reason: ReasonCode,
    ) {
        let session = self.conns[key.slot as usize].session().expect("it is open");
        let number = session.inbound.push(packet_id.get(), ack);
        session.inbound.settle(number, reason);
        self.acknowledge(key);
    }

    /// QoS 0: to the sessions of this worker, and to the workers that listen. Nothing is kept.
    fn publish_live(&mut self, key: ConnectionKey, record: &Record<'_>) {
        let session = self.conns[key.slot as usize].session().expect("it is open");
        if session.inbound.logged_qos0 > 0 {
            // A retained one before it is still on its way through the log.
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            self.hold(
                key,
                Held {
                    partition: None,
                    record: bytes,
                    flags: EntryFlags::default(),
                    fences: false,
                    ack: Ack::None,
                    packet_id: 0,
                    intent: None,
                },
            );
            return;
        }
        self.route_live(record);
    }

    pub(super) fn publish_logged(
        &mut self,
        key: ConnectionKey,
        mut record: Record<'_>,
        ack: Ack,
        packet_id: u16,
    ) {
        record.slot = Route::slot(record.topic);
        let partition = self.place.route.partition_of_slot(record.slot);
        let session = self.conns[key.slot as usize].session().expect("it is open");
        let carried = session.carried(partition);
        let fences = carried.is_some();
        let record = Record { fences: Fences::of(carried.as_deref().unwrap_or_default()), ..record };
        if ack == Ack::None {
            session.inbound.logged_qos0 += 1;
        }
        if session.inbound.waits() {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            let flags = record.entry_flags();
            let partition = Some(partition);
            self.hold(key, Held { partition, record: bytes, flags, fences, ack, packet_id, intent: None });
            return;
        }
        let number = session.inbound.push(packet_id, ack);
        let batch = &mut self.batches[partition.index()];
        let before = batch.bytes.len();
        record.encode(&mut batch.bytes);
        batch.flags = batch.flags.or(record.entry_flags());
        let bytes = record_bytes(batch.bytes.len() - before);
        self.batched(partition, Waiting { connection: key, number, fences, bytes });
    }

    /// A record was put into a partition's batch.
    pub(super) fn batched(&mut self, partition: Partition, waiting: Waiting) {
        let batch = &mut self.batches[partition.index()];
        if batch.count == 0 {
            self.touched.push(partition);
        }
        batch.count += 1;
        self.outstanding += waiting.bytes as usize;
        batch.waiting.push_back(waiting);
    }

    /// The oldest `count` records of a partition are settled.
    pub(super) fn settled(&mut self, partition: Partition, count: u32, refused: Option<Refused>) {
        let reason = match refused {
            None => ReasonCode::Success,
            Some(Refused::Full) => ReasonCode::QuotaExceeded,
            Some(Refused::Fenced) => return self.settled_fenced(partition, count),
        };
        self.refusals += u64::from(refused.is_some());
        let mut last = None;
        for _ in 0..count {
            let waiting = self.batches[partition.index()].waiting.pop_front();
            let waiting = waiting.expect("as many wait as were proposed");
            self.outstanding -= waiting.bytes as usize;
            let Some(session) = self.conn(waiting.connection).and_then(Conn::session) else {
                self.settled_behind(waiting.connection);
                continue;
            };
            if let Some(fencing) = session.fencing.as_mut().filter(|_| waiting.fences && refused.is_none()) {
                fencing.stands(partition);
            }
            let forgotten = session.inbound.settle(waiting.number, reason);
            if let Some(packet_id) = forgotten.filter(|_| session.durable()) {
                self.remember_refused(waiting.connection, packet_id);
            }
            if last != Some(waiting.connection)
                && let Some(last) = last.replace(waiting.connection)
            {
                self.acknowledge(last);
            }
        }
        if let Some(last) = last {
            self.acknowledge(last);
        }
    }

    /// Their sessions have other owners: nothing is acknowledged, and the connections end.
    fn settled_fenced(&mut self, partition: Partition, count: u32) {
        for _ in 0..count {
            let waiting = self.batches[partition.index()].waiting.pop_front();
            let waiting = waiting.expect("as many wait as were proposed");
            self.outstanding -= waiting.bytes as usize;
            match self.conn(waiting.connection).and_then(Conn::session) {
                Some(session) => {
                    session.inbound.settle(waiting.number, ReasonCode::SessionTakenOver);
                    self.close(waiting.connection, Close::Ours(ReasonCode::SessionTakenOver));
                }
                None => self.settled_behind(waiting.connection),
            }
        }
    }

    /// Sends the acknowledgements whose turn has come.
    pub(super) fn acknowledge(&mut self, key: ConnectionKey) {
        let Some(conn) = self.conns.get_mut(key.slot as usize) else { return };
        let Some(session) = conn.session() else { return };
        let version = session.version;
        let mut refused_before_v5 = false;
        let mut acks: smallvec::SmallVec<[crate::session::Pending; 32]> = smallvec::SmallVec::new();
        while let Some(pending) = session.inbound.poll() {
            refused_before_v5 |= pending.reason.is_error() && version < Version::V5;
            acks.push(pending);
        }
        let release = session.inbound.committing.is_none() && !session.inbound.held.is_empty();
        let before = conn.out.len();
        for pending in acks.iter().filter(|pending| !pending.reason.is_error() || version == Version::V5) {
            let kind = if pending.ack == Ack::PubRec { AckKind::PubRec } else { AckKind::PubAck };
            let packet_id = PacketId::new(pending.packet_id).expect("QoS 1 and 2 have one");
            encode_ack(&mut conn.out, version, kind, packet_id, pending.reason);
        }
        if conn.out.len() > before {
            self.counters.packet_out(conn.out[before], conn.out.len() - before);
            self.mark_dirty(key.slot);
        }
        if release {
            self.holding.push(key);
        }
        if refused_before_v5 {
            tracing::info!("closing a client of MQTT 3: its message was refused, and it cannot be told why");
            self.close(key, Close::Ours(ReasonCode::QuotaExceeded));
        }
    }
}

pub(super) fn record_bytes(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a record fits a packet")
}
