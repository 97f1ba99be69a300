//! The dispatcher's giving: each message to one member.

use std::sync::Arc;

use holdfast_codec::Qos;

use super::{Bound, Holder, Member, Place, Share, Told, row};
use crate::config::Fault;
use crate::mail::{
    Assign, Assigned, ConnectionKey, Event, Request, ShareAssign, ShareJoined, ShareSettled, ShareWord,
};
use crate::metrics::Dropped;
use crate::record::Record;
use crate::route::Partition;
use crate::session::Lag;
use crate::state::session::record::Owner;
use crate::worker::Worker;
use crate::worker::deliver::{Origin, Spot};

impl Worker {
    /// A message matches a shared subscription.
    pub(in crate::worker) fn dispatch(&mut self, at: u32, record: &Record<'_>, origin: Origin<'_>) {
        let at = at as usize;
        let Some(Some(share)) = self.shares.shares.get_mut(at) else { return };
        match origin {
            Origin::Live { stamp } => {
                let routed = self.shares.routed.get(row(share.group));
                if routed.is_some_and(|term| *term != share.term) {
                    return self.counters.dropped(Dropped::LeaderMoved);
                }
                let count = share.members.len();
                if count == 0 || share.since.is_after(stamp, self.now) {
                    return self.counters.dropped(Dropped::Disconnected);
                }
                share.turn = (share.turn + 1) % count;
                let mut live = Vec::new();
                record.encode(&mut live);
                let member = &share.members[share.turn];
                let to = member.owner;
                let assign = share.assign(member, Assigned::Live { record: live, stamp });
                self.tell(&to, Told::Assign(assign));
            }
            Origin::Log(spot) => {
                if share.lags.iter().any(|lag| lag.partition == spot.partition) || share.passes(spot) {
                    return;
                }
                if !self.give(at, record, spot, None) {
                    let share = self.shares.at(at);
                    share.lags.push(Lag { partition: spot.partition, next: spot.offset, reading: false });
                    share.dirty = true;
                }
            }
        }
    }

    /// Gives a logged message to a member. `false`: none has room.
    pub(super) fn give(
        &mut self,
        at: usize,
        record: &Record<'_>,
        spot: Spot<'_>,
        bound: Option<&Bound>,
    ) -> bool {
        let fault = self.settings.fault;
        let share = self.shares.at(at);
        let Some(chosen) = share.choose(bound) else { return false };
        let member = &share.members[chosen];
        let qos = member.options.qos.min(record.qos);
        let body = Assigned::Log {
            partition: Partition::new(spot.partition),
            offset: spot.offset,
            entry: Some(Arc::clone(spot.entry)),
            reading: false,
        };
        let (to, told) = (member.owner, Told::Assign(share.assign(member, body)));
        let holder = Holder { to: member.is.clone(), bound: qos == Qos::ExactlyOnce };
        if Fault::ShareTwice.is_in(fault) && share.members.len() > 1 {
            let other = &share.members[(chosen + 1) % share.members.len()];
            let body = Assigned::Log {
                partition: Partition::new(spot.partition),
                offset: spot.offset,
                entry: Some(Arc::clone(spot.entry)),
                reading: false,
            };
            let again = (other.owner, Told::Assign(share.assign(other, body)));
            share.after.push(again);
        }
        share.dirty = true;
        if qos > Qos::AtMostOnce {
            share.members[chosen].holds += 1;
            let bound = holder.bound;
            share.held.insert((spot.partition, spot.offset), holder);
            if bound {
                share.after.push((to, told));
                return true;
            }
        }
        self.tell(&to, told);
        true
    }

    /// A member has finished a message.
    pub(in crate::worker) fn share_finished(
        &mut self,
        name: &str,
        client_id: &str,
        done: Place,
        settle: Option<Owner>,
    ) {
        let Some(at) = self.shares.named(name) else {
            // Nobody subscribes to it any more, and what was bound to sessions is gone with it.
            if let Some(owner) = settle {
                self.tell(&owner, Told::Settled(done));
            }
            return;
        };
        let share = self.shares.at(at);
        if share.held.get(&done).is_some_and(|holder| &*holder.to.client_id == client_id) {
            share.held.remove(&done);
            share.release(client_id);
        }
        let for_them = |to: &Option<Bound>| to.as_ref().is_none_or(|to| &*to.client_id == client_id);
        if share.free.get(&done).is_some_and(for_them) {
            share.free.remove(&done);
        }
        share.dirty = true;
        if let Some(owner) = settle {
            share.after.push((owner, Told::Settled(done)));
        }
        self.shares.pull_later(at);
    }

    /// Says something to a member, here or on another node.
    pub(super) fn tell(&mut self, to: &Owner, told: Told) {
        let connection = ConnectionKey::from_number(to.connection);
        if to.node == self.place.node {
            let Some(peer) = self.out.peers.get_mut(to.worker as usize) else { return };
            peer.push(match told {
                Told::Joined(share) => Event::ShareJoined { connection, share },
                Told::Assign(assign) => Event::Assign(assign),
                Told::Settled(done) => Event::ShareSettled { connection, done },
            });
            return;
        }
        let owner = *to;
        let word = match told {
            Told::Joined(share) => ShareWord::Joined(ShareJoined { owner, share: share.to_string() }),
            Told::Assign(assign) => ShareWord::Assign(assign.into_word(owner)),
            Told::Settled((partition, offset)) => {
                ShareWord::Settled(ShareSettled { owner, partition: u32::from(partition), offset })
            }
        };
        self.out.requests.push(Request::Share { to: to.node, word: Box::new(word) });
    }
}

impl Share {
    /// The next member in turn that has room.
    fn choose(&mut self, bound: Option<&Bound>) -> Option<usize> {
        if !self.open {
            return None;
        }
        if let Some(to) = bound {
            return self.members.iter().position(|member| member.is == *to);
        }
        let count = self.members.len();
        let found = (0..count)
            .map(|step| (self.turn + step) % count)
            .find(|at| self.members[*at].holds < self.members[*at].capacity)?;
        self.turn = (found + 1) % count;
        Some(found)
    }

    /// Has a message been given before it was read here, or is it below the window?
    pub(super) fn passes(&mut self, spot: Spot<'_>) -> bool {
        if let Some(at) = self.ahead.iter().position(|(partition, _)| *partition == spot.partition) {
            if spot.offset < self.ahead[at].1 {
                return true;
            }
            self.ahead.swap_remove(at);
        }
        !self.early.is_empty() && self.early.remove(&(spot.partition, spot.offset))
    }

    fn assign(&self, member: &Member, body: Assigned) -> Box<Assign> {
        Box::new(Assign {
            connection: ConnectionKey::from_number(member.owner.connection),
            share: Arc::clone(&self.name),
            group: self.group,
            term: self.term,
            options: u32::from(member.options.to_u8()),
            id: member.id,
            body,
        })
    }
}

impl Assign {
    /// For a member on another node, which has the log itself.
    fn into_word(self, owner: Owner) -> ShareAssign {
        let (partition, offset, live, stamp) = match self.body {
            Assigned::Log { partition, offset, .. } => (u32::from(partition.get()), offset, None, 0),
            Assigned::Live { record, stamp } => (0, 0, Some(record), stamp),
        };
        let (share, options, id, term) = (self.share.to_string(), self.options, self.id, self.term);
        ShareAssign { owner, share, options, id, partition, offset, live, stamp, term }
    }
}
