//! Every acknowledged message arrives at every durable subscriber that was subscribed before it was sent.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::history::{History, Message, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut subscribed: HashMap<u16, Duration> = HashMap::new();
    let mut sent: HashMap<Message, Duration> = HashMap::new();
    let mut acked = Vec::new();
    let mut delivered: HashSet<(u16, Message)> = HashSet::new();
    for event in &history.events {
        match &event.what {
            What::Subscribed { subscriber } => {
                subscribed.entry(*subscriber).or_insert(event.at);
            }
            What::Sent(message) => {
                sent.entry(*message).or_insert(event.at);
            }
            What::Acked(message) => acked.push(*message),
            What::Delivered { subscriber, message, .. } => {
                delivered.insert((*subscriber, *message));
            }
            _ => {}
        }
    }
    let mut lost = Vec::new();
    for (subscriber, facts) in (0u16..).zip(&history.subscribers) {
        let Some(since) = subscribed.get(&subscriber).filter(|_| facts.group.is_none() && !facts.clean)
        else {
            continue;
        };
        for message in &acked {
            let due = sent.get(message).is_some_and(|at| at > since);
            if due && history.wants(subscriber, message.topic) && !delivered.contains(&(subscriber, *message))
            {
                lost.push((facts, *message));
            }
        }
    }
    lost.into_iter().map(|(facts, m)| format!("{} never reached {}", history.tell(m), facts.name)).collect()
}
