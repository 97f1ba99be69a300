//! Why a founding cannot go on, and what it waits for.

use std::fmt;

use super::Difference;

/// What waiting does not cure. The process ends and says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoundingError {
    /// Two founders were started differently.
    #[error("{here} (this node) and {there} were started with different {}; start all founders with the same", listed(.differences))]
    Disagree {
        /// This node.
        here: String,
        /// The other one.
        there: String,
        /// All that differs.
        differences: Vec<Difference>,
    },
    /// Two founders were started with one number.
    #[error("{} and {} were both started with --node-id {number}; give each a number of its own, or none", .nodes[0], .nodes[1])]
    NumberTaken {
        /// The number.
        number: u64,
        /// The two founders.
        nodes: [String; 2],
    },
    /// One node stands behind two seeds.
    #[error("the seeds {} and {} are the same node; name each node once", .seeds[0], .seeds[1])]
    SameNode {
        /// The two seeds.
        seeds: [String; 2],
    },
    /// The list of seeds is empty or too long.
    #[error("{found} seeds; a list names 1 to {}", super::SEEDS_MAX)]
    SeedCount {
        /// How many it names.
        found: usize,
    },
    /// The command line changed between the promise and the decision.
    #[error("this directory has promised to found a cluster with other settings, and now differs in {}; start it as before until the cluster is founded, or remove FOUNDING from the directories of all founders if none has an IDENTITY", listed(.differences))]
    PromisedOtherwise {
        /// What differs: here is the command line, there is the promise.
        differences: Vec<Difference>,
    },
    /// The number changed between the promise and the decision.
    #[error(
        "this directory has promised to be node {promised}, not node {wanted}; start it with --node-id {promised} or none"
    )]
    PromisedNumber {
        /// Its number in the promise.
        promised: u64,
        /// The number it was started with.
        wanted: u64,
    },
    /// A seed belongs to another cluster than the one promised.
    #[error(
        "{seed} belongs to cluster {founded}, but this directory has promised to found cluster {promised}; if no founder of the latter has an IDENTITY, remove FOUNDING from this directory, and the node joins"
    )]
    OtherCluster {
        /// The seed.
        seed: String,
        /// Its cluster.
        founded: String,
        /// The promised one.
        promised: String,
    },
}

fn listed(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What a founding waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Seeds that have not answered, each with the last reason if there is one. All must be up at the first
    /// start.
    Missing {
        /// Seed and reason.
        seeds: Vec<(String, Option<String>)>,
        /// How many seeds there are.
        of: usize,
    },
    /// This node has promised and the proposer has not decided.
    Decision {
        /// The proposer.
        proposer: String,
        /// Why it could not be asked last time, if so.
        reason: Option<String>,
    },
    /// The seeds are up, and the lowest address has not proposed.
    Proposal {
        /// The lowest address.
        proposer: String,
        /// Why it could not be asked last time, if so.
        reason: Option<String>,
    },
    /// The proposer waits until these have promised.
    Promises {
        /// The seeds, each with why it could not be asked last time, if so.
        seeds: Vec<(String, Option<String>)>,
    },
    /// This node is none of the seeds, and no seed belongs to a cluster.
    NotASeed,
    /// A seed keeps a promise to a node that is gone. Nobody may propose anew: it may have been decided.
    Stranded {
        /// The seed that keeps the promise.
        seed: String,
        /// The address of the node it promised to.
        proposer: String,
    },
}

fn one(seed: &str, reason: &Option<String>) -> String {
    match reason {
        Some(reason) => format!("{seed} ({reason})"),
        None => seed.to_owned(),
    }
}

fn all(seeds: &[(String, Option<String>)]) -> String {
    seeds.iter().map(|(seed, reason)| one(seed, reason)).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { seeds, of } => {
                write!(f, "{} of {of} seeds have not answered: {}", seeds.len(), all(seeds))?;
                f.write_str("; all must be up when a cluster is founded")
            }
            Self::Decision { proposer, reason } => {
                write!(f, "promised; waiting for {} to decide", one(proposer, reason))
            }
            Self::Proposal { proposer, reason } => {
                write!(f, "waiting for {} to propose the cluster", one(proposer, reason))
            }
            Self::Promises { seeds } => write!(f, "waiting for the promise of {}", all(seeds)),
            Self::NotASeed => {
                f.write_str("no seed is this node, and none belongs to a cluster that it could join")
            }
            Self::Stranded { seed, proposer } => write!(
                f,
                "{seed} has promised to found a cluster with a former node at {proposer}; bring its directory \
                 back, or remove FOUNDING from the directories of all founders if none has an IDENTITY"
            ),
        }
    }
}
