//! What clients of a cluster of three see while one node, two or all are away.

mod common;

use common::client::{Client, Heard};
use common::cluster::Cluster;
use common::wire::{self, Connect, Message};
use common::{PATIENCE, eventually, files};

const SERVER_UNAVAILABLE: u8 = 0x88;
const USE_ANOTHER_SERVER: u8 = 0x9c;

/// What answers a CONNECT of a session that outlives its connection: Session Present, or the Reason Code.
fn try_connect(cluster: &mut Cluster, number: usize, id: &str) -> Result<(Client, bool), u8> {
    let mut client = cluster.node(number).open(5);
    client.send_to_closed(&Connect::durable(id).bytes(5));
    match client.hear(PATIENCE) {
        Heard::Packet(answer) if answer.kind() == wire::CONNACK => match answer.body[1] {
            0 => Ok((client, answer.body[0] == 1)),
            reason => Err(reason),
        },
        _ => Err(0),
    }
}

fn connect(cluster: &mut Cluster, number: usize, id: &str) -> (Client, bool) {
    let mut connected = None;
    eventually("the client is let in", || {
        connected = try_connect(cluster, number, id).ok();
        connected.is_some()
    });
    connected.expect("it is let in")
}

fn payload(client: &mut Client) -> String {
    let message = client.expect_message();
    if message.qos == 1 {
        client.send(&wire::ack(wire::PUBACK, message.id));
    }
    String::from_utf8(message.payload).expect("text")
}

#[test]
fn a_node_without_a_majority_acknowledges_nothing_and_sends_its_clients_away() {
    let mut cluster = Cluster::three();
    let (mut diver, _) = connect(&mut cluster, 0, "diver");
    diver.subscribe("kelp", 1);
    let (mut publisher, _) = connect(&mut cluster, 0, "publisher");
    publisher.store("kelp", b"with three");
    assert_eq!(payload(&mut diver), "with three");
    cluster.kill(1);
    cluster.kill(2);
    publisher.publish(&Message::new("kelp", 1, b"alone").id(7));
    // Nothing but the end of its lease comes, and no PUBACK before.
    publisher.expect_closed(USE_ANOTHER_SERVER);
    diver.expect_closed(USE_ANOTHER_SERVER);
    assert_eq!(try_connect(&mut cluster, 0, "another").err(), Some(SERVER_UNAVAILABLE));
    assert!(common::ask(cluster.node(0), "/readyz").starts_with("HTTP/1.1 503"));

    cluster.start(2);
    let (mut diver, present) = connect(&mut cluster, 0, "diver");
    assert!(present);
    let (mut publisher, present) = connect(&mut cluster, 2, "publisher");
    assert!(present);
    publisher.publish(&Message::new("kelp", 1, b"alone").id(7).dup());
    eventually("the repeat is acknowledged", || publisher.expect_any().kind() == wire::PUBACK);
    publisher.store("kelp", b"with two");
    // What was not acknowledged may have been kept and come twice; the rest comes once.
    let mut seen = vec![payload(&mut diver)];
    while seen.last().is_some_and(|last| last != "with two") {
        seen.push(payload(&mut diver));
    }
    seen.retain(|one| one != "with three");
    seen.dedup();
    assert_eq!(seen, ["alone", "with two"]);
}

#[test]
fn the_stop_of_one_node_disconnects_nobody_on_the_others() {
    let mut cluster = Cluster::three();
    let mut clients: Vec<Client> = [1, 2]
        .map(|number| {
            let mut client = cluster.node(number).clean(5, &format!("stays at {number}"));
            client.subscribe("kelp/#", 1);
            client
        })
        .into();
    for stopped in [0, 0] {
        cluster.stop(stopped);
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(&wire::PINGREQ);
            client.expect(wire::PINGRESP);
            client.subscribe(&format!("own/{number}"), 1);
        }
        for topic in ["kelp/a", "kelp/b", "kelp/c", "kelp/d", "kelp/e"] {
            let (mut publisher, _) = connect(&mut cluster, 1, "publisher");
            publisher.store(topic, topic.as_bytes());
            assert!(clients.iter_mut().all(|client| payload(client) == topic));
        }
        cluster.start(stopped);
        cluster.wait_well();
    }
    clients.iter_mut().for_each(Client::expect_silence);
}

