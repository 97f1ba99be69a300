//! The hub: the one thread that owns the log engine and the replicated machines.
//!
//! A turn takes in what workers asked for, packs it into one proposal per group, lets the engine write and sync
//! once for all groups, applies what is committed, and hands the results to the workers as batches. It never
//! touches a socket and never waits but for requests and the disk.
//!
//! Invariant: a `Settled`, `Attached` or `SessionDone` leaves only after the entry it speaks of is committed,
//! which the engine says only after a majority has synced it.

mod open;
mod turn;
mod query;
mod keep;
mod show;
mod reads;
mod hear;
mod attach;
mod depart;
mod fences;
mod outbox;
mod retained;
mod share;
mod apply;
mod boarding;
mod contact;
mod nodes;
mod level;
mod lead;
mod net;
mod live;
mod interest;
mod abroad;
mod propose;
mod machine;
mod word;
mod time;
mod tag;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_cluster::Proposals;
use holdfast_log::{Effects, Engine, NodeId, Reader};

use crate::board::Board;
use crate::clock::Clock;
use crate::config::Fault;
use crate::mail::{Event, Mailbox, Request};
use crate::metrics::{Latencies, Traffic};
use crate::route::{Partition, Route};
use crate::state::partition::Ended;
use attach::Attaching;
use boarding::Boarding;
use contact::Contact;
use depart::Departing;
use hear::Hearing;
use holdfast_cluster::link::Net;
use keep::Keeping;
pub use keep::Limits;
use lead::Leading;
use live::Exchange;
use machine::Machines;
pub use net::Answer;
use net::Peers;
use nodes::Nodes;
pub use open::{OpenError, Opened, Plan, open};
use propose::Pending;
use reads::Reads;
use share::Sharing;
use tag::{Fenced, Tag};
use time::GroupTime;
pub use turn::HubError;

/// How often an idle hub looks at its clocks.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// The hub.
pub struct Hub {
    engine: Engine,
    reader: Reader,
    machines: Machines,
    proposals: Proposals<Tag>,
    effects: Effects,
    pending: Pending,
    route: Route,
    node: NodeId,
    /// The boot that this node serves under; 0: none.
    boot: u64,
    boarding: Boarding,
    contact: Contact,
    net: Box<dyn Net + Send>,
    peers: Peers,
    nodes: Nodes,
    leading: Leading,
    board: Arc<Board>,
    exchange: Exchange,
    time: GroupTime,
    clock: Arc<dyn Clock>,
    inbox: Arc<Mailbox<Request>>,
    workers: Vec<Post>,
    hearing: Hearing,
    attaching: BTreeMap<String, Attaching>,
    departing: BTreeMap<String, Departing>,
    /// Fences that are to be proposed.
    fencing: BTreeMap<Partition, Vec<(Fenced, Ended)>>,
    reads: Reads,
    sharing: Sharing,
    keeping: Keeping,
    /// Highest outbox entry of each session group that is under way.
    outbox_sent: Vec<u64>,
    latencies: Latencies,
    traffic: Traffic,
    /// A fault put in on purpose, to see that the checkers find it. Never in a release build.
    fault: Option<Fault>,
    /// What the fault holds back.
    late: Vec<crate::mail::Batch>,
    /// The highest feature level that this node knows.
    level: u32,
    identity: holdfast_cluster::Identity,
    advertised: String,
    /// Replicas that were asked for.
    replicas: u32,
    stopping: bool,
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What is to be sent to one worker at the end of the turn.
#[derive(Debug)]
struct Post {
    mailbox: Arc<Mailbox<Event>>,
    events: Vec<Event>,
    /// Leaves after the events of all workers, so that what a publisher does next cannot overtake them.
    settled: Vec<Event>,
    /// It gets the entries of all partitions.
    feeding: bool,
    /// Refusals it was told of.
    refusals: u64,
}

impl Post {
    fn new(mailbox: Arc<Mailbox<Event>>) -> Self {
        Self { mailbox, events: Vec::new(), settled: Vec::new(), feeding: false, refusals: 0 }
    }
}

impl Hub {
    /// The node's number.
    pub fn node(&self) -> u64 {
        self.node.get()
    }

    /// Whether this node serves clients.
    pub fn serving(&self) -> bool {
        self.boarding.serving()
    }

    /// Group time, milliseconds since 1970.
    fn now(&self) -> u64 {
        self.time.now(self.clock.monotonic())
    }

    fn post(&mut self, worker: u32) -> &mut Post {
        &mut self.workers[worker as usize]
    }
}
