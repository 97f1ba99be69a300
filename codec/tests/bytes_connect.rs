//! CONNECT, byte by byte. MQTT 5.0, 3.1.

mod wire;

use holdfast_codec::{
    Connect, Limits, Packet, Property, Qos, ReasonCode, Side, Version, Violation, connect_version, decode,
};
use wire::{read, refused, written};

fn connect(bytes: &[u8]) -> Connect<'_> {
    match read(bytes, Version::V5, Side::Server) {
        Packet::Connect(connect) => *connect,
        other => panic!("not a CONNECT: {other:?}"),
    }
}

fn wrong(bytes: &[u8]) -> Violation {
    refused(bytes, Version::V5, Side::Server)
}

/// A CONNECT with the given protocol, flags and everything after the Keep Alive of ten seconds.
fn with(protocol: &[u8], flags: u8, rest: &[u8]) -> Vec<u8> {
    let body = [protocol, &[flags, 0x00, 0x0a], rest].concat();
    let mut packet = vec![0x10, u8::try_from(body.len()).expect("short")];
    packet.extend(body);
    packet
}

const V3: &[u8] = b"\x00\x06MQIsdp\x03";
const V4: &[u8] = b"\x00\x04MQTT\x04";
const V5: &[u8] = b"\x00\x04MQTT\x05";

#[test]
fn smallest_connect_of_each_version() {
    let packet = with(V3, 0x02, b"\x00\x01c");
    assert_eq!(connect(&packet), Connect { keep_alive: 10, ..Connect::new(Version::V3, "c") });
    let packet = with(V4, 0x02, b"\x00\x01c");
    assert_eq!(connect(&packet), Connect { keep_alive: 10, ..Connect::new(Version::V4, "c") });
    let packet = with(V5, 0x02, b"\x00\x00\x01c");
    assert_eq!(connect(&packet), Connect { keep_alive: 10, ..Connect::new(Version::V5, "c") });
}

#[test]
fn full_connect_of_3_1_1() {
    let rest = b"\x00\x03cid\x00\x02wt\x00\x03bye\x00\x04user\x00\x02\x00\xff";
    let packet = with(V4, 0b1110_1110, rest);
    let read = connect(&packet);
    assert!(read.clean_start);
    assert_eq!((read.client_id, read.username, read.password), ("cid", Some("user"), Some(&[0, 0xff][..])));
    let will = read.will.clone().expect("there is a will");
    assert_eq!(
        (will.topic, will.payload, will.qos, will.retain),
        ("wt", &b"bye"[..], Qos::AtLeastOnce, true)
    );
    assert_eq!(written(&Packet::Connect(Box::new(read)), Version::V4), packet);
}

#[test]
fn full_connect_of_5_0() {
    let rest: &[u8] = b"\x31\
        \x11\x00\x00\x00\x3c\
        \x21\x00\x14\
        \x27\x00\x01\x00\x00\
        \x22\x00\x05\
        \x19\x01\
        \x17\x00\
        \x15\x00\x05PLAIN\
        \x16\x00\x02\x01\x02\
        \x26\x00\x01a\x00\x01b\
        \x26\x00\x02cc\x00\x02dd\
        \x00\x03cid\
        \x11\
        \x18\x00\x00\x00\x1e\
        \x02\x00\x00\x00\x3c\
        \x01\x01\
        \x03\x00\x02ct\
        \x00\x02wt\x00\x03bye\
        \x00\x04pass";
    let packet = with(V5, 0b0101_0100, rest);
    let read = connect(&packet);
    assert!(!read.clean_start);
    let properties = &read.properties;
    assert_eq!(properties.session_expiry, Some(60));
    assert_eq!(properties.receive_maximum.map(|n| n.get()), Some(20));
    assert_eq!(properties.maximum_packet_size.map(|n| n.get()), Some(65_536));
    assert_eq!(properties.topic_alias_maximum, 5);
    assert!(properties.request_response_information && !properties.request_problem_information);
    assert_eq!(properties.auth_method, Some("PLAIN"));
    assert_eq!(properties.auth_data, Some(&[1, 2][..]));
    let users: Vec<_> = properties.user.iter().collect();
    assert_eq!(users, [Property::UserProperty("a", "b"), Property::UserProperty("cc", "dd")]);
    assert_eq!((read.username, read.password), (None, Some(&b"pass"[..])));
    let will = read.will.clone().expect("there is a will");
    assert_eq!((will.delay, will.message_expiry, will.qos), (30, Some(60), Qos::ExactlyOnce));
    assert_eq!(&*will.forward, b"\x01\x01\x03\x00\x02ct");
    assert_eq!(written(&Packet::Connect(Box::new(read)), Version::V5), packet);
}

