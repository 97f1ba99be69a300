//! Sessions that have left for another node: whoever had them here lets go, and the new owner hears what was in hand.

use std::time::Duration;

use holdfast_log::NodeId;

use super::Hub;
use super::attach::{Attaching, Hold, LET_GO_MAX};
use super::word;
use crate::state::session::Attached;
use crate::state::session::record::{Owner, Window};

/// A session that left for another node.
#[derive(Debug)]
pub(super) struct Departing {
    pub(super) to: NodeId,
    pub(super) epoch: u64,
    /// A connection here was told to close, and will say when it has let go.
    pub(super) here: bool,
    /// Whoever hands the window over, and its epoch. None where that is done.
    pub(super) owner: Option<Owner>,
    pub(super) awaited: u64,
    /// Epoch of the CONNECT here that waited for an owner on another node: what is handed to that one counts, and
    /// nothing that comes late from before.
    pub(super) waited: Option<u64>,
    /// The window of a connection that closed by itself meanwhile, or of one that has let go.
    pub(super) handed: Option<Window>,
    /// Its connection has let go, which a worker says once nothing that it published is under way: the window.
    pub(super) gone: Option<Option<Window>>,
    /// The new owner waits no longer.
    pub(super) deadline: Duration,
}

impl Hub {
    /// A CONNECT of any node is committed, and its old owner may be here.
    pub(super) fn taken_over(&mut self, to: u64, attached: &Attached) {
        let (Some(owner), to) = (attached.previous, NodeId::new(to)) else { return };
        if to == self.node || !self.is_here(owner) {
            return;
        }
        let client_id = attached.record.core.client_id.clone();
        let epoch = attached.record.core.epoch;
        let (here, awaited) = (false, attached.previous_epoch);
        let (owner, deadline) = (Some(owner), self.clock.monotonic() + LET_GO_MAX);
        let mut departing =
            Departing { to, epoch, here, owner, awaited, waited: None, handed: None, gone: None, deadline };
        match self.attaching.remove(&client_id) {
            // It never had the session: what it waited for is the next owner's to wait for.
            Some(waiting) => {
                self.supersede(&waiting);
                departing.waited = matches!(waiting.hold, Hold::There(_)).then(|| waiting.epoch());
                let Attaching { leaving, owner, awaited, handed, .. } = waiting;
                departing.here = leaving || matches!(waiting.hold, Hold::Here);
                (departing.owner, departing.awaited, departing.handed) = (owner, awaited, handed);
                let done = match waiting.hold {
                    Hold::Here | Hold::There(_) => false,
                    Hold::Nothing => true,
                    Hold::Committing(window) => {
                        departing.handed = Some(window);
                        true
                    }
                };
                if done {
                    departing.owner = None;
                    departing.gone = (!leaving).then(|| departing.handed.take());
                }
            }
            None => {
                departing.here = owner.is_some_and(|owner| self.fence(owner, &client_id, true));
            }
        }
        self.departing.insert(client_id, departing);
    }

    /// Tells the new owners elsewhere of the sessions that have left.
    pub(super) fn send_departed(&mut self) {
        let gone = |_: &String, departing: &mut Departing| departing.gone.is_some();
        let departed: Vec<_> = self.departing.extract_if(.., gone).collect();
        for (client_id, Departing { to, epoch, gone, .. }) in departed {
            let released = word::Released { client_id, epoch, window: gone.flatten() };
            // Unheard, the new owner gives up waiting.
            let _ = self.say(to, word::Kind::Released(released));
        }
    }
}
