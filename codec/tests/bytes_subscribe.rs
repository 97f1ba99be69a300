//! SUBSCRIBE and SUBACK, byte by byte. MQTT 5.0, 3.8 and 3.9.

mod wire;

use holdfast_codec::{
    Limits, Packet, PacketId, PacketKind, Qos, ReasonCode, RetainHandling, Side, SubAck, Subscribe,
    SubscribeOptions, TopicFilter, Version, Violation, decode,
};
use wire::{read, refused, written};

fn subscribe(bytes: &[u8], version: Version) -> Subscribe<'_> {
    match read(bytes, version, Side::Server) {
        Packet::Subscribe(subscribe) => *subscribe,
        other => panic!("not a SUBSCRIBE: {other:?}"),
    }
}

fn wrong(bytes: &[u8], version: Version) -> Violation {
    refused(bytes, version, Side::Server)
}

fn filter(text: &str) -> TopicFilter<'_> {
    TopicFilter::parse(text, &Limits::WIDEST).expect("valid")
}

/// A SUBSCRIBE of 5.0 with packet identifier 10, no properties and the given payload.
fn with(payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).expect("short");
    [&[0x82, len + 3, 0x00, 0x0a, 0x00], payload].concat()
}

#[test]
fn two_filters_of_3_1_1() {
    let bytes = b"\x82\x0e\x00\x0a\x00\x03a/b\x01\x00\x03c/+\x02";
    for version in [Version::V3, Version::V4] {
        let read = subscribe(bytes, version);
        let wanted = [
            (Ok(filter("a/b")), SubscribeOptions::new(Qos::AtLeastOnce)),
            (Ok(filter("c/+")), SubscribeOptions::new(Qos::ExactlyOnce)),
        ];
        assert_eq!(read.filters, wanted);
        assert_eq!((read.packet_id.get(), read.subscription_id), (10, None));
        assert_eq!(written(&Packet::Subscribe(Box::new(read)), version), bytes);
    }
}