#[test]
fn mqtt_3_1_2_1_unknown_protocol_name_is_refused() {
    assert_eq!(wrong(&with(b"\x00\x04MQTX\x04", 0x02, b"\x00\x01c")), Violation::ProtocolName);
    assert_eq!(wrong(&with(b"\x00\x04mqtt\x04", 0x02, b"\x00\x01c")), Violation::ProtocolName);
    assert_eq!(Violation::ProtocolName.reason(), ReasonCode::UnsupportedProtocolVersion);
}

#[test]
fn mqtt_3_1_2_2_unsupported_level_is_named() {
    for (protocol, level) in [
        (&b"\x00\x04MQTT\x03"[..], 3),
        (b"\x00\x04MQTT\x06", 6),
        (b"\x00\x04MQTT\x84", 0x84),
        (b"\x00\x06MQIsdp\x04", 4),
    ] {
        let violation = wrong(&with(protocol, 0x02, b"\x00\x00\x01c"));
        assert_eq!(violation, Violation::ProtocolLevel { level });
        assert_eq!(violation.reason().connect_return_code(), 1);
        assert_eq!(violation.reason().get(), 0x84);
    }
}

#[test]
fn version_of_a_broken_connect_can_still_be_seen() {
    let limits = Limits::default();
    assert_eq!(connect_version(&with(V3, 0xff, b""), &limits), Some(Version::V3));
    assert_eq!(connect_version(&with(V4, 0xff, b""), &limits), Some(Version::V4));
    assert_eq!(connect_version(&with(V5, 0xff, b""), &limits), Some(Version::V5));
    assert_eq!(connect_version(&with(b"\x00\x04MQTT\x06", 0, b""), &limits), None);
    assert_eq!(connect_version(&[0xc0, 0x00], &limits), None);
    assert_eq!(connect_version(&[], &limits), None);
}

#[test]
fn mqtt_3_1_2_3_reserved_connect_flag_is_refused() {
    assert_eq!(wrong(&with(V4, 0x03, b"\x00\x01c")), Violation::ConnectFlagReserved);
    assert_eq!(wrong(&with(V5, 0x03, b"\x00\x00\x01c")), Violation::ConnectFlagReserved);
}

#[test]
fn mqtt_3_1_2_11_will_qos_without_will_is_refused() {
    assert_eq!(wrong(&with(V4, 0b0000_1010, b"\x00\x01c")), Violation::WillQosWithoutWill);
    assert_eq!(wrong(&with(V5, 0b0001_0010, b"\x00\x00\x01c")), Violation::WillQosWithoutWill);
}

#[test]
fn mqtt_3_1_2_12_will_qos_three_is_refused() {
    let rest = b"\x00\x01c\x00\x01w\x00\x00";
    assert_eq!(wrong(&with(V3, 0b0001_1110, rest)), Violation::WillQosThree);
    assert_eq!(wrong(&with(V4, 0b0001_1110, rest)), Violation::WillQosThree);
}

#[test]
fn mqtt_3_1_2_13_will_retain_without_will_is_refused() {
    assert_eq!(wrong(&with(V4, 0b0010_0010, b"\x00\x01c")), Violation::WillRetainWithoutWill);
}

