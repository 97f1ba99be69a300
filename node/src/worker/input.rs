//! Bytes from a client: packet by packet, and what to do about a packet that must not be.

use holdfast_codec::{Disconnect, Packet, ReasonCode, Side, Version, Violation, decode};

use super::{Phase, Worker};
use crate::mail::ConnectionKey;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// The client said DISCONNECT; `discard_will`: without asking for its will.
    Asked {
        /// Reason Code 0x00.
        discard_will: bool,
        /// Session Expiry Interval of the DISCONNECT.
        expiry: Option<u32>,
    },
    /// The client closed the socket, or it broke.
    Lost,
    /// We close, and say why where the version can.
    Ours(ReasonCode),
}

impl From<Violation> for Close {
    fn from(violation: Violation) -> Self {
        Self::Ours(violation.reason())
    }
}

impl Worker {
    /// Takes packets off the front of `bytes`; how many bytes were taken. What remains is not whole yet, or must
    /// wait until the connection is no longer deaf.
    pub fn input(&mut self, key: ConnectionKey, bytes: &[u8]) -> usize {
        let second = u32::try_from(self.now.monotonic / 1_000).unwrap_or(u32::MAX);
        let settings = std::sync::Arc::clone(&self.settings);
        let mut used = 0;
        loop {
            let Some(conn) = self.conn(key) else { return bytes.len() };
            if conn.deaf() {
                conn.stalled = used < bytes.len();
                return if conn.closing() { bytes.len() } else { used };
            }
            conn.stalled = false;
            let mut limits = settings.limits;
            let version = match &conn.phase {
                Phase::Open(session) => session.version,
                _ => {
                    limits.packet_bytes_max = settings.connect_bytes_max;
                    Version::V5
                }
            };
            let rest = &bytes[used..];
            if rest.is_empty() {
                return used;
            }
            match decode(rest, version, Side::Server, &limits) {
                Ok(None) => return used,
                Ok(Some((packet, taken))) => {
                    self.conns[key.slot as usize].heard_at = second;
                    used += taken;
                    self.counters.packet_in(packet.kind(), taken);
                    if let Err(close) = self.packet(key, &packet, version) {
                        self.close(key, close);
                    }
                }
                Err(violation) => {
                    self.violated(key, violation, rest);
                    return bytes.len();
                }
            }
        }
    }

    fn packet(&mut self, key: ConnectionKey, packet: &Packet<'_>, version: Version) -> Result<(), Close> {
        let open = self.conn(key).is_some_and(|conn| conn.session().is_some());
        match packet {
            Packet::Connect(connect) if !open => self.connect(key, connect),
            // A second CONNECT [MQTT-3.1.0-2].
            Packet::Connect(_) => Err(Close::Ours(ReasonCode::ProtocolError)),
            // Nothing before CONNECT [MQTT-3.1.0-1].
            _ if !open => Err(Close::Lost),
            Packet::Publish(publish) => self.publish(key, publish),
            Packet::PubAck(ack) => self.puback(key, ack),
            Packet::PubRec(ack) => self.pubrec(key, ack),
            Packet::PubRel(ack) => self.pubrel(key, ack),
            Packet::PubComp(ack) => self.pubcomp(key, ack),
            Packet::Subscribe(subscribe) => self.subscribe(key, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(key, unsubscribe),
            Packet::PingReq => {
                self.write(key, |out| Packet::PingResp.encode(version, out));
                Ok(())
            }
            Packet::Disconnect(disconnect) => Err(self.disconnect(key, disconnect)),
            // No authentication method was agreed on at CONNECT.
            Packet::Auth(_) => Err(Close::Ours(ReasonCode::ProtocolError)),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                Err(Close::Ours(ReasonCode::ProtocolError))
            }
        }
    }

    fn disconnect(&mut self, key: ConnectionKey, disconnect: &Disconnect<'_>) -> Close {
        let durable = self.conn(key).and_then(super::Conn::session).is_some_and(|session| session.expiry > 0);
        if !durable && disconnect.session_expiry.is_some_and(|expiry| expiry > 0) {
            // An expiry of 0 cannot be raised any more. MQTT 5.0, 3.14.2.2.2.
            return Close::Ours(ReasonCode::ProtocolError);
        }
        let expiry = disconnect.session_expiry.map(|expiry| expiry.min(self.settings.session_expiry_max));
        Close::Asked { discard_will: disconnect.reason == ReasonCode::Success, expiry }
    }

    fn violated(&mut self, key: ConnectionKey, violation: Violation, bytes: &[u8]) {
        let Some(conn) = self.conn(key) else { return };
        tracing::debug!(peer = %conn.peer, %violation, statement = violation.statement(), "closing");
        if conn.session().is_some() {
            self.close(key, violation.into());
            return;
        }
        self.refuse_malformed(key, violation, bytes);
        self.close(key, Close::Lost);
    }

    /// Appends to a connection's output.
    pub(super) fn write(&mut self, key: ConnectionKey, encode: impl FnOnce(&mut Vec<u8>)) {
        let Some(conn) = self.conn(key) else { return };
        let before = conn.out.len();
        encode(&mut conn.out);
        if let Some(first) = conn.out.get(before).copied() {
            let bytes = conn.out.len() - before;
            self.counters.packet_out(first, bytes);
        }
        self.mark_dirty(key.slot);
    }
}
