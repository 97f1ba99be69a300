//! The promises of a broker, one file each: pure functions from a history to the places where it broke them.

use std::fmt;

use crate::history::History;

mod acked_is_delivered;
mod election_safety;
mod excerpt;
mod intact;
mod leader_completeness;
mod log_matching;
mod nothing_from_the_minority;
mod offsets_never_change;
mod one_owner;
mod order_per_publisher;
mod qos0_once;
mod qos2_once;
mod retained_converges;
mod retained_never_goes_back;
mod session_present_is_honest;
mod shared_loses_none;
mod shared_once;
mod state_machine_safety;
mod will_once;

pub use excerpt::{excerpt, lines};

/// A broken promise, with the smallest witness that the history holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise's name.
    pub promise: &'static str,
    /// What was seen, and where.
    pub witness: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.witness)
    }
}

/// A promise: its name, what it says, and who checks it.
pub struct Promise {
    /// Its name, which is its file's name too.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
    check: fn(&History) -> Vec<String>,
}

/// Promises of what comes in the end, which a history that was cut short does not show.
const IN_THE_END: [&str; 4] = ["acked_is_delivered", "retained_converges", "shared_loses_none", "will_once"];

impl Promise {
    /// Whether this history goes on for long enough to judge it.
    pub fn is_judged_by(&self, history: &History) -> bool {
        !history.cut_short || !IN_THE_END.contains(&self.name)
    }
}

/// All promises.
pub const PROMISES: [Promise; 18] = [
    Promise {
        name: "acked_is_delivered",
        says: "each acknowledged message reached each durable subscriber that was subscribed before it",
        check: acked_is_delivered::check,
    },
    Promise {
        name: "qos2_once",
        says: "nothing that was published and subscribed at QoS 2 came twice",
        check: qos2_once::check,
    },
    Promise {
        name: "order_per_publisher",
        says: "first deliveries rise, for each subscriber, publisher and topic",
        check: order_per_publisher::check,
    },
    Promise {
        name: "retained_converges",
        says: "a retained message is the last acknowledged one or a later one, never an older",
        check: retained_converges::check,
    },
    Promise {
        name: "session_present_is_honest",
        says: "Session Present is 0 at a durable client's first connection and 1 ever after",
        check: session_present_is_honest::check,
    },
    Promise {
        name: "shared_loses_none",
        says: "the members of a shared subscription together got each acknowledged message",
        check: shared_loses_none::check,
    },
    Promise {
        name: "intact",
        says: "each payload is what its publisher sent to that topic",
        check: intact::check,
    },
    Promise {
        name: "will_once",
        says: "each will that was due reached each durable subscriber, and no will came twice",
        check: will_once::check,
    },
    Promise {
        name: "one_owner",
        says: "no two connections of one client id are served at the same time",
        check: one_owner::check,
    },
    Promise {
        name: "offsets_never_change",
        says: "an offset of a partition holds the same bytes for ever",
        check: offsets_never_change::check,
    },
    Promise {
        name: "retained_never_goes_back",
        says: "a retained message that is read is never older than what was acknowledged before it was asked for",
        check: retained_never_goes_back::check,
    },
    Promise {
        name: "qos0_once",
        says: "what is published at QoS 0 comes once or not at all",
        check: qos0_once::check,
    },
    Promise {
        name: "shared_once",
        says: "a group of QoS 2 gets each message of QoS 2 once, by one of its members",
        check: shared_once::check,
    },
    Promise {
        name: "nothing_from_the_minority",
        says: "nodes that reach no majority acknowledge nothing",
        check: nothing_from_the_minority::check,
    },
    Promise {
        name: "election_safety",
        says: "a group has at most one leader in a term",
        check: election_safety::check,
    },
    Promise {
        name: "leader_completeness",
        says: "a leader has everything that was committed before",
        check: leader_completeness::check,
    },
    Promise {
        name: "log_matching",
        says: "what two nodes hold of one log is the same, and what is committed is the same on all",
        check: log_matching::check,
    },
    Promise {
        name: "state_machine_safety",
        says: "replicas that have applied the same have derived the same",
        check: state_machine_safety::check,
    },
];

/// All violations of all promises.
pub fn all(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for promise in PROMISES.iter().filter(|promise| promise.is_judged_by(history)) {
        let witnesses = (promise.check)(history).into_iter();
        found.extend(witnesses.map(|witness| Violation { promise: promise.name, witness }));
    }
    found
}

#[cfg(test)]
mod tests;
