//! A group whose members all subscribe at QoS 2 gets what is published at QoS 2 once, by one of them.

use std::collections::HashMap;

use crate::history::{History, Message, SubscriberFacts, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut exact: HashMap<&str, bool> = HashMap::new();
    for SubscriberFacts { group, qos, clean, .. } in &history.subscribers {
        if let Some(group) = group {
            *exact.entry(group).or_insert(true) &= *qos == 2 && !clean;
        }
    }
    let mut seen: HashMap<(&str, Message), u16> = HashMap::new();
    let mut broken = Vec::new();
    for event in &history.events {
        let What::Delivered { subscriber, message, retained: false } = event.what else { continue };
        let facts = &history.subscribers[usize::from(subscriber)];
        let Some(group) = facts.group.as_deref().filter(|group| exact[group]) else { continue };
        if history.publishers[usize::from(message.publisher)].qos < 2 {
            continue;
        }
        if let Some(first) = seen.insert((group, message), subscriber) {
            let (first, when) = (&history.subscribers[usize::from(first)].name, event.at.as_secs_f64());
            broken.push(format!(
                "{} came to {} at {when:.4} s, and to {first} before",
                history.tell(message),
                facts.name
            ));
        }
    }
    broken
}
