//! CONNECTs that are committed but not answered yet: the old owner of this node lets go first, and a will that
//! is due reaches its partition first, so that "offline" never overwrites a later "online".

use super::Hub;
use super::tag::OpTag;
use crate::mail::{ConnectionKey, Event, From, Released};
use crate::state::session::Attached;
use crate::state::session::op::{Kind, WindowOp};
use crate::state::session::record::{Owner, Window};

/// A committed CONNECT that waits.
#[derive(Debug)]
pub(super) struct Attaching {
    from: From,
    attached: Box<Attached>,
    /// The old owner, on this node, has not answered yet, or what it handed over is not committed.
    held: bool,
    /// The window of an old owner that closed by itself meanwhile.
    handed: Option<Window>,
}

impl Hub {
    pub(super) fn attached(&mut self, from: From, attached: Box<Attached>) {
        let client_id = attached.record.core.client_id.clone();
        let (mut held, mut handed) = (false, None);
        match self.attaching.remove(&client_id) {
            Some(older) => {
                let superseded = Event::Superseded(older.from.connection);
                self.post(older.from.worker).events.push(superseded);
                (held, handed) = (older.held, older.handed);
            }
            None => {
                if let Some(owner) = attached.previous {
                    held = self.fence(owner, &client_id, true);
                }
            }
        }
        self.attaching.insert(client_id.clone(), Attaching { from, attached, held, handed });
        self.answer(&client_id);
    }

    /// Tells a connection of this boot to close. `false`: it is none, so nobody will answer.
    pub(super) fn fence(&mut self, owner: Owner, client_id: &str, taken_over: bool) -> bool {
        if owner.node != self.node.get() || owner.boot != self.boot {
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

    /// The old owner has let go. What it handed over is committed under the new epoch before the new owner acts on
    /// it: what was sent under a packet identifier must not be forgotten by a crash.
    pub(super) fn released(&mut self, released: Released) {
        let Some(waiting) = self.attaching.get_mut(&released.client_id) else { return };
        let window = released.window.or_else(|| waiting.handed.take());
        let Some(mut window) = window.filter(|_| waiting.attached.session_present) else {
            waiting.held = false;
            return self.answer(&released.client_id);
        };
        // New identifiers start beyond the block that the CONNECT reserved.
        window.reserved = waiting.attached.record.window.reserved;
        waiting.attached.record.window = window.clone();
        let client_id = released.client_id;
        let epoch = waiting.attached.record.core.epoch;
        let group = self.route.session_group(&client_id);
        let op = Kind::Window(WindowOp { client_id: client_id.clone(), epoch, window });
        self.accept_op(group, op, OpTag::HandedOver(client_id));
    }

    /// What was handed over is committed.
    pub(super) fn handed_over(&mut self, client_id: &str) {
        if let Some(waiting) = self.attaching.get_mut(client_id) {
            waiting.held = false;
            self.answer(client_id);
        }
    }

    /// A connection closed by itself while another took its session over: its last window still counts.
    pub(super) fn late_detach(&mut self, op: &Kind) {
        let Kind::Detach(op) = op else { return };
        if let Some(waiting) = self.attaching.get_mut(&op.client_id).filter(|waiting| waiting.held) {
            waiting.handed = op.window.clone();
        }
    }

    /// A will reached its partition: whoever waited for that may be answered.
    pub(super) fn attach_ready(&mut self) {
        let waiting: Vec<String> = self.attaching.keys().cloned().collect();
        for client_id in waiting {
            self.answer(&client_id);
        }
    }

    fn answer(&mut self, client_id: &str) {
        let Some(waiting) = self.attaching.get(client_id) else { return };
        let group = self.route.session_group(client_id);
        if waiting.held || self.machines.sessions_of(group).outbox().holds_will_of(client_id) {
            return;
        }
        let ready = self.attaching.remove(client_id).expect("just seen");
        let From { worker, connection, .. } = ready.from;
        self.post(worker).events.push(Event::Attached(connection, ready.attached));
    }
}
