//! Holdfast is killed again and again under load, and keeps its promises.
//!
//! `KILL_ROUNDS` (default 20) says how often, `KILL_SEED` (default 1) when. The binary is `HOLDFAST_BIN`, or the
//! one beside this test in the target directory, which is built if it is missing.

use std::time::Duration;

use holdfast_chaos::broker::Recipe;
use holdfast_chaos::kill::Storm;

mod binary;

fn storm(recipe: Recipe, rounds: u32, seed: u64) -> Storm {
    Storm {
        recipe,
        rounds,
        seed,
        round: Duration::from_millis(2000),
        rate: 200,
        directory: None,
        patience: Duration::from_secs(30),
    }
}

#[test]
fn twenty_kills_lose_nothing_that_was_acknowledged() {
    let rounds = number("KILL_ROUNDS", 20) as u32;
    let seed = number("KILL_SEED", 1);
    let storm = storm(Recipe::Holdfast(binary::holdfast()), rounds, seed);
    let verdict = storm.run().expect("this machine can run a broker");
    println!("{}", verdict.summary());
    assert!(
        verdict.passed(),
        "again with: KILL_SEED={seed} KILL_ROUNDS={rounds} cargo test -p holdfast-chaos"
    );
    assert_eq!(verdict.kills, rounds);
    assert!(verdict.acked > u64::from(rounds), "the storm was too quiet to prove anything");
}

/// The harness against a broker that is known to forget: proof that it can fail.
#[test]
#[ignore = "needs mosquitto"]
fn a_broker_without_persistence_is_caught() {
    let storm = storm(Recipe::Mosquitto("mosquitto".into()), 4, 1);
    let verdict = storm.run().expect("mosquitto is installed");
    let broken = |name: &str| verdict.promises.iter().any(|p| p.name == name && p.violations > 0);
    assert!(broken("session_present_is_honest") && broken("acked_is_delivered"), "{}", verdict.summary());
    std::fs::remove_dir_all(verdict.evidence.expect("a broken promise leaves evidence"))
        .expect("it can be removed");
}

/// The harness against a healthy broker that nobody kills: proof that it can pass.
#[test]
#[ignore = "needs mosquitto"]
fn a_broker_that_lives_keeps_its_promises() {
    let verdict = storm(Recipe::Mosquitto("mosquitto".into()), 0, 1).run().expect("mosquitto is installed");
    assert!(verdict.passed(), "{}", verdict.summary());
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().expect("the variable holds a number"),
        Err(_) => default,
    }
}
