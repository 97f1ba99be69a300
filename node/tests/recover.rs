//! A majority is lost for good: what one directory has kept, and going on with it alone.

mod common;

use std::path::Path;
use std::process::Command;

use common::cluster::{Cluster, leaders};
use common::wire::{self, Message};
use common::{Home, Node, eventually, get};

const FAILED: i32 = 1;
const MISUSED: i32 = 2;
const ACCEPT: &str = "--i-accept-data-loss";

/// Runs `holdfast recover`: its exit code and all that it says.
fn recover(dir: &Path, flags: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    let done = command.args(["recover", "--data-dir"]).arg(dir).args(flags).output().expect("the program");
    let text = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (done.status.code().expect("it was not killed"), text)
}

fn says(node: &Node, word: &str) {
    assert!(node.trace.wait(|line| line.contains(word)).is_some(), "no {word:?}: {}", node.trace.text());
}

/// Logs in with a retained will, in a session that ends with the connection.
fn connect_willing(node: &Node) -> common::client::Client {
    let mut body = wire::string("MQTT");
    body.extend([5, 0x2e, 0, 0, 0]);
    body.extend(wire::string("willing"));
    body.push(0);
    body.extend(wire::string("wills/willing"));
    body.extend(wire::string("gone"));
    let mut client = node.open(5);
    client.send(&wire::packet(0x10, &body));
    assert_eq!(client.expect(wire::CONNACK).body[1], 0);
    client
}

#[test]
fn one_directory_of_three_goes_on_alone_and_the_others_are_not_let_in_again() {
    const MESSAGES: usize = 60;
    let mut cluster = Cluster::three();
    let (mut diver, _) = cluster.node(0).durable(5, "diver");
    diver.subscribe("kelp/#", 1);
    drop(diver);
    // What a client of this node has got is in this node's directory.
    let mut watcher = cluster.node(0).clean(5, "watcher");
    watcher.subscribe("kelp/#", 1);
    let willing = connect_willing(cluster.node(2));
    let mut publisher = cluster.node(1).clean(5, "publisher");
    for message in 0..MESSAGES {
        publisher.store(&format!("kelp/{}", message % 7), format!("{message}").as_bytes());
    }
    for _ in 0..MESSAGES {
        let message = watcher.expect_message();
        watcher.send(&wire::ack(wire::PUBACK, message.id));
    }
    eventually("node 1 knows of the will", || {
        get(cluster.node(0), "/api/v1/clients").contains("\"client_id\":\"willing\"")
    });
    for number in 0..3 {
        cluster.kill(number);
    }
    drop(willing);

    let dir = cluster.home(0).data();
    let (code, before) = recover(&dir, &[]);
    assert_eq!(code, 0, "{before}");
    for word in ["node 1 of cluster", "meta", "session group 2", "partition 3", ACCEPT, "Nothing was changed"]
    {
        assert!(before.contains(word), "no {word:?}: {before}");
    }
    assert_eq!(recover(&dir, &[]), (0, before), "an account changes nothing");
    let (code, text) = recover(&dir, &[ACCEPT]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("Node 1 goes on alone"), "{text}");

    // The seeds still name the two that are lost.
    cluster.start(0);
    let (mut diver, present) = cluster.node(0).durable(5, "diver");
    assert!(present);
    let mut seen: Vec<usize> = Vec::new();
    while seen.len() < MESSAGES {
        let message = diver.expect_message();
        diver.send(&wire::ack(wire::PUBACK, message.id));
        seen.push(String::from_utf8(message.payload).expect("a number").parse().expect("a number"));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..MESSAGES).collect::<Vec<_>>());
    let mut watcher = cluster.node(0).clean(5, "watcher");
    watcher.subscribe("wills/#", 1);
    let will = watcher.expect_message();
    assert_eq!((will.topic.as_str(), will.payload.as_slice()), ("wills/willing", &b"gone"[..]));
    assert!(!get(cluster.node(0), "/api/v1/clients").contains("willing"), "its session has ended");

    // Both come back with what they had: they are a majority of what was.
    for number in 1..3 {
        cluster.spawn(number);
        says(cluster.node(number), "the nodes belong to different clusters");
    }
    says(cluster.node(0), "the nodes belong to different clusters");
    let mut publisher = cluster.node(0).clean(5, "publisher");
    publisher.store("kelp/0", b"alone");
    assert_eq!(diver.expect_message().payload, b"alone");
    assert_eq!(leaders(cluster.node(0)), [1; 4]);
    diver.expect_silence();
    let (code, text) = recover(&dir, &[]);
    assert_eq!(code, MISUSED, "{text}");
    assert!(text.contains("is in use; stop its node first"), "{text}");

    // And the next start goes on as any.
    cluster.kill(0);
    cluster.start(0);
    assert!(cluster.node(0).durable(5, "diver").1);
    cluster.stop(0);
    let (code, text) = recover(&dir, &[ACCEPT]);
    assert_eq!(code, MISUSED, "{text}");
    assert!(text.contains("goes on alone already"), "{text}");
}

#[test]
fn an_account_alone_changes_nothing_and_what_cannot_be_recovered_is_named() {
    let blank = Home::new();
    let (code, text) = recover(&blank.data(), &[ACCEPT]);
    assert_eq!(code, MISUSED, "{text}");
    assert!(text.contains("holds no data of a node") && !blank.data().exists(), "{text}");

    let one = Home::new();
    one.start().stop();
    let (code, text) = recover(&one.data(), &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("there is nothing to recover"), "{text}");
    let (code, text) = recover(&one.data(), &[ACCEPT]);
    assert_eq!(code, MISUSED, "{text}");
    std::fs::remove_file(one.data().join("log/CURRENT")).expect("it was there");
    let (code, text) = recover(&one.data(), &[]);
    assert_eq!(code, MISUSED, "{text}");
    assert!(text.contains("its log is gone"), "{text}");
    std::fs::write(one.data().join("IDENTITY"), b"not json").expect("written");
    let (code, text) = recover(&one.data(), &[ACCEPT]);
    assert_eq!(code, MISUSED, "{text}");
    assert!(text.contains("IDENTITY is damaged"), "{text}");

    let mut cluster = Cluster::three();
    let mut publisher = cluster.node(0).clean(5, "publisher");
    publisher.publish(&Message::new("kelp", 1, b"deep").id(1).retained());
    publisher.expect(wire::PUBACK);
    for number in 0..3 {
        cluster.stop(number);
    }
    for number in 0..3 {
        let (code, text) = recover(&cluster.home(number).data(), &[]);
        assert_eq!(code, 0, "{text}");
    }
    cluster.start_all();
    let mut reader = cluster.node(2).clean(5, "reader");
    reader.subscribe("kelp", 1);
    assert_eq!(reader.expect_message().payload, b"deep");
    for number in 0..3 {
        cluster.kill(number);
    }
    let dir = cluster.home(1).data();
    let file = common::files(&dir.join("log"), ".log").remove(0);
    let mut bytes = std::fs::read(&file).expect("read");
    let middle = bytes.iter().rposition(|byte| *byte != 0).expect("it was written to") / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&file, bytes).expect("written");
    let (code, text) = recover(&dir, &[ACCEPT]);
    assert_eq!(code, FAILED, "{text}");
    assert!(text.contains("is damaged"), "{text}");
}
