//! DISCONNECT. MQTT 5.0, 3.14.

use crate::kind::{PacketKind, Side};
use crate::property::{Block, Forward, Property, put};
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::violation::Violation;
use crate::write;

/// The last packet on a connection. Before 5.0 only a Client sends it, and it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disconnect<'a> {
    /// Why.
    pub reason: ReasonCode,
    /// A new Session Expiry Interval, only from a Client [MQTT-3.14.2-2]. Unit: seconds.
    pub session_expiry: Option<u32>,
    /// The reason for people.
    pub reason_string: Option<&'a str>,
    /// Another Server, only from a Server.
    pub server_reference: Option<&'a str>,
    /// User Properties.
    pub user: Forward<'a>,
}

impl<'a> Disconnect<'a> {
    /// A DISCONNECT without properties.
    pub fn new(reason: ReasonCode) -> Self {
        Self { reason, ..Self::default() }
    }

    pub(crate) fn decode(mut reader: Reader<'a>) -> Result<Self, Violation> {
        let mut disconnect = Self::default();
        if reader.version < Version::V5 || reader.rest.is_empty() {
            reader.end()?;
            return Ok(disconnect);
        }
        disconnect.reason = reader.reason(PacketKind::Disconnect)?;
        let mut block = Block::open_optional(&mut reader)?;
        while let Some(property) = block.next()? {
            match (property, reader.side) {
                (Property::SessionExpiryInterval(seconds), Side::Server) => {
                    disconnect.session_expiry = Some(seconds);
                }
                (Property::ServerReference(text), Side::Client) => disconnect.server_reference = Some(text),
                (Property::ReasonString(text), _) => disconnect.reason_string = Some(text),
                (Property::UserProperty(..), _) => block.keep(),
                (other, _) => return Err(block.refuse(other)),
            }
        }
        disconnect.user = block.kept();
        reader.end()?;
        Ok(disconnect)
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        out.push(PacketKind::Disconnect.first_byte());
        let plain = *self == Self::new(self.reason);
        write::prefixed(out, |out| {
            if version < Version::V5 || (plain && self.reason == ReasonCode::NORMAL_DISCONNECTION) {
                return;
            }
            out.push(self.reason.get());
            if plain {
                return;
            }
            write::prefixed(out, |out| {
                put(out, self.session_expiry.map(Property::SessionExpiryInterval));
                put(out, self.reason_string.map(Property::ReasonString));
                put(out, self.server_reference.map(Property::ServerReference));
                out.extend_from_slice(&self.user);
            });
        });
    }
}
