//! The right to serve: a boot epoch with a lease, granted by the meta group.
//!
//! ```text
//!            granted                 all earlier boots closed
//! Asking --------------> Closing ---------------------------> Serving
//!    ^                      |                                    |
//!    '----------------------+---- lease not renewed, or closed --'
//! ```
//!
//! Invariant: only while serving does this node have connections, and the proposals of a boot that is over are
//! neither said again nor acknowledged. A lease runs from when its renewal was sent, less a tenth: by then the
//! others, who count from when it was committed, still hold it to be alive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use holdfast_cluster::Proposals;
use holdfast_log::{Body, BootEpoch, GroupId, NodeId, Proposal, Refusal, Sequence, Stamp};
use prost::Message;

use super::hear::Hearing;
use super::machine::Machines;
use super::propose::Pending;
use super::tag::Tag;
use super::{Hub, millis};
use crate::mail::Event;
use crate::route::META;
use crate::state::meta::{Boot, Founding, GoOn, Lapse, MetaKind, MetaOp, Office, Renew, Verdict};

/// How long a first request for a boot waits for its answer; the next waits twice as long.
const ASK_AGAIN: Duration = Duration::from_millis(500);
const ASK_AGAIN_MAX: Duration = Duration::from_secs(4);
/// How often a lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// A sequence that no leader expects: its refusal says which one it does.
const UNKNOWN: Sequence = Sequence::new(u64::MAX >> 1);

/// How far this node is on its way to serve, and what it knows of the leases of all.
#[derive(Debug)]
pub(super) struct Boarding {
    standing: Standing,
    serving: Arc<AtomicBool>,
    /// Length of a lease.
    lease: Duration,
    /// There is nobody who could take over: leases mean nothing.
    alone: bool,
    /// Makes the nonces of this process differ from those of any other.
    seed: u64,
    asked: u64,
    asked_at: Duration,
    wait: Duration,
    sequence: Sequence,
    said: bool,
    /// The lease ends then, by this node's clock.
    until: Duration,
    renewing: bool,
    renew_at: Duration,
    /// When each boot that is not closed was last heard of.
    leases: BTreeMap<u64, (u64, Duration)>,
    /// Boots that this node wants closed.
    lapsing: BTreeSet<(u64, u64)>,
    /// Boots that were closed in each group, as far as this process has seen.
    closed: BTreeMap<(GroupId, u64), u64>,
    /// The number of this node belongs to another directory.
    pub(super) stranger: Option<String>,
    /// The cluster's feature level is above what this node knows.
    pub(super) behind: bool,
    /// When this node proposed a higher one.
    pub(super) raised_at: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Asking,
    Closing,
    Serving,
}

impl Boarding {
    pub(super) fn new(lease: Duration, alone: bool, seed: u64) -> Self {
        Self {
            standing: Standing::Asking,
            serving: Arc::new(AtomicBool::new(false)),
            lease,
            alone,
            seed,
            asked: 0,
            asked_at: Duration::ZERO,
            wait: Duration::ZERO,
            sequence: UNKNOWN,
            said: false,
            until: Duration::ZERO,
            renewing: false,
            renew_at: Duration::ZERO,
            leases: BTreeMap::new(),
            lapsing: BTreeSet::new(),
            closed: BTreeMap::new(),
            stranger: None,
            behind: false,
            raised_at: None,
        }
    }

