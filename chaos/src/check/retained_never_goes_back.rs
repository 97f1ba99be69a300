//! A retained message that somebody reads is the last one acknowledged before it was asked for, or a later one;
//! at QoS 2, where nothing is published twice, it is never older than one that was read before.

use std::collections::HashMap;
use std::time::Duration;

use crate::history::{History, Message, What};

pub(super) fn check(history: &History) -> Vec<String> {
    // Acknowledged or read at QoS 2, by topic, in order of time: what later readers must not fall below.
    let mut floors: HashMap<u16, Vec<(Duration, Message)>> = HashMap::new();
    let mut broken = Vec::new();
    for event in &history.events {
        match event.what {
            What::Acked(message) if retains(history, message) => {
                floors.entry(message.topic).or_default().push((event.at, message));
            }
            What::RetainedSeen { message, asked } => {
                let floor = floors.entry(message.topic).or_default();
                let before = floor.iter().filter(|(at, _)| *at < asked).map(|(_, floor)| *floor).max();
                let passed = |before: &Message| {
                    before.seq > message.seq && !history.lacked_room_for(&[*before, message])
                };
                if let Some(before) = before.filter(passed) {
                    let when = event.at.as_secs_f64();
                    let found = history.tell(message);
                    broken.push(format!(
                        "{found}, was retained at {when:.4} s, after {}",
                        history.tell(before)
                    ));
                }
                if history.publishers[usize::from(message.publisher)].qos == 2 {
                    floor.push((event.at, message));
                }
            }
            _ => {}
        }
    }
    broken
}

fn retains(history: &History, message: Message) -> bool {
    history.publishers[usize::from(message.publisher)].retain
}
