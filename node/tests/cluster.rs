//! Three nodes as one broker: clients on any of them, and any one of them away.

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use common::client::{Client, Heard};
use common::cluster::Cluster;
use common::wire::{self, Connect, Message};
use common::{PATIENCE, ask, eventually};

const TAKEN_OVER: u8 = 0x8e;

/// A connection for a client id that may be refused while leaders change; and Session Present.
fn connect(address: SocketAddr, connect: Connect<'_>) -> (Client, bool) {
    let mut connected = None;
    eventually("the client is let in", || {
        let mut client = Client::open(address, 5);
        client.send_to_closed(&connect.bytes(5));
        match client.hear(PATIENCE) {
            Heard::Packet(answer) if answer.kind() == wire::CONNACK && answer.body[1] == 0 => {
                connected = Some((client, answer.body[0] == 1));
                true
            }
            _ => false,
        }
    });
    connected.expect("it is let in")
}

/// Publishes at QoS 1 until a node takes it.
fn store(address: SocketAddr, topic: &str, payload: &[u8]) {
    eventually("it is stored", || {
        let (mut client, _) = connect(address, Connect::clean("storer"));
        client.send_to_closed(&Message::new(topic, 1, payload).id(1).bytes(5));
        let heard = client.hear(PATIENCE);
        matches!(heard, Heard::Packet(answer) if answer.kind() == wire::PUBACK && answer.reason() < 0x80)
    });
}

fn payloads(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| String::from_utf8_lossy(&message.payload).into_owned()).collect()
}

#[test]
fn what_is_published_anywhere_arrives_everywhere_and_retained_is_seen_everywhere() {
    let mut cluster = Cluster::three();
    let mut subscribers: Vec<Client> = (0..3)
        .map(|number| {
            let mut client = cluster.node(number).clean(5, &format!("subscriber {number}"));
            client.subscribe("kelp/+/depth", 1);
            client.subscribe("end", 1);
            client
        })
        .collect();
    for number in 0..3 {
        let mut publisher = cluster.node(number).clean(5, &format!("publisher {number}"));
        for message in 0..20 {
            publisher.store(&format!("kelp/{message}/depth"), format!("{number} {message}").as_bytes());
        }
        publisher.publish(&Message::new(&format!("state/{number}"), 1, b"on").id(9).retained());
        assert!(publisher.expect(wire::PUBACK).reason() < 0x80);
    }
    cluster.node(1).clean(5, "last").store("end", b"end");
    for subscriber in &mut subscribers {
        // The end may come by another partition before the rest.
        let mut seen = Vec::new();
        while seen.len() < 61 {
            let message = subscriber.expect_message();
            subscriber.send(&wire::ack(wire::PUBACK, message.id));
            seen.push(message);
        }
        let mut seen = payloads(&seen);
        seen.sort();
        let mut expected: Vec<String> =
            (0..3).flat_map(|node| (0..20).map(move |message| format!("{node} {message}"))).collect();
        expected.push("end".to_owned());
        expected.sort();
        assert_eq!(seen, expected);
        subscriber.expect_silence();
    }
    for number in 0..3 {
        let mut late = cluster.node(number).clean(5, "late");
        late.subscribe("state/#", 1);
        let mut topics: Vec<String> = (0..3).map(|_| late.expect_message().topic).collect();
        topics.sort();
        assert_eq!(topics, ["state/0", "state/1", "state/2"]);
    }
}

#[test]
fn a_durable_session_moves_with_its_backlog_and_its_unacknowledged_messages() {
    let mut cluster = Cluster::three();
    let (mut diver, present) = cluster.node(0).durable(5, "diver");
    assert!(!present);
    diver.subscribe("kelp/#", 1);
    cluster.node(1).clean(5, "publisher").store("kelp/a", b"first");
    let unacknowledged = diver.expect_message();
    // Its node dies with it, so the identifier may have been committed or not.
    cluster.kill(0);
    cluster.wait_well();
    store(cluster.node(1).mqtt, "kelp/a", b"second");
    let (mut diver, present) = connect(cluster.node(2).mqtt, Connect::durable("diver"));
    assert!(present, "the session is on no node in particular");
    let again = diver.expect_message();
    assert_eq!((again.topic.as_str(), &again.payload), ("kelp/a", &unacknowledged.payload));
    if again.dup {
        assert_eq!(again.id, unacknowledged.id);
    }
    diver.send(&wire::ack(wire::PUBACK, again.id));
    let next = diver.expect_message();
    assert_eq!(next.payload, b"second");
    // A clean stop of the connection leaves its window where another node finds it.
    drop(diver);
    cluster.start(0);
    let (mut diver, present) = connect(cluster.node(0).mqtt, Connect::durable("diver"));
    assert!(present);
    let again = diver.expect_message();
    assert_eq!((again.payload, again.dup, again.id), (b"second".to_vec(), true, next.id));
    diver.send(&wire::ack(wire::PUBACK, again.id));
    diver.expect_silence();
}

