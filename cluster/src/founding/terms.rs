//! What the founders must agree on, and where two of them differ.

use std::cmp::Ordering;
use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// Seeds that a list may name. All of them must be up at once for the founding, and meta has a replica on a
/// handful of nodes: a longer list is a mistake.
pub const SEEDS_MAX: usize = 64;

/// What every founder was started with.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// `HOST:PORT` of every seed, each once, in the order of [`by_address`].
    #[prost(string, repeated, tag = "1")]
    pub seeds: Vec<String>,
    /// Partitions of the cluster.
    #[prost(uint32, tag = "2")]
    pub partitions: u32,
    /// Session groups of the cluster.
    #[prost(uint32, tag = "3")]
    pub session_groups: u32,
    /// Replicas of each group.
    #[prost(uint32, tag = "4")]
    pub replicas: u32,
}

/// One thing that two founders were started with differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The lists of seeds.
    Seeds {
        /// Seeds that only this node's list names.
        here: Vec<String>,
        /// Seeds that only the other's list names.
        there: Vec<String>,
    },
    /// A number.
    Number {
        /// The setting.
        setting: &'static str,
        /// This node's.
        here: u32,
        /// The other's.
        there: u32,
    },
}

impl Terms {
    /// Terms with the seeds in any order; one named twice counts once.
    pub fn new(mut seeds: Vec<String>, partitions: u16, session_groups: u16, replicas: u16) -> Self {
        seeds.sort_by(|a, b| by_address(a, b));
        seeds.dedup();
        let [partitions, session_groups, replicas] = [partitions, session_groups, replicas].map(u32::from);
        Self { seeds, partitions, session_groups, replicas }
    }

    /// Where these terms and the `other` ones differ; empty when they agree.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let only = |own: &Self, other: &Self| -> Vec<String> {
            own.seeds.iter().filter(|seed| !other.seeds.contains(seed)).cloned().collect()
        };
        let mut found = Vec::new();
        if self.seeds != other.seeds {
            found.push(Difference::Seeds { here: only(self, other), there: only(other, self) });
        }
        let numbers = [
            ("--partitions", self.partitions, other.partitions),
            ("session_groups", self.session_groups, other.session_groups),
            ("--replicas", self.replicas, other.replicas),
        ];
        for (setting, here, there) in numbers.into_iter().filter(|(_, here, there)| here != there) {
            found.push(Difference::Number { setting, here, there });
        }
        found
    }

    /// Whether the numbers and the list are such as a node can be started with.
    pub(super) fn is_valid(&self) -> bool {
        let number = |n: u32| n > 0 && u16::try_from(n).is_ok();
        (1..=SEEDS_MAX).contains(&self.seeds.len())
            && self.seeds.windows(2).all(|two| by_address(&two[0], &two[1]) == Ordering::Less)
            && [self.partitions, self.session_groups, self.replicas].into_iter().all(number)
    }
}

/// The order of addresses that every node must see alike: numbers before names, numbers by value, so that
/// 10.0.0.9 comes before 10.0.0.10; names by their letters, then their port.
pub fn by_address(a: &str, b: &str) -> Ordering {
    let key = |address: &str| {
        let number = address.parse::<SocketAddr>().ok();
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        (number.is_none(), number, host.to_owned(), port.parse::<u16>().ok(), address.to_owned())
    };
    key(a).cmp(&key(b))
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seeds { here, there } => {
                f.write_str("--seeds")?;
                let sides = [(here, "only here"), (there, "only there")];
                for (seeds, side) in sides.into_iter().filter(|(seeds, _)| !seeds.is_empty()) {
                    write!(f, " ({side}: {})", seeds.join(", "))?;
                }
                Ok(())
            }
            Self::Number { setting, here, there } => write!(f, "{setting} ({here} here, {there} there)"),
        }
    }
}
