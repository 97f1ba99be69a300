//! CONNECTs that are committed but not answered yet: the old owner of this node lets go first, and a will that
//! is due reaches its partition first, so that "offline" never overwrites a later "online".

use super::Hub;
use crate::mail::{ConnectionKey, Event, From, Released};
use crate::state::session::Attached;
use crate::state::session::op::Kind;
use crate::state::session::record::Owner;

/// A committed CONNECT that waits.
#[derive(Debug)]
pub(super) struct Attaching {
    from: From,
    attached: Box<Attached>,
    /// The old owner, on this node, has not answered yet.
    held: bool,
}

impl Hub {
    pub(super) fn attached(&mut self, from: From, attached: Box<Attached>) {
        let client_id = attached.record.core.client_id.clone();
        let mut held = false;
        match self.attaching.remove(&client_id) {
            Some(older) => {
                let superseded = Event::Superseded(older.from.connection);
                self.post(older.from.worker).events.push(superseded);
                held = older.held;
            }
            None => {
                if let Some(owner) = attached.previous {
                    held = self.fence(owner, &client_id, true);
                }
            }
        }
        self.attaching.insert(client_id.clone(), Attaching { from, attached, held });
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

    pub(super) fn released(&mut self, released: Released) {
        let Some(waiting) = self.attaching.get_mut(&released.client_id) else { return };
        waiting.held = false;
        if let Some(window) = released.window {
            // What it sent since its last commit keeps its packet identifiers; new ones start beyond.
            let reserved = waiting.attached.record.window.reserved;
            waiting.attached.record.window = window;
            waiting.attached.record.window.reserved = reserved;
        }
        self.answer(&released.client_id);
    }

    /// A connection closed by itself while another took its session over: its last window still counts.
    pub(super) fn late_detach(&mut self, op: &Kind) {
        let Kind::Detach(op) = op else { return };
        let Some(waiting) = self.attaching.get_mut(&op.client_id).filter(|waiting| waiting.held) else {
            return;
        };
        if waiting.attached.session_present
            && let Some(window) = op.window.clone()
        {
            let reserved = waiting.attached.record.window.reserved;
            waiting.attached.record.window = window;
            waiting.attached.record.window.reserved = reserved;
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
