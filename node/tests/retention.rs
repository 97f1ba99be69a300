//! The hard limit wins over sessions that wait, and says so: a counted gap for an absent one, 0x97 for one that
//! ends with its connection.

mod common;

use common::{Home, eventually, get, wire};
use wire::{Connect, Message, PUBACK, ack};

const KIB: usize = 1024;

fn counted(page: &str, name: &str) -> f64 {
    page.lines()
        .filter(|line| line.starts_with(name))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[test]
fn what_the_hard_limit_takes_is_counted_and_the_rest_comes_in_order() {
    let home = Home::new();
    home.configure("partitions = 1\n[storage]\ntail_cache_bytes = \"1MiB\"\n[retention]\nbytes = \"1MiB\"\nhard_bytes = \"2MiB\"\n");
    let node = home.start();
    node.durable(5, "absent").0.subscribe("t", 1);
    // Connected, and stuck at its first message.
    let mut stuck = node.open(5);
    let one_at_a_time = [0x21, 0, 1];
    assert_eq!(stuck.connect(Connect { properties: &one_at_a_time, ..Connect::clean("stuck") }).1, 0);
    stuck.subscribe("t", 1);
    let mut publisher = node.clean(5, "publisher");
    publisher.publish(&Message::new("retained", 1, b"stays").id(1).retained());
    publisher.expect(PUBACK);
    let count = 8 * 1024_u32;
    let payload = |number: u32| {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.resize(KIB, b'.');
        bytes
    };
    publisher.store_all((0..count).map(|number| Message::new("t", 1, &payload(number))), 200);
    common::eventually("the log is cut", || counted_first(&get(&node, "/api/v1/cluster")) > 0);

    // What is still in memory comes; where something is missing it is told, and not left out.
    let mut next = 0_u32;
    while next < count {
        let packet = stuck.expect_any();
        if packet.first == wire::DISCONNECT {
            assert_eq!(packet.reason(), 0x97);
            break;
        }
        let message = packet.message(5);
        assert_eq!(message.payload[..4], next.to_be_bytes(), "a gap without a word");
        stuck.send(&ack(PUBACK, message.id));
        next += 1;
    }

    // What was still in memory is not any more.
    node.kill();
    let node = home.start();
    let (mut absent, present) = node.durable(5, "absent");
    assert!(present);
    let mut came = Vec::new();
    // The last message is never what the limit takes.
    while came.last() != Some(&(count - 1)) {
        let message = absent.expect_message();
        came.push(u32::from_be_bytes(message.payload[..4].try_into().expect("four bytes")));
        absent.send(&ack(PUBACK, message.id));
    }
    absent.expect_silence();
    let start = came[0];
    assert!(start > 0, "nothing was taken");
    assert_eq!(came, (start..count).collect::<Vec<u32>>());
    assert!(came.len() * KIB >= KIB * KIB, "at least what the soft limit keeps: {}", came.len());
    // Figures are shown once a second.
    eventually("what was taken is counted", || {
        let page = get(&node, "/metrics");
        let lost = counted(&page, "holdfast_messages_dropped_total{reason=\"retention_gap\"}");
        lost >= f64::from(start) - 1.0
    });

    let mut reader = node.clean(5, "reader");
    reader.subscribe("retained", 1);
    assert_eq!(reader.expect_message().payload, b"stays", "a retained message is no part of the log");
}

/// `first_offset` of the only partition.
fn counted_first(page: &str) -> u64 {
    let rest = page.split("\"first_offset\":").nth(1).expect("a partition");
    rest.trim_start()
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .and_then(|word| word.parse().ok())
        .expect("a number")
}
