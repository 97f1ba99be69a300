//! Admission: what a leader appends, and what it refuses before it is in the log.

use super::*;
use crate::envelope::{ENVELOPE_BYTES, Header, Kind};
use crate::fault::Violation;
use crate::proposal::{Body, Proposal, Refusal};

impl Replica {
    /// Appends at the leader. Followers never forward: the proposer finds the leader itself, and its
    /// proposals come to it in order.
    pub(crate) fn propose(&mut self, proposal: Proposal) -> Result<(), Refusal> {
        let header = self.admit(&proposal)?;
        let payload = match proposal.body {
            Body::Records { bytes, .. } | Body::Command(bytes) => bytes,
            Body::CloseBoot { .. } | Body::LogStart(_) => Bytes::new(),
        };
        self.check_room((ENVELOPE_BYTES + payload.len()) as u64)?;
        let entry = eraftpb::Entry { data: header.encode(&payload), ..Default::default() };
        let mut message = eraftpb::Message { from: self.spec.replica.get(), ..Default::default() };
        message.set_msg_type(MessageType::MsgPropose);
        message.set_entries(vec![entry].into());
        // Raft refuses while leadership is on its way to another replica, and beyond the byte limit.
        self.raft.raft.step(message).map_err(|_| Refusal::Full)?;
        assert_eq!(
            self.raft.raft.raft_log.last_index(),
            header.index.get(),
            "the entry stands where its envelope says"
        );
        let (_, ahead) = self.ahead.as_mut().expect("an admitted proposal has a ledger");
        ahead.apply(&header);
        Ok(())
    }

    /// Whether the proposal would be appended now.
    pub(crate) fn check(&self, proposal: &Proposal) -> Result<(), Refusal> {
        let bytes = match &proposal.body {
            Body::Records { bytes, .. } | Body::Command(bytes) => bytes.len(),
            Body::CloseBoot { .. } | Body::LogStart(_) => 0,
        };
        self.admit(proposal)?;
        self.check_room((ENVELOPE_BYTES + bytes) as u64)
    }

    /// The header that the entry would have, if it may be appended now.
    fn admit(&self, proposal: &Proposal) -> Result<Header, Refusal> {
        let raft = &self.raft.raft;
        if self.stopped {
            return Err(Refusal::Stopped);
        }
        if raft.state != StateRole::Leader {
            let leader = Some(raft.leader_id).filter(|id| *id != 0).map(ReplicaId::new);
            return Err(Refusal::NotLeader { leader });
        }
        let ahead = match &self.ahead {
            Some((term, ahead)) if term.get() == raft.term && raft.lead_transferee.is_none() => ahead,
            _ => return Err(Refusal::NotReady),
        };
        let (kind, count) = match proposal.body {
            Body::Records { count: 0, .. } => return Err(Refusal::Range),
            Body::Records { count, .. } => (Kind::Records, count),
            Body::Command(_) => (Kind::Command, 0),
            Body::CloseBoot { node, boot } => (Kind::CloseBoot { node, boot }, 0),
            Body::LogStart(offset) => (Kind::LogStart { offset }, 0),
        };
        let header = Header {
            kind,
            group: self.spec.id,
            term: Term::new(raft.term),
            index: Index::new(raft.raft_log.last_index()).next(),
            proposer: proposal.proposer(),
            base: ahead.next,
            count,
            stamp: proposal.stamp.max(ahead.stamp),
        };
        ahead.check(&header).map_err(|violation| self.refusal(&header, violation))?;
        Ok(header)
    }

    fn refusal(&self, header: &Header, violation: Violation) -> Refusal {
        let proposer = header.proposer;
        match violation {
            Violation::Repeat { got, .. } => {
                let applied = self.progress.ledger.expected(proposer.node, proposer.boot);
                Refusal::Repeat { committed: got < applied }
            }
            Violation::Gap { expected, .. } => Refusal::Gap { expected },
            Violation::Closed { .. } => Refusal::Closed,
            Violation::LogStart { .. } => Refusal::Range,
            Violation::Base { .. } | Violation::Stamp { .. } => {
                unreachable!("the leader has set base and stamp itself")
            }
        }
    }

    /// Raft's own rule, asked before the payload is copied: the first entry always fits.
    fn check_room(&self, bytes: u64) -> Result<(), Refusal> {
        let under_way = u64::try_from(self.raft.raft.uncommitted_size()).expect("a size is not negative");
        if under_way > 0 && under_way + bytes > self.uncommitted_max { Err(Refusal::Full) } else { Ok(()) }
    }
}
