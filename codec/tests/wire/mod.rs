//! Reads bytes that were written by hand, with every limit wide open.
#![allow(dead_code, reason = "each test file takes what it needs")]

use holdfast_codec::{Limits, Packet, Side, Version, Violation, decode};

/// The packet that `bytes` are, to the last byte.
pub(crate) fn read(bytes: &[u8], version: Version, side: Side) -> Packet<'_> {
    let (packet, used) = decode(bytes, version, side, &Limits::WIDEST).expect("valid").expect("whole");
    assert_eq!(used, bytes.len());
    packet
}

/// What is wrong with `bytes`.
pub(crate) fn refused(bytes: &[u8], version: Version, side: Side) -> Violation {
    decode(bytes, version, side, &Limits::WIDEST).expect_err("must be refused")
}

/// The bytes of `packet`.
pub(crate) fn written(packet: &Packet<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(version, &mut out);
    out
}
