//! PUBLISH, byte by byte. MQTT 5.0, 3.3.

mod wire;

use std::num::NonZeroU16;

use holdfast_codec::{
    Limits, Packet, PacketId, Property, Publish, PublishHead, Qos, ReasonCode, Side, Version, Violation,
    decode, encode_publish, publish_len,
};
use wire::{read, refused, written};

fn publish(bytes: &[u8], version: Version, side: Side) -> Publish<'_> {
    match read(bytes, version, side) {
        Packet::Publish(publish) => publish,
        other => panic!("not a PUBLISH: {other:?}"),
    }
}

/// A PUBLISH of 5.0 with QoS 0 to `t`, the given property block and no payload.
fn with(block: &[u8]) -> Vec<u8> {
    let len = u8::try_from(block.len()).expect("short");
    [&[0x30, len + 4, 0x00, 0x01, b't', len], block].concat()
}

#[test]
fn qos_0_of_each_version() {
    let bytes = b"\x30\x07\x00\x03a/bhi";
    for version in [Version::V3, Version::V4] {
        let read = publish(bytes, version, Side::Server);
        assert_eq!((read.topic, read.payload, read.qos), ("a/b", &b"hi"[..], Qos::AtMostOnce));
        assert_eq!((read.dup, read.retain, read.packet_id), (false, false, None));
        assert_eq!(written(&Packet::Publish(read), version), bytes);
    }
    let bytes = b"\x31\x08\x00\x03a/b\x00hi";
    let read = publish(bytes, Version::V5, Side::Server);
    assert!(read.retain && read.properties.forward.is_empty());
    assert_eq!(written(&Packet::Publish(read), Version::V5), bytes);
}

#[test]
fn mqtt_2_2_1_2_packet_id_stands_only_above_qos_0() {
    let bytes = b"\x3d\x09\x00\x03a/b\x12\x34hi";
    let read = publish(bytes, Version::V4, Side::Client);
    assert_eq!((read.qos, read.dup, read.retain), (Qos::ExactlyOnce, true, true));
    assert_eq!(read.packet_id, PacketId::new(0x1234));
    assert_eq!(written(&Packet::Publish(read), Version::V4), bytes);
    let read = publish(b"\x30\x07\x00\x03a/b\x12\x34", Version::V4, Side::Client);
    assert_eq!((read.packet_id, read.payload), (None, &[0x12, 0x34][..]));
}

#[test]
fn all_properties_of_5_0_in_one_packet() {
    let forward: &[u8] = b"\x01\x01\x03\x00\x02ct\x08\x00\x02rt\x09\x00\x02\x00\xff\x26\x00\x01a\x00\x01b";
    let block = [b"\x02\x00\x00\x00\x3c\x23\x00\x07\x0b\x05\x0b\x80\x01", forward].concat();
    let bytes = with(&block);
    let read = publish(&bytes, Version::V5, Side::Client);
    assert_eq!(read.properties.message_expiry, Some(60));
    assert_eq!(read.properties.topic_alias, NonZeroU16::new(7));
    assert_eq!(read.properties.subscription_ids, [5, 128]);
    assert_eq!(&*read.properties.forward, forward);
    assert!(read.properties.forward.is_borrowed());
    let items: Vec<_> = read.properties.forward.iter().collect();
    assert_eq!(
        items,
        [
            Property::PayloadFormatIndicator(true),
            Property::ContentType("ct"),
            Property::ResponseTopic("rt"),
            Property::CorrelationData(&[0x00, 0xff]),
            Property::UserProperty("a", "b"),
        ]
    );
    assert_eq!(written(&Packet::Publish(read), Version::V5), bytes);
}

#[test]
fn mqtt_3_3_2_17_18_forwarded_properties_keep_their_order_around_others() {
    let block = b"\x26\x00\x01a\x00\x01b\x02\x00\x00\x00\x3c\x01\x01\x23\x00\x07\x26\x00\x01c\x00\x01d";
    let bytes = with(block);
    let read = publish(&bytes, Version::V5, Side::Server);
    assert_eq!(&*read.properties.forward, b"\x26\x00\x01a\x00\x01b\x01\x01\x26\x00\x01c\x00\x01d");
    assert!(!read.properties.forward.is_borrowed());
    let mut out = Vec::new();
    encode_publish(&mut out, Version::V5, PublishHead { alias: None, expiry: None, ..read.head() }, b"");
    assert_eq!(out, with(b"\x26\x00\x01a\x00\x01b\x01\x01\x26\x00\x01c\x00\x01d"));
}

