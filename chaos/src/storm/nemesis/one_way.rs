//! A node hears and is not heard, or is heard and does not hear; of all others or of one.

use std::io;
use std::time::Duration;

use super::super::scene::Scene;
use crate::history::What;
use crate::proxy::{Laid, Rule};
use crate::seed::Seed;

pub(super) fn strike(scene: &Scene<'_>, seed: &mut Seed, hold: Duration) -> io::Result<()> {
    let proxy = scene.proxy()?;
    let node = scene.any(seed);
    let (all, deaf) = (seed.below(2) == 0, seed.below(2) == 0);
    let mut others = if all { scene.everybody_else(&[node]) } else { scene.others(&[node]) };
    if !all {
        others = vec![others[seed.below(others.len() as u64) as usize]];
    }
    let ways: Vec<_> =
        others.iter().map(|other| if deaf { (*other, node) } else { (node, *other) }).collect();
    let whom = if all { "the others".to_owned() } else { format!("node {}", others[0] + 1) };
    let how = if deaf { "does not hear" } else { "is not heard by" };
    let open = scene.begin("one-way", (&[node], &ways), format!("node {} {how} {whom}", node + 1));
    let laid: Vec<Laid> = ways.iter().map(|(from, to)| proxy.lay(*from, *to, Rule::CUT)).collect();
    if all {
        scene.note(What::Isolated(1 << node));
    }
    scene.hold(hold);
    if all {
        scene.note(What::Rejoined(1 << node));
    }
    laid.into_iter().for_each(|laid| proxy.lift(laid));
    scene.end(open);
    Ok(())
}
