//! QoS 0 between the nodes of a cluster, against real processes.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::client::{Client, Heard};
use common::cluster::Cluster;
use common::eventually;
use common::wire::{Message, PUBLISH};

/// Enough to lie in partitions of every leader.
const TOPICS: usize = 32;

fn topic(number: usize) -> String {
    format!("plant/{number}/heat")
}

/// Everything that comes until so many messages are there; by topic, in order.
fn gather(client: &mut Client, count: usize) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::<String, Vec<String>>::new();
    for _ in 0..count {
        let message = client.expect_message();
        let payload = String::from_utf8(message.payload).expect("text");
        found.entry(message.topic).or_default().push(payload);
    }
    found
}

/// Three nodes of two workers each, every one of which leads partitions.
fn spread() -> Cluster {
    let mut cluster = Cluster::new(3, &["--partitions", "6"]);
    for number in 0..3 {
        cluster.home(number).configure("session_groups = 2\nworkers = 2\n");
        cluster.spawn(number);
    }
    (0..3).for_each(|number| cluster.wait_ready(number));
    cluster.wait_spread();
    cluster
}

#[test]
fn a_message_reaches_each_subscriber_once_and_in_order_wherever_both_are() {
    let mut cluster = spread();
    let mut subscribers: Vec<Client> = (0..3)
        .map(|number| {
            let mut client = cluster.node(number).clean(5, &format!("all-{number}"));
            client.subscribe("plant/+/heat", 0);
            client
        })
        .collect();
    let mut exact = cluster.node(1).clean(4, "exact");
    exact.subscribe(&topic(7), 1);
    for round in 0..20 {
        for number in 0..3 {
            let mut publisher = cluster.node(number).clean(4, &format!("publisher-{number}-{round}"));
            for at in 0..TOPICS {
                for step in 0..3 {
                    let payload = format!("{round}-{number}-{step}");
                    publisher.publish(&Message::new(&topic(at), 0, payload.as_bytes()));
                }
            }
            for subscriber in &mut subscribers {
                let found = gather(subscriber, 3 * TOPICS);
                let wanted: Vec<String> = (0..3).map(|step| format!("{round}-{number}-{step}")).collect();
                assert_eq!(found.len(), TOPICS);
                assert!(found.values().all(|payloads| *payloads == wanted), "{found:?}");
            }
            assert_eq!(gather(&mut exact, 3)[&topic(7)].len(), 3);
        }
    }
    for client in &mut subscribers {
        client.expect_silence();
    }
}

#[test]
fn a_publisher_goes_on_when_leaders_die_and_what_arrives_is_in_order() {
    let mut cluster = spread();
    let mut subscriber = cluster.node(0).clean(4, "listens");
    subscriber.subscribe("plant/+/heat", 0);
    let mut publisher = cluster.node(1).clean(4, "speaks");
    let mut last = vec![None; TOPICS];
    let mut sent = 0_u32;
    let mut speak = |publisher: &mut Client| {
        for at in 0..TOPICS {
            publisher.publish(&Message::new(&topic(at), 0, sent.to_string().as_bytes()));
        }
        sent += 1;
        sent
    };
    // Takes what is there; says the least that was heard of any topic.
    let mut listen = |subscriber: &mut Client, patience: Duration| -> Option<u32> {
        while let Heard::Packet(packet) = subscriber.hear(patience) {
            assert_eq!(packet.kind(), PUBLISH);
            let message = packet.message(4);
            let at: usize = message.topic.split('/').nth(1).and_then(|at| at.parse().ok()).expect("ours");
            let number: u32 = String::from_utf8_lossy(&message.payload).parse().expect("a number");
            assert!(last[at].is_none_or(|last| last < number), "{} after {:?}", number, last[at]);
            last[at] = Some(number);
        }
        last.iter().copied().min().flatten()
    };
    for _ in 0..50 {
        speak(&mut publisher);
    }
    assert_eq!(listen(&mut subscriber, Duration::from_secs(1)), Some(49));
    cluster.kill(2);
    eventually("every topic has a leader again", || {
        let newest = speak(&mut publisher) - 1;
        listen(&mut subscriber, Duration::from_millis(50)).is_some_and(|least| least + 5 > newest)
    });
    cluster.start(2);
    cluster.wait_spread();
    let newest = speak(&mut publisher) - 1;
    assert_eq!(listen(&mut subscriber, Duration::from_secs(1)), Some(newest));
}

#[test]
fn nothing_is_missed_that_is_published_anywhere_after_suback() {
    let mut cluster = spread();
    let mut publishers: Vec<Client> =
        (0..3).map(|number| cluster.node(number).clean(4, &format!("speaks-{number}"))).collect();
    for round in 0..100 {
        let mut subscriber = cluster.node(round % 3).clean(5, &format!("listens-{round}"));
        let filter = if round % 2 == 0 { topic(round) } else { format!("plant/{round}/#") };
        subscriber.subscribe(&filter, 0);
        for (number, publisher) in publishers.iter_mut().enumerate() {
            publisher.publish(&Message::new(&topic(round), 0, &[u8::try_from(number).expect("few")]));
        }
        let mut from: Vec<u8> = (0..3).map(|_| subscriber.expect_message().payload[0]).collect();
        from.sort_unstable();
        assert_eq!(from, [0, 1, 2]);
    }
}
