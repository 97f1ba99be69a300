//! What absent sessions wait for: it costs nothing to keep, and comes fast and whole.

mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::wire::Message;
use common::{Home, Node};

const BACKLOG: usize = 100_000;
const TOPICS: usize = 100;

#[test]
fn a_large_backlog_behind_a_wildcard_comes_whole_in_order_and_fast_after_a_crash() {
    let home = Home::new();
    let node = home.start();
    node.durable(5, "absent").0.subscribe("plant/+/measured", 1);
    let mut publisher = node.clean(5, "publisher");
    let all = (0..BACKLOG).map(|number| {
        let topic = format!("plant/{}/measured", number % TOPICS);
        Message::new(&topic, 1, format!("{number} and some more that is measured").as_bytes())
    });
    publisher.store_all(all, 500);
    node.kill();
    let node = home.start();
    let opened = node.cpu_time();
    let (mut absent, present) = node.durable(5, "absent");
    assert!(present);
    node.clean(5, "last").store("plant/last/measured", b"last");
    let mut last: HashMap<String, usize> = HashMap::new();
    let (mut came, mut end) = (0, false);
    while came < BACKLOG || !end {
        let message = absent.expect_message();
        absent.send(&common::wire::ack(common::wire::PUBACK, message.id));
        if message.payload == b"last" {
            end = true;
            continue;
        }
        came += 1;
        let number =
            std::str::from_utf8(&message.payload).ok().and_then(|text| text.split(' ').next()?.parse().ok());
        let number: usize = number.expect("a number");
        let before = last.insert(message.topic.clone(), number);
        let wanted = before.map_or(number % TOPICS, |before| before + TOPICS);
        assert_eq!(number, wanted, "{}", message.topic);
    }
    let drained = node.cpu_time() - opened;
    eprintln!("{BACKLOG} messages: the node worked {opened:?} to open and {drained:?} to drain");
    absent.expect_silence();
    // Its own work, whatever else the machine has to do meanwhile.
    assert!(drained < Duration::from_secs(10), "{drained:?}");
    assert!(opened < Duration::from_secs(10), "{opened:?}");
}

/// Bytes written for each byte published while this many durable sessions are absent.
fn write_cost(absent: usize) -> f64 {
    let home = Home::new();
    let node = home.start();
    for number in 0..absent {
        let (mut client, _) = node.durable(5, &format!("absent {number}"));
        client.subscribe("t/#", 1);
    }
    let mut publisher = node.clean(5, "publisher");
    // One before: what the last detach wrote is written.
    publisher.store("t/0", b"x");
    let before = settled(&node);
    let payload = vec![b'x'; 1_024];
    let count = 5_000;
    publisher
        .store_all((0..count).map(|number| Message::new(&format!("t/{}", number % 10), 1, &payload)), 100);
    let written = node.bytes_written() - before;
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let cost = written as f64 / (count * payload.len()) as f64;
    cost
}

/// Bytes written so far, once nobody writes any more.
fn settled(node: &Node) -> u64 {
    let mut last = 0;
    common::eventually("it comes to rest", || {
        std::thread::sleep(Duration::from_millis(700));
        let now = node.bytes_written();
        let still = now - last < 4_096;
        last = now;
        still
    });
    last
}

#[test]
fn an_absent_session_costs_no_write_for_a_message() {
    let (none, hundred) = (write_cost(0), write_cost(100));
    eprintln!("bytes written for a byte published: {none:.2} without, {hundred:.2} with 100 absent sessions");
    assert!(hundred < none * 1.2, "{hundred:.2} against {none:.2}");
    assert!(none < 3.0, "{none:.2}");
}
