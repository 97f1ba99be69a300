//! Any bytes, as a stream: the decoder never panics, never takes more than it was given, and says the
//! same of a packet whether or not more bytes follow it.
#![no_main]

use holdfast_codec::{Limits, Side, Version, connect_version, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| {
    let limits = Limits::default();
    let _ = connect_version(stream, &limits);
    for version in [Version::V3, Version::V4, Version::V5] {
        for side in [Side::Server, Side::Client] {
            let mut rest = stream;
            while let Ok(Some((packet, used))) = decode(rest, version, side, &limits) {
                assert!((2..=rest.len()).contains(&used));
                assert_eq!(decode(&rest[..used], version, side, &limits), Ok(Some((packet, used))));
                assert_eq!(decode(&rest[..used - 1], version, side, &limits), Ok(None));
                rest = &rest[used..];
            }
        }
    }
});
