//! Session Present is 0 when a durable client comes for the first time, and 1 whenever it comes back.

use std::collections::{HashMap, HashSet};

use crate::history::{History, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut connections: HashMap<&str, u32> = HashMap::new();
    let mut broken = Vec::new();
    // Whose first session may have begun without his knowing.
    let mut tried: HashSet<&str> = HashSet::new();
    let mut kills = 0;
    for event in &history.events {
        let (client, session_present) = match &event.what {
            What::Connected { client, session_present } => (client, *session_present),
            What::Unanswered { client } => {
                tried.insert(client);
                continue;
            }
            What::Killed(round) => {
                kills = *round;
                continue;
            }
            _ => continue,
        };
        let count = connections.entry(client).or_insert(0);
        *count += 1;
        let unknown = *count == 1 && tried.contains(client.as_str());
        if session_present != (*count > 1) && !unknown {
            let when = event.at.as_secs_f64();
            broken.push(format!(
                "connection {count} of {client} at {when:.4} s, after kill {kills}, had Session Present {}",
                u8::from(session_present)
            ));
        }
    }
    broken
}
