//! A storm over three real nodes: once with a seed that never changes, once with a new one.
//!
//! Each goes on for `STORM_SECONDS` (default 20), so that both are over in about a minute. `STORM_SEED` takes the place
//! of the new seed. The binary is `HOLDFAST_BIN`, or the one beside this test in the target directory, which is built
//! if it is missing.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use holdfast_chaos::fleet::{Fleet, Plan};
use holdfast_chaos::seed::Seed;
use holdfast_chaos::storm::Storm;

mod binary;

/// Faults that are soon over, each of another kind: what a night of storms has in full, in the time of a test.
const FAULTS: [&str; 6] = ["kill", "pause", "partition", "rolling-restart", "leader-hunt", "stampede"];

/// One after the other: there is no room for six nodes on a small machine.
#[test]
fn three_nodes_in_a_storm_keep_every_promise() {
    rage(1);
    // The hasher of the standard library begins with other keys in each process.
    rage(number("STORM_SEED").unwrap_or_else(|| RandomState::new().hash_one("storm") >> 32));
}

fn rage(seed: u64) {
    let plan = Plan { proxied: true, ..Plan::new(binary::holdfast(), 3) };
    let fleet = Fleet::own(&plan, &mut Seed::new(!seed)).expect("there is room for three nodes");
    let mut storm = Storm::new(fleet, seed, &FAULTS.map(str::to_owned)).expect("the faults are known");
    storm.duration = Duration::from_secs(number("STORM_SECONDS").unwrap_or(20));
    // Others may use this machine as well.
    (storm.rate, storm.patience) = (20, Duration::from_secs(120));
    let outcome = storm.run(&mut std::io::stderr()).expect("this machine can run a storm");
    assert!(
        outcome.passed(),
        "{}again with: STORM_SEED={seed} cargo test -p holdfast-chaos --test storm_of_three",
        outcome.summary()
    );
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("the variable holds a number"))
}
