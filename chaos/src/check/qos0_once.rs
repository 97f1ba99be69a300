//! What is published at QoS 0 comes once or not at all.

use std::collections::HashSet;

use crate::history::{History, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut broken = Vec::new();
    for event in &history.events {
        let What::Delivered { subscriber, message, retained: false } = event.what else { continue };
        let publisher = &history.publishers[usize::from(message.publisher)];
        let facts = &history.subscribers[usize::from(subscriber)];
        if publisher.qos == 0 && !publisher.retain && !seen.insert((subscriber, message)) {
            let when = event.at.as_secs_f64();
            broken.push(format!("{} came again to {} at {when:.4} s", history.tell(message), facts.name));
        }
    }
    broken
}