#[test]
fn properties_between_others_stay_borrowed() {
    let block = b"\x23\x00\x07\x26\x00\x01a\x00\x01b\x01\x00\x02\x00\x00\x00\x3c";
    let bytes = with(block);
    let forward = publish(&bytes, Version::V5, Side::Server).properties.forward;
    assert_eq!((&*forward, forward.is_borrowed()), (&b"\x26\x00\x01a\x00\x01b\x01\x00"[..], true));
}

#[test]
fn mqtt_3_3_1_4_qos_three_is_malformed() {
    for version in [Version::V3, Version::V4, Version::V5] {
        let violation = refused(b"\x36\x06\x00\x01a\x00\x01\x00", version, Side::Server);
        assert_eq!(violation, Violation::QosThree);
        assert_eq!(
            (violation.statement(), violation.reason()),
            ("MQTT-3.3.1-4", ReasonCode::MalformedPacket)
        );
    }
}

#[test]
fn mqtt_3_3_1_2_dup_with_qos_0_is_refused() {
    assert_eq!(refused(b"\x38\x03\x00\x01a", Version::V4, Side::Server), Violation::DupOnQosZero);
    assert!(!publish(b"\x38\x03\x00\x01a", Version::V3, Side::Server).dup);
}

#[test]
fn mqtt_2_2_1_3_packet_id_0_is_refused() {
    assert_eq!(refused(b"\x32\x05\x00\x01a\x00\x00", Version::V4, Side::Server), Violation::PacketIdZero);
    assert_eq!(refused(b"\x34\x06\x00\x01a\x00\x00\x00", Version::V5, Side::Client), Violation::PacketIdZero);
}

#[test]
fn mqtt_3_3_2_1_topic_must_be_utf_8() {
    assert_eq!(refused(b"\x30\x03\x00\x01\xff", Version::V4, Side::Server), Violation::StringNotUtf8);
    assert_eq!(refused(b"\x30\x04\x00\x02a\x00", Version::V4, Side::Server), Violation::StringHasNul);
}

#[test]
fn mqtt_3_3_2_2_topic_with_wildcard_is_refused() {
    for topic in [b"#", b"+"] {
        let bytes = [b"\x30\x05\x00\x03a/", &topic[..]].concat();
        let violation = refused(&bytes, Version::V4, Side::Server);
        assert_eq!(violation, Violation::TopicHasWildcard);
        assert_eq!(violation.reason(), ReasonCode::TopicNameInvalid);
    }
}

#[test]
fn mqtt_4_7_3_1_topic_must_not_be_empty() {
    assert_eq!(refused(b"\x30\x02\x00\x00", Version::V4, Side::Server), Violation::TopicEmpty);
    let violation = refused(b"\x30\x03\x00\x00\x00", Version::V5, Side::Server);
    assert_eq!((violation, violation.reason()), (Violation::TopicMissing, ReasonCode::ProtocolError));
    let aliased = publish(b"\x30\x06\x00\x00\x03\x23\x00\x01", Version::V5, Side::Server);
    assert_eq!((aliased.topic, aliased.properties.topic_alias), ("", NonZeroU16::new(1)));
}

#[test]
fn mqtt_3_3_2_8_topic_alias_0_is_refused() {
    let violation = refused(&with(b"\x23\x00\x00"), Version::V5, Side::Server);
    assert_eq!((violation, violation.reason()), (Violation::TopicAliasZero, ReasonCode::TopicAliasInvalid));
}

#[test]
fn mqtt_3_3_2_13_response_topic_must_be_utf_8() {
    assert_eq!(refused(&with(b"\x08\x00\x01\xff"), Version::V5, Side::Server), Violation::StringNotUtf8);
}

#[test]
fn mqtt_3_3_2_14_response_topic_with_wildcard_is_refused() {
    let violation = refused(&with(b"\x08\x00\x03a/#"), Version::V5, Side::Server);
    assert_eq!(violation, Violation::ResponseTopicInvalid);
}

#[test]
fn mqtt_3_3_4_6_subscription_id_from_a_client_is_refused() {
    let violation = refused(&with(b"\x0b\x01"), Version::V5, Side::Server);
    assert_eq!((violation, violation.statement()), (Violation::SubscriptionIdFromClient, "MQTT-3.3.4-6"));
    assert_eq!(refused(&with(b"\x0b\x00"), Version::V5, Side::Client), Violation::SubscriptionIdZero);
}

