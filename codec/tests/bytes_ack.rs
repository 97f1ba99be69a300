//! PUBACK, PUBREC, PUBREL and PUBCOMP, byte by byte. MQTT 5.0, 3.4 to 3.7.

mod wire;

use holdfast_codec::{
    Ack, AckKind, Packet, PacketId, PacketKind, ReasonCode, Side, Version, Violation, encode_ack,
};
use wire::{read, refused};

const KINDS: [(AckKind, u8, u8); 4] = [
    (AckKind::PubAck, 0x40, 0x87),
    (AckKind::PubRec, 0x50, 0x97),
    (AckKind::PubRel, 0x62, 0x92),
    (AckKind::PubComp, 0x70, 0x92),
];

fn ack<'a>(packet: Packet<'a>, kind: AckKind) -> Ack<'a> {
    assert_eq!(packet.kind(), kind.packet());
    match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => ack,
        other => panic!("not an acknowledgement: {other:?}"),
    }
}

fn id() -> PacketId {
    PacketId::new(0x1234).expect("not zero")
}

#[test]
fn two_bytes_say_success_in_every_version() {
    for (kind, first, _) in KINDS {
        let bytes = [first, 0x02, 0x12, 0x34];
        for version in [Version::V3, Version::V4, Version::V5] {
            for side in [Side::Server, Side::Client] {
                assert_eq!(ack(read(&bytes, version, side), kind), Ack::new(id(), ReasonCode::Success));
            }
            let mut out = Vec::new();
            encode_ack(&mut out, version, kind, id(), ReasonCode::Success);
            assert_eq!(out, bytes);
        }
    }
}

#[test]
fn three_bytes_say_a_reason_in_5_0() {
    for (kind, first, code) in KINDS {
        let bytes = [first, 0x03, 0x12, 0x34, code];
        let reason = ReasonCode::from_u8(code).expect("known");
        assert_eq!(ack(read(&bytes, Version::V5, Side::Server), kind), Ack::new(id(), reason));
        let mut out = Vec::new();
        encode_ack(&mut out, Version::V5, kind, id(), reason);
        assert_eq!(out, bytes);
        out.clear();
        encode_ack(&mut out, Version::V4, kind, id(), reason);
        assert_eq!(out, [first, 0x02, 0x12, 0x34]);
        assert_eq!(refused(&bytes, Version::V4, Side::Server), Violation::TrailingBytes);
    }
}

#[test]
fn properties_follow_the_reason() {
    for (kind, first, code) in KINDS {
        let block = b"\x0c\x1f\x00\x02no\x26\x00\x01a\x00\x01b";
        let bytes = [&[first, 0x10, 0x12, 0x34, code], &block[..]].concat();
        let read = ack(read(&bytes, Version::V5, Side::Client), kind);
        assert_eq!((read.reason_string, &*read.user), (Some("no"), &b"\x26\x00\x01a\x00\x01b"[..]));
        let mut out = Vec::new();
        read.encode(kind, Version::V5, &mut out);
        assert_eq!(out, bytes);
    }
}

#[test]
fn an_empty_property_block_is_allowed() {
    let bytes = [0x40, 0x04, 0x12, 0x34, 0x10, 0x00];
    let read = ack(read(&bytes, Version::V5, Side::Server), AckKind::PubAck);
    assert_eq!(read.reason, ReasonCode::NoMatchingSubscribers);
}

#[test]
fn packet_id_0_is_refused() {
    for (_, first, _) in KINDS {
        assert_eq!(refused(&[first, 0x02, 0x00, 0x00], Version::V4, Side::Server), Violation::PacketIdZero);
        assert_eq!(refused(&[first, 0x01, 0x00], Version::V4, Side::Server), Violation::Truncated);
        assert_eq!(refused(&[first, 0x00], Version::V5, Side::Server), Violation::Truncated);
    }
}

fn refuses_code(first: u8, kind: PacketKind, codes: &[u8], statement: &str) {
    for &code in codes {
        let violation = refused(&[first, 0x03, 0x12, 0x34, code], Version::V5, Side::Server);
        assert_eq!(violation, Violation::ReasonNotAllowed { kind, code });
        assert_eq!(violation.statement(), statement);
    }
}

#[test]
fn mqtt_3_4_2_1_puback_has_its_own_reason_codes() {
    refuses_code(0x40, PacketKind::PubAck, &[0x01, 0x81, 0x92, 0xfe], "MQTT-3.4.2-1");
}

#[test]
fn mqtt_3_5_2_1_pubrec_has_its_own_reason_codes() {
    refuses_code(0x50, PacketKind::PubRec, &[0x01, 0x11, 0x92, 0xfe], "MQTT-3.5.2-1");
}

#[test]
fn mqtt_3_6_2_1_pubrel_has_its_own_reason_codes() {
    refuses_code(0x62, PacketKind::PubRel, &[0x10, 0x80, 0x91], "MQTT-3.6.2-1");
}

#[test]
fn mqtt_3_7_2_1_pubcomp_has_its_own_reason_codes() {
    refuses_code(0x70, PacketKind::PubComp, &[0x10, 0x80, 0x91], "MQTT-3.7.2-1");
}

#[test]
fn properties_that_do_not_belong_are_refused() {
    let refuse = |bytes: &[u8]| refused(bytes, Version::V5, Side::Server);
    let alias = [0x40, 0x07, 0x12, 0x34, 0x00, 0x03, 0x23, 0x00, 0x01];
    assert_eq!(refuse(&alias), Violation::PropertyNotAllowed { id: 0x23 });
    let twice = [0x40, 0x0a, 0x12, 0x34, 0x00, 0x06, 0x1f, 0x00, 0x00, 0x1f, 0x00, 0x00];
    assert_eq!(refuse(&twice), Violation::PropertyTwice { id: 0x1f });
    assert_eq!(refuse(&[0x40, 0x05, 0x12, 0x34, 0x00, 0x00, 0x00]), Violation::TrailingBytes);
    assert_eq!(refuse(&[0x40, 0x04, 0x12, 0x34, 0x00, 0x01]), Violation::Truncated);
}