#[test]
fn options_and_properties_of_5_0() {
    let bytes = b"\x82\x11\x00\x0a\x0a\x0b\x80\x01\x26\x00\x01a\x00\x01b\x00\x01#\x2e";
    let read = subscribe(bytes, Version::V5);
    assert_eq!(read.subscription_id, Some(128));
    assert_eq!(&*read.user, b"\x26\x00\x01a\x00\x01b");
    let options = SubscribeOptions {
        qos: Qos::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    assert_eq!(read.filters, [(Ok(filter("#")), options)]);
    assert_eq!(written(&Packet::Subscribe(Box::new(read)), Version::V5), bytes);
}

#[test]
fn options_round_trip_through_their_byte() {
    let valid: Vec<u8> = (0..=255).filter(|&bits| SubscribeOptions::from_u8(bits).is_ok()).collect();
    assert_eq!(valid.len(), 3 * 2 * 2 * 3);
    for bits in valid {
        assert_eq!(SubscribeOptions::from_u8(bits).map(SubscribeOptions::to_u8), Ok(bits));
    }
}

#[test]
fn mqtt_3_8_1_1_header_flags_must_be_0010() {
    let violation = wrong(b"\x80\x06\x00\x0a\x00\x01a\x00", Version::V4);
    assert_eq!(violation, Violation::HeaderFlags { kind: PacketKind::Subscribe, flags: 0 });
}

#[test]
fn mqtt_3_8_3_1_filter_must_be_utf_8() {
    assert_eq!(wrong(&with(b"\x00\x01\xff\x00"), Version::V5), Violation::StringNotUtf8);
    assert_eq!(wrong(&with(b"\x00\x01\x00\x00"), Version::V5), Violation::StringHasNul);
}

#[test]
fn mqtt_3_8_3_2_empty_list_is_refused() {
    let violation = wrong(&with(b""), Version::V5);
    assert_eq!(violation, Violation::ListEmpty { kind: PacketKind::Subscribe });
    assert_eq!((violation.statement(), violation.reason()), ("MQTT-3.8.3-2", ReasonCode::ProtocolError));
    assert_eq!(wrong(&[0x82, 0x02, 0x00, 0x0a], Version::V4), violation);
}

#[test]
fn mqtt_3_8_3_4_no_local_on_a_shared_subscription_is_refused() {
    let violation = wrong(&with(b"\x00\x0a$share/g/t\x04"), Version::V5);
    assert_eq!((violation, violation.reason()), (Violation::NoLocalOnShared, ReasonCode::ProtocolError));
    let bytes = with(b"\x00\x0a$share/g/t\x00");
    let read = subscribe(&bytes, Version::V5);
    assert_eq!(read.filters[0].0.map(|filter| filter.share()), Ok(Some(("g", "t"))));
}

#[test]
fn mqtt_3_8_3_5_reserved_option_bits_are_refused() {
    for bits in [0x40, 0x80, 0xc1] {
        let violation = wrong(&with(&[0x00, 0x01, b'a', bits]), Version::V5);
        assert_eq!((violation, violation.statement()), (Violation::SubscribeOptionsReserved, "MQTT-3.8.3-5"));
    }
    for bits in [0x04, 0x10, 0x80] {
        let violation = wrong(&[0x82, 0x06, 0x00, 0x0a, 0x00, 0x01, b'a', bits], Version::V4);
        assert_eq!(violation, Violation::SubscribeOptionsReserved);
    }
}

#[test]
fn values_of_three_are_refused() {
    assert_eq!(wrong(&with(b"\x00\x01a\x03"), Version::V5), Violation::SubscribeQosThree);
    assert_eq!(wrong(&with(b"\x00\x01a\x30"), Version::V5), Violation::RetainHandlingThree);
    assert_eq!(wrong(b"\x82\x06\x00\x0a\x00\x01a\x03", Version::V3), Violation::SubscribeQosThree);
}

#[test]
fn bad_filter_does_not_spoil_the_others() {
    let bytes = with(b"\x00\x03a#b\x00\x00\x00\x01\x00\x08$share/g\x02\x00\x01a\x01");
    let read = subscribe(&bytes, Version::V5);
    let filters: Vec<_> =
        read.filters.iter().map(|(filter, _)| filter.map(|filter| filter.as_str())).collect();
    assert_eq!(filters, [Err("a#b"), Err(""), Err("$share/g"), Ok("a")]);
    assert_eq!(written(&Packet::Subscribe(Box::new(read)), Version::V5), bytes);
}

#[test]
fn broken_subscribes_are_refused() {
    assert_eq!(wrong(&[0x82, 0x03, 0x00, 0x00, 0x00], Version::V5), Violation::PacketIdZero);
    assert_eq!(wrong(&with(b"\x00\x01a"), Version::V5), Violation::Truncated);
    let zero = b"\x82\x09\x00\x0a\x02\x0b\x00\x00\x01a\x00";
    assert_eq!(wrong(zero, Version::V5), Violation::SubscriptionIdZero);
    let twice = b"\x82\x0b\x00\x0a\x04\x0b\x01\x0b\x01\x00\x01a\x00";
    assert_eq!(wrong(twice, Version::V5), Violation::PropertyTwice { id: 0x0b });
    let reason = b"\x82\x0a\x00\x0a\x03\x1f\x00\x00\x00\x01a\x00";
    assert_eq!(wrong(reason, Version::V5), Violation::PropertyNotAllowed { id: 0x1f });
}

#[test]
fn filter_count_is_limited() {
    let limits = Limits { filters_max: 1, ..Limits::default() };
    let bytes = with(b"\x00\x01a\x00\x00\x01b\x00");
    let violation = decode(&bytes, Version::V5, Side::Server, &limits).expect_err("one too many");
    assert_eq!(violation, Violation::ListTooLong { kind: PacketKind::Subscribe });
}

#[test]
fn suback_of_each_version() {
    let id = PacketId::new(10).expect("not zero");
    let reasons = vec![ReasonCode::GRANTED_QOS_0, ReasonCode::GrantedQos2, ReasonCode::TopicFilterInvalid];
    let suback = Packet::SubAck(Box::new(SubAck::new(id, reasons)));
    assert_eq!(written(&suback, Version::V4), b"\x90\x05\x00\x0a\x00\x02\x80");
    assert_eq!(written(&suback, Version::V5), b"\x90\x06\x00\x0a\x00\x00\x02\x8f");
    assert_eq!(read(b"\x90\x06\x00\x0a\x00\x00\x02\x8f", Version::V5, Side::Client), suback);
    let Packet::SubAck(old) = read(b"\x90\x04\x00\x0a\x01\x80", Version::V4, Side::Client) else {
        panic!("not a SUBACK");
    };
    assert_eq!(old.reasons, [ReasonCode::GrantedQos1, ReasonCode::UnspecifiedError]);
}

#[test]
fn suback_with_properties() {
    let bytes = b"\x90\x10\x00\x0a\x0c\x1f\x00\x02no\x26\x00\x01a\x00\x01b\x87";
    let packet = read(bytes, Version::V5, Side::Client);
    let Packet::SubAck(suback) = &packet else { panic!("not a SUBACK") };
    assert_eq!((suback.reason_string, &*suback.user), (Some("no"), &b"\x26\x00\x01a\x00\x01b"[..]));
    assert_eq!(written(&packet, Version::V5), bytes);
}

#[test]
fn mqtt_3_9_3_2_suback_has_its_own_reason_codes() {
    for code in [0x03, 0x10, 0x81, 0xff] {
        let violation = refused(&[0x90, 0x04, 0x00, 0x0a, 0x00, code], Version::V5, Side::Client);
        assert_eq!(violation, Violation::ReasonNotAllowed { kind: PacketKind::SubAck, code });
        assert_eq!(violation.statement(), "MQTT-3.9.3-2");
    }
    let violation = refused(&[0x90, 0x03, 0x00, 0x0a, 0x87], Version::V4, Side::Client);
    assert_eq!(violation, Violation::ReasonNotAllowed { kind: PacketKind::SubAck, code: 0x87 });
    let violation = refused(&[0x90, 0x02, 0x00, 0x0a], Version::V4, Side::Client);
    assert_eq!(violation, Violation::ListEmpty { kind: PacketKind::SubAck });
}
