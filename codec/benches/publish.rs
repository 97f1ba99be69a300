//! How long a 100-byte PUBLISH takes to decode and to encode.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use holdfast_codec::{
    Limits, PacketId, PublishHead, Qos, Side, Version, decode, encode_publish, publish_len,
};

const TOPIC: &str = "plant/7/line/3/temperature";

fn head() -> PublishHead<'static> {
    PublishHead {
        dup: false,
        qos: Qos::AtLeastOnce,
        retain: false,
        packet_id: PacketId::new(7),
        topic: TOPIC,
        alias: None,
        expiry: None,
        subscription_ids: &[],
        forward: &[],
    }
}

fn publish(criterion: &mut Criterion) {
    let limits = Limits::default();
    for version in [Version::V4, Version::V5] {
        let payload = vec![b'x'; 100 - publish_len(version, &head(), 0)];
        let mut packet = Vec::new();
        encode_publish(&mut packet, version, head(), &payload);
        assert_eq!(packet.len(), 100, "the benchmark is named for its packet");
        criterion.bench_function(&format!("decode {version:?}"), |bencher| {
            bencher.iter(|| {
                let decoded = decode(black_box(&packet), version, Side::Server, black_box(&limits));
                black_box(&decoded);
                decoded.is_ok()
            });
        });
        let mut out = Vec::with_capacity(128);
        criterion.bench_function(&format!("encode {version:?}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                encode_publish(&mut out, version, black_box(head()), black_box(&payload))
            });
        });
    }
}

criterion_group!(benches, publish);
criterion_main!(benches);
