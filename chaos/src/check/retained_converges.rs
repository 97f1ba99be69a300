//! The retained message of a topic is the last acknowledged one, or a later one whose fate is unknown.

use std::collections::HashMap;

use crate::history::{History, Message, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut acked: HashMap<u16, Message> = HashMap::new();
    let mut sent: HashMap<u16, u64> = HashMap::new();
    let mut read: HashMap<u16, Message> = HashMap::new();
    for event in &history.events {
        match &event.what {
            What::Sent(m) if retains(history, m) => {
                sent.insert(m.topic, m.seq);
            }
            What::Acked(m) if retains(history, m) => {
                let last = acked.entry(m.topic).or_insert(*m);
                *last = (*last).max(*m);
            }
            What::RetainedRead(m) => {
                read.insert(m.topic, *m);
            }
            _ => {}
        }
    }
    let mut broken = Vec::new();
    for (topic, last) in &acked {
        match read.get(topic) {
            None => broken.push(format!("nothing is retained, though {}", history.tell(*last))),
            Some(found) if found.seq < last.seq => {
                broken.push(format!("#{} is retained, though {}", found.seq, history.tell(*last)));
            }
            Some(_) => {}
        }
    }
    for (topic, found) in &read {
        if sent.get(topic).is_none_or(|last| found.seq > *last) {
            broken.push(format!("{} is retained, though it was never sent", history.tell(*found)));
        }
    }
    broken.sort();
    broken
}

fn retains(history: &History, message: &Message) -> bool {
    history.publishers[usize::from(message.publisher)].retain
}
