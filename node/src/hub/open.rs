//! From a data directory to a running hub: open, load, replay, found, and take a boot epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use holdfast_cluster::link::Net;
use holdfast_cluster::{Identity, Member, Placement, Proposals};
use holdfast_log::{
    BootEpoch, Config, Effects, GroupId, GroupSpec, LogError, NodeId, Opening, Reader, Store,
};

use super::boarding::Boarding;
use super::keep::{Keeping, Limits};
use super::lead::Leading;
use super::live::Exchange;
use super::machine::{MachineError, Machines};
use super::net::{Answer, Peers};
use super::nodes::Nodes;
use super::propose::Pending;
use super::reads::Reads;
use super::time::GroupTime;
use super::turn::HubError;
use super::{Hub, Post};
use crate::board::Board;
use crate::clock::Clock;
use crate::config::Fault;
use crate::mail::{Event, Mailbox, Request};
use crate::metrics::{Latencies, Traffic};
use crate::route::{Partition, Route};

/// Bytes of log replayed at a time.
const REPLAY_BYTES: u64 = 4 * 1024 * 1024;

/// Everything a hub needs that is not on its disk.
pub struct Plan {
    /// Whose directory it is.
    pub identity: Identity,
    /// Its store.
    pub store: Arc<dyn Store>,
    /// Settings of the log engine.
    pub log: Config,
    /// Decides all chance in the engine.
    pub seed: u64,
    /// What is kept.
    pub limits: Limits,
    /// Replicas that were asked for.
    pub replicas: u32,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where requests come in.
    pub inbox: Arc<Mailbox<Request>>,
    /// One for each worker.
    pub workers: Vec<Arc<Mailbox<Event>>>,
    /// Derived state is flushed on a thread beside the hub; otherwise within the turn, as a simulation wants it.
    pub flush_beside: bool,
    /// How writes are synced, as the admin API shows it.
    pub fsync: String,
    /// The highest feature level that this node knows.
    pub level: u32,
    /// A fault put in on purpose.
    pub fault: Option<Fault>,
    /// Address of the cluster link, as the others reach it.
    pub advertised: String,
    /// The nodes of the cluster that this one's directory names, itself among them: the founders, or those that
    /// were there when it joined. None for a cluster of one.
    pub members: Vec<Member>,
    /// Whether this node came to a cluster that was there.
    pub joined: bool,
    /// The other nodes.
    pub net: Box<dyn Net + Send>,
    /// Answers nodes that are no members.
    pub answer: Answer,
    /// How long the others wait for a node that is not heard of.
    pub lease: Duration,
}

/// Why a hub cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log cannot be opened, or is damaged.
    #[error("cannot open the log")]
    Log(#[from] LogError),
    /// The derived state is damaged or newer.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The first turns failed.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The meta group granted no boot epoch.
    #[error("no boot epoch was granted")]
    NoBoot,
}

/// An opened hub and what the rest of the node needs of it.
pub struct Opened {
    /// The hub, ready to run.
    pub hub: Hub,
    /// Reads the log from other threads.
    pub reader: Reader,
    /// This boot's epoch; 0 where the other nodes have to grant it first, which `Event::Boot` then says.
    pub boot: u64,
    /// How far group time is ahead of the monotonic clock, milliseconds, kept up to date.
    pub ahead: Arc<AtomicU64>,
    /// What the threads of the node show each other.
    pub board: Arc<Board>,
    /// Whether this node serves, kept up to date.
    pub serving: Arc<AtomicBool>,
    /// The table of slots.
    pub route: Route,
}

