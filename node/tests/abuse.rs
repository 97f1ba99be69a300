//! Clients that are broken, slow or hostile: each gets the answer that the specification names, and nobody else
//! notices.

mod common;

use std::time::{Duration, Instant};

use common::client::Heard;
use common::{Home, Node, PATIENCE, wire};
use wire::{Connect, Message, PUBACK, PUBCOMP, PUBREC, PUBREL, ack, packet};

const MALFORMED: u8 = 0x81;
const PROTOCOL_ERROR: u8 = 0x82;
const NOT_FOUND: u8 = 0x92;
const RECEIVE_MAXIMUM_EXCEEDED: u8 = 0x93;
const TOPIC_ALIAS_INVALID: u8 = 0x94;
const PACKET_TOO_LARGE: u8 = 0x95;

fn node(settings: &str) -> (Home, Node) {
    let home = Home::new();
    home.configure(settings);
    let node = home.start();
    (home, node)
}

/// A whole exchange by somebody else.
fn assert_serves(node: &Node) {
    let mut client = node.clean(5, "bystander");
    client.subscribe("bystander", 1);
    client.publish(&Message::new("bystander", 1, b"well").id(1));
    let mut kinds = [client.expect_any().kind(), client.expect_any().kind()];
    kinds.sort_unstable();
    assert_eq!(kinds, [wire::PUBLISH, PUBACK]);
}

#[test]
fn half_a_connect_is_waited_for_only_so_long() {
    let (_home, node) = node("[mqtt]\nconnect_timeout = \"1s\"\n");
    let connect = Connect::clean("slow").bytes(5);
    let started = Instant::now();
    let mut silent = node.open(5);
    let mut half = node.open(5);
    half.send(&connect[..connect.len() / 2]);
    let mut dripping = node.open(5);
    let mut dripped = 0;
    // A byte now and then is no progress.
    while dripping.hear(Duration::from_millis(200)) == Heard::Silence {
        dripping.send_to_closed(&connect[dripped..=dripped]);
        dripped = (dripped + 1).min(connect.len() - 2);
        assert!(started.elapsed() < PATIENCE, "each byte buys more time");
    }
    assert_eq!(silent.next(), None);
    assert_eq!(half.next(), None);
    let waited = started.elapsed();
    assert!(waited >= Duration::from_millis(900), "{waited:?}");
    assert_serves(&node);
}

#[test]
fn a_connect_larger_than_is_allowed_is_refused_before_it_is_whole() {
    let (_home, node) = node("[mqtt]\nconnect_bytes_max = \"1KiB\"\n");
    let mut client = node.open(5);
    let mut large = vec![0x10];
    wire::length(&mut large, 200_000_000);
    large.extend(&Connect::clean("large").bytes(5)[2..]);
    client.send(&large);
    match client.next() {
        None => {}
        Some(answer) => {
            assert_eq!((answer.kind(), answer.body[1]), (wire::CONNACK, PACKET_TOO_LARGE));
            assert_eq!(client.next(), None);
        }
    }
    let mut after = node.clean(5, "small");
    after.store("t", &[0; 100_000]);
}

#[test]
fn a_packet_larger_than_the_maximum_is_refused_before_it_is_whole() {
    let (_home, node) = node("[mqtt]\npacket_bytes_max = \"64KiB\"\n");
    for version in [4, 5] {
        let mut client = node.clean(version, "large");
        let mut large = vec![wire::PUBLISH];
        wire::length(&mut large, 65 * 1024);
        client.send(&large);
        client.expect_closed(PACKET_TOO_LARGE);
    }
    assert_serves(&node);
}

#[test]
fn two_thousand_connections_that_hang_cost_little_and_disturb_nobody() {
    let (_home, node) = node("[mqtt]\nconnect_timeout = \"5m\"\n");
    assert_serves(&node);
    let before = node.rss();
    let mut hanging = Vec::new();
    for _ in 0..2_000 {
        let mut client = node.open(5);
        client.send(&[0x10]);
        hanging.push(client);
    }
    assert_serves(&node);
    let grown = node.rss().saturating_sub(before);
    assert!(grown < 32 * 1024 * 1024, "{grown} bytes");
    drop(hanging);
    assert_serves(&node);
}

#[test]
fn a_client_stuck_in_sending_is_taken_over_each_time() {
    let (_home, node) = node("");
    let mut publisher = node.clean(5, "publisher");
    let (stuck, _) = node.durable(5, "mine");
    let mut stuck = stuck;
    stuck.subscribe("flood", 0);
    let payload = vec![7; 64 * 1024];
    for _ in 0..100 {
        publisher.publish(&Message::new("flood", 0, &payload));
    }
    publisher.expect_silence();
    let mut held = vec![stuck];
    for turn in 0..200 {
        // Each of them never reads again, and is flooded too.
        let (client, present) = node.durable(5, "mine");
        assert!(present, "turn {turn}");
        for _ in 0..5 {
            publisher.publish(&Message::new("flood", 0, &payload));
        }
        held.push(client);
    }
    publisher.expect_silence();
    drop(held);
    assert_serves(&node);
}

#[test]
fn the_session_expiry_cannot_be_raised_from_0() {
    let (_home, node) = node("");
    let mut client = node.clean(5, "mayfly");
    client.send(&packet(0xe0, &[0, 5, 0x11, 0, 0, 0, 60]));
    client.expect_closed(PROTOCOL_ERROR);
    assert!(!node.durable(5, "mayfly").1, "nothing outlived it");
}

