//! Starting and stopping a process: what is refused, with which words and exit code, and what a stop leaves.

mod common;

use std::net::{TcpListener, UdpSocket};

use common::{Home, wire};

const MISUSED: i32 = 2;

fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    for flag in ["--mqtt", "--http"] {
        let (code, text) = home.fails(&[flag, &address]);
        assert_eq!(code, MISUSED, "{text}");
        assert_says(&text, &[&address, flag.trim_start_matches('-')]);
    }
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let (code, text) = home.fails(&["--cluster", &address]);
    assert_eq!(code, MISUSED, "{text}");
    assert_says(&text, &[&address]);
    assert!(!home.data().exists(), "a start that could not be leaves nothing");
}

#[test]
fn a_data_directory_in_use_is_named_and_its_node_serves_on() {
    let home = Home::new();
    let first = home.start();
    let mut client = first.clean(5, "first");
    let (code, text) = home.fails(&[]);
    assert_ne!(code, 0, "{text}");
    assert_says(&text, &[&home.data().display().to_string(), "in use"]);
    client.store("a", b"still here");
    first.clean(4, "second").store("a", b"and open");
    first.stop();
}

#[test]
fn a_data_directory_of_another_node_is_refused() {
    let home = Home::new();
    home.start_with(&["--node-id", "3"]).stop();
    let (code, text) = home.fails(&["--node-id", "4"]);
    assert_eq!(code, MISUSED, "{text}");
    assert_says(&text, &[&home.data().display().to_string(), "belongs to node 3"]);
    home.start_with(&["--node-id", "3"]).stop();
    home.start().stop();
}

#[test]
fn an_identity_that_is_damaged_newer_or_lost_is_refused() {
    let home = Home::new();
    home.start().stop();
    let path = home.data().join("IDENTITY");
    let good = std::fs::read_to_string(&path).expect("it was founded");
    let name = path.display().to_string();
    for (content, words) in [
        (&good[..good.len() / 2], "damaged"),
        ("", "damaged"),
        (&good.replace("\"format\": 1", "\"format\": 2"), "layout 2"),
    ] {
        std::fs::write(&path, content).expect("written");
        let (code, text) = home.fails(&[]);
        assert_eq!(code, MISUSED, "{text}");
        assert_says(&text, &[&name, words]);
    }
    std::fs::remove_file(&path).expect("removed");
    let (code, text) = home.fails(&[]);
    assert_eq!(code, MISUSED, "{text}");
    assert_says(&text, &[&home.data().display().to_string(), "not taken for an empty directory"]);
    assert!(!path.exists(), "no new identity for old data");
    std::fs::write(&path, good).expect("written");
    home.start().stop();
}

#[test]
fn every_mistake_of_a_configuration_is_reported_at_once() {
    let home = Home::new();
    home.configure(
        "surprise = 1\n[mqtt]\nrecieve_maximum = 5\ninflight_max = 0\n[storrage]\nfsync = \"never\"\n",
    );
    let (code, text) = home.fails(&[]);
    assert_eq!(code, MISUSED, "{text}");
    assert_says(&text, &["surprise", "recieve_maximum", "inflight_max", "storrage", "holdfast.toml"]);
    assert!(!home.data().exists(), "nothing was founded");
}

#[test]
fn what_this_version_cannot_do_is_refused() {
    let home = Home::new();
    for args in [&["--mqtts", "127.0.0.1:0"][..], &["--ws", "127.0.0.1:0"], &["--no-such-flag"]] {
        let (code, text) = home.fails(args);
        assert_eq!(code, MISUSED, "{args:?}: {text}");
        assert!(text.contains(args[0].trim_start_matches('-')), "{args:?}: {text}");
    }
    assert!(!home.data().exists(), "nothing was founded");
}

#[test]
fn a_door_to_the_world_wants_to_be_asked_for() {
    let home = Home::new();
    for flag in ["--mqtt", "--http"] {
        let (code, text) = home.fails(&[flag, "0.0.0.0:0"]);
        assert_eq!(code, MISUSED, "{text}");
        assert_says(&text, &["0.0.0.0:0", "allow"]);
    }
    home.start_with(&["--mqtt", "0.0.0.0:0", "--allow-anonymous"]).stop();
}

#[test]
fn a_stop_tells_every_client_and_ends_well() {
    let home = Home::new();
    for name in ["-TERM", "-INT"] {
        let mut node = home.start();
        let mut five = node.clean(5, "five");
        let mut four = node.clean(4, "four");
        let (mut durable, _) = node.durable(5, "durable");
        durable.subscribe("kept/#", 1);
        five.store("kept/a", name.as_bytes());
        let message = durable.expect_message();
        assert_eq!(message.payload, name.as_bytes());
        durable.send(&wire::ack(wire::PUBACK, message.id));
        let mut silent = node.open(5);
        silent.send(&[0x10]);
        node.signal(name);
        five.expect_closed(0x8b);
        durable.expect_closed(0x8b);
        four.expect_closed(0);
        assert_eq!(silent.next(), None);
        let status = node.exit();
        assert_eq!(status.code(), Some(0), "{}", node.trace.text());
    }
    let node = home.start();
    let (mut durable, present) = node.durable(5, "durable");
    assert!(present, "a stop loses no session");
    durable.expect_silence();
}

#[test]
fn a_second_signal_or_a_client_that_never_reads_does_not_keep_it_from_stopping() {
    let home = Home::new();
    home.configure("[shutdown]\ngrace = \"1s\"\n");
    let mut node = home.start();
    let mut deaf = node.clean(5, "deaf");
    deaf.subscribe("flood", 0);
    let mut publisher = node.clean(5, "publisher");
    let payload = vec![7; 64 * 1024];
    for _ in 0..200 {
        publisher.publish(&wire::Message::new("flood", 0, &payload));
    }
    publisher.expect_silence();
    node.signal("-TERM");
    node.signal("-INT");
    assert_eq!(node.exit().code(), Some(0), "{}", node.trace.text());
}
