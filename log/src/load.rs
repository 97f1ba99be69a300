//! What is on disk, and whether it fits together: at the start, and again when a peer has given what
//! was missing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bytes::Bytes;

use crate::error::LogError;
use crate::group::{Contacts, GroupSpec};
use crate::id::{GroupId, Index, NodeId, ReplicaId, Term};
use crate::journal::{self, Journal, JournalError};
use crate::key::chunk::Way;
use crate::key::history::History;
use crate::key::mark::Mark;
use crate::key::restore::Restore;
use crate::key::{self, RecordError, applied::Applied, origin::Origin, vote::Vote};
use crate::ledger::Ledger;
use crate::logged::Logged;
use crate::members::Members;
use crate::progress::Progress;
use crate::replica::Start;
use crate::store::{Batch, Range, Space, Store, StoreError};

/// Refuses a format that this version does not know, and marks an empty store with its own.
pub(crate) fn check_format(store: &dyn Store) -> Result<(), LogError> {
    let mut missing = Vec::new();
    for space in [Space::Meta, Space::State] {
        match store.get(space, &key::format::KEY)?.as_deref() {
            None => missing.push(space),
            Some([key::format::KNOWN]) => {}
            Some(other) => {
                let found = other.first().copied().unwrap_or(0);
                let (path, known) = (PathBuf::from(space_name(space)), key::format::KNOWN);
                return Err(StoreError::Format { path, found, known }.into());
            }
        }
    }
    for space in missing {
        let mut batch = Batch::default();
        batch.put(space, &key::format::KEY, vec![key::format::KNOWN]);
        if space.in_log() {
            store.write_log(&batch, true)?;
        } else {
            store.write_state(&batch)?;
        }
    }
    Ok(())
}

/// Checks what the node asks for, and writes down the groups that are new: one synced batch.
pub(crate) fn found(store: &dyn Store, specs: &[GroupSpec]) -> Result<(), LogError> {
    let mut seen = BTreeSet::new();
    let mut batch = Batch::default();
    for spec in specs {
        let refuse = |reason| LogError::Spec { group: spec.id, reason };
        if !seen.insert(spec.id) {
            return Err(refuse("it is given twice"));
        }
        match origin(store, spec.id)? {
            Some(origin) if origin.history == spec.history && origin.replica == spec.replica => {}
            Some(_) => return Err(refuse("the disk has another replica, or another kind of log")),
            None => {
                check_new(spec).map_err(refuse)?;
                put_new(spec, &mut batch);
            }
        }
    }
    if !batch.is_empty() {
        store.write_log(&batch, true)?;
    }
    Ok(())
}

/// A group's record.
pub(crate) fn origin(store: &dyn Store, group: GroupId) -> Result<Option<Origin>, LogError> {
    let value = store.get(Space::Meta, &key::origin::key(group))?;
    value.map(|value| Origin::decode(&value).map_err(|error| damaged(group, error))).transpose()
}

fn check_new(spec: &GroupSpec) -> Result<(), &'static str> {
    let ids: BTreeSet<_> = spec.voters.iter().map(|(replica, _)| *replica).collect();
    match () {
        () if ids.contains(&ReplicaId::new(0)) => Err("0 is not a replica"),
        () if !ids.contains(&spec.replica) => Err("this replica is not among its voters"),
        () if ids.len() != spec.voters.len() => Err("a voter is given twice"),
        () => Ok(()),
    }
}

/// A new group's log begins after an entry that all its replicas agree to have had.
fn put_new(spec: &GroupSpec, batch: &mut Batch) {
    let origin = Origin {
        history: spec.history,
        replica: spec.replica,
        index: FIRST_ORIGIN,
        term: FIRST_TERM,
        voters: spec.voters.clone(),
        joins: false,
    };
    let vote = Vote { term: FIRST_TERM, vote: None, commit: FIRST_ORIGIN };
    batch.put(Space::Meta, &key::origin::key(spec.id), origin.encode());
    batch.put(Space::Meta, &key::vote::key(spec.id), vote.encode());
}

