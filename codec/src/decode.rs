//! Bytes to packets.

use crate::ack::{Ack, AckKind};
use crate::auth::Auth;
use crate::connack::ConnAck;
use crate::connect::Connect;
use crate::disconnect::Disconnect;
use crate::frame::{Frame, frame};
use crate::kind::{PacketKind, Side};
use crate::limits::Limits;
use crate::packet::Packet;
use crate::publish::Publish;
use crate::read::Reader;
use crate::suback::SubAck;
use crate::subscribe::Subscribe;
use crate::unsuback::UnsubAck;
use crate::unsubscribe::Unsubscribe;
use crate::version::Version;
use crate::violation::Violation;

/// Looks at the front of `bytes`. `Ok(None)`: no packet is whole yet. Otherwise the first packet, which
/// borrows from `bytes`, and how many bytes it took.
///
/// `version` is that of the CONNECT; to read the CONNECT itself any will do. `side` says who we are.
/// What the header alone gives away is refused before the rest has come.
#[inline]
pub fn decode<'a>(
    bytes: &'a [u8],
    version: Version,
    side: Side,
    limits: &Limits,
) -> Result<Option<(Packet<'a>, usize)>, Violation> {
    let Some(frame) = frame(bytes, limits)? else { return Ok(None) };
    frame.check(version, side)?;
    let used = frame.packet_bytes();
    let Some(body) = bytes.get(frame.header_bytes..used) else { return Ok(None) };
    let reader = Reader { rest: body, version, side, limits: *limits };
    Ok(Some((decode_body(frame, reader)?, used)))
}

#[inline]
fn decode_body(frame: Frame, reader: Reader<'_>) -> Result<Packet<'_>, Violation> {
    Ok(match frame.kind {
        PacketKind::Publish => Packet::Publish(Publish::decode(frame.flags, reader)?),
        PacketKind::PubAck => Packet::PubAck(Ack::decode(AckKind::PubAck, reader)?),
        PacketKind::PubRec => Packet::PubRec(Ack::decode(AckKind::PubRec, reader)?),
        PacketKind::PubRel => Packet::PubRel(Ack::decode(AckKind::PubRel, reader)?),
        PacketKind::PubComp => Packet::PubComp(Ack::decode(AckKind::PubComp, reader)?),
        PacketKind::PingReq => {
            reader.end()?;
            Packet::PingReq
        }
        PacketKind::PingResp => {
            reader.end()?;
            Packet::PingResp
        }
        PacketKind::Connect => {
            let connect = Connect::decode(reader)?;
            if connect.version == Version::V5 && !frame.is_minimal() {
                return Err(Violation::IntegerNotMinimal);
            }
            Packet::Connect(Box::new(connect))
        }
        PacketKind::ConnAck => Packet::ConnAck(Box::new(ConnAck::decode(reader)?)),
        PacketKind::Subscribe => Packet::Subscribe(Box::new(Subscribe::decode(reader)?)),
        PacketKind::SubAck => Packet::SubAck(Box::new(SubAck::decode(reader)?)),
        PacketKind::Unsubscribe => Packet::Unsubscribe(Box::new(Unsubscribe::decode(reader)?)),
        PacketKind::UnsubAck => Packet::UnsubAck(Box::new(UnsubAck::decode(reader)?)),
        PacketKind::Disconnect => Packet::Disconnect(Box::new(Disconnect::decode(reader)?)),
        PacketKind::Auth => Packet::Auth(Box::new(Auth::decode(reader)?)),
    })
}
