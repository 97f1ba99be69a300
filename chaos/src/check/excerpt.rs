//! The part of a history that a witness speaks of.

use std::time::Duration;

use crate::history::{Event, History, Message, What};

/// How far from the messages of a witness other things are still of interest.
const NEAR: Duration = Duration::from_secs(3);
/// The same for what the storm did.
const WEATHER: Duration = Duration::from_secs(15);

/// The events about the messages and clients that `witness` names, with the weather between them: `most` lines. What is
/// about its messages comes first, then the weather, then what is near to the messages.
pub fn excerpt(history: &History, witness: &str, most: usize) -> Vec<String> {
    let ranked: Vec<(u8, &Event)> = history
        .events
        .iter()
        .filter_map(|event| Some((rank(history, witness, &event.what)?, event)))
        .collect();
    let core: Vec<Duration> =
        ranked.iter().filter(|(rank, _)| *rank == 0).map(|(_, event)| event.at).collect();
    let near = |(rank, event): &(u8, &Event)| {
        let far = if *rank == 1 { WEATHER } else { NEAR };
        *rank == 0 || core.is_empty() || core.iter().any(|core| event.at.abs_diff(*core) < far)
    };
    let mut kept: Vec<(u8, &Event)> = ranked.into_iter().filter(near).collect();
    let all = kept.len();
    // Stable: within a rank the last ones stay, in their order.
    kept.reverse();
    kept.sort_by_key(|(rank, _)| *rank);
    kept.truncate(most);
    kept.sort_by_key(|(_, event)| event.at);
    let mut lines: Vec<String> = kept
        .iter()
        .map(|(_, event)| format!("{:.6} {}", event.at.as_secs_f64(), words(history, &event.what)))
        .collect();
    if all > lines.len() {
        lines.insert(0, format!("... {} more", all - lines.len()));
    }
    lines
}

/// Everything that clients and storm did, one event a line, without what only nodes said.
pub fn lines(history: &History) -> impl Iterator<Item = String> {
    let told = |event: &&Event| !is_inside(&event.what);
    let line = |event: &Event| format!("{:.6} {}", event.at.as_secs_f64(), words(history, &event.what));
    history.events.iter().filter(told).map(line)
}

/// What only nodes said.
fn is_inside(what: &What) -> bool {
    matches!(
        what,
        What::View(_)
            | What::Logged { .. }
            | What::Entry { .. }
            | What::Led { .. }
            | What::Known { .. }
            | What::Derived { .. }
    )
}

/// How much an event is to the point: 0 is most.
fn rank(history: &History, witness: &str, what: &What) -> Option<u8> {
    speaks_of(history, witness, what).then_some(match what {
        What::Connected { .. } | What::Unanswered { .. } | What::View(_) | What::Weather(_) => 2,
        What::Killed(_) | What::Struck(_) | What::Isolated(_) | What::Rejoined(_) | What::Room(_) => 1,
        _ => 0,
    })
}

fn speaks_of(history: &History, witness: &str, what: &What) -> bool {
    let named = |message: &Message| witness.contains(&name(history, message));
    match what {
        What::Sent(message) | What::Acked(message) | What::WillDue(message) | What::RetainedRead(message) => {
            named(message)
        }
        What::Delivered { message, .. } | What::RetainedSeen { message, .. } => named(message),
        What::Connected { client, .. }
        | What::Unanswered { client }
        | What::Opened { client, .. }
        | What::Closed { client, .. } => witness.contains(client.as_str()),
        What::Served { client, connection, .. } => {
            witness.contains(&format!("connection {connection} "))
                && witness.contains(history.clients[usize::from(*client)].as_str())
        }
        What::View(view) => witness.starts_with(&format!("partition {} ", view.partition)),
        What::Weather(weather) => !weather.starts_with("a reader"),
        What::Killed(_) | What::Struck(_) | What::Isolated(_) | What::Rejoined(_) | What::Room(_) => true,
        What::Reused { .. } | What::Broken { .. } | What::Overdue { .. } => true,
        What::Led { group, .. } | What::Known { group, .. } | What::Derived { group, .. } => {
            witness.starts_with(&format!("group {group} "))
        }
        What::Subscribed { .. } | What::Entry { .. } | What::Logged { .. } => false,
    }
}

