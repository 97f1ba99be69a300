//! UNSUBSCRIBE and UNSUBACK, byte by byte. MQTT 5.0, 3.10 and 3.11.

mod wire;

use holdfast_codec::{
    Limits, Packet, PacketId, PacketKind, ReasonCode, Side, UnsubAck, Version, Violation, decode,
};
use wire::{read, refused, written};

#[test]
fn unsubscribe_of_each_version() {
    let bytes = b"\xa2\x0b\x00\x0a\x00\x03a/b\x00\x02#x";
    for version in [Version::V3, Version::V4] {
        let packet = read(bytes, version, Side::Server);
        let Packet::Unsubscribe(unsubscribe) = &packet else { panic!("not an UNSUBSCRIBE") };
        assert_eq!((unsubscribe.packet_id.get(), &unsubscribe.filters[..]), (10, &["a/b", "#x"][..]));
        assert_eq!(written(&packet, version), bytes);
    }
    let bytes = b"\xa2\x0d\x00\x0a\x07\x26\x00\x01a\x00\x01b\x00\x01t";
    let packet = read(bytes, Version::V5, Side::Server);
    let Packet::Unsubscribe(unsubscribe) = &packet else { panic!("not an UNSUBSCRIBE") };
    assert_eq!((&*unsubscribe.user, &unsubscribe.filters[..]), (&b"\x26\x00\x01a\x00\x01b"[..], &["t"][..]));
    assert_eq!(written(&packet, Version::V5), bytes);
}

#[test]
fn mqtt_3_10_1_1_header_flags_must_be_0010() {
    let violation = refused(b"\xa0\x05\x00\x0a\x00\x01a", Version::V4, Side::Server);
    assert_eq!(violation, Violation::HeaderFlags { kind: PacketKind::Unsubscribe, flags: 0 });
    assert_eq!(violation.statement(), "MQTT-3.10.1-1");
}

#[test]
fn mqtt_3_10_3_1_filter_must_be_utf_8() {
    let violation = refused(b"\xa2\x05\x00\x0a\x00\x01\xff", Version::V4, Side::Server);
    assert_eq!(violation, Violation::StringNotUtf8);
}

#[test]
fn mqtt_3_10_3_2_empty_list_is_refused() {
    let violation = refused(b"\xa2\x02\x00\x0a", Version::V4, Side::Server);
    assert_eq!(violation, Violation::ListEmpty { kind: PacketKind::Unsubscribe });
    assert_eq!(violation.statement(), "MQTT-3.10.3-2");
    assert_eq!(refused(b"\xa2\x03\x00\x0a\x00", Version::V5, Side::Server), violation);
}

#[test]
fn broken_unsubscribes_are_refused() {
    let refuse = |bytes: &[u8]| refused(bytes, Version::V5, Side::Server);
    assert_eq!(refuse(b"\xa2\x06\x00\x00\x00\x00\x01a"), Violation::PacketIdZero);
    assert_eq!(refuse(b"\xa2\x05\x00\x0a\x00\x00\x01"), Violation::Truncated);
    assert_eq!(refuse(b"\xa2\x05\x00\x0a\x02\x0b\x01"), Violation::PropertyNotAllowed { id: 0x0b });
    let limits = Limits { filters_max: 1, ..Limits::default() };
    let two = b"\xa2\x09\x00\x0a\x00\x00\x01a\x00\x01b";
    let violation = decode(two, Version::V5, Side::Server, &limits).expect_err("one too many");
    assert_eq!(violation, Violation::ListTooLong { kind: PacketKind::Unsubscribe });
}

#[test]
fn unsuback_of_each_version() {
    let id = PacketId::new(10).expect("not zero");
    let none = Packet::UnsubAck(Box::new(UnsubAck::new(id, Vec::new())));
    assert_eq!(read(b"\xb0\x02\x00\x0a", Version::V4, Side::Client), none);
    let reasons = vec![ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
    let unsuback = Packet::UnsubAck(Box::new(UnsubAck::new(id, reasons)));
    assert_eq!(written(&unsuback, Version::V3), b"\xb0\x02\x00\x0a");
    assert_eq!(written(&unsuback, Version::V5), b"\xb0\x05\x00\x0a\x00\x00\x11");
    assert_eq!(read(b"\xb0\x05\x00\x0a\x00\x00\x11", Version::V5, Side::Client), unsuback);
}

#[test]
fn mqtt_3_11_3_2_unsuback_has_its_own_reason_codes() {
    for code in [0x01, 0x10, 0x97] {
        let violation = refused(&[0xb0, 0x04, 0x00, 0x0a, 0x00, code], Version::V5, Side::Client);
        assert_eq!(violation, Violation::ReasonNotAllowed { kind: PacketKind::UnsubAck, code });
        assert_eq!(violation.statement(), "MQTT-3.11.3-2");
    }
    let violation = refused(b"\xb0\x03\x00\x0a\x00", Version::V5, Side::Client);
    assert_eq!(violation, Violation::ListEmpty { kind: PacketKind::UnsubAck });
    assert_eq!(refused(b"\xb0\x03\x00\x0a\x00", Version::V4, Side::Client), Violation::TrailingBytes);
}
