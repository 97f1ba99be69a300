//! Who takes part in a simulation.

use super::client::{Client, Role, Testament};
use super::publisher::Publisher;
use super::subscriber::Subscriber;
use crate::history::{History, PublisherFacts, SubscriberFacts};
use crate::seed::Seed;
use crate::wire::Level;

/// Who does not wait for ever, where somebody does not.
const HASTY: &str = "pub-q1-b";
/// Topics of the plain publishers: each of them publishes to all.
const PLAIN_TOPICS: u16 = 4;
/// The first so many clients are publishers.
pub(super) const PUBLISHING: usize = PUBLISHERS.len();
/// Publishers: name, QoS, RETAIN, and the topics.
const PUBLISHERS: [(&str, u8, bool, std::ops::Range<u16>); 6] = [
    ("pub-q0", 0, false, 0..PLAIN_TOPICS),
    ("pub-q1-a", 1, false, 0..PLAIN_TOPICS),
    ("pub-q1-b", 1, false, 0..PLAIN_TOPICS),
    ("pub-q2", 2, false, 0..PLAIN_TOPICS),
    ("keep-q1", 1, true, 4..5),
    ("keep-q2", 2, true, 5..6),
];
/// Wills: name, seconds of delay, whether the session ends with the connection.
const MORTALS: [(&str, u32, bool); 3] =
    [("will-now", 0, false), ("will-clean", 0, true), ("will-late", 2, false)];
/// A subscriber: name, filters, QoS, Share Name, clean.
type Part = (&'static str, &'static [&'static str], u8, Option<&'static str>, bool);

const SUBSCRIBERS: [Part; 14] = [
    ("sub-exact-q1", &["plain/0/0", "plain/1/1"], 1, None, false),
    ("sub-exact-q2", &["plain/0/1", "kept/0/0"], 2, None, false),
    ("sub-all-q2", &["#"], 2, None, false),
    ("sub-plus-q1", &["plain/+/0", "kept/#"], 1, None, false),
    ("sub-away-q2", &["+/1/+", "will/#"], 2, None, false),
    ("clean-q0", &["plain/#"], 0, None, true),
    ("clean-q1", &["plain/+/1"], 1, None, true),
    ("clean-q2", &["#"], 2, None, true),
    ("member-0", &["plain/#"], 1, Some("crew"), false),
    ("member-1", &["plain/#"], 1, Some("crew"), false),
    ("member-2", &["plain/#"], 2, Some("crew"), false),
    ("guard-0", &["plain/#"], 2, Some("guard"), false),
    ("guard-1", &["plain/#"], 2, Some("guard"), false),
    ("guard-2", &["plain/#"], 2, Some("guard"), false),
];
/// So many of them take part where there is one node.
const SUBSCRIBERS_OF_ONE: usize = 11;

/// Names, and what they are made for.
pub(super) fn facts(nodes: usize) -> History {
    let mut topics: Vec<String> = (0..PLAIN_TOPICS).map(|t| format!("plain/{}/{}", t % 2, t / 2)).collect();
    topics.extend(["kept/0/0".to_owned(), "kept/1/0".to_owned()]);
    topics.extend(MORTALS.iter().map(|(name, ..)| format!("will/{name}")));
    let publisher =
        |name: &str, qos, retain, will| PublisherFacts { name: name.to_owned(), qos, retain, will };
    let mut publishers: Vec<_> =
        PUBLISHERS.iter().map(|(name, qos, retain, _)| publisher(name, *qos, *retain, false)).collect();
    publishers.extend(MORTALS.iter().map(|(name, ..)| publisher(name, 2, false, true)));
    let count = if nodes > 1 { SUBSCRIBERS.len() } else { SUBSCRIBERS_OF_ONE };
    let subscribers = SUBSCRIBERS[..count].iter().map(|(name, filters, qos, group, clean)| SubscriberFacts {
        name: (*name).to_owned(),
        filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
        qos: *qos,
        group: group.map(str::to_owned),
        clean: *clean,
    });
    History::new(topics, publishers, subscribers.collect())
}

/// The clients. `refused`: the disk may have no room. A refusal closes a connection of 3.1.1, and what was sent
/// behind it may have been taken by then, while the refused one comes again: publishers speak 5.0 there.
pub(super) fn clients(facts: &History, refused: bool, seed: &mut Seed) -> Vec<Client> {
    let mut clients = Vec::new();
    for (index, (name, qos, retain, topics)) in (0u16..).zip(PUBLISHERS) {
        let level = if refused { Level::V5 } else { level(seed) };
        let topics = topics.map(|topic| (topic, facts.topics[usize::from(topic)].clone())).collect();
        let role = Role::Publisher(Publisher::new(index, (qos, retain), level, topics));
        clients.push(Client::new(name.to_owned(), level, false, role));
    }
    for (index, subscriber) in (0u16..).zip(&facts.subscribers) {
        let level = level(seed);
        let role = Role::Subscriber(Subscriber::new(index, subscriber.clone(), level));
        let mut client = Client::new(subscriber.name.clone(), level, subscriber.clean, role);
        client.receive_maximum = [0, 1, 2, 5, 20][seed.below(5) as usize];
        clients.push(client);
    }
    for (number, (name, delay, clean)) in (0u16..).zip(MORTALS) {
        let level = if delay > 0 { Level::V5 } else { level(seed) };
        let mut client = Client::new(name.to_owned(), level, clean, Role::Mortal);
        let (publisher, topic) = (PUBLISHERS.len() as u16 + number, PLAIN_TOPICS + 2 + number);
        let topic_name = facts.topics[usize::from(topic)].clone();
        client.testament = Some(Testament { publisher, topic, name: topic_name, delay, seq: 0 });
        clients.push(client);
    }
    clients.push(reader("reader", false));
    for client in &mut clients {
        client.pings = seed.below(4) == 0;
    }
    clients
}

/// One of the publishers waits no longer for what is not answered soon, and takes it for lost.
pub(super) fn hasten(clients: &mut [Client]) {
    for client in clients.iter_mut().filter(|client| client.name == HASTY) {
        (client.hasty, client.clean) = (true, true);
        if let Role::Publisher(publisher) = &mut client.role {
            publisher.hasten();
        }
    }
}

/// A clean client that reads what is retained.
pub(super) fn reader(name: &str, last: bool) -> Client {
    let role = Role::Reader { asked: std::time::Duration::ZERO, last };
    Client::new(name.to_owned(), Level::V5, true, role)
}

fn level(seed: &mut Seed) -> Level {
    if seed.below(2) == 0 { Level::V4 } else { Level::V5 }
}
