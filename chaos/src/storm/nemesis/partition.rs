//! Nodes that cannot reach others: one alone, two sides, or one link; sometimes it moves while it lasts.

use std::io;
use std::time::Duration;

use super::super::scene::Scene;
use crate::history::What;
use crate::proxy::{Laid, Rule};
use crate::seed::Seed;

/// Nodes that are cut off from all others, if some are, and the pairs that do not reach each other.
struct Shape {
    side: Vec<usize>,
    pairs: Vec<(usize, usize)>,
    words: String,
}

pub(super) fn strike(scene: &Scene<'_>, seed: &mut Seed, hold: Duration) -> io::Result<()> {
    let moves = 1 + u32::from(seed.below(3) == 0 && hold > Duration::from_secs(3));
    for _ in 0..moves {
        cut(scene, &shape(scene, seed), hold / moves)?;
    }
    Ok(())
}

fn shape(scene: &Scene<'_>, seed: &mut Seed) -> Shape {
    let (one, other) = (scene.any(seed), scene.any(seed));
    if seed.below(4) == 0 && one != other {
        let words = format!("nodes {} and {} do not reach each other", one + 1, other + 1);
        return Shape { side: Vec::new(), pairs: vec![(one, other)], words };
    }
    // A minority, of each size that there is, also while a node more is there.
    let size = 1 + seed.below((scene.fleet.founders() as u64 - 1) / 2) as usize;
    let members = scene.fleet.members();
    let first = members.iter().position(|node| *node == one).unwrap_or_default();
    let side: Vec<usize> = members.iter().copied().cycle().skip(first).take(size).collect();
    let far = scene.everybody_else(&side);
    let pairs = side.iter().flat_map(|node| far.iter().map(move |far| (*node, *far))).collect();
    let names: Vec<String> = side.iter().map(|node| (node + 1).to_string()).collect();
    Shape { words: format!("node {} is cut off", names.join(" and ")), side, pairs }
}

fn cut(scene: &Scene<'_>, shape: &Shape, hold: Duration) -> io::Result<()> {
    let proxy = scene.proxy()?;
    let both = |(one, other): &(usize, usize)| [(*one, *other), (*other, *one)];
    let ways: Vec<(usize, usize)> = shape.pairs.iter().flat_map(both).collect();
    let open = scene.begin("partition", (&shape.side, &ways), shape.words.clone());
    let laid: Vec<Laid> = ways.iter().map(|(from, to)| proxy.lay(*from, *to, Rule::CUT)).collect();
    let bits = shape.side.iter().fold(0, |bits, node| bits | 1 << node);
    if bits != 0 {
        scene.note(What::Isolated(bits));
    }
    scene.hold(hold);
    if bits != 0 {
        scene.note(What::Rejoined(bits));
    }
    laid.into_iter().for_each(|laid| proxy.lift(laid));
    scene.end(open);
    Ok(())
}
