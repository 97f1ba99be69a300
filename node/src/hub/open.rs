//! From a data directory to a running hub: open, load, replay, found, and take a boot epoch.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_cluster::{Identity, Placement, Proposals};
use holdfast_log::{
    Body, BootEpoch, Config, Effects, Engine, LogError, NodeId, Opening, Proposal, Reader, Sequence, Stamp,
    Store,
};
use prost::Message;

use super::keep::{Keeping, Limits};
use super::machine::{Applied, MachineError, Machines};
use super::propose::Pending;
use super::turn::HubError;
use super::{Hub, Post};
use crate::clock::Clock;
use crate::config::Fault;
use crate::mail::{Event, Mailbox, Request};
use crate::metrics::Latencies;
use crate::route::{META, Partition, Route};
use crate::state::meta::{Boot, Founding, MetaKind, MetaOp};

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
    /// A fault put in on purpose.
    pub fault: Option<Fault>,
    /// Address of the cluster link, as the admin API shows it.
    pub advertised: String,
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
    /// The log says something else than the identity file.
    #[error("the data belongs to cluster {found}, the identity file says {wanted}")]
    OtherCluster {
        /// In the log.
        found: String,
        /// In the file.
        wanted: String,
    },
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
    /// This boot's epoch.
    pub boot: u64,
    /// The table of slots.
    pub route: Route,
}

/// Opens a hub: afterwards every group has a leader, everything committed is applied, and all earlier boots of
/// this node are closed.
///
/// # Errors
/// When the disk is not what it should be; nothing is served then.
pub fn open(plan: Plan) -> Result<Opened, OpenError> {
    let route = Route::new(plan.identity.partitions, plan.identity.session_groups);
    let node = NodeId::new(plan.identity.node_id);
    let placement = Placement::of_one(node);
    let specs = Machines::groups(route)
        .into_iter()
        .map(|group| placement.spec(group, Partition::of_group(group).is_some()))
        .collect();
    let mut opening = Opening::new(Arc::clone(&plan.store), plan.log.clone(), plan.seed, specs)?;
    let mut machines = Machines::new(route);
    for group in Machines::groups(route) {
        restore(&mut opening, &mut machines, group)?;
    }
    for (partition, next) in route.all_partitions().zip(&mut machines.next) {
        *next = opening.reader().bounds(partition.group()).map_or(0, |(_, next)| next.get());
    }
    let mut engine = opening.start(plan.clock.monotonic())?;
    let boot = take_boot(&mut engine, &mut machines, &plan)?;
    let reader = engine.reader();
    // Group time goes on from the last stamp in the log, whatever the clock says now.
    let stamps = Machines::groups(route).into_iter().filter_map(|group| engine.status(group));
    let last = stamps.map(|status| status.stamp.get()).max().unwrap_or(0);
    let stamped = last.saturating_sub(super::millis(plan.clock.monotonic()));
    let workers = plan
        .workers
        .iter()
        .map(|mailbox| Post {
            mailbox: Arc::clone(mailbox),
            events: Vec::new(),
            settled: Vec::new(),
            feeding: false,
            refusals: 0,
        })
        .collect();
    let mut hub = Hub {
        engine,
        reader: reader.clone(),
        machines,
        proposals: Proposals::new(node, BootEpoch::new(boot)),
        effects: Effects::default(),
        pending: Pending::new(usize::from(route.partitions()), usize::from(route.session_groups())),
        route,
        node,
        boot,
        clock: plan.clock,
        inbox: plan.inbox,
        workers,
        attaching: BTreeMap::new(),
        barriers: Vec::new(),
        keeping: Keeping::new(plan.limits, plan.fsync, plan.flush_beside),
        outbox_sent: vec![0; usize::from(route.session_groups())],
        latencies: Latencies::new(),
        fault: plan.fault,
        late: Vec::new(),
        identity: plan.identity,
        advertised: plan.advertised,
        stopping: false,
        ahead: Cell::new(stamped),
    };
    hub.close_boots()?;
    Ok(Opened { hub, reader, boot, route })
}

