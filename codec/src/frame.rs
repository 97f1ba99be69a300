//! The fixed header: what comes, and how long it is.

use crate::kind::{PacketKind, Side};
use crate::limits::Limits;
use crate::version::Version;
use crate::violation::Violation;

/// The longest Remaining Length on the wire. Unit: bytes.
const LENGTH_BYTES_MAX: usize = 4;

/// A fixed header. MQTT 5.0, 2.1.
///
/// ```text
/// byte 1   type (bits 7-4), flags (bits 3-0)
/// byte 2.. Remaining Length, 1 to 4 bytes, seven bits each, low bits first
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The packet type.
    pub kind: PacketKind,
    /// The lower half of the first byte.
    pub flags: u8,
    /// The fixed header itself. Unit: bytes, 2..=5.
    pub header_bytes: usize,
    /// The Remaining Length. Unit: bytes.
    pub body_bytes: usize,
}

impl Frame {
    /// The whole packet. Unit: bytes.
    pub fn packet_bytes(&self) -> usize {
        self.header_bytes + self.body_bytes
    }

    /// Whether the Remaining Length takes no more bytes than it needs.
    pub(crate) fn is_minimal(&self) -> bool {
        self.header_bytes == 2 || self.body_bytes >> (7 * (self.header_bytes - 2)) != 0
    }

    /// Whether `side` may receive such a packet with such flags at all.
    pub(crate) fn check(&self, version: Version, side: Side) -> Result<(), Violation> {
        use PacketKind::{Auth, ConnAck, Connect, Disconnect, PingReq, PingResp, Publish};
        use PacketKind::{SubAck, Subscribe, UnsubAck, Unsubscribe};

        let kind = self.kind;
        if kind == Publish {
            return self.check_minimal(version);
        }
        let unexpected = match side {
            Side::Server => matches!(kind, ConnAck | SubAck | UnsubAck | PingResp),
            Side::Client => {
                matches!(kind, Connect | Subscribe | Unsubscribe | PingReq)
                    || (kind == Disconnect && version < Version::V5)
            }
        };
        if unexpected {
            return Err(Violation::UnexpectedPacket { kind });
        }
        if kind == Auth && version < Version::V5 {
            return Err(Violation::AuthBeforeV5);
        }
        // MQTT 3.1 calls the flags "not used" where 3.1.1 reserves them, and lets DUP mark a repeated
        // SUBSCRIBE, UNSUBSCRIBE or PUBREL. The version of a CONNECT is not yet known here.
        if version > Version::V3 && self.flags != kind.flags() {
            return Err(Violation::HeaderFlags { kind, flags: self.flags });
        }
        if kind == Connect { Ok(()) } else { self.check_minimal(version) }
    }

    fn check_minimal(&self, version: Version) -> Result<(), Violation> {
        if version == Version::V5 && !self.is_minimal() { Err(Violation::IntegerNotMinimal) } else { Ok(()) }
    }
}

/// Reads the fixed header at the front of `bytes`. `Ok(None)`: not whole yet.
///
/// A packet beyond `limits.packet_bytes_max` is refused here, before its body has come.
pub fn frame(bytes: &[u8], limits: &Limits) -> Result<Option<Frame>, Violation> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let kind = PacketKind::from_first_byte(first).ok_or(Violation::PacketTypeReserved)?;
    let mut body_bytes = 0_u32;
    for (at, &byte) in rest.iter().take(LENGTH_BYTES_MAX).enumerate() {
        body_bytes |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let header_bytes = at + 2;
            let packet_bytes = body_bytes + header_bytes as u32;
            if packet_bytes > limits.packet_bytes_max {
                return Err(Violation::PacketTooLarge { bytes: packet_bytes, max: limits.packet_bytes_max });
            }
            let body_bytes = body_bytes as usize;
            return Ok(Some(Frame { kind, flags: first & 0x0f, header_bytes, body_bytes }));
        }
    }
    if rest.len() >= LENGTH_BYTES_MAX { Err(Violation::RemainingLengthTooLong) } else { Ok(None) }
}
