//! CONNACK, byte by byte. MQTT 5.0, 3.2.

mod wire;

use holdfast_codec::{ConnAck, Packet, PacketKind, Qos, ReasonCode, Side, Version, Violation};
use wire::{read, refused, written};

fn connack(bytes: &[u8], version: Version) -> ConnAck<'_> {
    match read(bytes, version, Side::Client) {
        Packet::ConnAck(connack) => *connack,
        other => panic!("not a CONNACK: {other:?}"),
    }
}

#[test]
fn smallest_connack_of_each_version() {
    let accepted = Packet::ConnAck(Box::new(ConnAck::new(true, ReasonCode::Success)));
    assert_eq!(written(&accepted, Version::V3), [0x20, 0x02, 0x00, 0x00]);
    assert_eq!(written(&accepted, Version::V4), [0x20, 0x02, 0x01, 0x00]);
    assert_eq!(written(&accepted, Version::V5), [0x20, 0x03, 0x01, 0x00, 0x00]);
    assert_eq!(read(&[0x20, 0x02, 0x01, 0x00], Version::V4, Side::Client), accepted);
    assert_eq!(read(&[0x20, 0x03, 0x01, 0x00, 0x00], Version::V5, Side::Client), accepted);
}

#[test]
fn return_codes_of_3_1_1_map_both_ways() {
    let cases = [
        (ReasonCode::Success, 0),
        (ReasonCode::UnsupportedProtocolVersion, 1),
        (ReasonCode::ClientIdentifierNotValid, 2),
        (ReasonCode::ServerUnavailable, 3),
        (ReasonCode::BadUserNameOrPassword, 4),
        (ReasonCode::NotAuthorized, 5),
    ];
    for (reason, code) in cases {
        let bytes = [0x20, 0x02, 0x00, code];
        assert_eq!(connack(&bytes, Version::V4).reason, reason);
        assert_eq!(written(&Packet::ConnAck(Box::new(ConnAck::new(false, reason))), Version::V4), bytes);
    }
    let busy = Packet::ConnAck(Box::new(ConnAck::new(false, ReasonCode::ServerBusy)));
    assert_eq!(written(&busy, Version::V4), [0x20, 0x02, 0x00, 0x03]);
    let violation = Violation::ReasonNotAllowed { kind: PacketKind::ConnAck, code: 6 };
    assert_eq!(refused(&[0x20, 0x02, 0x00, 0x06], Version::V4, Side::Client), violation);
}

#[test]
fn all_properties_of_5_0() {
    let block: &[u8] = b"\
        \x11\x00\x00\x00\x3c\
        \x21\x00\x14\
        \x24\x01\
        \x25\x00\
        \x27\x00\x01\x00\x00\
        \x12\x00\x02id\
        \x22\x00\x05\
        \x1f\x00\x02ok\
        \x28\x00\
        \x29\x00\
        \x2a\x00\
        \x13\x00\x1e\
        \x1a\x00\x02ri\
        \x1c\x00\x02sr\
        \x15\x00\x01m\
        \x16\x00\x01d\
        \x26\x00\x01a\x00\x01b";
    let mut bytes = vec![0x20, u8::try_from(block.len() + 3).expect("short"), 0x00, 0x00];
    bytes.push(u8::try_from(block.len()).expect("short"));
    bytes.extend(block);
    let read = connack(&bytes, Version::V5);
    let properties = &read.properties;
    assert_eq!(properties.session_expiry, Some(60));
    assert_eq!(properties.receive_maximum.map(|n| n.get()), Some(20));
    assert_eq!(properties.maximum_qos, Qos::AtLeastOnce);
    assert!(!properties.retain_available && !properties.wildcard_available);
    assert!(!properties.subscription_ids_available && !properties.shared_available);
    assert_eq!(properties.maximum_packet_size.map(|n| n.get()), Some(65_536));
    assert_eq!((properties.assigned_client_id, properties.topic_alias_maximum), (Some("id"), 5));
    assert_eq!((properties.reason_string, properties.server_keep_alive), (Some("ok"), Some(30)));
    assert_eq!(properties.response_information, Some("ri"));
    assert_eq!(properties.server_reference, Some("sr"));
    assert_eq!((properties.auth_method, properties.auth_data), (Some("m"), Some(&b"d"[..])));
    assert_eq!(&*properties.user, b"\x26\x00\x01a\x00\x01b");
    assert_eq!(written(&Packet::ConnAck(Box::new(read)), Version::V5), bytes);
}

#[test]
fn mqtt_3_2_2_1_reserved_acknowledge_flags_are_refused() {
    assert_eq!(refused(&[0x20, 0x02, 0x02, 0x00], Version::V4, Side::Client), Violation::ConnAckFlags);
    assert_eq!(refused(&[0x20, 0x03, 0x80, 0x00, 0x00], Version::V5, Side::Client), Violation::ConnAckFlags);
}

#[test]
fn mqtt_3_2_2_6_refusal_has_no_session() {
    let violation = refused(&[0x20, 0x02, 0x01, 0x05], Version::V4, Side::Client);
    assert_eq!(violation, Violation::SessionPresentOnRefusal);
    assert_eq!(violation.statement(), "MQTT-3.2.2-6");
}

#[test]
fn mqtt_3_2_2_8_only_connect_reason_codes_are_allowed() {
    for code in [0x01, 0x04, 0x8b, 0x8e, 0x93, 0xa2, 0xff] {
        let violation = refused(&[0x20, 0x03, 0x00, code, 0x00], Version::V5, Side::Client);
        assert_eq!(violation, Violation::ReasonNotAllowed { kind: PacketKind::ConnAck, code });
        assert_eq!(violation.statement(), "MQTT-3.2.2-8");
    }
}

#[test]
fn broken_connacks_are_refused() {
    let refuse = |bytes: &[u8]| refused(bytes, Version::V5, Side::Client);
    assert_eq!(refuse(&[0x20, 0x02, 0x00, 0x00]), Violation::Truncated);
    assert_eq!(refuse(&[0x20, 0x04, 0x00, 0x00, 0x00, 0x00]), Violation::TrailingBytes);
    assert_eq!(
        refuse(&[0x20, 0x06, 0x00, 0x00, 0x03, 0x23, 0x00, 0x01]),
        Violation::PropertyNotAllowed { id: 0x23 }
    );
    assert_eq!(
        refuse(&[0x20, 0x05, 0x00, 0x00, 0x02, 0x24, 0x02]),
        Violation::PropertyOutOfRange { id: 0x24 }
    );
    let trailing = refused(&[0x20, 0x03, 0x00, 0x00, 0x00], Version::V4, Side::Client);
    assert_eq!(trailing, Violation::TrailingBytes);
}
