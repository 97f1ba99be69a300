//! Shared subscriptions: those that this worker dispatches, and the members that are connected here. MQTT 5.0, 4.8.2.
//!
//! The node that leads the session group of a shared subscription dispatches it, by the worker that its name hashes
//! to. The dispatcher reads the log as a session does and gives each message to one member that has room, on any
//! node. A message of QoS 1 is free again when its member's connection ends. One of QoS 2 stays bound to its
//! member's session: that is committed before it is sent, and its end is committed before the member forgets it.
//!
//! Invariant: what a dispatcher knows begins with the committed window and what the members say that they hold, and
//! it ends with its tenure; nothing is given before all nodes have answered its call, or have had time to.

mod tenure;
mod members;
mod give;
mod read;
mod window;
mod seat;
mod assigned;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use holdfast_codec::SubscribeOptions;
use holdfast_log::GroupId;

use super::live::Since;
use super::tail::Tails;
use crate::mail::{Assign, ConnectionKey};
use crate::session::Lag;
use crate::state::session::record::{Owner, Position};

pub(super) use assigned::TAG_ASSIGNED;
pub(super) use seat::TAG_JOIN;

/// Partition and offset.
type Place = (u16, u64);

/// Shared subscriptions dispatched here, and what is known of the dispatchers of those with members here.
#[derive(Debug)]
pub(super) struct Shares {
    shares: Vec<Option<Share>>,
    names: HashMap<Arc<str>, usize>,
    /// Tells apart the shared subscriptions that have had the same place.
    opened: u64,
    /// Places with something to read or to give.
    pulls: Vec<usize>,
    /// Number of the last commit asked for.
    flush: u64,
    /// What waits for a commit.
    waiting: HashMap<u64, (GroupId, Vec<(Owner, Told)>)>,
    flushed_at: u64,
    moved_at: u64,
    /// By session group.
    tenures: Vec<Tenure>,
    /// Who dispatches, by session group.
    dispatchers: Vec<Dispatcher>,
    /// Members here that their dispatcher has been told of and has not answered.
    registering: BTreeSet<(ConnectionKey, Arc<str>)>,
    /// Connections that were assigned what has not arrived here yet.
    awaiting: Vec<u32>,
    /// Terms of the session groups as the router of what is delivered now knows them; none in a cluster of one.
    pub(super) routed: Arc<[u64]>,
}

/// What this worker is for the shared subscriptions of a session group.
#[derive(Clone, Copy, Debug, Default)]
struct Tenure {
    /// Term in which this node leads the group; 0: it does not.
    term: u64,
    /// All nodes have answered.
    open: bool,
}

/// Who dispatches the shared subscriptions of a session group, as far as this worker has heard.
#[derive(Clone, Copy, Debug, Default)]
struct Dispatcher {
    node: u64,
    /// Term in which it leads the group; 0: nobody is known.
    term: u64,
}

#[derive(Debug)]
struct Share {
    name: Arc<str>,
    filter_at: usize,
    group: GroupId,
    term: u64,
    number: u64,
    /// Messages may be given.
    open: bool,
    /// Before that another dispatcher gave what is of QoS 0.
    since: Since,
    members: Vec<Member>,
    turn: usize,
    lags: Vec<Lag>,
    /// Partitions of which this worker's tail has not come to where the window stands: there, and the next offset.
    ahead: Vec<Place>,
    /// Given to a member and not finished.
    held: BTreeMap<Place, Holder>,
    /// Given before by another dispatcher, and not read by this one yet.
    early: BTreeSet<Place>,
    /// To be given (again): to anyone, or to the member it is bound to.
    free: BTreeMap<Place, Option<Bound>>,
    /// Partitions in which the log reader has been asked for what is free.
    asking: Vec<u16>,
    dirty: bool,
    /// Positions of the window that was committed last.
    committed: Vec<Position>,
    /// What leaves when the window is committed.
    after: Vec<(Owner, Told)>,
}

/// A session that a message is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bound {
    client_id: Arc<str>,
    incarnation: u64,
}

#[derive(Clone, Debug)]
struct Holder {
    to: Bound,
    /// QoS 2: nobody else may get it.
    bound: bool,
}

#[derive(Debug)]
struct Member {
    is: Bound,
    owner: Owner,
    /// Of the owner.
    epoch: u64,
    options: SubscribeOptions,
    id: u32,
    capacity: u32,
    holds: u32,
}

/// What a member is told.
#[derive(Debug)]
enum Told {
    /// The dispatcher knows it.
    Joined(Arc<str>),
    /// A message.
    Assign(Box<Assign>),
    /// The end of a message is recorded.
    Settled(Place),
}

impl Shares {
    pub(super) fn new(session_groups: u16) -> Self {
        let groups = usize::from(session_groups);
        Self {
            shares: Vec::new(),
            names: HashMap::new(),
            opened: 0,
            pulls: Vec::new(),
            flush: 0,
            waiting: HashMap::new(),
            flushed_at: 0,
            moved_at: 0,
            tenures: vec![Tenure::default(); groups],
            dispatchers: vec![Dispatcher::default(); groups],
            registering: BTreeSet::new(),
            awaiting: Vec::new(),
            routed: Arc::default(),
        }
    }

    fn pull_later(&mut self, at: usize) {
        if !self.pulls.contains(&at) {
            self.pulls.push(at);
        }
    }

    /// There is more to read or to give without waiting for anything.
    pub(super) fn more(&self) -> bool {
        !self.pulls.is_empty()
    }

    /// The shared subscription in a place that the caller has looked at.
    fn at(&mut self, at: usize) -> &mut Share {
        self.shares[at].as_mut().expect("the caller has looked")
    }

    fn named(&mut self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Places of the shared subscriptions of a session group.
    fn of_group(&self, group: GroupId) -> Vec<usize> {
        let shares = self.shares.iter().enumerate();
        let of = |share: &Option<Share>| share.as_ref().is_some_and(|share| share.group == group);
        shares.filter(|(_, share)| of(share)).map(|(at, _)| at).collect()
    }
}

/// Index of a session group in tables of one row per group.
fn row(group: GroupId) -> usize {
    group.get() as usize - 1
}

impl Share {
    fn filter(&self) -> &str {
        &self.name[self.filter_at..]
    }

    /// Where it stands in a partition: the next offset to look at.
    fn cursor(&self, partition: u16, tails: &Tails) -> u64 {
        if let Some(lag) = self.lags.iter().find(|lag| lag.partition == partition) {
            return lag.next;
        }
        let ahead = self.ahead.iter().find(|(number, _)| *number == partition);
        ahead.map_or(0, |(_, next)| *next).max(tails.next(partition))
    }

    /// Have the tails moved since its window was committed?
    fn behind(&self, tails: &Tails) -> bool {
        self.committed.iter().any(|position| {
            let number = u16::try_from(position.partition).unwrap_or(u16::MAX);
            position.next < tails.next(number)
        })
    }

    /// A member has one message less.
    fn release(&mut self, client_id: &str) {
        if let Some(member) = self.members.iter_mut().find(|member| &*member.is.client_id == client_id) {
            member.holds = member.holds.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests;
