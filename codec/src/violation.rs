//! What a peer can do wrong: one name for each fault, its statement and its answer.

use crate::kind::PacketKind;
use crate::reason::ReasonCode;

/// A fault of the peer. Whoever sees one closes the Network Connection [MQTT-4.13.1-1].
///
/// Numbers are those of MQTT 5.0; where 3.1.1 numbers a rule that 5.0 dropped, its number stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The Remaining Length goes on after its fourth byte. Section 1.5.5.
    #[error("remaining length over four bytes")]
    RemainingLengthTooLong,
    /// The packet is larger than we allow: [MQTT-3.2.2-15] from a Client, [MQTT-3.1.2-24] from a Server.
    #[error("packet of {bytes} bytes, {max} allowed")]
    PacketTooLarge {
        /// The size of the packet, fixed header included.
        bytes: u32,
        /// The limit.
        max: u32,
    },
    /// Packet type 0. Section 2.1.2.
    #[error("reserved packet type")]
    PacketTypeReserved,
    /// The flags of the fixed header are not those prescribed [MQTT-2.1.3-1].
    #[error("{kind} with header flags {flags:#06b}")]
    HeaderFlags {
        /// The packet.
        kind: PacketKind,
        /// Its flags.
        flags: u8,
    },
    /// A packet that only the other side sends. Section 2.1.2.
    #[error("unexpected {kind}")]
    UnexpectedPacket {
        /// The packet.
        kind: PacketKind,
    },
    /// AUTH on a connection of 3.1 or 3.1.1, where type 15 is reserved. MQTT 3.1.1, 2.2.1.
    #[error("AUTH before MQTT 5.0")]
    AuthBeforeV5,
    /// A Variable Byte Integer takes more bytes than it needs [MQTT-1.5.5-1].
    #[error("variable byte integer is not minimal")]
    IntegerNotMinimal,
    /// A Variable Byte Integer goes on after its fourth byte. Section 1.5.5.
    #[error("variable byte integer over four bytes")]
    IntegerTooLong,
    /// The packet ends inside a field. Section 1.2, Malformed Packet.
    #[error("packet ends inside a field")]
    Truncated,
    /// The packet goes on after its last field. Section 1.2, Malformed Packet.
    #[error("bytes after the last field")]
    TrailingBytes,
    /// A string is not well-formed UTF-8 [MQTT-1.5.4-1].
    #[error("string is not UTF-8")]
    StringNotUtf8,
    /// A string holds U+0000 [MQTT-1.5.4-2].
    #[error("string holds U+0000")]
    StringHasNul,
    /// A Packet Identifier of 0 [MQTT-2.2.1-3].
    #[error("packet identifier 0")]
    PacketIdZero,
    /// PUBLISH with both QoS bits set [MQTT-3.3.1-4].
    #[error("PUBLISH with QoS 3")]
    QosThree,
    /// PUBLISH with DUP and QoS 0 [MQTT-3.3.1-2].
    #[error("PUBLISH with DUP and QoS 0")]
    DupOnQosZero,
    /// A Topic Name of no characters [MQTT-4.7.3-1].
    #[error("empty topic name")]
    TopicEmpty,
    /// Neither a Topic Name nor a Topic Alias. Section 3.3.2.1.
    #[error("neither topic name nor topic alias")]
    TopicMissing,
    /// A Topic Name with wildcards [MQTT-3.3.2-2].
    #[error("topic name with wildcards")]
    TopicHasWildcard,
    /// A Topic Name longer than we allow. Section 4.7.3.
    #[error("topic name too long")]
    TopicTooLong,
    /// A Topic Name with more levels than we allow. Section 4.7.3.
    #[error("topic name with too many levels")]
    TopicTooDeep,
    /// A Topic Alias of 0 [MQTT-3.3.2-8].
    #[error("topic alias 0")]
    TopicAliasZero,
    /// A Response Topic that is no Topic Name [MQTT-3.3.2-14].
    #[error("response topic is not a topic name")]
    ResponseTopicInvalid,
    /// A PUBLISH from a Client with a Subscription Identifier [MQTT-3.3.4-6].
    #[error("PUBLISH from a client with a subscription identifier")]
    SubscriptionIdFromClient,
    /// A Subscription Identifier of 0. Sections 3.3.2.3.8 and 3.8.2.1.2.
    #[error("subscription identifier 0")]
    SubscriptionIdZero,
    /// A Receive Maximum of 0. Section 3.1.2.11.3.
    #[error("receive maximum 0")]
    ReceiveMaximumZero,
    /// A Maximum Packet Size of 0. Section 3.1.2.11.4.
    #[error("maximum packet size 0")]
    MaximumPacketSizeZero,
    /// A property that no packet has. Section 2.2.2.2.
    #[error("unknown property {id:#04x}")]
    PropertyUnknown {
        /// Its identifier.
        id: u8,
    },
    /// A property that this packet does not have. Section 2.2.2.2.
    #[error("property {id:#04x} not allowed here")]
    PropertyNotAllowed {
        /// Its identifier.
        id: u8,
    },
    /// A property that may stand once stands twice. Section 2.2.2.2.
    #[error("property {id:#04x} twice")]
    PropertyTwice {
        /// Its identifier.
        id: u8,
    },
    /// A property whose value is neither 0 nor 1 where only these mean something. Section 2.2.2.2.
    #[error("property {id:#04x} out of range")]
    PropertyOutOfRange {
        /// Its identifier.
        id: u8,
    },
    /// More User Properties than we allow. Section 2.2.2.2.
    #[error("too many user properties")]
    UserPropertiesTooMany,
    /// Authentication Data without an Authentication Method. Section 3.1.2.11.10.
    #[error("authentication data without a method")]
    AuthDataWithoutMethod,
    /// AUTH without an Authentication Method. Section 3.15.2.2.2.
    #[error("AUTH without an authentication method")]
    AuthMethodMissing,
    /// CONNECT with a protocol name that is not `MQTT` or `MQIsdp` [MQTT-3.1.2-1].
    #[error("unknown protocol name")]
    ProtocolName,
    /// CONNECT with a protocol level that we do not speak [MQTT-3.1.2-2]. Below 5 the answer is
    /// CONNACK with return code 1, from 5 CONNACK with reason code 0x84.
    #[error("unsupported protocol level {level}")]
    ProtocolLevel {
        /// The level.
        level: u8,
    },
    /// CONNECT with its reserved flag set [MQTT-3.1.2-3].
    #[error("CONNECT with its reserved flag set")]
    ConnectFlagReserved,
    /// CONNECT with a Will QoS but no Will [MQTT-3.1.2-11].
    #[error("will QoS without will")]
    WillQosWithoutWill,
    /// CONNECT with Will QoS 3 [MQTT-3.1.2-12].
    #[error("will QoS 3")]
    WillQosThree,
    /// CONNECT with Will Retain but no Will [MQTT-3.1.2-13].
    #[error("will retain without will")]
    WillRetainWithoutWill,
    /// CONNECT of 3.1 or 3.1.1 with a Password but no User Name [MQTT-3.1.2-22 of 3.1.1].
    #[error("password without user name")]
    PasswordWithoutUserName,
    /// A Client Identifier longer than we allow. Section 3.1.3.1.
    #[error("client identifier too long")]
    ClientIdTooLong,
    /// CONNACK with reserved acknowledge flags set [MQTT-3.2.2-1].
    #[error("CONNACK with reserved flags set")]
    ConnAckFlags,
    /// CONNACK that refuses and yet claims a session [MQTT-3.2.2-6].
    #[error("session present on a refusal")]
    SessionPresentOnRefusal,
    /// SUBSCRIBE [MQTT-3.8.3-2] or UNSUBSCRIBE [MQTT-3.10.3-2] without a Topic Filter, or an
    /// acknowledgement without a reason code.
    #[error("{kind} with an empty list")]
    ListEmpty {
        /// The packet.
        kind: PacketKind,
    },
    /// More Topic Filters in one packet than we allow. Section 3.8.3.
    #[error("{kind} with too many entries")]
    ListTooLong {
        /// The packet.
        kind: PacketKind,
    },
    /// Subscription Options with reserved bits set [MQTT-3.8.3-5].
    #[error("reserved subscription option bits set")]
    SubscribeOptionsReserved,
    /// Subscription Options with QoS 3. Section 3.8.3.1.
    #[error("subscription with QoS 3")]
    SubscribeQosThree,
    /// Subscription Options with Retain Handling 3. Section 3.8.3.1.
    #[error("subscription with retain handling 3")]
    RetainHandlingThree,
    /// No Local on a Shared Subscription [MQTT-3.8.3-4].
    #[error("no local on a shared subscription")]
    NoLocalOnShared,
    /// A reason or return code that this packet cannot carry.
    #[error("{kind} with reason code {code:#04x}")]
    ReasonNotAllowed {
        /// The packet.
        kind: PacketKind,
        /// The code.
        code: u8,
    },
}

