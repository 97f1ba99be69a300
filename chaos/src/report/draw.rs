//! A history, reduced to what a picture needs. Times are seconds since the start.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::Serialize;

use crate::history::{History, Message, What};

/// Points of a line in the picture, at most.
const POINTS_MAX: f64 = 600.0;
/// A client that got nothing for so long is shown.
const GAP: Duration = Duration::from_secs(1);

/// Who led a partition, from when on.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Leading {
    partition: u16,
    /// Time, and the node, counted from 1; absent where nobody is known.
    from: Vec<(f64, Option<u16>)>,
}

/// Messages in each step of time.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Series {
    step_seconds: f64,
    sent: Vec<u32>,
    acked: Vec<u32>,
    delivered: Vec<u32>,
}

/// A time in which a client got nothing.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Gap {
    /// Its place in the list of clients.
    client: usize,
    from: f64,
    to: f64,
}

/// By partition: the leader of the highest term that anybody has spoken of.
pub(super) fn leaders(history: &History) -> Vec<Leading> {
    let mut leaders: BTreeMap<u16, (u64, Leading)> = BTreeMap::new();
    for event in &history.events {
        let What::View(view) = event.what else { continue };
        let partition = view.partition;
        let new = || (0, Leading { partition, from: Vec::new() });
        let (term, leading) = leaders.entry(partition).or_insert_with(new);
        let news = view.term > *term || view.term == *term && view.leader.is_some();
        let leader = view.leader.map(|node| node + 1);
        if news && leading.from.last().is_none_or(|(_, last)| *last != leader) {
            leading.from.push((event.at.as_secs_f64(), leader));
        }
        *term = view.term.max(*term);
    }
    leaders.into_values().map(|(_, leading)| leading).collect()
}

/// How many messages, over time.
pub(super) fn series(history: &History, seconds: f64) -> Series {
    let step_seconds = (seconds / POINTS_MAX).max(0.25);
    let steps = (seconds / step_seconds) as usize + 1;
    let (mut sent, mut acked, mut delivered) = (vec![0; steps], vec![0; steps], vec![0; steps]);
    for event in &history.events {
        let of = match event.what {
            What::Sent(_) => &mut sent,
            What::Acked(_) => &mut acked,
            What::Delivered { .. } => &mut delivered,
            _ => continue,
        };
        let step = (event.at.as_secs_f64() / step_seconds) as usize;
        of[step.min(steps - 1)] += 1;
    }
    Series { step_seconds, sent, acked, delivered }
}

/// Where publishers waited for acknowledgements, and subscribers for deliveries; and all that were looked at.
pub(super) fn gaps(history: &History) -> (Vec<Gap>, Vec<String>) {
    let mut names: Vec<String> = Vec::new();
    let mut publishers = vec![None; history.publishers.len()];
    let mut subscribers = vec![None; history.subscribers.len()];
    for (place, facts) in publishers.iter_mut().zip(&history.publishers) {
        // Several under one name have no gaps of their own.
        let alone = history.publishers.iter().filter(|other| other.name == facts.name).count() == 1;
        if facts.qos > 0 && !facts.will && alone {
            *place = Some(names.len());
            names.push(facts.name.clone());
        }
    }
    for (place, facts) in subscribers.iter_mut().zip(&history.subscribers) {
        if facts.group.is_none() && !facts.name.contains("away") {
            *place = Some(names.len());
            names.push(facts.name.clone());
        }
    }
    let mut last: Vec<Option<Duration>> = vec![None; names.len()];
    let mut gaps = Vec::new();
    let published = |what: &What| matches!(what, What::Sent(message) if !history.publishers[usize::from(message.publisher)].will);
    let end = history.events.iter().rev().find(|event| published(&event.what));
    let end = end.map_or(Duration::ZERO, |event| event.at);
    for event in &history.events {
        let client = match event.what {
            What::Acked(message) => publishers[usize::from(message.publisher)],
            What::Delivered { subscriber, .. } => subscribers[usize::from(subscriber)],
            _ => None,
        };
        let Some(client) = client else { continue };
        let before = last[client].replace(event.at);
        // When nobody publishes any more there are no deliveries to wait for.
        let due = if matches!(event.what, What::Acked(_)) { event.at } else { event.at.min(end) };
        if let Some(before) = before.filter(|before| due.saturating_sub(*before) > GAP) {
            gaps.push(Gap { client, from: before.as_secs_f64(), to: event.at.as_secs_f64() });
        }
    }
    for (client, last) in last.into_iter().enumerate() {
        // What did not come again before the last message was sent.
        if let Some(last) = last.filter(|last| end.saturating_sub(*last) > GAP) {
            gaps.push(Gap { client, from: last.as_secs_f64(), to: end.as_secs_f64() });
        }
    }
    (gaps, names)
}

/// Median, 99 of 100, and the longest time to an acknowledgement, in milliseconds.
pub(super) fn ack_ms(history: &History) -> [f64; 3] {
    let mut sent: HashMap<Message, Duration> = HashMap::new();
    let mut waits = Vec::new();
    for event in &history.events {
        match event.what {
            What::Sent(message) => drop(sent.insert(message, event.at)),
            What::Acked(message) => waits.extend(sent.remove(&message).map(|at| event.at - at)),
            _ => {}
        }
    }
    waits.sort_unstable();
    let at = |part: usize| waits.get((waits.len() * part / 100).min(waits.len().saturating_sub(1)));
    [50, 99, 100].map(|part| at(part).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Event, PublisherFacts, View};

    fn view(term: u64, leader: Option<u16>) -> What {
        let (at, life) = (Duration::ZERO, 1);
        let (first, next, committed, last) = (0, 0, 0, 0);
        What::View(View {
            node: 0,
            life,
            partition: 3,
            asked: at,
            term,
            leader,
            first,
            next,
            committed,
            last,
        })
    }

    fn history(what: Vec<What>) -> History {
        let facts = PublisherFacts { name: "p".into(), qos: 1, retain: false, will: false };
        let mut history = History::new(vec!["t".into()], vec![facts], Vec::new());
        let events = (1..).zip(what).map(|(at, what)| Event { at: Duration::from_secs(at), what });
        history.events = events.collect();
        history
    }

    #[test]
    fn a_leader_of_an_older_term_is_none() {
        let views = [view(2, Some(0)), view(1, Some(1)), view(3, None), view(3, Some(1)), view(3, None)];
        let leaders = leaders(&history(views.to_vec()));
        assert_eq!(leaders.len(), 1);
        assert_eq!(leaders[0].from, [(1.0, Some(1)), (3.0, None), (4.0, Some(2))]);
    }

    #[test]
    fn a_publisher_that_waits_has_a_gap() {
        let message = |seq| Message { publisher: 0, topic: 0, seq };
        let mut history =
            history(vec![What::Sent(message(1)), What::Acked(message(1)), What::Sent(message(2))]);
        history.events.push(Event { at: Duration::from_secs(9), what: What::Acked(message(2)) });
        let (gaps, names) = gaps(&history);
        assert_eq!(names, ["p"]);
        assert_eq!((gaps.len(), gaps[0].from, gaps[0].to), (1, 2.0, 9.0));
        assert_eq!(ack_ms(&history)[2], 6000.0);
    }
}
