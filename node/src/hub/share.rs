//! Shared subscriptions over nodes: who dispatches, and the words between members and dispatchers.
//!
//! The leader of a session group dispatches the shared subscriptions of the group. When its lead begins it calls
//! every node, which tells of all members it has; when everybody has answered, or has had time to, messages are given.
//! Words between two nodes arrive in order or are lost with the connection. Then the members there are gone, and the
//! node is called again when it is back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use holdfast_cluster::link::{Frame, Lane, Unsent};
use holdfast_log::{GroupId, NodeId, Term};
use prost::Message;

use super::Hub;
use super::tag::OpTag;
use super::word::{Kind, Shared};
use crate::mail::{
    Assign, Assigned, ConnectionKey, Event, ShareAssign, ShareCall, ShareFlush, ShareMember, ShareSaid,
    ShareWord,
};
use crate::route::{Partition, dispatcher};
use crate::state::session::op::{self, Point, ShareLeave, ShareWindow};
use crate::state::session::record::Owner;

/// How long a node may take to tell of its members. One that is frozen holds nobody up for longer; what its members
/// hold at QoS 1 may then come twice.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// Bytes of words in one frame, unless one word is larger.
const FRAME_BYTES: usize = 256 * 1024;

/// Shared subscriptions, as the hub sees them.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// Session groups whose shared subscriptions this node dispatches.
    tenures: BTreeMap<GroupId, Tenure>,
    /// Calls that the workers of this node are answering.
    answering: BTreeMap<GroupId, Answering>,
    /// Words for other nodes. Bounded by what their members may hold at a time and by the members here.
    outgoing: BTreeMap<NodeId, Outgoing>,
    /// Members that had no such subscription when they were looked at last.
    suspects: BTreeSet<(String, String, Point)>,
}

#[derive(Debug)]
struct Tenure {
    term: u64,
    /// Nodes that have not told of their members.
    waiting: BTreeSet<NodeId>,
    until: Duration,
    open: bool,
    /// Shared subscriptions whose dispatcher here has gone on from the committed window.
    begun: BTreeSet<String>,
}

#[derive(Debug)]
struct Answering {
    node: NodeId,
    term: u64,
    /// Workers that have not answered.
    left: usize,
}

#[derive(Debug, Default)]
struct Outgoing {
    /// A frame that found no room.
    stuck: Option<Bytes>,
    words: VecDeque<ShareSaid>,
}

impl Sharing {
    fn dispatches(&self, group: GroupId, term: u64) -> bool {
        self.tenures.get(&group).is_some_and(|tenure| tenure.term == term)
    }
}

impl Hub {
    /// This node leads a session group and serves: it dispatches the shared subscriptions of the group.
    pub(super) fn begin_tenure(&mut self, group: GroupId) {
        let Some(term) = self.leading.leads_in(group).map(Term::get) else { return };
        let waiting: BTreeSet<NodeId> = self.peers.connected().chain([self.node]).collect();
        let until = self.clock.monotonic() + ANSWER_MAX;
        let called: Vec<NodeId> = waiting.iter().copied().collect();
        self.sharing
            .tenures
            .insert(group, Tenure { term, waiting, until, open: false, begun: BTreeSet::new() });
        self.tell_all(|| Event::ShareTenure(group, term));
        for node in called {
            self.share_say(node, ShareWord::Call(ShareCall { group: group.get(), term }));
        }
    }

    /// Another node leads the session group, or nobody.
    pub(super) fn end_tenure(&mut self, group: GroupId) {
        if self.sharing.tenures.remove(&group).is_some() {
            self.tell_all(|| Event::ShareTenure(group, 0));
        }
    }

    /// This node dispatches nothing any more.
    pub(super) fn end_tenures(&mut self) {
        let groups: Vec<GroupId> = self.sharing.tenures.keys().copied().collect();
        groups.into_iter().for_each(|group| self.end_tenure(group));
    }

