//! First deliveries rise, for each subscriber, publisher and topic (a publisher here has one QoS); at QoS 0, within what
//! was sent on one connection.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::history::{History, Message, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut seen = HashSet::new();
    let stints = Stints::of(history);
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
        if message.seq < newest.seq && !stints.may_pass(history, *message, *newest) {
            let when = event.at.as_secs_f64();
            broken.push(format!(
                "{} came to {} at {when:.4} s, after #{}",
                history.tell(*message),
                facts.name,
                newest.seq
            ));
        } else {
            *newest = (*newest).max(*message);
        }
    }
    broken
}

/// When publishers at QoS 0 came to a node: what they sent before may still be on its way by the old one.
struct Stints<'a>(HashMap<&'a str, Vec<Duration>>);

impl<'a> Stints<'a> {
    fn of(history: &'a History) -> Self {
        let mut stints: HashMap<&str, Vec<Duration>> = HashMap::new();
        for event in &history.events {
            if let What::Served { client, .. } = event.what {
                let name = history.clients[usize::from(client)].as_str();
                stints.entry(name).or_default().push(event.at);
            }
        }
        Stints(stints)
    }

    /// Whether no order is promised between an earlier message and a later one.
    fn may_pass(&self, history: &History, earlier: Message, later: Message) -> bool {
        let (Some(first), Some(last)) = (history.sent(earlier), history.sent(later)) else { return false };
        if history.lacked_room(first) || history.lacked_room(last) {
            return true;
        }
        let publisher = &history.publishers[usize::from(earlier.publisher)];
        // At QoS 0 nothing but CONNECT is answered.
        let came = self.0.get(publisher.name.as_str()).filter(|_| publisher.qos == 0);
        came.is_some_and(|came| came.iter().any(|at| *at > first && *at <= last))
    }
}
