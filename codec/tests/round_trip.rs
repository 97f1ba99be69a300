//! What is encoded is decoded again, however the bytes are cut.

mod packets;

use holdfast_codec::{Limits, Packet, Side, Version, decode, frame, publish_len};
use packets::sent;
use proptest::prelude::*;

fn take(bytes: &[u8], version: Version, side: Side) -> Option<(Packet<'_>, usize)> {
    decode(bytes, version, side, &Limits::WIDEST).expect("what we encode is valid")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decode_of_encode_is_identity((packet, version, side) in sent()) {
        let mut out = Vec::new();
        packet.encode(version, &mut out);
        let (again, used) = take(&out, version, side).expect("whole");
        prop_assert_eq!(used, out.len());
        prop_assert_eq!(again, packet);
    }

    #[test]
    fn encode_appends_and_its_size_is_foretold((packet, version, _) in sent()) {
        let (mut alone, mut after) = (Vec::new(), vec![0xaa; 7]);
        packet.encode(version, &mut alone);
        packet.encode(version, &mut after);
        prop_assert_eq!(&after[7..], &alone[..]);
        let header = frame(&alone, &Limits::WIDEST).expect("valid").expect("whole");
        prop_assert_eq!(header.packet_bytes(), alone.len());
        prop_assert_eq!(header.kind, packet.kind());
        if let Packet::Publish(publish) = &packet {
            prop_assert_eq!(publish_len(version, &publish.head(), publish.payload.len()), alone.len());
        }
    }

    #[test]
    fn any_cut_gives_the_same_packets(packets in prop::collection::vec(sent(), 1..4), cut in any::<prop::sample::Index>()) {
        // Every packet gets its own connection's version and side; the bytes arrive in two pieces.
        for (packet, version, side) in packets {
            let mut out = Vec::new();
            packet.encode(version, &mut out);
            let whole = out.len();
            out.extend_from_within(..);
            let (first, used) = take(&out, version, side).expect("whole");
            prop_assert_eq!((&first, used), (&packet, whole));
            let at = cut.index(whole);
            prop_assert_eq!(take(&out[..at], version, side), None);
            let (second, used) = take(&out[whole..], version, side).expect("whole");
            prop_assert_eq!((&second, used), (&packet, whole));
        }
    }
}
