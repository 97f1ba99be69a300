//! What an offset of a partition holds stays what it was, also over crashes; what a node says of a partition's start
//! and of what is committed does not go back while it lives.

use std::collections::HashMap;

use crate::history::{History, View, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut seen: HashMap<(u16, u64), u32> = HashMap::new();
    let mut views: HashMap<(u16, u16), View> = HashMap::new();
    let mut broken = Vec::new();
    for event in &history.events {
        let when = event.at.as_secs_f64();
        match event.what {
            What::Entry { partition, offset, sum }
                if *seen.entry((partition, offset)).or_insert(sum) != sum =>
            {
                broken.push(format!(
                    "partition {partition} offset {offset} has other bytes at {when:.4} s than before"
                ));
            }
            What::View(view) => {
                let before = views.insert((view.node, view.partition), view);
                let same_life = before.filter(|before| before.life == view.life);
                broken.extend(same_life.and_then(|before| back(&before, &view)).map(|what| {
                    format!("partition {} of node {} at {when:.4} s: {what}", view.partition, view.node + 1)
                }));
                if view.first > view.next {
                    broken.push(format!(
                        "partition {} of node {} at {when:.4} s begins at {} and ends at {}",
                        view.partition,
                        view.node + 1,
                        view.first,
                        view.next
                    ));
                }
            }
            _ => {}
        }
    }
    broken
}

/// What was higher before.
fn back(before: &View, after: &View) -> Option<String> {
    let fell = |name: &str, from: u64, to: u64| (to < from).then(|| format!("{name} {to} after {from}"));
    fell("the first offset is", before.first, after.first)
        .or_else(|| fell("the committed index is", before.committed, after.committed))
        .or_else(|| fell("the term is", before.term, after.term))
}
