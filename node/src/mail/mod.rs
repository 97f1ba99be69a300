//! What crosses between threads, always in batches: requests to the hub, events to the workers.

mod event;
mod request;
mod share;
mod gather;
mod mailbox;

pub use event::{Event, Live, Read, ReadAnswer, RetainedHit, RetainedPage};
pub use gather::Gather;
pub use mailbox::{Mailbox, Wake};
pub use request::{
    After, Asker, Batch, Flushing, From, Refused, Released, Request, RetainedScan, ShareFlush, Want,
};
pub use share::{
    Assign, Assigned, ShareAssign, ShareCall, ShareDone, ShareGone, ShareHeld, ShareJoined, ShareMember,
    ShareSaid, ShareSettled, ShareWord,
};

/// A connection of a worker. The generation makes a late message to a closed connection miss its successor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ConnectionKey {
    /// Place in the worker's table.
    pub slot: u32,
    /// Counts the uses of the place.
    pub generation: u32,
}

impl ConnectionKey {
    /// As one number, for records that know no workers.
    pub fn get(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    /// From [`ConnectionKey::get`].
    pub fn from_number(number: u64) -> Self {
        let slot = u32::try_from(number & 0xffff_ffff).expect("masked");
        Self { slot, generation: u32::try_from(number >> 32).expect("shifted") }
    }
}
