//! What an offset of a partition holds stays what it was, also over crashes.

use std::collections::HashMap;

use crate::history::{History, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut seen: HashMap<(u16, u64), u32> = HashMap::new();
    let mut broken = Vec::new();
    for event in &history.events {
        let What::Entry { partition, offset, sum } = event.what else { continue };
        let first = *seen.entry((partition, offset)).or_insert(sum);
        if first != sum {
            let when = event.at.as_secs_f64();
            broken.push(format!(
                "partition {partition} offset {offset} has other bytes at {when:.4} s than before"
            ));
        }
    }
    broken
}
