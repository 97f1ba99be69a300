//! Nodes that come and go while clients go on.

mod common;

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use common::client::{Client, Heard};
use common::cluster::Cluster;
use common::wire::{self, Connect, Message};
use common::{Node, PATIENCE, eventually, get};

/// What each node leads, votes in and keeps, by its number; as one node sees it.
fn nodes(node: &Node) -> Vec<(u64, String, [u64; 3])> {
    let text = get(node, "/api/v1/cluster");
    let at = text.find('{').expect("a body");
    let cluster: serde_json::Value = serde_json::from_str(text[at..].trim()).expect("json");
    let number = |value: &serde_json::Value| value.as_u64().expect("a number");
    let nodes = cluster["nodes"].as_array().expect("nodes").iter().map(|node| {
        let counts = ["leads", "votes", "replicas"].map(|field| number(&node[field]));
        (number(&node["id"]), node["state"].as_str().expect("a state").to_owned(), counts)
    });
    nodes.collect()
}

/// All groups of such a cluster: one meta, two session groups, four partitions.
const GROUPS: u64 = 7;

fn holdfast(args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast")).args(args).output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().expect("not killed"), String::from_utf8_lossy(&text).into_owned())
}

/// The command on `node`, watched with the patience of a busy machine.
fn deed(asked: &Node, deed: &str, node: u64, more: &[&str]) -> (i32, String) {
    let (http, number) = (asked.http.to_string(), node.to_string());
    let mut args = vec![deed, number.as_str(), "--http", http.as_str()];
    args.extend(more);
    holdfast(&args)
}

/// Publishes numbers at QoS 1 to whichever node takes them, until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    stored: Arc<AtomicU32>,
    doors: Arc<Mutex<Vec<std::net::SocketAddr>>>,
    thread: std::thread::JoinHandle<()>,
}

impl Load {
    fn begin(cluster: &mut Cluster) -> Self {
        let doors = Arc::new(Mutex::new(Vec::new()));
        let (stop, stored) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (told, count, open) = (Arc::clone(&stop), Arc::clone(&stored), Arc::clone(&doors));
        let thread = std::thread::spawn(move || {
            let mut number = 0;
            while !told.load(Ordering::Relaxed) {
                let doors = open.lock().expect("no panic").clone();
                for door in doors {
                    if store(door, &format!("kelp/{}", number % 9), &number.to_string()) {
                        number += 1;
                        count.store(number, Ordering::Relaxed);
                    }
                }
            }
        });
        let load = Self { stop, stored, doors, thread };
        load.follow(cluster);
        load
    }

    /// Publishes to the nodes that run now.
    fn follow(&self, cluster: &mut Cluster) {
        let running = cluster.running();
        *self.doors.lock().expect("no panic") =
            running.into_iter().map(|number| cluster.node(number).mqtt).collect();
    }

    fn wait_for_more(&self) {
        let from = self.stored.load(Ordering::Relaxed);
        eventually("something is stored", || self.stored.load(Ordering::Relaxed) >= from + 5);
    }

    fn end(self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic");
        self.stored.load(Ordering::Relaxed)
    }
}

/// Whether a node acknowledged it. A refusal or a lost connection leaves it open, and it is said again.
fn store(door: std::net::SocketAddr, topic: &str, payload: &str) -> bool {
    let Some(mut client) = Client::try_open(door, 5) else { return false };
    client.send_to_closed(&Connect::clean("load").bytes(5));
    let accepted = |heard: Heard, kind: u8| match heard {
        Heard::Packet(packet) => packet.kind() == kind && (kind != wire::CONNACK || packet.body[1] == 0),
        _ => false,
    };
    if !accepted(client.hear(PATIENCE), wire::CONNACK) {
        return false;
    }
    client.send_to_closed(&Message::new(topic, 1, payload.as_bytes()).id(1).bytes(5));
    match client.hear(PATIENCE) {
        Heard::Packet(packet) => packet.kind() == wire::PUBACK && packet.reason() < 0x80,
        _ => false,
    }
}

/// Everything below `count` arrives at the durable client, wherever it connects.
fn assert_all_arrive(node: &Node, count: u32) {
    let (mut diver, present) = node.durable(5, "diver");
    assert!(present, "the session went with its cluster");
    let mut seen = vec![false; count as usize];
    while seen.iter().any(|seen| !seen) {
        let message = diver.expect_message();
        diver.send(&wire::ack(wire::PUBACK, message.id));
        let number: usize = String::from_utf8(message.payload).expect("text").parse().expect("a number");
        if let Some(place) = seen.get_mut(number) {
            *place = true;
        }
    }
}

#[test]
fn a_node_joins_while_another_stands_still() {
    for frozen in [0, 1] {
        let mut cluster = Cluster::three();
        let door = cluster.node(2).mqtt;
        for number in 0..40 {
            eventually("it is stored", || store(door, &format!("kelp/{number}"), "deep"));
        }
        cluster.node(frozen).signal("-STOP");
        // It serves with a copy of everything, from whoever answers.
        let joined = cluster.join();
        cluster.node(frozen).signal("-CONT");
        cluster.wait_well();
        let states = nodes(cluster.node(joined));
        assert!(states.iter().any(|(id, _, [.., replicas])| *id == 4 && *replicas == GROUPS), "{states:?}");
    }
}

