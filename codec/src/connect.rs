//! CONNECT. MQTT 5.0, 3.1.

use std::num::{NonZeroU16, NonZeroU32};

use crate::frame::frame;
use crate::kind::PacketKind;
use crate::limits::Limits;
use crate::property::{Block, Forward, Property, put};
use crate::qos::Qos;
use crate::read::Reader;
use crate::topic;
use crate::version::Version;
use crate::violation::Violation;
use crate::write;

const RESERVED: u8 = 0b0000_0001;
const CLEAN_START: u8 = 0b0000_0010;
const WILL: u8 = 0b0000_0100;
const WILL_QOS: u8 = 0b0001_1000;
const WILL_RETAIN: u8 = 0b0010_0000;
const PASSWORD: u8 = 0b0100_0000;
const USER_NAME: u8 = 0b1000_0000;

/// The first packet of a Client.
///
/// ```text
/// Connect Flags   7 User Name | 6 Password | 5 Will Retain | 4-3 Will QoS | 2 Will | 1 Clean Start | 0 reserved
/// payload         Client Identifier, [Will Properties, Will Topic, Will Payload], [User Name], [Password]
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The version that all further packets are in.
    pub version: Version,
    /// Whether to forget an existing session; before 5.0 also the one that begins (Clean Session).
    pub clean_start: bool,
    /// The longest silence of the Client; 0 turns it off. Unit: seconds.
    pub keep_alive: u16,
    /// The Client Identifier; see [`Connect::client_id_acceptable`] when empty.
    pub client_id: &'a str,
    /// What is published when the Client goes without saying so.
    pub will: Option<Will<'a>>,
    /// The User Name.
    pub username: Option<&'a str>,
    /// The Password.
    pub password: Option<&'a [u8]>,
    /// What 5.0 adds; the defaults before.
    pub properties: ConnectProperties<'a>,
}

/// Properties of CONNECT. MQTT 5.0, 3.1.2.11.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// Session Expiry Interval; absent is 0. Unit: seconds.
    pub session_expiry: Option<u32>,
    /// PUBLISH packets with QoS 1 and 2 the Client lets us have unacknowledged; absent is 65_535.
    pub receive_maximum: Option<NonZeroU16>,
    /// The largest packet the Client takes. Unit: bytes.
    pub maximum_packet_size: Option<NonZeroU32>,
    /// The highest Topic Alias the Client takes; 0 is none.
    pub topic_alias_maximum: u16,
    /// Whether the Client asks for Response Information.
    pub request_response_information: bool,
    /// Whether the Client wants Reason Strings and User Properties on failures; by default it does.
    pub request_problem_information: bool,
    /// Authentication Method.
    pub auth_method: Option<&'a str>,
    /// Authentication Data.
    pub auth_data: Option<&'a [u8]>,
    /// User Properties.
    pub user: Forward<'a>,
}

/// The Will Message. MQTT 5.0, 3.1.2.5 and 3.1.3.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will<'a> {
    /// With which QoS it is published.
    pub qos: Qos,
    /// Whether it is retained.
    pub retain: bool,
    /// A valid Topic Name.
    pub topic: &'a str,
    /// The Application Message.
    pub payload: &'a [u8],
    /// Will Delay Interval. Unit: seconds.
    pub delay: u32,
    /// Message Expiry Interval. Unit: seconds.
    pub message_expiry: Option<u32>,
    /// What is published with it unchanged.
    pub forward: Forward<'a>,
}

/// The version that the CONNECT at the front of `bytes` asks for, so that a refusal of a CONNECT that
/// does not decode can be said in it. `None` when that cannot be seen.
pub fn connect_version(bytes: &[u8], limits: &Limits) -> Option<Version> {
    let frame = frame(bytes, limits).ok()??;
    let body = bytes.get(frame.header_bytes..)?;
    [Version::V5, Version::V4, Version::V3].into_iter().find(|version| {
        let name = version.name().as_bytes();
        frame.kind == PacketKind::Connect
            && body.get(2..2 + name.len()) == Some(name)
            && body.get(2 + name.len()) == Some(&version.level())
    })
}