#[test]
fn mqtt311_3_1_2_22_password_without_user_name_is_refused_before_5_0() {
    assert_eq!(wrong(&with(V4, 0x42, b"\x00\x01c\x00\x01p")), Violation::PasswordWithoutUserName);
    assert_eq!(wrong(&with(V3, 0x42, b"\x00\x01c\x00\x01p")), Violation::PasswordWithoutUserName);
    let packet = with(V5, 0x42, b"\x00\x00\x01c\x00\x01p");
    assert_eq!(connect(&packet).password, Some(&b"p"[..]));
}

#[test]
fn mqtt_3_1_lets_the_length_outrank_the_user_name_flag() {
    let packet = with(V3, 0b1100_0010, b"\x00\x01c");
    assert_eq!((connect(&packet).username, connect(&packet).password), (None, None));
    let packet = with(V3, 0b1100_0010, b"\x00\x01c\x00\x01u");
    assert_eq!((connect(&packet).username, connect(&packet).password), (Some("u"), None));
    assert_eq!(wrong(&with(V4, 0b1100_0010, b"\x00\x01c")), Violation::Truncated);
}

#[test]
fn mqtt_3_1_3_1_fields_must_be_there_and_nothing_else() {
    assert_eq!(wrong(&with(V4, 0x02, b"")), Violation::Truncated);
    assert_eq!(wrong(&with(V4, 0x02, b"\x00\x02c")), Violation::Truncated);
    assert_eq!(wrong(&with(V4, 0x06, b"\x00\x01c")), Violation::Truncated);
    assert_eq!(wrong(&with(V4, 0x02, b"\x00\x01cx")), Violation::TrailingBytes);
    assert_eq!(wrong(&[0x10, 0x00]), Violation::Truncated);
    assert_eq!(wrong(&with(V5, 0x02, b"\x05\x21\x00\x01")), Violation::Truncated);
}

#[test]
fn mqtt_3_1_3_4_client_id_must_be_utf_8() {
    assert_eq!(wrong(&with(V4, 0x02, b"\x00\x01\xff")), Violation::StringNotUtf8);
}

#[test]
fn mqtt_1_5_4_1_surrogates_are_refused() {
    assert_eq!(wrong(&with(V4, 0x02, b"\x00\x03\xed\xa0\x80")), Violation::StringNotUtf8);
    assert_eq!(wrong(&with(V5, 0x02, b"\x00\x00\x03\xed\xa0\x80")).reason(), ReasonCode::MalformedPacket);
}

#[test]
fn mqtt_1_5_4_2_nul_is_refused() {
    assert_eq!(wrong(&with(V4, 0x02, b"\x00\x02a\x00")), Violation::StringHasNul);
}

#[test]
fn mqtt_1_5_4_3_byte_order_mark_is_kept() {
    let packet = with(V4, 0x02, b"\x00\x04\xef\xbb\xbfa");
    assert_eq!(connect(&packet).client_id, "\u{feff}a");
}

#[test]
fn mqtt_3_1_3_11_will_topic_must_be_utf_8_and_a_topic_name() {
    assert_eq!(wrong(&with(V4, 0x06, b"\x00\x01c\x00\x01\xc0\x00\x00")), Violation::StringNotUtf8);
    assert_eq!(wrong(&with(V4, 0x06, b"\x00\x01c\x00\x01#\x00\x00")), Violation::TopicHasWildcard);
    assert_eq!(wrong(&with(V4, 0x06, b"\x00\x01c\x00\x00\x00\x00")), Violation::TopicEmpty);
}

#[test]
fn mqtt_3_1_3_12_user_name_must_be_utf_8() {
    assert_eq!(wrong(&with(V4, 0x82, b"\x00\x01c\x00\x01\x80")), Violation::StringNotUtf8);
}

