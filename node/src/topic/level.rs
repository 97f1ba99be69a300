//! The texts of topic levels, each kept once however many filters use it, and freed with its last use.

use hashbrown::HashTable;
use smallvec::SmallVec;

/// One text. Up to 16 bytes lie inline, so that a comparison reads one cache line.
#[derive(Debug)]
struct Level {
    text: SmallVec<[u8; 16]>,
    uses: u32,
}

#[derive(Debug)]
struct Slot {
    tag: u32,
    id: u32,
}

/// All level texts. Invariant: a level in the table has `uses >= 1`; its tag is the one given at `acquire`.
#[derive(Debug)]
pub(super) struct Levels {
    table: HashTable<Slot>,
    levels: Vec<Level>,
    free: Vec<u32>,
}

impl Levels {
    pub(super) fn new() -> Self {
        Self { table: HashTable::new(), levels: Vec::new(), free: Vec::new() }
    }

    /// The id of `text`, whose hash is `tag`, with one more use.
    pub(super) fn acquire(&mut self, tag: u32, text: &str) -> u32 {
        let levels = &self.levels;
        let found = self.table.find(spread(u64::from(tag)), |slot| {
            slot.tag == tag && levels[slot.id as usize].text[..] == *text.as_bytes()
        });
        if let Some(slot) = found {
            let id = slot.id;
            self.levels[id as usize].uses += 1;
            return id;
        }
        let level = Level { text: SmallVec::from_slice(text.as_bytes()), uses: 1 };
        let id = if let Some(id) = self.free.pop() {
            self.levels[id as usize] = level;
            id
        } else {
            self.levels.push(level);
            u32::try_from(self.levels.len() - 1).expect("memory ends before 2^32 levels")
        };
        self.table
            .insert_unique(spread(u64::from(tag)), Slot { tag, id }, |slot| spread(u64::from(slot.tag)));
        id
    }

    /// Gives one use of `id` back.
    pub(super) fn release(&mut self, tag: u32, id: u32) {
        let level = &mut self.levels[id as usize];
        level.uses -= 1;
        if level.uses > 0 {
            return;
        }
        level.text = SmallVec::new();
        let entry = self.table.find_entry(spread(u64::from(tag)), |slot| slot.id == id);
        entry.expect("a level in use is in the table").remove();
        self.free.push(id);
    }

    /// Whether level `id` reads `text`.
    #[inline]
    pub(super) fn reads(&self, id: u32, text: &str) -> bool {
        self.levels[id as usize].text[..] == *text.as_bytes()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.levels.len() - self.free.len()
    }
}

/// Spreads a key that is already random in some of its bits over all bits that a hash table looks at.
#[inline]
pub(super) fn spread(key: u64) -> u64 {
    let wide = u128::from(key ^ 0x9e37_79b9_7f4a_7c15) * u128::from(0xd6e8_feb8_6659_fd93_u64);
    (wide as u64) ^ ((wide >> 64) as u64)
}
