//! Walking the retained messages that a topic filter matches, a bounded piece at a time.

use std::ops::Bound;

use super::{Messages, Retained};
use crate::topic::{FilterRange, matches_filter};

/// One retained message that matched.
#[derive(Debug)]
pub struct Hit<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// The message.
    pub retained: &'a Retained,
}

/// What a walk came to.
#[derive(Debug)]
pub struct Page<'a> {
    /// Matches, in byte order of their topics.
    pub hits: Vec<Hit<'a>>,
    /// Where to go on, when the walk stopped before the end.
    pub next: Option<String>,
}

/// Bounds of one walk.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Matches at most.
    pub hits_max: usize,
    /// Topics looked at at most.
    pub looked_max: usize,
    /// Only messages published below this offset.
    pub below: u64,
    /// Group time, ms: expired messages are passed over.
    pub now: u64,
}

impl Messages {
    /// Walks on at `from` (empty: the start), which need not be a topic.
    pub fn scan(&self, filter: &str, from: &str, bounds: Bounds) -> Page<'_> {
        let range = FilterRange::new(filter);
        let mut hits = Vec::new();
        let mut from = if from.is_empty() { range.first() } else { from.to_owned() };
        for _ in 0..bounds.looked_max {
            let Some((topic, retained)) =
                self.retained.range::<str, _>((Bound::Included(from.as_str()), Bound::Unbounded)).next()
            else {
                return Page { hits, next: None };
            };
            let topic: &str = topic;
            if !matches_filter(filter, topic) {
                match range.seek(topic) {
                    Some(next) => from = next,
                    None => return Page { hits, next: None },
                }
                continue;
            }
            let expired = retained.expires_at().is_some_and(|at| at <= bounds.now);
            if retained.offset < bounds.below && !expired {
                hits.push(Hit { topic, retained });
            }
            if hits.len() == bounds.hits_max {
                return Page { hits, next: Some(format!("{topic}\0")) };
            }
            from = format!("{topic}\0");
        }
        Page { hits, next: Some(from) }
    }
}
