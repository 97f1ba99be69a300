//! A group that takes part in nothing until a peer has given what it lacks.
//!
//! ```text
//! damaged entries at the open --> Damaged --------------- entries came -------.
//! no state at the open ---------> Blank --.                                   v
//! awake, and all chunks have come --------+--> Rows --> Written --> Flushed/repaired --> Waking --> awake
//!                                   one chunk a turn    a flush     log and state fit    replay
//! ```
//!
//! Neither votes nor acknowledges meanwhile, so to the others it is a replica that is down. What it has
//! promised stays on its disk. A crash before `Written` is over leaves a group without state (`Blank`);
//! one after it leaves a state, and a log that the next open makes fit.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::Engine;
use super::ask::Asking;
use super::take::Head;
use crate::bulk::Body;
use crate::effects::{Effects, Role};
use crate::error::LogError;
use crate::fault::Fault;
use crate::group::{Contacts, GroupSpec, GroupStatus};
use crate::id::{GroupId, Index, Offset, ReplicaId, Stamp, Term};
use crate::journal::JournalError;
use crate::key::chunk::{self, Way};
use crate::key::{self, applied::Applied, restore::Restore};
use crate::load::{self, Loaded};
use crate::logged::Logged;
use crate::members::Standing;
use crate::message::Message;
use crate::progress::Progress;
use crate::replica::{Replica, Start};
use crate::rows::{self, Row};
use crate::store::{Batch, Space};

/// A group that is asleep.
pub(crate) struct Asleep {
    spec: GroupSpec,
    pub(super) stage: Stage,
    /// Who is told when the snapshot is in place.
    source: Option<ReplicaId>,
    /// Its log has damage that no peer can repair, because they have cut their logs above it.
    fresh: bool,
    pub(super) asking: Asking,
    /// Whom it may ask.
    contacts: Contacts,
}

/// What it waits for.
pub(super) enum Stage {
    /// These entries, from a peer.
    Damaged(BTreeSet<Index>),
    /// A snapshot of this index or a later one, from a peer.
    Blank(Index),
    /// The chunk with this number, of the store's.
    Rows(u32, Head),
    /// A flush.
    Written,
    /// To be loaded again.
    Flushed,
    /// What is committed and not covered by the state.
    Waking(Box<Start>),
    /// Nothing: it met an entry that it must not skip.
    Stopped(Box<Start>),
    /// Nothing: it has a vote that it knows nothing of.
    Forgotten,
}

/// What a snapshot is worth that has come.
enum Look {
    Usable,
    /// It is not what its head said.
    Useless,
    /// This replica does not belong to the group yet.
    Early,
    /// This replica had a vote, and its disk knows nothing of it.
    Forgotten(ReplicaId),
}

impl Asleep {
    /// A group as it was loaded, which cannot start.
    pub(crate) fn new(spec: GroupSpec, loaded: Loaded) -> Self {
        let (stage, mut contacts) = match loaded {
            Loaded::Ready(start) => (Stage::Waking(start), Contacts::new()),
            Loaded::Damaged(indices, contacts) => (Stage::Damaged(indices), contacts),
            Loaded::Blank(at_least, contacts) => (Stage::Blank(at_least), contacts),
        };
        contacts.remove(&spec.replica);
        Self { spec, stage, source: None, fresh: false, asking: Asking::default(), contacts }
    }

    pub(super) fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// Somebody takes it for a member, so there is one more to ask: what its own disk knows may be old.
    pub(super) fn hear(&mut self, message: &Message) {
        let mine = message.to() == self.spec.replica;
        if let Some(node) = message.sender().node.filter(|_| mine && self.contacts.len() < CONTACTS_MAX) {
            self.contacts.insert(message.from(), node);
        }
    }

    pub(super) fn spec(&self) -> &GroupSpec {
        &self.spec
    }

    /// Whether it can go on by itself, now or once more may be put in place.
    pub(super) fn is_busy(&self, may_work: bool) -> bool {
        match self.stage {
            Stage::Rows(..) => may_work,
            _ => matches!(self.stage, Stage::Flushed | Stage::Waking(_)),
        }
    }

    /// Whether it waits for a flush.
    pub(super) fn wants_flush(&self) -> bool {
        matches!(self.stage, Stage::Written)
    }

