//! QoS 2 is exactly once also when the process is killed between any two of its packets, in both directions.

mod common;

use common::client::Client;
use common::{Home, Node, wire};
use wire::{Message, PUBCOMP, PUBLISH, PUBREC, PUBREL, ack};

const VERSIONS: [u8; 2] = [4, 5];
const ID: u16 = 77;

/// A node with an absent durable subscriber of `t` and a publisher with a durable session.
fn publishing(version: u8) -> (Home, Node, Client) {
    let home = Home::new();
    let node = home.start();
    node.durable(version, "subscriber").0.subscribe("t", 2);
    let (publisher, _) = node.durable(version, "publisher");
    (home, node, publisher)
}

/// Kills the node and connects the publisher again to the next one.
fn after_a_crash(home: &Home, node: Node, version: u8) -> (Node, Client) {
    node.kill();
    let node = home.start();
    let (publisher, present) = node.durable(version, "publisher");
    assert!(present, "its session is durable");
    (node, publisher)
}

fn once() -> Message {
    Message::new("t", 2, b"once").id(ID)
}

/// The subscriber gets these, in this order, and nothing else.
fn assert_delivered(node: &Node, version: u8, wanted: &[&str]) {
    node.clean(version, "last").store_once("t", 1, b"last");
    let (mut subscriber, present) = node.durable(version, "subscriber");
    assert!(present);
    let came = subscriber.drain_to(b"last");
    let came: Vec<_> =
        came.iter().map(|message| String::from_utf8_lossy(&message.payload).into_owned()).collect();
    assert_eq!(came, wanted);
}

fn release(client: &mut Client) {
    client.send(&ack(PUBREL, ID));
    assert_eq!(client.expect(PUBCOMP).id(), ID);
}

fn resend(client: &mut Client) {
    client.publish(&once().dup());
    let answer = client.expect(PUBREC);
    assert_eq!((answer.id(), answer.reason()), (ID, 0));
}

#[test]
fn a_publish_that_was_not_answered_is_stored_once() {
    for version in VERSIONS {
        // With and without time for the node to get it before it dies.
        for answered in [false, true] {
            let (home, node, mut publisher) = publishing(version);
            publisher.publish(&once());
            if answered {
                // Something behind it on the same connection is answered: the packet was read.
                publisher.send(&wire::PINGREQ);
                while publisher.expect_any().first != wire::PINGRESP {}
            }
            let (node, mut publisher) = after_a_crash(&home, node, version);
            resend(&mut publisher);
            release(&mut publisher);
            assert_delivered(&node, version, &["once"]);
        }
    }
}

#[test]
fn a_publish_whose_pubrec_was_lost_is_stored_once() {
    for version in VERSIONS {
        let (home, node, mut publisher) = publishing(version);
        publisher.publish(&once());
        publisher.expect(PUBREC);
        let (node, mut publisher) = after_a_crash(&home, node, version);
        resend(&mut publisher);
        resend(&mut publisher);
        let (node, mut publisher) = {
            drop(publisher);
            after_a_crash(&home, node, version)
        };
        resend(&mut publisher);
        release(&mut publisher);
        assert_delivered(&node, version, &["once"]);
    }
}

#[test]
fn a_pubrel_after_a_crash_finishes_what_was_stored_before() {
    for version in VERSIONS {
        let (home, node, mut publisher) = publishing(version);
        publisher.publish(&once());
        publisher.expect(PUBREC);
        let (node, mut publisher) = after_a_crash(&home, node, version);
        publisher.send(&ack(PUBREL, ID));
        let answer = publisher.expect(PUBCOMP);
        assert_eq!((answer.id(), answer.reason()), (ID, 0), "the identifier is known");
        assert_delivered(&node, version, &["once"]);
    }
}

#[test]
fn a_pubrel_that_was_not_answered_is_answered_after_a_crash() {
    for version in VERSIONS {
        let (home, node, mut publisher) = publishing(version);
        publisher.publish(&once());
        publisher.expect(PUBREC);
        publisher.send(&ack(PUBREL, ID));
        let (node, mut publisher) = after_a_crash(&home, node, version);
        publisher.send(&ack(PUBREL, ID));
        let answer = publisher.expect(PUBCOMP);
        // 0x92: it had been forgotten already, which is as good.
        assert!(answer.id() == ID && matches!(answer.reason(), 0 | 0x92), "{answer:?}");
        assert_delivered(&node, version, &["once"]);
    }
}

#[test]
fn an_identifier_is_free_again_after_its_pubcomp_and_a_crash() {
    for version in VERSIONS {
        let (home, node, mut publisher) = publishing(version);
        publisher.publish(&once());
        publisher.expect(PUBREC);
        release(&mut publisher);
        let (node, mut publisher) = after_a_crash(&home, node, version);
        publisher.publish(&once());
        publisher.expect(PUBREC);
        release(&mut publisher);
        assert_delivered(&node, version, &["once", "once"]);
    }
}

/// A node, and a connected durable subscriber that has been sent one message.
fn delivering(version: u8) -> (Home, Node, Client, Message) {
    let home = Home::new();
    let node = home.start();
    let (mut subscriber, _) = node.durable(version, "subscriber");
    subscriber.subscribe("t", 2);
    node.clean(version, "publisher").store_once("t", 1, b"once");
    let message = subscriber.expect_message();
    assert_eq!((message.qos, message.dup), (2, false));
    (home, node, subscriber, message)
}

