//! Answers to the admin API, from the machines; subscriptions of connected sessions come from their workers.

use std::sync::Arc;

use holdfast_log::{GroupStatus, NodeId, Standing};
use tokio::sync::oneshot;

use super::Hub;
use super::tag::OpTag;
use crate::admin::{
    Client, Cluster, Lag, Node, NodeState, Page, PageQuery, Partition as PartitionView, Payload, Query,
    Reason, Replica, ReplicaState, Retained, SessionState, Subscription, Time,
};
use crate::mail::{Event, Gather};
use crate::state::meta::{Node as Row, Office};
use crate::state::partition::Bounds;
use crate::state::session::Sessions;
use crate::state::session::op::{Forget, Kind};
use crate::state::session::record::{NEVER, Record};

/// Topics looked at for one answer at most; a wider walk goes on with the next page.
const LOOKED_MAX: usize = 65_536;

impl Hub {
    pub(super) fn query(&mut self, query: Query) {
        // Whoever asked may have gone away: an answer that nobody takes is no error.
        match query {
            Query::Ready { reply } => {
                let _ = reply.send(self.reasons());
            }
            Query::Cluster { reply } => {
                let _ = reply.send(self.cluster());
            }
            Query::Node { node, deed, reply } => self.node_deed(node, deed, reply),
            Query::Clients { state, prefix, page, reply } => {
                let _ = reply.send(self.clients(state, &prefix, &page));
            }
            Query::Client { client_id, reply } => {
                let record = self.sessions(&client_id).get(&client_id);
                let _ = reply.send(record.map(|record| self.client(record)));
            }
            Query::Disconnect { client_id, forget, reply } => self.disconnect(client_id, forget, reply),
            Query::ClientSubscriptions { client_id, page, reply } => {
                self.client_subscriptions(client_id, page, reply);
            }
            Query::Subscriptions { filter, topic, page, reply } => {
                self.subscriptions(Wanted { client_id: None, filter, topic }, page, |page| {
                    let _ = reply.send(page);
                });
            }
            Query::Retained { filter, page, reply } => {
                let _ = reply.send(self.retained(filter, &page));
            }
        }
    }

    fn sessions(&self, client_id: &str) -> &Sessions {
        self.machines.sessions_of(self.route.session_group(client_id))
    }

    fn statuses(&self) -> Vec<GroupStatus> {
        self.route.all_groups().filter_map(|group| self.engine.status(group)).collect()
    }

    fn reasons(&self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if self.stopping {
            reasons.push(Reason { code: "stopping".into(), detail: "the node is stopping".into() });
        }
        if let Some(detail) = self.not_serving() {
            reasons.push(Reason { code: "no_lease".into(), detail });
        }
        for status in self.statuses().iter().filter(|status| status.role.leader.is_none()) {
            let detail = format!("group {} has no leader", status.group);
            reasons.push(Reason { code: "no_leader".into(), detail });
        }
        reasons
    }

    fn cluster(&self) -> Cluster {
        let partitions = self.route.all_partitions().filter_map(|partition| {
            let group = partition.group();
            let status = self.engine.status(group)?;
            // Of the same moment as the term.
            let leads = |leader| status.replicas.iter().find(|replica| replica.replica == leader);
            let leader = status.role.leader.and_then(leads).map(|replica| replica.node);
            let replicas = status.replicas.iter().map(|replica| Replica {
                node: replica.node.get(),
                state: match replica.standing {
                    _ if leader == Some(replica.node) => ReplicaState::Leader,
                    Standing::Learner | Standing::Leaving => ReplicaState::Learner,
                    _ => ReplicaState::Follower,
                },
                r#match: replica.matched.map(holdfast_log::Index::get),
            });
            Some(PartitionView {
                id: u32::from(partition.get()),
                leader: leader.map(holdfast_log::NodeId::get),
                term: status.term().get(),
                replicas: replicas.collect(),
                first_offset: status.first_offset.get(),
                next_offset: status.next_offset.get(),
                committed: status.committed.get(),
            })
        });
        let founding = self.machines.meta.founding();
        Cluster {
            cluster_id: self.identity.cluster_id.clone(),
            node_id: self.node.get(),
            feature_level: self.machines.meta.level(),
            fsync: self.keeping.fsync.clone(),
            replicas: founding.map_or(self.replicas, |founding| founding.replicas),
            nodes: self.machines.meta.nodes().filter_map(|(id, row)| self.node_view(id, row)).collect(),
            partitions: partitions.collect(),
        }
    }

