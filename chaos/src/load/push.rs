//! Publishes a given number of messages and waits for all acknowledgements; and the reverse, a subscriber
//! that returns and waits for a given number of deliveries.

use std::io;
use std::time::{Duration, Instant};

use super::LoadArgs;
use super::flow::{Flow, Lane, Role, Sending, Source};
use super::gather::{self, Guest};
use super::swarm::Swarm;

/// A broker that makes no progress for this long is broken.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be published.
pub(super) struct Push {
    pub(super) run: String,
    pub(super) publishers: usize,
    /// Each publisher publishes to these in turn, or as `first_every` says.
    pub(super) topics: Vec<Vec<String>>,
    pub(super) first_every: u64,
    /// Messages of each publisher.
    pub(super) each: u64,
    pub(super) retain: bool,
}

impl Push {
    /// Publishes everything at QoS 1, or 2 if asked for.
    pub(super) fn run(&self, args: &LoadArgs) -> io::Result<()> {
        let qos = args.qos.max(1);
        let guests: Vec<Guest> = (0..self.publishers)
            .map(|index| Guest {
                client_id: format!("load-{}-pub-{index}", self.run),
                durable: false,
                filter: None,
            })
            .collect();
        let mut swarm = Swarm::new(args.addresses()?, args.level(), 0)?;
        let limits = gather::gather(&mut swarm, &guests)?;
        let mut flow = Flow::new(qos, vec![Lane::new(0, 1)]);
        for (index, limit) in limits.iter().enumerate() {
            let sending = Sending {
                topics: &self.topics[index % self.topics.len()],
                first_every: self.first_every,
                payload: args.payload as usize,
                qos,
                retain: self.retain,
                inflight_max: u64::from(args.inflight.min(u32::from(*limit))),
                count: self.each,
            };
            flow.roles.push(Role::Source(Source::new(0, args.level(), &sending)));
        }
        let total = self.each * self.publishers as u64;
        watch(args, &mut swarm, &mut flow, |flow| (flow.acked, total))?;
        for connection in 0..swarm.len() {
            swarm.leave(connection)?;
        }
        Ok(())
    }
}

/// A durable subscriber makes its subscription and leaves.
pub(super) fn subscribe_and_leave(args: &LoadArgs, guest: &Guest) -> io::Result<()> {
    let mut swarm = Swarm::new(args.addresses()?, args.level(), 0)?;
    gather::gather(&mut swarm, std::slice::from_ref(guest))?;
    swarm.leave(0)
}

/// A subscriber connects and stays until it has got `count` messages. Returns the time to the first.
pub(super) fn collect(args: &LoadArgs, guest: &Guest, count: u64) -> io::Result<Duration> {
    let mut swarm = Swarm::new(args.addresses()?, args.level(), args.payload as usize)?;
    let mut flow = Flow::new(args.qos.max(1), vec![Lane::new(0, 1)]);
    flow.roles.push(Role::Sink(0));
    let start = Instant::now();
    swarm.open(&guest.connect(args.level()))?;
    watch(args, &mut swarm, &mut flow, |flow| (flow.delivered, 1))?;
    let first = start.elapsed();
    watch(args, &mut swarm, &mut flow, |flow| (flow.delivered, count))?;
    swarm.leave(0)?;
    Ok(first)
}

/// Keeps everything going until the first number is the second.
pub(super) fn watch(
    args: &LoadArgs,
    swarm: &mut Swarm,
    flow: &mut Flow,
    progress: impl Fn(&Flow) -> (u64, u64),
) -> io::Result<()> {
    let mut seen = (0, Instant::now());
    let mut told = (0, Instant::now());
    loop {
        let (now, wanted) = progress(flow);
        if now >= wanted {
            return Ok(());
        }
        if now != seen.0 {
            seen = (now, Instant::now());
        }
        if seen.1.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{now} of {wanted} came, and no more for {PATIENCE:?}")));
        }
        if !args.quiet && told.1.elapsed() >= Duration::from_secs(1) {
            let rate = (now - told.0) as f64 / told.1.elapsed().as_secs_f64();
            eprintln!("{now} of {wanted}, {rate:.0}/s");
            told = (now, Instant::now());
        }
        let more = flow.pump(swarm)?;
        swarm.step(if more { Duration::ZERO } else { Duration::from_millis(10) }, flow)?;
        if let Some(fault) = flow.fault.take() {
            return Err(io::Error::other(fault));
        }
    }
}
