//! What the lowest address proposes: an id for the cluster and a number for every founder.

use serde::{Deserialize, Serialize};

use super::{FoundingError, Terms};
use crate::{Charter, FORMAT, Identity, Member};

/// A cluster that may come to be. Its id is drawn for it alone, so the id stands for all of it.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// UUID of the cluster.
    #[prost(string, tag = "1")]
    pub cluster_id: String,
    /// Counts the proposals of one proposer; a later one replaces the earlier, which it then never decides.
    #[prost(uint64, tag = "2")]
    pub round: u64,
    /// Partitions of the cluster.
    #[prost(uint32, tag = "3")]
    pub partitions: u32,
    /// Session groups of the cluster.
    #[prost(uint32, tag = "4")]
    pub session_groups: u32,
    /// Replicas of each group.
    #[prost(uint32, tag = "5")]
    pub replicas: u32,
    /// The founders in the order of their addresses. The first proposes and decides, nobody else does.
    #[prost(message, repeated, tag = "6")]
    pub members: Vec<Member>,
}

/// A seed that may be numbered: its address, its UUID, and the number it was started with.
pub(super) struct Candidate {
    pub(super) address: String,
    pub(super) uuid: String,
    pub(super) wanted: Option<u64>,
}

impl Proposal {
    /// The terms it was made under.
    pub fn terms(&self) -> Terms {
        Terms {
            seeds: self.members.iter().map(|member| member.address.clone()).collect(),
            partitions: self.partitions,
            session_groups: self.session_groups,
            replicas: self.replicas,
        }
    }

    /// The founder with this UUID.
    pub fn member(&self, uuid: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.uuid == uuid)
    }

    /// The founder that decides.
    pub fn proposer(&self) -> &Member {
        self.members.first().expect("a proposal without members is refused where it comes in")
    }

    /// What the founder with this UUID writes when it is decided; `None` for a stranger.
    pub(super) fn charter(&self, uuid: &str) -> Option<Charter> {
        let narrow = |number: u32| u16::try_from(number).expect("checked where the proposal came in");
        let own = self.member(uuid)?;
        let identity = Identity {
            format: FORMAT,
            cluster_id: self.cluster_id.clone(),
            node_id: own.node,
            node_uuid: own.uuid.clone(),
            partitions: narrow(self.partitions),
            session_groups: narrow(self.session_groups),
            former: Vec::new(),
        };
        let (replicas, members) = (narrow(self.replicas), self.members.clone());
        Some(Charter { identity, replicas, members, joined: false })
    }

    /// Whether it could have been made by a node of this version.
    pub(super) fn is_valid(&self) -> bool {
        let twice = |at: usize, own: &Member| {
            self.members[..at].iter().any(|other| other.node == own.node || other.uuid == own.uuid)
        };
        !self.cluster_id.is_empty()
            && self.terms().is_valid()
            && self.members.iter().all(|own| own.node > 0 && !own.uuid.is_empty())
            && !self.members.iter().enumerate().any(|(at, own)| twice(at, own))
    }
}

/// Numbers the founders: each gets the number it was started with, the others the lowest free ones in the
/// order given.
pub(super) fn number(founders: Vec<Candidate>) -> Result<Vec<Member>, FoundingError> {
    for (at, own) in founders.iter().enumerate() {
        let others = &founders[..at];
        if let Some(other) = others.iter().find(|other| own.wanted.is_some() && other.wanted == own.wanted) {
            let nodes = [other.address.clone(), own.address.clone()];
            return Err(FoundingError::NumberTaken { number: own.wanted.unwrap_or_default(), nodes });
        }
        if let Some(other) = others.iter().find(|other| other.uuid == own.uuid) {
            return Err(FoundingError::SameNode { seeds: [other.address.clone(), own.address.clone()] });
        }
    }
    let taken: Vec<u64> = founders.iter().filter_map(|founder| founder.wanted).collect();
    let mut free = (1..).filter(|number| !taken.contains(number));
    let numbered = founders.into_iter().map(|founder| Member {
        node: founder.wanted.unwrap_or_else(|| free.next().expect("fewer founders than numbers")),
        uuid: founder.uuid,
        address: founder.address,
    });
    Ok(numbered.collect())
}
