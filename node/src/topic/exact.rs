//! The filters without wildcards: one hash table keyed by the whole filter, one probe for each publish.

use std::hash::Hash;

use hashbrown::HashTable;

use super::values::Values;

/// One filter. The hash is kept so that a growing table moves without reading a million strings again.
#[derive(Debug)]
struct Slot<T> {
    hash: u64,
    filter: Box<str>,
    values: Values<T>,
}

/// Filters without wildcards. Invariant: no slot is without a value.
#[derive(Debug)]
pub(super) struct Exact<T> {
    table: HashTable<Slot<T>>,
}

impl<T: Copy + Eq + Hash> Exact<T> {
    pub(super) fn new() -> Self {
        Self { table: HashTable::new() }
    }

    /// Adds `value` to `filter`, whose hash is `hash`; false if it was there.
    pub(super) fn insert(&mut self, hash: u64, filter: &str, value: T) -> bool {
        if let Some(slot) = self.table.find_mut(hash, |slot| &*slot.filter == filter) {
            return slot.values.insert(value);
        }
        let slot = Slot { hash, filter: filter.into(), values: Values::One(value) };
        self.table.insert_unique(hash, slot, |slot| slot.hash);
        true
    }

    /// Takes `value` out of `filter`; false if it was not there.
    pub(super) fn remove(&mut self, hash: u64, filter: &str, value: &T) -> bool {
        let Ok(mut entry) = self.table.find_entry(hash, |slot| &*slot.filter == filter) else {
            return false;
        };
        let removed = entry.get_mut().values.remove(value);
        if entry.get().values.is_empty() {
            entry.remove();
        }
        removed
    }

    /// Appends the values of the filter that reads like `topic`.
    #[inline]
    pub(super) fn matches(&self, hash: u64, topic: &str, out: &mut Vec<T>) {
        if let Some(slot) = self.table.find(hash, |slot| &*slot.filter == topic) {
            slot.values.append_to(out);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
