//! A disk without room: the file system says so in time, or writes fail in the middle.

use std::io;
use std::time::Duration;

use super::super::scene::Scene;
use crate::history::What;
use crate::seed::Seed;

pub(super) fn strike(scene: &Scene<'_>, seed: &mut Seed, hold: Duration) -> io::Result<()> {
    let victim = scene.any(seed);
    let node = scene.node(victim);
    let Some(weather) = node.weather() else { return Err(io::ErrorKind::Unsupported.into()) };
    if seed.below(2) == 0 {
        let words = format!("node {} has no room on its disk", victim + 1);
        let open = scene.begin("disk-full", (&[victim], &[]), words);
        scene.note(What::Room(false));
        weather.set_short(true)?;
        scene.hold(hold);
        weather.set_short(false)?;
        scene.note(What::Room(true));
        scene.end(open);
        return Ok(());
    }
    let words = format!("writes of node {} fail for lack of room", victim + 1);
    let open = scene.begin("disk-full", (&[victim], &[]), words);
    // A write that failed ends the node, and so it should.
    node.excuse(true);
    weather.set_full(true)?;
    scene.hold(hold);
    weather.set_full(false)?;
    if node.is_up() {
        node.start()?;
    }
    node.excuse(false);
    scene.end(open);
    Ok(())
}