impl<'a> Connect<'a> {
    /// A CONNECT with nothing but an identifier and a clean start.
    pub fn new(version: Version, client_id: &'a str) -> Self {
        Self {
            version,
            clean_start: true,
            keep_alive: 0,
            client_id,
            will: None,
            username: None,
            password: None,
            properties: ConnectProperties::default(),
        }
    }

    /// Whether the version lets a Client come with this identifier. An empty one wants a clean session
    /// in 3.1.1 [MQTT-3.1.3-7 of 3.1.1] and is refused in 3.1; the answer is CONNACK with return code 2.
    pub fn client_id_acceptable(&self) -> bool {
        match self.version {
            Version::V3 => !self.client_id.is_empty(),
            Version::V4 => !self.client_id.is_empty() || self.clean_start,
            Version::V5 => true,
        }
    }

    pub(crate) fn decode(mut reader: Reader<'a>) -> Result<Self, Violation> {
        let version = protocol(&mut reader)?;
        reader.version = version;
        let flags = reader.u8()?;
        check_flags(version, flags)?;
        let keep_alive = reader.u16()?;
        let properties = ConnectProperties::decode(&mut reader)?;
        let client_id = reader.string()?;
        if client_id.len() > usize::from(reader.limits.client_id_bytes_max) {
            return Err(Violation::ClientIdTooLong);
        }
        let will = if flags & WILL == 0 { None } else { Some(Will::decode(flags, &mut reader)?) };
        // MQTT 3.1: where the packet ends, User Name and Password are missing whatever the flags say.
        let absent = |reader: &Reader<'_>| version == Version::V3 && reader.rest.is_empty();
        let mut username = None;
        if flags & USER_NAME != 0 && !absent(&reader) {
            username = Some(reader.string()?);
        }
        let mut password = None;
        if flags & PASSWORD != 0 && !absent(&reader) {
            password = Some(reader.binary()?);
        }
        reader.end()?;
        let clean_start = flags & CLEAN_START != 0;
        Ok(Self { version, clean_start, keep_alive, client_id, will, username, password, properties })
    }

    /// Appends the packet, in its own version.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(PacketKind::Connect.first_byte());
        write::prefixed(out, |out| {
            write::string(out, self.version.name());
            out.push(self.version.level());
            out.push(self.flags());
            write::u16(out, self.keep_alive);
            if self.version == Version::V5 {
                write::prefixed(out, |out| self.properties.encode(out));
            }
            write::string(out, self.client_id);
            if let Some(will) = &self.will {
                will.encode(self.version, out);
            }
            if let Some(username) = self.username {
                write::string(out, username);
            }
            if let Some(password) = self.password {
                write::binary(out, password);
            }
        });
    }

    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.clean_start {
            flags |= CLEAN_START;
        }
        if let Some(will) = &self.will {
            flags |= WILL | will.qos.get() << 3;
            if will.retain {
                flags |= WILL_RETAIN;
            }
        }
        if self.password.is_some() {
            flags |= PASSWORD;
        }
        if self.username.is_some() {
            flags |= USER_NAME;
        }
        flags
    }
}

/// Protocol name and level.
fn protocol(reader: &mut Reader<'_>) -> Result<Version, Violation> {
    let name = reader.binary()?;
    if name != b"MQTT" && name != b"MQIsdp" {
        return Err(Violation::ProtocolName);
    }
    match (name, reader.u8()?) {
        (b"MQIsdp", 3) => Ok(Version::V3),
        (b"MQTT", 4) => Ok(Version::V4),
        (b"MQTT", 5) => Ok(Version::V5),
        (_, level) => Err(Violation::ProtocolLevel { level }),
    }
}

/// Whether the Connect Flags fit each other. MQTT 3.1 gives unused flags no meaning and forbids none.
fn check_flags(version: Version, flags: u8) -> Result<(), Violation> {
    if version > Version::V3 && flags & RESERVED != 0 {
        return Err(Violation::ConnectFlagReserved);
    }
    if flags & WILL != 0 && flags & WILL_QOS == WILL_QOS {
        return Err(Violation::WillQosThree);
    }
    if version > Version::V3 && flags & WILL == 0 {
        if flags & WILL_QOS != 0 {
            return Err(Violation::WillQosWithoutWill);
        }
        if flags & WILL_RETAIN != 0 {
            return Err(Violation::WillRetainWithoutWill);
        }
    }
    if version < Version::V5 && flags & (USER_NAME | PASSWORD) == PASSWORD {
        return Err(Violation::PasswordWithoutUserName);
    }
    Ok(())
}