/// How far a QoS 2 exchange of the client went before its node died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Publish,
    Pubrec,
    Pubrel,
    Pubcomp,
}

const STEPS: [Step; 4] = [Step::Publish, Step::Pubrec, Step::Pubrel, Step::Pubcomp];

#[test]
fn a_qos_2_message_is_stored_once_whichever_step_its_node_dies_at() {
    let mut cluster = Cluster::three();
    let (mut subscriber, _) = connect(cluster.node(2).mqtt, Connect::durable("subscriber"));
    subscriber.subscribe("once", 2);
    for (number, step) in STEPS.into_iter().enumerate() {
        let dies = number % 2;
        let id = u16::try_from(number).expect("small") + 1;
        let message = Message::new("once", 2, format!("{step:?}").as_bytes()).id(id);
        let (mut publisher, _) = connect(cluster.node(dies).mqtt, Connect::durable("publisher"));
        publisher.publish(&message);
        if step != Step::Publish {
            assert_eq!(publisher.expect(wire::PUBREC).id(), id);
        }
        if matches!(step, Step::Pubrel | Step::Pubcomp) {
            publisher.send(&wire::ack(wire::PUBREL, id));
        }
        if step == Step::Pubcomp {
            publisher.expect(wire::PUBCOMP);
        }
        cluster.kill(dies);
        let (mut publisher, present) = connect(cluster.node(1 - dies).mqtt, Connect::durable("publisher"));
        assert!(present, "{step:?}");
        match step {
            Step::Publish => {
                publisher.publish(&message.dup());
                assert_eq!(publisher.expect(wire::PUBREC).id(), id);
            }
            Step::Pubrec | Step::Pubrel => {}
            Step::Pubcomp => continue_with(&mut cluster, dies),
        }
        if step != Step::Pubcomp {
            publisher.send(&wire::ack(wire::PUBREL, id));
            assert_eq!(publisher.expect(wire::PUBCOMP).id(), id, "{step:?}");
            continue_with(&mut cluster, dies);
        }
    }
    store(cluster.node(0).mqtt, "once", b"end");
    assert_eq!(payloads(&subscriber.drain_to(b"end")), STEPS.map(|step| format!("{step:?}")));
}

#[test]
fn a_qos_2_message_arrives_once_whichever_step_its_node_dies_at() {
    let mut cluster = Cluster::three();
    connect(cluster.node(0).mqtt, Connect::durable("subscriber")).0.subscribe("once", 2);
    for (number, step) in STEPS.into_iter().enumerate() {
        let dies = number % 2;
        let payload = format!("{step:?}");
        connect(cluster.node(2).mqtt, Connect::clean("publisher")).0.store_once(
            "once",
            1,
            payload.as_bytes(),
        );
        let (mut subscriber, present) = connect(cluster.node(dies).mqtt, Connect::durable("subscriber"));
        assert!(present, "{step:?}");
        let message = subscriber.expect_message();
        assert_eq!(message.payload, payload.as_bytes());
        if step != Step::Publish {
            subscriber.send(&wire::ack(wire::PUBREC, message.id));
        }
        if matches!(step, Step::Pubrel | Step::Pubcomp) {
            assert_eq!(subscriber.expect(wire::PUBREL).id(), message.id);
        }
        if step == Step::Pubcomp {
            subscriber.send(&wire::ack(wire::PUBCOMP, message.id));
        }
        cluster.kill(dies);
        let (mut subscriber, present) = connect(cluster.node(1 - dies).mqtt, Connect::durable("subscriber"));
        assert!(present, "{step:?}");
        cluster.wait_well();
        connect(cluster.node(2).mqtt, Connect::clean("publisher")).0.store_once("once", 1, b"end");
        // What comes again is the same message under the same identifier, or only its release.
        let (mut ended, mut unreleased) = (false, BTreeSet::new());
        while !ended || !unreleased.is_empty() {
            let packet = subscriber.expect_any();
            if packet.kind() == wire::PUBREL {
                subscriber.send(&wire::ack(wire::PUBCOMP, packet.id()));
                unreleased.remove(&packet.id());
                continue;
            }
            let again = packet.message(5);
            if again.payload == b"end" {
                ended = true;
            } else {
                assert!(matches!(step, Step::Publish | Step::Pubrec), "{step:?}: it was released");
                assert_eq!((again.dup, again.id, &again.payload), (true, message.id, &message.payload));
            }
            unreleased.insert(again.id);
            subscriber.send(&wire::ack(wire::PUBREC, again.id));
        }
        subscriber.expect_silence();
        continue_with(&mut cluster, dies);
    }
}

