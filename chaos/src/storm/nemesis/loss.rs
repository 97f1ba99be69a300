//! Datagrams that are lost, come twice or out of order, on the links of one node or on all.

use std::io;
use std::time::Duration;

use super::super::scene::Scene;
use crate::proxy::{Laid, Rule};
use crate::seed::Seed;

pub(super) fn strike(scene: &Scene<'_>, seed: &mut Seed, hold: Duration) -> io::Result<()> {
    let mut of = |most: u64| seed.below(most + 1) as u32;
    let (loss, twice, late) = (10 + of(290), of(200), of(300));
    let percent = |part: u32| format!("{}.{} %", part / 10, part % 10);
    let words =
        format!("links lose {}, repeat {} and hold back {}", percent(loss), percent(twice), percent(late));
    on_links("loss", scene, (seed, hold), (Rule { loss, twice, late, ..Rule::default() }, words))
}

/// A rule on the links of a node by chance, or on all.
pub(super) fn on_links(
    nemesis: &'static str,
    scene: &Scene<'_>,
    (seed, hold): (&mut Seed, Duration),
    (rule, words): (Rule, String),
) -> io::Result<()> {
    let proxy = scene.proxy()?;
    let (node, all) = (scene.any(seed), seed.below(2) == 0);
    let nodes = scene.fleet.members();
    let pairs = nodes.iter().flat_map(|from| nodes.iter().map(|to| (*from, *to)));
    let meets = |(from, to): &(usize, usize)| from != to && (all || *from == node || *to == node);
    let ways: Vec<(usize, usize)> = pairs.filter(meets).collect();
    let whose = if all { "all".to_owned() } else { format!("node {}'s", node + 1) };
    let open = scene.begin(nemesis, (&[], &ways), format!("{whose} {words}"));
    let laid: Vec<Laid> = ways.iter().map(|(from, to)| proxy.lay(*from, *to, rule)).collect();
    scene.hold(hold);
    laid.into_iter().for_each(|laid| proxy.lift(laid));
    scene.end(open);
    Ok(())
}