#[test]
fn nodes_join_take_their_part_and_others_are_drained_and_removed_under_load() {
    let mut cluster = Cluster::three();
    cluster.node(0).durable(5, "diver").0.subscribe("kelp/#", 1);
    let load = Load::begin(&mut cluster);
    load.wait_for_more();
    let (fourth, fifth) = (cluster.join(), cluster.join());
    load.follow(&mut cluster);
    eventually("five nodes share the work", || {
        let seen = nodes(cluster.node(0));
        let votes: u64 = seen.iter().map(|(_, _, [_, votes, _])| votes).sum();
        seen.len() == 5
            && seen.iter().all(|(_, state, [_, votes, replicas])| {
                state == "alive" && *votes > 0 && *replicas == GROUPS
            })
            && seen.iter().filter(|(number, _, [leads, ..])| *number > 3 && *leads > 0).count() == 2
            // Three votes of each group, and five of the meta group.
            && votes == 3 * (GROUPS - 1) + 5
    });
    load.wait_for_more();
    let (code, text) = deed(cluster.node(1), "remove", 1, &[]);
    assert!(code == 1 && text.contains("is alive: drain it first"), "{text}");
    let (code, text) = deed(cluster.node(1), "drain", 1, &[]);
    assert!(code == 0 && text.contains("node 1 is drained"), "{text}");
    let drained = nodes(cluster.node(1)).into_iter().find(|(number, ..)| *number == 1).expect("it is there");
    assert_eq!((drained.1.as_str(), &drained.2[..2]), ("draining", &[0, 0][..]));
    assert!(!store(cluster.node(0).mqtt, "kelp/0", "4000000000"), "a drained node serves nobody");
    let (code, text) = deed(cluster.node(1), "remove", 1, &[]);
    assert!(code == 0 && text.contains("node 1 is removed"), "{text}");
    let said = cluster.ended(0);
    assert!(said.contains("node 1 was removed from its cluster"), "{said}");
    load.follow(&mut cluster);
    load.wait_for_more();
    assert_eq!(nodes(cluster.node(fourth)).len(), 4);
    let count = load.end();
    assert_all_arrive(cluster.node(fifth), count);
    // Its directory is of no use any more.
    cluster.spawn(0);
    let said = cluster.ended(0);
    assert!(said.contains("was removed from its cluster"), "{said}");
}

#[test]
fn a_dead_node_is_replaced_by_a_new_one_with_an_empty_disk() {
    let mut cluster = Cluster::three();
    cluster.node(0).durable(5, "diver").0.subscribe("kelp/#", 1);
    let load = Load::begin(&mut cluster);
    load.wait_for_more();
    cluster.kill(2);
    load.follow(&mut cluster);
    load.wait_for_more();
    // The same command line on an empty disk: a new node, and the old one is known to be another.
    cluster.wipe(2);
    load.follow(&mut cluster);
    let seen = nodes(cluster.node(0));
    assert_eq!(seen.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    eventually("the old one is known to be dead", || nodes(cluster.node(0))[2].1 == "dead");
    let (code, text) = deed(cluster.node(0), "remove", 3, &[]);
    assert!(code == 0 && text.contains("node 3 is removed"), "{text}");
    eventually("the new node has all the votes of the old one", || {
        let seen = nodes(cluster.node(1));
        seen.len() == 3 && seen.iter().all(|(_, _, counts)| counts[1..] == [GROUPS, GROUPS])
    });
    // So another one may die.
    cluster.kill(1);
    load.follow(&mut cluster);
    load.wait_for_more();
    let count = load.end();
    cluster.wait_well();
    assert_all_arrive(cluster.node(2), count);
}

#[test]
fn a_drained_node_of_three_keeps_its_votes_and_takes_its_part_again() {
    let mut cluster = Cluster::three();
    let (code, text) = deed(cluster.node(0), "drain", 9, &[]);
    assert!(code == 1 && text.contains("there is no node 9"), "{text}");
    let (code, text) = deed(cluster.node(0), "drain", 2, &[]);
    assert!(code == 0 && text.contains("its 7 votes stay"), "{text}");
    let (code, text) = deed(cluster.node(0), "remove", 2, &[]);
    assert!(code == 1 && text.contains("still votes in 7 groups"), "{text}");
    assert!(!store(cluster.node(1).mqtt, "kelp/0", "1"));
    // It is the third vote: one of the others may go.
    cluster.kill(0);
    eventually("the rest goes on", || store(cluster.node(2).mqtt, "kelp/0", "2"));
    let (code, text) = deed(cluster.node(2), "drain", 2, &["--undo"]);
    assert!(code == 0 && text.contains("takes its part again"), "{text}");
    eventually("it serves again", || store(cluster.node(1).mqtt, "kelp/0", "3"));
}

/// Nobody is left who founded the cluster, and the seeds are addresses of nodes that came later.
#[test]
fn founders_are_replaced_one_by_one_until_none_is_left() {
    let mut cluster = Cluster::three();
    for (place, old) in (0..3).zip(1..) {
        let other = (place + 1) % 3;
        cluster.kill(place);
        cluster.wipe(place);
        eventually("the old one is known to be dead", || {
            let seen = nodes(cluster.node(other));
            seen.iter().any(|(number, state, _)| *number == old && state == "dead")
        });
        let (code, text) = deed(cluster.node(other), "remove", old, &[]);
        assert!(code == 0, "{text}");
        eventually("the new node has all the votes of the old one", || {
            let seen = nodes(cluster.node(other));
            seen.len() == 3 && seen.iter().all(|(_, _, counts)| counts[1..] == [GROUPS, GROUPS])
        });
    }
    eventually("it serves", || store(cluster.node(0).mqtt, "kelp/0", "1"));
}