    /// Whether this node serves, for other threads.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.serving)
    }

    pub(super) fn serving(&self) -> bool {
        self.standing == Standing::Serving
    }

    /// The workers have been told whether this node serves: now clients may come.
    pub(super) fn told(&self) {
        self.serving.store(self.serving(), Ordering::Release);
    }

    /// Is the lease of the node's last boot running, as far as this node has heard?
    pub(super) fn is_alive(&self, node: u64) -> bool {
        self.leases.contains_key(&node)
    }

    /// What is left of this node's lease; `None` where leases mean nothing.
    pub(super) fn lease_left(&self, now: Duration) -> Option<Duration> {
        let left = if self.serving() { self.until.saturating_sub(now) } else { Duration::ZERO };
        (!self.alone).then_some(left)
    }

    /// A new leader of the meta group has not heard of anybody yet: all leases start anew.
    pub(super) fn restart_leases(&mut self, now: Duration) {
        self.lapsing.clear();
        self.leases.values_mut().for_each(|(_, heard)| *heard = now);
    }

    /// The nodes as the state that was loaded has them.
    pub(super) fn load(&mut self, machines: &Machines, now: Duration) {
        let open = machines.meta.nodes().filter(|(_, row)| row.closed < row.boot);
        self.leases = open.map(|(node, row)| (node, (row.boot, now))).collect();
    }

    /// A boot of the node is closed.
    pub(super) fn gone(&mut self, node: u64, boot: u64) {
        self.leases.remove(&node);
        self.lapsing.remove(&(node, boot));
    }

    fn nonce(&self) -> String {
        format!("{:016x}-{}", self.seed, self.asked)
    }
}

impl Hub {
    /// Goes on towards serving, and looks at the leases.
    pub(super) fn board(&mut self) {
        let now = self.clock.monotonic();
        if self.boarding.standing == Standing::Asking {
            if self.office(self.node) == Office::Full && self.is_whole() {
                self.ask_for_boot(now);
            }
            return;
        }
        if !self.boarding.alone && now > self.boarding.until {
            return self.lose("its lease has ended");
        }
        if self.boarding.standing == Standing::Closing && self.closing() == 0 {
            self.serve();
        }
        if !self.boarding.alone && !self.boarding.renewing && now >= self.boarding.renew_at {
            self.boarding.renewing = true;
            self.boarding.renew_at = now + RENEW_EVERY;
            let op = MetaKind::Renew(Renew { node: self.node.get(), boot: self.boot });
            self.proposals.push(META, command(op), Tag::Renew(now));
        }
        self.look_for_lapsed(now);
    }

    /// Groups in which earlier boots are still to be closed.
    fn closing(&self) -> usize {
        let groups = self.route.all_groups().filter(|group| *group != META);
        groups.filter(|group| self.proposals.open(*group) > 0).count()
    }

    /// Asks under a boot of 0 that no node ever runs with. The first try is refused and says which sequence is
    /// expected.
    fn ask_for_boot(&mut self, now: Duration) {
        let boarding = &mut self.boarding;
        if now >= boarding.asked_at + boarding.wait {
            boarding.wait = (boarding.wait * 2).clamp(ASK_AGAIN, ASK_AGAIN_MAX);
            boarding.asked += 1;
            boarding.asked_at = now;
            boarding.sequence = UNKNOWN;
            boarding.said = false;
        }
        // The first refusal names the sequence, and nobody else speaks for this node.
        for _ in 0..3 {
            if self.boarding.said || !self.say_boot() {
                return;
            }
        }
    }

    /// Says the request once. `true`: with a better sequence it may be said again at once.
    fn say_boot(&mut self) -> bool {
        let body = match self.machines.meta.founding() {
            None => self.found_op(),
            Some(founding) if self.identity.former.contains(&founding.cluster_id) => {
                let (former, cluster_id) = (founding.cluster_id.clone(), self.identity.cluster_id.clone());
                MetaKind::GoOn(GoOn { node: self.node.get(), former, cluster_id })
            }
            Some(_) => self.boot_op(),
        };
        let proposal = Proposal {
            group: META,
            node: self.node,
            boot: BootEpoch::new(0),
            seq: self.boarding.sequence,
            body: command(body),
            stamp: Stamp::new(self.now()),
        };
        match self.way().offer(proposal) {
            Ok(()) => {
                self.boarding.said = true;
                self.boarding.sequence = self.boarding.sequence.next();
                false
            }
            Err(refusal) => self.boarding_refused(self.boarding.sequence, refusal),
        }
    }

    /// A leader has refused a request for a boot. `true`: it may be said again at once.
    pub(super) fn boarding_refused(&mut self, seq: Sequence, refusal: Refusal) -> bool {
        let boarding = &mut self.boarding;
        match refusal {
            Refusal::Gap { expected } => boarding.sequence = expected,
            Refusal::Repeat { .. } => boarding.sequence = seq.next(),
            _ => return false,
        }
        boarding.said = false;
        true
    }

