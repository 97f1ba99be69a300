//! Asks every node, several times a second, who leads what: a thread for each, because a frozen one answers nobody.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::scene::Scene;
use crate::fleet;
use crate::history::{Event, View, What};
use crate::process;
use crate::workload::recorder::Signals;

/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(200);

/// The most memory that a node took, in bytes, and what it said.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) events: Vec<Event>,
    /// It has a door to be asked at, and never answered in a way that is understood: why, at the last question.
    pub(super) blind: Option<String>,
    pub(super) rss_bytes_max: u64,
}

/// Until the storm is over.
pub(super) fn watch(scene: &Scene<'_>, index: usize) -> Watched {
    let mut watched = Watched::default();
    let mut last: HashMap<u16, View> = HashMap::new();
    let node = scene.node(index);
    while !Signals::on(&scene.signals.stop) {
        let (life, asked, began) = (node.lives(), scene.now(), Instant::now());
        // The start of a copy in the making goes back when the older part arrives.
        let joining = node.is_joining();
        let view = node.view();
        if let (Err(error), true, true) = (&view, last.is_empty(), node.http().is_some() && life > 0) {
            watched.blind = Some(error.to_string());
        }
        if let Ok(view) = view {
            watched.blind = None;
            let at = scene.now();
            // One that was started meanwhile belongs to nobody's life.
            for partition in view.partitions.iter().filter(|_| !joining && node.lives() == life) {
                let view = seen(scene, index as u16, life, (asked, partition));
                let before = last.insert(view.partition, view);
                if before.is_none_or(|before| View { asked, ..before } != view) {
                    watched.events.push(Event { at, what: What::View(view) });
                }
            }
        }
        if let Some(usage) = node.pid().and_then(|pid| process::usage(&[pid]).ok()) {
            watched.rss_bytes_max = watched.rss_bytes_max.max(usage.rss_bytes);
        }
        std::thread::sleep(PAUSE.saturating_sub(began.elapsed()));
    }
    watched
}

fn seen(scene: &Scene<'_>, node: u16, life: u32, (asked, partition): (Duration, &fleet::Partition)) -> View {
    let index = |id| scene.fleet.index_of(id).map(|index| index as u16);
    let mine = partition.replicas.iter().find(|replica| index(replica.node) == Some(node));
    View {
        node,
        life,
        partition: partition.id,
        asked,
        term: partition.term,
        leader: partition.leader.and_then(index),
        first: partition.first_offset,
        next: partition.next_offset,
        committed: partition.committed,
        last: mine.and_then(|replica| replica.r#match).unwrap_or(u64::MAX),
    }
}
