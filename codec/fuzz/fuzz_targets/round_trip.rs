//! What decodes is the same packet after its own encoding; the first byte chooses version and side.
#![no_main]

use holdfast_codec::{Limits, Packet, Side, Version, decode, publish_len};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let version = [Version::V3, Version::V4, Version::V5][usize::from(choice % 3)];
    let side = if choice & 0x80 == 0 { Side::Server } else { Side::Client };
    let limits = Limits::default();
    let Ok(Some((packet, _))) = decode(bytes, version, side, &limits) else { return };
    let mut out = Vec::new();
    packet.encode(version, &mut out);
    if let Packet::Publish(publish) = &packet {
        assert_eq!(publish_len(version, &publish.head(), publish.payload.len()), out.len());
    }
    assert_eq!(decode(&out, version, side, &limits), Ok(Some((packet, out.len()))));
});
