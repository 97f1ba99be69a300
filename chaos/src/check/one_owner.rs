//! One connection at a time is served under one client id.
//!
//! From the inside it is seen directly. From the outside, an answer that was asked for after another connection had
//! its answer shows that its connection is the later owner; no two connections may each be later than the other.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::history::{History, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut broken = inside(history);
    broken.extend(outside(history));
    broken
}

fn inside(history: &History) -> Vec<String> {
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
            What::Overdue { connection, node, since } => broken.push(format!(
                "connection {connection} of node {} lost its session at {:.4} s and is served on at {:.4} s",
                node + 1,
                since.as_secs_f64(),
                event.at.as_secs_f64()
            )),
            What::Closed { client, connection } if owners.get(client.as_str()) == Some(connection) => {
                owners.remove(client.as_str());
            }
            _ => {}
        }
    }
    broken
}

/// What a connection was answered: the first answer to come, and the last question that was answered.
#[derive(Clone, Copy)]
struct Span {
    connection: u64,
    node: u16,
    first_answer: Duration,
    last_question: Duration,
    last_answer: Duration,
}

fn outside(history: &History) -> Vec<String> {
    let mut spans: BTreeMap<u16, BTreeMap<u64, Span>> = BTreeMap::new();
    for event in &history.events {
        let What::Served { client, connection, node, began } = event.what else { continue };
        let first =
            Span { connection, node, first_answer: event.at, last_question: began, last_answer: event.at };
        let span = spans.entry(client).or_default().entry(connection).or_insert(first);
        if began >= span.last_question {
            (span.last_question, span.last_answer) = (began, event.at);
        }
    }
    let mut broken = Vec::new();
    for (client, spans) in spans {
        let name = &history.clients[usize::from(client)];
        let mut spans: Vec<Span> = spans.into_values().collect();
        spans.sort_by_key(|span| span.first_answer);
        for (at, one) in spans.iter().enumerate() {
            // Whoever had his first answer after the last question of another cannot be older than that other.
            let rivals = spans[at + 1..].iter().take_while(|other| other.first_answer < one.last_question);
            let both = rivals.filter(|other| other.last_question > one.first_answer);
            broken.extend(both.map(|other| {
                let when = |at: Duration| format!("{:.4} s", at.as_secs_f64());
                format!(
                    "connection {} of {name} to node {} was answered at {} what it asked at {}, after connection \
                     {} to node {} had its answer at {}, which was answered what it asked at {}, after {}",
                    one.connection,
                    one.node + 1,
                    when(one.last_answer),
                    when(one.last_question),
                    other.connection,
                    other.node + 1,
                    when(other.first_answer),
                    when(other.last_question),
                    when(one.first_answer),
                )
            }));
        }
    }
    broken
}
