//! Whoever leads a partition is killed or frozen, and then whoever leads after him.

use std::io;
use std::time::{Duration, Instant};

use super::super::scene::{Scene, between};
use crate::seed::Seed;

pub(super) fn strike(scene: &Scene<'_>, seed: &mut Seed, hold: Duration) -> io::Result<()> {
    let until = Instant::now() + hold;
    let prey = seed.bits();
    while Instant::now() < until && !scene.is_called_off() {
        let Some((partition, victim)) = leader(scene, seed, prey) else {
            scene.hold(Duration::from_millis(50));
            continue;
        };
        let node = scene.node(victim);
        let freeze = node.obeys().1 && seed.below(2) == 0;
        let how = if freeze { "frozen" } else { "killed" };
        let words = format!("node {}, which leads partition {partition}, is {how}", victim + 1);
        let open = scene.begin("leader-hunt", (&[victim], &[]), words);
        if freeze {
            node.pause()?;
        } else {
            scene.kill(victim)?;
        }
        scene.hold(between(seed, 500, 3000));
        if freeze {
            node.resume()?;
        } else {
            node.start()?;
        }
        scene.end(open);
        scene.hold(between(seed, 0, 1000));
    }
    Ok(())
}

/// A partition, the same in the whole hunt, and its leader as some node sees it.
fn leader(scene: &Scene<'_>, seed: &mut Seed, prey: u64) -> Option<(u16, usize)> {
    let view = scene.node(scene.any(seed)).view().ok()?;
    let partition = view.partitions.get(prey.checked_rem(view.partitions.len() as u64)? as usize)?;
    Some((partition.id, scene.fleet.index_of(partition.leader?)?))
}
