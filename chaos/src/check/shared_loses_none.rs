//! The members of a shared subscription together get every acknowledged message that its filters match.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use crate::history::{History, Message, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut members: BTreeMap<&str, Vec<u16>> = BTreeMap::new();
    for (subscriber, facts) in (0u16..).zip(&history.subscribers) {
        if let Some(group) = &facts.group {
            members.entry(group).or_default().push(subscriber);
        }
    }
    let mut broken = Vec::new();
    for (group, members) in members {
        broken.extend(lost(history, &members).into_iter().map(|message| {
            format!("{} reached none of the {} members of {group}", history.tell(message), members.len())
        }));
    }
    broken
}

fn lost(history: &History, members: &[u16]) -> Vec<Message> {
    let mut since: Option<Duration> = None;
    let mut sent: HashMap<Message, Duration> = HashMap::new();
    let mut acked = Vec::new();
    let mut delivered = HashSet::new();
    for event in &history.events {
        match &event.what {
            What::Subscribed { subscriber } if members.contains(subscriber) => {
                since = since.or(Some(event.at));
            }
            What::Sent(message) => {
                sent.entry(*message).or_insert(event.at);
            }
            What::Acked(message) => acked.push(*message),
            What::Delivered { subscriber, message, .. } if members.contains(subscriber) => {
                delivered.insert(*message);
            }
            _ => {}
        }
    }
    let Some(since) = since else { return Vec::new() };
    let due = |m: &Message| history.wants(members[0], m.topic) && sent.get(m).is_some_and(|at| *at > since);
    acked.retain(|message| due(message) && !delivered.contains(message));
    acked
}
