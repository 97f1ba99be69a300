//! What a client said on its old connection before it connected anew is heard first: its DISCONNECT ends the session
//! or takes back the will, although another thread reads it, or another node.
//!
//! A CONNECT whose session has an owner asks that one to read what has come, and is proposed behind what this led to.
//! An owner on another node that says nothing for half a second is passed over, and not waited for again.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_log::{GroupId, NodeId};

use super::Hub;
use super::attach::LET_GO_MAX;
use super::tag::OpTag;
use super::word;
use crate::mail::{Asker, ConnectionKey, Event, From};
use crate::state::session::op::Kind;
use crate::state::session::record::Owner;

/// How long an owner on another node may take to read what has come.
const HEAR_MAX: Duration = LET_GO_MAX;

/// Questions under way about what clients have said.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// Of the last question.
    number: u64,
    /// CONNECTs that wait, by the number of their question.
    waiting: BTreeMap<u64, Waiting>,
    /// Questions of other nodes about connections here.
    asked: Vec<Asked>,
}

/// A CONNECT that is not proposed yet.
#[derive(Debug)]
struct Waiting {
    from: From,
    group: GroupId,
    op: Kind,
    /// None where the owner is here: it always answers.
    deadline: Option<Duration>,
}

/// A question of another node.
#[derive(Debug)]
struct Asked {
    by: Asker,
    group: GroupId,
    client_id: String,
    owner: Owner,
    /// The connection has ended: its end has to be committed before the answer.
    gone: bool,
    /// The other node waits no longer.
    deadline: Duration,
}

impl Hub {
    /// Takes in a CONNECT.
    pub(super) fn accept_connect(&mut self, from: From, group: GroupId, op: Kind) {
        let number = self.hearing.number + 1;
        match self.ask_owner(group, &op, number) {
            Some(deadline) => {
                self.hearing.number = number;
                self.hearing.waiting.insert(number, Waiting { from, group, op, deadline });
            }
            None => self.accept_op(group, op, OpTag::Attach { from, waited: Duration::ZERO }),
        }
    }

    /// Asks the owner of the session to read what has come, and until when it may. `None`: nobody is asked.
    fn ask_owner(&mut self, group: GroupId, op: &Kind, number: u64) -> Option<Option<Duration>> {
        let Kind::Attach(attach) = op else { return None };
        let owner = self.owner_of(group, &attach.client_id)?;
        let by = Asker { node: self.node.get(), number };
        if self.ask_here(owner, by) {
            return Some(None);
        }
        if !self.may_be_there(owner) {
            return None;
        }
        let hear = word::Hear { client_id: attach.client_id.clone(), owner, number };
        self.say(NodeId::new(owner.node), word::Kind::Hear(hear)).ok()?;
        Some(Some(self.clock.monotonic() + HEAR_MAX))
    }

    fn owner_of(&self, group: GroupId, client_id: &str) -> Option<Owner> {
        self.machines.sessions_of(group).get(client_id).and_then(|record| record.core.owner)
    }

    /// `false`: the owner is no connection of this boot.
    fn ask_here(&mut self, owner: Owner, by: Asker) -> bool {
        let here = self.is_here(owner);
        if here {
            let connection = ConnectionKey::from_number(owner.connection);
            self.post(owner.worker).events.push(Event::Hear { connection, by });
        }
        here
    }

    /// Another node asks about an owner here.
    pub(super) fn asked_to_hear(&mut self, from: NodeId, hear: word::Hear) {
        let word::Hear { client_id, owner, number } = hear;
        let by = Asker { node: from.get(), number };
        let group = self.route.session_group(&client_id);
        if self.owner_of(group, &client_id) != Some(owner) || !self.ask_here(owner, by) {
            return self.say_heard(by);
        }
        let deadline = self.clock.monotonic() + HEAR_MAX;
        self.hearing.asked.push(Asked { by, group, client_id, owner, gone: false, deadline });
    }

    /// A worker has read what had come for a connection, which is open still or has ended.
    pub(super) fn heard_here(&mut self, by: Asker, open: bool) {
        if by.node == self.node.get() {
            self.heard(by.number);
        } else if let Some(at) = self.hearing.asked.iter().position(|asked| asked.by == by) {
            if open {
                self.hearing.asked.swap_remove(at);
                self.say_heard(by);
            } else {
                self.hearing.asked[at].gone = true;
            }
        }
    }

    fn say_heard(&mut self, by: Asker) {
        // Unheard, the other node goes on by its clock.
        let _ = self.say(NodeId::new(by.node), word::Kind::Heard(word::Heard { number: by.number }));
    }

    /// The owner has read what had come.
    pub(super) fn heard(&mut self, number: u64) {
        self.connect_after(number, Duration::ZERO);
    }

    fn connect_after(&mut self, number: u64, waited: Duration) {
        if let Some(Waiting { from, group, op, .. }) = self.hearing.waiting.remove(&number) {
            self.accept_op(group, op, OpTag::Attach { from, waited });
        }
    }

    /// Goes on without owners that do not answer.
    pub(super) fn give_up_hearing(&mut self) {
        let now = self.clock.monotonic();
        let late = |waiting: &Waiting| waiting.deadline.is_some_and(|deadline| now > deadline);
        let late = self.hearing.waiting.iter().filter(|(_, waiting)| late(waiting));
        for number in late.map(|(number, _)| *number).collect::<Vec<u64>>() {
            self.connect_after(number, HEAR_MAX);
        }
    }

    /// Answers other nodes once the end of the connections that they asked about is committed.
    pub(super) fn send_heard(&mut self) {
        if self.hearing.asked.is_empty() {
            return;
        }
        let now = self.clock.monotonic();
        let mut asked = std::mem::take(&mut self.hearing.asked);
        asked.retain(|asked| {
            let over = asked.gone && self.owner_of(asked.group, &asked.client_id) != Some(asked.owner);
            if over {
                self.say_heard(asked.by);
            }
            !over && now <= asked.deadline
        });
        self.hearing.asked = asked;
    }
}
