//! Retained messages: set them all, then read them all with one subscription.

use std::io;

use super::flow::{Flow, Lane, Role};
use super::gather::Guest;
use super::meter::Meter;
use super::push::{self, Push};
use super::swarm::Swarm;
use super::{Figures, LoadArgs};
use crate::wire;

pub(super) fn run(args: &LoadArgs) -> io::Result<Figures> {
    let run = args.run_id();
    let publishers = args.publishers.unwrap_or(10).max(1);
    let each = args.messages.unwrap_or(10_000) / publishers as u64;
    let total = each * publishers as u64;
    let topics: Vec<Vec<String>> = (0..publishers)
        .map(|publisher| (0..each).map(|t| format!("load/{run}/{publisher}/{t}")).collect())
        .collect();
    let mut push = Push { run: run.clone(), publishers, topics, first_every: 0, each, retain: true };
    let setting = Meter::start(&args.pid)?;
    push.run(args)?;
    let set = setting.read()?;
    let reading = Meter::start(&args.pid)?;
    read_all(args, &run, total)?;
    let read = reading.read()?;
    // An empty payload removes what was set.
    push.run = format!("{run}-clear");
    push.run(&LoadArgs { payload: 0, ..args.clone() })?;

    let mut figures = Figures::default();
    figures.set("messages", total);
    figures.set_round("set_per_second", total as f64 / set.time.as_secs_f64());
    figures.set_round("set_broker_cpu_seconds", set.cpu_seconds);
    set.amplification(&mut figures, total * u64::from(args.payload));
    figures.set_round("read_per_second", total as f64 / read.time.as_secs_f64());
    read.describe(&mut figures);
    Ok(figures)
}

fn read_all(args: &LoadArgs, run: &str, total: u64) -> io::Result<()> {
    let guest = Guest { client_id: format!("load-{run}-reader"), durable: false, filter: None };
    let mut swarm = Swarm::new(args.addresses()?, args.level(), args.payload as usize)?;
    super::gather::gather(&mut swarm, std::slice::from_ref(&guest))?;
    let filter = format!("load/{run}/#");
    if let Some(out) = swarm.room(0) {
        wire::subscribe(out, args.level(), 1, &[(&filter, args.qos)]);
    }
    swarm.flush(0)?;
    let mut flow = Flow::new(args.qos, vec![Lane::new(0, 1)]);
    flow.roles.push(Role::Sink(0));
    push::watch(args, &mut swarm, &mut flow, |flow| (flow.delivered, total))
}
