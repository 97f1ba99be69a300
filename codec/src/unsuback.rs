//! UNSUBACK. MQTT 5.0, 3.11.

use crate::id::PacketId;
use crate::kind::PacketKind;
use crate::property::{Block, Forward, Property, put};
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::violation::Violation;
use crate::write;

/// The answer to UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// The identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// One code for each Topic Filter, in its order [MQTT-3.11.3-1]; none before 5.0.
    pub reasons: Vec<ReasonCode>,
    /// The reason for people.
    pub reason_string: Option<&'a str>,
    /// User Properties.
    pub user: Forward<'a>,
}

impl<'a> UnsubAck<'a> {
    /// An answer without properties.
    pub fn new(packet_id: PacketId, reasons: Vec<ReasonCode>) -> Self {
        Self { packet_id, reasons, reason_string: None, user: Forward::EMPTY }
    }

    pub(crate) fn decode(mut reader: Reader<'a>) -> Result<Self, Violation> {
        let kind = PacketKind::UnsubAck;
        let mut unsuback = Self::new(reader.packet_id()?, Vec::new());
        if reader.version < Version::V5 {
            reader.end()?;
            return Ok(unsuback);
        }
        let mut block = Block::open(&mut reader)?;
        while let Some(property) = block.next()? {
            match property {
                Property::ReasonString(text) => unsuback.reason_string = Some(text),
                Property::UserProperty(..) => block.keep(),
                other => return Err(block.refuse(other)),
            }
        }
        unsuback.user = block.kept();
        if reader.rest.is_empty() {
            return Err(Violation::ListEmpty { kind });
        }
        while !reader.rest.is_empty() {
            if unsuback.reasons.len() >= usize::from(reader.limits.filters_max) {
                return Err(Violation::ListTooLong { kind });
            }
            unsuback.reasons.push(reader.reason(kind)?);
        }
        Ok(unsuback)
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        out.push(PacketKind::UnsubAck.first_byte());
        write::prefixed(out, |out| {
            write::u16(out, self.packet_id.get());
            if version == Version::V5 {
                write::prefixed(out, |out| {
                    put(out, self.reason_string.map(Property::ReasonString));
                    out.extend_from_slice(&self.user);
                });
                out.extend(self.reasons.iter().map(|reason| reason.get()));
            }
        });
    }
}
