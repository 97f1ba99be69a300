//! How long the death of a leader is felt: by a publisher that waits for its PUBACK, and by a subscriber.
//!
//! The node that leads the partition of a topic is killed, again and again. Publisher and subscriber are connected to
//! nodes that live on, so what is measured is the election and what follows from it, not a reconnect.

mod ends;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use self::ends::{Ends, TOPIC};
use crate::fleet::{Fleet, Plan};
use crate::seed::Seed;
use crate::workload::drain::until;

/// Messages by which the partition of the topic is found.
const PROBES: u64 = 200;
/// Quiet between two looks at the cluster.
const LOOK: Duration = Duration::from_millis(50);

/// Kills of leaders, and how long each was felt.
#[derive(Args, Debug)]
pub struct FailoverArgs {
    /// Path of the holdfast binary
    #[arg(long)]
    pub holdfast: PathBuf,
    /// Nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(3..=7))]
    pub nodes: u16,
    /// How often the leader is killed
    #[arg(long, default_value_t = 50)]
    pub kills: u32,
    /// Messages that are published in a second
    #[arg(long, default_value_t = 100)]
    pub rate: u32,
    /// Decides when kills come
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Longest time for a cluster to be whole again, or for a message to get through, in seconds
    #[arg(long, default_value_t = 60)]
    pub patience: u64,
    /// Where the nodes' directories are made (removed at the end)
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Write the figures as JSON to this file too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// A distribution. Unit: milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    /// Half of all took no longer.
    pub median: f64,
    /// 9 of 10.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// The longest.
    pub max: f64,
    /// Each, in the order of the kills.
    pub each: Vec<f64>,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Felt {
    /// Nodes of the cluster.
    pub nodes: u16,
    /// Kills.
    pub kills: u32,
    /// Messages that were published in a second.
    pub rate: u32,
    /// From the kill to the first PUBACK of a message that was sent after it.
    pub acknowledged_ms: Spread,
    /// From the kill to the first delivery of a message that was sent after it.
    pub delivered_ms: Spread,
}

impl FailoverArgs {
    /// Measures; a line for each kill to `progress`.
    ///
    /// # Errors
    /// When the cluster does not come back, or this machine cannot run it.
    pub fn run(&self, progress: &mut dyn Write) -> io::Result<Felt> {
        let mut seed = Seed::new(self.seed);
        let binary = std::fs::canonicalize(&self.holdfast)?;
        let plan = Plan { directory: self.dir.clone(), ..Plan::new(binary, usize::from(self.nodes)) };
        let fleet = Fleet::own(&plan, &mut seed)?;
        let patience = Duration::from_secs(self.patience);
        fleet.settle(patience)?;
        let partition = self.find(&fleet)?;
        writeln!(progress, "{TOPIC} lies in partition {partition}")?;
        let (mut acknowledged, mut delivered) = (Vec::new(), Vec::new());
        for kill in 1..=self.kills {
            let leader = whole(&fleet, partition, patience)?;
            let (ack, delivery) = self.kill(&fleet, leader, &mut seed)?;
            let (ack, delivery) = (millis(ack), millis(delivery));
            writeln!(
                progress,
                "kill {kill:3}: node {} led; acknowledged after {ack:.0} ms, delivered after {delivery:.0} ms",
                leader + 1
            )?;
            acknowledged.push(ack);
            delivered.push(delivery);
            fleet.settle(patience)?;
        }
        let felt = Felt {
            nodes: self.nodes,
            kills: self.kills,
            rate: self.rate,
            acknowledged_ms: Spread::of(acknowledged),
            delivered_ms: Spread::of(delivered),
        };
        if let Some(path) = &self.json {
            std::fs::write(path, serde_json::to_vec_pretty(&felt)?)?;
        }
        Ok(felt)
    }

    /// The partition that grows when something is published to the topic.
    fn find(&self, fleet: &Fleet) -> io::Result<u16> {
        let before = fleet.nodes()[0].view()?;
        ends::publish(fleet.nodes()[0].mqtt(), PROBES)?;
        let mut found = None;
        let patience = Duration::from_secs(self.patience);
        until(patience, || {
            let grown = fleet.nodes()[0].view().map(|after| {
                let pairs = before.partitions.iter().zip(&after.partitions);
                let mut grown = pairs.filter(|(old, new)| new.next_offset >= old.next_offset + PROBES);
                grown.next().map(|(_, new)| new.id)
            });
            found = grown.ok().flatten();
            found.is_some()
        });
        found.ok_or_else(|| io::Error::other("no partition grew when something was published"))
    }

