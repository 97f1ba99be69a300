//! A will is published once: when it is due it reaches every durable subscriber, and never a second time.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::history::{History, Message, SubscriberFacts, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut subscribed: HashMap<u16, Duration> = HashMap::new();
    let mut due: Vec<(Message, Duration)> = Vec::new();
    let mut came: HashSet<(u16, Message)> = HashSet::new();
    let mut broken = Vec::new();
    for event in &history.events {
        match &event.what {
            What::Subscribed { subscriber } => {
                subscribed.entry(*subscriber).or_insert(event.at);
            }
            What::WillDue(will) => due.push((*will, event.at)),
            What::Delivered { subscriber, message, retained: false }
                if history.publishers[usize::from(message.publisher)].will =>
            {
                let facts = &history.subscribers[usize::from(*subscriber)];
                if !came.insert((*subscriber, *message)) && facts.qos == 2 && facts.group.is_none() {
                    broken.push(format!("{} came again to {}", history.tell(*message), facts.name));
                }
            }
            _ => {}
        }
    }
    let sure = |facts: &SubscriberFacts| facts.group.is_none() && !facts.clean;
    for (subscriber, facts) in (0u16..).zip(&history.subscribers).filter(|(_, facts)| sure(facts)) {
        let Some(since) = subscribed.get(&subscriber) else { continue };
        let wanted = due.iter().filter(|(will, at)| at > since && history.wants(subscriber, will.topic));
        let lost = wanted.filter(|(will, _)| !came.contains(&(subscriber, *will)));
        broken.extend(lost.map(|(will, at)| {
            let when = at.as_secs_f64();
            format!("{}, due at {when:.4} s, never reached {}", history.tell(*will), facts.name)
        }));
    }
    broken
}
