//! Every payload that arrives is one that its publisher sent to that topic, byte for byte.

use std::collections::HashSet;

use crate::history::{History, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let sent: HashSet<_> = history
        .events
        .iter()
        .filter_map(|event| if let What::Sent(message) = &event.what { Some(*message) } else { None })
        .collect();
    let mut broken = Vec::new();
    for event in &history.events {
        match &event.what {
            What::Broken { subscriber, fault } => {
                let name = &history.subscribers[usize::from(*subscriber)].name;
                broken.push(format!("{name} at {:.4} s: {fault}", event.at.as_secs_f64()));
            }
            What::Delivered { subscriber, message, .. } if !sent.contains(message) => {
                let name = &history.subscribers[usize::from(*subscriber)].name;
                broken.push(format!("{} came to {name}, though it was never sent", history.tell(*message)));
            }
            What::Delivered { subscriber, message, .. } if !history.wants(*subscriber, message.topic) => {
                let name = &history.subscribers[usize::from(*subscriber)].name;
                broken.push(format!(
                    "{} came to {name}, which asked for no such topic",
                    history.tell(*message)
                ));
            }
            _ => {}
        }
    }
    broken
}
