//! CONNACK. MQTT 5.0, 3.2.

use std::num::{NonZeroU16, NonZeroU32};

use crate::kind::PacketKind;
use crate::property::{Block, Forward, Property, put};
use crate::qos::Qos;
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::version::Version;
use crate::violation::Violation;
use crate::write;

/// The Server's answer to CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the Server has kept the session; always false in 3.1, which cannot say it.
    pub session_present: bool,
    /// How it went. Before 5.0 the nearest return code is sent.
    pub reason: ReasonCode,
    /// What 5.0 adds; the defaults before.
    pub properties: ConnAckProperties<'a>,
}

/// Properties of CONNACK. MQTT 5.0, 3.2.2.3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAckProperties<'a> {
    /// Session Expiry Interval when the Server changed it. Unit: seconds.
    pub session_expiry: Option<u32>,
    /// PUBLISH packets with QoS 1 and 2 the Server lets us have unacknowledged; absent is 65_535.
    pub receive_maximum: Option<NonZeroU16>,
    /// The highest QoS the Server takes.
    pub maximum_qos: Qos,
    /// Whether the Server retains messages.
    pub retain_available: bool,
    /// The largest packet the Server takes. Unit: bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The Client Identifier, when the Server chose it.
    pub assigned_client_id: Option<&'a str>,
    /// The highest Topic Alias the Server takes; 0 is none.
    pub topic_alias_maximum: u16,
    /// The reason for people.
    pub reason_string: Option<&'a str>,
    /// Whether wildcards may be subscribed to.
    pub wildcard_available: bool,
    /// Whether Subscription Identifiers may be used.
    pub subscription_ids_available: bool,
    /// Whether Shared Subscriptions may be used.
    pub shared_available: bool,
    /// The Keep Alive that the Server imposes. Unit: seconds.
    pub server_keep_alive: Option<u16>,
    /// Basis for Response Topics.
    pub response_information: Option<&'a str>,
    /// Another Server.
    pub server_reference: Option<&'a str>,
    /// Authentication Method.
    pub auth_method: Option<&'a str>,
    /// Authentication Data.
    pub auth_data: Option<&'a [u8]>,
    /// User Properties.
    pub user: Forward<'a>,
}

impl Default for ConnAckProperties<'_> {
    fn default() -> Self {
        Self {
            session_expiry: None,
            receive_maximum: None,
            maximum_qos: Qos::ExactlyOnce,
            retain_available: true,
            maximum_packet_size: None,
            assigned_client_id: None,
            topic_alias_maximum: 0,
            reason_string: None,
            wildcard_available: true,
            subscription_ids_available: true,
            shared_available: true,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            auth_method: None,
            auth_data: None,
            user: Forward::EMPTY,
        }
    }
}

impl<'a> ConnAck<'a> {
    /// An answer without properties.
    pub fn new(session_present: bool, reason: ReasonCode) -> Self {
        Self { session_present, reason, properties: ConnAckProperties::default() }
    }

    pub(crate) fn decode(mut reader: Reader<'a>) -> Result<Self, Violation> {
        let kind = PacketKind::ConnAck;
        let mut flags = reader.u8()?;
        if reader.version == Version::V3 {
            flags = 0;
        }
        if flags > 1 {
            return Err(Violation::ConnAckFlags);
        }
        let reason = if reader.version == Version::V5 {
            reader.reason(kind)?
        } else {
            let code = reader.u8()?;
            ReasonCode::from_connect_return_code(code).ok_or(Violation::ReasonNotAllowed { kind, code })?
        };
        let session_present = flags == 1;
        if session_present && reason.is_error() {
            return Err(Violation::SessionPresentOnRefusal);
        }
        let properties = ConnAckProperties::decode(&mut reader)?;
        reader.end()?;
        Ok(Self { session_present, reason, properties })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let flags = u8::from(self.session_present && version > Version::V3);
        out.push(PacketKind::ConnAck.first_byte());
        write::prefixed(out, |out| {
            out.push(flags);
            if version == Version::V5 {
                out.push(self.reason.get());
                write::prefixed(out, |out| self.properties.encode(out));
            } else {
                out.push(self.reason.connect_return_code());
            }
        });
    }
}

impl<'a> ConnAckProperties<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Violation> {
        let mut properties = Self::default();
        let mut block = Block::open(reader)?;
        while let Some(property) = block.next()? {
            match property {
                Property::UserProperty(..) => block.keep(),
                other if properties.set(other) => {}
                other => return Err(block.refuse(other)),
            }
        }
        properties.user = block.kept();
        Ok(properties)
    }

    /// Takes `property` in; whether CONNACK has such a one.
    fn set(&mut self, property: Property<'a>) -> bool {
        match property {
            Property::SessionExpiryInterval(seconds) => self.session_expiry = Some(seconds),
            Property::ReceiveMaximum(packets) => self.receive_maximum = Some(packets),
            Property::MaximumQos(false) => self.maximum_qos = Qos::AtMostOnce,
            Property::MaximumQos(true) => self.maximum_qos = Qos::AtLeastOnce,
            Property::RetainAvailable(yes) => self.retain_available = yes,
            Property::MaximumPacketSize(bytes) => self.maximum_packet_size = Some(bytes),
            Property::AssignedClientIdentifier(id) => self.assigned_client_id = Some(id),
            Property::TopicAliasMaximum(alias) => self.topic_alias_maximum = alias,
            Property::ReasonString(text) => self.reason_string = Some(text),
            Property::WildcardSubscriptionAvailable(yes) => self.wildcard_available = yes,
            Property::SubscriptionIdentifierAvailable(yes) => self.subscription_ids_available = yes,
            Property::SharedSubscriptionAvailable(yes) => self.shared_available = yes,
            Property::ServerKeepAlive(seconds) => self.server_keep_alive = Some(seconds),
            Property::ResponseInformation(text) => self.response_information = Some(text),
            Property::ServerReference(text) => self.server_reference = Some(text),
            Property::AuthenticationMethod(name) => self.auth_method = Some(name),
            Property::AuthenticationData(bytes) => self.auth_data = Some(bytes),
            _ => return false,
        }
        true
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.session_expiry.map(Property::SessionExpiryInterval));
        put(out, self.receive_maximum.map(Property::ReceiveMaximum));
        if self.maximum_qos < Qos::ExactlyOnce {
            Property::MaximumQos(self.maximum_qos == Qos::AtLeastOnce).encode(out);
        }
        put(out, (!self.retain_available).then_some(Property::RetainAvailable(false)));
        put(out, self.maximum_packet_size.map(Property::MaximumPacketSize));
        put(out, self.assigned_client_id.map(Property::AssignedClientIdentifier));
        if self.topic_alias_maximum != 0 {
            Property::TopicAliasMaximum(self.topic_alias_maximum).encode(out);
        }
        put(out, self.reason_string.map(Property::ReasonString));
        put(out, (!self.wildcard_available).then_some(Property::WildcardSubscriptionAvailable(false)));
        put(
            out,
            (!self.subscription_ids_available).then_some(Property::SubscriptionIdentifierAvailable(false)),
        );
        put(out, (!self.shared_available).then_some(Property::SharedSubscriptionAvailable(false)));
        put(out, self.server_keep_alive.map(Property::ServerKeepAlive));
        put(out, self.response_information.map(Property::ResponseInformation));
        put(out, self.server_reference.map(Property::ServerReference));
        put(out, self.auth_method.map(Property::AuthenticationMethod));
        put(out, self.auth_data.map(Property::AuthenticationData));
        out.extend_from_slice(&self.user);
    }
}