/// Chunks that were on their way when the process ended are worth nothing: what they belong to is gone.
pub(crate) fn forget_chunks(store: &dyn Store) -> Result<(), StoreError> {
    let (from, to) = key::chunk::ALL;
    let mut batch = Batch::default();
    batch.delete_range(Space::State, &from, &to);
    store.write_state(&batch)
}

/// The groups that a store holds, with the voters of those whose members are known.
pub(crate) fn groups(store: &dyn Store) -> Result<Vec<GroupSpec>, LogError> {
    let (from, to) = key::origin::ALL;
    let (mut found, mut fault) = (Vec::new(), None);
    store.scan(Range { space: Space::Meta, from: &from, to: &to }, &mut |key, value| {
        match (key::group_of(key), Origin::decode(value)) {
            (Some(group), Ok(origin)) => found.push((group, origin)),
            (group, error) => fault = error.err().map(|error| damaged(group.unwrap_or_default(), error)),
        }
        fault.is_none()
    })?;
    fault.map_or(Ok(()), Err)?;
    let mut specs = Vec::with_capacity(found.len());
    for (id, Origin { history, replica, voters, joins, .. }) in found {
        let members = if joins { None } else { store.get(Space::State, &key::members::key(id))? };
        let members = members.map(|value| key::members::decode(&value)).transpose();
        let voters = match members.map_err(|error| damaged(id, error))? {
            Some(members) => members.voters().filter_map(|id| Some((id, members.node(id)?))).collect(),
            None => voters,
        };
        specs.push(GroupSpec { id, history, replica, voters });
    }
    Ok(specs)
}

/// Forgets the state of groups that were given up just before a power cut. `specs` are kept in any case: a
/// group that has a state and no log any more is damaged, and must not be taken for one that is new.
pub(crate) fn forget_strays(store: &dyn Store, specs: &[GroupSpec]) -> Result<(), LogError> {
    let mut strays = BTreeSet::new();
    for (from, to) in [key::applied::ALL, key::restore::ALL, key::members::ALL] {
        store.scan(Range { space: Space::State, from: &from, to: &to }, &mut |key, _| {
            strays.extend(key::group_of(key));
            true
        })?;
    }
    for group in strays.into_iter().filter(|group| !specs.iter().any(|spec| spec.id == *group)) {
        if origin(store, group)?.is_none() {
            forget_state(store, group)?;
        }
    }
    Ok(())
}

/// Deletes everything in the state half that belongs to a group.
pub(crate) fn forget_state(store: &dyn Store, group: GroupId) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    let (from, to) = key::derived::range(group);
    batch.delete_range(Space::State, &from, &to);
    for way in [Way::In, Way::Out] {
        let (from, to) = key::chunk::range(way, group);
        batch.delete_range(Space::State, &from, &to);
    }
    for key in [key::applied::key(group), key::restore::key(group), key::members::key(group)] {
        batch.delete(Space::State, &key);
    }
    store.write_state(&batch)?;
    store.reclaim(Range { space: Space::State, from: &from, to: &to })
}

/// Deletes a group's log, votes and record, synced: it was never here.
pub(crate) fn forget_log(store: &dyn Store, group: GroupId) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    let (low, high) = (Index::new(0), Index::new(u64::MAX));
    let (from, to) = (key::entry::key(group, low), key::entry::key(group, high));
    batch.delete_range(Space::Entry, &from, &to);
    batch.delete_range(Space::Meta, &key::mark::key(group, low), &key::mark::key(group, high));
    for key in [key::vote::key(group), key::origin::key(group), key::history::key(group)] {
        batch.delete(Space::Meta, &key);
    }
    store.write_log(&batch, true)?;
    store.reclaim(Range { space: Space::Entry, from: &from, to: &to })
}

