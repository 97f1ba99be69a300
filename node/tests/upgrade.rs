//! Versions of different feature levels in one cluster, and upgrading it while clients go on.

mod common;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::client::{Client, Heard};
use common::cluster::Cluster;
use common::wire::{self, Connect, Message};
use common::{Node, PATIENCE, eventually, get};

/// What the cluster is at, and what each node knows, as one node sees it.
fn levels(node: &Node) -> (u64, Vec<u64>) {
    let text = get(node, "/api/v1/cluster");
    let at = text.find('{').expect("a body");
    let cluster: serde_json::Value = serde_json::from_str(text[at..].trim()).expect("json");
    let number = |value: &serde_json::Value| value["feature_level"].as_u64().expect("a number");
    (number(&cluster), cluster["nodes"].as_array().expect("nodes").iter().map(number).collect())
}

fn connect(address: SocketAddr, id: &str) -> Option<(Client, bool)> {
    let mut client = Client::try_open(address, 5)?;
    client.send_to_closed(&Connect::durable(id).bytes(5));
    match client.hear(PATIENCE) {
        Heard::Packet(answer) if answer.kind() == wire::CONNACK && answer.body[1] == 0 => {
            Some((client, answer.body[0] == 1))
        }
        _ => None,
    }
}

/// Publishes numbers one by one, to whichever node takes them, each until it is acknowledged.
struct Load {
    stop: Arc<AtomicBool>,
    doors: Arc<Mutex<Vec<SocketAddr>>>,
    thread: std::thread::JoinHandle<(u32, Duration)>,
}

impl Load {
    fn begin(doors: Vec<SocketAddr>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let doors = Arc::new(Mutex::new(doors));
        let (told, open) = (Arc::clone(&stop), Arc::clone(&doors));
        let thread = std::thread::spawn(move || {
            let (mut stored, mut longest, mut turn) = (0, Duration::ZERO, 0);
            let mut client = None;
            while !told.load(Ordering::Relaxed) {
                let began = Instant::now();
                loop {
                    if client.is_none() {
                        let doors = open.lock().expect("no panic").clone();
                        turn += 1;
                        client = connect(doors[turn % doors.len()], "publisher").map(|(client, _)| client);
                    }
                    if client.as_mut().is_some_and(|client| say(client, stored)) {
                        break;
                    }
                    client = None;
                }
                stored += 1;
                longest = longest.max(began.elapsed());
            }
            (stored, longest)
        });
        Self { stop, doors, thread }
    }

    fn set_doors(&self, cluster: &mut Cluster) {
        let running = cluster.running();
        let doors = running.into_iter().map(|number| cluster.node(number).mqtt).collect();
        *self.doors.lock().expect("no panic") = doors;
    }

    /// How many were stored, and the longest that one took.
    fn end(self) -> (u32, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic")
    }
}

/// Publishes a number at QoS 1. `false`: this connection did not acknowledge it.
fn say(client: &mut Client, number: u32) -> bool {
    let message = Message::new(&format!("kelp/{}", number % 7), 1, number.to_string().as_bytes());
    let id = u16::try_from(number % 60_000).expect("small") + 1;
    client.send_to_closed(&message.id(id).bytes(5));
    loop {
        match client.hear(PATIENCE) {
            Heard::Packet(packet) if packet.kind() == wire::PUBACK && packet.id() == id => {
                return packet.reason() < 0x80;
            }
            // The acknowledgement of one that was said again.
            Heard::Packet(packet) if packet.kind() == wire::PUBACK => {}
            _ => return false,
        }
    }
}

#[test]
fn a_rolling_upgrade_under_load_loses_nothing_and_there_is_no_way_back() {
    let mut cluster = Cluster::three();
    let (mut diver, _) = connect(cluster.node(0).mqtt, "diver").expect("it is let in");
    diver.subscribe("kelp/#", 1);
    drop(diver);
    assert_eq!(levels(cluster.node(1)), (1, vec![1; 3]));
    let doors = (0..3).map(|number| cluster.node(number).mqtt).collect();
    let load = Load::begin(doors);
    for number in 0..3 {
        // Whoever is told to stop lets its clients go first.
        cluster.stop(number);
        load.set_doors(&mut cluster);
        cluster.home(number).set_fault("feature-level=2");
        cluster.start(number);
        cluster.wait_well();
        load.set_doors(&mut cluster);
        if number < 2 {
            let (level, known) = levels(cluster.node(number));
            assert_eq!((level, known[number]), (1, 2), "not before the last");
        }
    }
    eventually("the level is raised", || {
        (0..3).all(|number| levels(cluster.node(number)) == (2, vec![2; 3]))
    });
    let (stored, longest) = load.end();
    // A stop hands leaders over, so nobody waits for a silence to be noticed: far below this, but for the machine.
    assert!(longest < Duration::from_secs(10), "a publish took {longest:?}");

    cluster.stop(1);
    cluster.home(1).set_fault("feature-level=1");
    let status = cluster.spawn(1).exit();
    assert_eq!(status.code(), Some(1));
    let text = cluster.node(1).trace.text();
    assert!(
        text.contains("the cluster is at feature level 2, and this version knows levels up to 1"),
        "{text}"
    );

    let (mut diver, present) = connect(cluster.node(2).mqtt, "diver").expect("it is let in");
    assert!(present);
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < stored as usize {
        let message = diver.expect_message();
        diver.send(&wire::ack(wire::PUBACK, message.id));
        seen.insert(String::from_utf8(message.payload).expect("a number").parse::<u32>().expect("a number"));
    }
    assert_eq!(seen, (0..stored).collect());
}

#[test]
fn a_node_that_knows_less_than_the_cluster_does_not_join_it() {
    let mut cluster = Cluster::three_with(|cluster| {
        (0..3).for_each(|number| cluster.home(number).set_fault("feature-level=3"));
    });
    eventually("the level is raised", || levels(cluster.node(0)) == (3, vec![3; 3]));
    let number = cluster.add();
    cluster.home(number).set_fault("feature-level=2");
    let status = cluster.spawn(number).exit();
    assert_eq!(status.code(), Some(1));
    let text = cluster.node(number).trace.text();
    assert!(
        text.contains("the cluster is at feature level 3, and this version knows levels up to 2"),
        "{text}"
    );
    cluster.home(number).set_fault("feature-level=4");
    cluster.start(number);
    eventually("it is one of them", || levels(cluster.node(0)) == (3, vec![3, 3, 3, 4]));
}