    /// A node is connected: it is called.
    pub(super) fn share_up(&mut self, node: NodeId) {
        let tenures = self.sharing.tenures.iter();
        let calls: Vec<ShareCall> =
            tenures.map(|(group, tenure)| ShareCall { group: group.get(), term: tenure.term }).collect();
        for call in calls {
            self.share_say(node, ShareWord::Call(call));
        }
    }

    /// A node is not connected any more: whatever was said to it or by it may be lost.
    pub(super) fn share_down(&mut self, node: NodeId) {
        self.sharing.outgoing.remove(&node);
        for group in self.route.all_session_groups() {
            self.share_answered(group, node);
        }
        self.share_lost(node, u64::MAX);
    }

    /// The boots of a node up to this one are over.
    pub(super) fn share_lost(&mut self, node: NodeId, boot: u64) {
        if !self.sharing.tenures.is_empty() {
            self.tell_all(|| Event::ShareLost { node: node.get(), boot });
        }
    }

    /// Goes on without nodes that do not answer.
    pub(super) fn pass_calls(&mut self) {
        let now = self.clock.monotonic();
        let late = self.sharing.tenures.iter().filter(|(_, tenure)| !tenure.open && now >= tenure.until);
        let late: Vec<GroupId> = late.map(|(group, _)| *group).collect();
        for group in late {
            if let Some(tenure) = self.sharing.tenures.get_mut(&group) {
                tenure.waiting.clear();
            }
            self.share_answered(group, self.node);
        }
    }

    /// A node has told of its members. After the last one messages are given.
    fn share_answered(&mut self, group: GroupId, node: NodeId) {
        let Some(tenure) = self.sharing.tenures.get_mut(&group) else { return };
        tenure.waiting.remove(&node);
        if tenure.waiting.is_empty() && !tenure.open {
            tenure.open = true;
            let term = tenure.term;
            self.tell_all(|| Event::ShareOpen(group, term));
        }
    }

    /// A worker here has told of its members.
    pub(super) fn worker_answered(&mut self, call: ShareCall) {
        let group = GroupId::new(call.group);
        let Some(answering) = self.sharing.answering.get_mut(&group).filter(|one| one.term == call.term)
        else {
            return;
        };
        answering.left = answering.left.saturating_sub(1);
        if answering.left == 0 {
            let node = answering.node;
            self.sharing.answering.remove(&group);
            self.share_say(node, ShareWord::Answered(call));
        }
    }

    /// A word for a node. Words for a node that is away are lost with the connection.
    pub(super) fn share_say(&mut self, to: NodeId, word: ShareWord) {
        if to == self.node {
            return self.share_heard(to, word);
        }
        if !self.peers.is_up(to) {
            return;
        }
        if let ShareWord::Assign(ShareAssign { live: Some(_), .. }) = &word {
            let said = vec![ShareSaid { word: Some(word) }];
            let frame = Frame::App(Kind::Shared(Shared { said }).into_bytes());
            // QoS 0: where there is no room it is dropped, and the link counts it.
            let _ = self.net.send(to, Lane::Live, &frame);
            return;
        }
        let outgoing = self.sharing.outgoing.entry(to).or_default();
        outgoing.words.push_back(ShareSaid { word: Some(word) });
    }

    /// Sends the words of this turn. What finds no room stays, in order.
    pub(super) fn send_shared(&mut self) {
        let net = &mut self.net;
        self.sharing.outgoing.retain(|node, outgoing| {
            while let Some(frame) = outgoing.next() {
                match net.send(*node, Lane::Rpc, &Frame::App(frame.clone())) {
                    Ok(()) => {}
                    Err(Unsent::Full) => {
                        outgoing.stuck = Some(frame);
                        return true;
                    }
                    Err(Unsent::Away | Unsent::Large) => return false,
                }
            }
            false
        });
    }

