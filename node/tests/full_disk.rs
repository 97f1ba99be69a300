//! A full disk: new messages are refused with 0x97, reading goes on, and it ends when there is space again.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::client::{Client, Heard};
use common::cluster::{Cluster, leaders};
use common::{Home, Node, PATIENCE, eventually, wire};
use wire::Message;

const QUOTA_EXCEEDED: u8 = 0x97;
const SMALL: &str = "[storage]\nbytes_max = \"4MiB\"\nreserve_bytes = 0\n";

/// Publishes until it is refused; how many were taken.
fn fill(client: &mut Client, topic: &str) -> usize {
    let mut taken = 0;
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < until, "{taken} were taken and none refused");
        match client.try_store(topic, &[7; 16 * 1024]) {
            0 | 0x10 => taken += 1,
            QUOTA_EXCEEDED => return taken,
            reason => panic!("{reason:#x}"),
        }
    }
}

/// A node over its limit of bytes, with a backlog for `durable`; how many messages it has.
fn full() -> (Home, Node, usize) {
    let home = Home::new();
    home.configure(SMALL);
    let node = home.start();
    let (mut durable, _) = node.durable(5, "durable");
    durable.subscribe("kept/#", 1);
    drop(durable);
    let mut publisher = node.clean(5, "publisher");
    publisher.publish(&Message::new("retained", 1, b"from before").id(1).retained());
    publisher.expect(wire::PUBACK);
    let taken = fill(&mut publisher, "kept/a");
    assert!(taken > 100, "{taken}");
    (home, node, taken)
}

#[test]
fn new_messages_are_refused_with_a_reason_and_nothing_else_is() {
    let (_home, node, taken) = full();
    let mut five = node.clean(5, "five");
    assert_eq!(five.try_store("other", b"x"), QUOTA_EXCEEDED);
    five.publish(&Message::new("other", 2, b"x").id(2));
    let answer = five.expect(wire::PUBREC);
    assert_eq!((answer.id(), answer.reason()), (2, QUOTA_EXCEEDED));
    for version in [3, 4] {
        let mut old = node.clean(version, "old");
        old.publish(&Message::new("other", 1, b"x").id(1));
        assert_eq!(old.next(), None, "it cannot be told, so it is not acknowledged");
    }

    five.subscribe("live", 0);
    node.clean(4, "speaker").publish(&Message::new("live", 0, b"still"));
    assert_eq!(five.expect_message().payload, b"still");
    five.subscribe("retained", 1);
    let retained = five.expect_message();
    assert_eq!((retained.payload.as_slice(), retained.retain), (&b"from before"[..], true));

    let (mut durable, present) = node.durable(5, "durable");
    assert!(present);
    for _ in 0..taken {
        let message = durable.expect_message();
        durable.send(&wire::ack(wire::PUBACK, message.id));
    }
    durable.expect_silence();
}

#[test]
fn a_larger_limit_ends_it_and_what_was_acknowledged_is_there() {
    let (home, node, taken) = full();
    node.kill();
    home.configure("[storage]\nbytes_max = \"64MiB\"\nreserve_bytes = 0\n");
    let node = home.start();
    node.clean(5, "publisher").store("kept/b", b"after");
    let (mut durable, _) = node.durable(5, "durable");
    // A topic is in one partition; the two need not come in the order of their topics.
    let mut payloads = Vec::new();
    for _ in 0..=taken {
        let message = durable.expect_message();
        durable.send(&wire::ack(wire::PUBACK, message.id));
        payloads.push(message.payload);
    }
    assert!(payloads.contains(&b"after".to_vec()));
    durable.expect_silence();
}

/// A file system of 768 MiB in memory: RocksDB sets 70 MiB aside for each write-ahead log; unmounted when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, with the reason printed, where mounting is not allowed.
    fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).expect("a folder");
        let output =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=768m", "tmpfs"]).arg(path).output();
        match output {
            Ok(output) if output.status.success() => Some(Self(path.to_owned())),
            Ok(output) => skip(&String::from_utf8_lossy(&output.stderr)),
            Err(error) => skip(&error.to_string()),
        }
    }
}