fn subscriber_after_a_crash(home: &Home, node: Node, version: u8) -> (Node, Client) {
    node.kill();
    let node = home.start();
    let (subscriber, present) = node.durable(version, "subscriber");
    assert!(present);
    (node, subscriber)
}

/// From now on only new messages come, each once.
fn assert_goes_on(node: &Node, version: u8, mut subscriber: Client) {
    node.clean(version, "last").store_once("t", 1, b"last");
    assert_eq!(subscriber.drain_to(b"last"), []);
}

#[test]
fn a_message_without_pubrec_comes_again_with_dup_and_its_identifier() {
    for version in VERSIONS {
        let (home, node, _subscriber, first) = delivering(version);
        let (node, mut subscriber) = subscriber_after_a_crash(&home, node, version);
        let again = subscriber.expect_message();
        assert_eq!(again, first.dup(), "a client that has stored it knows it by its identifier");
        subscriber.send(&ack(PUBREC, again.id));
        assert_eq!(subscriber.expect(PUBREL).id(), again.id);
        subscriber.send(&ack(PUBCOMP, again.id));
        assert_goes_on(&node, version, subscriber);
    }
}

#[test]
fn a_message_whose_pubrec_may_be_lost_goes_on_from_either_step() {
    for version in VERSIONS {
        let (home, node, mut subscriber, first) = delivering(version);
        subscriber.send(&ack(PUBREC, first.id));
        let (node, mut subscriber) = subscriber_after_a_crash(&home, node, version);
        let mut next = subscriber.expect_any();
        if next.kind() == PUBLISH {
            assert_eq!(next.message(version), first.clone().dup());
            subscriber.send(&ack(PUBREC, first.id));
            next = subscriber.expect_any();
        }
        assert_eq!((next.kind(), next.id()), (PUBREL, first.id));
        subscriber.send(&ack(PUBCOMP, first.id));
        assert_goes_on(&node, version, subscriber);
    }
}

#[test]
fn a_pubrel_without_pubcomp_comes_again_and_the_message_does_not() {
    for version in VERSIONS {
        let (home, node, mut subscriber, first) = delivering(version);
        subscriber.send(&ack(PUBREC, first.id));
        assert_eq!(subscriber.expect(PUBREL).id(), first.id);
        let (node, mut subscriber) = subscriber_after_a_crash(&home, node, version);
        assert_eq!(subscriber.expect(PUBREL).id(), first.id);
        let (node, mut subscriber) = {
            drop(subscriber);
            subscriber_after_a_crash(&home, node, version)
        };
        assert_eq!(subscriber.expect(PUBREL).id(), first.id, "until it is answered");
        subscriber.send(&ack(PUBCOMP, first.id));
        assert_goes_on(&node, version, subscriber);
    }
}

#[test]
fn after_pubcomp_at_most_the_pubrel_comes_again() {
    for version in VERSIONS {
        let (home, node, mut subscriber, first) = delivering(version);
        subscriber.send(&ack(PUBREC, first.id));
        subscriber.expect(PUBREL);
        subscriber.send(&ack(PUBCOMP, first.id));
        let (node, subscriber) = subscriber_after_a_crash(&home, node, version);
        // `drain_to` answers a PUBREL; a PUBLISH would be listed.
        assert_goes_on(&node, version, subscriber);
    }
}

/// A session goes on where it was before the dispatcher of its shared subscription knows it again.
#[test]
fn what_a_member_finishes_before_its_dispatcher_knows_it_does_not_come_again() {
    for version in VERSIONS {
        let home = Home::new();
        let node = home.start();
        let (mut member, _) = node.durable(version, "member");
        member.subscribe("$share/crew/t", 2);
        node.clean(version, "publisher").store_once("t", 1, b"once");
        let message = member.expect_message();
        member.send(&ack(PUBREC, message.id));
        assert_eq!(member.expect(PUBREL).id(), message.id);
        node.kill();
        let node = home.start();
        let mut member = node.open(version);
        let mut bytes = wire::Connect::durable("member").bytes(version);
        bytes.extend(ack(PUBCOMP, message.id));
        member.send(&bytes);
        assert_eq!(member.expect(wire::CONNACK).body[..2], [1, 0]);
        assert_goes_on(&node, version, member);
    }
}

#[test]
fn a_whole_window_keeps_its_identifiers_over_a_crash() {
    let home = Home::new();
    let node = home.start();
    let (mut subscriber, _) = node.durable(5, "subscriber");
    subscriber.subscribe("t", 2);
    let mut publisher = node.clean(5, "publisher");
    for number in 0..50_u8 {
        publisher.store_once("t", 1, &[number]);
    }
    let first: Vec<Message> = (0..50).map(|_| subscriber.expect_message()).collect();
    let (node, mut subscriber) = subscriber_after_a_crash(&home, node, 5);
    let again: Vec<Message> = (0..50).map(|_| subscriber.expect_message()).collect();
    let wanted: Vec<Message> = first.into_iter().map(Message::dup).collect();
    assert_eq!(again, wanted);
    for message in &again {
        subscriber.send(&ack(PUBREC, message.id));
    }
    assert_goes_on(&node, 5, subscriber);
}