#[test]
fn properties_out_of_range_are_refused() {
    let cases: [(&[u8], Violation); 8] = [
        (b"\x03\x21\x00\x00", Violation::ReceiveMaximumZero),
        (b"\x05\x27\x00\x00\x00\x00", Violation::MaximumPacketSizeZero),
        (b"\x02\x17\x02", Violation::PropertyOutOfRange { id: 0x17 }),
        (b"\x02\x19\xff", Violation::PropertyOutOfRange { id: 0x19 }),
        (b"\x06\x22\x00\x01\x22\x00\x01", Violation::PropertyTwice { id: 0x22 }),
        (b"\x03\x16\x00\x00", Violation::AuthDataWithoutMethod),
        (b"\x03\x23\x00\x01", Violation::PropertyNotAllowed { id: 0x23 }),
        (b"\x02\x7e\x00", Violation::PropertyUnknown { id: 0x7e }),
    ];
    for (block, violation) in cases {
        assert_eq!(wrong(&with(V5, 0x02, &[block, b"\x00\x01c"].concat())), violation);
    }
    assert_eq!(Violation::ReceiveMaximumZero.reason(), ReasonCode::ProtocolError);
    assert_eq!(Violation::PropertyTwice { id: 1 }.reason(), ReasonCode::ProtocolError);
    assert_eq!(Violation::PropertyUnknown { id: 1 }.reason(), ReasonCode::MalformedPacket);
}

#[test]
fn property_length_must_end_with_a_property() {
    assert_eq!(wrong(&with(V5, 0x02, b"\x02\x21\x00\x01\x00\x01c")), Violation::Truncated);
    assert_eq!(wrong(&with(V5, 0x02, b"\x80\x00\x00\x01c")), Violation::IntegerNotMinimal);
    assert_eq!(wrong(&with(V5, 0x02, b"\xff\xff\xff\xff\x01")), Violation::IntegerTooLong);
}

#[test]
fn will_has_its_own_properties() {
    let rest = b"\x00\x00\x01c\x03\x21\x00\x01\x00\x01w\x00\x00";
    assert_eq!(wrong(&with(V5, 0x06, rest)), Violation::PropertyNotAllowed { id: 0x21 });
    let rest = b"\x00\x00\x01c\x04\x08\x00\x01+\x00\x01w\x00\x00";
    assert_eq!(wrong(&with(V5, 0x06, rest)), Violation::ResponseTopicInvalid);
}

#[test]
fn mqtt311_3_1_3_7_empty_client_id_wants_a_clean_session() {
    assert!(connect(&with(V4, 0x02, b"\x00\x00")).client_id_acceptable());
    assert!(!connect(&with(V4, 0x00, b"\x00\x00")).client_id_acceptable());
    assert!(!connect(&with(V3, 0x02, b"\x00\x00")).client_id_acceptable());
    assert!(connect(&with(V5, 0x00, b"\x00\x00\x00")).client_id_acceptable());
}

#[test]
fn limits_are_kept() {
    let limits = Limits { client_id_bytes_max: 2, user_properties_max: 1, ..Limits::default() };
    let read = |packet: &[u8]| decode(packet, Version::V5, Side::Server, &limits).map(|_| ());
    assert_eq!(read(&with(V4, 0x02, b"\x00\x02ab")), Ok(()));
    assert_eq!(read(&with(V4, 0x02, b"\x00\x03abc")), Err(Violation::ClientIdTooLong));
    let one = b"\x05\x26\x00\x00\x00\x00\x00\x00";
    assert_eq!(read(&with(V5, 0x02, one)), Ok(()));
    let two = b"\x0a\x26\x00\x00\x00\x00\x26\x00\x00\x00\x00\x00\x00";
    assert_eq!(read(&with(V5, 0x02, two)), Err(Violation::UserPropertiesTooMany));
    assert_eq!(Violation::UserPropertiesTooMany.reason(), ReasonCode::QuotaExceeded);
}
