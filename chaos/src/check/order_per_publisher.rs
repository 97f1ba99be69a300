//! First deliveries rise, for each subscriber, publisher and topic (a publisher here has one QoS).

use std::collections::{HashMap, HashSet};

use crate::history::{History, Message, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut newest: HashMap<(u16, u16, u16), Message> = HashMap::new();
    let mut broken = Vec::new();
    for event in &history.events {
        let What::Delivered { subscriber, message, retained: false } = &event.what else { continue };
        let facts = &history.subscribers[usize::from(*subscriber)];
        // Two members of a group see a stream side by side, so neither sees an order.
        // Who comes late may see a message of QoS 1 for the first time when it is sent again.
        let publisher = &history.publishers[usize::from(message.publisher)];
        let late = facts.clean && publisher.qos == 1;
        // A will belongs to its connection, and connections are taken in as they come.
        if facts.group.is_some() || publisher.will || late || !seen.insert((*subscriber, *message)) {
            continue;
        }
        let newest = newest.entry((*subscriber, message.publisher, message.topic)).or_insert(*message);
        if message.seq < newest.seq {
            let when = event.at.as_secs_f64();
            broken.push(format!(
                "{} came to {} at {when:.4} s, after #{}",
                history.tell(*message),
                facts.name,
                newest.seq
            ));
        } else {
            *newest = *message;
        }
    }
    broken
}