    /// A node that was removed is shown for as long as it has a replica.
    fn node_view(&self, id: u64, row: &Row) -> Option<Node> {
        let node = NodeId::new(id);
        let replicas = self.replicas_of(node);
        let state = match row.office() {
            Office::Removed if replicas == 0 => return None,
            Office::Removed => NodeState::Removed,
            Office::Draining => NodeState::Draining,
            Office::Full if self.boarding.is_alive(id) => NodeState::Alive,
            Office::Full if row.boot == 0 => NodeState::Joining,
            Office::Full => NodeState::Dead,
        };
        let (address, version) = (row.address.clone(), row.version.clone());
        let (votes, leads) = (self.votes(node), self.leading.led_by(node).len());
        Some(Node { id, address, state, version, feature_level: row.level, replicas, votes, leads })
    }

    fn clients(&self, state: Option<SessionState>, prefix: &str, page: &PageQuery) -> Page<Client> {
        // Groups are walked side by side, each in the order of its client ids.
        let after = page.after.as_deref();
        let mut found: Vec<&Record> = Vec::new();
        for sessions in &self.machines.sessions {
            let fits = sessions.after(after).filter(|record| {
                let connected = record.core.owner.is_some();
                record.core.client_id.starts_with(prefix)
                    && state.is_none_or(|state| (state == SessionState::Connected) == connected)
            });
            found.extend(fits.take(page.limit + 1));
        }
        found.sort_unstable_by(|a, b| a.core.client_id.cmp(&b.core.client_id));
        let more = found.len() > page.limit;
        let items: Vec<Client> = found.iter().take(page.limit).map(|record| self.client(record)).collect();
        let next = items.last().filter(|_| more).map(|client| client.client_id.clone());
        Page { items, next }
    }

    fn client(&self, record: &Record) -> Client {
        let core = &record.core;
        let connected = core.owner.is_some();
        let backlog = self.lag(record).iter().map(|lag| lag.messages).sum();
        Client {
            client_id: core.client_id.clone(),
            state: if connected { SessionState::Connected } else { SessionState::Disconnected },
            node: core.owner.map(|owner| owner.node),
            protocol: match core.level {
                3 => "3.1",
                4 => "3.1.1",
                _ => "5.0",
            }
            .to_owned(),
            address: connected.then(|| core.peer.clone()),
            since: Time(core.since),
            keep_alive_seconds: core.keep_alive,
            session_expiry_seconds: (core.expiry != NEVER).then_some(core.expiry),
            subscriptions: record.subscriptions.len() as u64,
            inflight: record.window.flights.len() as u64,
            backlog,
        }
    }

    /// How far the committed cursor of a durable session is behind.
    fn lag(&self, record: &Record) -> Vec<Lag> {
        let lag = record.lag(self.route, &self.machines.next).into_iter();
        lag.map(|(partition, messages)| Lag { partition, messages }).collect()
    }

    fn disconnect(&mut self, client_id: String, forget: bool, reply: oneshot::Sender<bool>) {
        let group = self.route.session_group(&client_id);
        let Some(record) = self.sessions(&client_id).get(&client_id) else {
            let _ = reply.send(false);
            return;
        };
        let owner = record.core.owner;
        if forget {
            self.accept_op(group, Kind::Forget(Forget { client_id }), OpTag::Forget(reply));
            return;
        }
        if let Some(owner) = owner
            && !self.fence(owner, &client_id, false)
        {
            let disconnect = super::word::Disconnect { client_id, owner };
            // A node that is not there has no connections either.
            let _ =
                self.say(holdfast_log::NodeId::new(owner.node), super::word::Kind::Disconnect(disconnect));
        }
        let _ = reply.send(true);
    }

