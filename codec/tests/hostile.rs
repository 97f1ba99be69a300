//! No bytes make the decoder panic, and none make it promise what it does not hold.

mod packets;

use holdfast_codec::{Limits, Side, Version, connect_version, decode};
use packets::sent;
use proptest::prelude::*;

/// Decodes `bytes` in every way there is. What is accepted must survive its own encoding.
fn survive(bytes: &[u8]) {
    let limits = Limits::WIDEST;
    let _ = connect_version(bytes, &limits);
    for version in [Version::V3, Version::V4, Version::V5] {
        for side in [Side::Server, Side::Client] {
            match decode(bytes, version, side, &limits) {
                Ok(Some((packet, used))) => {
                    assert!(used <= bytes.len() && used >= 2);
                    let mut out = Vec::new();
                    packet.encode(version, &mut out);
                    let again = decode(&out, version, side, &limits).expect("valid").expect("whole");
                    assert_eq!(again, (packet, out.len()));
                }
                Ok(None) => {}
                Err(violation) => {
                    assert!(!violation.statement().is_empty() && violation.reason().is_error());
                    assert!(!violation.to_string().is_empty());
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        survive(&bytes);
    }

    #[test]
    fn random_bodies_under_a_true_header_do_not_panic(
        first in any::<u8>(),
        body in prop::collection::vec(prop_oneof![0_u8..4, any::<u8>()], 0..100),
    ) {
        let len = u8::try_from(body.len()).expect("short");
        survive(&[&[first, len], &body[..]].concat());
    }

    #[test]
    fn mutated_packets_do_not_panic(
        (packet, version, _) in sent(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = Vec::new();
        packet.encode(version, &mut bytes);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        survive(&bytes);
        survive(&bytes[..cut.index(bytes.len())]);
    }
}
