//! Syncs that take long, on one node or on all.

use std::io;
use std::time::Duration;

use super::super::scene::{Scene, between};
use crate::seed::Seed;

pub(super) fn strike(scene: &Scene<'_>, seed: &mut Seed, hold: Duration) -> io::Result<()> {
    let all = seed.below(3) == 0;
    let victims = if all { scene.others(&[]) } else { vec![scene.any(seed)] };
    // One slow disk of several may be very slow.
    let wait = if all { between(seed, 5, 60) } else { between(seed, 20, 1500) };
    let whose = if all { "all nodes".to_owned() } else { format!("node {}", victims[0] + 1) };
    let open = scene.begin("disk-slow", (&victims, &[]), format!("syncs of {whose} take {wait:?} longer"));
    let set = |micros: u32| {
        victims
            .iter()
            .filter_map(|node| scene.node(*node).weather())
            .try_for_each(|weather| weather.set_sync_micros(micros))
    };
    set(wait.as_micros() as u32)?;
    scene.hold(hold);
    set(0)?;
    scene.end(open);
    Ok(())
}
