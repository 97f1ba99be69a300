//! PUBLISH, and the way of its bytes that does not stop to think. MQTT 5.0, 3.3.

use std::num::NonZeroU16;

use crate::id::PacketId;
use crate::kind::{PacketKind, Side};
use crate::property::{Block, Forward, Property};
use crate::qos::Qos;
use crate::read::Reader;
use crate::topic;
use crate::version::Version;
use crate::violation::Violation;
use crate::write;

const RETAIN: u8 = 0b0001;
const DUP: u8 = 0b1000;

/// An Application Message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish<'a> {
    /// It may have been sent before [MQTT-3.3.1-1].
    pub dup: bool,
    /// How surely it is to arrive.
    pub qos: Qos,
    /// It is to be retained, or was.
    pub retain: bool,
    /// The Topic Name: valid, or empty in 5.0 when there is a Topic Alias.
    pub topic: &'a str,
    /// Present when the QoS is above 0 [MQTT-2.2.1-2].
    pub packet_id: Option<PacketId>,
    /// What 5.0 adds; empty before.
    pub properties: PublishProperties<'a>,
    /// The Application Message itself.
    pub payload: &'a [u8],
}

/// Properties of PUBLISH. MQTT 5.0, 3.3.2.3.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublishProperties<'a> {
    /// A number for the Topic Name, valid on this connection.
    pub topic_alias: Option<NonZeroU16>,
    /// Message Expiry Interval. Unit: seconds.
    pub message_expiry: Option<u32>,
    /// Identifiers of the subscriptions that matched, 1..=268_435_455; only a Client receives any,
    /// so that a Server never allocates here.
    pub subscription_ids: Vec<u32>,
    /// What a Server passes on unchanged.
    pub forward: Forward<'a>,
}

impl<'a> Publish<'a> {
    #[inline]
    pub(crate) fn decode(flags: u8, mut reader: Reader<'a>) -> Result<Self, Violation> {
        let qos = Qos::from_u8(flags >> 1 & 0b11).ok_or(Violation::QosThree)?;
        let mut dup = flags & DUP != 0;
        if dup && qos == Qos::AtMostOnce {
            if reader.version > Version::V3 {
                return Err(Violation::DupOnQosZero);
            }
            // MQTT 3.1 gives the flag no meaning here but does not forbid it.
            dup = false;
        }
        let topic = reader.text()?;
        if !topic.is_empty() || reader.version < Version::V5 {
            topic::check_name(topic, &reader.limits)?;
        }
        let packet_id = if qos == Qos::AtMostOnce { None } else { Some(reader.packet_id()?) };
        let properties = PublishProperties::decode(&mut reader)?;
        if topic.is_empty() && properties.topic_alias.is_none() {
            return Err(Violation::TopicMissing);
        }
        let retain = flags & RETAIN != 0;
        Ok(Self { dup, qos, retain, topic, packet_id, properties, payload: reader.rest })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        encode_publish(out, version, self.head(), self.payload);
    }

    /// All but the payload, as [`encode_publish`] takes it.
    pub fn head(&self) -> PublishHead<'_> {
        PublishHead {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            packet_id: self.packet_id,
            topic: self.topic,
            alias: self.properties.topic_alias,
            expiry: self.properties.message_expiry,
            subscription_ids: &self.properties.subscription_ids,
            forward: &self.properties.forward,
        }
    }
}

impl<'a> PublishProperties<'a> {
    #[inline]
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Violation> {
        if Block::skip_empty(reader) {
            return Ok(Self::default());
        }
        Self::decode_some(reader)
    }

    /// As `decode`, when there is something to decode.
    fn decode_some(reader: &mut Reader<'a>) -> Result<Self, Violation> {
        let mut properties = Self::default();
        let from_client = reader.side == Side::Server;
        let mut block = Block::open(reader)?;
        while let Some(property) = block.next()? {
            match property {
                Property::TopicAlias(alias) => properties.topic_alias = Some(alias),
                Property::MessageExpiryInterval(seconds) => properties.message_expiry = Some(seconds),
                Property::SubscriptionIdentifier(_) if from_client => {
                    return Err(Violation::SubscriptionIdFromClient);
                }
                Property::SubscriptionIdentifier(id) => properties.subscription_ids.push(id),
                Property::PayloadFormatIndicator(_)
                | Property::ContentType(_)
                | Property::ResponseTopic(_)
                | Property::CorrelationData(_)
                | Property::UserProperty(..) => block.keep(),
                other => return Err(block.refuse(other)),
            }
        }
        properties.forward = block.kept();
        Ok(properties)
    }
}

