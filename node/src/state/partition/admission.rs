//! What the leader of a partition lets into its log: no message twice, and none of an owner who lost its session.
//!
//! The leader asks for each proposal that it is about to append, in the order in which it appends, once it has
//! applied the first entry of its own term. What it lets in is remembered until it is applied. So whatever is in
//! the log is valid, and apply need not look again.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::{Forget, Messages};
use crate::record::{EntryFlags, Record, assemble, epoch_below, records};

/// Admitted and not applied, in a partition that this node leads.
#[derive(Debug, Default)]
pub struct Admission {
    tokens: HashSet<(u64, u64)>,
    /// By publisher: the highest epoch of its fences, and how many records or commands carry one.
    fences: HashMap<u64, (u32, u32)>,
}

/// What is left of a proposal.
#[derive(Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Append this; it is the proposal itself where nothing was left out.
    Records {
        /// Records in it.
        count: u32,
        /// The payload.
        payload: Bytes,
    },
    /// Append [`super::Settle`] in its place, so that the proposer hears of it behind the originals.
    Nothing {
        /// Positions of the records whose publisher is fenced; the others are repeats.
        fenced: Vec<u32>,
    },
}

/// Why a record is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Fenced,
    Repeat,
}

impl Admission {
    /// Decides about a proposal of `count` records. Costs nothing for plain records while no fence stands.
    pub fn admit(&mut self, state: &Messages, count: u32, payload: Bytes) -> Admitted {
        let flags = payload.first().map(|byte| EntryFlags::from_byte(*byte)).unwrap_or_default();
        if !flags.stateful() && !state.has_fences() && self.fences.is_empty() {
            return Admitted::Records { count, payload };
        }
        // A first pass over what is usual: nothing is left out, so nothing is copied.
        let mut left = Vec::new();
        for (ordinal, record) in (0..).zip(records(&payload)) {
            match self.refused(state, &record) {
                Some(why) => left.push((ordinal, why)),
                None => self.remember(&record),
            }
        }
        if left.is_empty() {
            return Admitted::Records { count, payload };
        }
        without(&payload, &left)
    }

    fn refused(&self, state: &Messages, record: &Record<'_>) -> Option<Left> {
        let (publisher, epoch) = (record.publisher, record.epoch);
        let owned = record.token.is_none_or(|token| !token.of_outbox());
        let pending = self.fences.get(&publisher).is_some_and(|fence| epoch_below(epoch, fence.0));
        // Before repeats: who lost its session acknowledges nothing, not even what is stored.
        if owned && (pending || state.fenced(publisher, epoch)) {
            return Some(Left::Fenced);
        }
        let token = record.token?;
        (state.repeats(token) || self.tokens.contains(&token.identity())).then_some(Left::Repeat)
    }

    fn remember(&mut self, record: &Record<'_>) {
        if let Some(token) = record.token {
            self.tokens.insert(token.identity());
        }
        if !record.fences.is_empty() {
            // Lower ones are refused, so this is the highest.
            let fence = self.fences.entry(record.publisher).or_default();
            *fence = (record.epoch, fence.1 + 1);
        }
    }

    /// The tokens of ended sessions are about to go: their late owners are left out from here on.
    pub fn admit_forget(&mut self, forget: &Forget) {
        for ended in forget.sessions.iter().filter(|ended| !ended.fences.is_empty()) {
            let fence = self.fences.entry(ended.publisher).or_insert((ended.epoch, 0));
            if epoch_below(fence.0, ended.epoch) {
                fence.0 = ended.epoch;
            }
            fence.1 += 1;
        }
    }

    /// It is applied; or it was not appended after all.
    pub fn applied_forget(&mut self, forget: &Forget) {
        for ended in forget.sessions.iter().filter(|ended| !ended.fences.is_empty()) {
            self.lower(ended.publisher);
        }
    }

    /// An admitted payload is applied, so the state knows it now; or it was not appended after all.
    pub fn applied(&mut self, payload: &[u8]) {
        let flags = payload.first().map(|byte| EntryFlags::from_byte(*byte)).unwrap_or_default();
        if !flags.stateful() || (self.tokens.is_empty() && self.fences.is_empty()) {
            return;
        }
        for record in records(payload) {
            if let Some(token) = record.token {
                self.tokens.remove(&token.identity());
            }
            if record.fences.is_empty() {
                continue;
            }
            self.lower(record.publisher);
        }
    }

    /// One record less that carries a fence is pending.
    fn lower(&mut self, publisher: u64) {
        if let Some(fence) = self.fences.get_mut(&publisher) {
            fence.1 -= 1;
            if fence.1 == 0 {
                self.fences.remove(&publisher);
            }
        }
    }

    /// Tokens and fences that are pending.
    #[cfg(test)]
    pub(super) fn pending(&self) -> (usize, usize) {
        (self.tokens.len(), self.fences.len())
    }

    /// The node leads no longer, or again: what was admitted is in the log or lost, and the log says which.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.fences.clear();
    }
}

/// The payload without some of its records.
fn without(payload: &[u8], left: &[(u32, Left)]) -> Admitted {
    let fenced: Vec<u32> =
        left.iter().filter(|(_, why)| *why == Left::Fenced).map(|(ordinal, _)| *ordinal).collect();
    let (mut flags, mut count, mut kept) = (EntryFlags::default(), 0, Vec::with_capacity(payload.len()));
    let mut left = left.iter().map(|(ordinal, _)| *ordinal).peekable();
    for (ordinal, record) in (0..).zip(records(payload)) {
        if left.next_if_eq(&ordinal).is_none() {
            flags = flags.or(record.entry_flags());
            count += 1;
            record.encode(&mut kept);
        }
    }
    if count == 0 {
        return Admitted::Nothing { fenced };
    }
    Admitted::Records { count, payload: assemble(flags, &fenced, &kept).into() }
}
