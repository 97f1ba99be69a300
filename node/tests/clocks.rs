//! One node of three whose clock is hours off: nothing ends early, and it is said.

mod common;

use common::client::{Client, Heard};
use common::cluster::Cluster;
use common::eventually;
use common::wire::{self, Connect, Message};

/// Hours that the clock is off by.
const OFF: i64 = 5;
/// Message Expiry Interval of an hour.
const EXPIRY: [u8; 5] = [0x02, 0, 0, 0x0e, 0x10];

fn connect(cluster: &mut Cluster, number: usize, id: &str) -> (Client, bool) {
    let mut connected = None;
    eventually("the client is let in", || {
        let mut client = cluster.node(number).open(5);
        client.send_to_closed(&Connect::durable(id).bytes(5));
        let heard = client.hear(common::PATIENCE);
        let Heard::Packet(answer) = heard else { return false };
        connected = (answer.body[1] == 0).then_some((client, answer.body[0] == 1));
        connected.is_some()
    });
    connected.expect("it is let in")
}

/// What a message says is left of its hour. Unit: seconds.
fn left(message: &Message) -> u32 {
    let bytes: [u8; 4] = message.properties[1..5].try_into().expect("four bytes");
    assert_eq!(message.properties[0], EXPIRY[0], "{message:?}");
    u32::from_be_bytes(bytes)
}

fn one_clock_is_off(hours: i64, words: &str) {
    let mut cluster =
        Cluster::three_with(|cluster| cluster.home(0).set_fault(&format!("clock-ms={}", hours * 3_600_000)));
    let (mut diver, _) = connect(&mut cluster, 1, "diver");
    diver.subscribe("kelp", 1);
    drop(diver);
    let (mut publisher, _) = connect(&mut cluster, 0, "publisher");
    for (topic, id) in [("kelp", 1), ("state", 2)] {
        publisher.publish(&Message::new(topic, 1, b"deep").id(id).properties(&EXPIRY).retained());
        assert!(publisher.expect(wire::PUBACK).reason() < 0x80);
    }
    // Each hears the others before it believes any clock, also when all start anew.
    for _ in 0..2 {
        for number in 0..3 {
            cluster.kill(number);
        }
        cluster.start_all();
        cluster.wait_spread();
    }
    for number in 0..3 {
        let said = cluster
            .node(number)
            .trace
            .wait(|line| line.contains("the clock of node 1 is") && line.contains(words));
        assert!(said.is_some(), "{}", cluster.node(number).trace.text());
        let mut reader = cluster.node(number).clean(5, "reader");
        reader.subscribe("state", 0);
        let retained = reader.expect_message();
        assert!((3_000..=3_600).contains(&left(&retained)), "{retained:?}");
    }
    for number in 0..3 {
        let (mut diver, present) = connect(&mut cluster, number, "diver");
        assert!(present, "at {number}");
        let message = diver.expect_message();
        assert!((3_000..=3_600).contains(&left(&message)), "{message:?}");
    }
}

#[test]
fn a_clock_that_is_hours_ahead_ends_nothing_early_and_is_named() {
    one_clock_is_off(OFF, "ahead");
}

#[test]
fn a_clock_that_is_hours_behind_is_named_and_changes_nothing() {
    one_clock_is_off(-OFF, "behind");
}