    fn found_op(&self) -> MetaKind {
        MetaKind::Found(Founding {
            cluster_id: self.identity.cluster_id.clone(),
            partitions: u32::from(self.identity.partitions),
            session_groups: u32::from(self.identity.session_groups),
            replicas: self.replicas,
            founders: self.nodes.founders(&self.identity, &self.advertised),
        })
    }

    fn boot_op(&self) -> MetaKind {
        MetaKind::Boot(Boot {
            node: self.node.get(),
            uuid: self.identity.node_uuid.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            nonce: self.boarding.nonce(),
            address: self.advertised.clone(),
            level: self.level,
        })
    }

    /// What an operation of the meta group came to. All nodes see all of them.
    pub(super) fn verdict(&mut self, verdict: Verdict, tag: Option<Tag>) {
        let now = self.clock.monotonic();
        match verdict {
            // After the founding the boot itself can be asked for.
            Verdict::Done => self.boarding.said = false,
            Verdict::Nodes(node) => self.nodes_changed(node),
            Verdict::NoBoot { node, nonce, office } => {
                if node == self.node.get() && nonce == self.boarding.nonce() {
                    tracing::info!(?office, "no boot is granted");
                }
            }
            Verdict::Granted { node, nonce, boot } => {
                self.boarding.leases.insert(node, (boot, now));
                self.follow_nodes();
                if node == self.node.get() {
                    self.granted(&nonce, boot);
                }
            }
            Verdict::Stranger { node, nonce, uuid } => {
                if node == self.node.get() && nonce == self.boarding.nonce() {
                    self.boarding.stranger = Some(uuid);
                }
            }
            Verdict::Behind { node, nonce } => {
                self.boarding.behind |= node == self.node.get() && nonce == self.boarding.nonce();
            }
            Verdict::Raised(level) => tracing::info!(level, "the cluster's feature level is raised"),
            Verdict::Renewed(Renew { node, boot }) => {
                self.boarding.leases.insert(node, (boot, now));
            }
            Verdict::Late(Renew { node, boot }) => {
                if (node, boot) == (self.node.get(), self.boot) {
                    self.lose("its lease has ended for the others");
                }
            }
            Verdict::Closed(Lapse { node, boot }) => {
                self.boarding.gone(node, boot);
                if node == self.node.get() && boot >= self.boot && self.boot > 0 {
                    self.lose("the others hold it to be dead");
                }
                tracing::warn!(node, boot, "the lease of a node has ended");
                self.close_everywhere();
                self.attach_ready();
            }
            Verdict::Alone => {
                tracing::warn!("this node goes on alone: all others are removed");
                self.boarding.said = false;
                self.boarding.load(&self.machines, now);
                self.follow_nodes();
                self.close_everywhere();
            }
        }
        match tag {
            Some(Tag::Renew(sent)) => {
                self.boarding.renewing = false;
                self.boarding.until = sent + self.boarding.lease * 9 / 10;
            }
            // Whoever asked may have gone away meanwhile.
            Some(Tag::Deed(reply)) => drop(reply.send(Ok(()))),
            _ => {}
        }
    }

    fn granted(&mut self, nonce: &str, boot: u64) {
        if self.boarding.standing != Standing::Asking || nonce != self.boarding.nonce() {
            return;
        }
        self.boot = boot;
        self.proposals = Proposals::new(self.node, BootEpoch::new(boot));
        let now = self.boarding.asked_at;
        let boarding = &mut self.boarding;
        boarding.standing = Standing::Closing;
        boarding.wait = Duration::ZERO;
        boarding.until = now + boarding.lease * 9 / 10;
        boarding.renewing = false;
        boarding.renew_at = now + RENEW_EVERY;
        let before = BootEpoch::new(boot - 1);
        for group in self.route.all_groups().filter(|group| *group != META) {
            self.proposals.push(group, Body::CloseBoot { node: self.node, boot: before }, Tag::Quiet);
        }
    }

