//! Shared subscriptions: members, cursor and unfinished messages of each `$share/name/filter` of the group.

use std::collections::BTreeMap;

use super::apply::{Outcome, Sessions};
use super::op::{Assignment, Point, ShareJoin, ShareLeave, ShareWindow};
use crate::state::changes::Changes;
use crate::state::session::key;

/// One shared subscription.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// By client id.
    pub members: BTreeMap<String, Membership>,
    /// Cursor and unfinished messages.
    pub window: ShareWindow,
}

/// A member of a shared subscription.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Membership {
    /// Incarnation of its session.
    #[prost(uint64, tag = "1")]
    pub incarnation: u64,
    /// The request by which it joined last.
    #[prost(message, required, tag = "2")]
    pub at: Point,
}

/// The persistent form of [`Share`].
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ShareRow {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(super) members: BTreeMap<String, Membership>,
    #[prost(message, required, tag = "2")]
    pub(super) window: ShareWindow,
}

impl Sessions {
    pub(super) fn share_join(&mut self, op: &ShareJoin, changes: &mut Changes) -> Outcome {
        let share = self.shares.entry(op.share.clone()).or_insert_with(|| Share {
            members: BTreeMap::new(),
            window: ShareWindow {
                share: op.share.clone(),
                next: op.starts.clone(),
                ..ShareWindow::default()
            },
        });
        let member = share.members.entry(op.client_id.clone()).or_default();
        if member.at > op.at {
            return Outcome::Stale;
        }
        *member = Membership { incarnation: op.incarnation, at: op.at };
        let theirs = |assignment: &Assignment| assignment.client_id == op.client_id;
        share.window.assignments.retain(|one| !theirs(one) || one.incarnation >= op.incarnation);
        put(share, &op.share, changes);
        Outcome::Done
    }

    pub(super) fn share_leave(&mut self, op: &ShareLeave, changes: &mut Changes) -> Outcome {
        let Some(share) = self.shares.get_mut(&op.share) else { return Outcome::Done };
        if share.members.get(&op.client_id).is_none_or(|member| member.at > op.at) {
            return Outcome::Stale;
        }
        share.members.remove(&op.client_id);
        // A QoS 2 message bound to a session that ends is not offered to another. MQTT 5.0, 4.8.2.
        share.window.assignments.retain(|assignment| assignment.client_id != op.client_id);
        if share.members.is_empty() {
            self.shares.remove(&op.share);
            changes.delete(key::share(&op.share));
        } else {
            put(share, &op.share, changes);
        }
        Outcome::Done
    }

    pub(super) fn share_window(&mut self, op: &ShareWindow, changes: &mut Changes) -> Outcome {
        let Some(share) = self.shares.get_mut(&op.share) else { return Outcome::Stale };
        share.window = op.clone();
        put(share, &op.share, changes);
        Outcome::Done
    }
}

fn put(share: &Share, name: &str, changes: &mut Changes) {
    let row = ShareRow { members: share.members.clone(), window: share.window.clone() };
    changes.put(key::share(name), &row);
}
