//! The operations of the meta group's log, and its rows.

use holdfast_cluster::Member;

/// One operation of the meta group's log.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MetaOp {
    /// Which. `None` is an operation of a future version: the replica stops.
    #[prost(oneof = "MetaKind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9")]
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
    /// Takes a node in, which is known by its UUID from then on.
    #[prost(message, tag = "5")]
    Join(Join),
    /// A node hands its work over, or takes it up again.
    #[prost(message, tag = "6")]
    Drain(Drain),
    /// A node belongs to the cluster no more, for ever.
    #[prost(message, tag = "7")]
    Remove(Remove),
    /// A majority was lost for good, and one directory goes on alone.
    #[prost(message, tag = "8")]
    GoOn(GoOn),
    /// From here on the cluster does what this feature level says.
    #[prost(message, tag = "9")]
    Raise(Level),
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
    /// The nodes that found it.
    #[prost(message, repeated, tag = "5")]
    pub founders: Vec<Member>,
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
    /// The highest feature level that it knows; 0: the first.
    #[prost(uint32, tag = "6")]
    pub level: u32,
}

/// A feature level of the cluster. Also the row that keeps it.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Level {
    /// The level, from 1.
    #[prost(uint32, tag = "1")]
    pub level: u32,
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

/// A node wants to belong to the cluster.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Join {
    /// UUID of its directory.
    #[prost(string, tag = "1")]
    pub uuid: String,
    /// The number that it wants; 0: the lowest that is above all that were ever used.
    #[prost(uint64, tag = "2")]
    pub node: u64,
    /// `HOST:PORT` of its cluster link.
    #[prost(string, tag = "3")]
    pub address: String,
}

/// A node is to have no clients, no leaders and, where others can take them, no votes.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Drain {
    /// The node.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// Whether it drains from now on; otherwise it takes its part again.
    #[prost(bool, tag = "2")]
    pub on: bool,
}

/// A node is taken out.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Remove {
    /// The node.
    #[prost(uint64, tag = "1")]
    pub node: u64,
}

/// A majority was lost, and somebody has told the directory of this node to go on alone: the others are removed.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GoOn {
    /// The node that is left.
    #[prost(uint64, tag = "1")]
    pub node: u64,
    /// The cluster's id so far.
    #[prost(string, tag = "2")]
    pub former: String,
    /// Its id from now on, so that nobody who comes back is taken for one of it.
    #[prost(string, tag = "3")]
    pub cluster_id: String,
}

/// What a node is to the cluster, whether it is up or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Office {
    /// It has its full part.
    Full = 0,
    /// It hands its work over.
    Draining = 1,
    /// It belongs to it no more. Its number is never given again.
    Removed = 2,
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
    /// What it is to the cluster.
    #[prost(enumeration = "Office", tag = "7")]
    pub office: i32,
    /// The highest feature level that it knew at its last boot; 0 before its first.
    #[prost(uint32, tag = "8")]
    pub level: u32,
}
