//! Packets with a few wrong bits, cut short, repeated and out of order: the process lives, and serves others.

mod common;

use common::client::Heard;
use common::{Home, Node, wire};
use std::time::Duration;
use wire::{Connect, Message, ack, packet};

/// The same numbers in each run.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    fn id(&mut self) -> u16 {
        u16::try_from(self.next() % 6).expect("small")
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

fn any_packet(chance: &mut Chance, version: u8) -> Vec<u8> {
    let id = chance.id();
    let topic = chance.of(&["a", "a/b", "$share/g/a", "+", "", "a/#", "\u{fc}/\u{fc}", "$SYS/x"]);
    match chance.below(12) {
        0..4 => {
            let qos = chance.of(&[0, 1, 2, 2, 3]);
            let mut message = Message::new(topic, qos, b"some payload").id(id);
            message.retain = chance.below(3) == 0;
            message.dup = chance.below(3) == 0;
            let properties: &[&[u8]] =
                &[&[], &[0x23, 0, 1], &[0x02, 0, 0, 0, 1], &[0x26, 0, 1, b'a', 0, 1, b'b'], &[0x0b, 1]];
            message.properties(chance.of(properties)).bytes(version)
        }
        4 => ack(chance.of(&[wire::PUBACK, wire::PUBREC, wire::PUBREL, wire::PUBCOMP, 0x60]), id),
        5 => ack(wire::PUBREL, id),
        6 | 7 => wire::subscribe(version, id, topic, chance.of(&[0, 1, 2, 0x0e, 0x2d, 0xff])),
        8 => {
            let mut body = wire::short(id).to_vec();
            if version == 5 {
                body.push(0);
            }
            body.extend(wire::string(topic));
            packet(0xa2, &body)
        }
        9 => wire::PINGREQ.to_vec(),
        10 => packet(0xe0, chance.of(&[&[][..], &[4], &[0, 5, 0x11, 0, 0, 0, 9]])),
        _ => packet(chance.of(&[0xf0, 0x00, 0x10, 0x20, 0x90, 0xb0, 0xd0]), &[0, 0, 0]),
    }
}

fn damage(chance: &mut Chance, bytes: &mut Vec<u8>) {
    match chance.below(8) {
        0 => {
            let at = chance.below(bytes.len());
            bytes[at] ^= 1 << chance.below(8);
        }
        1 => bytes.truncate(chance.below(bytes.len()) + 1),
        2 => bytes.extend_from_within(..),
        3 if bytes.len() > 2 => {
            let at = chance.below(bytes.len());
            bytes.remove(at);
        }
        _ => {}
    }
}

/// One connection that says nonsense; it may be closed at any point.
fn babble(chance: &mut Chance, node: &Node) {
    let version = chance.of(&[3, 4, 5]);
    let mut client = node.open(version);
    let id = chance.of(&["one", "two", "three", ""]);
    let connect = if chance.below(2) == 0 { Connect::clean(id) } else { Connect::durable(id) };
    let mut bytes = connect.bytes(version);
    if chance.below(4) == 0 {
        damage(chance, &mut bytes);
    }
    for _ in 0..chance.below(20) {
        let mut more = any_packet(chance, version);
        damage(chance, &mut more);
        bytes.extend(more);
    }
    client.send_to_closed(&bytes);
    if chance.below(4) > 0 {
        // Some read a little of what they are told.
        while let Heard::Packet(_) = client.hear(Duration::from_millis(2)) {}
    }
}

#[test]
fn nonsense_neither_stops_the_node_nor_disturbs_others() {
    let home = Home::new();
    home.configure("partitions = 2\nsession_groups = 2\n[mqtt]\nreceive_maximum = 4\n");
    let mut node = home.start();
    let (mut witness, _) = node.durable(5, "witness");
    witness.subscribe("witness", 2);
    let mut publisher = node.clean(5, "publisher");
    let mut chance = Chance(0x5eed_0123_4567_89ab);
    for round in 0..60_u8 {
        for _ in 0..25 {
            babble(&mut chance, &node);
        }
        publisher.store_once("witness", 1, &[round]);
        let message = witness.expect_message();
        assert_eq!(message.payload, [round]);
        witness.send(&ack(wire::PUBREC, message.id));
        assert_eq!(witness.expect(wire::PUBREL).id(), message.id);
        witness.send(&ack(wire::PUBCOMP, message.id));
        let text = node.trace.text();
        assert!(node.running() && !text.contains("panicked"), "round {round}: {text}");
    }
    node.kill();
    let node = home.start();
    witness = node.durable(5, "witness").0;
    // The end of the last message may not have been recorded before the kill: then its PUBREL comes again, and
    // nothing else does.
    witness.send(&wire::PINGREQ);
    let mut heard = witness.expect_any();
    if heard.kind() == wire::PUBREL {
        witness.send(&ack(wire::PUBCOMP, heard.id()));
        heard = witness.expect_any();
    }
    assert_eq!(heard.kind(), wire::PINGRESP, "{heard:?}");
    node.stop();
}
