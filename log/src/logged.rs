//! One position of a group's log, in its three shapes: in memory, in Raft, on disk.

use std::sync::Arc;

use bytes::Bytes;
use raft::eraftpb;

use crate::entry::Entry;
use crate::envelope::EnvelopeError;
use crate::id::{GroupId, Index, Term};
use crate::key::entry::{Bare, is_bare};

/// What stands at one index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Logged {
    /// An entry with an envelope.
    Entry(Arc<Entry>),
    /// One of Raft's own, or one that this version stores without knowing it.
    Bare(Arc<Bare>),
}

impl Logged {
    /// Takes what Raft wants stored. What this version does not understand is stored as it is; it
    /// stops the replica when it is committed, not before.
    pub(crate) fn from_raft(group: GroupId, raft: eraftpb::Entry) -> Self {
        let (term, index) = (Term::new(raft.term), Index::new(raft.index));
        let normal = raft.get_entry_type() == eraftpb::EntryType::EntryNormal;
        if normal
            && let Ok(entry) = Entry::trusted(raft.data.clone())
            && entry.header().expect_place(group, term, index).is_ok()
        {
            return Self::Entry(Arc::new(entry));
        }
        let kind = u8::try_from(raft.get_entry_type() as i32).expect("Raft has three types of entry");
        Self::Bare(Arc::new(Bare { kind, group, term, index, bytes: raft.data }))
    }

    /// Takes what the disk gave for this place. The checksum comes first.
    pub(crate) fn from_disk(group: GroupId, index: Index, value: Bytes) -> Result<Self, EnvelopeError> {
        if is_bare(&value) {
            let bare = Bare::decode(&value).ok_or(EnvelopeError::Checksum { found: 0, computed: 0 })?;
            let place = EnvelopeError::Place { group: bare.group, term: bare.term, index: bare.index };
            let right = bare.group == group && bare.index == index;
            return if right { Ok(Self::Bare(Arc::new(bare))) } else { Err(place) };
        }
        let entry = Entry::verified(value)?;
        entry.header().expect_place(group, entry.term, index)?;
        Ok(Self::Entry(Arc::new(entry)))
    }

    /// What goes to disk. No copy for an entry.
    pub(crate) fn to_disk(&self) -> Bytes {
        match self {
            Self::Entry(entry) => entry.envelope.clone(),
            Self::Bare(bare) => bare.encode(),
        }
    }

    /// What Raft gets back. No copy.
    pub(crate) fn to_raft(&self) -> eraftpb::Entry {
        let (term, index) = (self.term().get(), self.index().get());
        let mut raft = eraftpb::Entry { term, index, ..Default::default() };
        match self {
            Self::Entry(entry) => raft.data = entry.envelope.clone(),
            Self::Bare(bare) => {
                raft.set_entry_type(match bare.kind {
                    0 => eraftpb::EntryType::EntryNormal,
                    1 => eraftpb::EntryType::EntryConfChange,
                    _ => eraftpb::EntryType::EntryConfChangeV2,
                });
                raft.data = bare.bytes.clone();
            }
        }
        raft
    }

    pub(crate) fn index(&self) -> Index {
        match self {
            Self::Entry(entry) => entry.index,
            Self::Bare(bare) => bare.index,
        }
    }

    pub(crate) fn term(&self) -> Term {
        match self {
            Self::Entry(entry) => entry.term,
            Self::Bare(bare) => bare.term,
        }
    }

    /// Bytes that it takes on disk, give or take a bare entry's few.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Entry(entry) => entry.bytes(),
            Self::Bare(bare) => 28 + bare.bytes.len() as u64,
        }
    }
}