#[test]
fn a_cluster_that_died_as_a_whole_comes_back_whole_in_any_order() {
    let mut cluster = Cluster::three();
    let (mut diver, _) = connect(&mut cluster, 0, "diver");
    diver.subscribe("kelp/#", 1);
    drop(diver);
    let mut stored = Vec::new();
    for (round, order) in [[2, 1, 0], [1, 0, 2], [0, 2, 1]].into_iter().enumerate() {
        let (mut publisher, _) = connect(&mut cluster, round, "publisher");
        let topic = format!("kelp/{round}");
        publisher.publish(&Message::new(&topic, 1, topic.as_bytes()).id(3).retained());
        publisher.expect(wire::PUBACK);
        stored.push(topic);
        for number in 0..3 {
            cluster.kill(number);
        }
        // Two are enough, and the third finds them.
        cluster.spawn(order[0]);
        cluster.start(order[1]);
        cluster.wait_ready(order[0]);
        cluster.start(order[2]);
        for number in 0..3 {
            let mut reader = cluster.node(number).clean(5, "reader");
            reader.subscribe("kelp/#", 1);
            let mut retained: Vec<String> = stored.iter().map(|_| payload(&mut reader)).collect();
            retained.sort();
            assert_eq!(retained, stored);
        }
    }
    let (mut diver, present) = connect(&mut cluster, 2, "diver");
    assert!(present);
    let mut seen: Vec<String> = stored.iter().map(|_| payload(&mut diver)).collect();
    seen.sort();
    assert_eq!(seen, stored);
}

#[test]
fn a_retained_message_is_replaced_and_removed_from_any_node_for_all() {
    let mut cluster = Cluster::three();
    for setter in 0..3 {
        let mut publisher = cluster.node(setter).clean(5, "publisher");
        let text = format!("set at {setter}");
        publisher.publish(&Message::new("state", 1, text.as_bytes()).id(1).retained());
        publisher.expect(wire::PUBACK);
        for reader in 0..3 {
            let mut client = cluster.node(reader).clean(5, "reader");
            client.subscribe("state", 1);
            assert_eq!(payload(&mut client), text, "at {reader}");
        }
        let mut publisher = cluster.node((setter + 1) % 3).clean(5, "publisher");
        publisher.publish(&Message::new("state", 1, b"").id(1).retained());
        publisher.expect(wire::PUBACK);
        for reader in 0..3 {
            let mut client = cluster.node(reader).clean(5, "reader");
            client.subscribe("state", 1);
            // What is retained would come before what is published now.
            publisher.store("state", b"now");
            assert_eq!(payload(&mut client), "now", "at {reader}");
        }
    }
}

#[test]
fn damage_on_the_disk_of_one_node_stops_that_one_and_no_other() {
    let mut cluster = Cluster::three();
    let (mut diver, _) = connect(&mut cluster, 1, "diver");
    diver.subscribe("kelp", 1);
    cluster.node(0).clean(5, "publisher").store("kelp", b"before");
    assert_eq!(payload(&mut diver), "before");
    cluster.kill(0);
    let file = files(&cluster.home(0).data().join("log"), ".log").remove(0);
    let mut bytes = std::fs::read(&file).expect("read");
    let middle = bytes.iter().rposition(|byte| *byte != 0).expect("it was written to") / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&file, bytes).expect("written");
    let status = cluster.spawn(0).exit();
    assert_eq!(status.code(), Some(1));
    let text = cluster.node(0).trace.text();
    let name = file.file_name().expect("a file").to_string_lossy().into_owned();
    assert!(text.contains("is damaged") && text.contains(&name), "{text}");
    let (mut publisher, _) = connect(&mut cluster, 2, "publisher");
    publisher.store("kelp", b"after");
    assert_eq!(payload(&mut diver), "after");
    diver.expect_silence();
}
