//! Raft broken on purpose, to see a checker fail. Never in a build without debug assertions.

use raft::eraftpb::{self, MessageType};

use super::Replica;
use crate::config::Sabotage;

impl Replica {
    /// Changes what this replica makes of a message.
    pub(super) fn spoil(&mut self, message: &mut eraftpb::Message) {
        if !cfg!(debug_assertions) {
            return;
        }
        let raft = &mut self.raft.raft;
        match (self.sabotage, message.get_msg_type()) {
            (Some(Sabotage::VoteTwice), MessageType::MsgRequestVote) if message.term == raft.term => {
                (raft.vote, raft.leader_id) = (raft::INVALID_ID, raft::INVALID_ID);
            }
            (Some(Sabotage::VoteBlindly), MessageType::MsgRequestVote | MessageType::MsgRequestPreVote) => {
                (message.index, message.log_term) = (u64::MAX, u64::MAX)
            }
            (Some(Sabotage::AppendBlindly), MessageType::MsgAppend)
                if message.index <= raft.raft_log.last_index() =>
            {
                message.log_term = raft.raft_log.term(message.index).unwrap_or(message.log_term);
            }
            _ => {}
        }
    }

    /// Changes what this replica has answered: who does not look at terms says only how long its log is.
    pub(super) fn spoil_answers(&mut self) {
        if !cfg!(debug_assertions) || self.sabotage != Some(Sabotage::AppendBlindly) {
            return;
        }
        let raft = &mut self.raft.raft;
        let last = raft.raft_log.last_index();
        let refusal = |answer: &&mut eraftpb::Message| {
            answer.reject && answer.get_msg_type() == MessageType::MsgAppendResponse
        };
        for answer in raft.msgs.iter_mut().filter(refusal) {
            (answer.reject_hint, answer.log_term) = (last.min(answer.index), 0);
        }
    }
}
