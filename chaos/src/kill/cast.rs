//! Who takes part: topics that publishers of both QoS share, retained topics, filters of every kind.

use super::actor::{Actor, Role};
use super::publisher::Publisher;
use super::subscriber::Subscriber;
use crate::history::{History, PublisherFacts, SubscriberFacts};
use crate::seed::Seed;
use crate::wire::Level;

/// Topics of the plain publishers: each of them publishes to all.
const PLAIN_TOPICS: usize = 4;
/// Topics of each retaining publisher, which nobody else publishes to.
const KEPT_TOPICS: usize = 2;

/// Names, and what they are made for.
pub(super) fn facts(run: u64) -> History {
    let mut topics: Vec<String> = (0..PLAIN_TOPICS).map(|t| format!("plain/{}/{}", t % 2, t / 2)).collect();
    for keeper in 0..2 {
        topics.extend((0..KEPT_TOPICS).map(|t| format!("kept/{keeper}/{t}")));
    }
    let publisher = |name: &str, qos, retain| PublisherFacts {
        name: format!("chaos-{run:x}-{name}"),
        qos,
        retain,
        will: false,
    };
    let publishers = vec![
        publisher("pub-q1-a", 1, false),
        publisher("pub-q1-b", 1, false),
        publisher("pub-q2-a", 2, false),
        publisher("pub-q2-b", 2, false),
        publisher("keep-q1", 1, true),
        publisher("keep-q2", 2, true),
    ];
    let subscriber = |name: &str, filters: &[&str], qos| SubscriberFacts {
        name: format!("chaos-{run:x}-{name}"),
        filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
        qos,
        group: None,
        clean: false,
    };
    let mut subscribers = vec![
        subscriber("sub-exact-q1", &["plain/0/0", "plain/1/1"], 1),
        subscriber("sub-exact-q2", &["plain/0/1", "plain/1/0", "kept/0/0"], 2),
        subscriber("sub-all-q2", &["#"], 2),
        subscriber("sub-plus-q1", &["plain/+/0", "kept/#"], 1),
        subscriber("sub-away-q1", &["plain/#"], 1),
        subscriber("sub-away-q2", &["+/1/+"], 2),
    ];
    for member in 0..3 {
        let mut member = subscriber(&format!("member-{member}"), &["plain/#"], 1);
        member.group = Some("crew".to_owned());
        subscribers.push(member);
    }
    History::new(topics, publishers, subscribers)
}

/// The clients, one thread's worth of state each.
pub(super) fn actors(facts: &History, rate: u32, seed: &mut Seed) -> Vec<Actor> {
    let mut actors = Vec::new();
    for (index, publisher) in (0u16..).zip(&facts.publishers) {
        let keeper = usize::from(index).checked_sub(PLAIN_KINDS);
        let range = match keeper {
            None => 0..PLAIN_TOPICS,
            Some(k) => PLAIN_TOPICS + k * KEPT_TOPICS..PLAIN_TOPICS + (k + 1) * KEPT_TOPICS,
        };
        let topics = range.map(|t| (t as u16, facts.topics[t].clone())).collect();
        let level = level(index);
        let role = Publisher::new(index, publisher.clone(), level, topics).with_rate(rate);
        actors.push(Actor::new(&publisher.name, level, Role::Publisher(role), seed.branch()));
    }
    for (index, subscriber) in (0u16..).zip(&facts.subscribers) {
        let level = level(index);
        let role = Role::Subscriber(Subscriber::new(index, subscriber.clone(), level));
        let actor = Actor::new(&subscriber.name, level, role, seed.branch());
        actors.push(if subscriber.name.contains("away") { actor.wandering() } else { actor });
    }
    actors
}

/// Publishers that share the plain topics.
const PLAIN_KINDS: usize = 4;

/// Both protocols, side by side.
fn level(index: u16) -> Level {
    if index.is_multiple_of(2) { Level::V5 } else { Level::V4 }
}
