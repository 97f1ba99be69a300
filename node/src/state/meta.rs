//! The meta group: what the cluster is, which nodes it has, and which boots of them were granted.
//!
//! Pure: operation in, [`Changes`] out. Invariant: a boot epoch of a node is granted once, to one process, which is
//! known by its nonce; and a boot that was closed is never open again.

use std::collections::BTreeMap;

use prost::Message as _;

use crate::state::changes::Changes;

mod op;

pub use op::{
    Boot, Drain, Founding, GoOn, Join, Lapse, Level, MetaKind, MetaOp, Node, Office, Remove, Renew,
};

/// The highest feature level that this version knows. It counts what nodes of an earlier version would not understand:
/// kinds of entries, of records, of words between nodes.
pub const LEVEL: u32 = 1;

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
    /// The nodes are others than before, or are something else; of the node that is named, boots may be closed.
    Nodes(u64),
    /// No boot was granted: the node drains, or was removed.
    NoBoot {
        /// The node.
        node: u64,
        /// Nonce of the request.
        nonce: String,
        /// What it is.
        office: Office,
    },
    /// No boot was granted: the cluster does what the node does not know.
    Behind {
        /// The node.
        node: u64,
        /// Nonce of the request.
        nonce: String,
    },
    /// The cluster's feature level is higher than before.
    Raised(u32),
    /// All nodes but one were removed at once: a majority of them was lost.
    Alone,
}

/// State of the meta group.
#[derive(Debug, Default)]
pub struct Meta {
    founding: Option<Founding>,
    nodes: BTreeMap<u64, Node>,
    /// The feature level; 0: the first.
    level: u32,
}

impl Meta {
    /// Applies one operation.
    pub fn apply(&mut self, op: &MetaKind, changes: &mut Changes) -> Verdict {
        match op {
            MetaKind::Found(founding) => self.found(founding, changes),
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
            MetaKind::Join(join) => self.join(join, changes),
            MetaKind::Drain(Drain { node, on }) => {
                self.appoint(*node, if *on { Office::Draining } else { Office::Full }, changes)
            }
            MetaKind::Remove(Remove { node }) => self.appoint(*node, Office::Removed, changes),
            MetaKind::GoOn(go_on) => self.go_on(go_on, changes),
            MetaKind::Raise(raise) => self.raise(raise, changes),
        }
    }

    /// A node that does not know it would stop at the first entry of that level.
    fn raise(&mut self, raise: &Level, changes: &mut Changes) -> Verdict {
        if raise.level <= self.level() || raise.level > self.common_level() {
            return Verdict::Done;
        }
        changes.put(b"l".to_vec(), raise);
        self.level = raise.level;
        Verdict::Raised(raise.level)
    }

    fn go_on(&mut self, go_on: &GoOn, changes: &mut Changes) -> Verdict {
        let Some(founding) = self.founding.as_mut().filter(|is| is.cluster_id == go_on.former) else {
            return Verdict::Done;
        };
        founding.cluster_id.clone_from(&go_on.cluster_id);
        changes.put(b"f".to_vec(), founding);
        let lost: Vec<u64> = self.nodes.keys().copied().filter(|number| *number != go_on.node).collect();
        for number in lost {
            let _named = self.appoint(number, Office::Removed, changes);
        }
        if let Some(own) = self.nodes.get_mut(&go_on.node) {
            own.set_office(Office::Full);
            changes.put(key(go_on.node), own);
        }
        Verdict::Alone
    }

    fn found(&mut self, founding: &Founding, changes: &mut Changes) -> Verdict {
        if self.founding.is_some() {
            return Verdict::Done;
        }
        changes.put(b"f".to_vec(), founding);
        for founder in &founding.founders {
            let (uuid, address) = (founder.uuid.clone(), founder.address.clone());
            let row = Node { uuid, address, ..Node::default() };
            changes.put(key(founder.node), &row);
            self.nodes.insert(founder.node, row);
        }
        self.founding = Some(founding.clone());
        Verdict::Done
    }