    fn serve(&mut self) {
        self.boarding.standing = Standing::Serving;
        self.contact.restart(self.clock.monotonic());
        tracing::debug!(boot = self.boot, "serves");
        for group in self.route.all_groups() {
            self.take_up(group);
        }
        self.tell_boot();
        self.tell_pulse();
    }

    /// This node may not serve any more: everybody is sent away, and it asks anew.
    pub(super) fn lose(&mut self, why: &str) {
        if self.boarding.standing == Standing::Asking {
            return;
        }
        tracing::warn!(boot = self.boot, "this node stops serving: {why}");
        self.boot = 0;
        self.boarding.standing = Standing::Asking;
        self.boarding.serving.store(false, Ordering::Release);
        self.boarding.wait = Duration::ZERO;
        self.proposals = Proposals::new(self.node, BootEpoch::new(0));
        self.pending =
            Pending::new(usize::from(self.route.partitions()), usize::from(self.route.session_groups()));
        self.outbox_sent.fill(0);
        self.hearing = Hearing::default();
        self.attaching.clear();
        self.departing.clear();
        self.fencing.clear();
        self.forget_reads();
        self.end_tenures();
        self.tell_boot();
    }

    /// Tells the workers which boot they serve under; 0: none.
    fn tell_boot(&mut self) {
        for post in &mut self.workers {
            post.settled.clear();
            post.refusals = 0;
            // It has no connection any more; the next one begins where the partitions stand then.
            post.feeding = false;
            post.events.push(Event::Boot(self.boot));
        }
    }

    /// The leader of the meta group closes the boots that it has not heard of for the length of a lease.
    fn look_for_lapsed(&mut self, now: Duration) {
        if !self.leading.leads(META) || self.boot == 0 || self.boarding.alone {
            return;
        }
        let boarding = &mut self.boarding;
        let late = boarding.leases.iter().filter(|(_, (_, heard))| now > *heard + boarding.lease);
        let late: Vec<(u64, u64)> = late.map(|(node, (boot, _))| (*node, *boot)).collect();
        for (node, boot) in late {
            if self.boarding.lapsing.insert((node, boot)) {
                self.proposals.push(META, command(MetaKind::Lapse(Lapse { node, boot })), Tag::Quiet);
            }
        }
    }

    /// Every leader closes in its groups what the meta group has closed.
    pub(super) fn close_everywhere(&mut self) {
        for group in self.leading.led_by(self.node) {
            self.close_lapsed(group);
        }
    }

    pub(super) fn close_lapsed(&mut self, group: GroupId) {
        if group == META || self.boot == 0 || !self.leading.leads(group) {
            return;
        }
        for (node, row) in self.machines.meta.nodes() {
            let closed = self.boarding.closed.get(&(group, node)).copied().unwrap_or(0);
            if row.closed > closed && row.closed == row.boot {
                let (node, boot) = (NodeId::new(node), BootEpoch::new(row.closed));
                self.proposals.push(group, Body::CloseBoot { node, boot }, Tag::Quiet);
            }
        }
    }

    /// Boots of a node were closed in a group.
    pub(super) fn boot_closed(&mut self, group: GroupId, node: NodeId, boot: BootEpoch) {
        let closed = self.boarding.closed.entry((group, node.get())).or_default();
        *closed = (*closed).max(boot.get());
        self.share_lost(node, boot.get());
    }

    /// Why this node does not serve, for whoever asks.
    pub(super) fn not_serving(&self) -> Option<String> {
        match self.boarding.standing {
            Standing::Serving => None,
            Standing::Closing => Some("earlier boots of this node are being closed".to_owned()),
            Standing::Asking if self.office(self.node) == Office::Draining => {
                Some("this node is drained".to_owned())
            }
            Standing::Asking if !self.is_whole() => {
                Some("this node still copies what the others have".to_owned())
            }
            Standing::Asking => {
                let waited = millis(self.clock.monotonic().saturating_sub(self.boarding.asked_at));
                Some(format!("no boot epoch was granted yet (asked {waited} ms ago)"))
            }
        }
    }
}

pub(super) fn command(kind: MetaKind) -> Body {
    Body::Command(Bytes::from(MetaOp { kind: Some(kind) }.encode_to_vec()))
}
