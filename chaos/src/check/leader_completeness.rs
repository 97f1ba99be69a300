//! A leader has every entry that anybody knew as committed, in its term or an earlier one, before it was asked.

use std::collections::HashMap;
use std::time::Duration;

use crate::history::{History, View, What};

/// What was known of one partition: when, in which term, up to which index.
type Known = Vec<(Duration, u64, u64)>;

pub(super) fn check(history: &History) -> Vec<String> {
    let mut broken = inside(history);
    broken.extend(outside(history));
    broken
}

/// By the entries that a leader has when it begins to act.
fn inside(history: &History) -> Vec<String> {
    // By group: term that somebody was in who knew it, index, term of the entry.
    let mut known: HashMap<u32, Vec<(u64, u64, u64)>> = HashMap::new();
    let mut broken = Vec::new();
    for event in &history.events {
        match &event.what {
            What::Known { group, term, index, of, .. } => {
                known.entry(*group).or_default().push((*term, *index, *of));
            }
            What::Led { node, group, term, holds } => {
                let known = known.get(group).map(Vec::as_slice).unwrap_or_default();
                let other = holds.iter().find_map(|(index, has)| {
                    let before = known.iter().filter(|(at, place, _)| at <= term && place == index);
                    let lacks = before.map(|(.., of)| *of).find(|of| *has != Some(*of))?;
                    Some((index, lacks, has))
                });
                broken.extend(other.map(|(index, of, has)| {
                    let has = has.map_or("nothing".to_owned(), |term| format!("one of term {term}"));
                    format!(
                        "group {group} is led by node {} in term {term} at {:.4} s, which has {has} at index {index}, \
                         where an entry of term {of} was committed before",
                        node + 1,
                        event.at.as_secs_f64()
                    )
                }));
            }
            _ => {}
        }
    }
    broken
}

/// By what nodes say when they are asked.
fn outside(history: &History) -> Vec<String> {
    let mut known: HashMap<u16, Known> = HashMap::new();
    let mut broken = Vec::new();
    for event in &history.events {
        let What::View(view) = event.what else { continue };
        let known = known.entry(view.partition).or_default();
        if view.leader == Some(view.node) {
            broken.extend(lacks(known, &view).map(|committed| {
                format!(
                    "partition {} is led by node {} in term {} at {:.4} s with a log up to {}, and {committed} was \
                     committed before",
                    view.partition,
                    view.node + 1,
                    view.term,
                    event.at.as_secs_f64(),
                    view.last
                )
            }));
        }
        // Only what is higher than everything before, in a term that is not later, says something new.
        known.retain(|(_, term, committed)| *term < view.term || *committed > view.committed);
        if known.iter().all(|(_, term, committed)| *term > view.term || *committed < view.committed) {
            known.push((event.at, view.term, view.committed));
        }
    }
    broken
}

fn lacks(known: &Known, view: &View) -> Option<u64> {
    let before = known.iter().filter(|(at, term, _)| *at < view.asked && *term <= view.term);
    before.map(|(_, _, committed)| *committed).filter(|committed| *committed > view.last).max()
}
