//! What is written together.

use bytes::Bytes;
use smallvec::SmallVec;

/// A key; most are short enough to need no allocation.
pub type Key = SmallVec<[u8; 24]>;

/// A set of keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Log half: the entries of all groups.
    Entry,
    /// Log half: votes, configurations, marks, the format.
    Meta,
    /// State half: what the node derives from the log, with ledgers and applied indices.
    State,
    /// State half: indexes that can be built again.
    Side,
}

impl Space {
    /// Whether this space belongs to the log half.
    pub const fn in_log(self) -> bool {
        matches!(self, Self::Entry | Self::Meta)
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Sets a key.
    Put(Space, Key, Bytes),
    /// Removes a key.
    Delete(Space, Key),
    /// Removes all keys from the first on and below the second.
    DeleteRange(Space, Key, Key),
}

impl Op {
    /// The space that it changes.
    pub const fn space(&self) -> Space {
        match self {
            Self::Put(space, ..) | Self::Delete(space, _) | Self::DeleteRange(space, ..) => *space,
        }
    }
}

/// Changes that become visible together, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    ops: Vec<Op>,
    bytes: u64,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, space: Space, key: &[u8], value: impl Into<Bytes>) {
        let value = value.into();
        self.bytes += (key.len() + value.len()) as u64;
        self.ops.push(Op::Put(space, Key::from_slice(key), value));
    }

    /// Removes a key.
    pub fn delete(&mut self, space: Space, key: &[u8]) {
        self.bytes += key.len() as u64;
        self.ops.push(Op::Delete(space, Key::from_slice(key)));
    }

    /// Removes `from..to`.
    pub fn delete_range(&mut self, space: Space, from: &[u8], to: &[u8]) {
        self.bytes += (from.len() + to.len()) as u64;
        self.ops.push(Op::DeleteRange(space, Key::from_slice(from), Key::from_slice(to)));
    }

    /// The changes in order.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Forgets the changes and keeps the memory.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.bytes = 0;
    }
}
