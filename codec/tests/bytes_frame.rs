//! Fixed headers, PINGREQ and PINGRESP, byte by byte. MQTT 5.0, 2.1, 3.12 and 3.13.

mod wire;

use holdfast_codec::{Limits, Packet, PacketKind, ReasonCode, Side, Version, Violation, decode, frame};
use wire::{read, refused, written};

#[test]
fn pings_are_two_bytes_in_every_version() {
    for version in [Version::V3, Version::V4, Version::V5] {
        assert_eq!(read(&[0xc0, 0x00], version, Side::Server), Packet::PingReq);
        assert_eq!(read(&[0xd0, 0x00], version, Side::Client), Packet::PingResp);
        assert_eq!(written(&Packet::PingReq, version), [0xc0, 0x00]);
        assert_eq!(written(&Packet::PingResp, version), [0xd0, 0x00]);
    }
}

#[test]
fn ping_with_a_body_is_refused() {
    assert_eq!(refused(&[0xc0, 0x01, 0x00], Version::V4, Side::Server), Violation::TrailingBytes);
    assert_eq!(refused(&[0xd0, 0x01, 0x00], Version::V5, Side::Client), Violation::TrailingBytes);
}

#[test]
fn remaining_length_is_read_as_printed_in_the_specification() {
    let limits = Limits::WIDEST;
    let cases: [(&[u8], usize, usize); 9] = [
        (&[0x30, 0x00], 0, 2),
        (&[0x30, 0x7f], 127, 2),
        (&[0x30, 0x80, 0x01], 128, 3),
        (&[0x30, 0xff, 0x7f], 16_383, 3),
        (&[0x30, 0x80, 0x80, 0x01], 16_384, 4),
        (&[0x30, 0xff, 0xff, 0x7f], 2_097_151, 4),
        (&[0x30, 0x80, 0x80, 0x80, 0x01], 2_097_152, 5),
        (&[0x30, 0xff, 0xff, 0xff, 0x7f], 268_435_455, 5),
        (&[0x30, 0xc1, 0x02], 321, 3),
    ];
    for (bytes, body_bytes, header_bytes) in cases {
        let header = frame(bytes, &limits).expect("valid").expect("whole");
        assert_eq!((header.body_bytes, header.header_bytes), (body_bytes, header_bytes));
        assert_eq!(header.kind, PacketKind::Publish);
        for cut in 0..bytes.len() {
            assert_eq!(frame(&bytes[..cut], &limits), Ok(None));
        }
    }
}

#[test]
fn remaining_length_of_five_bytes_is_refused() {
    let bytes = [0x30, 0x80, 0x80, 0x80, 0x80];
    assert_eq!(frame(&bytes, &Limits::WIDEST), Err(Violation::RemainingLengthTooLong));
    assert_eq!(Violation::RemainingLengthTooLong.reason(), ReasonCode::MalformedPacket);
}

#[test]
fn mqtt_1_5_5_1_remaining_length_must_be_minimal_in_5_0() {
    assert_eq!(refused(&[0xc0, 0x80, 0x00], Version::V5, Side::Server), Violation::IntegerNotMinimal);
    assert_eq!(read(&[0xc0, 0x80, 0x00], Version::V4, Side::Server), Packet::PingReq);
    let publish = [0x30, 0x84, 0x00, 0x00, 0x01, b'a', 0x00];
    assert_eq!(refused(&publish, Version::V5, Side::Server), Violation::IntegerNotMinimal);
}

#[test]
fn mqtt_3_2_2_15_oversized_packet_is_refused_before_its_body_comes() {
    let limits = Limits { packet_bytes_max: 130, ..Limits::default() };
    assert!(frame(&[0x30, 0x7f], &limits).expect("129 bytes are allowed").is_some());
    let violation = Violation::PacketTooLarge { bytes: 131, max: 130 };
    assert_eq!(frame(&[0x30, 0x80, 0x01], &limits), Err(violation));
    assert_eq!(decode(&[0x30, 0x80, 0x01], Version::V4, Side::Server, &limits), Err(violation));
    assert_eq!((violation.statement(), violation.reason()), ("MQTT-3.2.2-15", ReasonCode::PacketTooLarge));
}

#[test]
fn packet_type_0_is_refused() {
    assert_eq!(refused(&[0x00, 0x00], Version::V5, Side::Server), Violation::PacketTypeReserved);
}