/// The node that died is back, and all is well.
fn continue_with(cluster: &mut Cluster, number: usize) {
    cluster.start(number);
    cluster.wait_well();
}

#[test]
fn a_takeover_waits_for_no_owner_that_lives_is_dead_or_is_frozen() {
    let mut cluster = Cluster::three();
    let (mut alive, _) = connect(cluster.node(0).mqtt, Connect::durable("diver"));
    alive.subscribe("kelp", 1);
    let (frozen, present) = connect(cluster.node(1).mqtt, Connect::durable("diver"));
    assert!(present);
    alive.expect_closed(TAKEN_OVER);

    cluster.node(1).signal("-STOP");
    let (killed, present) = connect(cluster.node(2).mqtt, Connect::durable("diver"));
    assert!(present);
    cluster.node(1).signal("-CONT");
    let mut frozen = frozen;
    let heard = frozen.hear(PATIENCE);
    assert!(!matches!(heard, Heard::Silence), "the one that was frozen hears that it is over");
    cluster.wait_well();

    cluster.kill(2);
    let (mut last, present) = connect(cluster.node(0).mqtt, Connect::durable("diver"));
    assert!(present);
    drop(killed);
    store(cluster.node(1).mqtt, "kelp", b"for the last one");
    assert_eq!(last.expect_message().payload, b"for the last one");
}

#[test]
fn what_an_owner_that_was_frozen_goes_on_to_publish_is_neither_kept_nor_acknowledged() {
    let mut cluster = Cluster::three();
    let (mut frozen, _) = connect(cluster.node(1).mqtt, Connect::durable("diver"));
    let (mut listener, _) = connect(cluster.node(0).mqtt, Connect::clean("listener"));
    listener.subscribe("kelp/#", 1);
    cluster.node(1).signal("-STOP");
    let (mut owner, _) = connect(cluster.node(2).mqtt, Connect::durable("diver"));
    // Enough topics for every partition; and the new owner has published to none of them.
    for id in 1..=20 {
        frozen.send(&Message::new(&format!("kelp/{id}"), 1, b"late").id(id).bytes(5));
    }
    cluster.node(1).signal("-CONT");
    loop {
        match frozen.hear(PATIENCE) {
            Heard::Packet(packet) if packet.kind() == wire::DISCONNECT => {}
            Heard::Closed => break,
            other => panic!("{other:?} for an owner that lost its session"),
        }
    }
    owner.store("kelp/21", b"the last");
    assert_eq!(listener.expect_message().payload, b"the last");
    listener.expect_silence();
}

#[test]
fn of_many_connects_with_one_id_on_three_nodes_one_is_left() {
    let mut cluster = Cluster::three();
    // Which hands over to which is a matter of luck: more rounds meet more ways.
    for _ in 0..4 {
        one_is_left(&mut cluster);
    }
}

fn one_is_left(cluster: &mut Cluster) {
    const EACH: usize = 34;
    let threads: Vec<_> = (0..3)
        .flat_map(|number| std::iter::repeat_n(cluster.node(number).mqtt, EACH))
        .map(|address| {
            std::thread::spawn(move || {
                let mut client = Client::open(address, 5);
                client.send_to_closed(&Connect::durable("one").bytes(5));
                let heard = client.hear(PATIENCE);
                let accepted =
                    matches!(heard, Heard::Packet(answer) if answer.kind() == wire::CONNACK && answer.body[1] == 0);
                accepted.then_some(client)
            })
        })
        .collect();
    let mut accepted: Vec<Client> =
        threads.into_iter().filter_map(|thread| thread.join().expect("no panic")).collect();
    assert!(!accepted.is_empty());
    // All others are closed in the end; until then they may answer a ping.
    eventually("one is left", || {
        accepted.retain_mut(|client| {
            client.send_to_closed(&wire::PINGREQ);
            matches!(client.hear(PATIENCE), Heard::Packet(packet) if packet.kind() == wire::PINGRESP)
        });
        accepted.len() <= 1
    });
    assert_eq!(accepted.len(), 1);
    accepted[0].expect_silence();
}

