//! The promises of a broker, one file each: pure functions from a history to the places where it broke them.

use std::fmt;

use crate::history::History;

mod acked_is_delivered;
mod intact;
mod offsets_never_change;
mod one_owner;
mod order_per_publisher;
mod qos2_once;
mod retained_converges;
mod retained_never_goes_back;
mod session_present_is_honest;
mod shared_loses_none;
mod will_once;

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

/// All promises.
pub const PROMISES: [Promise; 11] = [
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
];

/// All violations of all promises.
pub fn all(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for promise in &PROMISES {
        let witnesses = (promise.check)(history).into_iter();
        found.extend(witnesses.map(|witness| Violation { promise: promise.name, witness }));
    }
    found
}

#[cfg(test)]
mod tests;
