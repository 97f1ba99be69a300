//! Two replicas hold the same entry where they hold one of the same term, and what is committed is the same on all.

use std::collections::HashMap;

use crate::history::{History, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut of_term: HashMap<(u32, u64, u64), (u32, u16)> = HashMap::new();
    let mut committed_as: HashMap<(u32, u64), (u64, u16)> = HashMap::new();
    let mut broken = Vec::new();
    for event in &history.events {
        let What::Logged { node, group, index, term, sum, committed } = event.what else { continue };
        let (first, other) = *of_term.entry((group, index, term)).or_insert((sum, node));
        if first != sum {
            broken.push(format!(
                "group {group} index {index} term {term} has other bytes on node {} than on node {}",
                node + 1,
                other + 1
            ));
        }
        if committed {
            let (first, other) = *committed_as.entry((group, index)).or_insert((term, node));
            if first != term {
                broken.push(format!(
                    "group {group} index {index} is committed with term {term} on node {} and with term {first} on \
                     node {}",
                    node + 1,
                    other + 1
                ));
            }
        }
    }
    broken
}
