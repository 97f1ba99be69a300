//! Each setting does what the manual says of it.

mod common;

use common::{Home, Node, get, wire};
use wire::{Connect, Message, PUBACK, string};

const CLIENT_ID_NOT_VALID: u8 = 0x85;
const TOPIC_FILTER_INVALID: u8 = 0x8f;
const QUOTA_EXCEEDED: u8 = 0x97;
const RETAIN_NOT_SUPPORTED: u8 = 0x9a;

fn node(settings: &str) -> (Home, Node) {
    let home = Home::new();
    home.configure(settings);
    let node = home.start();
    (home, node)
}

/// Properties of the CONNACK that this CONNECT gets, without their length.
fn told(node: &Node, connect: Connect<'_>) -> Vec<u8> {
    let mut client = node.open(5);
    client.send(&connect.bytes(5));
    let answer = client.expect(wire::CONNACK);
    assert_eq!(answer.body[1], 0);
    let (len, taken) = wire::read_length(&answer.body[2..]).expect("a length");
    answer.body[2 + taken..][..len].to_vec()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn limits_are_told_in_the_connack() {
    let (_home, node) = node(
        "[mqtt]\npacket_bytes_max = \"128KiB\"\nreceive_maximum = 77\ntopic_alias_max = 5\n\
         keep_alive_max = \"50s\"\nsession_expiry_max = \"100s\"\n",
    );
    let told = told(&node, Connect::durable("client"));
    for (what, property) in [
        ("Maximum Packet Size", &[0x27, 0, 2, 0, 0][..]),
        ("Receive Maximum", &[0x21, 0, 77]),
        ("Topic Alias Maximum", &[0x22, 0, 5]),
        ("Server Keep Alive", &[0x13, 0, 50]),
        ("Session Expiry Interval", &[0x11, 0, 0, 0, 100]),
    ] {
        assert!(holds(&told, property), "{what} is not in {told:x?}");
    }
}

#[test]
fn a_client_id_that_is_too_long_is_refused() {
    let (_home, node) = node("[mqtt]\nclient_id_bytes_max = 30\n");
    let long = "x".repeat(31);
    let (_, reason) = node.open(5).connect(Connect::clean(&long));
    assert_eq!(reason, CLIENT_ID_NOT_VALID);
    node.clean(5, &long[..30]);
}

#[test]
fn too_many_levels_and_too_many_subscriptions_are_refused() {
    let (_home, node) = node("[mqtt]\ntopic_levels_max = 3\nsubscriptions_max = 4\n");
    let mut client = node.clean(5, "client");
    assert_eq!(client.try_subscribe("a/b/c/d", 0), TOPIC_FILTER_INVALID);
    for number in 0..4 {
        client.subscribe(&format!("a/b/{number}"), 0);
    }
    client.subscribe("a/b/0", 1);
    assert_eq!(client.try_subscribe("a/b/4", 0), QUOTA_EXCEEDED);
    client.expect_silence();
}

#[test]
fn too_many_connections_are_refused() {
    let (_home, node) = node("[mqtt]\nconnections_max = 3\n");
    let mut kept: Vec<_> = ["one", "two", "three"].map(|id| node.clean(5, id)).into();
    let (_, reason) = node.open(5).connect(Connect::clean("four"));
    assert_eq!(reason, QUOTA_EXCEEDED);
    let mut old = node.open(4);
    assert_eq!(old.connect(Connect::clean("four")), (false, 3), "server unavailable");
    kept[0].expect_silence();
    drop(kept.pop());
    common::eventually("there is room again", || node.open(5).connect(Connect::clean("four")).1 == 0);
}

#[test]
fn without_retained_messages_they_are_refused() {
    let (_home, node) = node("[mqtt]\nretained_available = false\n");
    assert!(holds(&told(&node, Connect::clean("client")), &[0x25, 0]));
    for version in [4, 5] {
        let mut client = node.clean(version, "client");
        client.publish(&Message::new("t", 1, b"x").id(1).retained());
        client.expect_closed(RETAIN_NOT_SUPPORTED);
    }
    let mut client = node.clean(5, "client");
    client.store("t", b"x");
    let mut connect = string("MQTT");
    connect.extend([5, 0x26, 0, 0, 0]);
    connect.extend(string("willing"));
    connect.push(0);
    connect.extend(string("will"));
    connect.extend(string("x"));
    let mut willing = node.open(5);
    willing.send(&wire::packet(0x10, &connect));
    assert_eq!(willing.expect(wire::CONNACK).body[1], RETAIN_NOT_SUPPORTED);
}

#[test]
fn metrics_can_be_switched_off() {
    let (_home, on) = node("");
    assert!(get(&on, "/metrics").contains("holdfast_"));
    let (_home, off) = node("[metrics]\nenabled = false\n");
    let text = common::ask(&off, "/metrics");
    assert!(text.starts_with("HTTP/1.1 404"), "{text}");
}

#[test]
fn what_counts_at_the_founding_does_not_change_later() {
    let home = Home::new();
    let node = home.start_with(&["--partitions", "3"]);
    node.durable(5, "durable").0.subscribe("#", 1);
    for number in 0..20 {
        node.clean(5, "publisher").store(&format!("t/{number}"), b"x");
    }
    node.stop();
    let node = home.start_with(&["--partitions", "9"]);
    let (mut durable, present) = node.durable(5, "durable");
    assert!(present);
    for _ in 0..20 {
        let message = durable.expect_message();
        durable.send(&wire::ack(PUBACK, message.id));
    }
    durable.expect_silence();
    let cluster = get(&node, "/api/v1/cluster");
    assert_eq!(cluster.matches("\"first_offset\"").count(), 3, "{cluster}");
}

#[test]
fn the_trace_is_json_on_request() {
    let home = Home::new();
    home.configure("[log]\nformat = \"json\"\n");
    let mut node = home.spawn(&[]);
    let line = node.trace.wait(|line| line.contains("ready")).expect("it starts");
    assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
    node.signal("-TERM");
    assert_eq!(node.exit().code(), Some(0));
    for line in node.trace.text().lines() {
        assert!(line.starts_with('{'), "{line}");
    }
}

#[test]
fn users_that_cannot_be_had_yet_are_not_pretended() {
    let home = Home::new();
    home.configure("allow_anonymous = false\n");
    let (code, text) = home.fails(&[]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("allow_anonymous"), "{text}");
}
