//! PUBACK, PUBREC, PUBREL and PUBCOMP: one shape, four types. MQTT 5.0, 3.4 to 3.7.

use crate::id::PacketId;
use crate::kind::PacketKind;
use crate::property::{Block, Forward, Property, put};
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::violation::Violation;
use crate::write;

/// Which of the four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AckKind {
    /// PUBACK ends a QoS 1 delivery.
    PubAck,
    /// PUBREC says that a QoS 2 message has come.
    PubRec,
    /// PUBREL says that it will not come again.
    PubRel,
    /// PUBCOMP ends a QoS 2 delivery.
    PubComp,
}

impl AckKind {
    /// The packet type.
    pub fn packet(self) -> PacketKind {
        match self {
            Self::PubAck => PacketKind::PubAck,
            Self::PubRec => PacketKind::PubRec,
            Self::PubRel => PacketKind::PubRel,
            Self::PubComp => PacketKind::PubComp,
        }
    }
}

/// A PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The identifier of the PUBLISH.
    pub packet_id: PacketId,
    /// How it went; always Success before 5.0.
    pub reason: ReasonCode,
    /// The same for people.
    pub reason_string: Option<&'a str>,
    /// User Properties.
    pub user: Forward<'a>,
}

impl<'a> Ack<'a> {
    /// An acknowledgement without properties.
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, reason_string: None, user: Forward::EMPTY }
    }

    #[inline]
    pub(crate) fn decode(kind: AckKind, mut reader: Reader<'a>) -> Result<Self, Violation> {
        let mut ack = Self::new(reader.packet_id()?, ReasonCode::Success);
        if reader.rest.is_empty() {
            return Ok(ack);
        }
        if reader.version < Version::V5 {
            return Err(Violation::TrailingBytes);
        }
        ack.reason = reader.reason(kind.packet())?;
        let mut block = Block::open_optional(&mut reader)?;
        while let Some(property) = block.next()? {
            match property {
                Property::ReasonString(text) => ack.reason_string = Some(text),
                Property::UserProperty(..) => block.keep(),
                other => return Err(block.refuse(other)),
            }
        }
        ack.user = block.kept();
        reader.end()?;
        Ok(ack)
    }

    /// Appends the packet as one of `kind`.
    pub fn encode(&self, kind: AckKind, version: Version, out: &mut Vec<u8>) {
        if version < Version::V5 || (self.reason_string.is_none() && self.user.is_empty()) {
            return encode_ack(out, version, kind, self.packet_id, self.reason);
        }
        out.push(kind.packet().first_byte());
        write::prefixed(out, |out| {
            write::u16(out, self.packet_id.get());
            out.push(self.reason.get());
            write::prefixed(out, |out| {
                put(out, self.reason_string.map(Property::ReasonString));
                out.extend_from_slice(&self.user);
            });
        });
    }
}

/// Appends an acknowledgement without properties: two bytes after its header, or three when there is
/// something to say that 5.0 can say.
pub fn encode_ack(
    out: &mut Vec<u8>,
    version: Version,
    kind: AckKind,
    packet_id: PacketId,
    reason: ReasonCode,
) {
    let [high, low] = packet_id.get().to_be_bytes();
    let first = kind.packet().first_byte();
    if version < Version::V5 || reason == ReasonCode::Success {
        out.extend_from_slice(&[first, 2, high, low]);
    } else {
        out.extend_from_slice(&[first, 3, high, low, reason.get()]);
    }
}
