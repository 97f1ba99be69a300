//! Fan-in, fan-out and pairs: publishers and subscribers work side by side for a measured time.

use std::io;
use std::time::{Duration, Instant};

use super::flow::{Flow, Lane, Role, Sending, Source};
use super::gather::{self, Guest};
use super::meter::{Meter, Reading};
use super::swarm::Swarm;
use super::{Figures, LoadArgs, Workload};

/// Messages on their way at QoS 0, in all: full sockets, and far below what makes a broker drop.
const WINDOW_QOS_0: u64 = 5000;
/// Deliveries on their way when every message goes to many.
const WINDOW_DELIVERIES: u64 = 100_000;
/// At QoS 1 and 2 acknowledgements hold publishers back; this only keeps subscribers from falling behind.
const WINDOW_QOS_1: u64 = 50_000;
/// Deliveries that have not come for this long at QoS 0 are lost.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// After the end, deliveries have this long to arrive.
const DRAIN_WAIT: Duration = Duration::from_secs(10);

/// Who takes part.
struct Plan {
    subscribers: Vec<Guest>,
    publishers: Vec<Guest>,
    /// Topics by publisher.
    topics: Vec<Vec<String>>,
    /// Lanes by publisher and by subscriber are the same number, or all 0.
    lanes: Vec<Lane>,
}

pub(super) fn run(args: &LoadArgs) -> io::Result<Figures> {
    let plan = plan(args);
    let mut swarm = Swarm::new(args.addresses()?, args.level(), args.payload as usize)?;
    let mut flow = Flow::new(args.qos, plan.lanes.clone());
    gather::gather(&mut swarm, &plan.subscribers)?;
    let limits = gather::gather(&mut swarm, &plan.publishers)?;
    let lane = |index: usize| if plan.lanes.len() > 1 { index } else { 0 };
    flow.roles.extend((0..plan.subscribers.len()).map(|index| Role::Sink(lane(index))));
    for (index, limit) in limits.iter().enumerate() {
        let sending = Sending {
            topics: &plan.topics[index],
            first_every: 0,
            payload: args.payload as usize,
            qos: args.qos,
            retain: false,
            inflight_max: u64::from(args.inflight.min(u32::from(*limit))),
            count: u64::MAX,
        };
        flow.roles.push(Role::Source(Source::new(lane(index), args.level(), &sending)));
    }
    let mut stage = Stage { args, swarm, flow, second: Second::new(), begun: Instant::now() };
    stage.play(Duration::from_secs_f64(args.warmup))?;
    stage.flow.latency.reset();
    let (published, delivered) = (stage.flow.published(), stage.flow.delivered);
    let meter = Meter::start(&args.pid)?;
    stage.play(args.duration())?;
    let reading = meter.read()?;
    let counts = (stage.flow.published() - published, stage.flow.delivered - delivered);
    let figures = describe(args, &stage.flow, &reading, counts);
    let figures = stage.end(figures)?;
    gather::forget(args.address()?, &plan.subscribers)?;
    Ok(figures)
}

fn plan(args: &LoadArgs) -> Plan {
    let run = args.run_id();
    let (publishers, subscribers) = match args.workload {
        Workload::FanIn => (args.publishers.unwrap_or(50), args.subscribers.unwrap_or(1)),
        Workload::FanOut => (args.publishers.unwrap_or(1), args.subscribers.unwrap_or(200)),
        _ => {
            let pairs = args.publishers.or(args.subscribers).unwrap_or(50);
            (pairs, pairs)
        }
    };
    let pairs = args.workload == Workload::P2p;
    let guest = |kind: &str, index: usize| Guest {
        client_id: format!("load-{run}-{kind}-{index}"),
        durable: false,
        filter: None,
    };
    let subscriber = |index: usize| Guest {
        durable: args.durable,
        filter: Some((
            if pairs { format!("load/{run}/{index}/#") } else { format!("load/{run}/#") },
            args.qos,
        )),
        ..guest("sub", index)
    };
    let topics = |publisher: usize| (0..args.topics).map(|t| format!("load/{run}/{publisher}/{t}")).collect();
    let fan = if pairs { 1 } else { subscribers as u64 };
    let window = args.window.unwrap_or(match args.qos {
        0 => WINDOW_QOS_0.min(WINDOW_DELIVERIES / fan.max(1)),
        _ => WINDOW_QOS_1.min(WINDOW_DELIVERIES / fan.max(1)),
    });
    let lanes = if pairs {
        vec![Lane::new(1, window.div_ceil(publishers as u64)); publishers]
    } else {
        vec![Lane::new(fan, window)]
    };
    Plan {
        subscribers: (0..subscribers).map(subscriber).collect(),
        publishers: (0..publishers).map(|index| guest("pub", index)).collect(),
        topics: (0..publishers).map(topics).collect(),
        lanes,
    }
}

