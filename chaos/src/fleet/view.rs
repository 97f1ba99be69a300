//! The cluster as one node sees it: what `/api/v1/cluster` says, read by this crate's own eyes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::http;

/// The answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct View {
    /// The node that answers.
    pub node_id: u64,
    /// All nodes.
    pub nodes: Vec<Member>,
    /// All partitions.
    pub partitions: Vec<Partition>,
}

/// One node.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: u64,
    /// `alive`, `dead`, `draining` and so on.
    pub state: String,
    /// Groups that it leads.
    #[serde(default)]
    pub leads: u64,
    /// Groups in which it votes.
    #[serde(default)]
    pub votes: u64,
}

/// One partition.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub id: u16,
    /// The node that leads, as far as is known.
    pub leader: Option<u64>,
    /// The term.
    pub term: u64,
    /// Its copies, as far as they are known.
    pub replicas: Vec<Replica>,
    /// The first message that is kept.
    pub first_offset: u64,
    /// The number of the next message.
    pub next_offset: u64,
    /// The committed index.
    pub committed: u64,
}

/// One copy.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Replica {
    /// The node that keeps it.
    pub node: u64,
    /// The last index that is known to be on its disk; a node knows its own, and a leader those of all.
    pub r#match: Option<u64>,
}

impl View {
    /// Asks a node.
    pub fn of(http: SocketAddr, patience: Duration) -> io::Result<View> {
        let (status, body) = http::get(http, "/api/v1/cluster", patience)?;
        if status != 200 {
            return Err(io::Error::other(format!("/api/v1/cluster answers with {status}")));
        }
        Ok(serde_json::from_str(&body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_knows_no_leader_and_what_it_holds_alone() {
        let text = r#"{"cluster_id": "c", "node_id": 2, "fsync": "always",
            "nodes": [{"id": 2, "address": "127.0.0.1:1", "state": "alive", "version": "1"}],
            "partitions": [{"id": 0, "leader": null, "term": 4, "first_offset": 0, "next_offset": 7, "committed": 9,
                "replicas": [{"node": 1, "state": "follower", "match": null},
                             {"node": 2, "state": "follower", "match": 9}]}]}"#;
        let view: View = serde_json::from_str(text).unwrap();
        assert_eq!(view.partitions[0].leader, None);
        assert_eq!(view.partitions[0].replicas[0].r#match, None);
        assert_eq!(view.partitions[0].replicas[1].r#match, Some(9));
    }
}