/// All of a PUBLISH but its payload, for [`encode_publish`]. Before 5.0 the last four are not sent.
#[derive(Debug, Clone, Copy)]
pub struct PublishHead<'a> {
    /// It may have been sent before.
    pub dup: bool,
    /// How surely it is to arrive.
    pub qos: Qos,
    /// Its RETAIN flag.
    pub retain: bool,
    /// Its identifier. `None` with a QoS above 0 leaves two zero bytes, to be filled in later.
    pub packet_id: Option<PacketId>,
    /// The Topic Name; empty when the Topic Alias says it.
    pub topic: &'a str,
    /// The Topic Alias.
    pub alias: Option<NonZeroU16>,
    /// Message Expiry Interval. Unit: seconds.
    pub expiry: Option<u32>,
    /// Identifiers of the subscriptions that matched.
    pub subscription_ids: &'a [u32],
    /// Properties passed on as they came.
    pub forward: &'a [u8],
}

/// Where things stand in a packet that [`encode_publish`] appended. Offsets count from its first byte,
/// which holds the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishLayout {
    /// The Packet Identifier, two bytes, high first. With QoS 0 nothing stands there.
    pub packet_id_at: usize,
    /// The first byte of the payload.
    pub payload_at: usize,
    /// The whole packet. Unit: bytes.
    pub packet_bytes: usize,
}

/// The property block of `head` without its length. Unit: bytes.
fn properties_len(version: Version, head: &PublishHead<'_>) -> usize {
    if version < Version::V5 {
        return 0;
    }
    let ids: usize = head.subscription_ids.iter().map(|&id| 1 + write::varint_len(id as usize)).sum();
    let alias = if head.alias.is_some() { 3 } else { 0 };
    let expiry = if head.expiry.is_some() { 5 } else { 0 };
    head.forward.len() + alias + expiry + ids
}

/// The Remaining Length. Unit: bytes.
fn body_len(version: Version, head: &PublishHead<'_>, payload_len: usize) -> usize {
    let id = if head.qos == Qos::AtMostOnce { 0 } else { 2 };
    let properties = properties_len(version, head);
    let prefix = if version < Version::V5 { 0 } else { write::varint_len(properties) };
    2 + head.topic.len() + id + prefix + properties + payload_len
}

/// The size of the packet that [`encode_publish`] would append. Unit: bytes.
pub fn publish_len(version: Version, head: &PublishHead<'_>, payload_len: usize) -> usize {
    let body = body_len(version, head, payload_len);
    1 + write::varint_len(body) + body
}

/// Appends a PUBLISH.
///
/// Panics when the topic is longer than 65_535 bytes or the packet than the protocol can say.
pub fn encode_publish(
    out: &mut Vec<u8>,
    version: Version,
    head: PublishHead<'_>,
    payload: &[u8],
) -> PublishLayout {
    let start = out.len();
    let body = body_len(version, &head, payload.len());
    out.reserve(5 + body);
    let dup = if head.dup { DUP } else { 0 };
    out.push(PacketKind::Publish.first_byte() | dup | head.qos.get() << 1 | u8::from(head.retain));
    write::varint(out, body);
    write::string(out, head.topic);
    let packet_id_at = out.len() - start;
    if head.qos != Qos::AtMostOnce {
        write::u16(out, head.packet_id.map_or(0, PacketId::get));
    }
    if version == Version::V5 {
        encode_properties(out, &head);
    }
    let payload_at = out.len() - start;
    out.extend_from_slice(payload);
    PublishLayout { packet_id_at, payload_at, packet_bytes: out.len() - start }
}

fn encode_properties(out: &mut Vec<u8>, head: &PublishHead<'_>) {
    write::varint(out, properties_len(Version::V5, head));
    if let Some(seconds) = head.expiry {
        Property::MessageExpiryInterval(seconds).encode(out);
    }
    if let Some(alias) = head.alias {
        Property::TopicAlias(alias).encode(out);
    }
    for &id in head.subscription_ids {
        Property::SubscriptionIdentifier(id).encode(out);
    }
    out.extend_from_slice(head.forward);
}
