//! A group has at most one leader in a term, whoever is asked, and whoever is seen to act as one.

use std::collections::HashMap;

use crate::history::{History, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut leaders: HashMap<(u16, u64), (u16, u16)> = HashMap::new();
    let mut seen: HashMap<(u32, u64), u16> = HashMap::new();
    let mut broken = Vec::new();
    for event in &history.events {
        if let What::Led { node, group, term, .. } = event.what {
            let first = *seen.entry((group, term)).or_insert(node);
            if first != node {
                broken.push(format!(
                    "group {group} is led by node {} in term {term} at {:.4} s, and was by node {}",
                    node + 1,
                    event.at.as_secs_f64(),
                    first + 1
                ));
            }
        }
        let What::View(view) = event.what else { continue };
        let Some(leader) = view.leader else { continue };
        let (first, witness) = *leaders.entry((view.partition, view.term)).or_insert((leader, view.node));
        if first != leader {
            broken.push(format!(
                "partition {} has node {} as the leader of term {} by node {} at {:.4} s, and node {} by node {}",
                view.partition,
                leader + 1,
                view.term,
                view.node + 1,
                event.at.as_secs_f64(),
                first + 1,
                witness + 1
            ));
        }
    }
    broken
}
