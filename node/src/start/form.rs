//! Becoming a member: whose directory this is, and with whom it forms a cluster.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_cluster::founding::{Applicant, Driver, Formed, JoinRequest, Notice, Now, Setup, Start, Terms};
use holdfast_cluster::link::{
    self, CERTIFICATES_CHECK, CertFiles, Certificates, Link, LinkConfig, LinkError, Me, Net, Peer,
    PeerFigures,
};
use holdfast_cluster::{Charter, FORMAT, Identity, Member, next_life};
use holdfast_log::NodeId;

use super::NodeError;
use crate::admin::{Query, Reason};
use crate::clock::{Clock, apart};
use crate::config::Config;
use crate::hub::Answer;
use crate::mail::{Mailbox, Request};

/// How often a node that waits for others looks around.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What a node that gives up waits for its last words to reach the others.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a node is a member of, and how it speaks to the others.
pub(super) struct Membership {
    pub(super) identity: Identity,
    /// The nodes that the directory names; none for a cluster of one.
    pub(super) members: Vec<Member>,
    /// Whether it came to a cluster that was there.
    pub(super) joined: bool,
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

    fn figures(&self) -> Vec<PeerFigures> {
        self.0.figures()
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
                    former: Vec::new(),
                };
                identity.create(&config.data_dir)?;
                identity
            }
        };
        Ok(Membership {
            identity,
            members: Vec::new(),
            joined: false,
            net: Box::new(link::Alone),
            answer: Box::new(|_| None),
            advertised,
            link: None,
        })
    }

    fn files(&self) -> Option<CertFiles> {
        let tls = self.config.cluster.tls.as_ref()?;
        Some(CertFiles { ca: tls.ca.clone(), cert: tls.cert.clone(), key: tls.key.clone() })
    }

    /// The number that this node wants: as given, else as its certificate says, which must agree with it and with
    /// the directory: the others would not speak to it under another.
    fn number(&self, start: &Start) -> Result<Option<u64>, NodeError> {
        let given = self.config.node_id.map(std::num::NonZero::get);
        let Some(files) = self.files() else { return Ok(given) };
        let named: Vec<u64> = files.nodes().map_err(LinkError::Tls)?.into_iter().map(NodeId::get).collect();
        let known = if let Start::Founded(charter) = start { Some(charter.identity.node_id) } else { given };
        match (known, &*named) {
            (Some(node), named) if named.contains(&node) => Ok(given),
            (None, [node]) => Ok(Some(*node)),
            (node, named) => Err(NodeError::Certificate {
                path: files.cert,
                names: named.iter().map(|node| format!(" {node}")).collect(),
                node: node.map_or_else(|| "unset".to_owned(), |node| node.to_string()),
            }),
        }
    }

    fn open_link(
        &self,
        socket: UdpSocket,
        start: &Start,
        address: &str,
        seed: u64,
    ) -> Result<Link, NodeError> {
        let config = self.config;
        let certificates = self.files().map_or(Certificates::Development, Certificates::Files);
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
            incarnation: next_life(&config.data_dir, self.clock.wall())?,
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
        let number_wanted = self.number(&start)?;
        let setup = Setup {
            terms,
            node_id: number_wanted,
            nonce: Identity::new_uuid(),
            entropy: (u128::from(seed) << 64) | u128::from(super::seed()),
        };
        let known = if let Start::Founded(charter) = &start { Some(charter.clone()) } else { None };
        let mut driver = Driver::new(setup.clone(), start, config.data_dir.clone())?;
        let charter = match known {
            Some(charter) => charter,
            None => match self.wait_for_founding(&mut driver, &link)? {
                Formed::Founded(charter) => charter,
                Formed::Joining { through, cluster_id, uuid } => {
                    let own = config.cluster.advertise.clone().unwrap_or_else(|| address.clone());
                    let request = JoinRequest::new(uuid, number_wanted, own);
                    let charter = self.wait_to_join(&link, (cluster_id, &through), request)?;
                    // It answers for the cluster from now on: there may be no other seed that does.
                    driver = Driver::new(setup, Start::Founded(charter.clone()), config.data_dir.clone())?;
                    charter
                }
            },
        };
        let node = NodeId::new(charter.identity.node_id);
        link.identify(charter.identity.cluster_id.clone(), node);
        link.set_peers(others(&charter));
        let own = charter.members.iter().find(|member| member.node == charter.identity.node_id);
        let advertised = config.cluster.advertise.clone();
        let listed = own.map(|own| own.address.clone()).filter(|address| !address.is_empty());
        let advertised = advertised.or(listed).unwrap_or(address);
        let clock = Arc::clone(self.clock);
        Ok(Membership {
            identity: charter.identity,
            members: charter.members,
            joined: charter.joined,
            net: Box::new(Shared(Arc::clone(&link))),
            answer: Box::new(move |question| driver.answer(now(&*clock), &question)),
            advertised,
            link: Some(link),
        })
    }

    /// Until the cluster is founded nobody can be served but who asks how it stands.
    fn wait_for_founding(&self, driver: &mut Driver, link: &Link) -> Result<Formed, NodeError> {
        let mut state = "the cluster is not founded yet".to_owned();
        let (mut requests, mut notices) = (Vec::new(), Vec::new());
        loop {
            match driver.step(link, now(&**self.clock), &mut notices) {
                Ok(Some(formed)) => return Ok(formed),
                Ok(None) => {}
                Err(error) => {
                    std::thread::park_timeout(LAST_WORDS);
                    return Err(error.into());
                }
            }
            for notice in notices.drain(..) {
                match notice {
                    Notice::Waiting(waiting) => {
                        state = waiting.to_string();
                        tracing::info!("founding: {state}");
                    }
                    Notice::Skewed(seed, ahead_ms) => {
                        tracing::warn!("founding: {}", skew_text(&seed, ahead_ms))
                    }
                }
            }
            self.pass_time(&mut requests, &state)?;
        }
    }

    /// Asks the members of a cluster that is there to be taken in.
    fn wait_to_join(
        &self,
        link: &Link,
        (cluster_id, through): (String, &str),
        request: JoinRequest,
    ) -> Result<Charter, NodeError> {
        let (mut state, mut requests) = (format!("joins cluster {cluster_id}"), Vec::new());
        tracing::info!(cluster_id, through, "a seed belongs to a cluster; this node asks to be taken in");
        let seeds = self.config.cluster.seeds.clone();
        let dir = self.config.data_dir.clone();
        let mut applicant = Applicant::new(cluster_id, request, (seeds, through), dir)?;
        loop {
            let now = now(&**self.clock).ms;
            let charter = applicant.step(link, now, &mut |text| {
                tracing::info!("{text}");
                state = text;
            })?;
            if let Some(charter) = charter {
                tracing::info!(node = charter.identity.node_id, "this node belongs to the cluster");
                return Ok(charter);
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
}

/// Nothing breaks by it, but somebody should know.
fn skew_text(seed: &str, ahead_ms: i64) -> String {
    let apart = apart(ahead_ms.unsigned_abs());
    let side = if ahead_ms > 0 { "ahead of" } else { "behind" };
    format!("the clock of {seed} is {apart} {side} the one here; set both by NTP")
}

/// The other members, as the link knows them.
fn others(charter: &Charter) -> Vec<Peer> {
    let others = charter.members.iter().filter(|other| other.node != charter.identity.node_id);
    others.map(|other| Peer { node: NodeId::new(other.node), address: other.address.clone() }).collect()
}

fn now(clock: &dyn Clock) -> Now {
    let ms = u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX);
    Now { ms, wall_ms: clock.wall() }
}

#[cfg(test)]
mod tests {
    use super::skew_text;

    #[test]
    fn a_clock_that_is_hours_off_is_told_with_its_sign() {
        let text = skew_text("kelp-2:7883", 3 * 3_600_000 + 62_000);
        assert!(text.contains("kelp-2:7883 is 3h 01m 02s ahead of the one here"), "{text}");
        assert!(skew_text("a:1", -90_000).contains("a:1 is 0h 01m 30s behind the one here"));
    }
}
