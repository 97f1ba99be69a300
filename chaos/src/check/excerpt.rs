//! The part of a history that a witness speaks of.

use crate::history::{History, Message, What};

/// The events about the messages and clients that `witness` names, with the weather between them: the last `most`.
pub fn excerpt(history: &History, witness: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = history
        .events
        .iter()
        .filter(|event| speaks_of(history, witness, &event.what))
        .map(|event| format!("{:.6} {}", event.at.as_secs_f64(), words(history, &event.what)))
        .collect();
    let skipped = lines.len().saturating_sub(most);
    if skipped > 0 {
        lines.drain(..skipped);
        lines.insert(0, format!("... {skipped} more before"));
    }
    lines
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
        What::Reused { .. } | What::Broken { .. } => true,
        What::Subscribed { .. } | What::Entry { .. } | What::Logged { .. } => false,
    }
}

fn name(history: &History, message: &Message) -> String {
    let topic = &history.topics[usize::from(message.topic)];
    let publisher = &history.publishers[usize::from(message.publisher)].name;
    format!("{topic} #{} of {publisher}", message.seq)
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
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::history::Event;

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
        assert_eq!(excerpt(&history, "something about one", 1)[0], "... 2 more before");
    }
}
