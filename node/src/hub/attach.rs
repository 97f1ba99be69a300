//! CONNECTs that are committed but not answered yet: the old owner lets go first, and a will that is due reaches its
//! partition first, so that "offline" never overwrites a later "online".
//!
//! An owner on another node lets go by a word over the net. One that says nothing for half a second is fenced out
//! instead.

use std::time::Duration;

use holdfast_log::NodeId;

use super::Hub;
use super::depart::Departing;
use super::fences::Shutting;
use super::tag::OpTag;
use super::word;
use crate::config::Fault;
use crate::mail::{ConnectionKey, Event, From, Released};
use crate::state::session::Attached;
use crate::state::session::op::{Confirmed, Kind, WindowOp};
use crate::state::session::record::{Owner, Window};

/// How long an old owner on another node may take to let go.
pub(super) const LET_GO_MAX: Duration = Duration::from_millis(500);

/// A committed CONNECT that waits.
#[derive(Debug)]
pub(super) struct Attaching {
    from: From,
    attached: Box<Attached>,
    pub(super) hold: Hold,
    /// An owner before the old one was here too and has not let go yet. It will, as it is told once all that is under
    /// way from here is settled.
    pub(super) leaving: bool,
    /// The old owner: nobody else hands anything over.
    pub(super) owner: Option<Owner>,
    /// The window of an old owner that closed by itself meanwhile.
    pub(super) handed: Option<Window>,
    /// Epoch of the old owner on another node, once it has said that it let go: sooner than its session group.
    pub(super) let_go: Option<u64>,
    /// Epoch of the old owner that is waited for.
    pub(super) awaited: u64,
    pub(super) shutting: Shutting,
}

impl Attaching {
    /// Is the old owner on another node waited for, or, now that it has said nothing for long, its fences?
    fn may_let_go(&self) -> bool {
        let late = matches!((&self.hold, &self.shutting), (Hold::Nothing, Shutting::Waits(_)));
        matches!(self.hold, Hold::There(_)) || late && self.let_go.is_none()
    }

    /// Epoch of the new owner.
    pub(super) fn epoch(&self) -> u64 {
        self.attached.record.core.epoch
    }
}

/// What a CONNECT waits for from the old owner.
#[derive(Debug)]
pub(super) enum Hold {
    /// Nothing, or nothing more.
    Nothing,
    /// A connection of this boot, which was told to let go and always says when it has.
    Here,
    /// A connection on another node, or in an earlier boot of this one, until then.
    There(Duration),
    /// What was handed over is not committed yet.
    Committing(Window),
}

impl Hub {
    /// A CONNECT of this node is committed, for which the old owner was waited already.
    pub(super) fn attached(&mut self, from: From, attached: Box<Attached>, waited: Duration) {
        let client_id = attached.record.core.client_id.clone();
        let awaited = attached.previous_epoch;
        let leaves = |departing: &Departing| departing.here && departing.gone.is_none();
        let leaving = self.departing.get(&client_id).is_some_and(leaves);
        let (hold, owner, shutting) = (Hold::Nothing, attached.previous, Shutting::default());
        let mut attaching =
            Attaching { from, attached, hold, leaving, owner, handed: None, let_go: None, awaited, shutting };
        let mut window = None;
        match self.attaching.remove(&client_id) {
            Some(older) => {
                self.supersede(&older);
                (attaching.handed, attaching.let_go) = (older.handed, older.let_go);
                (attaching.owner, attaching.awaited) = (older.owner, older.awaited);
                match older.hold {
                    // Under the epoch that lost it may count for nothing: it is handed over again.
                    Hold::Committing(committing) => window = Some(committing),
                    hold => attaching.hold = hold,
                }
            }
            None => {
                if let Some(owner) = attaching.attached.previous {
                    self.await_owner(owner, &client_id, &mut attaching, waited);
                }
            }
        }
        self.attaching.insert(client_id.clone(), attaching);
        match window {
            Some(window) => self.let_go(&client_id, Some(window)),
            None => self.answer(&client_id),
        }
    }