    /// A word for a member or a dispatcher here.
    pub(super) fn share_heard(&mut self, from: NodeId, word: ShareWord) {
        match word {
            ShareWord::Call(call) => self.share_called(from, call),
            ShareWord::Answered(call) => {
                let group = GroupId::new(call.group);
                if self.sharing.dispatches(group, call.term) {
                    self.share_answered(group, from);
                }
            }
            ShareWord::Member(member) => self.share_member(from, member),
            ShareWord::Gone(gone) => {
                let share = gone.share.clone();
                self.tell_dispatcher(&share, gone.term, Event::ShareGone(Box::new(gone)));
            }
            ShareWord::Done(done) => {
                // The first word of a member may be that it is done with what another dispatcher gave to it.
                self.begin_share(&done.share, done.term);
                let event = Event::ShareDone {
                    share: done.share.as_str().into(),
                    client_id: done.client_id.as_str().into(),
                    done: (u16::try_from(done.partition).unwrap_or(u16::MAX), done.offset),
                    settle: done.settle.map(Box::new),
                };
                self.tell_dispatcher(&done.share, done.term, event);
            }
            ShareWord::Joined(joined) => {
                let connection = ConnectionKey::from_number(joined.owner.connection);
                let share = joined.share.as_str().into();
                self.tell_member(joined.owner, Event::ShareJoined { connection, share });
            }
            ShareWord::Assign(assign) => {
                let owner = assign.owner;
                let event = Event::Assign(self.assign_of(assign));
                self.tell_member(owner, event);
            }
            ShareWord::Settled(settled) => {
                let connection = ConnectionKey::from_number(settled.owner.connection);
                let done = (u16::try_from(settled.partition).unwrap_or(u16::MAX), settled.offset);
                self.tell_member(settled.owner, Event::ShareSettled { connection, done });
            }
        }
    }

    fn share_called(&mut self, node: NodeId, call: ShareCall) {
        let group = GroupId::new(call.group);
        if self.route.all_session_groups().all(|one| one != group) {
            return;
        }
        let left = self.workers.len();
        self.sharing.answering.insert(group, Answering { node, term: call.term, left });
        self.tell_all(|| Event::ShareCall { group, node: node.get(), term: call.term });
    }

    /// A member, whose membership is committed or else of no account.
    fn share_member(&mut self, from: NodeId, member: ShareMember) {
        let group = self.route.session_group(&member.share);
        if member.owner.node != from.get() || !self.sharing.dispatches(group, member.term) {
            return;
        }
        let Some(share) = self.machines.sessions_of(group).share(&member.share) else { return };
        let committed = share.members.get(&member.client_id);
        if committed.is_none_or(|known| known.incarnation != member.incarnation) {
            return;
        }
        self.begin_share(&member.share, member.term);
        let dispatcher = self.dispatcher(&member.share);
        self.post(dispatcher).events.push(Event::ShareMember(Box::new(member)));
    }

    /// The dispatcher of a shared subscription takes up the committed window, once in a tenure.
    fn begin_share(&mut self, name: &str, term: u64) {
        let group = self.route.session_group(name);
        let tenure = self.sharing.tenures.get_mut(&group).filter(|tenure| tenure.term == term);
        let Some(tenure) = tenure.filter(|tenure| !tenure.begun.contains(name)) else { return };
        let Some(share) = self.machines.sessions_of(group).share(name) else { return };
        let window = Box::new(share.window.clone());
        tenure.begun.insert(name.to_owned());
        let dispatcher = self.dispatcher(name);
        self.feed(dispatcher);
        self.post(dispatcher).events.push(Event::ShareBegun(window));
    }

    fn assign_of(&self, assign: ShareAssign) -> Box<Assign> {
        let body = match assign.live {
            Some(record) => Assigned::Live { record, stamp: assign.stamp },
            None => Assigned::Log {
                partition: Partition::new(u16::try_from(assign.partition).unwrap_or(u16::MAX)),
                offset: assign.offset,
                entry: None,
                reading: false,
            },
        };
        Box::new(Assign {
            connection: ConnectionKey::from_number(assign.owner.connection),
            group: self.route.session_group(&assign.share),
            share: assign.share.into(),
            term: assign.term,
            options: assign.options,
            id: assign.id,
            body,
        })
    }