#[test]
fn what_must_not_come_closes_with_its_reason() {
    let (_home, node) = node("");
    let second_connect = Connect::clean("again").bytes(5);
    let auth = packet(0xf0, &[0x18, 0]);
    let unset_alias = Message::new("", 0, b"").properties(&[0x23, 0, 1]).bytes(5);
    let alias_0 = Message::new("t", 0, b"").properties(&[0x23, 0, 0]).bytes(5);
    let alias_33 = Message::new("t", 0, b"").properties(&[0x23, 0, 33]).bytes(5);
    let from_the_broker = packet(0xd0, &[]);
    for (bytes, reasons) in [
        (second_connect, &[PROTOCOL_ERROR][..]),
        (auth, &[PROTOCOL_ERROR]),
        (unset_alias, &[PROTOCOL_ERROR]),
        (alias_0, &[TOPIC_ALIAS_INVALID]),
        (alias_33, &[TOPIC_ALIAS_INVALID]),
        (from_the_broker, &[PROTOCOL_ERROR, MALFORMED]),
    ] {
        let mut client = node.clean(5, "broken");
        client.send(&bytes);
        let said = client.expect(wire::DISCONNECT).reason();
        assert!(reasons.contains(&said), "{said:#x} for {bytes:x?}");
        assert_eq!(client.next(), None);
    }
    assert_serves(&node);
}

#[test]
fn the_highest_alias_is_usable_and_may_be_set_anew() {
    let (_home, node) = node("");
    let mut client = node.clean(5, "client");
    client.subscribe("#", 0);
    for (topic, wanted) in [("a", "a"), ("", "a"), ("b", "b"), ("", "b")] {
        client.publish(&Message::new(topic, 0, b"x").properties(&[0x23, 0, 32]));
        assert_eq!(client.expect_message().topic, wanted);
    }
}

#[test]
fn nothing_before_a_connect_is_answered() {
    let (_home, node) = node("");
    for bytes in [
        wire::PINGREQ.to_vec(),
        Message::new("t", 1, b"x").id(1).bytes(5),
        wire::subscribe(5, 1, "#", 0),
        packet(0xe0, &[]),
        packet(0xf0, &[0x18, 0]),
    ] {
        let mut client = node.open(5);
        client.send(&bytes);
        assert_eq!(client.next(), None, "{bytes:x?}");
    }
    // What comes with the CONNECT, before its answer, is handled after it.
    let mut eager = node.open(5);
    let mut bytes = Connect::clean("eager").bytes(5);
    bytes.extend(wire::subscribe(5, 1, "t", 1));
    bytes.extend(Message::new("t", 0, b"early").bytes(5));
    eager.send(&bytes);
    let kinds: Vec<u8> = (0..2).map(|_| eager.expect_any().kind()).collect();
    assert_eq!(kinds, [wire::CONNACK, wire::SUBACK]);
    assert_serves(&node);
}

#[test]
fn acknowledgements_of_unknown_identifiers_are_answered_with_0x92() {
    let (_home, node) = node("");
    let (mut durable, _) = node.durable(5, "durable");
    for client in [&mut node.clean(5, "clean"), &mut durable] {
        client.send(&ack(PUBREC, 40));
        let answer = client.expect(PUBREL);
        assert_eq!((answer.id(), answer.reason()), (40, NOT_FOUND));
        client.send(&ack(PUBREL, 41));
        let answer = client.expect(PUBCOMP);
        assert_eq!((answer.id(), answer.reason()), (41, NOT_FOUND));
        client.send(&ack(PUBACK, 42));
        client.send(&ack(PUBCOMP, 43));
        client.expect_silence();
    }
    let mut four = node.clean(4, "four");
    four.send(&ack(PUBREL, 41));
    assert_eq!(four.expect(PUBCOMP).body, [0, 41]);
}

#[test]
fn mqtt_3_3_4_9_more_than_the_receive_maximum_is_refused_with_0x93() {
    let (_home, node) = node("[mqtt]\nreceive_maximum = 10\n");
    let mut client = node.clean(5, "client");
    for id in 1..=10 {
        client.publish(&Message::new("t", 2, b"x").id(id));
        assert_eq!(client.expect(PUBREC).reason() & 0x80, 0);
    }
    client.publish(&Message::new("t", 2, b"x").id(11));
    client.expect_closed(RECEIVE_MAXIMUM_EXCEEDED);

    let (mut client, _) = node.durable(5, "durable");
    for id in 1..=10 {
        client.publish(&Message::new("t", 2, b"x").id(id));
        client.expect(PUBREC);
    }
    let (mut client, present) = node.durable(5, "durable");
    assert!(present);
    // After a reconnect the client says all of them again: they are the same ones.
    for id in 1..=10 {
        client.publish(&Message::new("t", 2, b"x").id(id).dup());
        assert_eq!(client.expect(PUBREC).reason(), 0);
    }
    for id in 1..=10 {
        client.send(&ack(PUBREL, id));
        assert_eq!(client.expect(PUBCOMP).id(), id);
    }
}

#[test]
fn mqtt_4_9_0_2_a_client_gets_no_more_than_it_can_receive() {
    let (_home, node) = node("");
    let mut client = node.open(5);
    let properties = [0x21, 0, 3];
    client.connect(Connect { properties: &properties, ..Connect::clean("narrow") });
    client.subscribe("t", 1);
    let mut publisher = node.clean(5, "publisher");
    for number in 0..10_u8 {
        publisher.store("t", &[number]);
    }
    let mut open: Vec<u16> = (0..3).map(|_| client.expect_message().id).collect();
    client.expect_silence();
    for number in 3..10_u8 {
        client.send(&ack(PUBACK, open.remove(0)));
        let message = client.expect_message();
        assert_eq!(message.payload, [number]);
        open.push(message.id);
    }
}
