//! SIGSTOP: a node stands still, its sockets stay open, and it goes on where it was.

use std::io;
use std::time::Duration;

use super::super::scene::Scene;
use crate::seed::Seed;

pub(super) fn strike(scene: &Scene<'_>, seed: &mut Seed, hold: Duration) -> io::Result<()> {
    let victim = scene.any(seed);
    let open = scene.begin("pause", (&[victim], &[]), format!("node {} is frozen", victim + 1));
    scene.node(victim).pause()?;
    scene.hold(hold);
    scene.node(victim).resume()?;
    scene.end(open);
    Ok(())
}