fn skip<T>(reason: &str) -> Option<T> {
    eprintln!("skipped: a small file system cannot be mounted here: {}", reason.trim());
    None
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_file_system_is_refused_before_it_is_full_and_recovers_without_a_restart() {
    let home = Home::new();
    let Some(disk) = SmallDisk::mount(&home.data()) else { return };
    // What the store needs to write its memory out, and to begin the next write-ahead log, must fit the reserve.
    home.configure("[storage]\nreserve_bytes = \"160MiB\"\n");
    let mut node = home.start();
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![1; 504 * 1024 * 1024]).expect("there is room");
    let mut publisher = node.clean(5, "publisher");
    fill(&mut publisher, "a");
    assert!(node.running());
    std::fs::remove_file(&ballast).expect("removed");
    eventually("it takes messages again", || publisher.try_store("a", b"after") != QUOTA_EXCEEDED);
    node.stop();
}

#[test]
fn a_disk_that_takes_nothing_ends_the_node_with_1_and_loses_nothing_acknowledged() {
    let home = Home::new();
    let Some(disk) = SmallDisk::mount(&home.data()) else { return };
    home.configure("[storage]\nreserve_bytes = 0\n");
    let mut node = home.start();
    let (mut durable, _) = node.durable(5, "durable");
    durable.subscribe("kept", 1);
    drop(durable);
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![1; 664 * 1024 * 1024]).expect("there is room");
    let mut publisher = node.clean(5, "publisher");
    let mut acknowledged = 0_u32;
    loop {
        let mut payload = acknowledged.to_be_bytes().to_vec();
        payload.resize(64 * 1024, 3);
        publisher.send_to_closed(&Message::new("kept", 1, &payload).id(1).bytes(5));
        match publisher.hear(PATIENCE) {
            Heard::Packet(packet) if packet.kind() == wire::PUBACK => acknowledged += 1,
            Heard::Packet(packet) => assert_eq!(packet.first, wire::DISCONNECT),
            Heard::Closed => break,
            Heard::Silence => panic!("neither an answer nor an end: {}", node.trace.text()),
        }
    }
    assert_eq!(node.exit().code(), Some(1), "{}", node.trace.text());
    assert!(node.trace.text().to_lowercase().contains("no space left"), "{}", node.trace.text());
    std::fs::remove_file(&ballast).expect("removed");
    let node = home.start();
    let (mut durable, present) = node.durable(5, "durable");
    assert!(present);
    for number in 0..acknowledged {
        let message = durable.expect_message();
        assert_eq!(message.payload[..4], number.to_be_bytes());
        durable.send(&wire::ack(wire::PUBACK, message.id));
    }
}

/// All refuse new messages then, and go on leading what they led.
#[test]
fn leaders_stay_where_there_is_room_while_another_node_has_none() {
    let mut cluster = Cluster::three();
    cluster.wait_spread();
    cluster.stop(0);
    // So much is free nowhere.
    let settings = "session_groups = 2\nworkers = 1\n[storage]\nreserve_bytes = \"900TiB\"\n";
    cluster.home(0).configure(settings);
    cluster.start(0);
    let mut publisher = cluster.node(1).clean(5, "publisher");
    eventually("messages are refused", || publisher.try_store("a", b"x") == QUOTA_EXCEEDED);
    // Leaders are looked at each second.
    let mut seen = (leaders(cluster.node(1)), Instant::now());
    eventually("nobody moves a leader", || {
        let now = leaders(cluster.node(1));
        if now != seen.0 {
            seen = (now, Instant::now());
        }
        seen.1.elapsed() > Duration::from_secs(3)
    });
    assert_eq!(publisher.try_store("a", b"x"), QUOTA_EXCEEDED);
}
