//! What is published at QoS 0 comes once or not at all: to a session that ends with its connection while that lasts, to
//! another while it is on one node. What is still on its way to a node when a session comes there, the session may have,
//! and so may a group whose messages another node has begun to give.

use std::collections::{BTreeMap, HashSet};

use crate::history::{History, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut places: BTreeMap<u16, (u64, u16)> = BTreeMap::new();
    let names = history.clients.iter();
    let known = |name: &String| history.subscribers.iter().position(|facts| facts.name == *name);
    let subscribers: Vec<Option<usize>> = names.map(known).collect();
    let mut broken = Vec::new();
    for event in &history.events {
        match event.what {
            What::Served { client, connection, node, .. } => {
                let Some(subscriber) = subscribers[usize::from(client)] else { continue };
                let before = places.insert(subscriber as u16, (connection, node));
                let clean = history.subscribers[subscriber].clean;
                if before.is_some_and(|(last, at)| node != at || clean && connection != last) {
                    seen.retain(|(to, _)| usize::from(*to) != subscriber);
                }
            }
            What::Delivered { subscriber, message, retained: false } => {
                let publisher = &history.publishers[usize::from(message.publisher)];
                let facts = &history.subscribers[usize::from(subscriber)];
                let once = publisher.qos == 0 && !publisher.retain && facts.group.is_none();
                if once && !seen.insert((subscriber, message)) {
                    let when = event.at.as_secs_f64();
                    let told = history.tell(message);
                    broken.push(format!("{told} came again to {} at {when:.4} s", facts.name));
                }
            }
            _ => {}
        }
    }
    broken
}
