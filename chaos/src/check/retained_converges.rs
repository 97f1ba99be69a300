//! The retained message of a topic is the last acknowledged one, or a later one whose fate is unknown, and the same for
//! everybody who reads it.

use std::collections::HashMap;

use crate::history::{History, Message, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut acked: HashMap<u16, Message> = HashMap::new();
    let mut sent: HashMap<u16, u64> = HashMap::new();
    let mut read: HashMap<u16, Vec<Message>> = HashMap::new();
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
                read.entry(m.topic).or_default().push(*m);
            }
            _ => {}
        }
    }
    // Everybody reads everything, so the topic that was read most often says how many they were.
    let readers = read.values().map(Vec::len).max().unwrap_or(0);
    let mut broken = Vec::new();
    for (topic, last) in &acked {
        let found = read.get(topic).map(Vec::as_slice).unwrap_or_default();
        if found.is_empty() {
            broken.push(format!("nothing is retained, though {}", history.tell(*last)));
        } else if found.len() < readers {
            let (lack, last) = (readers - found.len(), history.tell(*last));
            broken.push(format!("nothing is retained for {lack} of {readers} readers, though {last}"));
        }
        broken.extend(
            found
                .iter()
                .filter(|found| found.seq < last.seq)
                .map(|found| format!("#{} is retained, though {}", found.seq, history.tell(*last))),
        );
    }
    for (topic, found) in &read {
        for found in found.iter().filter(|found| sent.get(topic).is_none_or(|last| found.seq > *last)) {
            broken.push(format!("{} is retained, though it was never sent", history.tell(*found)));
        }
        if let Some(other) = found.iter().find(|other| other.seq != found[0].seq) {
            let (one, other) = (history.tell(found[0]), history.tell(*other));
            broken.push(format!("{one} is retained for one reader, and for another {other}"));
        }
    }
    broken.sort();
    broken
}

fn retains(history: &History, message: &Message) -> bool {
    history.publishers[usize::from(message.publisher)].retain
}
