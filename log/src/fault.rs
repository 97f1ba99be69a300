//! Why one replica stopped while the others of the node go on.

use crate::envelope::EnvelopeError;
use crate::id::{BootEpoch, Index, NodeId, Offset, ReplicaId, Sequence, Stamp};

/// A committed entry that this replica must not apply and must not skip.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The entry is damaged, or a later version wrote it.
    #[error("entry {index}")]
    Entry {
        /// Where it stands.
        index: Index,
        /// What is wrong with it.
        #[source]
        source: EnvelopeError,
    },
    /// The entry contradicts the ledger.
    #[error("entry {index}")]
    Ledger {
        /// Where it stands.
        index: Index,
        /// What it contradicts.
        #[source]
        source: Violation,
    },
    /// A change of members that is damaged, does not fit, or was written by a later version.
    #[error("entry {index} changes the members in a way that this version does not know")]
    Members {
        /// Where it stands.
        index: Index,
    },
    /// A snapshot says that this replica votes, and its disk has never heard of that: it may have voted
    /// and acknowledged before its disk was emptied. It must be replaced by one with a new id.
    #[error("{replica} has a vote that it has forgotten")]
    Forgotten {
        /// This replica.
        replica: ReplicaId,
    },
}

/// What an entry contradicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Its sequence has been applied before.
    #[error("{got} repeats, {expected} is next")]
    Repeat {
        /// The sequence of the entry.
        got: Sequence,
        /// The next sequence of its proposer.
        expected: Sequence,
    },
    /// A sequence before it is missing.
    #[error("{got} leaves a gap, {expected} is next")]
    Gap {
        /// The sequence of the entry.
        got: Sequence,
        /// The next sequence of its proposer.
        expected: Sequence,
    },
    /// Its proposer's boot is closed.
    #[error("{node} is closed up to {boot}")]
    Closed {
        /// The proposer.
        node: NodeId,
        /// Its last closed boot.
        boot: BootEpoch,
    },
    /// Its base is not the next offset.
    #[error("base {got} where {expected} is next")]
    Base {
        /// The base of the entry.
        got: Offset,
        /// The next offset.
        expected: Offset,
    },
    /// Its stamp is below the one before.
    #[error("stamp {got} after {last}")]
    Stamp {
        /// The stamp of the entry.
        got: Stamp,
        /// The stamp before.
        last: Stamp,
    },
    /// A log start outside of the log.
    #[error("log start {got} outside of {first} to {next}")]
    LogStart {
        /// The log start of the entry.
        got: Offset,
        /// The present log start.
        first: Offset,
        /// The next offset.
        next: Offset,
    },
}