    fn client_subscriptions(
        &mut self,
        client_id: String,
        page: PageQuery,
        reply: oneshot::Sender<Option<Page<Subscription>>>,
    ) {
        let Some(record) = self.sessions(&client_id).get(&client_id) else {
            let _ = reply.send(None);
            return;
        };
        let lag = self.lag(record);
        let wanted = Wanted { client_id: Some(client_id), filter: None, topic: None };
        self.subscriptions(wanted, page, move |mut page| {
            for item in &mut page.items {
                item.lag = Some(lag.clone());
            }
            let _ = reply.send(Some(page));
        });
    }

    /// Asks the workers for the subscriptions of connected sessions; those of absent ones are here.
    fn subscriptions(
        &mut self,
        wanted: Wanted,
        page: PageQuery,
        finish: impl FnOnce(Page<Subscription>) + Send + 'static,
    ) {
        let mut absent = Vec::new();
        for record in self.machines.sessions.iter().flat_map(|sessions| sessions.after(None)) {
            if record.core.owner.is_none() {
                absent.extend(
                    record.subscriptions.iter().filter_map(|subscription| view(record, subscription)),
                );
            }
        }
        let gather = Gather::new(self.workers.len(), absent, move |mut found| {
            found.retain(|subscription| wanted.fits(subscription));
            finish(cut(found, wanted.client_id.is_some(), &page));
        });
        let gather = Arc::new(gather);
        for post in &mut self.workers {
            post.events.push(Event::Subscriptions(Arc::clone(&gather)));
        }
    }

    fn retained(&self, filter: Option<String>, page: &PageQuery) -> Page<Retained> {
        let filter = filter.unwrap_or_else(|| "#".to_owned());
        let from = page.after.as_ref().map_or_else(String::new, |after| format!("{after}\0"));
        let bounds =
            Bounds { hits_max: page.limit + 1, looked_max: LOOKED_MAX, below: u64::MAX, now: self.now() };
        let mut items = Vec::new();
        for machine in &self.machines.partitions {
            for hit in machine.scan(&filter, &from, bounds).hits {
                let record = hit.retained.record();
                let expires =
                    record.expiry.map(|seconds| Time(hit.retained.stamp + u64::from(seconds) * 1_000));
                items.push(Retained {
                    topic: hit.topic.to_owned(),
                    qos: record.qos.get(),
                    published: Time(hit.retained.stamp),
                    expires,
                    payload: Payload(bytes::Bytes::copy_from_slice(record.payload)),
                });
            }
        }
        items.sort_unstable_by(|a, b| a.topic.cmp(&b.topic));
        let more = items.len() > page.limit;
        items.truncate(page.limit);
        let next = items.last().filter(|_| more).map(|item| item.topic.clone());
        Page { items, next }
    }
}

/// Which subscriptions are asked for.
struct Wanted {
    client_id: Option<String>,
    filter: Option<String>,
    topic: Option<String>,
}

impl Wanted {
    fn fits(&self, subscription: &Subscription) -> bool {
        self.client_id.as_ref().is_none_or(|wanted| *wanted == subscription.client_id)
            && self.filter.as_ref().is_none_or(|wanted| *wanted == subscription.filter)
            && self
                .topic
                .as_ref()
                .is_none_or(|topic| crate::topic::matches_filter(&subscription.filter, topic))
    }
}

/// A subscription of an absent session.
fn view(record: &Record, subscription: &crate::state::session::record::Subscription) -> Option<Subscription> {
    let options = u8::try_from(subscription.options).ok()?;
    let id = (subscription.id > 0).then_some(subscription.id);
    Subscription::of(&record.core.client_id, &subscription.filter, options, id)
}

/// One page, in the order of client id and filter.
fn cut(mut found: Vec<Subscription>, of_one: bool, page: &PageQuery) -> Page<Subscription> {
    let key = |subscription: &Subscription| match (&subscription.share, of_one) {
        (Some(share), true) => format!("$share/{share}/{}", subscription.filter),
        (None, true) => subscription.filter.clone(),
        (Some(share), false) => format!("{}\0$share/{share}/{}", subscription.client_id, subscription.filter),
        (None, false) => format!("{}\0{}", subscription.client_id, subscription.filter),
    };
    found.retain(|subscription| page.after.as_ref().is_none_or(|after| key(subscription) > *after));
    found.sort_by_cached_key(key);
    let more = found.len() > page.limit;
    found.truncate(page.limit);
    let next = found.last().filter(|_| more).map(key);
    Page { items: found, next }
}