#[test]
fn mqtt_1_5_7_1_user_property_must_be_utf_8() {
    for block in [b"\x26\x00\x01\xff\x00\x01a", b"\x26\x00\x01a\x00\x01\xff"] {
        assert_eq!(refused(&with(block), Version::V5, Side::Server), Violation::StringNotUtf8);
    }
}

#[test]
fn properties_that_do_not_belong_are_refused() {
    let refuse = |block: &[u8]| refused(&with(block), Version::V5, Side::Server);
    assert_eq!(refuse(b"\x01\x02"), Violation::PropertyOutOfRange { id: 1 });
    assert_eq!(refuse(b"\x01\x01\x01\x01"), Violation::PropertyTwice { id: 1 });
    assert_eq!(refuse(b"\x11\x00\x00\x00\x01"), Violation::PropertyNotAllowed { id: 0x11 });
    assert_eq!(refuse(b"\x1f\x00\x01a"), Violation::PropertyNotAllowed { id: 0x1f });
    assert_eq!(refuse(b"\x80\x01"), Violation::PropertyUnknown { id: 0x80 });
    assert_eq!(refuse(b"\x02\x00\x00"), Violation::Truncated);
}

#[test]
fn truncated_publishes_are_refused() {
    let refuse = |bytes: &[u8], version| refused(bytes, version, Side::Server);
    assert_eq!(refuse(b"\x30\x00", Version::V4), Violation::Truncated);
    assert_eq!(refuse(b"\x30\x02\x00\x01", Version::V4), Violation::Truncated);
    assert_eq!(refuse(b"\x32\x04\x00\x01a\x01", Version::V4), Violation::Truncated);
    assert_eq!(refuse(b"\x30\x03\x00\x01a", Version::V5), Violation::Truncated);
    assert_eq!(refuse(b"\x30\x04\x00\x01a\x01", Version::V5), Violation::Truncated);
}

#[test]
fn limits_are_kept() {
    let limits = Limits { topic_bytes_max: 5, topic_levels_max: 2, ..Limits::default() };
    let read = |bytes: &[u8]| decode(bytes, Version::V4, Side::Server, &limits).map(|_| ());
    assert_eq!(read(b"\x30\x07\x00\x05abc/d"), Ok(()));
    assert_eq!(read(b"\x30\x08\x00\x06abc/de"), Err(Violation::TopicTooLong));
    assert_eq!(read(b"\x30\x07\x00\x05a/b/c"), Err(Violation::TopicTooDeep));
}

#[test]
fn layout_says_where_things_stand() {
    let head = PublishHead {
        dup: false,
        qos: Qos::AtLeastOnce,
        retain: false,
        packet_id: None,
        topic: "a/b",
        alias: None,
        expiry: Some(1),
        subscription_ids: &[300],
        forward: b"\x01\x01",
    };
    let mut out = vec![0xaa; 3];
    let layout = encode_publish(&mut out, Version::V5, head, b"payload");
    let packet = &mut out[3..];
    assert_eq!(packet.len(), layout.packet_bytes);
    assert_eq!(packet.len(), publish_len(Version::V5, &head, 7));
    assert_eq!(&packet[layout.packet_id_at..layout.packet_id_at + 2], [0, 0]);
    assert_eq!(&packet[layout.payload_at..], b"payload");
    packet[layout.packet_id_at + 1] = 9;
    let read = publish(packet, Version::V5, Side::Client);
    assert_eq!(read.packet_id, PacketId::new(9));
    assert_eq!(read.head().subscription_ids, [300]);
}

#[test]
fn properties_are_not_sent_before_5_0() {
    let bytes = with(b"\x02\x00\x00\x00\x3c\x26\x00\x01a\x00\x01b");
    let read = publish(&bytes, Version::V5, Side::Server);
    assert_eq!(publish_len(Version::V4, &read.head(), 0), 5);
    assert_eq!(written(&Packet::Publish(read), Version::V4), b"\x30\x03\x00\x01t");
}

#[test]
fn publish_from_a_client_owns_nothing_and_is_small() {
    let bytes = with(b"\x23\x00\x07\x01\x01\x26\x00\x01a\x00\x01b\x02\x00\x00\x00\x3c");
    let read = publish(&bytes, Version::V5, Side::Server);
    assert!(read.properties.forward.is_borrowed());
    assert_eq!(read.properties.subscription_ids.capacity(), 0);
    assert!(size_of::<Packet<'_>>() <= 128, "{} bytes are moved for every packet", size_of::<Packet<'_>>());
}