/// Writes down a replica that joins a group: it has nothing and waits for its first snapshot.
pub(crate) fn join(store: &dyn Store, spec: &GroupSpec) -> Result<(), LogError> {
    let refuse = |reason| LogError::Spec { group: spec.id, reason };
    let is_me = |(replica, _): &(ReplicaId, NodeId)| *replica == spec.replica;
    if spec.replica.get() == 0 || spec.voters.is_empty() || spec.voters.iter().any(is_me) {
        return Err(refuse("a replica that joins needs an id of its own and voters to ask"));
    }
    if origin(store, spec.id)?.is_some() {
        return Err(refuse("the disk has a replica of it"));
    }
    forget_state(store, spec.id)?;
    let GroupSpec { history, replica, ref voters, .. } = *spec;
    let (index, term, voters) = (Index::default(), Term::default(), voters.clone());
    let origin = Origin { history, replica, index, term, voters, joins: true };
    let vote = Vote { term: FIRST_TERM, vote: None, commit: index };
    let mut batch = Batch::default();
    batch.put(Space::Meta, &key::origin::key(spec.id), origin.encode());
    batch.put(Space::Meta, &key::vote::key(spec.id), vote.encode());
    Ok(store.write_log(&batch, true)?)
}

/// What a group can start from.
pub(crate) enum Loaded {
    /// Everything is there.
    Ready(Box<Start>),
    /// These entries are damaged, and a peer may have them.
    Damaged(BTreeSet<Index>, Contacts),
    /// There is no state, and a peer may have one of this index or a later one.
    Blank(Index, Contacts),
}

/// Takes one group up. Everything that was synced must be there and fit together, or else be what a
/// peer can give; where there is no peer it is refused.
pub(crate) fn group(journal: &Journal, spec: &GroupSpec) -> Result<Loaded, LogError> {
    let id = spec.id;
    let records = records(journal, spec)?;
    let Records { origin, mut vote, flushed, marker, members, .. } = records;
    let alone = !origin.joins && members.is_alone(spec.replica);
    let contacts = || members.all().map(|(replica, node, _)| (replica, node)).collect();
    if origin.joins {
        return Ok(Loaded::Blank(origin.index, origin.voters.into_iter().collect()));
    }
    if marker.is_some_and(|marker| !marker.whole) || (flushed.index < origin.index && !alone) {
        return Ok(Loaded::Blank(origin.index, contacts()));
    }
    let wrong = |index, detail: &str| LogError::Damaged { group: id, index, detail: detail.into() };
    let start = (origin.index, origin.term);
    match journal.open(id, start, (vote.commit.max(flushed.index), spec.history)) {
        Err(JournalError::Rotten(indices, _)) if !alone => return Ok(Loaded::Damaged(indices, contacts())),
        other => other.map_err(|error| LogError::of(id, error))?,
    }
    let last = journal.tail(id).last();
    if vote.commit > last {
        return Err(wrong(vote.commit, "it is committed and missing"));
    }
    if flushed.index < origin.index {
        return Err(wrong(flushed.index, "the log was cut above the state that replaces it"));
    }
    let term = if flushed.index > last { None } else { Some(journal.term(id, flushed.index)) };
    match term {
        Some(Ok(term)) if term == flushed.term => {}
        Some(Err(JournalError::Damaged(index, _))) if !alone => {
            journal.close(id);
            return Ok(Loaded::Damaged([index].into(), contacts()));
        }
        Some(Err(error)) => return Err(LogError::of(id, error)),
        _ => return Err(wrong(flushed.index, "the state was derived from an entry that is missing")),
    }
    // State is derived from committed entries alone, and this very entry is in the log: so it is
    // committed, whatever the commit index that happened to reach the disk.
    let stale_commit = flushed.index > vote.commit;
    vote.commit = vote.commit.max(flushed.index);
    let progress = Progress::new(flushed, members);
    journal.publish(id, progress.applied, &progress.ledger);
    if let Some(history) = records.history {
        journal.hold_from(id, history.from);
    }
    let (spec, history) = (GroupSpec { voters: origin.voters, ..spec.clone() }, records.history);
    Ok(Loaded::Ready(Box::new(Start { spec, vote, progress, stale_commit, history })))
}

