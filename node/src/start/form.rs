//! Becoming a member: whose directory this is, and with whom it forms a cluster.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_cluster::founding::{Driver, Formed, Notice, Now, Setup, Start, Terms, resolve};
use holdfast_cluster::link::{
    self, CERTIFICATES_CHECK, CertFiles, Certificates, Link, LinkConfig, Me, Net, Peer,
};
use holdfast_cluster::{Charter, FORMAT, Identity, Member};
use holdfast_log::NodeId;

use super::NodeError;
use crate::admin::{Query, Reason};
use crate::clock::Clock;
use crate::config::Config;
use crate::hub::Answer;
use crate::mail::{Mailbox, Request};

/// How often a node that waits for others looks around.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a name that has no address is looked up again.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);

/// What a node is a member of, and how it speaks to the others.
pub(super) struct Membership {
    pub(super) identity: Identity,
    /// The founders; none for a cluster of one.
    pub(super) members: Vec<Member>,
    pub(super) net: Box<dyn Net + Send>,
    pub(super) answer: Answer,
    /// Where the others find this node.
    pub(super) advertised: String,
    pub(super) link: Option<Arc<Link>>,
}

/// The link, shared with whoever shows its figures.
struct Shared(Arc<Link>);

impl Net for Shared {
    fn send(&mut self, to: NodeId, lane: link::Lane, frame: &link::Frame) -> Result<(), link::Unsent> {
        self.0.send(to, lane, frame)
    }

    fn take(&mut self, out: &mut Vec<link::Incoming>) {
        self.0.take(out);
    }

    fn set_peers(&mut self, peers: Vec<Peer>) {
        self.0.set_peers(peers);
    }
}

/// What surrounds a node that forms a cluster.
pub(super) struct Surroundings<'a> {
    pub(super) config: &'a Config,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) inbox: &'a Arc<Mailbox<Request>>,
    pub(super) stopping: &'a AtomicBool,
}

