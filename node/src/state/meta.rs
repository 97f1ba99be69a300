//! The meta group: what the cluster is, which nodes it has, and which boots of them were granted.
//!
//! Pure: operation in, [`Changes`] out. Invariant: a boot epoch of a node is granted once, to one process, which is
//! known by its nonce; and a boot that was closed is never open again.

use std::collections::BTreeMap;

use prost::Message as _;

use crate::state::changes::Changes;

/// One operation of the meta group's log.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MetaOp {
    /// Which. `None` is an operation of a future version: the replica stops.
    #[prost(oneof = "MetaKind", tags = "1, 2, 3, 4")]
    pub kind: Option<MetaKind>,
}

/// The kinds of operation.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum MetaKind {
    /// The cluster's founding: the first operation, counts once.
    #[prost(message, tag = "1")]
    Found(Founding),
    /// Grants a node its next boot epoch, with a lease.
    #[prost(message, tag = "2")]
    Boot(Boot),
    /// Renews the lease of a boot.
    #[prost(message, tag = "3")]
    Renew(Renew),
    /// The lease of a boot has ended: it is closed.
    #[prost(message, tag = "4")]
    Lapse(Lapse),
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
    /// UUID of its directory.
    #[prost(string, tag = "2")]
    pub uuid: String,
    /// Version of its software.
    #[prost(string, tag = "3")]
    pub version: String,
    /// Drawn for each boot: a repeat of the same request is granted the same epoch.
    #[prost(string, tag = "4")]
    pub nonce: String,
    /// `HOST:PORT` of its cluster link.
    #[prost(string, tag = "5")]
    pub address: String,
}

/// A node goes on.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Renew {
    /// The node.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// Its boot.
    #[prost(uint64, tag = "2")]
    pub boot: u64,
}

/// A node was not heard of for the length of a lease.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Lapse {
    /// The node.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// The boot that is closed, with all before it.
    #[prost(uint64, tag = "2")]
    pub boot: u64,
}

/// A node as the cluster knows it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Node {
    /// UUID of its directory; a node with another one is another node.
    #[prost(string, tag = "1")]
    pub uuid: String,
    /// Version of its software, as of its last boot.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Nonce of its last boot.
    #[prost(string, tag = "3")]
    pub nonce: String,
    /// `HOST:PORT` of its cluster link.
    #[prost(string, tag = "4")]
    pub address: String,
    /// The last boot epoch that was granted.
    #[prost(uint64, tag = "5")]
    pub boot: u64,
    /// Boots up to this one are closed.
    #[prost(uint64, tag = "6")]
    pub closed: u64,
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that anyone waits for.
    Done,
    /// A boot was granted to the process with this nonce.
    Granted {
        /// The node.
        node: u64,
        /// Nonce of the request.
        nonce: String,
        /// The boot epoch.
        boot: u64,
    },
    /// No boot was granted: the number belongs to another directory.
    Stranger {
        /// The node.
        node: u64,
        /// Nonce of the request.
        nonce: String,
        /// UUID of the directory that has the number.
        uuid: String,
    },
    /// A lease was renewed.
    Renewed(Renew),
    /// A lease was not renewed: the boot is closed.
    Late(Renew),
    /// Boots of a node were closed.
    Closed(Lapse),
}

/// State of the meta group.
#[derive(Debug, Default)]
pub struct Meta {
    founding: Option<Founding>,
    nodes: BTreeMap<u64, Node>,
}

impl Meta {
    /// Applies one operation.
    pub fn apply(&mut self, op: &MetaKind, changes: &mut Changes) -> Verdict {
        match op {
            MetaKind::Found(founding) => {
                if self.founding.is_none() {
                    changes.put(b"f".to_vec(), founding);
                    self.founding = Some(founding.clone());
                }
                Verdict::Done
            }
            MetaKind::Boot(boot) => self.boot(boot, changes),
            MetaKind::Renew(renew) => match self.nodes.get(&renew.node) {
                Some(node) if node.boot == renew.boot && node.closed < renew.boot => Verdict::Renewed(*renew),
                _ => Verdict::Late(*renew),
            },
            MetaKind::Lapse(lapse) => match self.nodes.get_mut(&lapse.node) {
                Some(node) if node.boot >= lapse.boot && node.closed < lapse.boot => {
                    node.closed = lapse.boot;
                    changes.put(key(lapse.node), node);
                    Verdict::Closed(*lapse)
                }
                _ => Verdict::Done,
            },
        }
    }

