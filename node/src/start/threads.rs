//! The threads of a node and what they share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use holdfast_cluster::Identity;
use holdfast_log::{ReadError, RocksStore, Store};
use tokio::sync::Notify;

use super::company::Company;
use super::form::Membership;
use super::settings::{fsync_name, limits, log_config, settings, store_config};
use super::{NodeError, chain};
use crate::catchup::Catchup;
use crate::clock::Clock;
use crate::config::Config;
use crate::driver::{self, Ring, Ways};
use crate::hub::{self, HubError, Opened, Plan};
use crate::mail::{Event, Mailbox, Read, Request};
use crate::metrics::Counters;
use crate::state::meta::LEVEL;
use crate::worker::{Place, Tally, Worker};

/// How often a node that waits to serve looks whether it may.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The threads of a node.
pub(super) struct Threads {
    pub(super) hub: JoinHandle<Result<(), HubError>>,
    pub(super) catchup: JoinHandle<Result<(), ReadError>>,
    pub(super) workers: Vec<JoinHandle<std::io::Result<()>>>,
}

/// What several threads hold.
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) bells: Vec<Arc<Notify>>,
    pub(super) workers: Vec<Arc<Mailbox<Event>>>,
    pub(super) inbox: Arc<Mailbox<Request>>,
    pub(super) stop: Arc<AtomicBool>,
}

/// Told from another thread when the node cannot go on.
pub type Failed = Arc<dyn Fn(NodeError) + Send + Sync>;

impl Shared {
    pub(super) fn new(config: &Config, clock: Arc<dyn Clock>, inbox: Arc<Mailbox<Request>>) -> Self {
        let bells: Vec<Arc<Notify>> = (0..config.workers).map(|_| Arc::new(Notify::new())).collect();
        let workers =
            bells.iter().map(|bell| Arc::new(Mailbox::waking(Box::new(Ring(Arc::clone(bell)))))).collect();
        Self { clock, bells, workers, inbox, stop: Arc::new(AtomicBool::new(false)) }
    }

    /// From the directory to a hub.
    pub(super) fn open(
        &self,
        config: &Config,
        membership: Membership,
        seed: u64,
    ) -> Result<Opened, NodeError> {
        let store: Arc<dyn Store> = Arc::new(RocksStore::open(&config.data_dir, &store_config(config))?);
        Identity::mark_started(&config.data_dir)?;
        let Membership { identity, members, joined, net, answer, advertised, .. } = membership;
        Ok(hub::open(Plan {
            identity,
            store,
            log: log_config(config),
            seed,
            limits: limits(config),
            replicas: config.replicas,
            clock: Arc::clone(&self.clock),
            inbox: Arc::clone(&self.inbox),
            workers: self.workers.clone(),
            flush_beside: true,
            fsync: fsync_name(config.storage.fsync).to_owned(),
            level: config.pretence.level.unwrap_or(LEVEL),
            fault: config.fault,
            advertised,
            members,
            joined,
            net,
            answer,
            lease: config.cluster.lease,
        })?)
    }

    /// Until the other nodes have granted a boot, or this one is told to stop.
    pub(super) fn wait_until_serving(
        &self,
        threads: Threads,
        serving: &AtomicBool,
        stopping: &AtomicBool,
        company: &mut Company,
    ) -> Result<Threads, NodeError> {
        while !serving.load(Ordering::Acquire) {
            let told = stopping.load(Ordering::Acquire);
            let found = company.look();
            if told || found.is_err() || threads.hub.is_finished() {
                self.inbox.send_one(Request::Stop);
                self.stop.store(true, Ordering::Release);
                for worker in &self.workers {
                    worker.send_one(Event::Stop);
                }
                threads.hub.join().map_err(|_| NodeError::Panicked("hub"))??;
                threads.catchup.join().map_err(|_| NodeError::Panicked("catchup"))??;
                return Err(found.err().unwrap_or(NodeError::Stopped));
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        Ok(threads)
    }

    /// Starts them all.
    pub(super) fn spawn(
        &self,
        config: &Config,
        opened: Opened,
        failed: &Failed,
    ) -> Result<Threads, NodeError> {
        let reads: Arc<Mailbox<Read>> = Arc::new(Mailbox::blocking());
        let Opened { hub, reader, boot, route, board, ahead, .. } = opened;
        let node = hub.node();
        let told = Arc::clone(failed);
        let dir = config.data_dir.clone();
        let hub = named("hub", move || {
            hub.run().inspect_err(|error| {
                if matches!(error, HubError::Removed { .. })
                    && let Err(error) = Identity::mark_removed(&dir)
                {
                    tracing::warn!("{}", chain(&error));
                }
                told(NodeError::Ended(chain(error)));
            })
        })?;
        let catchup = Catchup::new(
            reader,
            Arc::clone(&reads),
            self.workers.clone(),
            route.partitions(),
            Arc::clone(&self.stop),
        );
        let told = Arc::clone(failed);
        let catchup = named("catchup", move || {
            catchup.run().inspect_err(|error| told(NodeError::Ended(chain(error))))
        })?;
        let settings = Arc::new(settings(config));
        let greeted = Arc::new(AtomicUsize::new(0));
        let mut workers = Vec::new();
        for (number, bell) in (0u32..).zip(&self.bells) {
            let place = Place {
                worker: number,
                workers: u32::try_from(config.workers).expect("a handful"),
                node,
                boot,
                route,
                board: Arc::clone(&board),
                greeted: Arc::clone(&greeted),
            };
            let ways = Ways {
                inbox: Arc::clone(&self.workers[number as usize]),
                bell: Arc::clone(bell),
                hub: Arc::clone(&self.inbox),
                reads: Arc::clone(&reads),
                peers: self.workers.clone(),
                clock: Arc::clone(&self.clock),
                ahead: Arc::clone(&ahead),
            };
            let settings = Arc::clone(&settings);
            let thread = named("worker", move || {
                let worker = Worker::new(place, settings, Tally::new(Counters::new()));
                driver::run(worker, ways)
            })?;
            workers.push(thread);
        }
        Ok(Threads { hub, catchup, workers })
    }
}

fn named<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, NodeError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(NodeError::Thread)
}
