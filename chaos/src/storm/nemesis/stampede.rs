//! All clients lose their connections at once, again and again, and all come back at once.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::scene::{Scene, between};
use crate::seed::Seed;

pub(super) fn strike(scene: &Scene<'_>, seed: &mut Seed, hold: Duration) -> io::Result<()> {
    let until = Instant::now() + hold;
    let open = scene.begin("stampede", (&[], &[]), "all clients lose their connections".to_owned());
    while Instant::now() < until && !scene.is_called_off() {
        scene.signals.scatter.fetch_add(1, Ordering::SeqCst);
        scene.hold(between(seed, 50, 1500));
    }
    scene.end(open);
    Ok(())
}
