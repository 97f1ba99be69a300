//! The dispatcher's members: who joins, with what in hand, and who leaves.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_codec::{Qos, SubscribeOptions};

use super::{Bound, Holder, Member, Place, Share, Told, row};
use crate::config::Fault;
use crate::mail::{ShareGone, ShareHeld, ShareMember};
use crate::metrics::Dropped;
use crate::worker::Worker;
use crate::worker::tail::Tails;

impl Worker {
    /// A member has joined, or joined again, or has answered a call.
    pub(in crate::worker) fn share_member(&mut self, joined: &ShareMember) {
        let group = self.place.route.session_group(&joined.share);
        if self.shares.tenures[row(group)].term != joined.term {
            return;
        }
        let Some(at) = self.shares.named(&joined.share) else { return };
        let share = self.shares.at(at);
        let old = share.members.iter().position(|member| *member.is.client_id == *joined.client_id);
        match old {
            // A node that stood still answers for a connection that lost its session meanwhile.
            Some(old) if share.members[old].epoch > joined.epoch => return,
            // Nothing was lost between the two: what is under way to it arrives.
            Some(old) if share.members[old].owner == joined.owner => share.members[old].update(joined),
            old => {
                if let Some(old) = old {
                    share.members.swap_remove(old);
                }
                let dropped = take_in(share, joined, &self.tails);
                (0..dropped).for_each(|_| self.counters.dropped(Dropped::SessionEnded));
            }
        }
        let name = Arc::clone(&self.shares.at(at).name);
        self.tell(&joined.owner, Told::Joined(name));
        self.shares.pull_later(at);
    }

    /// A member's connection has ended, or it has unsubscribed.
    pub(in crate::worker) fn share_gone(&mut self, gone: &ShareGone) {
        let lose = Fault::LoseShared.is_in(self.settings.fault);
        let Some(at) = self.shares.named(&gone.share) else { return };
        let share = self.shares.at(at);
        let is = |member: &Member| member.owner == gone.owner && *member.is.client_id == *gone.client_id;
        let Some(of) = share.members.iter().position(is) else { return };
        share.members.swap_remove(of);
        free_held(share, &gone.client_id, lose);
        for place in gone.unsent.iter().map(place) {
            let theirs = share.held.get(&place).is_some_and(|holder| *holder.to.client_id == *gone.client_id);
            if theirs {
                share.held.remove(&place);
                share.free.insert(place, None);
            }
        }
        share.dirty = true;
        self.shares.pull_later(at);
    }

    /// A member has left for good, or its session has ended. [MQTT-4.8.2-5]
    pub(in crate::worker) fn share_left(&mut self, name: &str, client_id: &str) {
        let Some(at) = self.shares.named(name) else { return };
        let share = self.shares.at(at);
        share.members.retain(|member| &*member.is.client_id != client_id);
        free_held(share, client_id, false);
        let dropped = drop_bound(share, |to| &*to.client_id == client_id);
        share.dirty = true;
        (0..dropped).for_each(|_| self.counters.dropped(Dropped::SessionEnded));
        self.shares.pull_later(at);
    }

    /// Boots of a node are over, or it cannot be reached: its members are gone.
    pub(in crate::worker) fn share_lost(&mut self, node: u64, boot: u64) {
        for at in 0..self.shares.shares.len() {
            let Some(share) = &mut self.shares.shares[at] else { continue };
            let lost = |member: &Member| member.owner.node == node && member.owner.boot <= boot;
            let (gone, stay) = std::mem::take(&mut share.members).into_iter().partition(lost);
            share.members = stay;
            let gone: Vec<Member> = gone;
            for member in &gone {
                free_held(share, &member.is.client_id, false);
            }
            if !gone.is_empty() {
                share.dirty = true;
                self.shares.pull_later(at);
            }
        }
    }
}

