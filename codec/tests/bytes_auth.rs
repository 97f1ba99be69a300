//! AUTH, byte by byte. MQTT 5.0, 3.15.

mod wire;

use holdfast_codec::{Auth, Packet, PacketKind, ReasonCode, Side, Version, Violation};
use wire::{read, refused, written};

#[test]
fn nothing_says_success() {
    let success = Packet::Auth(Box::new(Auth::default()));
    assert_eq!(read(&[0xf0, 0x00], Version::V5, Side::Client), success);
    assert_eq!(written(&success, Version::V5), [0xf0, 0x00]);
}

#[test]
fn method_and_what_it_says() {
    let bytes = b"\xf0\x18\x18\x16\x15\x00\x05SCRAM\x16\x00\x02\x01\x02\x1f\x00\x00\x26\x00\x00\x00\x01b";
    for side in [Side::Server, Side::Client] {
        let packet = read(bytes, Version::V5, side);
        let Packet::Auth(auth) = &packet else { panic!("not an AUTH") };
        assert_eq!(auth.reason, ReasonCode::ContinueAuthentication);
        assert_eq!((auth.auth_method, auth.auth_data), (Some("SCRAM"), Some(&[1, 2][..])));
        assert_eq!((auth.reason_string, &*auth.user), (Some(""), &b"\x26\x00\x00\x00\x01b"[..]));
        assert_eq!(written(&packet, Version::V5), bytes);
    }
}

#[test]
fn auth_exists_only_in_5_0() {
    for version in [Version::V3, Version::V4] {
        assert_eq!(refused(&[0xf0, 0x00], version, Side::Server), Violation::AuthBeforeV5);
        assert_eq!(refused(&[0xf0, 0x00], version, Side::Client), Violation::AuthBeforeV5);
    }
}

#[test]
fn mqtt_3_15_1_1_reserved_header_flags_are_refused() {
    let violation = refused(&[0xf2, 0x00], Version::V5, Side::Client);
    assert_eq!(violation, Violation::HeaderFlags { kind: PacketKind::Auth, flags: 2 });
}

#[test]
fn mqtt_3_15_2_1_each_side_has_its_own_reason_codes() {
    for (code, side) in
        [(0x00, Side::Server), (0x87, Side::Server), (0x19, Side::Client), (0x8c, Side::Client)]
    {
        let violation = refused(&[0xf0, 0x02, code, 0x00], Version::V5, side);
        assert_eq!(violation, Violation::ReasonNotAllowed { kind: PacketKind::Auth, code });
        assert_eq!(violation.statement(), "MQTT-3.15.2-1");
    }
    let violation = refused(&[0xf0, 0x00], Version::V5, Side::Server);
    assert_eq!(violation, Violation::ReasonNotAllowed { kind: PacketKind::Auth, code: 0 });
}

#[test]
fn broken_auths_are_refused() {
    let refuse = |bytes: &[u8]| refused(bytes, Version::V5, Side::Server);
    assert_eq!(refuse(&[0xf0, 0x02, 0x18, 0x00]), Violation::AuthMethodMissing);
    assert_eq!(
        refuse(&[0xf0, 0x05, 0x18, 0x03, 0x21, 0x00, 0x01]),
        Violation::PropertyNotAllowed { id: 0x21 }
    );
    assert_eq!(refuse(b"\xf0\x07\x18\x04\x15\x00\x01mx"), Violation::TrailingBytes);
}
