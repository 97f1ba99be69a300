//! Who takes part: publishers of every QoS, durable and clean subscribers with filters of every kind, groups that
//! share, clients with wills, and clients that fight for one client id.

use std::ops::Range;

use super::actor::{Actor, Manner, Role};
use super::publisher::Publisher;
use super::reader::Reader;
use super::subscriber::Subscriber;
use super::testament::Testament;
use crate::history::{History, PublisherFacts, SubscriberFacts};
use crate::seed::Seed;
use crate::wire::Level;

/// A publisher: name, QoS, RETAIN, topics, how it comes and goes.
type Publishing = (&'static str, u8, bool, Range<u16>, Manner);
/// A subscriber: name, filters, QoS, Share Name, clean.
type Subscribing = (&'static str, &'static [&'static str], u8, Option<&'static str>, bool);
/// A client with a will: name, seconds of delay, clean.
type Dying = (&'static str, u32, bool);

/// A list of parts.
struct Play {
    topics: &'static [&'static str],
    publishers: &'static [Publishing],
    subscribers: &'static [Subscribing],
    mortals: &'static [Dying],
    reader: bool,
}

/// One broker, killed: everybody is durable.
const KILL: Play = Play {
    topics: &[
        "plain/0/0",
        "plain/1/0",
        "plain/0/1",
        "plain/1/1",
        "kept/0/0",
        "kept/0/1",
        "kept/1/0",
        "kept/1/1",
    ],
    publishers: &[
        ("pub-q1-a", 1, false, 0..4, Manner::Stays),
        ("pub-q1-b", 1, false, 0..4, Manner::Stays),
        ("pub-q2-a", 2, false, 0..4, Manner::Stays),
        ("pub-q2-b", 2, false, 0..4, Manner::Stays),
        ("keep-q1", 1, true, 4..6, Manner::Stays),
        ("keep-q2", 2, true, 6..8, Manner::Stays),
    ],
    subscribers: &[
        ("sub-exact-q1", &["plain/0/0", "plain/1/1"], 1, None, false),
        ("sub-exact-q2", &["plain/0/1", "plain/1/0", "kept/0/0"], 2, None, false),
        ("sub-all-q2", &["#"], 2, None, false),
        ("sub-plus-q1", &["plain/+/0", "kept/#"], 1, None, false),
        ("sub-away-q1", &["plain/#"], 1, None, false),
        ("sub-away-q2", &["+/1/+"], 2, None, false),
        ("member-0", &["plain/#"], 1, Some("crew"), false),
        ("member-1", &["plain/#"], 1, Some("crew"), false),
        ("member-2", &["plain/#"], 1, Some("crew"), false),
    ],
    mortals: &[],
    reader: false,
};

/// A cluster in a storm. Two publishers of one name are two clients under one client id.
const STORM: Play = Play {
    topics: &[
        "plain/0/0",
        "plain/1/0",
        "plain/0/1",
        "plain/1/1",
        "plain/2/0",
        "plain/2/1",
        "kept/0/0",
        "kept/0/1",
        "kept/1/0",
        "kept/1/1",
        "twin/0",
        "twin/1",
        "will/now",
        "will/clean",
        "will/late",
    ],
    publishers: &[
        ("pub-q0", 0, false, 0..6, Manner::Stays),
        ("pub-q1-a", 1, false, 0..6, Manner::Stays),
        ("pub-q1-b", 1, false, 0..6, Manner::Stays),
        ("pub-q2-a", 2, false, 0..6, Manner::Stays),
        ("pub-q2-b", 2, false, 0..6, Manner::Stays),
        ("keep-q1", 1, true, 6..8, Manner::Stays),
        ("keep-q2", 2, true, 8..10, Manner::Stays),
        ("twin-a", 1, false, 10..12, Manner::Fights),
        ("twin-a", 1, false, 10..12, Manner::Fights),
        ("twin-b", 1, false, 10..12, Manner::Fights),
        ("twin-b", 1, false, 10..12, Manner::Fights),
    ],
    subscribers: &[
        ("sub-exact-q1", &["plain/0/0", "plain/1/1", "twin/0"], 1, None, false),
        ("sub-exact-q2", &["plain/0/1", "plain/1/0", "kept/0/0"], 2, None, false),
        ("sub-all-q2", &["#"], 2, None, false),
        ("sub-plus-q1", &["plain/+/0", "kept/#", "will/+"], 1, None, false),
        ("sub-away-q1", &["plain/#", "twin/#"], 1, None, false),
        ("sub-away-q2", &["+/1/+", "will/#"], 2, None, false),
        ("clean-q0", &["plain/#"], 0, None, true),
        ("clean-q1", &["plain/+/1"], 1, None, true),
        ("clean-q2", &["#"], 2, None, true),
        ("crew-0", &["plain/#"], 1, Some("crew"), false),
        ("crew-1", &["plain/#"], 1, Some("crew"), false),
        ("crew-away", &["plain/#"], 1, Some("crew"), false),
        ("guard-0", &["plain/#"], 2, Some("guard"), false),
        ("guard-1", &["plain/#"], 2, Some("guard"), false),
        ("guard-away", &["plain/#"], 2, Some("guard"), false),
    ],
    mortals: &[("will-now", 0, false), ("will-clean", 0, true), ("will-late", 2, false)],
    reader: true,
};

/// The clients of a kill test, and what they are made for. `run` goes into their names.
pub(crate) fn for_kill(run: u64, rate: u32, seed: &mut Seed) -> (History, Vec<Actor>) {
    KILL.cast(run, rate, seed)
}

/// The same for a storm over a cluster.
pub(crate) fn for_storm(run: u64, rate: u32, seed: &mut Seed) -> (History, Vec<Actor>) {
    STORM.cast(run, rate, seed)
}

impl Play {
    fn cast(&self, run: u64, rate: u32, seed: &mut Seed) -> (History, Vec<Actor>) {
        let mut history = self.facts(run);
        let mut actors = Vec::new();
        for (index, part) in (0u16..).zip(self.publishers) {
            let level = level(index);
            let facts = history.publishers[usize::from(index)].clone();
            let topics =
                part.3.clone().map(|topic| (topic, history.topics[usize::from(topic)].clone())).collect();
            let (name, role) = (facts.name.clone(), Publisher::new(index, facts, level, topics));
            let role = Role::Publisher(role.with_rate(rate));
            actors.push(Actor { manner: part.4, ..actor(name, level, role, seed) });
        }
        for (index, facts) in (0u16..).zip(&history.subscribers) {
            let level = level(index);
            let role = Role::Subscriber(Subscriber::new(index, facts.clone(), level));
            let manner = if facts.name.contains("away") { Manner::Wanders } else { Manner::Stays };
            let clean = facts.clean;
            actors.push(Actor { manner, clean, ..actor(facts.name.clone(), level, role, seed) });
        }
        for (number, (_, delay, clean)) in (0u16..).zip(self.mortals) {
            let publisher = self.publishers.len() as u16 + number;
            let topic = (self.topics.len() - self.mortals.len()) as u16 + number;
            let name = history.publishers[usize::from(publisher)].name.clone();
            let topic_name = &history.topics[usize::from(topic)];
            // Only 5.0 knows a delay.
            let level = if *delay > 0 { Level::V5 } else { level(number) };
            let testament = Some(Testament::new(publisher, topic, topic_name, *delay));
            let (manner, clean) = (Manner::Dies, *clean);
            actors.push(Actor { manner, clean, testament, ..actor(name, level, Role::Mortal, seed) });
        }
        if self.reader {
            let role = Role::Reader(Reader::default());
            let reader = actor(format!("chaos-{run:x}-reader"), Level::V5, role, seed);
            actors.push(Actor { manner: Manner::Wanders, clean: true, ..reader });
        }
        for actor in &mut actors {
            let known = history.clients.iter().position(|name| *name == actor.name);
            actor.client = known.unwrap_or(history.clients.len()) as u16;
            actor.first = known.is_none();
            if actor.first {
                history.clients.push(actor.name.clone());
            }
        }
        (history, actors)
    }

    /// Names, and what they are made for.
    fn facts(&self, run: u64) -> History {
        let name = |name: &str| format!("chaos-{run:x}-{name}");
        let topics = self.topics.iter().map(|topic| (*topic).to_owned()).collect();
        let publisher = |own: &str, qos, retain, will| PublisherFacts { name: name(own), qos, retain, will };
        let mut publishers: Vec<_> = self
            .publishers
            .iter()
            .map(|(own, qos, retain, ..)| publisher(own, *qos, *retain, false))
            .collect();
        publishers.extend(self.mortals.iter().map(|(own, ..)| publisher(own, 2, false, true)));
        let subscribers = self.subscribers.iter().map(|(own, filters, qos, group, clean)| SubscriberFacts {
            name: name(own),
            filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
            qos: *qos,
            group: group.map(str::to_owned),
            clean: *clean,
        });
        History::new(topics, publishers, subscribers.collect())
    }
}

fn actor(name: String, level: Level, role: Role, seed: &mut Seed) -> Actor {
    Actor {
        name,
        client: 0,
        level,
        clean: false,
        role,
        manner: Manner::Stays,
        testament: None,
        first: true,
        seed: seed.branch(),
        settled: false,
        abandoned: None,
    }
}

/// Both protocols, side by side.
fn level(index: u16) -> Level {
    if index.is_multiple_of(2) { Level::V5 } else { Level::V4 }
}