/// The records of one group.
struct Records {
    origin: Origin,
    vote: Vote,
    flushed: Applied,
    history: Option<History>,
    marker: Option<Restore>,
    members: Members,
}

/// Reads a group's records. A log that belongs to a state which a snapshot has replaced is begun anew first.
fn records(journal: &Journal, spec: &GroupSpec) -> Result<Records, LogError> {
    let (id, store) = (spec.id, &**journal.store());
    let wrong = |detail: &str| LogError::Damaged { group: id, index: Index::new(0), detail: detail.into() };
    let read = |key: &[u8], space| store.get(space, key);
    let bad = |error| damaged(id, error);
    let origin = origin(store, id)?.ok_or(wrong("its record is missing"))?;
    let vote = read(&key::vote::key(id), Space::Meta)?.ok_or(wrong("its vote is missing"))?;
    let vote = Vote::decode(&vote).map_err(bad)?;
    let flushed = match read(&key::applied::key(id), Space::State)? {
        Some(value) => Applied::decode(&value).map_err(bad)?,
        None => Applied { index: FIRST_ORIGIN, term: FIRST_TERM, ledger: Ledger::default() },
    };
    let history = read(&key::history::key(id), Space::Meta)?.map(|value| History::decode(&value));
    let marker = read(&key::restore::key(id), Space::State)?.map(|value| Restore::decode(&value));
    let members = match read(&key::members::key(id), Space::State)? {
        Some(value) => key::members::decode(&value).map_err(bad)?,
        None => Members::founding(&origin.voters),
    };
    let mut records = Records {
        members,
        origin,
        vote,
        flushed,
        history: history.transpose().map_err(bad)?,
        marker: marker.transpose().map_err(bad)?,
    };
    if records.origin.joins && records.marker.is_some_and(|marker| marker.replica != spec.replica) {
        // Left behind by a replica that was here before.
        records.marker = None;
    }
    if let Some(marker) = records.marker.filter(|marker| marker.whole) {
        let fit = fit(store, id, &records)?;
        let fresh = marker.fresh && records.flushed.index > records.origin.index;
        if fit != Fit::Same || fresh {
            begin_anew(store, spec, (&mut records, fit != Fit::Other))?;
        }
        let mut batch = Batch::default();
        batch.delete(Space::State, &key::restore::key(id));
        store.write_state(&batch)?;
    }
    Ok(records)
}

/// What the log has where the state ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// The same entry: what follows it was acknowledged, and stays; what comes before is the same as well.
    Same,
    /// A damaged one: what follows stays, and what comes before is not known to be right.
    Unknown,
    /// Another one or none: nothing in it counts.
    Other,
}

fn fit(store: &dyn Store, group: GroupId, records: &Records) -> Result<Fit, LogError> {
    let Records { origin, flushed, .. } = records;
    if flushed.index <= origin.index {
        return Ok(Fit::Same);
    }
    let (from, to) = (key::entry::key(group, flushed.index), key::entry::key(group, Index::new(u64::MAX)));
    if store.last(Range { space: Space::Entry, from: &from, to: &to })?.is_none() {
        return Ok(Fit::Other);
    }
    Ok(match term_on_disk(store, group, flushed.index)? {
        None => Fit::Unknown,
        Some(term) if term == flushed.term => Fit::Same,
        Some(_) => Fit::Other,
    })
}

