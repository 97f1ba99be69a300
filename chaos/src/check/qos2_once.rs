//! A message that is published and subscribed at QoS 2 is handed to the subscriber's application once.

use std::collections::HashSet;

use crate::history::{History, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut broken = Vec::new();
    for event in &history.events {
        match &event.what {
            What::Delivered { subscriber, message, retained: false } => {
                let facts = &history.subscribers[usize::from(*subscriber)];
                let exact = facts.qos == 2 && history.publishers[usize::from(message.publisher)].qos == 2;
                // A group promises to lose nothing; which member gets a message again is its own affair.
                if exact && facts.group.is_none() && !seen.insert((*subscriber, *message)) {
                    let when = event.at.as_secs_f64();
                    broken.push(format!(
                        "{} came again to {} at {when:.4} s",
                        history.tell(*message),
                        facts.name
                    ));
                }
            }
            What::Reused { subscriber, packet_id, held, came } => broken.push(format!(
                "packet identifier {packet_id} of {} holds {} unreleased and came with {}",
                history.subscribers[usize::from(*subscriber)].name,
                history.tell(*held),
                history.tell(*came)
            )),
            _ => {}
        }
    }
    broken
}
