//! A few messages for an absent subscriber in a long log: its return should cost what it gets, not what
//! others got. The same few in a shorter log are the measure.

use std::io;

use super::gather::{self, Guest};
use super::meter::Meter;
use super::push::{self, Push};
use super::{Figures, LoadArgs};

/// Topics of the messages that match nobody.
const OTHER_TOPICS: u64 = 1000;

pub(super) fn run(args: &LoadArgs) -> io::Result<Figures> {
    let mut figures = Figures::default();
    let large = args.messages.unwrap_or(1_000_000);
    if args.compare > 0 {
        resume(args, args.compare, "compare_", &mut figures)?;
    }
    resume(args, large, "", &mut figures)?;
    if let (Some(small), Some(large)) = (figures.get("compare_resume_ms"), figures.get("resume_ms")) {
        figures.set_round("resume_times_as_long", large / small);
    }
    Ok(figures)
}

fn resume(args: &LoadArgs, messages: u64, prefix: &str, figures: &mut Figures) -> io::Result<()> {
    let run = args.run_id();
    let publishers = args.publishers.unwrap_or(10).max(1);
    let matching = (args.matching / publishers as u64).max(1);
    let every = (messages / (matching * publishers as u64)).max(1);
    let guest = Guest {
        client_id: format!("load-{run}-away"),
        durable: true,
        filter: Some((format!("load/{run}/wanted"), args.qos.max(1))),
    };
    push::subscribe_and_leave(args, &guest)?;
    let mut topics = vec![format!("load/{run}/wanted")];
    topics.extend((0..OTHER_TOPICS).map(|t| format!("load/{run}/other/{t}")));
    let storing = Meter::start(&args.pid)?;
    let each = matching * every;
    Push { run, publishers, topics: vec![topics], first_every: every, each, retain: false }.run(args)?;
    let stored = storing.read()?;
    let total = each * publishers as u64;
    let wanted = matching * publishers as u64;
    let returning = Meter::start(&args.pid)?;
    let first = push::collect(args, &guest, wanted)?;
    let resumed = returning.read()?;
    gather::forget(args.address()?, std::slice::from_ref(&guest))?;

    let mut set = |name: &str, value: f64| figures.set_round(&format!("{prefix}{name}"), value);
    set("messages", total as f64);
    set("matching", wanted as f64);
    set("stored_per_second", total as f64 / stored.time.as_secs_f64());
    set("first_delivery_ms", first.as_secs_f64() * 1000.0);
    set("resume_ms", resumed.time.as_secs_f64() * 1000.0);
    set("resume_broker_cpu_ms", resumed.cpu_seconds * 1000.0);
    Ok(())
}
