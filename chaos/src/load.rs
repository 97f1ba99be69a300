//! The load driver: one thread, non-blocking sockets, many packets a read and a write.
//!
//! It measures a broker and not itself: it reports its own CPU time beside the broker's, and at QoS 0 it
//! holds back what it sends so that a healthy broker need not drop anything.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::process;
use crate::wire::Level;

pub use figures::Figures;

mod steady;
mod connect;
mod idle;
mod backlog;
mod resume;
mod retained;
mod push;
mod flow;
mod gather;
mod swarm;
mod meter;
mod figures;

/// The shape of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Many publishers, few subscribers that each get everything (50 to 1)
    FanIn,
    /// Few publishers, many subscribers that each get everything (1 to 200)
    FanOut,
    /// Pairs of one publisher and one subscriber (50)
    P2p,
    /// CONNECT, CONNACK, DISCONNECT, again and again (50 at a time)
    Connect,
    /// Connections that only exist (10,000), with one subscription each
    Idle,
    /// Messages (100,000) for a durable subscriber that is away, then its return
    Backlog,
    /// Few messages (1,000) for an absent subscriber among many others (1,000,000), then its return
    Resume,
    /// Retained messages (10,000): set them all, then read them all
    Retained,
}

/// A load on a running broker.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// The shape of the load
    pub workload: Workload,
    /// Broker host
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    /// Broker port
    #[arg(long, default_value_t = 1883)]
    pub port: u16,
    /// More nodes of the same broker: connections go round all of them
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub also: Vec<SocketAddr>,
    /// Publishers (p2p: pairs; connect: clients at a time)
    #[arg(long)]
    pub publishers: Option<usize>,
    /// Subscribers (idle: connections)
    #[arg(long)]
    pub subscribers: Option<usize>,
    /// QoS of publishes and subscriptions
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// Payload, in bytes; the first eight are a timestamp
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(8..=1_000_000))]
    pub payload: u32,
    /// Unacknowledged messages that a publisher of QoS 1 or 2 allows itself
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub inflight: u32,
    /// Messages on their way to subscribers at a time, in all, before publishers wait
    #[arg(long)]
    pub window: Option<u64>,
    /// Measured time, in seconds
    #[arg(long, default_value_t = 10.0)]
    pub duration: f64,
    /// Time before it, in seconds
    #[arg(long, default_value_t = 2.0)]
    pub warmup: f64,
    /// Processes of the broker, for CPU time, memory and disk
    #[arg(long, value_delimiter = ',')]
    pub pid: Vec<u32>,
    /// Subscribers have no session (the default)
    #[arg(long, conflicts_with = "durable")]
    pub clean: bool,
    /// Subscribers have a durable session
    #[arg(long)]
    pub durable: bool,
    /// Messages a second, in all; 0: as many as flow control lets through
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    /// Topics that each publisher takes in turn
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub topics: u32,
    /// Protocol: 4 is 3.1.1, 5 is 5.0
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(4..=5))]
    pub mqtt: u8,
    /// Messages of backlog, resume and retained
    #[arg(long)]
    pub messages: Option<u64>,
    /// resume: messages that match the absent subscriber
    #[arg(long, default_value_t = 1000)]
    pub matching: u64,
    /// resume: messages of the smaller log that it is compared with; 0: none
    #[arg(long, default_value_t = 100_000)]
    pub compare: u64,
    /// No line a second on stderr
    #[arg(long)]
    pub quiet: bool,
}

impl LoadArgs {
    /// The defaults of this workload against a broker.
    pub fn new(workload: Workload, broker: SocketAddr, pid: u32) -> LoadArgs {
        LoadArgs {
            workload,
            host: broker.ip().to_string(),
            port: broker.port(),
            also: Vec::new(),
            publishers: None,
            subscribers: None,
            qos: 0,
            payload: 100,
            inflight: 100,
            window: None,
            duration: 10.0,
            warmup: 2.0,
            pid: vec![pid],
            clean: false,
            durable: false,
            rate: 0,
            topics: 1,
            mqtt: 4,
            messages: None,
            matching: 1000,
            compare: 100_000,
            quiet: true,
        }
    }

    /// Runs the load and returns its figures as one JSON object.
    pub fn run(&self) -> io::Result<String> {
        self.measure().map(|figures| figures.json())
    }

    /// Runs the load and returns its figures.
    pub fn measure(&self) -> io::Result<Figures> {
        process::raise_open_files();
        match self.workload {
            Workload::FanIn | Workload::FanOut | Workload::P2p => steady::run(self),
            Workload::Connect => connect::run(self),
            Workload::Idle => idle::run(self),
            Workload::Backlog => backlog::run(self),
            Workload::Resume => resume::run(self),
            Workload::Retained => retained::run(self),
        }
    }

    fn address(&self) -> io::Result<SocketAddr> {
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs()?;
        addresses.next().ok_or_else(|| io::Error::other(format!("{} has no address", self.host)))
    }

    /// All nodes, the one that a single connection goes to first.
    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        Ok([self.address()?].into_iter().chain(self.also.iter().copied()).collect())
    }

    fn level(&self) -> Level {
        Level::from_byte(self.mqtt).expect("the argument parser lets only 4 and 5 through")
    }

    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration)
    }

    /// Something that no other run has in its topics and client identifiers.
    fn run_id(&self) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        format!("{:x}{:x}", std::process::id(), now.map_or(0, |now| now.as_micros() as u64))
    }
}
