//! The fifteen packet types and who may send them.

use std::fmt;

/// Who decodes, and so who has sent what is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// We are the Server: what comes was sent by a Client.
    Server,
    /// We are the Client: what comes was sent by a Server.
    Client,
}

/// A packet type, numbered as in the first byte of its fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PacketKind {
    /// CONNECT, from the Client.
    Connect = 1,
    /// CONNACK, from the Server.
    ConnAck = 2,
    /// PUBLISH, from either.
    Publish = 3,
    /// PUBACK, from either.
    PubAck = 4,
    /// PUBREC, from either.
    PubRec = 5,
    /// PUBREL, from either.
    PubRel = 6,
    /// PUBCOMP, from either.
    PubComp = 7,
    /// SUBSCRIBE, from the Client.
    Subscribe = 8,
    /// SUBACK, from the Server.
    SubAck = 9,
    /// UNSUBSCRIBE, from the Client.
    Unsubscribe = 10,
    /// UNSUBACK, from the Server.
    UnsubAck = 11,
    /// PINGREQ, from the Client.
    PingReq = 12,
    /// PINGRESP, from the Server.
    PingResp = 13,
    /// DISCONNECT, from the Client; in 5.0 from either.
    Disconnect = 14,
    /// AUTH, from either, only in 5.0.
    Auth = 15,
}

impl PacketKind {
    /// The type that the upper half of `first`, the first byte of a packet, names. `None` for 0.
    pub fn from_first_byte(first: u8) -> Option<Self> {
        Some(match first >> 4 {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The flags that the lower half of the first byte must hold. For PUBLISH, where they carry
    /// meaning, all clear.
    pub fn flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    /// The first byte of a packet of this type; PUBLISH adds its own flags.
    pub(crate) fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.flags()
    }

    /// The name as printed in the specification.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }
}

impl fmt::Display for PacketKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
