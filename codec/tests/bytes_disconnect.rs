//! DISCONNECT, byte by byte. MQTT 5.0, 3.14.

mod wire;

use holdfast_codec::{Disconnect, Packet, PacketKind, ReasonCode, Side, Version, Violation};
use wire::{read, refused, written};

fn plain(reason: ReasonCode) -> Packet<'static> {
    Packet::Disconnect(Box::new(Disconnect::new(reason)))
}

#[test]
fn nothing_says_normal_disconnection() {
    for version in [Version::V3, Version::V4, Version::V5] {
        let normal = plain(ReasonCode::NORMAL_DISCONNECTION);
        assert_eq!(read(&[0xe0, 0x00], version, Side::Server), normal);
        assert_eq!(written(&normal, version), [0xe0, 0x00]);
    }
}

#[test]
fn one_byte_says_a_reason_in_5_0() {
    let will = plain(ReasonCode::DisconnectWithWill);
    assert_eq!(read(&[0xe0, 0x01, 0x04], Version::V5, Side::Server), will);
    assert_eq!(written(&will, Version::V5), [0xe0, 0x01, 0x04]);
    assert_eq!(refused(&[0xe0, 0x01, 0x04], Version::V4, Side::Server), Violation::TrailingBytes);
    let taken = plain(ReasonCode::SessionTakenOver);
    assert_eq!(read(&[0xe0, 0x02, 0x8e, 0x00], Version::V5, Side::Client), taken);
}

#[test]
fn properties_of_a_client() {
    let bytes = b"\xe0\x10\x00\x0e\x11\x00\x00\x00\x3c\x1f\x00\x06thanks";
    let packet = read(bytes, Version::V5, Side::Server);
    let Packet::Disconnect(disconnect) = &packet else { panic!("not a DISCONNECT") };
    assert_eq!((disconnect.session_expiry, disconnect.reason_string), (Some(60), Some("thanks")));
    assert_eq!(written(&packet, Version::V5), bytes);
}

#[test]
fn properties_of_a_server() {
    let bytes = b"\xe0\x0e\x9d\x0c\x1c\x00\x02sr\x26\x00\x01a\x00\x01b";
    let packet = read(bytes, Version::V5, Side::Client);
    let Packet::Disconnect(disconnect) = &packet else { panic!("not a DISCONNECT") };
    assert_eq!((disconnect.reason, disconnect.server_reference), (ReasonCode::ServerMoved, Some("sr")));
    assert_eq!(&*disconnect.user, b"\x26\x00\x01a\x00\x01b");
    assert_eq!(written(&packet, Version::V5), bytes);
}

#[test]
fn mqtt_3_14_1_1_reserved_header_flags_are_refused() {
    let violation = refused(&[0xe1, 0x00], Version::V4, Side::Server);
    assert_eq!(violation, Violation::HeaderFlags { kind: PacketKind::Disconnect, flags: 1 });
}

#[test]
fn mqtt_3_14_2_1_each_side_has_its_own_reason_codes() {
    for (code, side) in [
        (0x01, Side::Server),
        (0x87, Side::Server),
        (0x8b, Side::Server),
        (0x8e, Side::Server),
        (0x9d, Side::Server),
        (0x04, Side::Client),
        (0x84, Side::Client),
        (0xa3, Side::Client),
    ] {
        let violation = refused(&[0xe0, 0x01, code], Version::V5, side);
        assert_eq!(violation, Violation::ReasonNotAllowed { kind: PacketKind::Disconnect, code });
        assert_eq!(violation.statement(), "MQTT-3.14.2-1");
    }
}

#[test]
fn mqtt_3_14_2_2_session_expiry_comes_only_from_a_client() {
    let bytes = b"\xe0\x07\x00\x05\x11\x00\x00\x00\x3c";
    assert_eq!(refused(bytes, Version::V5, Side::Client), Violation::PropertyNotAllowed { id: 0x11 });
    let bytes = b"\xe0\x06\x00\x04\x1c\x00\x01s";
    assert_eq!(refused(bytes, Version::V5, Side::Server), Violation::PropertyNotAllowed { id: 0x1c });
}

#[test]
fn broken_disconnects_are_refused() {
    let refuse = |bytes: &[u8]| refused(bytes, Version::V5, Side::Server);
    assert_eq!(refuse(&[0xe0, 0x03, 0x00, 0x00, 0x00]), Violation::TrailingBytes);
    assert_eq!(refuse(&[0xe0, 0x02, 0x00, 0x01]), Violation::Truncated);
}
