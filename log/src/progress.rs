//! How far one group has been applied: what was handed out, what the node has kept of it, what is
//! flushed.
//!
//! Invariant: `origin <= flushed <= kept <= applied <= committed <= last`.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::committed::Committed;
use crate::envelope::{EnvelopeError, Header};
use crate::fault::Fault;
use crate::id::{Index, Term};
use crate::key::applied::{self, Applied};
use crate::key::members;
use crate::ledger::Ledger;
use crate::logged::Logged;
use crate::members::{Members, Step};

/// Three points in one log. Two ledgers are kept: the one that the next entry is checked against, and
/// the one that belongs to the state that the node has kept; and the members at both points.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) ledger: Ledger,
    pub(crate) applied: Index,
    pub(crate) applied_term: Term,
    pub(crate) members: Arc<Members>,
    kept: Applied,
    kept_members: Arc<Members>,
    /// Handed out and not kept yet, oldest first.
    between: VecDeque<(Index, Term, Trace)>,
    pub(crate) flushed: Index,
}

/// What an entry leaves behind beside the node's own state.
#[derive(Debug)]
enum Trace {
    None,
    Header(Header),
    Members(Arc<Members>),
}

/// A change of members that has just been applied.
pub(crate) struct Shift {
    pub(crate) index: Index,
    pub(crate) step: Step,
    pub(crate) before: Arc<Members>,
    pub(crate) after: Arc<Members>,
}

/// What goes to disk with the state that the node has kept.
pub(crate) struct Kept {
    pub(crate) applied: Vec<u8>,
    /// Absent where the members are the same as before.
    pub(crate) members: Option<Vec<u8>>,
}

impl Progress {
    /// Starts at what is flushed.
    pub(crate) fn new(flushed: Applied, members: Members) -> Self {
        let members = Arc::new(members);
        Self {
            members: Arc::clone(&members),
            kept_members: members,
            ledger: flushed.ledger.clone(),
            applied: flushed.index,
            applied_term: flushed.term,
            flushed: flushed.index,
            kept: flushed,
            between: VecDeque::new(),
        }
    }

    /// Checks and applies committed entries, in order, and adds the proofs to `out`. After a fault
    /// nothing more may be applied. Returns how the members have changed.
    pub(crate) fn hand_out(
        &mut self,
        items: &[Logged],
        out: &mut Vec<Committed>,
    ) -> Result<Vec<Shift>, Fault> {
        let mut shifts = Vec::new();
        for item in items {
            let index = item.index();
            assert_eq!(index, self.applied.next(), "entries are applied in order, each once");
            let trace = match item {
                Logged::Entry(entry) => {
                    let header = entry.header();
                    self.ledger.check(&header).map_err(|source| Fault::Ledger { index, source })?;
                    self.ledger.apply(&header);
                    out.push(Committed::new(entry.clone()));
                    Trace::Header(header)
                }
                Logged::Bare(bare) if bare.kind != 0 => {
                    let step = Step::decode(bare.bytes.clone()).ok_or(Fault::Members { index })?;
                    let after = self.members.after(&step).ok_or(Fault::Members { index })?;
                    let before = std::mem::replace(&mut self.members, Arc::new(after));
                    let after = Arc::clone(&self.members);
                    shifts.push(Shift { index, step, before, after });
                    Trace::Members(Arc::clone(&self.members))
                }
                Logged::Bare(bare) if !bare.bytes.is_empty() => {
                    let source = match Header::peek(&bare.bytes) {
                        Ok(header) => EnvelopeError::Place {
                            group: header.group,
                            term: header.term,
                            index: header.index,
                        },
                        Err(source) => source,
                    };
                    return Err(Fault::Entry { index, source });
                }
                Logged::Bare(_) => Trace::None,
            };
            self.applied = index;
            self.applied_term = item.term();
            self.between.push_back((index, item.term(), trace));
        }
        Ok(shifts)
    }

    /// The node has kept its state up to `index`: returns the records that belong to it. Entries right after
    /// it that are not the node's are covered as well, because nothing follows from them for the node.
    pub(crate) fn keep(&mut self, index: Index) -> Kept {
        assert!(index <= self.applied, "only what was handed out can be kept");
        let mut members = None;
        while let Some((next, term, trace)) = self.between.front() {
            match trace {
                Trace::Header(_) if *next > index => break,
                Trace::Header(header) => self.kept.ledger.apply(header),
                Trace::Members(after) => members = Some(Arc::clone(after)),
                Trace::None => {}
            }
            (self.kept.index, self.kept.term) = (*next, *term);
            self.between.pop_front();
        }
        self.kept_members = members.clone().unwrap_or(Arc::clone(&self.kept_members));
        Kept { applied: self.record(), members: members.map(|members| members::encode(&members)) }
    }

    /// The same where a change of members is all that there is to keep: a snapshot then has it, although
    /// the node has nothing to do.
    pub(crate) fn settle(&mut self) -> Option<Kept> {
        let own = |trace: &Trace| matches!(trace, Trace::Header(_));
        let shifted = self.between.iter().take_while(|(.., trace)| !own(trace));
        let shifted = shifted.filter(|(.., trace)| matches!(trace, Trace::Members(_))).count() > 0;
        shifted.then(|| self.keep(self.kept.index))
    }

    /// The record that belongs to the state that the node has kept.
    pub(crate) fn record(&self) -> Vec<u8> {
        applied::encode(self.kept.index, self.kept.term, &self.kept.ledger)
    }

    /// The members at the same point.
    pub(crate) fn kept_members(&self) -> &Members {
        &self.kept_members
    }

    /// The last entry that the kept state covers, with its term.
    pub(crate) fn kept_at(&self) -> (Index, Term) {
        (self.kept.index, self.kept.term)
    }

    /// What the node has kept so far.
    pub(crate) fn kept(&self) -> Index {
        self.kept.index
    }
}
