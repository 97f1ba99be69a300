//! The first frame on each connection, both ways: who speaks, and whether it may.

use holdfast_log::NodeId;

use super::code::Code;

/// Oldest and newest version of the protocol that this program speaks.
pub const PROTOCOLS: (u32, u32) = (1, 1);
/// Largest hello, in bytes. Nobody is known yet, so nobody gets more memory.
pub(super) const HELLO_BYTES_MAX: usize = 4 << 10;

/// Who this node is on the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Me {
    /// The cluster, and this node's id in it; `None` while the node is blank.
    pub identity: Option<(String, NodeId)>,
    /// UUID of the node's data directory.
    pub node_uuid: String,
    /// Which life of the node this is: higher than any before it.
    pub incarnation: u64,
    /// The address that other nodes should use.
    pub address: String,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Purpose {
    /// All lanes but bulk. The node with the lower id dials.
    Live = 1,
    /// The bulk lane of the dialing node.
    Bulk = 2,
    /// One question and one answer; the only purpose open to blank nodes.
    Ask = 3,
    /// The node with the higher id is back, and would like to be dialed.
    Knock = 4,
}

/// The hello. Its fields keep their numbers in every version of the protocol.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Hello {
    #[prost(uint32, tag = "1")]
    pub protocol_min: u32,
    #[prost(uint32, tag = "2")]
    pub protocol_max: u32,
    #[prost(string, tag = "3")]
    pub cluster_id: String,
    #[prost(uint64, tag = "4")]
    pub node_id: u64,
    #[prost(string, tag = "5")]
    pub node_uuid: String,
    #[prost(uint64, tag = "6")]
    pub incarnation: u64,
    #[prost(string, tag = "7")]
    pub address: String,
    #[prost(enumeration = "Purpose", tag = "8")]
    pub purpose: i32,
}

/// The nodes that a certificate may speak for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// The development identity.
    Any,
    /// Those it names.
    Only(Vec<NodeId>),
}

impl Hello {
    pub(super) fn new(me: &Me, purpose: Purpose) -> Self {
        let (cluster_id, node) = me.identity.clone().unzip();
        Self {
            protocol_min: PROTOCOLS.0,
            protocol_max: PROTOCOLS.1,
            cluster_id: cluster_id.unwrap_or_default(),
            node_id: node.map_or(0, NodeId::get),
            node_uuid: me.node_uuid.clone(),
            incarnation: me.incarnation,
            address: me.address.clone(),
            purpose: purpose as i32,
        }
    }

    /// The sender's id; `None` while it is blank.
    pub(super) fn node(&self) -> Option<NodeId> {
        (self.node_id != 0).then(|| NodeId::new(self.node_id))
    }

    /// Whether the sender may speak with `me` at all.
    pub(super) fn check(&self, me: &Me, names: &Names) -> Result<(), Code> {
        if self.protocol_min > PROTOCOLS.1 || self.protocol_max < PROTOCOLS.0 {
            return Err(Code::Protocol);
        }
        if let (Some(node), Names::Only(nodes)) = (self.node(), names)
            && !nodes.contains(&node)
        {
            return Err(Code::Certificate);
        }
        match &me.identity {
            Some((cluster, node)) => {
                if !self.cluster_id.is_empty() && self.cluster_id != *cluster {
                    return Err(Code::OtherCluster);
                }
                if self.node() == Some(*node) && self.node_uuid != me.node_uuid {
                    return Err(Code::SameId);
                }
            }
            None if self.purpose != Purpose::Ask as i32 => return Err(Code::Blank),
            None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me(node: u64) -> Me {
        Me {
            identity: Some(("cluster".to_owned(), NodeId::new(node))),
            node_uuid: format!("uuid of {node}"),
            incarnation: 1,
            address: String::new(),
        }
    }

    #[test]
    fn each_mismatch_has_its_code() {
        let hello = Hello::new(&me(2), Purpose::Live);
        assert_eq!(hello.check(&me(1), &Names::Any), Ok(()));
        assert_eq!(hello.check(&me(1), &Names::Only(vec![NodeId::new(3), NodeId::new(2)])), Ok(()));
        assert_eq!(hello.check(&me(1), &Names::Only(vec![NodeId::new(3)])), Err(Code::Certificate));
        let other = Hello { cluster_id: "other".to_owned(), ..hello.clone() };
        assert_eq!(other.check(&me(1), &Names::Any), Err(Code::OtherCluster));
        let newer = Hello { protocol_min: 2, protocol_max: 3, ..hello.clone() };
        assert_eq!(newer.check(&me(1), &Names::Any), Err(Code::Protocol));
        let older = Hello { protocol_min: 0, protocol_max: 0, ..hello.clone() };
        assert_eq!(older.check(&me(1), &Names::Any), Err(Code::Protocol));
        let twin = Hello { node_uuid: "another".to_owned(), ..hello };
        assert_eq!(twin.check(&me(2), &Names::Any), Err(Code::SameId));
    }

    #[test]
    fn a_blank_node_may_only_ask_and_be_asked() {
        let blank = Me { identity: None, ..me(1) };
        let hello = Hello::new(&me(2), Purpose::Live);
        assert_eq!(hello.check(&blank, &Names::Any), Err(Code::Blank));
        let ask = Hello::new(&me(2), Purpose::Ask);
        assert_eq!(ask.check(&blank, &Names::Any), Ok(()));
        let blank_ask = Hello::new(&blank, Purpose::Ask);
        assert_eq!(blank_ask.node(), None);
        assert_eq!(blank_ask.check(&me(2), &Names::Only(vec![NodeId::new(9)])), Ok(()));
    }
}