    /// A number is given once, and higher than all before it: replicas are known by it.
    fn join(&mut self, join: &Join, changes: &mut Changes) -> Verdict {
        if self.may_join(join).is_err() || self.by_uuid(&join.uuid).is_some() {
            return Verdict::Done;
        }
        let number = if join.node > 0 { join.node } else { self.highest() + 1 };
        let (uuid, address) = (join.uuid.clone(), join.address.clone());
        let row = Node { uuid, address, ..Node::default() };
        changes.put(key(number), &row);
        self.nodes.insert(number, row);
        Verdict::Nodes(number)
    }

    /// Whoever has no full part has no boot either: its clients are to go elsewhere.
    fn appoint(&mut self, number: u64, office: Office, changes: &mut Changes) -> Verdict {
        let row = self.nodes.get_mut(&number);
        let Some(row) = row.filter(|row| row.office() != office && row.office() != Office::Removed) else {
            return Verdict::Done;
        };
        row.set_office(office);
        if office != Office::Full {
            row.closed = row.boot;
        }
        changes.put(key(number), row);
        Verdict::Nodes(number)
    }

    fn boot(&mut self, asked: &Boot, changes: &mut Changes) -> Verdict {
        let (level, known) = (self.level(), asked.level.max(1));
        let node = self.nodes.entry(asked.node).or_default();
        let nonce = asked.nonce.clone();
        if !node.uuid.is_empty() && node.uuid != asked.uuid {
            return Verdict::Stranger { node: asked.node, nonce, uuid: node.uuid.clone() };
        }
        if node.office() != Office::Full {
            return Verdict::NoBoot { node: asked.node, nonce, office: node.office() };
        }
        if known < level {
            return Verdict::Behind { node: asked.node, nonce };
        }
        let repeated = node.nonce == asked.nonce && node.boot > 0 && node.closed < node.boot;
        if !repeated {
            node.closed = node.boot;
            node.boot += 1;
            node.uuid.clone_from(&asked.uuid);
            node.version.clone_from(&asked.version);
            node.nonce.clone_from(&asked.nonce);
            node.address.clone_from(&asked.address);
            node.level = known;
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
            Some((b'l', [])) => Level::decode(value).is_ok_and(|row| {
                self.level = row.level;
                true
            }),
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

    /// What all nodes that serve know, and the cluster does.
    pub fn level(&self) -> u32 {
        self.level.max(1)
    }

    /// What all nodes that belong to the cluster know; 0 where one of them has not said it yet.
    pub fn common_level(&self) -> u32 {
        let members = self.nodes.values().filter(|node| node.office() != Office::Removed);
        members.map(|node| node.level).min().unwrap_or(0)
    }

    /// All nodes that there ever were, by number.
    pub fn nodes(&self) -> impl Iterator<Item = (u64, &Node)> {
        self.nodes.iter().map(|(number, node)| (*number, node))
    }

    /// How many nodes belong to the cluster.
    pub fn count(&self) -> usize {
        self.nodes.values().filter(|row| row.office() != Office::Removed).count()
    }

    /// One node.
    pub fn node(&self, number: u64) -> Option<&Node> {
        self.nodes.get(&number)
    }

    /// The node with this UUID.
    pub fn by_uuid(&self, uuid: &str) -> Option<(u64, &Node)> {
        self.nodes().find(|(_, node)| node.uuid == uuid)
    }

    /// The highest number that a node ever had.
    fn highest(&self) -> u64 {
        self.nodes.keys().last().copied().unwrap_or_default()
    }

    /// Whether a node that asks can be taken in.
    ///
    /// # Errors
    /// Why it never will be.
    pub fn may_join(&self, join: &Join) -> Result<(), String> {
        match self.by_uuid(&join.uuid) {
            Some((number, row)) if row.office() == Office::Removed => {
                return Err(format!(
                    "it was node {number} and was removed; start it with an empty directory"
                ));
            }
            Some(_) => return Ok(()),
            None => {}
        }
        match self.nodes.get(&join.node) {
            Some(other) => Err(format!(
                "number {} belongs to another directory ({}), and what that one had acknowledged is not here; an empty \
                 directory joins as a new node: leave --node-id out, or give a number above {}",
                join.node,
                other.uuid,
                self.highest()
            )),
            None if join.node > 0 && join.node <= self.highest() => {
                Err(format!("number {} is not above {}, the highest so far", join.node, self.highest()))
            }
            None => Ok(()),
        }
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
mod tests;