#[test]
fn mqtt_2_1_3_1_reserved_header_flags_are_refused() {
    let cases = [
        (0x11, PacketKind::Connect, "MQTT-2.1.3-1"),
        (0x42, PacketKind::PubAck, "MQTT-2.1.3-1"),
        (0x51, PacketKind::PubRec, "MQTT-2.1.3-1"),
        (0x60, PacketKind::PubRel, "MQTT-3.6.1-1"),
        (0x74, PacketKind::PubComp, "MQTT-2.1.3-1"),
        (0x80, PacketKind::Subscribe, "MQTT-3.8.1-1"),
        (0x83, PacketKind::Subscribe, "MQTT-3.8.1-1"),
        (0xa0, PacketKind::Unsubscribe, "MQTT-3.10.1-1"),
        (0xc1, PacketKind::PingReq, "MQTT-2.1.3-1"),
        (0xe8, PacketKind::Disconnect, "MQTT-3.14.1-1"),
        (0xf1, PacketKind::Auth, "MQTT-3.15.1-1"),
    ];
    for (first, kind, statement) in cases {
        let violation = refused(&[first, 0x00], Version::V5, Side::Server);
        assert_eq!(violation, Violation::HeaderFlags { kind, flags: first & 0x0f });
        assert_eq!(violation.statement(), statement);
        assert_eq!(violation.reason(), ReasonCode::MalformedPacket);
    }
    for first in [0x21, 0x98, 0xb2, 0xd1] {
        let violation = refused(&[first, 0x00], Version::V4, Side::Client);
        assert!(matches!(violation, Violation::HeaderFlags { .. }), "{first:#x}: {violation}");
    }
}

#[test]
fn mqtt_3_1_leaves_dup_to_pubrel_subscribe_and_unsubscribe() {
    assert!(matches!(read(&[0x6a, 0x02, 0x00, 0x01], Version::V3, Side::Server), Packet::PubRel(_)));
    let subscribe = [0x8a, 0x06, 0x00, 0x01, 0x00, 0x01, b'a', 0x00];
    assert!(matches!(read(&subscribe, Version::V3, Side::Server), Packet::Subscribe(_)));
    let unsubscribe = [0xaa, 0x05, 0x00, 0x01, 0x00, 0x01, b'a'];
    assert!(matches!(read(&unsubscribe, Version::V3, Side::Server), Packet::Unsubscribe(_)));
}

#[test]
fn packets_of_the_other_direction_are_refused() {
    for (first, kind) in [
        (0x20, PacketKind::ConnAck),
        (0x90, PacketKind::SubAck),
        (0xb0, PacketKind::UnsubAck),
        (0xd0, PacketKind::PingResp),
    ] {
        let violation = refused(&[first, 0x00], Version::V5, Side::Server);
        assert_eq!(violation, Violation::UnexpectedPacket { kind });
        assert_eq!(violation.reason(), ReasonCode::ProtocolError);
    }
    for (first, kind) in [
        (0x10, PacketKind::Connect),
        (0x82, PacketKind::Subscribe),
        (0xa2, PacketKind::Unsubscribe),
        (0xc0, PacketKind::PingReq),
    ] {
        let violation = refused(&[first, 0x00], Version::V5, Side::Client);
        assert_eq!(violation, Violation::UnexpectedPacket { kind });
    }
    let violation = refused(&[0xe0, 0x00], Version::V4, Side::Client);
    assert_eq!(violation, Violation::UnexpectedPacket { kind: PacketKind::Disconnect });
}

#[test]
fn two_packets_in_one_read_are_taken_one_by_one() {
    let bytes = [0xc0, 0x00, 0x40, 0x02, 0x12, 0x34, 0xc0];
    let limits = Limits::default();
    let (first, used) = decode(&bytes, Version::V4, Side::Server, &limits).expect("valid").expect("whole");
    assert_eq!((first, used), (Packet::PingReq, 2));
    let (second, used) =
        decode(&bytes[2..], Version::V4, Side::Server, &limits).expect("valid").expect("whole");
    assert_eq!(used, 4);
    assert!(matches!(second, Packet::PubAck(ack) if ack.packet_id.get() == 0x1234));
    assert_eq!(decode(&bytes[6..], Version::V4, Side::Server, &limits), Ok(None));
}
