//! Bytes checked against the specification, not against the other half of this module.

use super::*;

#[test]
fn connect_is_the_bytes_of_the_specification() {
    let mut out = Vec::new();
    let mut client = Connect {
        level: Level::V4,
        client_id: "ab",
        clean: true,
        keep_alive: 10,
        expiry: 5,
        receive_maximum: 0,
    };
    connect(&mut out, &client);
    assert_eq!(out, b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x0a\x00\x02ab");
    out.clear();
    client.level = Level::V5;
    client.clean = false;
    connect(&mut out, &client);
    assert_eq!(out, b"\x10\x14\x00\x04MQTT\x05\x00\x00\x0a\x05\x11\x00\x00\x00\x05\x00\x02ab");
}

#[test]
fn publish_says_where_its_parts_are() {
    let mut out = vec![0xFF];
    let message =
        Publish { topic: "a/b", payload: b"hello", qos: 1, dup: true, retain: true, packet_id: 0x0102 };
    let (id, payload) = publish(&mut out, Level::V5, &message);
    assert_eq!(&out[1..], b"\x3b\x0d\x00\x03a/b\x01\x02\x00hello");
    assert_eq!((&out[id..id + 2], &out[payload..]), (&[1u8, 2][..], &b"hello"[..]));
}

#[test]
fn a_long_packet_has_a_two_byte_length_and_is_taken_only_whole() {
    let mut out = Vec::new();
    let payload = [7; 200];
    publish(
        &mut out,
        Level::V4,
        &Publish { topic: "t", payload: &payload, qos: 0, dup: false, retain: false, packet_id: 0 },
    );
    assert_eq!(&out[..5], b"\x30\xcb\x01\x00\x01");
    for cut in 0..out.len() {
        assert_eq!(take(&out[..cut], Level::V4), Ok(None));
    }
    let (packet, used) = take(&out, Level::V4).unwrap().unwrap();
    assert_eq!(used, out.len());
    assert!(matches!(packet, Packet::Publish { payload: p, .. } if p == payload));
}

#[test]
fn connack_properties_are_walked_to_the_receive_maximum() {
    let bytes = b"\x20\x0f\x01\x00\x0c\x24\x01\x26\x00\x01a\x00\x01b\x21\x00\x14";
    let expected = Packet::Connack { session_present: true, code: 0, receive_maximum: 20 };
    assert_eq!(take(bytes, Level::V5), Ok(Some((expected, bytes.len()))));
    assert!(take(b"\x20\x04\x01\x00\x01\x7f", Level::V5).is_err());
}

#[test]
fn faults_of_a_broker_are_named() {
    assert!(take(b"\x36\x05\x00\x01a\x00\x01", Level::V4).is_err());
    assert!(take(b"\x60\x02\x00\x01", Level::V4).is_err());
    assert!(take(b"\x32\x05\x00\x01a\x00\x00", Level::V4).is_err());
    assert!(take(b"\x30\x80\x80\x80\x80\x01", Level::V4).is_err());
    assert!(take(b"\x30\x02\x00\x09", Level::V4).is_err());
}

#[test]
fn suback_and_short_acks_are_read_in_both_protocols() {
    assert_eq!(
        take(b"\x90\x04\x00\x07\x01\x80", Level::V4),
        Ok(Some((Packet::Suback { packet_id: 7, codes: &[1, 0x80] }, 6)))
    );
    assert_eq!(
        take(b"\x90\x04\x00\x07\x00\x02", Level::V5),
        Ok(Some((Packet::Suback { packet_id: 7, codes: &[2] }, 6)))
    );
    assert_eq!(
        take(b"\x50\x04\x00\x09\x97\x00", Level::V5),
        Ok(Some((Packet::Ack { kind: Ack::Pubrec, packet_id: 9, code: 0x97 }, 6)))
    );
}
