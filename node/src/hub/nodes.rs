//! The nodes of the cluster, as the meta group has them: whom this node speaks to, who is taken in, and where the
//! groups led here get their replicas and votes.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_cluster::founding::{Applied, JoinAnswer, JoinRequest, Joined};
use holdfast_cluster::link::{Frame, Peer, Reply};
use holdfast_cluster::placement::{Part, changes, voters_wanted};
use holdfast_cluster::{Identity, Member};
use holdfast_log::{Change, GroupId, GroupStatus, NodeId, Standing};

use super::Hub;
use super::boarding::command;
use super::tag::Tag;
use crate::admin::{NodeDeed, NodeRefusal, NodeReply};
use crate::metrics::forget_peer;
use crate::route::META;
use crate::state::meta::{Drain, Join, MetaKind, Office, Remove};

/// How often a leader looks where its groups stand.
const PLACE_EVERY: Duration = Duration::from_millis(250);
/// A node that was removed hears of it by the meta group, and leaves that one last.
const HEARS_OF_IT: Duration = Duration::from_secs(3);

/// What this process knows of the nodes beside what is committed.
#[derive(Debug)]
pub(super) struct Nodes {
    /// Nodes that the directory names, for as long as the meta group does not.
    charter: Vec<Member>,
    /// Whom the link keeps connections to.
    peers: Vec<Peer>,
    /// Requests to be taken in that were proposed lately, by UUID, and when.
    joins: BTreeMap<String, Duration>,
    /// When this process learned that a node was removed.
    removed: BTreeMap<u64, Duration>,
    placed_at: Duration,
}

impl Nodes {
    pub(super) fn new(charter: Vec<Member>) -> Self {
        Self {
            charter,
            peers: Vec::new(),
            joins: BTreeMap::new(),
            removed: BTreeMap::new(),
            placed_at: Duration::ZERO,
        }
    }

    /// Who founds the cluster; in a cluster of one this node alone.
    pub(super) fn founders(&self, own: &Identity, address: &str) -> Vec<Member> {
        if !self.charter.is_empty() {
            return self.charter.clone();
        }
        let (node, uuid, address) = (own.node_id, own.node_uuid.clone(), address.to_owned());
        vec![Member { node, uuid, address }]
    }
}

impl Hub {
    /// What a node is to the cluster, as far as it is applied here.
    pub(super) fn office(&self, node: NodeId) -> Office {
        self.machines.meta.node(node.get()).map_or(Office::Full, |row| row.office())
    }

    /// Speaks to the nodes that there are now. One that was removed is spoken to for as long as it has a replica.
    pub(super) fn follow_nodes(&mut self) {
        if self.peers.alone() {
            return;
        }
        let now = self.clock.monotonic();
        let meta = &self.machines.meta;
        let mut peers: BTreeMap<u64, String> = BTreeMap::new();
        for member in &self.nodes.charter {
            if meta.node(member.node).is_none() {
                peers.insert(member.node, member.address.clone());
            }
        }
        for (number, row) in meta.nodes() {
            if row.office() != Office::Removed || self.replicas_of(NodeId::new(number)) > 0 {
                peers.insert(number, row.address.clone());
            }
            if row.office() == Office::Removed {
                self.nodes.removed.entry(number).or_insert(now);
            }
        }
        peers.remove(&self.node.get());
        let peers: Vec<Peer> =
            peers.into_iter().map(|(node, address)| Peer { node: NodeId::new(node), address }).collect();
        if peers != self.nodes.peers {
            let gone = self.nodes.peers.iter().filter(|old| peers.iter().all(|peer| peer.node != old.node));
            gone.for_each(|old| forget_peer(old.node));
            self.peers.set_others(peers.iter().map(|peer| peer.node).collect());
            self.nodes.peers.clone_from(&peers);
            self.net.set_peers(peers);
        }
    }

