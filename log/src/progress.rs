//! How far one group has been applied: what was handed out, what the node has kept of it, what is
//! flushed.
//!
//! Invariant: `origin <= flushed <= kept <= applied <= committed <= last`.

use std::collections::VecDeque;

use crate::committed::Committed;
use crate::envelope::{EnvelopeError, Header};
use crate::fault::Fault;
use crate::id::{Index, Term};
use crate::key::applied::{self, Applied};
use crate::ledger::Ledger;
use crate::logged::Logged;

/// Three points in one log. Two ledgers are kept: the one that the next entry is checked against, and
/// the one that belongs to the state that the node has kept.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) ledger: Ledger,
    pub(crate) applied: Index,
    pub(crate) applied_term: Term,
    kept: Applied,
    /// Handed out and not kept yet, oldest first.
    between: VecDeque<(Index, Term, Option<Header>)>,
    pub(crate) flushed: Index,
}

impl Progress {
    /// Starts at what is flushed.
    pub(crate) fn new(flushed: Applied) -> Self {
        Self {
            ledger: flushed.ledger.clone(),
            applied: flushed.index,
            applied_term: flushed.term,
            flushed: flushed.index,
            kept: flushed,
            between: VecDeque::new(),
        }
    }

    /// Checks and applies committed entries, in order, and adds the proofs to `out`. After a fault
    /// nothing more may be applied.
    pub(crate) fn hand_out(&mut self, items: &[Logged], out: &mut Vec<Committed>) -> Result<(), Fault> {
        for item in items {
            let index = item.index();
            assert_eq!(index, self.applied.next(), "entries are applied in order, each once");
            let header = match item {
                Logged::Entry(entry) => {
                    let header = entry.header();
                    self.ledger.check(&header).map_err(|source| Fault::Ledger { index, source })?;
                    self.ledger.apply(&header);
                    out.push(Committed::new(entry.clone()));
                    Some(header)
                }
                Logged::Bare(bare) if bare.kind != 0 => return Err(Fault::Members { index }),
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
                Logged::Bare(_) => None,
            };
            self.applied = index;
            self.applied_term = item.term();
            self.between.push_back((index, item.term(), header));
        }
        Ok(())
    }

    /// The node has kept its state up to `index`: returns the record that belongs to it. Empty entries
    /// right after it are covered as well, because nothing follows from them.
    pub(crate) fn keep(&mut self, index: Index) -> Vec<u8> {
        assert!(index <= self.applied, "only what was handed out can be kept");
        while let Some((next, term, header)) = self.between.front() {
            if *next > index && header.is_some() {
                break;
            }
            if let Some(header) = header {
                self.kept.ledger.apply(header);
            }
            (self.kept.index, self.kept.term) = (*next, *term);
            self.between.pop_front();
        }
        self.record()
    }

    /// The record that belongs to the state that the node has kept.
    pub(crate) fn record(&self) -> Vec<u8> {
        applied::encode(self.kept.index, self.kept.term, &self.kept.ledger)
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
