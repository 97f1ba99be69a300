//! A durable session that is taken over again and again loses nothing and gets nothing of QoS 2 twice.

mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::client::{Client, Heard};
use common::{Home, wire};
use wire::{Connect, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, ack};

const TURNS: usize = 60;
/// The number behind the last one.
const END: u32 = u32::MAX;

/// What a subscriber keeps from one connection to the next, as the specification asks of it.
#[derive(Default)]
struct Memory {
    /// QoS 2 identifiers whose PUBREL has not come.
    unreleased: HashSet<u16>,
    once: Vec<u32>,
    at_least_once: Vec<u32>,
}

impl Memory {
    fn takes(&mut self, client: &mut Client, packet: &wire::Packet) {
        match packet.kind() {
            PUBLISH => {
                let message = packet.message(5);
                let number = u32::from_be_bytes(message.payload[..4].try_into().expect("four bytes"));
                if message.qos == 2 {
                    if self.unreleased.insert(message.id) {
                        self.once.push(number);
                    }
                    client.send_to_closed(&ack(PUBREC, message.id));
                } else {
                    self.at_least_once.push(number);
                    client.send_to_closed(&ack(PUBACK, message.id));
                }
            }
            PUBREL => {
                self.unreleased.remove(&packet.id());
                client.send_to_closed(&ack(PUBCOMP, packet.id()));
            }
            wire::DISCONNECT => assert_eq!(packet.reason(), 0x8e, "session taken over"),
            kind => panic!("{kind:#x}"),
        }
    }
}

/// Publishes numbers in turn at QoS 1 and 2 until told to stop; how many of each.
fn publish(address: std::net::SocketAddr, stop: &AtomicBool) -> u32 {
    let mut publisher = Client::open(address, 5);
    publisher.connect(Connect::clean("publisher"));
    let mut number = 0_u32;
    while !stop.load(Ordering::Acquire) {
        publisher.store("t/1", &number.to_be_bytes());
        publisher.store_once("t/2", 7, &number.to_be_bytes());
        number += 1;
    }
    number
}

#[test]
fn a_session_that_wanders_between_connections_is_whole() {
    let home = Home::new();
    let node = home.start();
    let (mut client, _) = node.durable(5, "mine");
    client.subscribe("t/+", 2);
    let stop = Arc::new(AtomicBool::new(false));
    let (address, stopped) = (node.mqtt, Arc::clone(&stop));
    let publisher = std::thread::spawn(move || publish(address, &stopped));
    let mut memory = Memory::default();
    for turn in 0..TURNS {
        for _ in 0..20 {
            match client.hear(Duration::from_millis(20)) {
                Heard::Packet(packet) => memory.takes(&mut client, &packet),
                Heard::Silence => {}
                Heard::Closed => panic!("turn {turn}: closed by whom?"),
            }
        }
        let mut next = node.open(5);
        if turn % 3 == 0 {
            // The old one is gone before the new one comes.
            drop(client);
            let (present, reason) = next.connect(Connect::durable("mine"));
            assert_eq!((present, reason), (true, 0), "turn {turn}");
        } else {
            let (present, reason) = next.connect(Connect::durable("mine"));
            assert_eq!((present, reason), (true, 0), "turn {turn}");
            // What had left before the takeover is taken in before anything of the new connection.
            loop {
                match client.hear(common::PATIENCE) {
                    Heard::Packet(packet) => memory.takes(&mut client, &packet),
                    Heard::Closed => break,
                    Heard::Silence => panic!("turn {turn}: the old connection stays open"),
                }
            }
        }
        client = next;
    }
    stop.store(true, Ordering::Release);
    let count = publisher.join().expect("it published");
    // What is sent again comes first, and of one topic everything in order: behind these two nothing comes.
    let mut last = node.clean(5, "last");
    last.store("t/1", &END.to_be_bytes());
    last.store_once("t/2", 1, &END.to_be_bytes());
    while !memory.once.contains(&END) || !memory.at_least_once.contains(&END) || !memory.unreleased.is_empty()
    {
        let packet = client.expect_any();
        memory.takes(&mut client, &packet);
    }
    client.expect_silence();
    let wanted: Vec<u32> = (0..count).chain([END]).collect();
    assert_eq!(memory.once, wanted, "QoS 2: once, in order");
    let (mut distinct, mut seen) = (Vec::new(), HashSet::new());
    for number in memory.at_least_once {
        if seen.insert(number) {
            distinct.push(number);
        }
    }
    assert_eq!(distinct, wanted, "QoS 1: all, first ones in order");
    assert!(memory.unreleased.is_empty());
}