    /// What a node's replicas are in their groups, as far as this node knows.
    fn standings(&self, node: NodeId) -> impl Iterator<Item = Standing> {
        let members = self.route.all_groups().filter_map(|group| self.engine.members(group));
        members
            .filter_map(move |members| members.all().find(|(_, other, _)| *other == node))
            .map(|(_, _, standing)| standing)
    }

    /// Groups in which a node votes.
    pub(super) fn votes(&self, node: NodeId) -> usize {
        self.standings(node).filter(|it| !matches!(it, Standing::Learner | Standing::Leaving)).count()
    }

    /// Groups of which a node keeps a replica.
    pub(super) fn replicas_of(&self, node: NodeId) -> usize {
        self.standings(node).count()
    }

    /// The nodes are others than before.
    pub(super) fn nodes_changed(&mut self, number: u64) {
        self.nodes.joins.clear();
        self.follow_nodes();
        let Some(row) = self.machines.meta.node(number) else { return };
        let (office, boot) = (row.office(), row.boot);
        tracing::info!(node = number, ?office, "the cluster's nodes have changed");
        if row.closed == row.boot {
            self.boarding.gone(number, boot);
            self.close_everywhere();
        }
        if number == self.node.get() && office != Office::Full {
            self.lose("it was drained or removed");
        }
    }

    /// A node that is no member wants to be one. It asks again until it hears that it is.
    pub(super) fn join_asked(&mut self, request: &JoinRequest, reply: Reply) {
        let applied = self.join_answer(request);
        reply.send(Frame::App(JoinAnswer::new(applied).encode()));
    }

    fn join_answer(&mut self, request: &JoinRequest) -> Applied {
        let JoinRequest { uuid, node, address, .. } = request.clone();
        let join = Join { uuid, node, address };
        if !self.serving() {
            return Applied::Wait("the node that was asked does not serve at the moment".to_owned());
        }
        if let Err(why) = self.machines.meta.may_join(&join) {
            return Applied::Refused(why);
        }
        if let (Some((number, _)), Some(founding)) =
            (self.machines.meta.by_uuid(&join.uuid), self.machines.meta.founding())
        {
            return Applied::Joined(Joined {
                cluster_id: founding.cluster_id.clone(),
                node: number,
                partitions: founding.partitions,
                session_groups: founding.session_groups,
                replicas: founding.replicas,
                members: self.members(),
            });
        }
        let now = self.clock.monotonic();
        // What was proposed before may have gone with a boot.
        self.nodes.joins.retain(|_, at| now <= *at + HEARS_OF_IT);
        if !self.nodes.joins.contains_key(&join.uuid) {
            self.nodes.joins.insert(join.uuid.clone(), now);
            self.proposals.push(META, command(MetaKind::Join(join)), Tag::Quiet);
        }
        Applied::Wait("the cluster is about to take it in".to_owned())
    }

    /// All nodes that belong to the cluster.
    fn members(&self) -> Vec<Member> {
        let rows = self.machines.meta.nodes().filter(|(_, row)| row.office() != Office::Removed);
        rows.map(|(node, row)| Member { node, uuid: row.uuid.clone(), address: row.address.clone() })
            .collect()
    }

    /// What each node is to the placement.
    pub(super) fn parts(&self) -> BTreeMap<NodeId, Part> {
        let part = |office| match office {
            Office::Full => Part::Full,
            Office::Draining => Part::Draining,
            Office::Removed => Part::Removed,
        };
        self.machines.meta.nodes().map(|(node, row)| (NodeId::new(node), part(row.office()))).collect()
    }

    /// How many voters a group wants.
    pub(super) fn wanted(&self, group: GroupId, parts: &BTreeMap<NodeId, Part>) -> usize {
        let replicas = self.machines.meta.founding().map_or(self.replicas, |founding| founding.replicas);
        voters_wanted(replicas as usize, group == META, parts)
    }

    /// Brings the groups that are led here nearer to where they belong: one change of each at a time.
    pub(super) fn place(&mut self) {
        let now = self.clock.monotonic();
        if self.peers.alone() || now < self.nodes.placed_at + PLACE_EVERY {
            return;
        }
        self.nodes.placed_at = now;
        self.follow_nodes();
        let parts = self.parts();
        for (seat, group) in self.route.all_groups().enumerate() {
            if self.leading.leads(group)
                && let Some(status) = self.engine.status(group)
                && is_settled(&status)
            {
                self.place_group(&status, &parts, seat);
            }
        }
    }

