//! Whoever has applied a log up to the same index has derived the same from it.

use std::collections::HashMap;

use crate::history::{History, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut derived: HashMap<(u32, u64), (u32, u16)> = HashMap::new();
    let mut broken = Vec::new();
    for event in &history.events {
        let What::Derived { node, group, index, sum } = event.what else { continue };
        let (first, other) = *derived.entry((group, index)).or_insert((sum, node));
        if first != sum {
            broken.push(format!(
                "group {group} applied up to index {index} is something else on node {} at {:.4} s than on node {}",
                node + 1,
                event.at.as_secs_f64(),
                other + 1
            ));
        }
    }
    broken
}
