//! Connections that only exist: what the broker's memory grows by for each.

use std::io;
use std::time::{Duration, Instant};

use super::flow::{Flow, Lane, Role};
use super::gather::{self, Guest};
use super::meter::Meter;
use super::swarm::Swarm;
use super::{Figures, LoadArgs};

pub(super) fn run(args: &LoadArgs) -> io::Result<Figures> {
    let run = args.run_id();
    let count = args.subscribers.unwrap_or(10_000);
    let guests: Vec<Guest> = (0..count)
        .map(|index| Guest {
            client_id: format!("load-{run}-{index}"),
            durable: args.durable,
            filter: Some((format!("load/{run}/{index}"), args.qos)),
        })
        .collect();
    let mut swarm = Swarm::new(args.addresses()?, args.level(), 0)?;
    let meter = Meter::start(&args.pid)?;
    gather::gather(&mut swarm, &guests)?;
    let opening = meter.read()?;
    let still = Meter::start(&args.pid)?;
    let mut flow = Flow::new(args.qos, vec![Lane::new(0, 1)]);
    flow.roles.extend((0..count).map(|_| Role::Sink(0)));
    let end = Instant::now() + args.duration();
    while Instant::now() < end {
        swarm.step(Duration::from_millis(100), &mut flow)?;
        if let Some(fault) = flow.fault.take() {
            return Err(io::Error::other(fault));
        }
    }
    let idle = still.read()?;
    let mut figures = Figures::default();
    figures.set("connections", count);
    figures.set_round("opened_per_second", count as f64 / opening.time.as_secs_f64());
    figures.set_round("opening_broker_cpu_seconds", opening.cpu_seconds);
    let growth = idle.rss_growth_bytes + opening.rss_growth_bytes;
    figures.set_round("rss_growth_bytes_per_connection", growth / count.max(1) as f64);
    idle.describe(&mut figures);
    drop(swarm);
    gather::forget(args.address()?, &guests)?;
    Ok(figures)
}