fn restore(
    opening: &mut Opening,
    machines: &mut Machines,
    group: holdfast_log::GroupId,
) -> Result<(), OpenError> {
    let mut damaged = None;
    opening.state(group, &mut |key, value| {
        if let Err(error) = machines.load(group, key, value) {
            damaged.get_or_insert(error);
        }
    })?;
    if let Some(error) = damaged {
        return Err(error.into());
    }
    machines.loaded_of(group);
    while let Some(batch) = opening.replay(group, REPLAY_BYTES)? {
        for committed in batch {
            let (_, changes) = machines.apply(&committed)?;
            opening.persist(group, committed.entry().index, changes)?;
        }
    }
    Ok(())
}

/// Founds the cluster if that was not done, and asks for the next boot epoch, under a boot of 0 that no node
/// ever runs with. The first try is refused and says which sequence is expected.
fn take_boot(engine: &mut Engine, machines: &mut Machines, plan: &Plan) -> Result<u64, OpenError> {
    let identity = &plan.identity;
    let founding = Founding {
        cluster_id: identity.cluster_id.clone(),
        partitions: u32::from(identity.partitions),
        session_groups: u32::from(identity.session_groups),
        replicas: plan.replicas,
    };
    let boot = Boot {
        node: identity.node_id,
        uuid: identity.node_uuid.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut effects = Effects::default();
    let node = NodeId::new(identity.node_id);
    let mut granted = None;
    let mut ops = [MetaKind::Boot(boot), MetaKind::Found(founding)].to_vec();
    let mut sequence = Sequence::new(u64::MAX >> 1);
    // Each pass elects, commits or applies something; a group of one voter needs a handful.
    for _ in 0..1_000 {
        if let Some(op) = ops.last() {
            let op = MetaOp { kind: Some(op.clone()) };
            let body = Body::Command(Bytes::from(op.encode_to_vec()));
            let stamp = Stamp::new(plan.clock.wall());
            let proposal =
                Proposal { group: META, node, boot: BootEpoch::new(0), seq: sequence, body, stamp };
            match engine.propose(proposal) {
                Ok(()) => {
                    ops.pop();
                    sequence = sequence.next();
                }
                Err(holdfast_log::Refusal::Gap { expected }) => sequence = expected,
                Err(holdfast_log::Refusal::Repeat { .. }) => sequence = sequence.next(),
                Err(_) => {}
            }
        }
        engine.collect(&mut effects)?;
        engine.commit(&mut effects)?;
        for committed in effects.committed.drain(..) {
            let (applied, changes) = machines.apply(&committed)?;
            engine.persist(committed.entry().group, committed.entry().index, changes)?;
            if let Applied::Boot(boot) = applied {
                granted = Some(boot);
            }
        }
        effects.clear();
        if let Some(boot) = granted {
            return check_cluster(machines, identity).map(|()| boot);
        }
        engine.tick(plan.clock.monotonic());
    }
    Err(OpenError::NoBoot)
}

fn check_cluster(machines: &Machines, identity: &Identity) -> Result<(), OpenError> {
    match machines.meta.founding() {
        Some(founding) if founding.cluster_id != identity.cluster_id => Err(OpenError::OtherCluster {
            found: founding.cluster_id.clone(),
            wanted: identity.cluster_id.clone(),
        }),
        _ => Ok(()),
    }
}

impl Hub {
    /// Commits into every group that all earlier boots of this node are over.
    fn close_boots(&mut self) -> Result<(), HubError> {
        let before = BootEpoch::new(self.boot - 1);
        let groups: Vec<_> =
            Machines::groups(self.route).into_iter().filter(|group| *group != META).collect();
        for group in &groups {
            let body = Body::CloseBoot { node: self.node, boot: before };
            self.proposals.push(*group, body, super::Tag::Quiet);
        }
        let mut none = Vec::new();
        while groups.iter().any(|group| self.proposals.open(*group) > 0) {
            self.turn(&mut none)?;
        }
        for group in self.route.all_session_groups() {
            self.send_outbox(group);
        }
        self.turn(&mut none)
    }
}