    /// A CONNECT lost its session before it had it: nothing of it is under way.
    pub(super) fn supersede(&mut self, waiting: &Attaching) {
        let superseded = Event::Superseded(waiting.from.connection);
        self.post(waiting.from.worker).events.push(superseded);
        let core = &waiting.attached.record.core;
        let op = Kind::Confirmed(Confirmed { client_id: core.client_id.clone(), epoch: core.epoch });
        self.accept_op(self.route.session_group(&core.client_id), op, OpTag::Quiet);
    }

    fn await_owner(&mut self, owner: Owner, client_id: &str, attaching: &mut Attaching, waited: Duration) {
        if self.fence(owner, client_id, true) {
            attaching.hold = Hold::Here;
        } else if self.may_be_there(owner) && !Fault::SkipFence.is_in(self.fault) {
            attaching.hold = Hold::There(self.clock.monotonic() + LET_GO_MAX - waited);
        }
    }

    /// Is it a connection of this boot?
    pub(super) fn is_here(&self, owner: Owner) -> bool {
        (owner.node, owner.boot) == (self.node.get(), self.boot)
    }

    /// May it be at work on another node, and hear of it?
    pub(super) fn may_be_there(&self, owner: Owner) -> bool {
        owner.node != self.node.get()
            && !self.machines.meta.is_closed(owner.node, owner.boot)
            && self.peers.is_up(NodeId::new(owner.node))
    }

    /// Tells a connection of this boot to close. `false`: it is none, so nobody will answer.
    pub(super) fn fence(&mut self, owner: Owner, client_id: &str, taken_over: bool) -> bool {
        let silent = taken_over && Fault::KeepOldOwner.is_in(self.fault);
        if !self.is_here(owner) || silent {
            return false;
        }
        let connection = ConnectionKey::from_number(owner.connection);
        self.post(owner.worker).events.push(Event::Fence {
            connection,
            client_id: client_id.to_owned(),
            taken_over,
        });
        true
    }

    /// The old owner, a connection here, has let go. What it handed over is committed under the new epoch before the
    /// new owner acts on it: what was sent under a packet identifier must not be forgotten by a crash.
    pub(super) fn released(&mut self, released: Released) {
        if let Some(waiting) = self.attaching.get_mut(&released.client_id) {
            waiting.leaving = false;
        }
        let Released { client_id, owner, window } = released;
        if let Some(departing) = self.departing.get_mut(&client_id) {
            // Whoever was here has let go, also where another one hands over: nobody waits for it again.
            departing.here = false;
            if departing.owner.is_none() && departing.gone.is_none() {
                departing.gone = Some(departing.handed.take());
            } else if departing.owner == Some(owner) {
                departing.gone = Some(window.or_else(|| departing.handed.take()));
                return self.answer(&client_id);
            }
        }
        let held = |waiting: &Attaching| matches!(waiting.hold, Hold::Here) && waiting.owner == Some(owner);
        if self.attaching.get(&client_id).is_some_and(held) {
            return self.let_go(&client_id, window);
        }
        // What an owner before the old one knows is older than what is committed.
        self.answer(&client_id);
    }

    /// The old owner, on another node, has let go.
    pub(super) fn released_elsewhere(&mut self, released: word::Released) {
        let word::Released { client_id, epoch, window } = released;
        match self.attaching.get_mut(&client_id) {
            Some(waiting) if waiting.epoch() == epoch && waiting.may_let_go() => {
                waiting.let_go = Some(waiting.awaited);
                self.let_go(&client_id, window);
            }
            _ => {
                // Whoever waited for it here has lost the session to yet another node.
                let of = |departing: &&mut Departing| departing.waited == Some(epoch);
                if let Some(departing) = self.departing.get_mut(&client_id).filter(of) {
                    departing.gone.get_or_insert(window);
                }
            }
        }
    }