impl Default for ConnectProperties<'_> {
    fn default() -> Self {
        Self {
            session_expiry: None,
            receive_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            auth_method: None,
            auth_data: None,
            user: Forward::EMPTY,
        }
    }
}

impl<'a> ConnectProperties<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, Violation> {
        let mut properties = Self::default();
        let mut block = Block::open(reader)?;
        while let Some(property) = block.next()? {
            match property {
                Property::SessionExpiryInterval(seconds) => properties.session_expiry = Some(seconds),
                Property::ReceiveMaximum(packets) => properties.receive_maximum = Some(packets),
                Property::MaximumPacketSize(bytes) => properties.maximum_packet_size = Some(bytes),
                Property::TopicAliasMaximum(alias) => properties.topic_alias_maximum = alias,
                Property::RequestResponseInformation(yes) => properties.request_response_information = yes,
                Property::RequestProblemInformation(yes) => properties.request_problem_information = yes,
                Property::AuthenticationMethod(name) => properties.auth_method = Some(name),
                Property::AuthenticationData(bytes) => properties.auth_data = Some(bytes),
                Property::UserProperty(..) => block.keep(),
                other => return Err(block.refuse(other)),
            }
        }
        properties.user = block.kept();
        if properties.auth_data.is_some() && properties.auth_method.is_none() {
            return Err(Violation::AuthDataWithoutMethod);
        }
        Ok(properties)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.session_expiry.map(Property::SessionExpiryInterval));
        put(out, self.receive_maximum.map(Property::ReceiveMaximum));
        put(out, self.maximum_packet_size.map(Property::MaximumPacketSize));
        if self.topic_alias_maximum != 0 {
            Property::TopicAliasMaximum(self.topic_alias_maximum).encode(out);
        }
        if self.request_response_information {
            Property::RequestResponseInformation(true).encode(out);
        }
        if !self.request_problem_information {
            Property::RequestProblemInformation(false).encode(out);
        }
        put(out, self.auth_method.map(Property::AuthenticationMethod));
        put(out, self.auth_data.map(Property::AuthenticationData));
        out.extend_from_slice(&self.user);
    }
}

impl<'a> Will<'a> {
    /// The Will part of the payload; the caller has checked the flags.
    fn decode(flags: u8, reader: &mut Reader<'a>) -> Result<Self, Violation> {
        let qos = Qos::from_u8((flags & WILL_QOS) >> 3).ok_or(Violation::WillQosThree)?;
        let (mut delay, mut message_expiry) = (0, None);
        let mut block = Block::open(reader)?;
        while let Some(property) = block.next()? {
            match property {
                Property::WillDelayInterval(seconds) => delay = seconds,
                Property::MessageExpiryInterval(seconds) => message_expiry = Some(seconds),
                Property::PayloadFormatIndicator(_)
                | Property::ContentType(_)
                | Property::ResponseTopic(_)
                | Property::CorrelationData(_)
                | Property::UserProperty(..) => block.keep(),
                other => return Err(block.refuse(other)),
            }
        }
        let topic = reader.text()?;
        topic::check_name(topic, &reader.limits)?;
        let payload = reader.binary()?;
        let retain = flags & WILL_RETAIN != 0;
        Ok(Self { qos, retain, topic, payload, delay, message_expiry, forward: block.kept() })
    }

    fn encode(&self, version: Version, out: &mut Vec<u8>) {
        if version == Version::V5 {
            write::prefixed(out, |out| {
                if self.delay != 0 {
                    Property::WillDelayInterval(self.delay).encode(out);
                }
                put(out, self.message_expiry.map(Property::MessageExpiryInterval));
                out.extend_from_slice(&self.forward);
            });
        }
        write::string(out, self.topic);
        write::binary(out, self.payload);
    }
}
