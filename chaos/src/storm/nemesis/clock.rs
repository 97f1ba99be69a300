//! The wall clock of one node is wrong, jumps again, and is set right.
//!
//! Of several nodes one may be wrong by days, and nobody's session may end of it. One node alone has no other clock to
//! believe: it is wrong by minutes then, which no session here notices.

use std::io;
use std::time::Duration;

use super::super::scene::Scene;
use crate::seed::Seed;

/// Milliseconds, at most, of one node of several and of one alone.
const DAYS: u64 = 3 * 86_400_000;
const MINUTES: u64 = 600_000;

pub(super) fn strike(scene: &Scene<'_>, seed: &mut Seed, hold: Duration) -> io::Result<()> {
    let victim = scene.any(seed);
    let Some(weather) = scene.node(victim).weather() else { return Err(io::ErrorKind::Unsupported.into()) };
    let most = if scene.fleet.founders() > 2 { DAYS } else { MINUTES };
    let jumps = 1 + seed.below(3) as u32;
    for _ in 0..jumps {
        // Small errors are as likely as large ones.
        let most = most >> seed.below(20);
        let size = 1 + seed.below(most);
        let (ms, how) = if seed.below(2) == 0 { (size as i64, "ahead") } else { (-(size as i64), "behind") };
        let words = format!("the clock of node {} is {:.1} s {how}", victim + 1, size as f64 / 1000.0);
        let open = scene.begin("clock", (&[victim], &[]), words);
        weather.set_clock(ms)?;
        scene.hold(hold / jumps);
        scene.end(open);
    }
    weather.set_clock(0)
}