    fn place_group(&mut self, status: &GroupStatus, parts: &BTreeMap<NodeId, Part>, seat: usize) {
        let group = status.group;
        let wanted = self.wanted(group, parts);
        let replicas: Vec<_> =
            status.replicas.iter().map(|one| (one.replica, one.node, one.standing)).collect();
        for wish in changes(&replicas, parts, (seat, wanted)) {
            if group == META && self.is_early(&wish) {
                continue;
            }
            match self.engine.change(group, &wish) {
                Ok(()) => {
                    tracing::debug!(%group, ?wish, "the members change");
                    return;
                }
                Err(why) => tracing::trace!(%group, ?wish, ?why, "the members do not change yet"),
            }
        }
    }

    /// Who was removed should hear of it first.
    fn is_early(&self, wish: &[Change]) -> bool {
        let now = self.clock.monotonic();
        wish.iter().any(|change| {
            let heard = self.nodes.removed.get(&change.replica().get());
            matches!(change, Change::Remove(_)) && heard.is_none_or(|at| now < *at + HEARS_OF_IT)
        })
    }

    /// Whether this node has everything that it needs to serve any session: no group waits for a peer.
    pub(super) fn is_whole(&self) -> bool {
        let groups = self.route.all_groups();
        groups.into_iter().all(|group| {
            self.engine.status(group).is_some_and(|status| !status.waiting && status.history_whole)
        })
    }

    /// An operator wants something of a node.
    pub(super) fn node_deed(&mut self, number: u64, deed: NodeDeed, reply: NodeReply) {
        let kind = match self.check_deed(number, deed) {
            Ok(kind) => kind,
            Err(refusal) => return drop(reply.send(Err(refusal))),
        };
        match kind {
            None => drop(reply.send(Ok(()))),
            Some(kind) => self.proposals.push(META, command(kind), Tag::Deed(reply)),
        }
    }

    /// What has to be committed for it; nothing where all is as it should be.
    fn check_deed(&self, number: u64, deed: NodeDeed) -> Result<Option<MetaKind>, NodeRefusal> {
        if self.boot == 0 {
            return Err(NodeRefusal::NotServing);
        }
        let row = self.machines.meta.node(number).filter(|row| row.office() != Office::Removed);
        let office = row.ok_or(NodeRefusal::Unknown)?.office();
        let refuse = |why: String| Err(NodeRefusal::Refused(why));
        let parts = self.parts();
        let others = parts.iter().filter(|(node, part)| node.get() != number && **part == Part::Full).count();
        match deed {
            NodeDeed::Drain { on } if on == (office == Office::Draining) => Ok(None),
            NodeDeed::Drain { on: true } | NodeDeed::Remove { .. } if others == 0 => {
                refuse(format!("no node would be left to do the work of node {number}"))
            }
            NodeDeed::Drain { on } => Ok(Some(MetaKind::Drain(Drain { node: number, on }))),
            NodeDeed::Remove { force } => {
                let votes = self.votes(NodeId::new(number));
                if self.boarding.is_alive(number) && !force {
                    return refuse(format!("node {number} is alive: drain it first, or force it"));
                }
                if office == Office::Draining && self.peers.is_up(NodeId::new(number)) && votes > 0 && !force
                {
                    return refuse(format!(
                        "node {number} still votes in {votes} groups: wait for it to be drained, let another node \
                         join that can take its votes, or force it"
                    ));
                }
                Ok(Some(MetaKind::Remove(Remove { node: number })))
            }
        }
    }
}

/// Whether no change is under way.
fn is_settled(status: &GroupStatus) -> bool {
    !status.joint
        && status.replicas.iter().all(|one| matches!(one.standing, Standing::Voter | Standing::Learner))
}
