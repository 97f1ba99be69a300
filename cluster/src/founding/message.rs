//! What founders say to each other. A question and an answer say the same: who I am, what I was started with,
//! how far I am. A proposer proposes by asking, and a seed promises by answering.

use prost::Message as _;

use super::{Proposal, Terms};

/// Version of the messages.
pub(super) const VERSION: u32 = 1;

/// How far a node is.
#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub(super) enum Phase {
    /// It belongs to no cluster and has promised nothing.
    #[prost(bool, tag = "8")]
    Blank(bool),
    /// It has promised to found this cluster and no other.
    #[prost(message, tag = "9")]
    Promised(Proposal),
    /// It belongs to the cluster with this UUID.
    #[prost(string, tag = "10")]
    Founded(String),
    /// It is about to join the cluster with this UUID.
    #[prost(string, tag = "11")]
    Joining(String),
}

/// What a node says of itself.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    /// Drawn at the start of the process; by it a node recognises itself behind an address.
    #[prost(string, tag = "2")]
    pub(super) nonce: String,
    /// UUID of its directory; of this boot alone while blank.
    #[prost(string, tag = "3")]
    pub(super) uuid: String,
    /// The seed it has recognised itself as; empty for none.
    #[prost(string, tag = "4")]
    pub(super) seed: String,
    /// The number it was started with; 0 for none.
    #[prost(uint64, tag = "5")]
    pub(super) node_id: u64,
    #[prost(message, required, tag = "6")]
    pub(super) terms: Terms,
    /// Milliseconds since 1970 on its clock.
    #[prost(uint64, tag = "7")]
    pub(super) wall_ms: u64,
    #[prost(oneof = "Phase", tags = "8, 9, 10, 11")]
    pub(super) phase: Option<Phase>,
}

impl Status {
    fn decode_checked(bytes: &[u8]) -> Result<Self, Malformed> {
        let status = Self::decode(bytes).map_err(|_| Malformed::Bytes)?;
        if status.version != VERSION {
            return Err(Malformed::Version { found: status.version });
        }
        // What a member of a cluster was started with no longer counts, and may be nothing.
        let sound = match &status.phase {
            Some(Phase::Promised(proposal)) => proposal.is_valid() && status.terms.is_valid(),
            Some(Phase::Founded(cluster_id) | Phase::Joining(cluster_id)) => !cluster_id.is_empty(),
            Some(Phase::Blank(_)) => status.terms.is_valid(),
            None => false,
        };
        if !sound || status.nonce.is_empty() || status.uuid.is_empty() {
            return Err(Malformed::Content);
        }
        Ok(status)
    }
}

/// Asks a seed how far it is, and tells it how far the asker is.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub(super) status: Status,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub(super) status: Status,
}

/// Why bytes are no question or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They are no message at all.
    #[error("not a founding message")]
    Bytes,
    /// Another version wrote them.
    #[error("founding message of version {found}; this program speaks version {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// What they say cannot be.
    #[error("a founding message that no node would send")]
    Content,
}

impl Question {
    /// The bytes for the link.
    pub fn encode(&self) -> Vec<u8> {
        self.status.encode_to_vec()
    }

    /// Reads what [`Question::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are no question of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Ok(Self { status: Status::decode_checked(bytes)? })
    }
}

impl Answer {
    /// The bytes for the link.
    pub fn encode(&self) -> Vec<u8> {
        self.status.encode_to_vec()
    }

    /// Reads what [`Answer::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are no answer of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Ok(Self { status: Status::decode_checked(bytes)? })
    }

    /// The cluster that the answering node belongs to, if it belongs to one.
    pub fn founded(&self) -> Option<&str> {
        match &self.status.phase {
            Some(Phase::Founded(cluster_id)) => Some(cluster_id),
            _ => None,
        }
    }
}
