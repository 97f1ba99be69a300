//! What is in the log: one entry, decoded once and shared by everybody who reads it.

use bytes::Bytes;

use crate::envelope::{EnvelopeError, Header, Kind, payload_of, verify};
use crate::id::{GroupId, Index, Offset, Proposer, Stamp, Term};

/// One entry of a group's log that carries an envelope. Cheap to share, never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The group.
    pub group: GroupId,
    /// Where it stands in the Raft log.
    pub index: Index,
    /// The term in which it was proposed.
    pub term: Term,
    /// Who proposed it.
    pub proposer: Proposer,
    /// What it is for.
    pub kind: Kind,
    /// The offset of its first record, or of the next record where it has none.
    pub base: Offset,
    /// How many records it holds; 0 unless `kind` is `Records`.
    pub count: u32,
    /// The leader's clock when it was proposed; never below the entry before.
    pub stamp: Stamp,
    /// The bytes that were proposed.
    pub payload: Bytes,
    /// The whole envelope, `payload` included, as it stands on disk and on the wire.
    pub(crate) envelope: Bytes,
}

impl Entry {
    /// Takes an envelope apart that this process has made or checked already.
    pub(crate) fn trusted(envelope: Bytes) -> Result<Self, EnvelopeError> {
        let header = Header::peek(&envelope)?;
        let payload = payload_of(&envelope);
        Ok(Self {
            group: header.group,
            index: header.index,
            term: header.term,
            proposer: header.proposer,
            kind: header.kind,
            base: header.base,
            count: header.count,
            stamp: header.stamp,
            payload,
            envelope,
        })
    }

    /// Takes an envelope apart that came from a disk or a wire: the checksum comes first.
    pub(crate) fn verified(envelope: Bytes) -> Result<Self, EnvelopeError> {
        verify(&envelope)?;
        Self::trusted(envelope)
    }

    /// The offset after the last record of this entry.
    pub fn end(&self) -> Offset {
        self.base.after(self.count)
    }

    /// Bytes that this entry takes in the log.
    pub fn bytes(&self) -> u64 {
        self.envelope.len() as u64
    }

    /// The header that the ledger checks.
    pub(crate) fn header(&self) -> Header {
        Header {
            kind: self.kind,
            group: self.group,
            term: self.term,
            index: self.index,
            proposer: self.proposer,
            base: self.base,
            count: self.count,
            stamp: self.stamp,
        }
    }
}