    fn let_go(&mut self, client_id: &str, window: Option<Window>) {
        let Some(waiting) = self.attaching.get_mut(client_id) else { return };
        let window = window.or_else(|| waiting.handed.take());
        let Some(mut window) = window.filter(|_| waiting.attached.session_present) else {
            waiting.hold = Hold::Nothing;
            return self.answer(client_id);
        };
        // New identifiers start beyond the block that the CONNECT reserved.
        window.reserved = waiting.attached.record.window.reserved;
        waiting.attached.record.window = window.clone();
        waiting.hold = Hold::Committing(window.clone());
        let epoch = waiting.attached.record.core.epoch;
        let group = self.route.session_group(client_id);
        let op = Kind::Window(WindowOp { client_id: client_id.to_owned(), epoch, window });
        self.accept_op(group, op, OpTag::HandedOver);
    }

    /// What was handed over is committed, under the epoch of the CONNECT that waits or of one before it.
    pub(super) fn handed_over(&mut self, op: &Kind) {
        let Kind::Window(op) = op else { return };
        let of = |waiting: &&mut Attaching| {
            waiting.epoch() == op.epoch && matches!(waiting.hold, Hold::Committing(_))
        };
        if let Some(waiting) = self.attaching.get_mut(&op.client_id).filter(of) {
            waiting.hold = Hold::Nothing;
            self.answer(&op.client_id);
        }
    }

    /// A connection closed by itself while another took its session over: its last window still counts.
    pub(super) fn late_detach(&mut self, op: &Kind) {
        let Kind::Detach(op) = op else { return };
        // What an owner before the old one knows is older than what is committed.
        let is =
            |waiting: &&mut Attaching| !matches!(waiting.hold, Hold::Nothing) && waiting.awaited == op.epoch;
        let of = |departing: &&mut Departing| departing.awaited == op.epoch;
        if let Some(waiting) = self.attaching.get_mut(&op.client_id).filter(is) {
            waiting.handed = op.window.clone();
        } else if let Some(departing) = self.departing.get_mut(&op.client_id).filter(of) {
            match &mut departing.gone {
                Some(window @ None) => *window = op.window.clone(),
                _ => departing.handed = op.window.clone(),
            }
        }
    }

    /// Something changed that anybody may have waited for.
    pub(super) fn attach_ready(&mut self) {
        let waiting: Vec<String> = self.attaching.keys().cloned().collect();
        for client_id in waiting {
            self.answer(&client_id);
        }
    }

    /// Goes on without old owners that do not answer, and forgets new ones elsewhere that have gone on.
    pub(super) fn give_up_owners(&mut self) {
        let now = self.clock.monotonic();
        self.departing
            .retain(|_, departing| departing.here || departing.gone.is_some() || now <= departing.deadline);
        let late = |waiting: &Attaching| matches!(waiting.hold, Hold::There(deadline) if now > deadline);
        let late = self.attaching.iter().filter(|(_, waiting)| late(waiting));
        let late: Vec<String> = late.map(|(client_id, _)| client_id.clone()).collect();
        for client_id in late {
            if let Some(waiting) = self.attaching.get_mut(&client_id) {
                waiting.hold = Hold::Nothing;
            }
            self.answer(&client_id);
        }
    }

    pub(super) fn answer(&mut self, client_id: &str) {
        let Some(waiting) = self.attaching.get(client_id) else { return };
        let group = self.route.session_group(client_id);
        if !matches!(waiting.hold, Hold::Nothing)
            || waiting.leaving
            || self.contact.is_lost(group)
            || self.machines.sessions_of(group).outbox().holds_will_of(client_id)
            || self.awaits_fences(client_id)
        {
            return;
        }
        let mut ready = self.attaching.remove(client_id).expect("just seen");
        ready.attached.fences = self.fences(client_id, ready.epoch(), ready.let_go);
        let From { worker, connection, .. } = ready.from;
        self.post(worker).events.push(Event::Attached(connection, ready.attached));
    }
}
