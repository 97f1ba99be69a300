//! UNSUBSCRIBE. MQTT 5.0, 3.10.

use crate::id::PacketId;
use crate::kind::PacketKind;
use crate::property::{Block, Forward, Property};
use crate::read::Reader;
use crate::version::Version;
use crate::violation::Violation;
use crate::write;

/// A request to end subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The identifier that UNSUBACK repeats.
    pub packet_id: PacketId,
    /// The filters, at least one, to be compared character by character [MQTT-3.10.4-1]. They need not
    /// be valid: one that is not was never subscribed to.
    pub filters: Vec<&'a str>,
    /// User Properties.
    pub user: Forward<'a>,
}

impl<'a> Unsubscribe<'a> {
    pub(crate) fn decode(mut reader: Reader<'a>) -> Result<Self, Violation> {
        let kind = PacketKind::Unsubscribe;
        let packet_id = reader.packet_id()?;
        let mut block = Block::open(&mut reader)?;
        while let Some(property) = block.next()? {
            match property {
                Property::UserProperty(..) => block.keep(),
                other => return Err(block.refuse(other)),
            }
        }
        let user = block.kept();
        if reader.rest.is_empty() {
            return Err(Violation::ListEmpty { kind });
        }
        let mut filters = Vec::new();
        while !reader.rest.is_empty() {
            if filters.len() >= usize::from(reader.limits.filters_max) {
                return Err(Violation::ListTooLong { kind });
            }
            filters.push(reader.string()?);
        }
        Ok(Self { packet_id, filters, user })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        out.push(PacketKind::Unsubscribe.first_byte());
        write::prefixed(out, |out| {
            write::u16(out, self.packet_id.get());
            if version == Version::V5 {
                write::prefixed(out, |out| out.extend_from_slice(&self.user));
            }
            for filter in &self.filters {
                write::string(out, filter);
            }
        });
    }
}