/// The running load.
struct Stage<'a> {
    args: &'a LoadArgs,
    swarm: Swarm,
    flow: Flow,
    second: Second,
    begun: Instant,
}

/// What was counted when the last line was written.
struct Second {
    at: Instant,
    sent: u64,
    delivered: u64,
    owed: Vec<(u64, u64)>,
}

impl Second {
    fn new() -> Second {
        Second { at: Instant::now(), sent: 0, delivered: 0, owed: Vec::new() }
    }
}

impl Stage<'_> {
    /// Publishes and receives for `time`.
    fn play(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if self.args.rate > 0 {
                let due = (self.begun.elapsed().as_secs_f64() * self.args.rate as f64) as u64;
                self.flow.tokens = Some(due.saturating_sub(self.flow.sent));
            }
            let more = self.flow.pump(&mut self.swarm)?;
            let timeout = if more { Duration::ZERO } else { Duration::from_millis(1) };
            self.turn(timeout)?;
        }
        Ok(())
    }

    fn turn(&mut self, timeout: Duration) -> io::Result<()> {
        self.swarm.step(timeout, &mut self.flow)?;
        if let Some(fault) = self.flow.fault.take() {
            return Err(io::Error::other(fault));
        }
        if self.second.at.elapsed() >= LOST_AFTER {
            self.on_second();
        }
        Ok(())
    }

    /// Writes a line, and gives up on deliveries of lanes in which nothing has moved for a second.
    fn on_second(&mut self) {
        let seconds = self.second.at.elapsed().as_secs_f64();
        let flow = &mut self.flow;
        if !self.args.quiet {
            let rate = |now: u64, then: u64| (now - then) as f64 / seconds;
            eprintln!(
                "{:7.1} s  published {:9.0}/s  delivered {:9.0}/s  on their way {}",
                self.begun.elapsed().as_secs_f64(),
                rate(flow.sent, self.second.sent),
                rate(flow.delivered, self.second.delivered),
                flow.owed()
            );
        }
        let now = |lane: &Lane| (lane.sent, lane.delivered);
        for (lane, then) in flow.lanes.iter_mut().zip(&self.second.owed) {
            if self.args.qos == 0 && now(lane) == *then {
                lane.lost += lane.owed();
            }
        }
        let owed = flow.lanes.iter().map(now).collect();
        self.second = Second { at: Instant::now(), sent: flow.sent, delivered: flow.delivered, owed };
    }

    /// Waits for what is on its way, and counts what never came.
    fn end(mut self, mut figures: Figures) -> io::Result<Figures> {
        let deadline = Instant::now() + DRAIN_WAIT;
        while self.flow.owed() > 0 && Instant::now() < deadline {
            self.turn(Duration::from_millis(10))?;
        }
        // What was given up and came all the same is not lost.
        let missing = |lane: &Lane| (lane.sent * lane.fan).saturating_sub(lane.delivered);
        let lost = self.flow.lanes.iter().map(missing).sum::<u64>();
        figures.set("lost_deliveries", lost);
        Ok(figures)
    }
}

fn describe(args: &LoadArgs, flow: &Flow, reading: &Reading, (published, delivered): (u64, u64)) -> Figures {
    let mut figures = Figures::default();
    let seconds = reading.time.as_secs_f64();
    figures.set("published", published);
    figures.set("delivered", delivered);
    figures.set_round("published_per_second", published as f64 / seconds);
    figures.set_round("delivered_per_second", delivered as f64 / seconds);
    figures.set_round("messages_per_second", (published + delivered) as f64 / seconds);
    for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
        figures.set(&format!("latency_{name}_us"), flow.latency.value_at_quantile(quantile));
    }
    reading.describe(&mut figures);
    reading.per_cpu_second(&mut figures, "messages_per_broker_cpu_second", published + delivered);
    reading.amplification(&mut figures, published * u64::from(args.payload));
    figures
}
