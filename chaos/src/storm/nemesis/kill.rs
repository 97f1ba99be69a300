//! SIGKILL: a node dies, sometimes again while it recovers, and comes back.

use std::io;
use std::time::Duration;

use super::super::scene::{Scene, between};
use crate::seed::Seed;

pub(super) fn strike(scene: &Scene<'_>, seed: &mut Seed, hold: Duration) -> io::Result<()> {
    let victim = scene.any(seed);
    let open = scene.begin("kill", (&[victim], &[]), format!("node {} is killed", victim + 1));
    scene.kill(victim)?;
    // Half of them are back at once: then it is the start that meets the storm.
    let at_once = seed.below(2) == 0;
    scene.hold(if at_once { between(seed, 0, 300) } else { hold });
    let again = if seed.below(3) == 0 { 1 + seed.below(3) } else { 0 };
    for _ in 0..again {
        scene.node(victim).start()?;
        scene.hold(between(seed, 0, 400));
        scene.kill(victim)?;
    }
    scene.node(victim).start()?;
    scene.end(open);
    Ok(())
}
