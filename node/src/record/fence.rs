//! Fences: which boots may still hold an owner of the publisher's session that has lost it and does not know.

use super::take_u16;

/// A boot of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fence {
    /// The node.
    pub node: u64,
    /// Its boot epoch.
    pub boot: u64,
}

/// The fences that a record carries, as they are in it: until each of these boots is closed, what a lower owner
/// epoch of its publisher proposes is refused in its partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fences<'a>(&'a [[u8; 16]]);

impl<'a> Fences<'a> {
    /// Bytes for [`Fences::of`].
    pub fn pack(fences: &[Fence]) -> Vec<[u8; 16]> {
        let bytes = |fence: &Fence| u128::from(fence.node) | u128::from(fence.boot) << 64;
        fences.iter().map(|fence| bytes(fence).to_le_bytes()).collect()
    }

    /// From [`Fences::pack`].
    pub fn of(packed: &'a [[u8; 16]]) -> Self {
        Self(packed)
    }

    /// None?
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// One by one.
    pub fn iter(self) -> impl Iterator<Item = Fence> + 'a {
        self.0.iter().map(|bytes| {
            let [node, boot] = [0, 8].map(|at| super::word(bytes, at));
            Fence { node, boot }
        })
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        if !self.is_empty() {
            let count = u16::try_from(self.0.len()).expect("a cluster has fewer than 65536 boots open");
            out.extend_from_slice(&count.to_le_bytes());
            out.extend_from_slice(self.0.as_flattened());
        }
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (count, bytes) = take_u16(bytes)?;
        let (fences, rest) = bytes.split_at_checked(16 * usize::from(count))?;
        Some((Self(fences.as_chunks().0), rest))
    }
}

/// An owner epoch as records carry it.
pub fn low_epoch(epoch: u64) -> u32 {
    u32::try_from(epoch & 0xffff_ffff).expect("masked")
}

/// Is `epoch` of an earlier owner than `than`? Both are low halves, so they are compared around the wrap.
pub fn epoch_below(epoch: u32, than: u32) -> bool {
    epoch != than && than.wrapping_sub(epoch) < 1 << 31
}