impl Violation {
    /// The statement that is violated, or the section where no statement has a number.
    pub fn statement(self) -> &'static str {
        match self {
            Self::RemainingLengthTooLong | Self::IntegerTooLong => "section 1.5.5",
            Self::PacketTooLarge { .. } => "MQTT-3.2.2-15",
            Self::PacketTypeReserved | Self::UnexpectedPacket { .. } | Self::AuthBeforeV5 => "section 2.1.2",
            Self::HeaderFlags { kind, .. } => flags_statement(kind),
            Self::IntegerNotMinimal => "MQTT-1.5.5-1",
            Self::Truncated | Self::TrailingBytes => "section 1.2",
            Self::StringNotUtf8 => "MQTT-1.5.4-1",
            Self::StringHasNul => "MQTT-1.5.4-2",
            Self::PacketIdZero => "MQTT-2.2.1-3",
            Self::QosThree => "MQTT-3.3.1-4",
            Self::DupOnQosZero => "MQTT-3.3.1-2",
            Self::TopicEmpty => "MQTT-4.7.3-1",
            Self::TopicMissing => "section 3.3.2.1",
            Self::TopicHasWildcard => "MQTT-3.3.2-2",
            Self::TopicTooLong | Self::TopicTooDeep => "section 4.7.3",
            Self::TopicAliasZero => "MQTT-3.3.2-8",
            Self::ResponseTopicInvalid => "MQTT-3.3.2-14",
            Self::SubscriptionIdFromClient => "MQTT-3.3.4-6",
            Self::SubscriptionIdZero => "section 3.8.2.1.2",
            Self::ReceiveMaximumZero => "section 3.1.2.11.3",
            Self::MaximumPacketSizeZero => "section 3.1.2.11.4",
            Self::PropertyUnknown { .. }
            | Self::PropertyNotAllowed { .. }
            | Self::PropertyTwice { .. }
            | Self::PropertyOutOfRange { .. }
            | Self::UserPropertiesTooMany => "section 2.2.2.2",
            Self::AuthDataWithoutMethod => "section 3.1.2.11.10",
            Self::AuthMethodMissing => "section 3.15.2.2.2",
            Self::ProtocolName => "MQTT-3.1.2-1",
            Self::ProtocolLevel { .. } => "MQTT-3.1.2-2",
            Self::ConnectFlagReserved => "MQTT-3.1.2-3",
            Self::WillQosWithoutWill => "MQTT-3.1.2-11",
            Self::WillQosThree => "MQTT-3.1.2-12",
            Self::WillRetainWithoutWill => "MQTT-3.1.2-13",
            Self::PasswordWithoutUserName => "MQTT-3.1.2-22",
            Self::ClientIdTooLong => "section 3.1.3.1",
            Self::ConnAckFlags => "MQTT-3.2.2-1",
            Self::SessionPresentOnRefusal => "MQTT-3.2.2-6",
            Self::ListEmpty { kind: PacketKind::Unsubscribe } => "MQTT-3.10.3-2",
            Self::ListEmpty { .. } => "MQTT-3.8.3-2",
            Self::ListTooLong { .. } | Self::SubscribeQosThree | Self::RetainHandlingThree => "section 3.8.3",
            Self::SubscribeOptionsReserved => "MQTT-3.8.3-5",
            Self::NoLocalOnShared => "MQTT-3.8.3-4",
            Self::ReasonNotAllowed { kind, .. } => reason_statement(kind),
        }
    }

    /// The Reason Code with which a Server of 5.0 answers.
    pub fn reason(self) -> ReasonCode {
        match self {
            Self::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            Self::TopicEmpty | Self::TopicHasWildcard | Self::TopicTooLong | Self::TopicTooDeep => {
                ReasonCode::TopicNameInvalid
            }
            Self::TopicAliasZero => ReasonCode::TopicAliasInvalid,
            Self::ClientIdTooLong => ReasonCode::ClientIdentifierNotValid,
            Self::ProtocolName | Self::ProtocolLevel { .. } => ReasonCode::UnsupportedProtocolVersion,
            Self::UserPropertiesTooMany | Self::ListTooLong { .. } => ReasonCode::QuotaExceeded,
            Self::UnexpectedPacket { .. }
            | Self::AuthBeforeV5
            | Self::TopicMissing
            | Self::ResponseTopicInvalid
            | Self::SubscriptionIdFromClient
            | Self::SubscriptionIdZero
            | Self::ReceiveMaximumZero
            | Self::MaximumPacketSizeZero
            | Self::PropertyTwice { .. }
            | Self::PropertyOutOfRange { .. }
            | Self::AuthDataWithoutMethod
            | Self::AuthMethodMissing
            | Self::SessionPresentOnRefusal
            | Self::PacketIdZero
            | Self::ListEmpty { .. }
            | Self::SubscribeQosThree
            | Self::RetainHandlingThree
            | Self::NoLocalOnShared
            | Self::ReasonNotAllowed { .. } => ReasonCode::ProtocolError,
            _ => ReasonCode::MalformedPacket,
        }
    }
}