impl Member {
    fn new(joined: &ShareMember) -> Self {
        let mut member = Self {
            is: Bound { client_id: joined.client_id.as_str().into(), incarnation: joined.incarnation },
            owner: joined.owner,
            epoch: joined.epoch,
            options: SubscribeOptions::new(Qos::AtLeastOnce),
            id: 0,
            capacity: 0,
            holds: 0,
        };
        member.update(joined);
        member
    }

    fn update(&mut self, joined: &ShareMember) {
        let options = u8::try_from(joined.options).ok().and_then(|bits| SubscribeOptions::from_u8(bits).ok());
        self.options = options.unwrap_or(self.options);
        (self.id, self.capacity) = (joined.id, joined.capacity);
    }
}

/// Takes in a member and what it holds. What was given to it and has not arrived is given again: at QoS 2 to it
/// alone. How many messages were bound to an older session of the client, which has ended.
fn take_in(share: &mut Share, joined: &ShareMember, tails: &Tails) -> usize {
    let mut member = Member::new(joined);
    let client_id = &*member.is.client_id;
    let dropped = drop_bound(share, |to| &*to.client_id == client_id && to.incarnation < joined.incarnation);
    let holds: BTreeMap<Place, &ShareHeld> = joined.held.iter().map(|held| (place(held), held)).collect();
    let given = share.held.iter().filter(|(_, holder)| &*holder.to.client_id == client_id);
    let given: Vec<(Place, bool)> = given.map(|(place, holder)| (*place, holder.bound)).collect();
    for (place, bound) in given {
        if !holds.contains_key(&place) {
            share.held.remove(&place);
            share.free.insert(place, bound.then(|| member.is.clone()));
        }
    }
    for (place, held) in holds {
        claim(share, &member.is, place, held, tails);
        if held.settling {
            share.after.push((joined.owner, Told::Settled(place)));
        }
    }
    let holds = share.held.values().filter(|holder| &*holder.to.client_id == client_id).count();
    member.holds = u32::try_from(holds).unwrap_or(u32::MAX);
    share.members.push(member);
    share.dirty = true;
    dropped
}

/// A member says that it has a message: nobody else is given it.
fn claim(share: &mut Share, is: &Bound, place: Place, held: &ShareHeld, tails: &Tails) {
    let holder = Holder { to: is.clone(), bound: held.exactly_once };
    if let Some(known) = share.held.get(&place) {
        if held.settling && known.to.client_id == is.client_id {
            share.held.remove(&place);
        }
        return;
    }
    match share.free.get(&place) {
        Some(to) if to.as_ref().is_none_or(|to| to == is) => {
            share.free.remove(&place);
        }
        Some(_) => return,
        // A dispatcher before this one has given it after its last commit.
        None if place.1 >= share.cursor(place.0, tails) => {
            share.early.insert(place);
        }
        // It is finished, or was bound to a session that has ended.
        None => return,
    }
    if !held.settling {
        share.held.insert(place, holder);
    }
}

/// What a member held at QoS 1 is free again, unless it is to be lost; what is bound to its session stays.
fn free_held(share: &mut Share, client_id: &str, lose: bool) {
    let theirs = |holder: &Holder| !holder.bound && &*holder.to.client_id == client_id;
    let theirs: Vec<Place> =
        share.held.iter().filter(|(_, holder)| theirs(holder)).map(|(place, _)| *place).collect();
    for place in theirs {
        share.held.remove(&place);
        if !lose {
            share.free.insert(place, None);
        }
    }
}

/// Drops what is bound to sessions that have ended; how many messages.
fn drop_bound(share: &mut Share, ended: impl Fn(&Bound) -> bool) -> usize {
    let before = share.held.len() + share.free.len();
    share.held.retain(|_, holder| !(holder.bound && ended(&holder.to)));
    share.free.retain(|_, to| !to.as_ref().is_some_and(&ended));
    before - share.held.len() - share.free.len()
}

fn place(held: &ShareHeld) -> Place {
    (u16::try_from(held.partition).unwrap_or(u16::MAX), held.offset)
}
