//! Messages for a durable subscriber that is away, and how fast it gets them when it returns.

use std::io;

use super::gather::{self, Guest};
use super::meter::Meter;
use super::push::{self, Push};
use super::{Figures, LoadArgs};

pub(super) fn run(args: &LoadArgs) -> io::Result<Figures> {
    let run = args.run_id();
    let publishers = args.publishers.unwrap_or(10);
    let each = args.messages.unwrap_or(100_000) / publishers.max(1) as u64;
    let total = each * publishers as u64;
    let guest = Guest {
        client_id: format!("load-{run}-away"),
        durable: true,
        filter: Some((format!("load/{run}/#"), args.qos.max(1))),
    };
    push::subscribe_and_leave(args, &guest)?;
    let topics = (0..publishers)
        .map(|publisher| (0..args.topics).map(|t| format!("load/{run}/{publisher}/{t}")).collect())
        .collect();
    let storing = Meter::start(&args.pid)?;
    Push { run, publishers, topics, first_every: 0, each, retain: false }.run(args)?;
    let stored = storing.read()?;
    let draining = Meter::start(&args.pid)?;
    let first = push::collect(args, &guest, total)?;
    let drained = draining.read()?;
    gather::forget(args.address()?, std::slice::from_ref(&guest))?;

    let mut figures = Figures::default();
    figures.set("messages", total);
    figures.set_round("stored_per_second", total as f64 / stored.time.as_secs_f64());
    figures.set_round("store_broker_cpu_seconds", stored.cpu_seconds);
    figures.set("stored_rss_bytes", stored.rss_bytes);
    figures.set("stored_written_bytes", stored.written_bytes);
    stored.amplification(&mut figures, total * u64::from(args.payload));
    figures.set_round("first_delivery_ms", first.as_secs_f64() * 1000.0);
    figures.set_round("drained_per_second", total as f64 / drained.time.as_secs_f64());
    drained.describe(&mut figures);
    drained.per_cpu_second(&mut figures, "drained_per_broker_cpu_second", total);
    Ok(figures)
}
