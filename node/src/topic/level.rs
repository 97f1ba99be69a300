//! A topic level as a key of 16 bytes, so that levels compare and hash as two integers.
//!
//! ```text
//! text of up to 15 bytes   the text, padded with zeros   length 0..=15
//! longer text              its id in `Levels`, zeros     0xff
//! longer text, unknown     zeros                         0xfe
//! ```

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

const SHORT_MAX: usize = 15;
const LONG: u64 = 0xff << 56;
const UNKNOWN: u64 = 0xfe << 56;

/// One level. Two keys of the same trie are equal exactly if their texts are, unless both are unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    low: u64,
    high: u64,
}

impl Key {
    /// The key of the empty text.
    pub(super) const EMPTY: Self = Self { low: 0, high: 0 };

    /// The key of the short text at `start..end` of `whole`; `None` if the text is long.
    #[inline]
    fn short(whole: &[u8], start: usize, end: usize) -> Option<Self> {
        let length = end - start;
        if length > SHORT_MAX {
            return None;
        }
        let text = if let Some(chunk) = whole[start..].first_chunk::<16>() {
            // Reading too much and cutting is cheaper than copying a few bytes.
            u128::from_le_bytes(*chunk) & ((1 << (8 * length)) - 1)
        } else {
            let mut chunk = [0; 16];
            chunk[..length].copy_from_slice(&whole[start..end]);
            u128::from_le_bytes(chunk)
        };
        let high = (text >> 64) as u64 | (length as u64) << 56;
        Some(Self { low: text as u64, high })
    }

    /// A hash of the key; `seeds` are the trie's own, so that nobody can choose colliding texts.
    #[inline]
    pub(super) fn hash(self, seeds: [u64; 2]) -> u64 {
        fold(self.low ^ seeds[0], self.high ^ seeds[1])
    }
}

/// The long texts, each kept once however many edges use it, and freed with its last use.
#[derive(Debug)]
pub(super) struct Levels {
    hasher: RandomState,
    table: HashTable<Long>,
    last: u64,
}

#[derive(Debug)]
struct Long {
    text: Box<str>,
    id: u64,
    uses: u32,
}

impl Levels {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::default(), table: HashTable::new(), last: 0 }
    }

    /// The key of the level at `start..end` of `whole`.
    #[inline]
    pub(super) fn key(&self, whole: &str, start: usize, end: usize) -> Key {
        match Key::short(whole.as_bytes(), start, end) {
            Some(key) => key,
            None => self.long_key(&whole[start..end]),
        }
    }

    #[cold]
    fn long_key(&self, text: &str) -> Key {
        match self.table.find(self.hasher.hash_one(text), |long| &*long.text == text) {
            Some(long) => Key { low: long.id, high: LONG },
            None => Key { low: 0, high: UNKNOWN },
        }
    }

    /// The key of `text`, with one more use.
    pub(super) fn acquire(&mut self, text: &str) -> Key {
        if let Some(key) = Key::short(text.as_bytes(), 0, text.len()) {
            return key;
        }
        let hash = self.hasher.hash_one(text);
        if let Some(long) = self.table.find_mut(hash, |long| &*long.text == text) {
            long.uses += 1;
            return Key { low: long.id, high: LONG };
        }
        self.last += 1;
        let long = Long { text: text.into(), id: self.last, uses: 1 };
        self.table.insert_unique(hash, long, |long| self.hasher.hash_one(&*long.text));
        Key { low: self.last, high: LONG }
    }

    /// Gives one use of `text` back.
    pub(super) fn release(&mut self, text: &str) {
        if text.len() <= SHORT_MAX {
            return;
        }
        let entry = self.table.find_entry(self.hasher.hash_one(text), |long| &*long.text == text);
        let mut entry = entry.expect("a long level in use is in the table");
        entry.get_mut().uses -= 1;
        if entry.get().uses == 0 {
            entry.remove();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}

/// Mixes two words so that every bit of the answer depends on every bit of both.
#[inline]
pub(super) fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}