    fn boot(&mut self, asked: &Boot, changes: &mut Changes) -> Verdict {
        let node = self.nodes.entry(asked.node).or_default();
        let nonce = asked.nonce.clone();
        if !node.uuid.is_empty() && node.uuid != asked.uuid {
            return Verdict::Stranger { node: asked.node, nonce, uuid: node.uuid.clone() };
        }
        let repeated = node.nonce == asked.nonce && node.boot > 0 && node.closed < node.boot;
        if !repeated {
            node.closed = node.boot;
            node.boot += 1;
            node.uuid.clone_from(&asked.uuid);
            node.version.clone_from(&asked.version);
            node.nonce.clone_from(&asked.nonce);
            node.address.clone_from(&asked.address);
            changes.put(key(asked.node), node);
        }
        Verdict::Granted { node: asked.node, nonce, boot: node.boot }
    }

    /// Takes in one stored row. `false`: it cannot be read.
    #[must_use]
    pub fn load(&mut self, key: &[u8], value: &[u8]) -> bool {
        match key.split_first() {
            Some((b'f', [])) => {
                self.founding = Founding::decode(value).ok();
                self.founding.is_some()
            }
            Some((b'n', node)) => {
                let (Ok(node), Ok(row)) = (node.try_into(), Node::decode(value)) else { return false };
                self.nodes.insert(u64::from_be_bytes(node), row);
                true
            }
            _ => false,
        }
    }

    /// The founding, once it is applied.
    pub fn founding(&self) -> Option<&Founding> {
        self.founding.as_ref()
    }

    /// The nodes that ever had a boot, by number.
    pub fn nodes(&self) -> impl Iterator<Item = (u64, &Node)> {
        self.nodes.iter().map(|(number, node)| (*number, node))
    }

    /// Whether a boot was closed, here or by a later one.
    pub fn is_closed(&self, node: u64, boot: u64) -> bool {
        self.nodes.get(&node).is_some_and(|row| boot <= row.closed)
    }
}

fn key(node: u64) -> Vec<u8> {
    let mut key = b"n".to_vec();
    key.extend_from_slice(&node.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(uuid: &str, nonce: &str) -> MetaKind {
        let (version, address) = ("1".to_owned(), "a:1".to_owned());
        MetaKind::Boot(Boot { node: 2, uuid: uuid.to_owned(), version, nonce: nonce.to_owned(), address })
    }

    fn granted(verdict: &Verdict) -> u64 {
        let Verdict::Granted { boot, .. } = verdict else { panic!("{verdict:?}") };
        *boot
    }

    #[test]
    fn a_boot_is_granted_once_and_closes_the_one_before() {
        let (mut meta, mut changes) = (Meta::default(), Changes::default());
        assert_eq!(granted(&meta.apply(&boot("u", "first"), &mut changes)), 1);
        assert_eq!(granted(&meta.apply(&boot("u", "first"), &mut changes)), 1);
        assert!(!meta.is_closed(2, 1));
        assert_eq!(granted(&meta.apply(&boot("u", "second"), &mut changes)), 2);
        assert!(meta.is_closed(2, 1) && !meta.is_closed(2, 2));
        let late = meta.apply(&MetaKind::Renew(Renew { node: 2, boot: 1 }), &mut changes);
        assert_eq!(late, Verdict::Late(Renew { node: 2, boot: 1 }));
    }

    #[test]
    fn a_closed_boot_is_not_renewed_and_not_granted_again() {
        let (mut meta, mut changes) = (Meta::default(), Changes::default());
        meta.apply(&boot("u", "first"), &mut changes);
        let lapse = Lapse { node: 2, boot: 1 };
        assert_eq!(meta.apply(&MetaKind::Lapse(lapse), &mut changes), Verdict::Closed(lapse));
        assert_eq!(meta.apply(&MetaKind::Lapse(lapse), &mut changes), Verdict::Done);
        let renew = Renew { node: 2, boot: 1 };
        assert_eq!(meta.apply(&MetaKind::Renew(renew), &mut changes), Verdict::Late(renew));
        assert_eq!(granted(&meta.apply(&boot("u", "first"), &mut changes)), 2);
    }

    #[test]
    fn a_number_belongs_to_one_directory() {
        let (mut meta, mut changes) = (Meta::default(), Changes::default());
        meta.apply(&boot("u", "first"), &mut changes);
        let verdict = meta.apply(&boot("other", "second"), &mut changes);
        assert!(matches!(verdict, Verdict::Stranger { node: 2, .. }), "{verdict:?}");
        assert!(!meta.is_closed(2, 1));
    }

    #[test]
    fn rows_come_back() {
        let (mut meta, mut changes) = (Meta::default(), Changes::default());
        meta.apply(&boot("u", "first"), &mut changes);
        meta.apply(&MetaKind::Lapse(Lapse { node: 2, boot: 1 }), &mut changes);
        let mut again = Meta::default();
        for (key, value) in changes.rows {
            assert!(again.load(&key, &value.expect("nothing was deleted")));
        }
        assert_eq!(again.nodes, meta.nodes);
    }
}
