//! A subscriber that does not read costs disk, not memory, and slows nobody down.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::client::Heard;
use common::{Home, Node, wire};
use wire::Message;

const MIB: u64 = 1024 * 1024;
const PAYLOAD: usize = 16 * 1024;
/// 200 MiB of them.
const FLOOD: usize = 200 * 1024 * 1024 / PAYLOAD;
/// A third of what one copy of the flood would take.
const GROWTH_MAX: u64 = 64 * MIB;

/// Publishes the flood while `reader` reads all of it.
fn flood(node: &Node, qos: u8, topic: &str) {
    let mut reader = node.clean(5, "reader");
    reader.subscribe(topic, qos);
    let address = node.mqtt;
    let topic = topic.to_owned();
    let came = Arc::new(AtomicUsize::new(0));
    let read = Arc::clone(&came);
    let publisher = std::thread::spawn(move || {
        let mut publisher = common::client::Client::open(address, 5);
        publisher.connect(wire::Connect::clean("publisher"));
        let payload = vec![5; PAYLOAD];
        let all = (0..FLOOD).map(|number| {
            // Half of what may wait for the reader: none of it is dropped, and none is read from the disk.
            while number > read.load(Ordering::Acquire) + 32 {
                std::thread::sleep(Duration::from_millis(1));
            }
            Message::new(&topic, qos, &payload)
        });
        if qos == 0 {
            all.for_each(|message| publisher.publish(&message));
            publisher.expect_silence();
        } else {
            publisher.store_all(all, 50);
        }
    });
    loop {
        // Asked before: after the silence there is nothing more to come.
        let over = publisher.is_finished();
        match reader.hear(Duration::from_secs(1)) {
            Heard::Packet(packet) => {
                came.fetch_add(1, Ordering::Release);
                if qos == 1 {
                    let id = packet.message(5).id;
                    reader.send(&wire::ack(wire::PUBACK, id));
                }
            }
            Heard::Silence if over => break,
            Heard::Silence => {}
            Heard::Closed => panic!("the reader reads and is closed"),
        }
    }
    publisher.join().expect("it published");
    assert_eq!(came.load(Ordering::Acquire), FLOOD, "others are disturbed");
}

/// Memory in use after a flood that five clients do not read, beyond the most that the same flood took before,
/// when everybody read: what RocksDB needs to write it down is in both, however slow the disk is.
fn growth(qos: u8) -> (Home, Node, u64) {
    let home = Home::new();
    home.configure("workers = 2\n[storage]\ntail_cache_bytes = \"8MiB\"\nmemtable_bytes = \"4MiB\"\n");
    let node = home.start();
    // With these every worker hears of everything, and so keeps its tail of the log in both floods.
    let mut others = Vec::new();
    for number in 0..4 {
        let mut client = node.clean(5, &format!("other {number}"));
        client.subscribe("elsewhere", qos);
        others.push(client);
    }
    flood(&node, qos, "flood/first");
    let before = node.rss_peak();
    let mut stuck = Vec::new();
    for number in 0..4 {
        let mut client = node.clean(5, &format!("stuck {number}"));
        client.subscribe("flood/#", qos);
        stuck.push(client);
    }
    let (mut durable, _) = node.durable(5, "stuck for long");
    durable.subscribe("flood/#", qos);
    flood(&node, qos, "flood/second");
    let after = node.rss();
    eprintln!("QoS {qos}: {} MiB at the most before, {} MiB after", before / MIB, after / MIB);
    drop(stuck);
    (home, node, after.saturating_sub(before))
}

#[test]
fn qos_0_to_clients_that_do_not_read_is_dropped_and_counted() {
    let (_home, node, grown) = growth(0);
    assert!(grown < GROWTH_MAX, "{} MiB more", grown / MIB);
    let page = common::get(&node, "/metrics");
    let dropped: f64 = page
        .lines()
        .filter(|line| line.starts_with("holdfast_messages_dropped_total"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!(dropped > 1_000.0, "{dropped}");
}

#[test]
fn qos_1_to_clients_that_do_not_read_waits_on_disk() {
    let (_home, node, grown) = growth(1);
    assert!(grown < GROWTH_MAX, "{} MiB more", grown / MIB);
    // All of it is still there for the one whose session lasts.
    let (mut durable, present) = node.durable(5, "stuck for long");
    assert!(present);
    node.clean(5, "last").store("flood/second", b"last");
    assert_eq!(durable.drain_to(b"last").len(), FLOOD);
}

#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    let home = Home::new();
    home.configure("[mqtt]\noutgoing_bytes_max = \"64KiB\"\n");
    let node = home.start();
    let (mut durable, _) = node.durable(5, "durable");
    let mut clean = node.clean(4, "clean");
    let before = node.rss();
    let mut unknown = wire::ack(wire::PUBREC, 9).repeat(100_000);
    unknown.extend(wire::PINGREQ.repeat(100_000));
    for client in [&mut durable, &mut clean] {
        client.stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a socket");
        // 60 MB, unless the node takes none for so long: then it is as it should be.
        for _ in 0..100 {
            if std::io::Write::write_all(&mut client.stream, &unknown).is_err() {
                break;
            }
        }
    }
    let grown = node.rss().saturating_sub(before);
    eprintln!("{} MiB more", grown / MIB);
    assert!(grown < 24 * MIB, "{} MiB more", grown / MIB);
    let mut bystander = node.clean(5, "bystander");
    bystander.store("t", b"x");
    // Whoever reads again is served again.
    let mut answers = 0;
    while answers < 500_000 {
        match clean.hear(Duration::from_secs(10)) {
            Heard::Packet(_) => answers += 1,
            Heard::Closed => break,
            Heard::Silence => panic!("after {answers} answers"),
        }
    }
    assert!(answers > 1_000, "{answers}");
}