/// The term of an entry of a group that is not open, or of the one before its log; `None` if it is damaged.
pub(crate) fn term_on_disk(
    store: &dyn Store,
    group: GroupId,
    index: Index,
) -> Result<Option<Term>, LogError> {
    if let Some(value) = store.get(Space::Meta, &key::origin::key(group))? {
        let origin = Origin::decode(&value).map_err(|error| damaged(group, error))?;
        if origin.index == index {
            return Ok(Some(origin.term));
        }
    }
    let value = store.get(Space::Entry, &key::entry::key(group, index))?;
    Ok(value.and_then(|value| Logged::from_disk(group, index, value).ok()).map(|item| item.term()))
}

/// The log begins after the state: one synced batch. What follows the state stays if the log `fits` it.
/// Nothing is lost that counts, because what is committed up to there is covered by the state.
fn begin_anew(
    store: &dyn Store,
    spec: &GroupSpec,
    (records, fits): (&mut Records, bool),
) -> Result<(), LogError> {
    let (id, end) = (spec.id, (records.flushed.index, records.flushed.term));
    let (low, high) = (Index::new(0), if fits { end.0.next() } else { Index::new(u64::MAX) });
    let mut batch = Batch::default();
    if fits {
        put_first_mark(store, id, end.0, &mut batch)?;
    }
    batch.delete_range(Space::Entry, &key::entry::key(id, low), &key::entry::key(id, high));
    batch.delete_range(Space::Meta, &key::mark::key(id, low), &key::mark::key(id, high));
    (records.origin.index, records.origin.term, records.origin.joins) = (end.0, end.1, false);
    records.vote.commit = if fits { records.vote.commit.max(end.0) } else { end.0 };
    records.history = spec.history.then_some(History { end, from: records.flushed.ledger.next, part: None });
    batch.put(Space::Meta, &key::origin::key(id), records.origin.encode());
    batch.put(Space::Meta, &key::vote::key(id), records.vote.encode());
    match &records.history {
        Some(history) => batch.put(Space::Meta, &key::history::key(id), history.encode()),
        None => batch.delete(Space::Meta, &key::history::key(id)),
    }
    store.write_log(&batch, true)?;
    Ok(())
}

/// The first entry of a log has a mark: the one that will be the first after `end` may have none yet, and
/// gets the one that is given back; `None` where that entry is damaged or missing.
pub(crate) fn put_first_mark(
    store: &dyn Store,
    group: GroupId,
    end: Index,
    batch: &mut Batch,
) -> Result<Option<Mark>, LogError> {
    let (from, to) = (key::entry::key(group, end.next()), key::entry::key(group, Index::new(u64::MAX)));
    let mut first = None;
    store.scan(Range { space: Space::Entry, from: &from, to: &to }, &mut |key, value| {
        let bare = key::entry::is_bare(value);
        if let (false, Some(index)) = (bare, key::entry::index_of(key)) {
            first = Logged::from_disk(group, index, Bytes::copy_from_slice(value)).ok();
        }
        bare
    })?;
    let Some(Logged::Entry(entry)) = first else { return Ok(None) };
    // Between the marks around it, which is all that is asked of it.
    let marks = journal::marks(store, group, (Index::new(0), entry.index.next()));
    let marks = marks.map_err(|error| LogError::of(group, error))?;
    let before = marks.back().map_or(0, |mark| mark.before);
    let mark = Mark { index: entry.index, base: entry.base, stamp: entry.stamp, before };
    batch.put(Space::Meta, &key::mark::key(group, mark.index), mark.encode());
    Ok(Some(mark))
}

fn damaged(group: GroupId, error: RecordError) -> LogError {
    LogError::Damaged { group, index: Index::new(0), detail: error.to_string() }
}

fn space_name(space: Space) -> &'static str {
    if space.in_log() { "log" } else { "state" }
}

/// Not 0: an empty replica then always differs from one that was told to start, and Raft treats a
/// snapshot at 0 as none.
const FIRST_ORIGIN: Index = Index::new(5);
const FIRST_TERM: Term = Term::new(1);
