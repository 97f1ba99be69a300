//! Any packet.

use crate::ack::{Ack, AckKind};
use crate::auth::Auth;
use crate::connack::ConnAck;
use crate::connect::Connect;
use crate::disconnect::Disconnect;
use crate::kind::PacketKind;
use crate::publish::Publish;
use crate::suback::SubAck;
use crate::subscribe::Subscribe;
use crate::unsuback::UnsubAck;
use crate::unsubscribe::Unsubscribe;
use crate::version::Version;

/// A packet that borrows from the bytes it was decoded from. What is rare is boxed, so that what is
/// frequent stays small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// CONNECT.
    Connect(Box<Connect<'a>>),
    /// CONNACK.
    ConnAck(Box<ConnAck<'a>>),
    /// PUBLISH.
    Publish(Publish<'a>),
    /// PUBACK.
    PubAck(Ack<'a>),
    /// PUBREC.
    PubRec(Ack<'a>),
    /// PUBREL.
    PubRel(Ack<'a>),
    /// PUBCOMP.
    PubComp(Ack<'a>),
    /// SUBSCRIBE.
    Subscribe(Box<Subscribe<'a>>),
    /// SUBACK.
    SubAck(Box<SubAck<'a>>),
    /// UNSUBSCRIBE.
    Unsubscribe(Box<Unsubscribe<'a>>),
    /// UNSUBACK.
    UnsubAck(Box<UnsubAck<'a>>),
    /// PINGREQ.
    PingReq,
    /// PINGRESP.
    PingResp,
    /// DISCONNECT.
    Disconnect(Box<Disconnect<'a>>),
    /// AUTH.
    Auth(Box<Auth<'a>>),
}

impl Packet<'_> {
    /// The packet type.
    pub fn kind(&self) -> PacketKind {
        match self {
            Self::Connect(_) => PacketKind::Connect,
            Self::ConnAck(_) => PacketKind::ConnAck,
            Self::Publish(_) => PacketKind::Publish,
            Self::PubAck(_) => PacketKind::PubAck,
            Self::PubRec(_) => PacketKind::PubRec,
            Self::PubRel(_) => PacketKind::PubRel,
            Self::PubComp(_) => PacketKind::PubComp,
            Self::Subscribe(_) => PacketKind::Subscribe,
            Self::SubAck(_) => PacketKind::SubAck,
            Self::Unsubscribe(_) => PacketKind::Unsubscribe,
            Self::UnsubAck(_) => PacketKind::UnsubAck,
            Self::PingReq => PacketKind::PingReq,
            Self::PingResp => PacketKind::PingResp,
            Self::Disconnect(_) => PacketKind::Disconnect,
            Self::Auth(_) => PacketKind::Auth,
        }
    }

    /// Appends the packet in `version`; a CONNECT in its own. What the version cannot say is left out.
    ///
    /// Panics when a string is longer than 65_535 bytes or the packet longer than the protocol can say.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        match self {
            Self::Connect(packet) => packet.encode(out),
            Self::ConnAck(packet) => packet.encode(version, out),
            Self::Publish(packet) => packet.encode(version, out),
            Self::PubAck(packet) => packet.encode(AckKind::PubAck, version, out),
            Self::PubRec(packet) => packet.encode(AckKind::PubRec, version, out),
            Self::PubRel(packet) => packet.encode(AckKind::PubRel, version, out),
            Self::PubComp(packet) => packet.encode(AckKind::PubComp, version, out),
            Self::Subscribe(packet) => packet.encode(version, out),
            Self::SubAck(packet) => packet.encode(version, out),
            Self::Unsubscribe(packet) => packet.encode(version, out),
            Self::UnsubAck(packet) => packet.encode(version, out),
            Self::PingReq => out.extend_from_slice(&[PacketKind::PingReq.first_byte(), 0]),
            Self::PingResp => out.extend_from_slice(&[PacketKind::PingResp.first_byte(), 0]),
            Self::Disconnect(packet) => packet.encode(version, out),
            Self::Auth(packet) => packet.encode(out),
        }
    }
}
