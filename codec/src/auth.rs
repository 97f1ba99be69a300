//! AUTH, only in 5.0. MQTT 5.0, 3.15.

use crate::kind::PacketKind;
use crate::property::{Block, Forward, Property, put};
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::violation::Violation;
use crate::write;

/// A step of extended authentication.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Auth<'a> {
    /// Success, Continue authentication or Re-authenticate.
    pub reason: ReasonCode,
    /// Authentication Method. Absent only in the AUTH of no bytes, which stands for Success.
    pub auth_method: Option<&'a str>,
    /// Authentication Data.
    pub auth_data: Option<&'a [u8]>,
    /// The reason for people.
    pub reason_string: Option<&'a str>,
    /// User Properties.
    pub user: Forward<'a>,
}

impl<'a> Auth<'a> {
    pub(crate) fn decode(mut reader: Reader<'a>) -> Result<Self, Violation> {
        let kind = PacketKind::Auth;
        let mut auth = Self::default();
        if reader.rest.is_empty() {
            let code = auth.reason.get();
            let allowed = auth.reason.allowed_in(kind, reader.side);
            return if allowed { Ok(auth) } else { Err(Violation::ReasonNotAllowed { kind, code }) };
        }
        auth.reason = reader.reason(kind)?;
        let mut block = Block::open_optional(&mut reader)?;
        while let Some(property) = block.next()? {
            match property {
                Property::AuthenticationMethod(name) => auth.auth_method = Some(name),
                Property::AuthenticationData(bytes) => auth.auth_data = Some(bytes),
                Property::ReasonString(text) => auth.reason_string = Some(text),
                Property::UserProperty(..) => block.keep(),
                other => return Err(block.refuse(other)),
            }
        }
        auth.user = block.kept();
        reader.end()?;
        if auth.auth_method.is_none() { Err(Violation::AuthMethodMissing) } else { Ok(auth) }
    }

    /// Appends the packet, which is the same in any version that has it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(PacketKind::Auth.first_byte());
        write::prefixed(out, |out| {
            if *self == Self::default() {
                return;
            }
            out.push(self.reason.get());
            write::prefixed(out, |out| {
                put(out, self.auth_method.map(Property::AuthenticationMethod));
                put(out, self.auth_data.map(Property::AuthenticationData));
                put(out, self.reason_string.map(Property::ReasonString));
                out.extend_from_slice(&self.user);
            });
        });
    }
}