    /// Takes in the window of a shared subscription that this node dispatches.
    pub(super) fn accept_share_flush(&mut self, flush: ShareFlush) {
        let group = self.route.session_group(&flush.window.share);
        if flush.boot == self.boot && self.sharing.dispatches(group, flush.window.term) {
            let tag = OpTag::ShareFlush { worker: flush.worker, tag: flush.tag };
            self.accept_op(group, op::Kind::ShareWindow(flush.window), tag);
        }
    }

    /// A window is committed, or nobody is left whose it could be. One of another tenure is of no account.
    pub(super) fn share_flushed(&mut self, window: &ShareWindow, worker: u32, tag: u64) {
        if tag != 0 && self.sharing.dispatches(self.route.session_group(&window.share), window.term) {
            self.post(worker).events.push(Event::ShareFlushed(tag));
        }
    }

    /// A member has left for good.
    pub(super) fn share_left(&mut self, op: &ShareLeave) {
        let group = self.route.session_group(&op.share);
        let Some(tenure) = self.sharing.tenures.get_mut(&group) else { return };
        let share = op.share.clone();
        let event = if self.machines.sessions_of(group).share(&share).is_none() {
            tenure.begun.remove(&share);
            Event::ShareClosed(share)
        } else {
            Event::ShareLeft { share, client_id: op.client_id.clone() }
        };
        let dispatcher = self.dispatcher(&op.share);
        self.post(dispatcher).events.push(event);
    }

    /// Removes members that have no such subscription: a join may arrive after the leave that followed it. Called
    /// when the session groups have been read; who was seen so before that read is gone for good.
    pub(super) fn sweep_shares(&mut self) {
        let mut suspects = BTreeSet::new();
        for group in self.sharing.tenures.keys() {
            for (name, share) in self.machines.sessions_of(*group).shares() {
                for (client_id, member) in &share.members {
                    let sessions = self.machines.sessions_of(self.route.session_group(client_id));
                    let session = sessions.get(client_id);
                    let subscribed = session.is_some_and(|record| {
                        record.core.incarnation == member.incarnation
                            && record.subscriptions.iter().any(|subscription| subscription.filter == name)
                    });
                    if !subscribed {
                        suspects.insert((name.to_owned(), client_id.clone(), member.at));
                    }
                }
            }
        }
        let before = std::mem::take(&mut self.sharing.suspects);
        for (share, client_id, at) in suspects {
            let suspect = (share, client_id, at);
            if before.contains(&suspect) {
                let (share, client_id, at) = suspect;
                let group = self.route.session_group(&share);
                let leave = ShareLeave { share, client_id, at };
                self.accept_op(group, op::Kind::ShareLeave(leave), OpTag::Quiet);
            } else {
                self.sharing.suspects.insert(suspect);
            }
        }
    }

    fn tell_dispatcher(&mut self, share: &str, term: u64, event: Event) {
        if self.sharing.dispatches(self.route.session_group(share), term) {
            let dispatcher = self.dispatcher(share);
            self.post(dispatcher).events.push(event);
        }
    }

    fn tell_member(&mut self, owner: Owner, event: Event) {
        if (owner.node, owner.boot) == (self.node.get(), self.boot)
            && let Some(post) = self.workers.get_mut(owner.worker as usize)
        {
            post.events.push(event);
        }
    }

    fn tell_all(&mut self, event: impl Fn() -> Event) {
        for post in &mut self.workers {
            post.events.push(event());
        }
    }

    /// The worker that dispatches a shared subscription.
    fn dispatcher(&self, share: &str) -> u32 {
        dispatcher(share, self.workers.len())
    }
}

impl Outgoing {
    /// The next frame.
    fn next(&mut self) -> Option<Bytes> {
        if let Some(stuck) = self.stuck.take() {
            return Some(stuck);
        }
        let mut said = Vec::new();
        let mut bytes = 0;
        while bytes < FRAME_BYTES
            && let Some(word) = self.words.pop_front()
        {
            bytes += word.encoded_len();
            said.push(word);
        }
        (!said.is_empty()).then(|| Kind::Shared(Shared { said }).into_bytes())
    }
}
