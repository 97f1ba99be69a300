//! What Raft promises, seen from outside of the nodes: in what they send, what they write and what they apply.

use std::collections::BTreeMap;

use holdfast_node::cluster::link::Frame;
use holdfast_node::log::{GroupId, Message, Term};

/// Election safety: a group has one leader in a term. Only a leader sends appends and heartbeats.
#[derive(Default)]
pub(super) struct Elections {
    leaders: BTreeMap<(GroupId, Term), usize>,
    violations: Vec<String>,
}

impl Elections {
    /// A node sends a frame.
    pub(super) fn saw(&mut self, from: usize, frame: &Frame) {
        let Frame::Raft(messages) = frame else { return };
        for message in messages {
            let Ok(message) = Message::decode(message.clone()) else { continue };
            if !matches!(message.kind(), "append" | "heartbeat" | "snapshot") {
                continue;
            }
            let (group, term) = (message.group(), message.term());
            let leader = *self.leaders.entry((group, term)).or_insert(from);
            if leader != from {
                let (one, other) = (leader + 1, from + 1);
                let what = format!("election safety: nodes {one} and {other} both lead {group} in {term}");
                self.violations.push(what);
            }
        }
    }

    /// What was seen since the last call.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.violations)
    }
}
