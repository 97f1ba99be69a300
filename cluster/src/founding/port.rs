//! What goes into a founding and what comes out of it.

use super::{Answer, FoundingError, Question, Record, Terms, Waiting};
use crate::Charter;

/// What the driver's clocks show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds on a clock that never jumps.
    pub ms: u64,
    /// Milliseconds since 1970 on the wall clock.
    pub wall_ms: u64,
}

/// What a node was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// What all founders must agree on.
    pub terms: Terms,
    /// The number given by the operator.
    pub node_id: Option<u64>,
    /// Drawn anew for every start of the process.
    pub nonce: String,
    /// 128 random bits, drawn anew for every start of the process: cluster ids come from them.
    pub entropy: u128,
}

/// What happens to a founding.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Time passed. Some ten times a second will do.
    Tick,
    /// A seed answered a question.
    Answer {
        /// The seed that was asked.
        seed: String,
        /// Its answer.
        answer: Answer,
    },
    /// A seed could not be asked.
    Failed {
        /// The seed.
        seed: String,
        /// Why, in a few words.
        reason: String,
    },
    /// Another node asks.
    Question {
        /// Names the question in the reply.
        ticket: u64,
        /// The question.
        question: Question,
    },
}

/// What the driver does, in this order and each before the next.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Write and sync; if that fails, stop the process and perform nothing more.
    Persist(Record),
    /// Send a question to a seed; comes back as an answer or a failure, or not at all.
    Ask {
        /// The seed.
        seed: String,
        /// The question.
        question: Question,
    },
    /// Answer a question.
    Reply {
        /// Which question.
        ticket: u64,
        /// The answer.
        answer: Answer,
    },
    /// The cluster is founded, and its record is on disk.
    Founded(Charter),
    /// There is a cluster already: this node joins it as a new one.
    Join {
        /// A seed that belongs to it.
        through: String,
        /// UUID of the cluster.
        cluster_id: String,
        /// UUID of this node.
        uuid: String,
    },
    /// For the operator, repeated while it holds.
    Waiting(Waiting),
    /// For the operator, once per seed: its clock is `ahead_ms` ahead of the one here.
    Skewed {
        /// The seed.
        seed: String,
        /// Milliseconds; negative when it is behind.
        ahead_ms: i64,
    },
    /// Waiting does not cure it: stop the process.
    Fatal(FoundingError),
}
