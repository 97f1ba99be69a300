//! What a replica has promised: Raft's hard state.
//!
//! | key | value |
//! | --- | --- |
//! | `3 group` | version u8 = 1, term u64, vote u64 (0: none), commit u64 |
//!
//! Term and vote are synced before any message that depends on them. The commit index rides along and
//! may be behind: losing it costs nothing.

use super::cursor::Cursor;
use super::{RecordError, VOTE, group_key};
use crate::id::{GroupId, Index, ReplicaId, Term};

/// Raft's hard state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) term: Term,
    pub(crate) vote: Option<ReplicaId>,
    pub(crate) commit: Index,
}

/// The key of a replica's vote.
pub(crate) fn key(group: GroupId) -> [u8; 5] {
    group_key(VOTE, group)
}

impl Vote {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        for field in [self.term.get(), self.vote.map_or(0, ReplicaId::get), self.commit.get()] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let mut cursor = Cursor::new(RECORD, VERSION, value)?;
        let vote = Self {
            term: Term::new(cursor.u64()?),
            vote: Some(cursor.u64()?).filter(|id| *id != 0).map(ReplicaId::new),
            commit: Index::new(cursor.u64()?),
        };
        cursor.end()?;
        Ok(vote)
    }
}

const RECORD: &str = "vote";
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_comes_back() {
        for vote in [None, Some(ReplicaId::new(3))] {
            let vote = Vote { term: Term::new(1), vote, commit: Index::new(2) };
            assert_eq!(Vote::decode(&vote.encode()), Ok(vote));
        }
        assert!(Vote::decode(&[]).is_err());
    }
}
