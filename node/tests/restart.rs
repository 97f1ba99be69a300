//! Messages survive a crash byte for byte, with everything that their publisher said about them.

mod common;

use common::{Home, wire};
use wire::{Message, PUBACK, ack, string};

/// Payload Format Indicator, Content Type, Response Topic, Correlation Data and User Properties, one name twice.
fn properties() -> Vec<u8> {
    let mut out = vec![0x01, 1, 0x03];
    out.extend(string("text/plain; charset=utf-8"));
    out.push(0x08);
    out.extend(string("answers/here"));
    out.extend([0x09, 0, 5, 0, 1, 2, 0xfe, 0xff]);
    for (name, value) in [("b", "1"), ("a", "2"), ("b", "3"), ("", "\u{fc}nicode")] {
        out.push(0x26);
        out.extend(string(name));
        out.extend(string(value));
    }
    out
}

/// Properties without Message Expiry Interval, sorted by identifier but for User Properties, which keep their order;
/// and the interval.
fn split(mut bytes: &[u8]) -> (Vec<Vec<u8>>, Option<u32>) {
    let mut expiry = None;
    let mut all = Vec::new();
    while let Some(kind) = bytes.first() {
        let text = |at: usize| 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        let len = match kind {
            0x01 => 2,
            0x02 => 5,
            0x03 | 0x08 | 0x09 => 1 + text(1),
            0x26 => 1 + text(1) + text(1 + text(1)),
            kind => panic!("property {kind:#x}"),
        };
        if *kind == 0x02 {
            expiry = Some(u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]));
        } else {
            all.push(bytes[..len].to_vec());
        }
        bytes = &bytes[len..];
    }
    all.sort_by_key(|property| property[0]);
    (all, expiry)
}

fn with_expiry() -> Vec<u8> {
    let mut out = vec![0x02, 0, 0, 0x0e, 0x10];
    out.extend(properties());
    out
}

fn assert_as_published(message: &Message, payload: &[u8]) {
    assert_eq!(message.payload, payload);
    let (came, expiry) = split(&message.properties);
    assert_eq!(came, split(&properties()).0);
    let left = expiry.expect("it has a Message Expiry Interval");
    assert!((3_500..=3_600).contains(&left), "{left} of 3600 seconds");
}

#[test]
fn messages_for_an_absent_session_keep_their_properties() {
    let home = Home::new();
    let node = home.start();
    node.durable(5, "absent").0.subscribe("t/+", 2);
    node.durable(4, "absent and old").0.subscribe("t/+", 2);
    let mut publisher = node.clean(5, "publisher");
    let payloads: Vec<Vec<u8>> = vec![Vec::new(), (0..=255).collect(), vec![0; 300_000]];
    for (number, payload) in payloads.iter().enumerate() {
        let topic = format!("t/{number}");
        publisher.publish(&Message::new(&topic, 1, payload).id(1).properties(&with_expiry()));
        assert_eq!(publisher.expect(PUBACK).reason(), 0);
    }
    node.kill();
    let node = home.start();
    for version in [5, 4] {
        let (mut absent, present) =
            node.durable(version, if version == 5 { "absent" } else { "absent and old" });
        assert!(present);
        let mut came: Vec<Message> = payloads.iter().map(|_| absent.expect_message()).collect();
        came.sort_by(|a, b| a.topic.cmp(&b.topic));
        for (number, (message, payload)) in came.iter().zip(&payloads).enumerate() {
            assert_eq!((message.topic.as_str(), message.qos), (format!("t/{number}").as_str(), 1));
            assert!(!message.retain);
            if version == 5 {
                assert_as_published(message, payload);
            } else {
                assert_eq!(&message.payload, payload);
            }
            absent.send(&ack(PUBACK, message.id));
        }
        absent.expect_silence();
    }
}

#[test]
fn retained_messages_keep_qos_and_properties_over_a_crash_and_a_stop() {
    let home = Home::new();
    let mut node = home.start();
    let mut publisher = node.clean(5, "publisher");
    for qos in 0..3 {
        let topic = format!("r/{qos}");
        publisher.publish(&Message::new(&topic, 1, b"replaced").id(1).retained());
        publisher.expect(PUBACK);
        publisher.publish(&Message::new(&topic, qos, b"kept").id(2).retained().properties(&with_expiry()));
        match qos {
            1 => drop(publisher.expect(PUBACK)),
            2 => {
                publisher.expect(wire::PUBREC);
                publisher.send(&ack(wire::PUBREL, 2));
                publisher.expect(wire::PUBCOMP);
            }
            _ => {}
        }
    }
    publisher.publish(&Message::new("r/gone", 1, b"x").id(3).retained());
    publisher.expect(PUBACK);
    publisher.publish(&Message::new("r/gone", 1, b"").id(4).retained());
    publisher.expect(PUBACK);
    for round in 0..3 {
        if round == 1 {
            node.kill();
            node = home.start();
        } else if round == 2 {
            node.stop();
            node = home.start();
        }
        let mut reader = node.clean(5, "reader");
        reader.subscribe("r/#", 2);
        let mut came: Vec<Message> = (0..3).map(|_| reader.expect_message()).collect();
        came.sort_by(|a, b| a.topic.cmp(&b.topic));
        for (qos, message) in (0..3).zip(&came) {
            assert_eq!((message.topic.as_str(), message.qos), (format!("r/{qos}").as_str(), qos));
            assert!(message.retain);
            assert_as_published(message, b"kept");
        }
        reader.expect_silence();
    }
}

#[test]
fn a_message_that_expires_while_the_node_is_down_does_not_come() {
    let home = Home::new();
    let node = home.start();
    node.durable(5, "absent").0.subscribe("t", 1);
    let mut publisher = node.clean(5, "publisher");
    let one_second = [0x02, 0, 0, 0, 1];
    publisher.publish(&Message::new("t", 1, b"short").id(1).properties(&one_second).retained());
    publisher.expect(PUBACK);
    publisher.store("t", b"long");
    let stored = std::time::Instant::now();
    node.kill();
    common::eventually("it is older than a second", || stored.elapsed().as_millis() > 1_100);
    let node = home.start();
    let (mut absent, _) = node.durable(5, "absent");
    assert_eq!(absent.expect_message().payload, b"long");
    absent.expect_silence();
    let mut reader = node.clean(5, "reader");
    reader.subscribe("t", 1);
    reader.expect_silence();
}

#[test]
fn subscriptions_and_their_options_survive_a_crash() {
    let home = Home::new();
    let node = home.start();
    let (mut client, _) = node.durable(5, "client");
    // No Local, and Retain As Published.
    assert_eq!(client.try_subscribe("own", 0x04 | 1), 1);
    assert_eq!(client.try_subscribe("kept", 0x08 | 1), 1);
    assert_eq!(client.try_subscribe("gone", 1), 1);
    let mut unsubscribe = wire::short(9).to_vec();
    unsubscribe.push(0);
    unsubscribe.extend(string("gone"));
    client.send(&wire::packet(0xa2, &unsubscribe));
    assert_eq!(client.expect_any().first, 0xb0);
    node.kill();
    let node = home.start();
    let (mut client, present) = node.durable(5, "client");
    assert!(present);
    let mut publisher = node.clean(5, "publisher");
    publisher.store("gone", b"x");
    client.store("own", b"x");
    client.expect_silence();
    publisher.publish(&Message::new("kept", 1, b"x").id(1).retained());
    let message = client.expect_message();
    assert!(message.retain && message.topic == "kept", "{message:?}");
}
