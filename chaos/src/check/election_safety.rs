//! A partition has at most one leader in a term, whoever is asked.

use std::collections::HashMap;

use crate::history::{History, What};

pub(super) fn check(history: &History) -> Vec<String> {
    let mut leaders: HashMap<(u16, u64), (u16, u16)> = HashMap::new();
    let mut broken = Vec::new();
    for event in &history.events {
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
