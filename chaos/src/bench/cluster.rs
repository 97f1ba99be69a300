//! A workload on several nodes of holdfast that are one cluster.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::table::Workload;
use super::{BenchArgs, PATIENCE};
use crate::fleet::{Fleet, Node, Plan};
use crate::load::Figures;
use crate::seed::Seed;

/// Starts the nodes with their defaults, waits until leaders are where they belong, and measures.
pub(super) fn measure(
    args: &BenchArgs,
    workload: &Workload,
    (binary, nodes): (&Path, u16),
) -> io::Result<Figures> {
    let plan = Plan { directory: args.dir.clone(), ..Plan::new(binary.to_owned(), usize::from(nodes)) };
    let fleet = Fleet::own(&plan, &mut Seed::new(1))?;
    fleet.settle(PATIENCE)?;
    spread(&fleet)?;
    let mut addresses = fleet.nodes().iter().map(Node::mqtt);
    let first = addresses.next().ok_or(io::ErrorKind::InvalidInput)?;
    let mut load = args.load(workload, first, 0);
    load.also = addresses.collect();
    load.pid = fleet.nodes().iter().filter_map(Node::pid).collect();
    let figures = load.measure()?;
    fleet.nodes().iter().try_for_each(|node| node.stop(PATIENCE))?;
    Ok(figures)
}

/// Waits until each node leads its part of the partitions, as it is when a cluster has run for a while.
fn spread(fleet: &Fleet) -> io::Result<()> {
    let nodes = fleet.nodes();
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Ok(view) = nodes[0].view() {
            let led = |id| view.partitions.iter().filter(|partition| partition.leader == Some(id)).count();
            let least = view.partitions.len() / nodes.len();
            if view.nodes.iter().all(|node| led(node.id) >= least) {
                return Ok(());
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(io::Error::other("leaders were not spread over the nodes in time"))
}