    pub(super) fn status(&self) -> GroupStatus {
        let (term, leader) = (Term::default(), None);
        let (index, offset) = (Index::default(), Offset::default());
        GroupStatus {
            group: self.spec.id,
            replica: self.spec.replica,
            role: Role { leads: false, term, leader },
            stopped: matches!(self.stage, Stage::Stopped(_) | Stage::Forgotten),
            waiting: true,
            history_whole: false,
            first: index,
            flushed: index,
            applied: index,
            committed: index,
            last: index,
            first_offset: offset,
            next_offset: offset,
            stamp: Stamp::default(),
            log_bytes: 0,
            joint: false,
            replicas: Vec::new(),
        }
    }
}

impl Engine {
    /// The groups without state ask for one.
    pub(super) fn want_snapshots(&mut self) {
        let blank = self.asleep.iter().filter_map(|(group, asleep)| match asleep.stage {
            Stage::Blank(at_least) => Some((*group, at_least)),
            _ => None,
        });
        for (group, at_least) in blank.collect::<Vec<_>>() {
            self.want_snapshot(group, None, at_least);
        }
    }

    /// Everything that sleeping groups can do in the first half of a turn.
    pub(super) fn advance_asleep(&mut self, effects: &mut Effects) -> Result<(), LogError> {
        let whole: Vec<_> =
            self.lane.fetches.iter().filter(|(_, fetch)| fetch.whole).map(|(group, _)| *group).collect();
        for group in whole {
            self.begin_install(group, effects)?;
        }
        let groups: Vec<_> = self.asleep.keys().copied().collect();
        for group in groups {
            match self.asleep[&group].stage {
                Stage::Rows(number, head) if self.lane.working.is_open() => {
                    self.put_rows(group, number, head)?;
                }
                Stage::Flushed => self.load_again(group, effects)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// All chunks are there: from here on the old state is gone.
    fn begin_install(&mut self, group: GroupId, effects: &mut Effects) -> Result<(), LogError> {
        let head = self.lane.fetches[&group].head.expect("it is whole");
        match self.look_at(group, head)? {
            Look::Usable => {}
            Look::Useless => return Ok(self.distrust(group)?),
            Look::Early => return Ok(self.want_later(group, head.index)?),
            Look::Forgotten(replica) => return self.stop_forgotten((group, replica), effects),
        }
        let contacts = self.contacts(group);
        let source = self.lane.fetches.remove(&group).and_then(|fetch| fetch.source(&contacts));
        if let Some(replica) = self.replicas.get_mut(&group) {
            if head.index <= replica.progress.applied {
                return Ok(self.drop_chunks(group)?);
            }
            // The disk is all that will be left of it.
            let mut batch = Batch::default();
            replica.write_vote(&mut batch);
            if !batch.is_empty() {
                self.journal.store().write_log(&batch, true)?;
            }
            let term = replica.status().role.term;
            effects.roles.push((group, Role { leads: false, term, leader: None }));
            self.replicas.remove(&group);
            self.lane.copies.remove(&group);
            self.drop_outgoing(group)?;
        }
        self.journal.close(group);
        let (spec, stage, asking) = (self.specs[&group].clone(), Stage::Rows(0, head), Asking::default());
        let fresh = self.asleep.get(&group).is_some_and(|asleep| asleep.fresh);
        self.asleep.insert(group, Asleep { spec, stage, source, fresh, asking, contacts });
        let (from, to) = key::derived::range(group);
        let Head { index, term, .. } = head;
        let replica = self.specs[&group].replica;
        let marker = Restore { whole: false, fresh: false, index, term, replica };
        let mut batch = Batch::default();
        batch.put(Space::State, &key::restore::key(group), marker.encode());
        batch.delete_range(Space::State, &from, &to);
        Ok(self.journal.store().write_state(&batch)?)
    }

    /// Looks at the members of a snapshot, which stand in its last chunk.
    fn look_at(&self, group: GroupId, head: Head) -> Result<Look, LogError> {
        let rows = rows::parse(self.chunk(group, head.of - 1)?).unwrap_or_default();
        let [.., Row::Members(members), Row::Applied(applied)] = &rows[..] else { return Ok(Look::Useless) };
        let (Ok(members), Ok(applied)) = (key::members::decode(members), Applied::decode(applied)) else {
            return Ok(Look::Useless);
        };
        if (applied.index, applied.term) != (head.index, head.term) {
            return Ok(Look::Useless);
        }
        let replica = self.specs[&group].replica;
        let joins = load::origin(&**self.journal.store(), group)?.is_some_and(|origin| origin.joins);
        Ok(match members.standing(replica) {
            None => Look::Early,
            Some(Standing::Voter | Standing::Incoming | Standing::Outgoing) if joins => {
                Look::Forgotten(replica)
            }
            Some(_) => Look::Usable,
        })
    }

    /// This replica voted before its disk was emptied: whatever it does now may contradict that.
    fn stop_forgotten(
        &mut self,
        (group, replica): (GroupId, ReplicaId),
        effects: &mut Effects,
    ) -> Result<(), LogError> {
        self.lane.fetches.remove(&group);
        if let Some(asleep) = self.asleep.get_mut(&group) {
            asleep.stage = Stage::Forgotten;
        }
        effects.stopped.push((group, Fault::Forgotten { replica }));
        Ok(self.drop_chunks(group)?)
    }

    fn chunk(&self, group: GroupId, number: u32) -> Result<Bytes, LogError> {
        let found = self.journal.store().get(Space::State, &chunk::key(Way::In, group, number))?;
        Ok(found.expect("a chunk that was counted is in the store"))
    }

    /// Puts the rows of one chunk in place.
    fn put_rows(&mut self, group: GroupId, number: u32, head: Head) -> Result<(), LogError> {
        let rows = rows::parse(self.chunk(group, number)?);
        let mut batch = Batch::default();
        for row in rows.expect("the whole snapshot has the checksum that it was written with") {
            match row {
                Row::Put(key, value) => batch.put(Space::State, &key::derived::key(group, &key), value),
                Row::Delete(key) => batch.delete(Space::State, &key::derived::key(group, &key)),
                Row::Applied(value) => batch.put(Space::State, &key::applied::key(group), value),
                Row::Members(value) => batch.put(Space::State, &key::members::key(group), value),
            }
        }
        let last = number + 1 == head.of;
        if last {
            let fresh = self.asleep[&group].fresh;
            let (Head { index, term, .. }, replica) = (head, self.specs[&group].replica);
            let marker = Restore { whole: true, fresh, index, term, replica };
            let (from, to) = chunk::range(Way::In, group);
            batch.put(Space::State, &key::restore::key(group), marker.encode());
            batch.delete_range(Space::State, &from, &to);
        }
        self.lane.working.spend(batch.bytes());
        self.write_state(&batch)?;
        let stage = if last { Stage::Written } else { Stage::Rows(number + 1, head) };
        self.asleep.get_mut(&group).expect("it is asleep").stage = stage;
        Ok(())
    }

    /// What it lacked has come.
    fn load_again(&mut self, group: GroupId, effects: &mut Effects) -> Result<(), LogError> {
        let spec = self.specs[&group].clone();
        let loaded = load::group(&self.journal, &spec)?;
        if let Loaded::Blank(at_least, _) = loaded {
            self.want_snapshot(group, None, at_least);
        }
        if let Loaded::Ready(start) = &loaded {
            effects.installed.push((group, start.progress.applied));
            effects.members.push((group, Arc::clone(&start.progress.members)));
            if let Some(history) = start.history {
                self.copy_history(group, history)?;
            }
        }
        let asleep = self.asleep.get_mut(&group).expect("it is asleep");
        let Asleep { stage, contacts, .. } = Asleep::new(spec, loaded);
        asleep.stage = stage;
        asleep.contacts.extend(contacts);
        Ok(())
    }

    /// Hands out what is committed and not covered by the state, some of it each turn, and then wakes up.
    pub(super) fn wake(&mut self, effects: &mut Effects) -> Result<(), LogError> {
        let groups: Vec<_> = self.asleep.keys().copied().collect();
        for group in groups {
            let asleep = self.asleep.get_mut(&group).expect("it was just seen");
            if !matches!(asleep.stage, Stage::Waking(_)) {
                continue;
            }
            let Stage::Waking(mut start) = std::mem::replace(&mut asleep.stage, Stage::Flushed) else {
                unreachable!("it was just seen")
            };
            let range = (start.progress.applied.next(), start.vote.commit.next());
            if range.0 == range.1 {
                self.awake(group, *start)?;
                continue;
            }
            asleep.stage = match self.journal.entries(group, range, self.config.committed_bytes_max) {
                Err(JournalError::Damaged(index, _)) => {
                    self.journal.close(group);
                    Stage::Damaged([index].into())
                }
                Err(error) => return Err(LogError::of(group, error)),
                Ok(items) => {
                    let result = start.progress.hand_out(&items, &mut effects.committed);
                    self.journal.publish(group, start.progress.applied, &start.progress.ledger);
                    match result {
                        Ok(shifts) => {
                            let after = shifts.into_iter().map(|shift| (group, shift.after));
                            effects.members.extend(after);
                            Stage::Waking(start)
                        }
                        Err(fault) => {
                            effects.stopped.push((group, fault));
                            Stage::Stopped(start)
                        }
                    }
                }
            };
        }
        Ok(())
    }

    /// A flush has made a snapshot durable.
    pub(super) fn flushed(&mut self, group: GroupId) {
        if let Some(asleep) = self.asleep.get_mut(&group).filter(|asleep| asleep.wants_flush()) {
            asleep.stage = Stage::Flushed;
        }
    }

    /// How far a group is that replays before it takes part.
    pub(super) fn waking(&mut self, group: GroupId) -> Option<&mut Progress> {
        match &mut self.asleep.get_mut(&group)?.stage {
            Stage::Waking(start) | Stage::Stopped(start) => Some(&mut start.progress),
            _ => None,
        }
    }

    fn awake(&mut self, group: GroupId, start: Start) -> Result<(), LogError> {
        let index = start.progress.applied;
        let mut replica = Replica::new(start, Arc::clone(&self.journal), &self.config, self.seed)?;
        let asleep = self.asleep.remove(&group).expect("it was asleep");
        replica.meet(&asleep.contacts);
        self.replicas.insert(group, replica);
        if let Some(source) = asleep.source {
            self.send_bulk(group, source, Body::Done { index, success: true });
        }
        Ok(())
    }

    /// A peer has cut its log up to `first`: what is damaged below cannot be repaired, and a snapshot
    /// takes its place.
    pub(super) fn repair_by_snapshot(&mut self, group: GroupId, first: Index) {
        let Some(asleep) = self.asleep.get_mut(&group) else { return };
        let Stage::Damaged(indices) = &asleep.stage else { return };
        if indices.first().is_some_and(|index| *index < first) {
            (asleep.stage, asleep.fresh) = (Stage::Blank(first.before()), true);
            self.want_snapshot(group, None, first.before());
        }
    }

    /// A peer has given an entry, and the term of the one before it; returns whether it was one that a
    /// sleeping group waited for.
    ///
    /// It is taken only behind the very entry that the peer has before it. Where this log has another one
    /// there, that one and all after it were never committed and go: between them an entry from the peer
    /// would make two logs look the same that are not.
    pub(super) fn repair_asleep(
        &mut self,
        group: GroupId,
        (first, before): (Index, Term),
        value: &Bytes,
    ) -> Result<bool, LogError> {
        let Some(asleep) = self.asleep.get_mut(&group) else { return Ok(false) };
        let Stage::Damaged(indices) = &mut asleep.stage else { return Ok(false) };
        if !indices.contains(&first) || Logged::from_disk(group, first, value.clone()).is_err() {
            return Ok(false);
        }
        let store = &**self.journal.store();
        let mut batch = Batch::default();
        match load::term_on_disk(store, group, first.before())? {
            Some(term) if term == before => {
                batch.put(Space::Entry, &key::entry::key(group, first), value.clone());
                indices.remove(&first);
            }
            Some(_) => {
                let (from, end) = (first.before(), Index::new(u64::MAX));
                batch.delete_range(Space::Entry, &key::entry::key(group, from), &key::entry::key(group, end));
                batch.delete_range(Space::Meta, &key::mark::key(group, from), &key::mark::key(group, end));
                indices.retain(|index| *index < from);
            }
            None => drop(indices.insert(first.before())),
        }
        if !batch.is_empty() {
            store.write_log(&batch, true)?;
        }
        asleep.asking.another();
        if indices.is_empty() {
            asleep.stage = Stage::Flushed;
        }
        Ok(true)
    }
}

/// Far more than a group has members.
const CONTACTS_MAX: usize = 32;
