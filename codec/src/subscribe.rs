//! SUBSCRIBE. MQTT 5.0, 3.8.

use crate::id::PacketId;
use crate::kind::PacketKind;
use crate::property::{Block, Forward, Property, put};
use crate::qos::Qos;
use crate::read::Reader;
use crate::topic::TopicFilter;
use crate::version::Version;
use crate::violation::Violation;
use crate::write;

/// A request for subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The identifier that SUBACK repeats.
    pub packet_id: PacketId,
    /// The Subscription Identifier for all of them, 1..=268_435_455.
    pub subscription_id: Option<u32>,
    /// The Topic Filters, at least one. `Err` holds a string that is no Topic Filter: it is refused on
    /// its own, by Topic Filter invalid in the SUBACK, and does not spoil the others.
    pub filters: Vec<(Result<TopicFilter<'a>, &'a str>, SubscribeOptions)>,
    /// User Properties.
    pub user: Forward<'a>,
}

/// How a subscription is served. MQTT 5.0, 3.8.3.1.
///
/// ```text
/// 7-6 reserved | 5-4 Retain Handling | 3 Retain As Published | 2 No Local | 1-0 Maximum QoS
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SubscribeOptions {
    /// The highest QoS wanted.
    pub qos: Qos,
    /// Whether the Client's own messages are left out.
    pub no_local: bool,
    /// Whether messages keep the RETAIN flag they were published with.
    pub retain_as_published: bool,
    /// Whether retained messages are sent at once.
    pub retain_handling: RetainHandling,
}

/// Whether retained messages are sent when a subscription is made. MQTT 5.0, 3.8.3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RetainHandling {
    /// They are sent [MQTT-3.3.1-9].
    #[default]
    Send = 0,
    /// They are sent if the subscription is new [MQTT-3.3.1-10].
    SendIfNew = 1,
    /// They are not sent [MQTT-3.3.1-11].
    DoNotSend = 2,
}

impl SubscribeOptions {
    /// Options of 3.1 and 3.1.1: a QoS.
    pub fn new(qos: Qos) -> Self {
        Self { qos, ..Self::default() }
    }

    /// The options as they stand on the wire of 5.0.
    pub fn to_u8(self) -> u8 {
        self.qos.get()
            | u8::from(self.no_local) << 2
            | u8::from(self.retain_as_published) << 3
            | (self.retain_handling as u8) << 4
    }

    /// The options that `bits` name in 5.0.
    pub fn from_u8(bits: u8) -> Result<Self, Violation> {
        if bits & 0b1100_0000 != 0 {
            return Err(Violation::SubscribeOptionsReserved);
        }
        let retain_handling = match bits >> 4 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(Violation::RetainHandlingThree),
        };
        Ok(Self {
            qos: Qos::from_u8(bits & 0b11).ok_or(Violation::SubscribeQosThree)?,
            no_local: bits & 0b0100 != 0,
            retain_as_published: bits & 0b1000 != 0,
            retain_handling,
        })
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Violation> {
        let bits = reader.u8()?;
        match reader.version {
            Version::V5 => Self::from_u8(bits),
            Version::V4 if bits & !0b11 != 0 => Err(Violation::SubscribeOptionsReserved),
            // MQTT 3.1 calls the upper bits "not used".
            Version::V4 | Version::V3 => {
                Qos::from_u8(bits & 0b11).map(Self::new).ok_or(Violation::SubscribeQosThree)
            }
        }
    }
}

impl<'a> Subscribe<'a> {
    pub(crate) fn decode(mut reader: Reader<'a>) -> Result<Self, Violation> {
        let kind = PacketKind::Subscribe;
        let packet_id = reader.packet_id()?;
        let mut subscription_id = None;
        let mut block = Block::open(&mut reader)?;
        while let Some(property) = block.next()? {
            match property {
                Property::SubscriptionIdentifier(_) if subscription_id.is_some() => {
                    return Err(Violation::PropertyTwice { id: property.id() });
                }
                Property::SubscriptionIdentifier(id) => subscription_id = Some(id),
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
            let text = reader.string()?;
            let options = SubscribeOptions::decode(&mut reader)?;
            let filter = TopicFilter::parse(text, &reader.limits);
            if options.no_local && filter.is_some_and(|filter| filter.share().is_some()) {
                return Err(Violation::NoLocalOnShared);
            }
            filters.push((filter.ok_or(text), options));
        }
        Ok(Self { packet_id, subscription_id, filters, user })
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        out.push(PacketKind::Subscribe.first_byte());
        write::prefixed(out, |out| {
            write::u16(out, self.packet_id.get());
            if version == Version::V5 {
                write::prefixed(out, |out| {
                    put(out, self.subscription_id.map(Property::SubscriptionIdentifier));
                    out.extend_from_slice(&self.user);
                });
            }
            for (filter, options) in &self.filters {
                write::string(out, filter.map_or_else(|text| text, |filter| filter.as_str()));
                out.push(if version == Version::V5 { options.to_u8() } else { options.qos.get() });
            }
        });
    }
}
