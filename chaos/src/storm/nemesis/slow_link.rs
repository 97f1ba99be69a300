//! Links of one node, or all links, that are slow: delay with jitter, or little bandwidth.

use std::io;
use std::time::Duration;

use super::super::scene::{Scene, between};
use super::loss;
use crate::proxy::Rule;
use crate::seed::Seed;

pub(super) fn strike(scene: &Scene<'_>, seed: &mut Seed, hold: Duration) -> io::Result<()> {
    let (rule, words) = if seed.below(3) == 0 {
        let rate = 20_000 << seed.below(5);
        (Rule { rate, ..Rule::default() }, format!("links carry {} kB/s", rate / 1000))
    } else {
        // Up to what an election takes.
        let (delay, jitter) = (between(seed, 5, 250), between(seed, 0, 150));
        (Rule { delay, jitter, ..Rule::default() }, format!("links take {delay:?} and up to {jitter:?} more"))
    };
    loss::on_links("slow-link", scene, (seed, hold), (rule, words))
}