    /// Kills a node while messages flow through the others; how long it took until they did again.
    fn kill(&self, fleet: &Fleet, leader: usize, seed: &mut Seed) -> io::Result<(Duration, Duration)> {
        let nodes = fleet.founders();
        let first = 1 + seed.below(nodes as u64 - 1) as usize;
        let publisher = fleet.nodes()[(leader + first) % nodes].mqtt();
        let second = 1 + seed.below(nodes as u64 - 1) as usize;
        let subscriber = fleet.nodes()[(leader + second) % nodes].mqtt();
        let ends = Arc::new(Ends::new(Duration::from_secs(self.patience), self.rate));
        thread::scope(|scope| {
            let receiving = scope.spawn(|| ends.subscribe(subscriber));
            let sending = scope.spawn(|| ends.publish(publisher));
            let flows = until(Duration::from_secs(self.patience), || ends.flow());
            if flows {
                // Longer than anything periodic, so that kills fall anywhere into it.
                thread::sleep(Duration::from_millis(300 + seed.below(1500)));
                let killed = Instant::now();
                fleet.nodes()[leader].kill()?;
                ends.killed(killed);
            }
            let flowed = until(Duration::from_secs(self.patience), || ends.both().is_some());
            ends.end();
            for end in [receiving, sending] {
                end.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            let stuck = || io::Error::other(format!("nothing flows after node {} was killed", leader + 1));
            ends.both().filter(|_| flowed).ok_or_else(stuck)
        })
    }
}

impl Felt {
    /// The figures for a person, as rows of a table.
    pub fn summary(&self) -> String {
        let row = |name: &str, Spread { median, p90, p99, max, .. }: &Spread| {
            format!("| {name} | {median:.0} | {p90:.0} | {p99:.0} | {max:.0} |\n")
        };
        format!(
            "{} kills of the leader, {} nodes, {} messages/s; milliseconds\n\n\
             | from the kill to | median | p90 | p99 | max |\n|---|---:|---:|---:|---:|\n{}{}",
            self.kills,
            self.nodes,
            self.rate,
            row("the next PUBACK", &self.acknowledged_ms),
            row("the next delivery", &self.delivered_ms)
        )
    }
}

impl Spread {
    fn of(each: Vec<f64>) -> Spread {
        let mut sorted = each.clone();
        sorted.sort_by(f64::total_cmp);
        // The smallest value that at least so many of 100 do not exceed.
        let at = |part: usize| {
            let rank = (sorted.len() * part).div_ceil(100).max(1);
            sorted.get(rank - 1).copied().unwrap_or(0.0)
        };
        Spread { median: at(50), p90: at(90), p99: at(99), max: at(100), each }
    }
}

/// Waits until all nodes agree on the leader, and every copy is whole; the leader.
fn whole(fleet: &Fleet, partition: u16, patience: Duration) -> io::Result<usize> {
    let mut agreed = None;
    until(patience, || {
        agreed = leader(fleet, partition);
        if agreed.is_none() {
            thread::sleep(LOOK);
        }
        agreed.is_some()
    });
    agreed.ok_or_else(|| io::Error::other(format!("partition {partition} did not become whole")))
}

fn leader(fleet: &Fleet, partition: u16) -> Option<usize> {
    let mut leader = None;
    for (index, node) in fleet.nodes().iter().enumerate() {
        let view = node.view().ok()?;
        let seen = view.partitions.iter().find(|seen| seen.id == partition)?;
        let id = seen.leader?;
        if *leader.get_or_insert(id) != id {
            return None;
        }
        // The leader knows what the others have.
        let lags = |replica: &crate::fleet::Replica| replica.r#match.is_none_or(|held| held < seen.committed);
        if fleet.index_of(id) == Some(index) && seen.replicas.iter().any(lags) {
            return None;
        }
    }
    fleet.index_of(leader?)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_spread_is_a_value_that_was_seen() {
        let spread = Spread::of((1..=50).rev().map(f64::from).collect());
        assert_eq!((spread.median, spread.p90, spread.p99, spread.max), (25.0, 45.0, 50.0, 50.0));
        assert_eq!(spread.each[0], 50.0);
        assert_eq!(Spread::of(vec![7.0]).median, 7.0);
    }
}
