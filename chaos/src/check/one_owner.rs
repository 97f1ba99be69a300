//! One connection at a time is served under one client id.

use std::collections::HashMap;

use crate::history::{History, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut owners: HashMap<&str, u64> = HashMap::new();
    let mut broken = Vec::new();
    for event in &history.events {
        match &event.what {
            What::Opened { client, connection } => {
                if let Some(owner) = owners.insert(client, *connection) {
                    let when = event.at.as_secs_f64();
                    broken.push(format!(
                        "connection {connection} of {client} is served at {when:.4} s, and {owner} still is"
                    ));
                }
            }
            What::Closed { client, connection } if owners.get(client.as_str()) == Some(connection) => {
                owners.remove(client.as_str());
            }
            _ => {}
        }
    }
    broken
}
