//! What is on disk, and whether it fits together.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::error::LogError;
use crate::group::GroupSpec;
use crate::id::{GroupId, Index, Term};
use crate::journal::Journal;
use crate::key::{self, RecordError, applied::Applied, origin::Origin, vote::Vote};
use crate::ledger::Ledger;
use crate::progress::Progress;
use crate::replica::Start;
use crate::store::{Batch, Space, Store, StoreError};

/// Refuses a format that this version does not know, and marks an empty store with its own.
pub(super) fn check_format(store: &dyn Store) -> Result<(), LogError> {
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
pub(super) fn found(store: &dyn Store, specs: &[GroupSpec]) -> Result<(), LogError> {
    let mut seen = BTreeSet::new();
    let mut batch = Batch::default();
    for spec in specs {
        let refuse = |reason| LogError::Spec { group: spec.id, reason };
        if !seen.insert(spec.id) {
            return Err(refuse("it is given twice"));
        }
        if spec.voters.iter().any(|(replica, _)| replica.get() == 0) {
            return Err(refuse("0 is not a replica"));
        }
        if !spec.voters.iter().any(|(replica, _)| *replica == spec.replica) {
            return Err(refuse("this replica is not among its voters"));
        }
        if spec.voters.iter().map(|(replica, _)| replica).collect::<BTreeSet<_>>().len() != spec.voters.len()
        {
            return Err(refuse("a voter is given twice"));
        }
        match store.get(Space::Meta, &key::origin::key(spec.id))? {
            None => put_new(spec, &mut batch),
            Some(value) => {
                let origin = Origin::decode(&value).map_err(|error| damaged(spec.id, error))?;
                let same = origin.history == spec.history
                    && origin.replica == spec.replica
                    && origin.voters == spec.voters;
                if !same {
                    return Err(refuse("the disk has another replica, other voters, or another kind of log"));
                }
            }
        }
    }
    if !batch.is_empty() {
        store.write_log(&batch, true)?;
    }
    Ok(())
}

/// A new group's log begins after an entry that all its replicas agree to have had.
fn put_new(spec: &GroupSpec, batch: &mut Batch) {
    let origin = Origin {
        history: spec.history,
        replica: spec.replica,
        index: FIRST_ORIGIN,
        term: FIRST_TERM,
        voters: spec.voters.clone(),
    };
    let vote = Vote { term: FIRST_TERM, vote: None, commit: FIRST_ORIGIN };
    batch.put(Space::Meta, &key::origin::key(spec.id), origin.encode());
    batch.put(Space::Meta, &key::vote::key(spec.id), vote.encode());
}

/// Takes one group up. Everything that was synced must be there and fit together.
pub(super) fn group(journal: &mut Journal, spec: GroupSpec) -> Result<Start, LogError> {
    let id = spec.id;
    let store = journal.store().clone();
    let wrong = |index, detail: &str| LogError::Damaged { group: id, index, detail: detail.into() };
    let read = |key: &[u8], space| store.get(space, key);
    let origin =
        read(&key::origin::key(id), Space::Meta)?.ok_or(wrong(Index::new(0), "its record is missing"))?;
    let origin = Origin::decode(&origin).map_err(|error| damaged(id, error))?;
    let vote = read(&key::vote::key(id), Space::Meta)?.ok_or(wrong(origin.index, "its vote is missing"))?;
    let mut vote = Vote::decode(&vote).map_err(|error| damaged(id, error))?;
    let flushed = match read(&key::applied::key(id), Space::State)? {
        Some(value) => Applied::decode(&value).map_err(|error| damaged(id, error))?,
        None => Applied { index: FIRST_ORIGIN, term: FIRST_TERM, ledger: Ledger::default() },
    };
    journal
        .open(id, (origin.index, origin.term), vote.commit.max(flushed.index))
        .map_err(|error| LogError::of(id, error))?;
    let last = journal.tail(id).last();
    if vote.commit > last {
        return Err(wrong(vote.commit, "it is committed and missing"));
    }
    if flushed.index < origin.index {
        return Err(wrong(flushed.index, "the log was cut above the state that replaces it"));
    }
    if flushed.index > last
        || journal.term(id, flushed.index).map_err(|e| LogError::of(id, e))? != flushed.term
    {
        return Err(wrong(flushed.index, "the state was derived from an entry that is missing"));
    }
    // State is derived from committed entries alone, and this very entry is in the log: so it is
    // committed, whatever the commit index that happened to reach the disk.
    let stale_commit = flushed.index > vote.commit;
    vote.commit = vote.commit.max(flushed.index);
    let progress = Progress::new(flushed);
    journal.publish(id, progress.applied, &progress.ledger);
    Ok(Start { spec, vote, progress, stale_commit })
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