/// The statement that prescribes the header flags of `kind`.
fn flags_statement(kind: PacketKind) -> &'static str {
    match kind {
        PacketKind::PubRel => "MQTT-3.6.1-1",
        PacketKind::Subscribe => "MQTT-3.8.1-1",
        PacketKind::Unsubscribe => "MQTT-3.10.1-1",
        PacketKind::Disconnect => "MQTT-3.14.1-1",
        PacketKind::Auth => "MQTT-3.15.1-1",
        _ => "MQTT-2.1.3-1",
    }
}

/// The statement that lists the reason codes of `kind`.
fn reason_statement(kind: PacketKind) -> &'static str {
    match kind {
        PacketKind::ConnAck => "MQTT-3.2.2-8",
        PacketKind::PubAck => "MQTT-3.4.2-1",
        PacketKind::PubRec => "MQTT-3.5.2-1",
        PacketKind::PubRel => "MQTT-3.6.2-1",
        PacketKind::PubComp => "MQTT-3.7.2-1",
        PacketKind::SubAck => "MQTT-3.9.3-2",
        PacketKind::UnsubAck => "MQTT-3.11.3-2",
        PacketKind::Disconnect => "MQTT-3.14.2-1",
        PacketKind::Auth => "MQTT-3.15.2-1",
        _ => "section 2.4",
    }
}