fn name(history: &History, message: &Message) -> String {
    let topic = &history.topics[usize::from(message.topic)];
    let publisher = &history.publishers[usize::from(message.publisher)].name;
    format!("{topic} #{} of {publisher}", message.seq)
}

/// Nodes for a person, from one bit for each.
fn nodes(bits: u64) -> String {
    let nodes = (0..u64::BITS).filter(|node| bits & 1 << node != 0);
    let nodes: Vec<String> = nodes.map(|node| format!("node {}", node + 1)).collect();
    nodes.join(" and ")
}

/// An event for a person, where its own words are numbers.
fn words(history: &History, what: &What) -> String {
    let subscriber = |index: &u16| history.subscribers[usize::from(*index)].name.as_str();
    match what {
        What::Sent(message) => format!("sent {}", name(history, message)),
        What::Acked(message) => format!("acknowledged {}", name(history, message)),
        What::WillDue(message) => format!("due {}", name(history, message)),
        What::Delivered { subscriber: to, message, retained } => {
            let how = if *retained { ", retained" } else { "" };
            format!("delivered {} to {}{how}", name(history, message), subscriber(to))
        }
        What::Connected { client, session_present } => {
            format!("connected {client}, Session Present {}", u8::from(*session_present))
        }
        What::Unanswered { client } => format!("a CONNECT of {client} had no answer"),
        What::Served { client, connection, node, began } => format!(
            "answered {} on connection {connection} by node {} what it asked at {:.6}",
            history.clients[usize::from(*client)],
            node + 1,
            began.as_secs_f64()
        ),
        What::Struck(words) => format!("storm: {words}"),
        What::Killed(count) => format!("storm: kill {count}"),
        What::Isolated(bits) => format!("storm: no datagram goes to or from {}", nodes(*bits)),
        What::Rejoined(bits) => format!("storm: datagrams go to and from {} again", nodes(*bits)),
        What::Room(room) => {
            format!("storm: {}", if *room { "all disks have room" } else { "a disk has no room" })
        }
        What::RetainedRead(message) => format!("retained in the end: {}", name(history, message)),
        What::RetainedSeen { message, asked } => {
            format!("retained, asked for at {:.6}: {}", asked.as_secs_f64(), name(history, message))
        }
        What::View(view) => format!(
            "node {} says: partition {} in term {} is led by {}, committed {}, its own log ends at {}",
            view.node + 1,
            view.partition,
            view.term,
            view.leader.map_or("nobody".to_owned(), |leader| format!("node {}", leader + 1)),
            view.committed,
            view.last
        ),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::PublisherFacts;

    #[test]
    fn what_the_storm_did_long_before_a_message_is_left_out() {
        let publisher = PublisherFacts { name: "p".into(), qos: 1, retain: false, will: false };
        let mut history = History::new(vec!["t".into()], vec![publisher], Vec::new());
        let message = Message { publisher: 0, topic: 0, seq: 1 };
        let all = [(1, What::Room(true)), (90, What::Isolated(0b101)), (100, What::Sent(message))];
        history.events = all.map(|(at, what)| Event { at: Duration::from_secs(at), what }).into();
        let lines = excerpt(&history, "t #1 of p is lost", 10);
        let wanted =
            ["90.000000 storm: no datagram goes to or from node 1 and node 3", "100.000000 sent t #1 of p"];
        assert_eq!(lines, wanted);
    }

    #[test]
    fn an_excerpt_holds_the_weather_and_what_the_witness_names() {
        let mut history = History::new(vec!["t".into()], Vec::new(), Vec::new());
        let connected = |client: &str| What::Connected { client: client.into(), session_present: true };
        let all = [connected("one"), What::Struck("node 1 dies".into()), connected("two"), connected("one")];
        for (at, what) in (1..).zip(all) {
            history.events.push(Event { at: Duration::from_secs(at), what });
        }
        let lines = excerpt(&history, "something about one", 10);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[1], "2.000000 storm: node 1 dies");
        assert_eq!(
            excerpt(&history, "something about one", 1),
            ["... 2 more", "2.000000 storm: node 1 dies"]
        );
    }
}