/// Opens a hub: everything that is known to be committed is applied. In a cluster of one every group has a leader
/// afterwards, and all earlier boots of this node are closed.
///
/// # Errors
/// When the disk is not what it should be; nothing is served then.
pub fn open(plan: Plan) -> Result<Opened, OpenError> {
    let route = Route::new(plan.identity.partitions, plan.identity.session_groups);
    let node = NodeId::new(plan.identity.node_id);
    let alone = plan.members.is_empty();
    let placement = place(node, &plan.members);
    let specs = specs(&plan, route, &placement)?;
    let held: BTreeSet<GroupId> = specs.iter().map(|spec| spec.id).collect();
    let log = Config { sabotage: Fault::of_log(plan.fault), ..plan.log.clone() };
    let mut opening = Opening::new(Arc::clone(&plan.store), log, plan.seed, specs)?;
    let mut machines = Machines::new(route, node, plan.fault);
    restore_all(&mut opening, &mut machines, route, &held)?;
    let mut engine = opening.start(plan.clock.monotonic())?;
    let blank = route.all_groups().filter(|group| !held.contains(group));
    blank.map(|group| placement.blank(group, is_partition(group))).try_for_each(|spec| engine.open(spec))?;
    let reader = engine.reader();
    // Group time goes on from the last stamp in the log, whatever the clock says now.
    let stamps = route.all_groups().filter_map(|group| engine.status(group));
    let last = stamps.map(|status| status.stamp.get()).max().unwrap_or(0);
    let now = plan.clock.monotonic();
    let mut boarding = Boarding::new(plan.lease, alone, plan.seed);
    boarding.load(&machines, now);
    let board = Arc::new(Board::new(route, plan.workers.len(), alone));
    let leading = Leading::new(node, Arc::clone(&board));
    let workers = plan.workers.iter().map(|mailbox| Post::new(Arc::clone(mailbox))).collect();
    let mut hub = Hub {
        engine,
        reader: reader.clone(),
        machines,
        proposals: Proposals::new(node, BootEpoch::new(0)),
        effects: Effects::default(),
        pending: Pending::new(usize::from(route.partitions()), usize::from(route.session_groups())),
        route,
        node,
        boot: 0,
        boarding,
        contact: super::Contact::new(plan.lease, route.session_groups()),
        net: plan.net,
        peers: Peers::new(alone, plan.answer),
        nodes: Nodes::new(plan.members),
        leading,
        board: Arc::clone(&board),
        exchange: Exchange::new(now),
        time: GroupTime::new(last, now),
        clock: plan.clock,
        inbox: plan.inbox,
        workers,
        hearing: super::hear::Hearing::default(),
        attaching: BTreeMap::new(),
        departing: BTreeMap::new(),
        fencing: BTreeMap::new(),
        reads: Reads::default(),
        sharing: super::share::Sharing::default(),
        keeping: Keeping::new(plan.limits, plan.fsync, plan.flush_beside),
        outbox_sent: vec![0; usize::from(route.session_groups())],
        latencies: Latencies::new(),
        traffic: Traffic::new(),
        fault: plan.fault,
        late: Vec::new(),
        level: plan.level,
        identity: plan.identity,
        advertised: plan.advertised,
        replicas: plan.replicas,
        stopping: false,
    };
    hub.begin()?;
    let serving = hub.boarding.flag();
    let ahead = hub.time.ahead();
    Ok(Opened { boot: hub.boot, hub, ahead, reader, board, serving, route })
}

fn restore_all(
    opening: &mut Opening,
    machines: &mut Machines,
    route: Route,
    held: &BTreeSet<GroupId>,
) -> Result<(), OpenError> {
    for group in held.iter().copied() {
        restore(opening, machines, group)?;
    }
    for (partition, next) in route.all_partitions().zip(&mut machines.next) {
        *next = opening.reader().bounds(partition.group()).map_or(0, |(_, next)| next.get());
    }
    Ok(())
}

fn place(node: NodeId, founders: &[Member]) -> Placement {
    match founders {
        [] => Placement::of_one(node),
        _ => Placement::of_founders(node, founders.iter().map(|member| NodeId::new(member.node)).collect()),
    }
}

fn is_partition(group: GroupId) -> bool {
    Partition::of_group(group).is_some()
}

/// The replicas that the directory has or is founded with. Who came later founds nothing.
fn specs(plan: &Plan, route: Route, placement: &Placement) -> Result<Vec<GroupSpec>, LogError> {
    if plan.joined {
        return Opening::groups(&*plan.store);
    }
    let groups = route.all_groups();
    Ok(groups.map(|group| placement.spec(group, is_partition(group))).collect())
}

fn restore(
    opening: &mut Opening,
    machines: &mut Machines,
    group: holdfast_log::GroupId,
) -> Result<(), OpenError> {
    machines.take_rows(group, |visit| opening.state(group, visit))??;
    while let Some(batch) = opening.replay(group, REPLAY_BYTES)? {
        for committed in batch {
            let (_, changes) = machines.apply(&committed)?;
            opening.persist(group, committed.entry().index, changes)?;
        }
    }
    Ok(())
}

impl Hub {
    /// Goes as far as it can without others.
    fn begin(&mut self) -> Result<(), OpenError> {
        self.check_level()?;
        self.follow_nodes();
        if self.peers.alone() { self.begin_alone() } else { Ok(()) }
    }

    /// Nobody else is needed: goes on until this node may serve.
    fn begin_alone(&mut self) -> Result<(), OpenError> {
        let mut none = Vec::new();
        // Each turn elects, founds, grants or closes something; a handful is enough.
        for _ in 0..1_000 {
            if self.serving() {
                return Ok(());
            }
            self.turn(&mut none)?;
        }
        Err(OpenError::NoBoot)
    }
}
