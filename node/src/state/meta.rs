//! The meta group: what the cluster is, and which boots of its nodes were granted.

use std::collections::BTreeMap;

use crate::state::changes::Changes;

/// One operation of the meta group's log.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MetaOp {
    /// Which. `None` is an operation of a future version: the replica stops.
    #[prost(oneof = "MetaKind", tags = "1, 2")]
    pub kind: Option<MetaKind>,
}

/// The kinds of operation.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum MetaKind {
    /// The cluster's founding: the first operation, counts once.
    #[prost(message, tag = "1")]
    Found(Founding),
    /// Grants a node its next boot epoch.
    #[prost(message, tag = "2")]
    Boot(Boot),
}

/// What is settled when a cluster is founded.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Founding {
    /// Cluster id, a UUID.
    #[prost(string, tag = "1")]
    pub cluster_id: String,
    /// Number of partitions.
    #[prost(uint32, tag = "2")]
    pub partitions: u32,
    /// Number of session groups.
    #[prost(uint32, tag = "3")]
    pub session_groups: u32,
    /// Replicas of each group that were asked for; capped by the number of nodes.
    #[prost(uint32, tag = "4")]
    pub replicas: u32,
}

/// A node asks for a boot epoch.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Boot {
    /// The node.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// Its UUID.
    #[prost(string, tag = "2")]
    pub uuid: String,
    /// Version of its software.
    #[prost(string, tag = "3")]
    pub version: String,
}

/// State of the meta group.
#[derive(Debug, Default)]
pub struct Meta {
    founding: Option<Founding>,
    boots: BTreeMap<u64, u64>,
}

impl Meta {
    /// Applies one operation. Answers the boot epoch that it granted, if it did.
    pub fn apply(&mut self, op: &MetaKind, changes: &mut Changes) -> Option<u64> {
        match op {
            MetaKind::Found(founding) => {
                if self.founding.is_none() {
                    changes.put(b"f".to_vec(), founding);
                    self.founding = Some(founding.clone());
                }
                None
            }
            MetaKind::Boot(boot) => {
                let granted = self.boots.entry(boot.node).or_default();
                *granted += 1;
                let mut key = b"b".to_vec();
                key.extend_from_slice(&boot.node.to_be_bytes());
                changes.put_bytes(key, granted.to_be_bytes().to_vec());
                Some(*granted)
            }
        }
    }

    /// Takes in one stored row. `false`: it cannot be read.
    #[must_use]
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> bool {
        match key.split_first() {
            Some((b'f', [])) => {
                self.founding = prost::Message::decode(value).ok();
                self.founding.is_some()
            }
            Some((b'b', node)) => {
                let (Ok(node), Ok(boot)) = (node.try_into(), value.try_into()) else { return false };
                self.boots.insert(u64::from_be_bytes(node), u64::from_be_bytes(boot));
                true
            }
            _ => false,
        }
    }

    /// The founding, once it is applied.
    pub fn founding(&self) -> Option<&Founding> {
        self.founding.as_ref()
    }
}