impl Surroundings<'_> {
    /// Takes up the directory, and founds or finds the cluster where there are to be several nodes.
    ///
    /// # Errors
    /// When the directory belongs elsewhere, the link cannot be opened, the founders disagree, or it is told to stop.
    pub(super) fn form(&self, socket: UdpSocket, seed: u64) -> Result<Membership, NodeError> {
        let config = self.config;
        let address =
            socket.local_addr().map_or_else(|_| config.listeners.cluster.to_string(), |at| at.to_string());
        let start = Start::read(&config.data_dir)?;
        let of_many = match &start {
            Start::Founded(charter) => {
                let node_id = config.node_id.map(std::num::NonZero::get);
                charter.identity.check_node(&config.data_dir, node_id)?;
                Identity::check_log(&config.data_dir)?;
                if charter.members.is_empty() && config.cluster.seeds.len() > 1 {
                    return Err(NodeError::Alone { path: config.data_dir.clone() });
                }
                !charter.members.is_empty()
            }
            Start::Blank { .. } | Start::Promised(_) => !config.cluster.seeds.is_empty(),
        };
        if !of_many {
            drop(socket);
            return self.alone(start, address);
        }
        let link = Arc::new(self.open_link(socket, &start, &address, seed)?);
        self.found(start, link, address, seed)
    }

    fn alone(&self, start: Start, advertised: String) -> Result<Membership, NodeError> {
        let config = self.config;
        let identity = match start {
            Start::Founded(charter) => charter.identity,
            Start::Blank { uuid }
            | Start::Promised(holdfast_cluster::founding::Promise { node_uuid: uuid, .. }) => {
                let identity = Identity {
                    format: FORMAT,
                    cluster_id: Identity::new_uuid(),
                    node_id: config.node_id.map_or(1, std::num::NonZero::get),
                    node_uuid: uuid,
                    partitions: u16::try_from(config.partitions).expect("checked by config"),
                    session_groups: u16::try_from(config.session_groups).expect("checked by config"),
                };
                identity.create(&config.data_dir)?;
                identity
            }
        };
        Ok(Membership {
            identity,
            members: Vec::new(),
            net: Box::new(link::Alone),
            answer: Box::new(|_| None),
            advertised,
            link: None,
        })
    }

    fn open_link(
        &self,
        socket: UdpSocket,
        start: &Start,
        address: &str,
        seed: u64,
    ) -> Result<Link, NodeError> {
        let config = self.config;
        let certificates = match &config.cluster.tls {
            Some(tls) => Certificates::Files(CertFiles {
                ca: tls.ca.clone(),
                cert: tls.cert.clone(),
                key: tls.key.clone(),
            }),
            None => Certificates::Development,
        };
        let (identity, node_uuid) = match start {
            Start::Founded(charter) => {
                let identity = &charter.identity;
                let node = NodeId::new(identity.node_id);
                (Some((identity.cluster_id.clone(), node)), identity.node_uuid.clone())
            }
            Start::Blank { uuid } => (None, uuid.clone()),
            Start::Promised(promise) => (None, promise.node_uuid.clone()),
        };
        let me = Me {
            identity,
            node_uuid,
            incarnation: self.clock.wall(),
            address: config.cluster.advertise.clone().unwrap_or_else(|| address.to_owned()),
        };
        let settings = LinkConfig { socket, certificates, certificates_check: CERTIFICATES_CHECK, me, seed };
        let inbox = Arc::clone(self.inbox);
        Ok(Link::open(settings, Arc::new(move || inbox.nudge()))?)
    }

    fn found(
        &self,
        start: Start,
        link: Arc<Link>,
        address: String,
        seed: u64,
    ) -> Result<Membership, NodeError> {
        let config = self.config;
        let number = |number: u32| u16::try_from(number).expect("checked by config");
        let (partitions, groups) = (number(config.partitions), number(config.session_groups));
        let terms = Terms::new(config.cluster.seeds.clone(), partitions, groups, number(config.replicas));
        let setup = Setup {
            terms,
            node_id: config.node_id.map(std::num::NonZero::get),
            nonce: Identity::new_uuid(),
            entropy: (u128::from(seed) << 64) | u128::from(super::seed()),
        };
        let known = if let Start::Founded(charter) = &start { Some(charter.clone()) } else { None };
        let mut driver = Driver::new(setup, start, config.data_dir.clone())?;
        let charter = match known {
            Some(charter) => charter,
            None => self.wait_for_founding(&mut driver, &link)?,
        };
        let node = NodeId::new(charter.identity.node_id);
        link.identify(charter.identity.cluster_id.clone(), node);
        self.meet(&link, &charter)?;
        let own = charter.members.iter().find(|member| member.node == charter.identity.node_id);
        let advertised = config.cluster.advertise.clone();
        let advertised = advertised.or_else(|| own.map(|own| own.address.clone())).unwrap_or(address);
        let clock = Arc::clone(self.clock);
        Ok(Membership {
            identity: charter.identity,
            members: charter.members,
            net: Box::new(Shared(Arc::clone(&link))),
            answer: Box::new(move |question| driver.answer(now(&*clock), &question)),
            advertised,
            link: Some(link),
        })
    }

    /// Until the cluster is founded nobody can be served but who asks how it stands.
    fn wait_for_founding(&self, driver: &mut Driver, link: &Link) -> Result<Charter, NodeError> {
        let mut state = "the cluster is not founded yet".to_owned();
        let (mut requests, mut notices) = (Vec::new(), Vec::new());
        loop {
            match driver.step(link, now(&**self.clock), &mut notices)? {
                Some(Formed::Founded(charter)) => return Ok(charter),
                Some(Formed::Joining { through, cluster_id, .. }) => {
                    return Err(NodeError::NotAMember { through, cluster_id });
                }
                None => {}
            }
            for notice in notices.drain(..) {
                match notice {
                    Notice::Waiting(waiting) => {
                        state = waiting.to_string();
                        tracing::info!("founding: {state}");
                    }
                    Notice::Skewed(seed, ahead) => tracing::warn!(
                        %seed,
                        ahead_ms = ahead,
                        "founding: the clock of a seed differs from the one here; set both by NTP"
                    ),
                }
            }
            self.pass_time(&mut requests, &state)?;
        }
    }

    /// Waits for a moment, and answers what can be answered before there is a cluster.
    fn pass_time(&self, requests: &mut Vec<Request>, state: &str) -> Result<(), NodeError> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(NodeError::Stopped);
        }
        self.inbox.wait(LOOK_EVERY, requests);
        for request in requests.drain(..) {
            if let Request::Query(Query::Ready { reply }) = request {
                // Whoever asked may have gone away.
                let _ = reply.send(vec![Reason { code: "founding".into(), detail: state.to_owned() }]);
            }
        }
        Ok(())
    }

    /// Tells the link who the others are. A name that has no address now is looked up again, beside everything else.
    fn meet(&self, link: &Arc<Link>, charter: &Charter) -> Result<(), NodeError> {
        let others: Vec<Member> =
            charter.members.iter().filter(|other| other.node != charter.identity.node_id).cloned().collect();
        let (peers, unknown) = look_up(&others);
        link.set_peers(peers);
        if unknown.is_empty() {
            return Ok(());
        }
        for member in &unknown {
            tracing::warn!(node = member.node, address = %member.address, "the address of a node is not known");
        }
        let link = Arc::downgrade(link);
        let spawned = std::thread::Builder::new().name("resolve".to_owned()).spawn(move || {
            loop {
                std::thread::park_timeout(RESOLVE_EVERY);
                let Some(link) = link.upgrade() else { return };
                let (peers, unknown) = look_up(&others);
                link.set_peers(peers);
                if unknown.is_empty() {
                    return;
                }
            }
        });
        spawned.map(drop).map_err(NodeError::Thread)
    }
}

fn look_up(members: &[Member]) -> (Vec<Peer>, Vec<Member>) {
    let (mut peers, mut unknown) = (Vec::new(), Vec::new());
    for member in members {
        match resolve(&member.address) {
            Ok(address) => peers.push(Peer { node: NodeId::new(member.node), address }),
            Err(_) => unknown.push(member.clone()),
        }
    }
    (peers, unknown)
}

fn now(clock: &dyn Clock) -> Now {
    let ms = u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX);
    Now { ms, wall_ms: clock.wall() }
}
