//! One node after the other is asked to stop, and is started again when it has ended.

use std::io;
use std::time::{Duration, Instant};

use super::super::scene::{Scene, between};
use crate::seed::Seed;

/// Longer than a graceful stop may take.
const STOP: Duration = Duration::from_secs(20);

pub(super) fn strike(scene: &Scene<'_>, seed: &mut Seed, hold: Duration) -> io::Result<()> {
    let first = scene.any(seed);
    let mut nodes = scene.fleet.members();
    let at = nodes.iter().position(|node| *node == first).unwrap_or_default();
    nodes.rotate_left(at);
    for victim in nodes.iter().copied() {
        let node = scene.node(victim);
        let words = format!("node {} is stopped and started", victim + 1);
        let open = scene.begin("rolling-restart", (&[victim], &[]), words);
        let stopped = node.stop(STOP);
        scene.hold(between(seed, 0, 500));
        node.start()?;
        scene.end(open);
        stopped.map_err(|error| io::Error::other(format!("node {}: {error}", victim + 1)))?;
        let until = Instant::now() + scene.patience;
        while !scene.is_called_off() && node.is_member() && !node.serves() && Instant::now() < until {
            scene.hold(Duration::from_millis(50));
        }
        scene.hold((hold / nodes.len() as u32).min(Duration::from_secs(1)));
    }
    Ok(())
}
