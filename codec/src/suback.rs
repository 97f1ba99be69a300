//! SUBACK. MQTT 5.0, 3.9.

use crate::id::PacketId;
use crate::kind::PacketKind;
use crate::property::{Block, Forward, Property, put};
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::violation::Violation;
use crate::write;

/// The answer to SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The identifier of the SUBSCRIBE [MQTT-3.8.4-2].
    pub packet_id: PacketId,
    /// One code for each Topic Filter, in its order [MQTT-3.8.4-6]. Before 5.0 every failure is sent
    /// as 0x80.
    pub reasons: Vec<ReasonCode>,
    /// The reason for people.
    pub reason_string: Option<&'a str>,
    /// User Properties.
    pub user: Forward<'a>,
}

impl<'a> SubAck<'a> {
    /// An answer without properties.
    pub fn new(packet_id: PacketId, reasons: Vec<ReasonCode>) -> Self {
        Self { packet_id, reasons, reason_string: None, user: Forward::EMPTY }
    }

    pub(crate) fn decode(mut reader: Reader<'a>) -> Result<Self, Violation> {
        let kind = PacketKind::SubAck;
        let mut suback = Self::new(reader.packet_id()?, Vec::new());
        let mut block = Block::open(&mut reader)?;
        while let Some(property) = block.next()? {
            match property {
                Property::ReasonString(text) => suback.reason_string = Some(text),
                Property::UserProperty(..) => block.keep(),
                other => return Err(block.refuse(other)),
            }
        }
        suback.user = block.kept();
        if reader.rest.is_empty() {
            return Err(Violation::ListEmpty { kind });
        }
        while !reader.rest.is_empty() {
            if suback.reasons.len() >= usize::from(reader.limits.filters_max) {
                return Err(Violation::ListTooLong { kind });
            }
            let reason = reader.reason(kind)?;
            if reader.version < Version::V5 && reason > ReasonCode::UnspecifiedError {
                return Err(Violation::ReasonNotAllowed { kind, code: reason.get() });
            }
            suback.reasons.push(reason);
        }
        Ok(suback)
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        out.push(PacketKind::SubAck.first_byte());
        write::prefixed(out, |out| {
            write::u16(out, self.packet_id.get());
            if version == Version::V5 {
                write::prefixed(out, |out| {
                    put(out, self.reason_string.map(Property::ReasonString));
                    out.extend_from_slice(&self.user);
                });
            }
            for reason in &self.reasons {
                let failed = version < Version::V5 && reason.is_error();
                out.push(if failed { ReasonCode::UnspecifiedError.get() } else { reason.get() });
            }
        });
    }
}
