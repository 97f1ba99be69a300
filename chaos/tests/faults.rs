//! The checkers are checked: each promise is broken by a fault put in on purpose, and the checker of that promise has to
//! find it in simulations. `cargo test -p holdfast-chaos --test faults -- --nocapture` prints how many seeds each took.

#![cfg(debug_assertions)]

use std::collections::BTreeSet;

use holdfast_chaos::check::PROMISES;
use holdfast_chaos::sim::{Sim, steps};
use holdfast_node::config::Fault;

/// A fault, the promise that it breaks, and over how many nodes.
const FAULTS: [(Fault, &str, u8); 23] = [
    (Fault::AckBeforeSync, "acked_is_delivered", 1),
    (Fault::ForgetCursor, "acked_is_delivered", 3),
    (Fault::ForgetTokens, "qos2_once", 3),
    (Fault::ReverseBatch, "order_per_publisher", 3),
    (Fault::SkipFence, "order_per_publisher", 3),
    (Fault::KeepRetained, "retained_converges", 3),
    (Fault::KeepRetained, "retained_never_goes_back", 3),
    (Fault::SkipReadIndex, "nothing_from_the_minority", 3),
    (Fault::DenySession, "session_present_is_honest", 3),
    (Fault::IgnoreFilter, "intact", 3),
    (Fault::LoseShared, "shared_loses_none", 3),
    (Fault::ShareTwice, "shared_once", 3),
    (Fault::DropWill, "will_once", 3),
    (Fault::WillTwice, "will_once", 3),
    (Fault::KeepOldOwner, "one_owner", 3),
    (Fault::NeverSync, "offsets_never_change", 1),
    (Fault::LiveTwice, "qos0_once", 3),
    (Fault::AckAlone, "nothing_from_the_minority", 3),
    (Fault::VoteTwice, "election_safety", 3),
    (Fault::VoteBlindly, "leader_completeness", 3),
    (Fault::VoteBlindly, "log_matching", 3),
    (Fault::AppendBlindly, "log_matching", 3),
    (Fault::SkipApply, "state_machine_safety", 3),
];
/// Simulations over one fault, at most.
const SEEDS_MAX: u64 = 200;

#[test]
fn each_fault_is_found_by_the_checker_of_the_promise_that_it_breaks() {
    let mut missed = Vec::new();
    for (fault, promise, nodes) in FAULTS {
        let found = |seed: &u64| {
            let sim = Sim { seed: *seed, nodes, steps: steps(nodes), fault: Some(fault) };
            sim.run().broken.contains(promise)
        };
        match (1..=SEEDS_MAX).find(found) {
            Some(seeds) => println!("| `{}` | `{promise}` | {nodes} | {seeds} |", fault.name()),
            None => missed.push(format!("{} is not found by {promise}", fault.name())),
        }
    }
    assert!(missed.is_empty(), "within {SEEDS_MAX} seeds: {missed:#?}");
}

#[test]
fn each_promise_and_each_fault_has_its_row() {
    let promises: BTreeSet<&str> = FAULTS.iter().map(|(_, promise, _)| *promise).collect();
    assert_eq!(promises, PROMISES.iter().map(|promise| promise.name).collect());
    let faults: BTreeSet<&str> = FAULTS.iter().map(|(fault, ..)| fault.name()).collect();
    assert_eq!(faults, Fault::ALL.iter().map(|(name, _)| *name).collect());
}