#[test]
fn the_will_of_a_node_that_dies_is_published_once() {
    let mut cluster = Cluster::three();
    let mut watcher = cluster.node(1).clean(5, "watcher");
    watcher.subscribe("wills/#", 1);
    let mut body = wire::string("MQTT");
    body.extend([5, 0x0e, 0x02, 0x58, 0]);
    body.extend(wire::string("willing"));
    body.push(0);
    body.extend(wire::string("wills/willing"));
    body.extend(wire::string("gone"));
    let mut willing = cluster.node(0).open(5);
    willing.send(&wire::packet(0x10, &body));
    assert_eq!(willing.expect(wire::CONNACK).body[1], 0);
    cluster.kill(0);
    let will = watcher.expect_message();
    assert_eq!((will.topic.as_str(), will.payload.as_slice()), ("wills/willing", &b"gone"[..]));
    watcher.send(&wire::ack(wire::PUBACK, will.id));
    cluster.start(0);
    cluster.wait_well();
    store(cluster.node(0).mqtt, "wills/end", b"end");
    assert_eq!(payloads(&watcher.drain_to(b"end")), [""; 0]);
}

/// A CONNECT with a will and a session that lasts an hour.
fn willing(id: &str) -> Vec<u8> {
    let mut body = wire::string("MQTT");
    body.extend([5, 0x0c, 0x02, 0x58, 5, 0x11, 0, 0, 0x0e, 0x10]);
    body.extend(wire::string(id));
    body.push(0);
    body.extend(wire::string("wills/willing"));
    body.extend(wire::string(id));
    wire::packet(0x10, &body)
}

#[test]
fn a_disconnect_from_one_node_is_heard_before_the_connect_to_another_that_follows() {
    let mut cluster = Cluster::three();
    let mut watcher = cluster.node(0).clean(5, "watcher");
    watcher.subscribe("wills/#", 1);
    for turn in 0..60 {
        let id = format!("haste-{turn}");
        let mut first = cluster.node(turn % 3).open(5);
        first.send(&willing(&id));
        assert_eq!(first.expect(wire::CONNACK).body[1], 0);
        let there = cluster.node((turn + 1) % 3);
        eventually("its owner is known there", || {
            ask(there, &format!("/api/v1/clients/{id}")).starts_with("HTTP/1.1 200")
        });
        let mut second = there.open(5);
        // Normal disconnection, Session Expiry Interval 0.
        first.send(&[wire::DISCONNECT, 7, 0, 5, 0x11, 0, 0, 0, 0]);
        assert_eq!(second.connect(Connect::durable(&id)), (false, 0), "{id}");
    }
    store(cluster.node(0).mqtt, "wills/end", b"end");
    assert_eq!(payloads(&watcher.drain_to(b"end")), [""; 0]);
}

#[test]
fn a_rolling_restart_loses_nothing() {
    let mut cluster = Cluster::three();
    connect(cluster.node(0).mqtt, Connect::durable("diver")).0.subscribe("kelp/#", 1);
    let mut stored = Vec::new();
    let mut number = 0;
    let mut some_more = |cluster: &mut Cluster, stored: &mut Vec<String>| {
        for node in cluster.running() {
            for _ in 0..3 {
                number += 1;
                store(
                    cluster.node(node).mqtt,
                    &format!("kelp/{}", number % 7),
                    format!("{number}").as_bytes(),
                );
                stored.push(number.to_string());
            }
        }
    };
    for restarted in 0..3 {
        some_more(&mut cluster, &mut stored);
        cluster.stop(restarted);
        some_more(&mut cluster, &mut stored);
        cluster.start(restarted);
        cluster.wait_well();
    }
    some_more(&mut cluster, &mut stored);
    let (mut diver, present) = connect(cluster.node(2).mqtt, Connect::durable("diver"));
    assert!(present);
    let mut seen = Vec::new();
    while seen.len() < stored.len() {
        let message = diver.expect_message();
        diver.send(&wire::ack(wire::PUBACK, message.id));
        seen.push(String::from_utf8(message.payload).expect("a number"));
        // A publish whose acknowledgement was lost was said again.
        seen.sort();
        seen.dedup();
    }
    stored.sort();
    assert_eq!(seen, stored);
}
