//! What happened in a storm, as its clients saw it. The checkers read nothing else.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

/// An Application Message of the workload: which publisher sent it to which topic, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message {
    /// Index into [`History::publishers`].
    pub publisher: u16,
    /// Index into [`History::topics`].
    pub topic: u16,
    /// 1, 2, 3 and so on, for each publisher and topic.
    pub seq: u64,
}

/// A client that publishes.
#[derive(Clone, Debug)]
pub struct PublisherFacts {
    /// Client identifier.
    pub name: String,
    /// QoS of everything that it publishes; what is published at QoS 0 has no acknowledgement.
    pub qos: u8,
    /// Whether it sets RETAIN.
    pub retain: bool,
    /// Its messages are the wills of its connections, one for each.
    pub will: bool,
}

/// A client that subscribes.
#[derive(Clone, Debug)]
pub struct SubscriberFacts {
    /// Client identifier.
    pub name: String,
    /// Topic Filters, without any `$share` prefix. No two of them match the same topic.
    pub filters: Vec<String>,
    /// Maximum QoS of its subscriptions.
    pub qos: u8,
    /// Share Name of the group that it is a member of.
    pub group: Option<String>,
    /// Its session ends with its connection, so it may miss messages.
    pub clean: bool,
}

/// One thing that a client, or the storm itself, did or saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A CONNACK of success reached this client.
    Connected {
        /// Client identifier.
        client: String,
        /// Session Present flag.
        session_present: bool,
    },
    /// A SUBACK of success reached this subscriber, for all its filters.
    Subscribed {
        /// Index into [`History::subscribers`].
        subscriber: u16,
    },
    /// A PUBLISH was handed to the network for the first time.
    Sent(Message),
    /// A PUBACK or PUBREC of success for it reached the publisher.
    Acked(Message),
    /// A message reached a subscriber as a new one (QoS 2: its packet identifier was not in use).
    Delivered {
        /// Index into [`History::subscribers`].
        subscriber: u16,
        /// The message.
        message: Message,
        /// RETAIN flag: it came because of a subscription, not because it was published.
        retained: bool,
    },
    /// A PUBLISH reached a subscriber whose payload is not what any publisher sent to that topic.
    Broken {
        /// Index into [`History::subscribers`].
        subscriber: u16,
        /// What is wrong.
        fault: String,
    },
    /// A packet identifier came with another message before its first was released.
    Reused {
        /// Index into [`History::subscribers`].
        subscriber: u16,
        /// Packet Identifier.
        packet_id: u16,
        /// The message that holds it.
        held: Message,
        /// The message that came.
        came: Message,
    },
    /// The broker was killed for this time, counted from 1.
    Killed(u32),
    /// A fresh subscriber read this retained message after the storm.
    RetainedRead(Message),
    /// A fresh subscriber, which asked at this time, read this retained message while the storm lasted.
    RetainedSeen {
        /// The message.
        message: Message,
        /// When its SUBSCRIBE was sent.
        asked: Duration,
    },
    /// This will has to be published: its connection ended without DISCONNECT, and nothing keeps it back.
    WillDue(Message),
    /// The broker began to serve a connection of this client id. Seen from inside the broker.
    Opened {
        /// Client identifier.
        client: String,
        /// Number of the connection.
        connection: u64,
    },
    /// The broker serves this connection no more. Seen from inside the broker.
    Closed {
        /// Client identifier.
        client: String,
        /// Number of the connection.
        connection: u64,
    },
    /// An entry of the log, as it was read at this time. Seen from inside the broker.
    Entry {
        /// The partition.
        partition: u16,
        /// The offset of its first record.
        offset: u64,
        /// Checksum of its bytes.
        sum: u32,
    },
    /// The broker, or the world around it, did this.
    Weather(&'static str),
}

/// Something that happened, and when, counted from the start of the storm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Since the start.
    pub at: Duration,
    /// What happened.
    pub what: What,
}

/// Everything that happened, in order of time; each client's events are in the order in which it saw them.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Topic Names.
    pub topics: Vec<String>,
    /// Those who publish.
    pub publishers: Vec<PublisherFacts>,
    /// Those who subscribe.
    pub subscribers: Vec<SubscriberFacts>,
    /// What happened.
    pub events: Vec<Event>,
    times: OnceLock<Times>,
}

/// When messages were sent and acknowledged, and when the broker was killed; read once, when first told.
#[derive(Clone, Debug, Default)]
struct Times {
    sent: HashMap<Message, Duration>,
    acked: HashMap<Message, Duration>,
    killed: Vec<(u32, Duration)>,
}

impl History {
    /// A history in which nothing has happened yet.
    pub fn new(
        topics: Vec<String>,
        publishers: Vec<PublisherFacts>,
        subscribers: Vec<SubscriberFacts>,
    ) -> History {
        History { topics, publishers, subscribers, events: Vec::new(), times: OnceLock::new() }
    }

    /// Whether a filter of this subscriber matches this topic.
    pub fn wants(&self, subscriber: u16, topic: u16) -> bool {
        let name = &self.topics[usize::from(topic)];
        self.subscribers[usize::from(subscriber)].filters.iter().any(|filter| matches(filter, name))
    }

    /// A message in words, with when it was sent and acknowledged and the kill that came after it.
    pub fn tell(&self, message: Message) -> String {
        let times = self.times.get_or_init(|| self.times());
        let sent = times.sent.get(&message).copied();
        let acked = times.acked.get(&message).copied();
        let killed = sent.and_then(|sent| times.killed.iter().find(|(_, at)| *at >= sent));
        let mut words = format!(
            "{} #{} of {}",
            self.topics[usize::from(message.topic)],
            message.seq,
            self.publishers[usize::from(message.publisher)].name
        );
        let when = |at: Duration| format!("{:.4} s", at.as_secs_f64());
        words += &sent.map(|at| format!(", sent {}", when(at))).unwrap_or_default();
        words +=
            &acked.map(|at| format!(", acknowledged {}", when(at))).unwrap_or(", not acknowledged".into());
        words += &killed.map(|(k, at)| format!(", next kill {k} at {}", when(*at))).unwrap_or_default();
        words
    }

    fn times(&self) -> Times {
        let mut times = Times::default();
        for event in &self.events {
            match &event.what {
                What::Sent(message) => {
                    times.sent.entry(*message).or_insert(event.at);
                }
                What::Acked(message) => {
                    times.acked.entry(*message).or_insert(event.at);
                }
                What::Killed(round) => times.killed.push((*round, event.at)),
                _ => {}
            }
        }
        times
    }
}

/// Whether a Topic Filter matches a Topic Name that does not begin with `$`.
pub fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for part in filter.split('/') {
        match (part, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (part, Some(level)) if part == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_the_specification_says() {
        for filter in ["a/b", "a/+", "+/b", "a/#", "#", "a/b/#"] {
            assert!(matches(filter, "a/b"), "{filter}");
        }
        for filter in ["a", "a/b/c", "a/+/+", "b/#", "+"] {
            assert!(!matches(filter, "a/b"), "{filter}");
        }
    }
}
