//! The tokens that make a QoS 2 message count once go with the session that numbered it.

mod common;

use std::collections::BTreeSet;

use common::{Home, Node};
use holdfast_node::log::store::{Range, Space};
use holdfast_node::log::{RocksConfig, RocksStore, Store};

const TOPICS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Groups from here on are partitions.
const PARTITIONS: u32 = 1_000;

/// A durable session takes a QoS 2 message to each topic; its connection lives on.
fn publishes(node: &Node, id: &str) -> common::client::Client {
    let (mut client, _) = node.durable(5, id);
    for (number, topic) in (1..).zip(TOPICS) {
        client.store_once(topic, number, b"once");
    }
    client
}

/// The same client id begins anew, and everything that was owed before is done when this returns.
fn begins_anew(node: &Node, id: &str) {
    let mut fresh = node.clean(5, id);
    for _ in 0..3 {
        for topic in TOPICS {
            fresh.store(topic, b"behind");
        }
    }
}

/// Incarnations of the sessions whose tokens some partition keeps, once the node has stopped.
fn remembered(home: &Home) -> BTreeSet<u64> {
    let store = RocksStore::open(&home.data(), &RocksConfig::default()).expect("the node has stopped");
    let mut found = BTreeSet::new();
    let range = Range { space: Space::State, from: &[6], to: &[7] };
    let visit = &mut |key: &[u8], _: &[u8]| {
        let group = u32::from_be_bytes(key[1..5].try_into().expect("four bytes"));
        if group >= PARTITIONS && key[5] == b'k' {
            let incarnation = u64::from_be_bytes(key[6..].try_into().expect("eight bytes"));
            found.insert(incarnation);
        }
        true
    };
    store.scan(range, visit).expect("it can be read");
    found
}

#[test]
fn tokens_go_with_their_session_and_no_sooner() {
    let home = Home::new();
    let node = home.start();
    // One stays, one comes back while it is connected, one after it has gone.
    drop(publishes(&node, "stays"));
    let connected = publishes(&node, "connected");
    drop(publishes(&node, "gone"));
    node.stop();
    assert_eq!(remembered(&home).len(), 3, "each session has its tokens");
    drop(connected);

    let node = home.start();
    let connected = node.durable(5, "connected");
    begins_anew(&node, "connected");
    begins_anew(&node, "gone");
    drop(connected);
    node.stop();
    assert_eq!(remembered(&home).len(), 1, "that of the session that stays");
}

#[test]
fn tokens_of_a_session_that_ends_after_a_crash_go_too() {
    let home = Home::new();
    let node = home.start();
    let connected = publishes(&node, "a");
    node.kill();
    drop(connected);
    let node = home.start();
    begins_anew(&node, "a");
    node.stop();
    assert_eq!(remembered(&home), BTreeSet::new());
}
