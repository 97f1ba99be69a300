//! Earlier owners of client ids: whose messages may still be under way, and what waits until they are not.
//!
//! An owner that lost its session goes on until it hears of it. Its worker tells its end when nothing of it is under
//! way; until then, or until its boot is closed, it is kept here, also beyond the end of the session. Its tokens go
//! when no owner that used them can propose one again.

use super::apply::Sessions;
use super::outbox::{ForgetTokens, Task};
use super::record::Owner;
use crate::record::Fence;
use crate::state::changes::Changes;
use crate::state::session::key;

/// What is kept of one client id.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Past {
    /// Owners that have not let go, as far as is known. Epochs rise.
    #[prost(message, repeated, tag = "1")]
    pub owners: Vec<PastOwner>,
    /// Ended sessions whose tokens are still kept.
    #[prost(message, repeated, tag = "2")]
    pub ended: Vec<Ended>,
}

/// An owner that lost its session.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(super) struct PastOwner {
    /// Its node.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// Boot of the node.
    #[prost(uint64, tag = "2")]
    pub boot: u64,
    /// Its epoch.
    #[prost(uint64, tag = "3")]
    pub epoch: u64,
}

/// A session that has ended.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Ended {
    /// Its incarnation.
    #[prost(uint64, tag = "1")]
    pub incarnation: u64,
    /// Epoch of its last owner.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Partitions that may hold tokens of it.
    #[prost(uint32, repeated, tag = "3")]
    pub partitions: Vec<u32>,
}

impl Sessions {
    /// Boots of earlier owners of a client id whose messages may still be under way, and those that are closed here
    /// but perhaps not yet in a partition. The owner of epoch `let_go` is known to have nothing under way.
    pub fn unsettled(&self, client_id: &str, let_go: Option<u64>) -> Vec<Fence> {
        let mut boots: Vec<Fence> = self.at_large(client_id, let_go).map(|(boot, _)| boot).collect();
        boots.extend(self.closed());
        boots.sort_unstable();
        boots.dedup();
        boots
    }

    /// Earlier owners of a client id that may still be at work, by boot and epoch, but for the one of epoch `let_go`.
    pub fn at_large(&self, client_id: &str, let_go: Option<u64>) -> impl Iterator<Item = (Fence, u64)> {
        let owners = self.past.get(client_id).into_iter().flat_map(|past| &past.owners);
        let owners = owners.filter(move |owner| Some(owner.epoch) != let_go);
        owners.map(|owner| (Fence { node: owner.node, boot: owner.boot }, owner.epoch))
    }

    /// Highest closed boot of each node.
    pub fn closed(&self) -> impl Iterator<Item = Fence> {
        self.closed.iter().map(|(node, boot)| Fence { node: *node, boot: *boot })
    }

    /// An owner lost its session, and may not know it.
    pub(super) fn left_behind(&mut self, id: &str, owner: Owner, epoch: u64, changes: &mut Changes) {
        if self.closed.get(&owner.node).is_some_and(|closed| owner.boot <= *closed) {
            return;
        }
        let past = self.past.entry(id.to_owned()).or_default();
        past.owners.push(PastOwner { node: owner.node, boot: owner.boot, epoch });
        changes.put(key::past(id), past);
    }

    /// Nothing of an earlier owner is under way any more.
    pub(super) fn confirmed(&mut self, id: &str, epoch: u64, changes: &mut Changes) {
        let Some(past) = self.past.get_mut(id) else { return };
        let before = past.owners.len();
        past.owners.retain(|owner| owner.epoch != epoch);
        if past.owners.len() < before {
            self.settle_past(id, changes);
        }
    }

    /// Boots of a node are closed: who owned something under them proposes nothing in this group any more.
    pub(super) fn close_past(&mut self, node: u64, boot: u64, changes: &mut Changes) {
        if self.closed.get(&node).copied().unwrap_or_default() < boot {
            self.closed.insert(node, boot);
            changes.put_bytes(key::closed(node), boot.to_le_bytes().to_vec());
        }
        let over = |owner: &PastOwner| owner.node == node && owner.boot <= boot;
        let touched = self.past.iter().filter(|(_, past)| past.owners.iter().any(over));
        for id in touched.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            if let Some(past) = self.past.get_mut(&id) {
                past.owners.retain(|owner| !over(owner));
            }
            self.settle_past(&id, changes);
        }
    }

    /// A session has ended: its tokens are to go.
    pub(super) fn ended(&mut self, id: &str, ended: Ended, changes: &mut Changes) {
        self.past.entry(id.to_owned()).or_default().ended.push(ended);
        self.settle_past(id, changes);
    }

    /// What waits for nobody any more is owed to the partitions.
    fn settle_past(&mut self, id: &str, changes: &mut Changes) {
        let Some(past) = self.past.get_mut(id) else { return };
        let Past { owners, ended } = past;
        let waits = |ended: &Ended| owners.iter().any(|owner| owner.epoch <= ended.epoch);
        let (waiting, ready): (Vec<Ended>, Vec<Ended>) = ended.drain(..).partition(waits);
        *ended = waiting;
        if past.owners.is_empty() && past.ended.is_empty() {
            self.past.remove(id);
            changes.delete(key::past(id));
        } else {
            changes.put(key::past(id), past);
        }
        for Ended { incarnation, epoch, partitions } in ready {
            for partition in partitions {
                self.owe(id, Task::ForgetTokens(ForgetTokens { incarnation, epoch, partition }), changes);
            }
        }
    }
}
