//! Fences that a session still has to put up: it was taken over from owners who have not confirmed that they let go.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::record::Fence;
use crate::route::Partition;

/// What the records of a session carry until their partition is known to have it.
#[derive(Debug)]
pub struct Fencing {
    packed: Rc<[[u8; 16]]>,
    /// Partitions that have it.
    fenced: BTreeSet<u16>,
}

impl Fencing {
    /// `None`: everybody has let go.
    pub fn new(fences: &[Fence]) -> Option<Box<Self>> {
        let packed = crate::record::Fences::pack(fences).into();
        (!fences.is_empty()).then(|| Box::new(Self { packed, fenced: BTreeSet::new() }))
    }

    /// What a record for this partition carries, see [`crate::record::Fences::of`]. Not only the first one: it may
    /// be refused, and the next one appended.
    pub fn carried(&self, partition: Partition) -> Option<Rc<[[u8; 16]]>> {
        (!self.fenced.contains(&partition.get())).then(|| Rc::clone(&self.packed))
    }

    /// A record that carried it is in the partition's log.
    pub fn stands(&mut self, partition: Partition) {
        self.fenced.insert(partition.get());
    }
}
