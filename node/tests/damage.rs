//! A damaged disk is said to be damaged, with the file, and is never taken for an empty one.

mod common;

use std::path::{Path, PathBuf};

use common::client::Heard;
use common::{Home, PATIENCE, files, wire};

const MESSAGES: usize = 200;

fn payload(number: usize) -> Vec<u8> {
    let mut bytes = format!("message {number:05} ").into_bytes();
    bytes.resize(2_000, b'x');
    bytes
}

/// A stopped node with retained messages, a durable session and its backlog. `starts` decides what is where: the
/// second start writes the first one's write-ahead log into a table.
fn filled(starts: usize) -> Home {
    let home = Home::new();
    let node = home.start();
    let (mut durable, _) = node.durable(5, "durable");
    durable.subscribe("kept/#", 1);
    drop(durable);
    let mut publisher = node.clean(5, "publisher");
    for number in 0..MESSAGES {
        publisher.store("kept/a", &payload(number));
    }
    for number in 0..20 {
        publisher.publish(&wire::Message::new(&format!("kept/{number}"), 1, b"r").id(9).retained());
        publisher.expect(wire::PUBACK);
    }
    node.stop();
    for _ in 1..starts {
        home.start().stop();
    }
    home
}

fn flip(path: &Path, part: f64) {
    let mut bytes = std::fs::read(path).expect("read");
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a small file"
    )]
    let at = (bytes.len() as f64 * part) as usize;
    for byte in &mut bytes[at..at + 4] {
        *byte ^= 0x55;
    }
    std::fs::write(path, bytes).expect("written");
}

fn name(path: &Path) -> String {
    path.file_name().expect("a file").to_string_lossy().into_owned()
}

/// A start on this home fails, and says of what.
fn assert_refused(home: &Home, what: &str) {
    let (code, text) = home.fails(&[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(what), "no {what} in: {text}");
    assert!(text.to_lowercase().contains("damage") || text.contains("No such file"), "{text}");
    assert!(!text.contains(" ready "), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn a_damaged_write_ahead_log_is_named_and_nothing_is_dropped() {
    let home = filled(1);
    let path = files(&home.data().join("log"), ".log").remove(0);
    let good = std::fs::read(&path).expect("read");
    for part in [0.1, 0.5] {
        std::fs::write(&path, &good).expect("written");
        flip(&path, part);
        // RocksDB does not say which file it is, only its own trace beside it does.
        let half = format!("{} is damaged", home.data().join("log").display());
        assert_refused(&home, &half);
        assert_refused(&home, &half);
    }
    std::fs::write(&path, &good).expect("written");
    let node = home.start();
    assert_eq!(backlog(&node), MESSAGES + 20, "what is repaired is whole");
}

/// How many messages of the durable session's backlog come, each of them right.
fn backlog(node: &common::Node) -> usize {
    let (mut durable, present) = node.durable(5, "durable");
    assert!(present);
    let mut count = 0;
    let mut numbers = 0;
    while count < MESSAGES + 20 {
        match durable.hear(PATIENCE) {
            Heard::Packet(packet) if packet.kind() == wire::PUBLISH => {
                let message = packet.message(5);
                if message.topic == "kept/a" {
                    assert_eq!(message.payload, payload(numbers), "in order and as published");
                    numbers += 1;
                } else {
                    assert_eq!(message.payload, b"r");
                }
                durable.send_to_closed(&wire::ack(wire::PUBACK, message.id));
                count += 1;
            }
            Heard::Packet(packet) if packet.first == wire::DISCONNECT => break,
            Heard::Closed => break,
            other => panic!("{other:?}"),
        }
    }
    count
}

#[test]
fn a_damaged_table_of_the_state_is_named() {
    let home = filled(1);
    let path = files(&home.data().join("state"), ".sst").remove(0);
    flip(&path, 0.2);
    assert_refused(&home, &name(&path));
}

#[test]
fn a_damaged_manifest_is_named() {
    for half in ["log", "state"] {
        let home = filled(1);
        let path = manifest(&home.data().join(half));
        flip(&path, 0.3);
        assert_refused(&home, &format!("{} is damaged", home.data().join(half).display()));
    }
}

fn manifest(dir: &Path) -> PathBuf {
    let current = std::fs::read_to_string(dir.join("CURRENT")).expect("read");
    dir.join(current.trim())
}

#[test]
fn a_lost_file_is_named() {
    let home = filled(2);
    for half in ["log", "state"] {
        let path = files(&home.data().join(half), ".sst").remove(0);
        let aside = home.data().join("aside");
        std::fs::rename(&path, &aside).expect("moved");
        assert_refused(&home, &name(&path));
        std::fs::rename(&aside, &path).expect("moved back");
    }
    assert_eq!(backlog(&home.start()), MESSAGES + 20);
}

#[test]
fn a_lost_log_is_not_taken_for_an_empty_one() {
    let home = filled(2);
    let path = home.data().join("log");
    let aside = home.data().join("aside");
    std::fs::rename(&path, &aside).expect("moved");
    let (code, text) = home.fails(&[]);
    assert_ne!(code, 0, "{text}");
    assert!(text.contains("its log is gone") && !text.contains("panicked"), "{text}");
    assert!(!path.exists(), "nothing was begun in its place");
    std::fs::rename(&aside, &path).expect("moved back");
    assert_eq!(backlog(&home.start()), MESSAGES + 20);
}

#[test]
fn a_lost_state_is_derived_again_from_the_log() {
    let home = filled(2);
    std::fs::remove_dir_all(home.data().join("state")).expect("removed");
    let node = home.start();
    let mut reader = node.clean(5, "reader");
    reader.subscribe("kept/7", 1);
    let retained = reader.expect_message();
    assert!(retained.retain && retained.payload == b"r", "{retained:?}");
    assert_eq!(backlog(&node), MESSAGES + 20);
}

#[test]
fn a_damaged_message_is_never_served() {
    let home = filled(2);
    let path = files(&home.data().join("log"), ".sst").remove(0);
    flip(&path, 0.5);
    let mut node = home.spawn(&[]);
    // Where the start reads that far it refuses; else whoever asks for the message ends the node.
    if let Some(line) = node.trace.wait(|line| line.contains(" ready ")) {
        let address =
            line.split_whitespace().find_map(|word| word.strip_prefix("mqtt=")).expect("an address");
        node.mqtt = address.parse().expect("an address");
        let came = backlog(&node);
        assert!(came < MESSAGES + 20, "the damage was not even seen");
    }
    let status = node.exit();
    assert_eq!(status.code(), Some(1), "{}", node.trace.text());
    let text = node.trace.text();
    assert!(text.contains("damaged") && text.contains(&name(&path)), "{text}");
}
