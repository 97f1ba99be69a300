//! Properties of MQTT 5.0: what they are, how a block of them is read, and what is passed on unread.

use std::borrow::Cow;
use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};
use std::ops::Deref;

use crate::kind::Side;
use crate::limits::Limits;
use crate::read::Reader;
use crate::topic;
use crate::version::Version;
use crate::violation::Violation;
use crate::write;

/// One property. MQTT 5.0, 2.2.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property<'a> {
    /// Whether the payload is UTF-8.
    PayloadFormatIndicator(bool),
    /// Lifetime of the Application Message. Unit: seconds.
    MessageExpiryInterval(u32),
    /// What the payload is.
    ContentType(&'a str),
    /// Topic Name for a response.
    ResponseTopic(&'a str),
    /// What the requester knows its request by.
    CorrelationData(&'a [u8]),
    /// Identifier of a subscription, 1..=268_435_455.
    SubscriptionIdentifier(u32),
    /// How long the session outlives the connection. Unit: seconds.
    SessionExpiryInterval(u32),
    /// The Client Identifier that the Server chose.
    AssignedClientIdentifier(&'a str),
    /// The Keep Alive that the Server imposes. Unit: seconds.
    ServerKeepAlive(u16),
    /// Name of the authentication method.
    AuthenticationMethod(&'a str),
    /// What the method says.
    AuthenticationData(&'a [u8]),
    /// Whether Reason Strings and User Properties may come on failures.
    RequestProblemInformation(bool),
    /// How long the Will waits. Unit: seconds.
    WillDelayInterval(u32),
    /// Whether Response Information is asked for.
    RequestResponseInformation(bool),
    /// Basis for Response Topics.
    ResponseInformation(&'a str),
    /// Another Server.
    ServerReference(&'a str),
    /// The reason for people.
    ReasonString(&'a str),
    /// QoS 1 and 2 PUBLISH packets allowed unacknowledged.
    ReceiveMaximum(NonZeroU16),
    /// The highest Topic Alias allowed.
    TopicAliasMaximum(u16),
    /// A number for a Topic Name.
    TopicAlias(NonZeroU16),
    /// The highest QoS the Server takes: false is 0, true is 1.
    MaximumQos(bool),
    /// Whether the Server retains messages.
    RetainAvailable(bool),
    /// A name and a value.
    UserProperty(&'a str, &'a str),
    /// The largest packet allowed. Unit: bytes.
    MaximumPacketSize(NonZeroU32),
    /// Whether the Server takes wildcards.
    WildcardSubscriptionAvailable(bool),
    /// Whether the Server takes Subscription Identifiers.
    SubscriptionIdentifierAvailable(bool),
    /// Whether the Server takes Shared Subscriptions.
    SharedSubscriptionAvailable(bool),
}

impl<'a> Property<'a> {
    /// The Property Identifier.
    pub fn id(&self) -> u8 {
        match self {
            Self::PayloadFormatIndicator(..) => 0x01,
            Self::MessageExpiryInterval(..) => 0x02,
            Self::ContentType(..) => 0x03,
            Self::ResponseTopic(..) => 0x08,
            Self::CorrelationData(..) => 0x09,
            Self::SubscriptionIdentifier(..) => 0x0b,
            Self::SessionExpiryInterval(..) => 0x11,
            Self::AssignedClientIdentifier(..) => 0x12,
            Self::ServerKeepAlive(..) => 0x13,
            Self::AuthenticationMethod(..) => 0x15,
            Self::AuthenticationData(..) => 0x16,
            Self::RequestProblemInformation(..) => 0x17,
            Self::WillDelayInterval(..) => 0x18,
            Self::RequestResponseInformation(..) => 0x19,
            Self::ResponseInformation(..) => 0x1a,
            Self::ServerReference(..) => 0x1c,
            Self::ReasonString(..) => 0x1f,
            Self::ReceiveMaximum(..) => 0x21,
            Self::TopicAliasMaximum(..) => 0x22,
            Self::TopicAlias(..) => 0x23,
            Self::MaximumQos(..) => 0x24,
            Self::RetainAvailable(..) => 0x25,
            Self::UserProperty(..) => 0x26,
            Self::MaximumPacketSize(..) => 0x27,
            Self::WildcardSubscriptionAvailable(..) => 0x28,
            Self::SubscriptionIdentifierAvailable(..) => 0x29,
            Self::SharedSubscriptionAvailable(..) => 0x2a,
        }
    }

    /// Takes one property off the front of a block.
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Violation> {
        let id = reader.u8()?;
        Ok(match id {
            0x01 => Self::PayloadFormatIndicator(flag(reader, id)?),
            0x02 => Self::MessageExpiryInterval(reader.u32()?),
            0x03 => Self::ContentType(reader.string()?),
            0x08 => Self::ResponseTopic(response_topic(reader)?),
            0x09 => Self::CorrelationData(reader.binary()?),
            0x0b => Self::SubscriptionIdentifier(subscription_id(reader)?),
            0x11 => Self::SessionExpiryInterval(reader.u32()?),
            0x12 => Self::AssignedClientIdentifier(reader.string()?),
            0x13 => Self::ServerKeepAlive(reader.u16()?),
            0x15 => Self::AuthenticationMethod(reader.string()?),
            0x16 => Self::AuthenticationData(reader.binary()?),
            0x17 => Self::RequestProblemInformation(flag(reader, id)?),
            0x18 => Self::WillDelayInterval(reader.u32()?),
            0x19 => Self::RequestResponseInformation(flag(reader, id)?),
            0x1a => Self::ResponseInformation(reader.string()?),
            0x1c => Self::ServerReference(reader.string()?),
            0x1f => Self::ReasonString(reader.string()?),
            0x21 => {
                Self::ReceiveMaximum(NonZeroU16::new(reader.u16()?).ok_or(Violation::ReceiveMaximumZero)?)
            }
            0x22 => Self::TopicAliasMaximum(reader.u16()?),
            0x23 => Self::TopicAlias(NonZeroU16::new(reader.u16()?).ok_or(Violation::TopicAliasZero)?),
            0x24 => Self::MaximumQos(flag(reader, id)?),
            0x25 => Self::RetainAvailable(flag(reader, id)?),
            0x26 => Self::UserProperty(reader.string()?, reader.string()?),
            0x27 => Self::MaximumPacketSize(
                NonZeroU32::new(reader.u32()?).ok_or(Violation::MaximumPacketSizeZero)?,
            ),
            0x28 => Self::WildcardSubscriptionAvailable(flag(reader, id)?),
            0x29 => Self::SubscriptionIdentifierAvailable(flag(reader, id)?),
            0x2a => Self::SharedSubscriptionAvailable(flag(reader, id)?),
            _ => return Err(Violation::PropertyUnknown { id }),
        })
    }

    /// Appends the property as it stands on the wire.
    ///
    /// Panics when a string is longer than 65_535 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.id());
        match *self {
            Self::PayloadFormatIndicator(value)
            | Self::RequestProblemInformation(value)
            | Self::RequestResponseInformation(value)
            | Self::MaximumQos(value)
            | Self::RetainAvailable(value)
            | Self::WildcardSubscriptionAvailable(value)
            | Self::SubscriptionIdentifierAvailable(value)
            | Self::SharedSubscriptionAvailable(value) => out.push(u8::from(value)),
            Self::ServerKeepAlive(value) | Self::TopicAliasMaximum(value) => write::u16(out, value),
            Self::ReceiveMaximum(value) | Self::TopicAlias(value) => write::u16(out, value.get()),
            Self::MessageExpiryInterval(value)
            | Self::SessionExpiryInterval(value)
            | Self::WillDelayInterval(value) => write::u32(out, value),
            Self::SubscriptionIdentifier(value) => write::varint(out, value as usize),
            Self::ContentType(text)
            | Self::ResponseTopic(text)
            | Self::AssignedClientIdentifier(text)
            | Self::AuthenticationMethod(text)
            | Self::ResponseInformation(text)
            | Self::ServerReference(text)
            | Self::ReasonString(text) => write::string(out, text),
            Self::CorrelationData(bytes) | Self::AuthenticationData(bytes) => write::binary(out, bytes),
            Self::MaximumPacketSize(value) => write::u32(out, value.get()),
            Self::UserProperty(name, value) => {
                write::string(out, name);
                write::string(out, value);
            }
        }
    }
}

fn flag(reader: &mut Reader<'_>, id: u8) -> Result<bool, Violation> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Violation::PropertyOutOfRange { id }),
    }
}

fn subscription_id(reader: &mut Reader<'_>) -> Result<u32, Violation> {
    match reader.varint()? {
        0 => Err(Violation::SubscriptionIdZero),
        id => Ok(id),
    }
}

fn response_topic<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Violation> {
    let text = reader.text()?;
    match topic::check_name(text, &reader.limits) {
        Ok(()) => Ok(text),
        Err(Violation::StringHasNul) => Err(Violation::StringHasNul),
        Err(_) => Err(Violation::ResponseTopicInvalid),
    }
}

/// A property block being read. Every property is taken once, but User Properties and Subscription
/// Identifiers may come again.
pub(crate) struct Block<'a> {
    reader: Reader<'a>,
    whole: &'a [u8],
    /// Bit n: the property with identifier n has come. No identifier is above 0x2a.
    seen: u64,
    users: u16,
    /// Where the last property begins, in `whole`.
    last: usize,
    kept: Forward<'a>,
    /// Where the kept bytes end in `whole`, while they are one run.
    kept_end: usize,
}

impl<'a> Block<'a> {
    /// Takes a block with its length off the front of `from`; an empty one before 5.0.
    #[inline]
    pub(crate) fn open(from: &mut Reader<'a>) -> Result<Self, Violation> {
        let whole = if from.version < Version::V5 {
            &[]
        } else {
            let len = from.varint()?;
            from.take(len as usize)?
        };
        let reader = Reader { rest: whole, ..*from };
        Ok(Self { reader, whole, seen: 0, users: 0, last: 0, kept: Forward::EMPTY, kept_end: 0 })
    }

    /// Whether there is nothing to open: takes an empty block off the front of `from`, and says so of
    /// any body before 5.0. Spares the frequent packets the making of a block.
    #[inline]
    pub(crate) fn skip_empty(from: &mut Reader<'a>) -> bool {
        if from.version < Version::V5 {
            return true;
        }
        let empty = from.rest.first() == Some(&0);
        if empty {
            from.rest = &from.rest[1..];
        }
        empty
    }

    /// As [`Block::open`], where a body that has ended stands for an empty block.
    pub(crate) fn open_optional(from: &mut Reader<'a>) -> Result<Self, Violation> {
        let mut none = Reader { version: Version::V4, ..*from };
        if from.rest.is_empty() { Self::open(&mut none) } else { Self::open(from) }
    }

    /// The next property; `Ok(None)` at the end of the block.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Property<'a>>, Violation> {
        if self.reader.rest.is_empty() { Ok(None) } else { self.read().map(Some) }
    }

    fn read(&mut self) -> Result<Property<'a>, Violation> {
        self.last = self.position();
        let property = Property::decode(&mut self.reader)?;
        match property {
            Property::UserProperty(..) if self.users >= self.reader.limits.user_properties_max => {
                return Err(Violation::UserPropertiesTooMany);
            }
            Property::UserProperty(..) => self.users += 1,
            Property::SubscriptionIdentifier(_) => {}
            _ => {
                let id = property.id();
                if self.seen & 1 << id != 0 {
                    return Err(Violation::PropertyTwice { id });
                }
                self.seen |= 1 << id;
            }
        }
        Ok(property)
    }

    fn position(&self) -> usize {
        self.whole.len() - self.reader.rest.len()
    }

    /// Keeps the bytes of the property that came last. A single run of them stays borrowed.
    pub(crate) fn keep(&mut self) {
        let end = self.position();
        if self.kept.is_empty() {
            self.kept = Forward(Cow::Borrowed(&self.whole[self.last..end]));
        } else if let (Cow::Borrowed(run), true) = (&self.kept.0, self.kept_end == self.last) {
            self.kept = Forward(Cow::Borrowed(&self.whole[self.last - run.len()..end]));
        } else {
            self.kept.0.to_mut().extend_from_slice(&self.whole[self.last..end]);
        }
        self.kept_end = end;
    }

    /// All that was kept.
    pub(crate) fn kept(self) -> Forward<'a> {
        self.kept
    }

    /// What a property is that the packet does not have.
    pub(crate) fn refuse(&self, property: Property<'_>) -> Violation {
        Violation::PropertyNotAllowed { id: property.id() }
    }
}

/// Properties as they stand on the wire, in the order received, to be passed on unchanged
/// [MQTT-3.3.2-17]: of PUBLISH and of a Will the Payload Format Indicator, Content Type, Response
/// Topic, Correlation Data and User Properties; of all other packets the User Properties.
///
/// Borrowed when they stood side by side in the packet, which is nearly always.
/// Invariant: what came out of a packet has been checked.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Forward<'a>(Cow<'a, [u8]>);

impl<'a> Forward<'a> {
    /// No properties.
    pub const EMPTY: Self = Self(Cow::Borrowed(&[]));

    /// Bytes that were checked before: those of another `Forward`, or of [`Property::encode`].
    pub fn new(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The properties one by one. Ends early at bytes that are no property.
    pub fn iter(&self) -> impl Iterator<Item = Property<'_>> {
        let limits = Limits::WIDEST;
        let side = Side::Server;
        let mut reader = Reader { rest: &self.0, version: Version::V5, side, limits };
        std::iter::from_fn(move || Property::decode(&mut reader).ok())
    }

    /// The bytes, cut loose from the packet.
    pub fn into_owned(self) -> Vec<u8> {
        self.0.into_owned()
    }

    /// Whether the bytes are still those of the packet.
    pub fn is_borrowed(&self) -> bool {
        matches!(self.0, Cow::Borrowed(_))
    }
}

impl Deref for Forward<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Forward<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Appends `property` if there is one.
pub(crate) fn put(out: &mut Vec<u8>, property: Option<Property<'_>>) {
    if let Some(property) = property {
        property.encode(out);
    }
}
