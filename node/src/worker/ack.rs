//! Acknowledgements from a client, for both directions of QoS 1 and 2. MQTT 5.0, 4.3.

use holdfast_codec::{Ack, AckKind, PacketId, ReasonCode, Version, encode_ack};

use super::{Close, Conn, Worker};
use crate::mail::{ConnectionKey, From, Request};
use crate::session::{Flight, Step};
use crate::state::session::op::{Kind, Release};

/// Tag of the commit of a PUBREL; its Packet Identifier is in the low bits.
pub(super) const TAG_RELEASE: u64 = 2 << 60;

impl Worker {
    pub(super) fn puback(&mut self, key: ConnectionKey, ack: &Ack<'_>) -> Result<(), Close> {
        let outbound = &mut self.open(key).outbound;
        let id = ack.packet_id.get();
        match outbound.by_id(id) {
            Some(flight) if !flight.exactly_once => self.finished(key, id),
            // The wrong kind of acknowledgement. MQTT 5.0, 4.3.2.
            Some(_) => return Err(Close::Ours(ReasonCode::ProtocolError)),
            // Acknowledged twice, or of a message that this owner sent as new under another identifier.
            None => {}
        }
        Ok(())
    }

    pub(super) fn pubrec(&mut self, key: ConnectionKey, ack: &Ack<'_>) -> Result<(), Close> {
        let session = self.open(key);
        let (durable, next_commit) = (session.durable(), session.outbound.commit.sent + 1);
        let id = ack.packet_id.get();
        match session.outbound.by_id(id) {
            Some(flight) if !flight.exactly_once => return Err(Close::Ours(ReasonCode::ProtocolError)),
            Some(flight) if ack.reason.is_error() && flight.share.is_some() => self.settle_share(key, id),
            Some(_) if ack.reason.is_error() => self.finished(key, id),
            Some(flight) => match flight.step {
                Step::Published if durable => {
                    flight.step = Step::Releasing(next_commit);
                    session.outbound.commit.urgent = true;
                    self.touch(key.slot);
                }
                Step::Published => {
                    flight.step = Step::Released;
                    self.pubrel_out(key, ack.packet_id, ReasonCode::Success);
                }
                Step::Released => self.pubrel_out(key, ack.packet_id, ReasonCode::Success),
                // Its PUBREL is on the way.
                Step::Releasing(_) | Step::Settling | Step::Committing(_) => {}
            },
            None if !ack.reason.is_error() => {
                self.pubrel_out(key, ack.packet_id, ReasonCode::PacketIdentifierNotFound);
            }
            None => {}
        }
        Ok(())
    }

    pub(super) fn pubcomp(&mut self, key: ConnectionKey, ack: &Ack<'_>) -> Result<(), Close> {
        let id = ack.packet_id.get();
        match self.open(key).outbound.by_id(id) {
            Some(flight) if flight.step == Step::Released && flight.share.is_some() => {
                self.settle_share(key, id);
            }
            Some(flight) if flight.step == Step::Released => self.finished(key, id),
            Some(_) => {}
            None => {}
        }
        Ok(())
    }

    /// The client is done with a QoS 2 message of a shared subscription. The dispatcher records that before this
    /// session forgets it, or a later dispatcher would give it again.
    fn settle_share(&mut self, key: ConnectionKey, packet_id: u16) {
        let Some(flight) = self.open(key).outbound.by_id(packet_id) else { return };
        let Some(share) = flight.share.clone().filter(|_| flight.step != Step::Settling) else { return };
        flight.step = Step::Settling;
        let done = (flight.partition, flight.offset);
        self.share_done(key, share, done, true);
    }

    pub(super) fn pubrel_out(&mut self, key: ConnectionKey, packet_id: PacketId, reason: ReasonCode) {
        let version = self.open(key).version;
        self.write(key, |out| encode_ack(out, version, AckKind::PubRel, packet_id, reason));
    }

    /// A message is finished: there is room for another.
    pub(super) fn finished(&mut self, key: ConnectionKey, packet_id: u16) {
        let session = self.open(key);
        let Some(flight) = session.outbound.finish(packet_id) else { return };
        if let Flight { share: Some(share), partition, offset, exactly_once, .. } = flight {
            self.share_done(key, share, (partition, offset), exactly_once);
        }
        self.touch(key.slot);
        self.pull_later(key.slot);
    }

    /// PUBREL for a message that the client sent.
    pub(super) fn pubrel(&mut self, key: ConnectionKey, ack: &Ack<'_>) -> Result<(), Close> {
        let worker = self.place.worker;
        let session = self.open(key);
        let id = ack.packet_id.get();
        if session.inbound.releasing(id) {
            return Ok(());
        }
        let version = session.version;
        if !session.inbound.release(id) {
            let reason = if version == Version::V5 {
                ReasonCode::PacketIdentifierNotFound
            } else {
                ReasonCode::Success
            };
            self.write(key, |out| encode_ack(out, version, AckKind::PubComp, ack.packet_id, reason));
            return Ok(());
        }
        if !session.durable() {
            self.released(key, id);
            return Ok(());
        }
        let op = Kind::Release(Release {
            client_id: session.client_id.to_string(),
            epoch: session.epoch,
            packet_ids: vec![u32::from(id)],
        });
        let from = From { worker, connection: key, tag: TAG_RELEASE | u64::from(id) };
        let group = session.group;
        self.out.requests.push(Request::Session { from, group, op: Box::new(op) });
        Ok(())
    }

    /// The identifier is forgotten for good: PUBCOMP.
    pub(super) fn released(&mut self, key: ConnectionKey, packet_id: u16) {
        let Some(session) = self.conn(key).and_then(Conn::session) else { return };
        session.inbound.released(packet_id);
        let version = session.version;
        let packet_id = PacketId::new(packet_id).expect("it came in a packet");
        self.write(key, |out| encode_ack(out, version, AckKind::PubComp, packet_id, ReasonCode::Success));
    }

    /// The session of a connection that a packet was just read from.
    pub(super) fn open(&mut self, key: ConnectionKey) -> &mut crate::session::Session {
        self.conn(key).and_then(Conn::session).expect("packets are only handled of open connections")
    }
}
