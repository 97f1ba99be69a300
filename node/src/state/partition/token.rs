//! Tokens: which QoS 2 messages and wills have been applied, so that a repeat counts once.
//!
//! Per incarnation the tokens from the lowest open one up are kept. Everything below is settled and refused.

use std::collections::{BTreeSet, HashMap};

use crate::record::Token;
use crate::state::changes::Changes;

/// Applied tokens by incarnation.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    sets: HashMap<u64, Set>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Set {
    lowest_open: u64,
    applied: BTreeSet<u64>,
}

impl Tokens {
    /// Was it applied, or is it settled?
    pub fn repeats(&self, token: Token) -> bool {
        self.sets
            .get(&token.incarnation)
            .is_some_and(|set| token.token < set.lowest_open || set.applied.contains(&token.token))
    }

    pub(super) fn apply(&mut self, token: Token, changes: &mut Changes) {
        let set = self.sets.entry(token.incarnation).or_default();
        set.lowest_open = set.lowest_open.max(token.lowest_open);
        set.applied.insert(token.token);
        while set.applied.first().is_some_and(|first| *first < set.lowest_open) {
            set.applied.pop_first();
        }
        let mut row = set.lowest_open.to_le_bytes().to_vec();
        row.extend(set.applied.iter().flat_map(|token| token.to_le_bytes()));
        changes.put_bytes(tokens_key(token.incarnation), row);
    }

    /// Its session has ended, and nobody proposes a token of it any more.
    pub(super) fn forget(&mut self, incarnation: u64, changes: &mut Changes) {
        if self.sets.remove(&incarnation).is_some() {
            changes.delete(tokens_key(incarnation));
        }
    }

    pub(super) fn load(&mut self, incarnation: &[u8], value: &[u8]) -> Option<()> {
        let incarnation = u64::from_be_bytes(incarnation.try_into().ok()?);
        let (words, rest) = value.as_chunks::<8>();
        let (lowest_open, applied) = words.split_first()?;
        if !rest.is_empty() {
            return None;
        }
        let set = Set {
            lowest_open: u64::from_le_bytes(*lowest_open),
            applied: applied.iter().map(|word| u64::from_le_bytes(*word)).collect(),
        };
        self.sets.insert(incarnation, set);
        Some(())
    }
}

fn tokens_key(incarnation: u64) -> Vec<u8> {
    let mut key = vec![super::TOKENS];
    key.extend_from_slice(&incarnation.to_be_bytes());
    key
}
