//! A node that reaches no other acknowledges nothing of what it is asked from then on; a few nodes that reach only
//! each other stop at the end of their leases.

use std::time::Duration;

use crate::history::{History, What};

/// A lease, and some time for threads to run.
const LEASE: Duration = Duration::from_secs(7);

pub(super) fn check(history: &History) -> Vec<String> {
    // Who is cut off, and what was asked from when on must not be answered.
    let mut cut: Vec<(u64, Duration)> = Vec::new();
    let mut broken = Vec::new();
    for event in &history.events {
        match event.what {
            What::Isolated(nodes) if 2 * nodes.count_ones() < u32::from(history.nodes) => {
                let grace = if nodes.count_ones() == 1 { Duration::ZERO } else { LEASE };
                cut.push((nodes, event.at + grace));
            }
            What::Rejoined(nodes) => cut.retain(|(others, _)| *others != nodes),
            What::Served { client, node, began, .. } => {
                let side = cut.iter().find(|(nodes, from)| nodes & 1 << node != 0 && began > *from);
                broken.extend(side.map(|(_, from)| {
                    format!(
                        "node {} answered {} at {:.4} s what it was asked at {:.4} s, though it was cut off since {:.4} s",
                        node + 1,
                        history.clients[usize::from(client)],
                        event.at.as_secs_f64(),
                        began.as_secs_f64(),
                        from.as_secs_f64()
                    )
                }));
            }
            _ => {}
        }
    }
    broken
}
