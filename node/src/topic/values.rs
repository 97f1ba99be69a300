//! The subscribers of one filter: a set that is nearly always empty or of one, and now and then of a million.
//!
//! Adding and removing is constant time at any size; the order is not kept.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::RandomState;

/// From this many values on, an index finds a value; below, a scan of two or three cache lines is cheaper.
const INDEX_MIN: usize = 32;

/// A set of `T` in 16 bytes (for a `T` of eight) while it holds at most one.
#[derive(Debug, Default)]
pub(super) enum Values<T> {
    #[default]
    None,
    One(T),
    Many(Box<Many<T>>),
}

/// Two values or more. Invariant: `index` is empty, or maps each value to its place in `list`.
#[derive(Debug)]
pub(super) struct Many<T> {
    list: Vec<T>,
    index: HashMap<T, u32, RandomState>,
}

impl<T: Copy + Eq + Hash> Values<T> {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Values::None)
    }

    /// Adds `value`; false if it was there.
    pub(super) fn insert(&mut self, value: T) -> bool {
        match self {
            Values::None => *self = Values::One(value),
            Values::One(one) if *one == value => return false,
            Values::One(one) => {
                let list = vec![*one, value];
                *self = Values::Many(Box::new(Many { list, index: HashMap::default() }));
            }
            Values::Many(many) => return many.insert(value),
        }
        true
    }

    /// Takes `value` out; false if it was not there.
    pub(super) fn remove(&mut self, value: &T) -> bool {
        match self {
            Values::None => false,
            Values::One(one) if one == value => {
                *self = Values::None;
                true
            }
            Values::One(_) => false,
            Values::Many(many) => {
                let removed = many.remove(value);
                if let [last] = many.list[..] {
                    *self = Values::One(last);
                }
                removed
            }
        }
    }

    /// Appends every value to `out`.
    #[inline]
    pub(super) fn append_to(&self, out: &mut Vec<T>) {
        match self {
            Values::None => {}
            Values::One(one) => out.push(*one),
            Values::Many(many) => out.extend_from_slice(&many.list),
        }
    }
}

impl<T: Copy + Eq + Hash> Many<T> {
    fn place(&self, value: &T) -> Option<usize> {
        if self.index.is_empty() {
            return self.list.iter().position(|held| held == value);
        }
        self.index.get(value).map(|place| *place as usize)
    }

    fn insert(&mut self, value: T) -> bool {
        if self.place(&value).is_some() {
            return false;
        }
        self.list.push(value);
        if !self.index.is_empty() {
            self.index.insert(value, number(self.list.len() - 1));
        } else if self.list.len() >= INDEX_MIN {
            self.index = self.list.iter().enumerate().map(|(place, value)| (*value, number(place))).collect();
        }
        true
    }

    fn remove(&mut self, value: &T) -> bool {
        let Some(place) = self.place(value) else { return false };
        self.list.swap_remove(place);
        if self.list.len() < INDEX_MIN / 2 {
            self.index = HashMap::default();
            self.list.shrink_to(INDEX_MIN);
        } else if !self.index.is_empty() {
            self.index.remove(value);
            if let Some(moved) = self.list.get(place) {
                self.index.insert(*moved, number(place));
            }
        }
        true
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).expect("one filter has fewer subscribers than a node has clients, far below 2^32")
}
