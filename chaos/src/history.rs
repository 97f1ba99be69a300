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
    /// A CONNECT of this client had no answer: whether it had its effect is not known.
    Unanswered {
        /// Client identifier.
        client: String,
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
    /// An answer that only the owner of a session may give reached this connection: CONNACK, SUBACK, or the first
    /// acknowledgement of a PUBLISH.
    Served {
        /// Index into [`History::clients`].
        client: u16,
        /// Number of the connection.
        connection: u64,
        /// The node at its other end, counted from 0.
        node: u16,
        /// When the packet that was answered was sent.
        began: Duration,
    },
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
    /// A storm over a cluster did this.
    Struck(String),
    /// From now on no datagram goes both ways between these nodes (bits, from the lowest) and the others.
    Isolated(u64),
    /// That is over in this moment.
    Rejoined(u64),
    /// Whether every disk has room, from now on.
    Room(bool),
    /// A node's view of one partition, when it was asked.
    View(View),
    /// An entry of a Raft log, as it lay on a disk after the storm.
    Logged {
        /// The node, counted from 0.
        node: u16,
        /// The group.
        group: u32,
        /// Its index.
        index: u64,
        /// Its term.
        term: u64,
        /// Checksum of its bytes.
        sum: u32,
        /// Whether the node knew that it is committed.
        committed: bool,
    },
    /// A node has begun to send as the leader of a group. Seen from inside the broker.
    Led {
        /// The node, counted from 0.
        node: u16,
        /// The group.
        group: u32,
        /// The term.
        term: u64,
        /// What it has where something is known to be committed: index, and term of the entry if it has one. What it
        /// has cut off is not named.
        holds: Vec<(u64, Option<u64>)>,
    },
    /// A node knows that an entry is committed. Seen from inside the broker.
    Known {
        /// The node, counted from 0.
        node: u16,
        /// The group.
        group: u32,
        /// The term that the node is in.
        term: u64,
        /// Index of the entry.
        index: u64,
        /// Term of the entry.
        of: u64,
    },
    /// What a node has derived from the log of a group. Seen from inside the broker.
    Derived {
        /// The node, counted from 0.
        node: u16,
        /// The group.
        group: u32,
        /// Everything up to here is applied.
        index: u64,
        /// Checksum of what came of it.
        sum: u32,
    },
    /// A connection that lost its session to another node at this time is served on. Seen from inside the broker.
    Overdue {
        /// Number of the connection.
        connection: u64,
        /// The node, counted from 0.
        node: u16,
        /// When it lost its session.
        since: Duration,
    },
}

/// What a node says of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// The node, counted from 0.
    pub node: u16,
    /// Counts the lives of its process.
    pub life: u32,
    /// The partition.
    pub partition: u16,
    /// When it was asked.
    pub asked: Duration,
    /// The term.
    pub term: u64,
    /// The node that leads in this term, if it knows, counted from 0.
    pub leader: Option<u16>,
    /// The first message that is kept.
    pub first: u64,
    /// The number of the next message.
    pub next: u64,
    /// The committed index.
    pub committed: u64,
    /// The last index of its log.
    pub last: u64,
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
    /// Nodes of the cluster; 0 where they were not counted.
    pub nodes: u16,
    /// It ended before everything that was due could arrive, so what never came says nothing.
    pub cut_short: bool,
    /// Topic Names.
    pub topics: Vec<String>,
    /// Client identifiers, where [`What::Served`] was recorded.
    pub clients: Vec<String>,
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
    /// When a disk had no room, until what was refused then has been said again.
    no_room: Vec<(Duration, Duration)>,
}

/// For so long after a disk has room again, what was refused before may come late.
const LATE: Duration = Duration::from_secs(15);

impl History {
    /// A history in which nothing has happened yet.
    pub fn new(
        topics: Vec<String>,
        publishers: Vec<PublisherFacts>,
        subscribers: Vec<SubscriberFacts>,
    ) -> History {
        History { topics, publishers, subscribers, ..History::default() }
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

    /// When a message was sent for the first time.
    pub fn sent(&self, message: Message) -> Option<Duration> {
        self.times.get_or_init(|| self.times()).sent.get(&message).copied()
    }

    /// Whether a disk had no room at this time, or shortly before. A message that is refused, and said again because
    /// its refusal was lost, comes after what was sent behind it: there is no order to promise then.
    pub fn lacked_room(&self, at: Duration) -> bool {
        let times = self.times.get_or_init(|| self.times());
        times.no_room.iter().any(|(from, to)| (*from..*to).contains(&at))
    }

    /// The same for the time when one of these was sent.
    pub fn lacked_room_for(&self, messages: &[Message]) -> bool {
        messages.iter().any(|message| self.sent(*message).is_some_and(|at| self.lacked_room(at)))
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
                // What is under way when it begins is refused too.
                What::Room(false) => times.no_room.push((event.at.saturating_sub(LATE), Duration::MAX)),
                What::Room(true) => {
                    times.no_room.iter_mut().for_each(|(_, to)| *to = (*to).min(event.at + LATE));
                }
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
